//! A server that does nothing: the same reads and writes, canned replies.
//!
//! It is told the shape of the requests and tells them apart by their first two bytes alone: it
//! knows how long each is, so it skips the rest unseen. Replies to a run of equal requests are
//! written straight out of a slab of canned ones. Whatever a real server does costs more.

use std::io::{self, Read, Write};
use std::path::PathBuf;

use clap::Args;
use mio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use mio::{Events, Interest, Poll, Registry, Token, event::Source};
use todana_bench::Dialect;

use crate::Result;

mod completion;

const LISTENER: Token = Token(usize::MAX);
const READ_BUFFER_BYTES: usize = 128 << 10;
/// Canned replies in a slab, for one write.
const SLAB_REPLIES: usize = 64;

#[derive(Args)]
pub(crate) struct FloorArgs {
    /// Port on 127.0.0.1
    #[arg(long, default_value_t = 0)]
    pub(crate) port: u16,
    /// Path of a Unix socket, instead of the port
    #[arg(long)]
    pub(crate) unix: Option<PathBuf>,
    /// Language of the requests
    #[arg(long, default_value_t = Dialect::Text)]
    pub(crate) dialect: Dialect,
    /// Keys in a get
    #[arg(long, default_value_t = 1)]
    pub(crate) keys_per_get: usize,
    /// Bytes of a key
    #[arg(long, default_value_t = 26)]
    pub(crate) key_size: usize,
    /// Bytes of a value
    #[arg(long, default_value_t = 64)]
    pub(crate) value_size: usize,
    /// By io_uring instead of epoll
    #[arg(long)]
    pub(crate) completion: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Get,
    Set,
    /// What ends a batch of quiet requests.
    End,
}

/// A kind of request: its length, and its reply as often as fits the slab.
struct Canned {
    request_len: usize,
    reply_len: usize,
    slab: Vec<u8>,
}

impl Canned {
    fn new(request_len: usize, reply: &[u8]) -> Self {
        Self { request_len, reply_len: reply.len(), slab: reply.repeat(SLAB_REPLIES) }
    }
}

/// Requests and replies of one shape.
struct Shape {
    binary: bool,
    get: Canned,
    set: Canned,
    end: Canned,
}

impl Shape {
    fn new(args: &FloorArgs) -> Self {
        let (key, value) = (args.key_size, args.value_size);
        let digits = value.to_string().len();
        let data = "x".repeat(value);
        let text = |request: usize, reply: String| Canned::new(request, reply.as_bytes());
        let none = || Canned::new(usize::MAX, b"");
        let binary = matches!(args.dialect, Dialect::Binary | Dialect::BinaryQuiet);
        let (get, set, end) = match args.dialect {
            Dialect::Text => {
                let block = format!("VALUE {} 0 {value}\r\n{data}\r\n", "k".repeat(key));
                (
                    text(
                        3 + args.keys_per_get * (1 + key) + 2,
                        block.repeat(args.keys_per_get) + "END\r\n",
                    ),
                    text(4 + key + 5 + digits + 2 + value + 2, "STORED\r\n".to_owned()),
                    none(),
                )
            }
            Dialect::Meta => (
                text(3 + key + 4, format!("VA {value}\r\n{data}\r\n")),
                text(3 + key + 1 + digits + 2 + value + 2, "HD\r\n".to_owned()),
                none(),
            ),
            Dialect::MetaQuiet => (
                text(3 + key + 6, format!("VA {value}\r\n{data}\r\n")),
                text(3 + key + 1 + digits + 4 + value + 2, String::new()),
                text(4, "MN\r\n".to_owned()),
            ),
            Dialect::Resp => resp(args),
            Dialect::Binary | Dialect::BinaryQuiet => {
                let quiet = args.dialect == Dialect::BinaryQuiet;
                let echoed = if quiet { key } else { 0 };
                let opcode = if quiet { 0x0d } else { 0x00 };
                (
                    Canned::new(24 + key, &binary_reply(opcode, 4, 4 + echoed + value)),
                    Canned::new(24 + 8 + key + value, &binary_reply(0x01, 0, 0)),
                    Canned::new(24, &binary_reply(0x0a, 0, 0)),
                )
            }
        };
        Self { binary, get, set, end }
    }

