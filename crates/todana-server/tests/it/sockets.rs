//! Real sockets: delivery in pieces, clients that do not read, limits, stopping, Unix sockets.
#![expect(clippy::disallowed_methods, reason = "these tests are clients")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use todana_engine::Engine;
use todana_engine::conformance::MapEngine;
use todana_protocol::memcached::Protocol;
use todana_server::settings::{Address, Listen};
use todana_server::{Server, Settings};
use todana_store::{Cache, CacheOptions};

/// A running server; stopped when dropped.
pub(crate) struct Running {
    pub(crate) address: String,
    pub(crate) all: Vec<String>,
    stop: Box<dyn Fn(bool) + Send + Sync>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        (self.stop)(false);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

pub(crate) fn tcp() -> Listen {
    Listen { address: Address::Tcp("127.0.0.1:0".parse().unwrap()), protocol: Protocol::Auto }
}

pub(crate) fn start(settings: Settings) -> Running {
    start_over(Arc::new(Cache::new(CacheOptions::default()).unwrap()), settings)
}

pub(crate) fn start_over(engine: Arc<dyn Engine>, settings: Settings) -> Running {
    let settings = Settings { threads: 2, io: super::IO, ..settings };
    let server = Server::start(settings, engine, None).unwrap();
    let all = server.listens_on();
    let address = all[0].trim_start_matches("tcp:").to_owned();
    let stop = Box::new(server.stopper());
    let thread = Some(std::thread::spawn(move || server.run().unwrap()));
    Running { address, all, stop, thread }
}

fn start_tcp(settings: Settings) -> Running {
    start(Settings { listen: vec![tcp()], ..settings })
}

pub(crate) fn connect(server: &Running) -> TcpStream {
    let stream = TcpStream::connect(&server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

pub(crate) fn expect(stream: &mut impl Read, expected: &[u8]) {
    let mut got = vec![0; expected.len()];
    stream.read_exact(&mut got).unwrap();
    assert_eq!(String::from_utf8_lossy(&got), String::from_utf8_lossy(expected));
}

fn line(stream: &mut impl BufRead) -> String {
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    line
}

#[test]
fn a_pipeline_cut_anywhere_is_answered_alike() {
    let server = start_tcp(Settings::default());
    let sent =
        b"set a 1 0 5\r\nhello\r\nget a b\r\nincr a 1\r\nmg a v\r\nset a 0 0 2\r\nbad\r\nmn\r\n";
    let expected: &[u8] = b"STORED\r\nVALUE a 1 5\r\nhello\r\nEND\r\n\
        CLIENT_ERROR cannot increment or decrement non-numeric value\r\n\
        VA 5\r\nhello\r\nCLIENT_ERROR bad data chunk\r\nERROR\r\nMN\r\n";
    // "bad\r\n" is a data chunk of two bytes and then "\n": an empty line.
    let mut stream = connect(&server);
    for cut in 0..sent.len() {
        stream.write_all(&sent[..cut]).unwrap();
        if cut % 8 == 0 {
            std::thread::yield_now();
        }
        stream.write_all(&sent[cut..]).unwrap();
        expect(&mut stream, expected);
    }
    for byte in sent {
        stream.write_all(&[*byte]).unwrap();
    }
    expect(&mut stream, expected);
}

#[test]
fn a_half_closed_client_still_gets_its_replies() {
    let server = start_tcp(Settings::default());
    let mut stream = connect(&server);
    stream.write_all(b"set a 0 0 1\r\nx\r\nget a\r\nget").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    assert_eq!(all, b"STORED\r\nVALUE a 0 1\r\nx\r\nEND\r\n");
}

#[test]
fn large_values_pass_and_too_large_ones_leave_the_connection_usable() {
    let server = start_tcp(Settings::default());
    let mut stream = connect(&server);
    for len in [1 << 20, (1 << 20) + 1, 100_000, 3 << 20] {
        let value = vec![b'v'; len];
        stream.write_all(format!("set big 0 0 {len}\r\n").as_bytes()).unwrap();
        stream.write_all(&value).unwrap();
        stream.write_all(b"\r\nmg big s\r\n").unwrap();
        if len <= 1 << 20 {
            expect(&mut stream, format!("STORED\r\nHD s{len}\r\n").as_bytes());
        } else {
            expect(&mut stream, b"SERVER_ERROR object too large for cache\r\nEN\r\n");
        }
    }
}

#[test]
fn a_client_that_does_not_read_is_paused_and_harms_nobody() {
    let server = start_tcp(Settings::default());
    let mut stream = connect(&server);
    let value = vec![b'v'; 500_000];
    stream.write_all(b"set v 0 0 500000\r\n").unwrap();
    stream.write_all(&value).unwrap();
    stream.write_all(b"\r\n").unwrap();
    expect(&mut stream, b"STORED\r\n");
    let rounds = 400;
    let mut writer = stream.try_clone().unwrap();
    let asks = std::thread::spawn(move || {
        for _ in 0..rounds {
            writer.write_all(b"get v\r\n").unwrap();
        }
    });
    let mut other = connect(&server);
    for _ in 0..100 {
        other.write_all(b"mn\r\n").unwrap();
        expect(&mut other, b"MN\r\n");
    }
    let paused = (0..200).any(|_| {
        other.write_all(b"stats\r\n").unwrap();
        let mut reader = BufReader::new(&other);
        let mut paused = false;
        loop {
            let line = line(&mut reader);
            if line == "END\r\n" {
                return paused;
            }
            paused |= line.starts_with("STAT output_paused ") && !line.contains(" 0\r");
        }
    });
    assert!(paused, "200 MB of replies were taken without a pause");
    let mut expected = b"VALUE v 0 500000\r\n".to_vec();
    expected.extend_from_slice(&value);
    expected.extend_from_slice(b"\r\nEND\r\n");
    for _ in 0..rounds {
        expect(&mut stream, &expected);
    }
    asks.join().unwrap();
}

#[test]
fn thousands_of_idle_connections_are_served() {
    let server = start_tcp(Settings { connections_max: 8_000, ..Settings::default() });
    let mut all: Vec<TcpStream> = (0..3_000).map(|_| connect(&server)).collect();
    for stream in &mut all {
        stream.write_all(b"mn\r\n").unwrap();
    }
    for stream in &mut all {
        expect(stream, b"MN\r\n");
    }
}

#[test]
fn all_that_wait_for_the_engine_go_on() {
    // Each change waits for a sync, each get for a read, and these come for many together.
    let settings = Settings { listen: vec![tcp()], ..Settings::default() };
    let server = start_over(Arc::new(MapEngine::with_cold_reads()), settings);
    let mut all: Vec<TcpStream> = (0..100).map(|_| connect(&server)).collect();
    for round in 0..10 {
        for (number, stream) in all.iter_mut().enumerate() {
            let text = format!("set k{number} 0 0 1\r\n{round}\r\nget k{number}\r\n");
            stream.write_all(text.as_bytes()).unwrap();
        }
        if round == 5 {
            // Who leaves while it waits is forgotten.
            all.truncate(50);
        }
        for (number, stream) in all.iter_mut().enumerate() {
            let reply = format!("STORED\r\nVALUE k{number} 0 1\r\n{round}\r\nEND\r\n");
            expect(stream, reply.as_bytes());
        }
        all.extend((all.len()..100).map(|_| connect(&server)));
    }
}

#[test]
fn connections_beyond_the_limit_are_refused_with_a_word() {
    let server = start_tcp(Settings { connections_max: 2, ..Settings::default() });
    let mut first = connect(&server);
    let mut second = connect(&server);
    for stream in [&mut first, &mut second] {
        stream.write_all(b"mn\r\n").unwrap();
        expect(stream, b"MN\r\n");
    }
    let mut third = connect(&server);
    expect(&mut third, b"ERROR Too many open connections\r\n");
    drop(first);
    // The place is free once the server has seen it.
    let served = (0..200).any(|_| {
        let mut stream = connect(&server);
        let _ = stream.write_all(b"mn\r\n");
        let mut reply = [0; 4];
        stream.read_exact(&mut reply).is_ok() && &reply == b"MN\r\n"
    });
    assert!(served);
}

#[test]
fn without_refusals_connections_wait_for_a_place() {
    let settings = Settings { connections_max: 1, refuse_at_once: false, ..Settings::default() };
    let server = start_tcp(settings);
    let mut first = connect(&server);
    first.write_all(b"mn\r\n").unwrap();
    expect(&mut first, b"MN\r\n");
    let mut second = connect(&server);
    second.write_all(b"mn\r\n").unwrap();
    drop(first);
    expect(&mut second, b"MN\r\n");
}

#[test]
fn idle_connections_are_closed_when_asked_for() {
    let server = start_tcp(Settings { idle_ms: 1_000, ..Settings::default() });
    let mut stream = connect(&server);
    stream.write_all(b"mn\r\n").unwrap();
    expect(&mut stream, b"MN\r\n");
    // Not `read`: the end of another test's ring may interrupt it.
    assert_eq!(stream.read_to_end(&mut Vec::new()).unwrap(), 0, "closed by the server");
}

#[test]
fn an_active_connection_is_kept_until_it_is_idle() {
    let server = start_tcp(Settings { idle_ms: 1_000, ..Settings::default() });
    let (mut idle, mut active) = (connect(&server), connect(&server));
    let closed = std::thread::spawn(move || idle.read_to_end(&mut Vec::new()).unwrap());
    while !closed.is_finished() {
        active.write_all(b"mn\r\n").unwrap();
        expect(&mut active, b"MN\r\n");
    }
    assert_eq!(closed.join().unwrap(), 0);
    active.write_all(b"mn\r\n").unwrap();
    expect(&mut active, b"MN\r\n");
    assert_eq!(active.read_to_end(&mut Vec::new()).unwrap(), 0, "closed by the server");
}

#[test]
fn a_unix_socket_has_its_mode_and_is_cleaned_up() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("todana.sock");
    let address = Address::Unix(path.clone(), 0o600);
    let listen = vec![Listen { address, protocol: Protocol::Auto }, tcp()];
    let server = start(Settings { listen, ..Settings::default() });
    assert_eq!(server.all.len(), 2);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(b"mn\r\n").unwrap();
    expect(&mut stream, b"MN\r\n");
    let again = Settings {
        listen: vec![Listen {
            address: Address::Unix(path.clone(), 0o600),
            protocol: Protocol::Auto,
        }],
        ..Settings::default()
    };
    let engine = Arc::new(Cache::new(CacheOptions::default()).unwrap());
    let refused = Server::start(again, engine, None).err().unwrap().to_string();
    assert!(refused.contains("cannot listen on unix:"), "{refused}");
    drop(server);
    assert!(!path.exists(), "the socket was left behind");
}

#[test]
fn a_port_in_use_is_named() {
    let server = start_tcp(Settings::default());
    let address = Address::Tcp(server.address.parse().unwrap());
    let listen = vec![Listen { address, protocol: Protocol::Auto }];
    let engine = Arc::new(Cache::new(CacheOptions::default()).unwrap());
    let error = Server::start(Settings { listen, ..Settings::default() }, engine, None);
    let error = error.err().unwrap().to_string();
    assert!(error.contains(&server.address) && error.contains("-p"), "{error}");
}

#[test]
fn watchers_see_what_others_do() {
    let server = start_tcp(Settings::default());
    let watcher = connect(&server);
    let mut reader = BufReader::new(watcher.try_clone().unwrap());
    (&watcher).write_all(b"watch fetchers mutations deletions connevents\r\n").unwrap();
    assert_eq!(line(&mut reader), "OK\r\n");
    let mut client = connect(&server);
    client.write_all(b"set a 0 0 1\r\nx\r\nget a\r\nget b\r\ndelete a\r\n").unwrap();
    expect(&mut client, b"STORED\r\nVALUE a 0 1\r\nx\r\nEND\r\nEND\r\nDELETED\r\n");
    for expected in [
        "type=conn_new rip=127.0.0.1",
        "type=item_store key=a status=stored cmd=set",
        "type=item_get key=a status=found",
        "type=item_get key=b status=not_found",
        "type=deleted key=a cmd=delete",
    ] {
        let line = line(&mut reader);
        assert!(line.starts_with("ts=") && line.contains(expected), "{line} for {expected}");
    }
}

#[test]
fn listings_are_complete_however_long() {
    let server = start_tcp(Settings::default());
    let mut client = connect(&server);
    let count = 20_000;
    for number in 0..count {
        client.write_all(format!("set key{number} 0 0 1 noreply\r\nx\r\n").as_bytes()).unwrap();
    }
    client.write_all(b"lru_crawler metadump all\r\nmn\r\n").unwrap();
    let mut reader = BufReader::new(client);
    let mut lines = 0;
    while line(&mut reader).starts_with("key=key") {
        lines += 1;
    }
    assert_eq!(lines, count);
    assert_eq!(line(&mut reader), "MN\r\n");
}

#[test]
fn stopping_answers_what_was_asked_and_closes() {
    let server = start_tcp(Settings { shutdown_enabled: true, ..Settings::default() });
    let mut stream = connect(&server);
    stream.write_all(b"set a 0 0 1\r\nx\r\nget a\r\nshutdown\r\n").unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    assert_eq!(all, b"STORED\r\nVALUE a 0 1\r\nx\r\nEND\r\n");
    let refused = (0..200).any(|_| TcpStream::connect(&server.address).is_err());
    assert!(refused, "still accepting after shutdown");
}

#[test]
fn a_client_that_vanishes_in_the_middle_leaves_nothing() {
    let server = start_tcp(Settings::default());
    for cut in ["set a 0 0 100000\r\nonly the beginning", "get a", "ms b 5\r\nab", "\u{80}"] {
        let mut stream = connect(&server);
        stream.write_all(cut.as_bytes()).unwrap();
    }
    let mut stream = connect(&server);
    let alone = (0..500).any(|_| {
        stream.write_all(b"stats\r\n").unwrap();
        let mut reader = BufReader::new(&stream);
        let mut alone = false;
        loop {
            match line(&mut reader).as_str() {
                "END\r\n" => return alone,
                "STAT curr_connections 1\r\n" => alone = true,
                _ => {}
            }
        }
    });
    assert!(alone, "connections of clients that are gone are still there");
    stream.write_all(b"get a b\r\n").unwrap();
    expect(&mut stream, b"END\r\n");
}

fn figure(stream: &mut TcpStream, name: &str) -> u64 {
    stream.write_all(b"stats\r\n").unwrap();
    let mut reader = BufReader::new(&*stream);
    let mut value = None;
    loop {
        let line = line(&mut reader);
        if line == "END\r\n" {
            return value.unwrap();
        }
        if let Some(rest) = line.strip_prefix(&format!("STAT {name} ")) {
            value = rest.trim().parse().ok();
        }
    }
}

#[test]
fn a_connection_that_was_served_and_then_ends_with_its_last_bytes_is_closed() {
    let server = start_tcp(Settings::default());
    let mut other = connect(&server);
    for last in [&b"get a\r\n"[..], b"set a 0 0 1 noreply\r\nx\r\n", b"get half"] {
        let mut stream = connect(&server);
        stream.write_all(b"mn\r\n").unwrap();
        expect(&mut stream, b"MN\r\n");
        // Both arrive before the worker looks: the end is told once, together with the bytes.
        stream.write_all(last).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        let expected: &[u8] = if last == b"get a\r\n" { b"END\r\n" } else { b"" };
        assert_eq!(rest, expected);
    }
    assert_eq!(figure(&mut other, "curr_connections"), 1);
}

#[test]
fn a_watcher_that_sent_more_than_watch_costs_nothing() {
    let server = start_tcp(Settings::default());
    let mut other = connect(&server);
    {
        let mut watcher = connect(&server);
        let mut sent = b"watch\r\n".repeat(30);
        sent.extend_from_slice(&b"mn\r\n".repeat(5_000));
        watcher.write_all(&sent).unwrap();
        expect(&mut watcher, b"OK\r\n");
        let before = figure(&mut other, "cycles");
        std::thread::sleep(Duration::from_millis(200));
        let turns = figure(&mut other, "cycles") - before;
        assert!(turns < 100, "{turns} turns of a loop that has nothing to do");
        assert_eq!(figure(&mut other, "log_watchers"), 1);
    }
    let gone = (0..500).any(|_| figure(&mut other, "log_watchers") == 0);
    assert!(gone && (0..500).any(|_| figure(&mut other, "curr_connections") == 1));
}

#[test]
fn more_is_not_read_than_can_be_carried_out() {
    let server = start_tcp(Settings { requests_per_turn: 2, ..Settings::default() });
    let stream = connect(&server);
    let mut writer = stream.try_clone().unwrap();
    let count = 100_000;
    let sends = std::thread::spawn(move || {
        writer.write_all(&b"mn\r\n".repeat(count)).unwrap();
    });
    let mut reader = BufReader::new(stream);
    for _ in 0..count {
        assert_eq!(line(&mut reader), "MN\r\n");
    }
    sends.join().unwrap();
}

#[test]
fn listings_one_behind_the_other_are_all_answered() {
    let server = start_tcp(Settings::default());
    let mut stream = connect(&server);
    stream.write_all(b"set a 0 0 1\r\nx\r\n").unwrap();
    expect(&mut stream, b"STORED\r\n");
    stream.write_all(&b"stats sizes\r\nmn\r\n".repeat(500)).unwrap();
    expect(&mut stream, &b"STAT 32 1\r\nEND\r\nMN\r\n".repeat(500));
}

#[test]
fn a_graceful_stop_lets_connections_go_on_for_a_while() {
    let server = start_tcp(Settings::default());
    let mut stream = connect(&server);
    stream.write_all(b"get a").unwrap();
    let mut other = connect(&server);
    other.write_all(b"mn\r\n").unwrap();
    expect(&mut other, b"MN\r\n");
    (server.stop)(true);
    std::thread::sleep(Duration::from_millis(100));
    stream.write_all(b"\r\n").unwrap();
    expect(&mut stream, b"END\r\n");
}
