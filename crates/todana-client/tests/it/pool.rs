//! Which connection an operation gets, and that nothing deadlocks.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread;

use todana_client::{Client, Error, Expiry, Options, Outcome};

use crate::fake::{Fake, talk};

#[test]
fn a_read_is_sent_again_if_the_idle_connection_was_dead() {
    let fake = Fake::start(vec![
        vec![talk("get a\r\n", "END\r\n")],
        vec![talk("get b\r\nget c\r\n", "END\r\nEND\r\n")],
        vec![talk("get d\r\n", "END\r\n")],
    ]);
    let client = fake.client();
    assert_eq!(client.get("a").unwrap(), None);
    let mut pipeline = client.pipeline();
    pipeline.get("b").get("c");
    assert!(pipeline.run().unwrap().iter().all(Result::is_ok));
    assert_eq!(client.get_many(&["d"]).unwrap(), [None]);
    fake.finish();
}

#[test]
fn a_write_is_never_sent_again() {
    let fake =
        Fake::start(vec![vec![talk("incr a 1\r\n", "")], vec![talk("incr a 1\r\n", "5\r\n")]]);
    let client = fake.client();
    let error = client.incr("a", 1).unwrap_err();
    assert!(matches!(error, Error::Closed { .. } | Error::Broken { .. }), "{error}");
    assert_eq!(client.incr("a", 1).unwrap(), Some(5));
    fake.finish();
}

#[test]
fn no_idle_connections_are_kept_if_none_may_be() {
    let one = || vec![talk("get a\r\n", "END\r\n")];
    // The first is opened by connecting.
    let fake = Fake::start(vec![vec![], one(), one()]);
    let client = fake.client_with(Options { idle_max: 0, ..Options::default() });
    for _ in 0..2 {
        assert_eq!(client.get("a").unwrap(), None);
    }
    fake.finish();
}

/// A server with a thread a connection that answers line by line and does not read while it writes.
#[expect(clippy::disallowed_methods, reason = "the test's own server")]
fn echo_server(value: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                socket.set_nodelay(true).unwrap();
                let mut out = socket.try_clone().unwrap();
                for line in BufReader::new(socket).lines().map_while(Result::ok) {
                    let words: Vec<&str> = line.split(' ').collect();
                    let mut reply = Vec::new();
                    for key in words.iter().skip(1) {
                        write!(reply, "VALUE {key} 0 {}\r\n", value.len()).unwrap();
                        reply.extend_from_slice(value);
                        reply.extend_from_slice(b"\r\n");
                    }
                    reply.extend_from_slice(b"END\r\n");
                    // The client has gone when this fails.
                    let _ = out.write_all(&reply);
                }
            });
        }
    });
    address
}

#[test]
fn large_replies_to_many_requests_do_not_deadlock() {
    let address = echo_server(&[b'v'; 30_000]);
    let client = Client::connect(&address).unwrap();
    let keys: Vec<String> = (0..2_000).map(|n| format!("{n:0>200}")).collect();
    let mut pipeline = client.pipeline();
    for key in &keys {
        pipeline.get(key);
    }
    let results = pipeline.run().unwrap();
    let whole = |outcome: &Result<Outcome, Error>| matches!(outcome, Ok(Outcome::Value(Some(value))) if value.data.len() == 30_000);
    assert_eq!(results.iter().filter(|outcome| whole(outcome)).count(), keys.len());
    let values = client.get_many(&keys).unwrap();
    assert_eq!(values.iter().flatten().count(), keys.len());
}

#[test]
fn threads_share_a_client() {
    let address = echo_server(b"x");
    let client = Client::connect(&address).unwrap();
    thread::scope(|scope| {
        for thread in 0..8 {
            let client = &client;
            scope.spawn(move || {
                for n in 0..200 {
                    let value = client.get(format!("{thread}-{n}")).unwrap().unwrap();
                    assert_eq!(value.data, b"x");
                }
            });
        }
    });
}

#[cfg(unix)]
#[test]
fn unix_sockets() {
    use std::os::unix::net::UnixListener;

    let path = std::env::temp_dir().join(format!("todana-client-{}.sock", std::process::id()));
    let listener = UnixListener::bind(&path).unwrap();
    let server = thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut line = String::new();
        BufReader::new(socket.try_clone().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "touch a 0\r\n");
        socket.write_all(b"NOT_FOUND\r\n").unwrap();
    });
    let client = Client::connect(path.to_str().unwrap()).unwrap();
    assert!(!client.touch("a", Expiry::Never).unwrap());
    server.join().unwrap();
    remove(&path).unwrap();
}

#[cfg(unix)]
#[expect(clippy::disallowed_methods, reason = "the test's own socket")]
fn remove(path: &std::path::Path) -> std::io::Result<()> {
    std::fs::remove_file(path)
}