    fn kind(&self, first: u8, second: u8) -> Option<Kind> {
        if self.binary {
            return match second {
                0x00 | 0x0d => Some(Kind::Get),
                0x01 => Some(Kind::Set),
                0x0a => Some(Kind::End),
                _ => None,
            };
        }
        match (first, second) {
            (b'g', _) | (b'm', b'g') => Some(Kind::Get),
            // RESP counts its words: a set has three, no get of the rows begins its count like that.
            (b's', _) | (b'm', b's') | (b'*', b'3') => Some(Kind::Set),
            (b'*', _) => Some(Kind::Get),
            (b'm', b'n') => Some(Kind::End),
            _ => None,
        }
    }

    fn canned(&self, kind: Kind) -> &Canned {
        match kind {
            Kind::Get => &self.get,
            Kind::Set => &self.set,
            Kind::End => &self.end,
        }
    }
}

/// Get (or multi-get), set and end in RESP.
fn resp(args: &FloorArgs) -> (Canned, Canned, Canned) {
    let word = |size: usize| format!("${size}\r\n{}\r\n", "x".repeat(size));
    let keys = args.keys_per_get;
    let command = if keys == 1 { "GET" } else { "MGET" };
    let get = format!("*{}\r\n", 1 + keys).len()
        + word(command.len()).len()
        + keys * word(args.key_size).len();
    let set =
        "*3\r\n".len() + word(3).len() + word(args.key_size).len() + word(args.value_size).len();
    let head = if keys == 1 { String::new() } else { format!("*{keys}\r\n") };
    let found = head + &word(args.value_size).repeat(keys);
    (Canned::new(get, found.as_bytes()), Canned::new(set, b"+OK\r\n"), Canned::new(usize::MAX, b""))
}

fn binary_reply(opcode: u8, extras: u8, body: usize) -> Vec<u8> {
    let mut reply = vec![0x81, opcode, 0, 0, extras, 0, 0, 0];
    reply.extend_from_slice(&u32::try_from(body).unwrap_or(u32::MAX).to_be_bytes());
    reply.resize(24 + body, 0);
    reply
}

trait Stream: Read + Write + Source {}
impl Stream for TcpStream {}
impl Stream for UnixStream {}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    fn accept(&self) -> io::Result<Box<dyn Stream>> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept()?;
                stream.set_nodelay(true)?;
                Ok(Box::new(stream))
            }
            Self::Unix(listener) => Ok(Box::new(listener.accept()?.0)),
        }
    }
}

/// Where a connection is between requests.
#[derive(Default)]
pub(crate) struct Progress {
    /// The request that was begun and the bytes of it still to come.
    begun: Option<(Kind, usize)>,
    /// Its first byte, when it came alone.
    first: Option<u8>,
}

struct Connection {
    stream: Box<dyn Stream>,
    progress: Progress,
    unsent: Vec<u8>,
}

/// Serves until killed.
pub(crate) fn serve(args: &FloorArgs) -> Result<()> {
    let shape = Shape::new(args);
    if args.completion {
        return completion::serve(args, &shape);
    }
    let mut poll = Poll::new()?;
    let mut listener = match &args.unix {
        Some(path) => Listener::Unix(UnixListener::bind(path)?),
        None => Listener::Tcp(TcpListener::bind(([127, 0, 0, 1], args.port).into())?),
    };
    match &mut listener {
        Listener::Tcp(it) => poll.registry().register(it, LISTENER, Interest::READABLE)?,
        Listener::Unix(it) => poll.registry().register(it, LISTENER, Interest::READABLE)?,
    }
    let mut events = Events::with_capacity(1024);
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut buffer = vec![0; READ_BUFFER_BYTES];
    let mut out = Vec::new();
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in &events {
            if event.token() == LISTENER {
                while let Ok(mut stream) = listener.accept() {
                    let token = Token(connections.len());
                    poll.registry().register(&mut *stream, token, Interest::READABLE)?;
                    connections.push(Some(Connection {
                        stream,
                        progress: Progress::default(),
                        unsent: Vec::new(),
                    }));
                }
                continue;
            }
            let Token(index) = event.token();
            let Some(slot) = connections.get_mut(index) else { continue };
            let Some(connection) = slot else { continue };
            let served =
                connection.ready(event.token(), &shape, &mut buffer, &mut out, poll.registry());
            if served.is_err() {
                *slot = None;
            }
        }
    }
}

