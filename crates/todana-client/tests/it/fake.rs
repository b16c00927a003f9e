//! A server that follows a script: for each connection a list of what it wants to hear and what it
//! says then.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use todana_client::{Client, Options};

/// One step of a connection's script.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// These bytes have to come, and these are answered.
    Talk(Vec<u8>, Vec<u8>),
    /// As `Talk`, answered byte by byte.
    Drip(Vec<u8>, Vec<u8>),
    /// Nothing until the client hangs up.
    Wait,
}

pub(crate) fn talk(hear: impl AsRef<[u8]>, say: impl AsRef<[u8]>) -> Step {
    Step::Talk(hear.as_ref().to_vec(), say.as_ref().to_vec())
}

pub(crate) fn drip(hear: &str, say: &str) -> Step {
    Step::Drip(hear.into(), say.into())
}

/// A running script. Connections are taken one after the other, each is closed at its script's end.
pub(crate) struct Fake {
    pub(crate) address: String,
    thread: JoinHandle<()>,
}

impl Fake {
    #[expect(clippy::disallowed_methods, reason = "the test's own server")]
    pub(crate) fn start(connections: Vec<Vec<Step>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let thread = std::thread::spawn(move || {
            for script in connections {
                let (socket, _) = listener.accept().unwrap();
                // A wrong request fails the test instead of hanging it.
                socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
                follow(socket, script);
            }
        });
        Self { address, thread }
    }

    pub(crate) fn client(&self) -> Client {
        self.client_with(Options::default())
    }

    pub(crate) fn client_with(&self, options: Options) -> Client {
        let second = Some(Duration::from_secs(5));
        Client::connect_with(&self.address, Options { read_timeout: second, ..options }).unwrap()
    }

    /// The script was followed to its end.
    pub(crate) fn finish(self) {
        self.thread.join().unwrap();
    }
}

fn follow(mut socket: TcpStream, script: Vec<Step>) {
    for step in script {
        match step {
            Step::Talk(hear, say) => {
                listen(&mut socket, &hear);
                socket.write_all(&say).unwrap();
            }
            Step::Drip(hear, say) => {
                listen(&mut socket, &hear);
                socket.set_nodelay(true).unwrap();
                for byte in say {
                    socket.write_all(&[byte]).unwrap();
                }
            }
            Step::Wait => assert!(!matches!(socket.read(&mut [0]), Ok(1..)), "more was said"),
        }
    }
}

fn listen(socket: &mut TcpStream, want: &[u8]) {
    let mut got = vec![0; want.len()];
    let read = socket.read_exact(&mut got);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(read.is_ok(), "wanted {:?}: {read:?} after {:?}", text(want), text(&got));
    assert_eq!(text(&got), text(want));
}
