//! One connection: the batch in flight on it, bytes not yet sent, bytes not yet understood.

use std::io;
use std::time::Instant;

use mio::{Interest, Registry, Token};

use crate::error::Error;
use crate::keys::Keys;
use crate::parts::Dialect;
use crate::reply::{Replies, Unexpected};
use crate::request::Batch;
use crate::stream::Stream;

/// What the batch in flight is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flight {
    /// Nothing is in flight.
    Idle,
    /// Requests of the plan, or of the preload.
    Asked,
    /// Sets of what an earlier batch missed.
    Refill,
}

#[derive(Debug)]
pub(crate) struct Connection {
    stream: Stream,
    /// Number in the thread, which is its token, and in the whole run, for errors.
    token: Token,
    number: usize,
    dialect: Dialect,
    /// Bytes that the socket did not take yet.
    unsent: Vec<u8>,
    unsent_at: usize,
    /// Start of a reply whose end has not come.
    tail: Vec<u8>,
    pub(crate) batch: Batch,
    pub(crate) replies: Replies,
    pub(crate) flight: Flight,
    /// From when the batch is measured.
    pub(crate) started: Instant,
    /// Bytes of the batch and of its replies so far.
    pub(crate) bytes_out: u64,
    pub(crate) bytes_in: u64,
    /// Open loop: turns that fell due, and batches that were begun.
    pub(crate) due: u64,
    pub(crate) begun: u64,
}

impl Connection {
    pub(crate) fn new(
        mut stream: Stream,
        token: Token,
        number: usize,
        replies: Replies,
        dialect: Dialect,
        registry: &Registry,
    ) -> io::Result<Self> {
        registry.register(&mut stream, token, Interest::READABLE)?;
        Ok(Self {
            stream,
            token,
            number,
            dialect,
            unsent: Vec::new(),
            unsent_at: 0,
            tail: Vec::new(),
            batch: Batch::default(),
            replies,
            flight: Flight::Idle,
            started: crate::clock::now(),
            bytes_out: 0,
            bytes_in: 0,
            due: 0,
            begun: 0,
        })
    }

    /// Sends `out`, which is what `self.batch` says, and awaits its replies.
    pub(crate) fn send(
        &mut self,
        flight: Flight,
        started: Instant,
        out: &[u8],
        registry: &Registry,
    ) -> Result<(), Error> {
        self.replies.expect(&self.batch);
        self.flight = flight;
        self.started = started;
        self.bytes_out = out.len() as u64;
        self.bytes_in = 0;
        let sent = self.write(out)?;
        if sent < out.len() {
            self.unsent.clear();
            self.unsent.extend_from_slice(&out[sent..]);
            self.unsent_at = 0;
            self.want(Interest::READABLE | Interest::WRITABLE, registry)?;
        }
        Ok(())
    }

    /// The socket takes bytes again.
    pub(crate) fn flush(&mut self, registry: &Registry) -> Result<(), Error> {
        if self.unsent.is_empty() {
            return Ok(());
        }
        let unsent = std::mem::take(&mut self.unsent);
        self.unsent_at += self.write(&unsent[self.unsent_at..])?;
        if self.unsent_at < unsent.len() {
            self.unsent = unsent;
            return Ok(());
        }
        self.want(Interest::READABLE, registry)
    }

    /// Reads once, and again only while the buffer was filled, or when the server's end is among what
    /// there is to read (that is told once, perhaps together with the last bytes); counts what came.
    /// True once the batch is answered.
    pub(crate) fn receive(
        &mut self,
        buffer: &mut [u8],
        keys: &Keys,
        server_ends: bool,
    ) -> Result<bool, Error> {
        loop {
            let kept = self.tail.len();
            buffer[..kept].copy_from_slice(&self.tail);
            let space = buffer.len() - kept;
            let came = match self.stream.read(&mut buffer[kept..]) {
                Ok(0) => {
                    let awaited = self.replies.awaited();
                    return Err(Error::Closed { connection: self.number, awaited });
                }
                Ok(came) => came,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => return Err(self.broken("reading replies", source)),
            };
            self.bytes_in += came as u64;
            let bytes = &buffer[..kept + came];
            let taken =
                self.replies.feed(bytes, &self.batch, keys).map_err(|Unexpected(got)| {
                    let dialect = self.dialect.name();
                    Error::UnexpectedReply { connection: self.number, got, dialect }
                })?;
            self.tail.clear();
            self.tail.extend_from_slice(&bytes[taken..]);
            if came < space && !server_ends {
                break;
            }
        }
        Ok(self.flight != Flight::Idle && self.replies.is_done())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        loop {
            match self.stream.write(bytes) {
                Ok(sent) => return Ok(sent),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(self.broken("sending requests", source)),
            }
        }
    }

    fn want(&mut self, wants: Interest, registry: &Registry) -> Result<(), Error> {
        use mio::event::Source as _;
        self.stream.reregister(registry, self.token, wants).map_err(|source| Error::Poll { source })
    }

    fn broken(&self, doing: &'static str, source: io::Error) -> Error {
        Error::Broken { connection: self.number, doing, source }
    }
}
