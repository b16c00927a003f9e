//! A server of `get` and `set` over a map: a thread a connection, as simple as can be.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

type Store = Arc<Mutex<HashMap<String, Vec<u8>>>>;

/// A running server; its threads end with the connections and the process.
pub(crate) struct Fake {
    pub(crate) address: String,
}

impl Fake {
    pub(crate) fn start() -> Self {
        let store = Store::default();
        Self::listen(move |stream| serve(&stream, &store))
    }

    /// Takes connections and never answers.
    pub(crate) fn silent() -> Self {
        Self::listen(|stream| {
            let _ = (&stream).read_to_end(&mut Vec::new());
            None
        })
    }

    fn listen(serve: impl Fn(TcpStream) -> Option<()> + Clone + Send + 'static) -> Self {
        let listener = bind();
        let address = listener.local_addr().unwrap().to_string();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serve = serve.clone();
                thread::spawn(move || serve(stream));
            }
        });
        Self { address }
    }
}

/// An address at which nobody listens (any more).
pub(crate) fn unused_address() -> String {
    bind().local_addr().unwrap().to_string()
}

#[expect(clippy::disallowed_methods, reason = "the generator is tested over real sockets")]
fn bind() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

/// Answers until the connection ends; `None` then.
fn serve(stream: &TcpStream, store: &Store) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut input = BufReader::new(stream);
    let mut line = String::new();
    loop {
        line.clear();
        if input.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let mut reply = Vec::new();
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["get", keys @ ..] => {
                let store = store.lock().unwrap();
                for key in keys {
                    if let Some(value) = store.get(*key) {
                        write!(reply, "VALUE {key} 0 {}\r\n", value.len()).ok()?;
                        reply.extend_from_slice(value);
                        reply.extend_from_slice(b"\r\n");
                    }
                }
                reply.extend_from_slice(b"END\r\n");
            }
            ["set", key, _, _, size] => {
                let mut value = vec![0; size.parse::<usize>().ok()? + 2];
                input.read_exact(&mut value).ok()?;
                value.truncate(value.len() - 2);
                store.lock().unwrap().insert((*key).to_owned(), value);
                reply.extend_from_slice(b"STORED\r\n");
            }
            _ => reply.extend_from_slice(b"ERROR\r\n"),
        }
        (&mut &*stream).write_all(&reply).ok()?;
    }
}