impl Connection {
    /// One read, one write, and again only while the buffer was filled.
    fn ready(
        &mut self,
        token: Token,
        shape: &Shape,
        buffer: &mut [u8],
        out: &mut Vec<u8>,
        registry: &Registry,
    ) -> io::Result<()> {
        if !self.unsent.is_empty() {
            let unsent = std::mem::take(&mut self.unsent);
            if !self.write(&unsent)? {
                return Ok(());
            }
            registry.reregister(&mut *self.stream, token, Interest::READABLE)?;
        }
        loop {
            let came = match self.stream.read(buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(came) => came,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let replies = self.progress.answer(&buffer[..came], shape, out)?;
            if !replies.is_empty() && !self.write(replies)? {
                let both = Interest::READABLE | Interest::WRITABLE;
                return registry.reregister(&mut *self.stream, token, both);
            }
            if came < buffer.len() {
                return Ok(());
            }
        }
    }

    /// False when the socket did not take all; the rest is kept.
    fn write(&mut self, bytes: &[u8]) -> io::Result<bool> {
        let sent = match self.stream.write(bytes) {
            Ok(sent) => sent,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        self.unsent.extend_from_slice(&bytes[sent..]);
        Ok(sent == bytes.len())
    }
}

impl Progress {
    /// The replies to what ends within `bytes`.
    fn answer<'o>(
        &mut self,
        bytes: &[u8],
        shape: &'o Shape,
        out: &'o mut Vec<u8>,
    ) -> io::Result<&'o [u8]> {
        // Equal replies are only counted until another kind or the end of the slab comes.
        let mut run: Option<(Kind, usize)> = None;
        out.clear();
        let mut at = 0;
        loop {
            let (kind, left) = match self.begun.take() {
                Some(begun) => begun,
                None => {
                    let (first, second, unseen) = match (self.first.take(), &bytes[at..]) {
                        (None, [first, second, ..]) => (*first, *second, 0),
                        (Some(first), [second, ..]) => (first, *second, 1),
                        (None, [first]) => {
                            self.first = Some(*first);
                            break;
                        }
                        (first, []) => {
                            self.first = first;
                            break;
                        }
                    };
                    let kind = shape.kind(first, second).ok_or(io::ErrorKind::InvalidData)?;
                    (kind, shape.canned(kind).request_len - unseen)
                }
            };
            if left > bytes.len() - at {
                self.begun = Some((kind, left - (bytes.len() - at)));
                break;
            }
            at += left;
            run = match run {
                Some((same, count)) if same == kind && count < SLAB_REPLIES => {
                    Some((same, count + 1))
                }
                None => Some((kind, 1)),
                Some((other, count)) => {
                    out.extend_from_slice(replies(shape, other, count));
                    Some((kind, 1))
                }
            };
        }
        let Some((kind, count)) = run else { return Ok(&[]) };
        let last = replies(shape, kind, count);
        if out.is_empty() {
            return Ok(last);
        }
        out.extend_from_slice(last);
        Ok(out)
    }
}

fn replies(shape: &Shape, kind: Kind, count: usize) -> &[u8] {
    let canned = shape.canned(kind);
    &canned.slab[..canned.reply_len * count]
}
