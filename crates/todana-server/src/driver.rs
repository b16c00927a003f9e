//! The way to the kernel: what a loop waits for, and how bytes come and go.
//!
//! Two of them: *readiness* (epoll, kqueue), where the kernel tells who could be read and each read and
//! write is a call of its own, and *completion* (io_uring), where bytes have come when it tells, and what is
//! sent in a cycle leaves with the one call that waits for the next. The loops above see no difference: they
//! read what has come until nothing has, and write until no more is taken.

#[cfg(target_os = "linux")]
mod completion;
mod readiness;

use crate::listen::{Listener, Stream};
use crate::server::ServerError;
use std::io;
use std::time::Duration;

#[cfg(target_os = "linux")]
use completion::Completion;
use readiness::Readiness;

/// Which way a server takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Io {
    /// By completion where the system allows it, else by readiness.
    #[default]
    Auto,
    /// By readiness.
    Readiness,
    /// By completion, or the server does not start.
    Completion,
}

impl Io {
    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Io::Auto => "auto",
            Io::Readiness => "epoll",
            Io::Completion => "io_uring",
        }
    }

    /// Decides for one of the two; says so when it is not the one that was hoped for.
    ///
    /// # Errors
    /// When completion was asked for and cannot be had.
    pub(crate) fn decide(self) -> Result<Io, ServerError> {
        if self == Io::Readiness {
            return Ok(self);
        }
        match (self, try_completion()) {
            (_, Ok(())) => Ok(Io::Completion),
            (Io::Completion, Err(reason)) => Err(ServerError::System {
                what: "use io_uring (io = \"epoll\" does without)",
                reason,
            }),
            (_, Err(reason)) => {
                tracing::info!(%reason, "io_uring cannot be used here: epoll takes its place");
                Ok(Io::Readiness)
            }
        }
    }
}

#[cfg(target_os = "linux")]
fn try_completion() -> io::Result<()> {
    // Its own thread, which the end of the trial's ring may interrupt.
    let tried = std::thread::spawn(todana_ring::Ring::try_out).join();
    tried.unwrap_or_else(|_| Err(io::Error::other("the trial of a ring failed")))
}

#[cfg(not(target_os = "linux"))]
fn try_completion() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// What has happened to whom.
pub(crate) enum Event {
    /// Somebody has woken the loop.
    Woken,
    /// There may be something to read; the client's end may be among it.
    Readable { key: usize, end_is_near: bool },
    /// There may be room to write.
    Writable(usize),
    /// Bytes that were taken could not be sent; `Writable` follows.
    Unsent(usize, Vec<u8>),
    /// Its client takes no bytes any more.
    Broken(usize),
    /// A listener has a connection, or says why not.
    Accepted(usize, io::Result<Stream>),
}

/// See the module.
pub(crate) enum Driver {
    Readiness(Readiness),
    #[cfg(target_os = "linux")]
    Completion(Box<Completion>),
}

/// A socket that a driver serves.
pub(crate) enum Link {
    Readiness(Stream),
    #[cfg(target_os = "linux")]
    Completion(todana_ring::SocketId),
}

/// Wakes a loop from another thread.
pub(crate) enum Waker {
    Readiness(mio::Waker),
    #[cfg(target_os = "linux")]
    Completion(todana_ring::Waker),
}

impl Waker {
    pub(crate) fn wake(&self) -> io::Result<()> {
        match self {
            Waker::Readiness(waker) => waker.wake(),
            #[cfg(target_os = "linux")]
            Waker::Completion(waker) => waker.wake(),
        }
    }
}

impl Driver {
    /// A driver of the kind that was decided for, and who wakes it.
    pub(crate) fn new(io: Io) -> io::Result<(Driver, Waker)> {
        match io {
            #[cfg(target_os = "linux")]
            Io::Completion => {
                let (driver, waker) = Completion::new()?;
                Ok((Driver::Completion(Box::new(driver)), Waker::Completion(waker)))
            }
            _ => {
                let (driver, waker) = Readiness::new()?;
                Ok((Driver::Readiness(driver), Waker::Readiness(waker)))
            }
        }
    }

    /// Waits for something to happen, at most so long, and adds it to `events`.
    pub(crate) fn wait(&mut self, at_most: Duration, events: &mut Vec<Event>) -> io::Result<()> {
        match self {
            Driver::Readiness(driver) => driver.wait(at_most, events),
            #[cfg(target_os = "linux")]
            Driver::Completion(driver) => driver.wait(at_most, events),
        }
    }

    /// Takes a connection; events name it by `key`, which is below `usize::MAX`.
    pub(crate) fn add(&mut self, stream: Stream, key: usize) -> io::Result<Link> {
        match self {
            Driver::Readiness(driver) => driver.add(stream, key),
            #[cfg(target_os = "linux")]
            Driver::Completion(driver) => Ok(driver.add(stream, key)),
        }
    }

    /// Tells when a socket that somebody else reads has something.
    pub(crate) fn watch<S: mio::event::Source + std::os::fd::AsFd>(
        &mut self,
        socket: &mut S,
        key: usize,
    ) -> io::Result<()> {
        match self {
            Driver::Readiness(driver) => driver.watch(socket, key),
            #[cfg(target_os = "linux")]
            Driver::Completion(driver) => driver.watch(socket, key),
        }
    }

    /// Tells of a listener's connections: `Accepted` of each, or `Readable` when it may be asked for some.
    pub(crate) fn listen(&mut self, listener: &mut Listener, key: usize) -> io::Result<()> {
        match self {
            Driver::Readiness(driver) => driver.watch(listener, key),
            #[cfg(target_os = "linux")]
            Driver::Completion(driver) => driver.listen(listener, key),
        }
    }

    /// Has listeners wait with new connections, or go on, where that is the driver's to say.
    pub(crate) fn pause_listeners(&mut self, paused: bool) {
        match self {
            Driver::Readiness(_) => {}
            #[cfg(target_os = "linux")]
            Driver::Completion(driver) => driver.pause_listeners(paused),
        }
    }

    /// Lets go of listeners, which close as soon as their owner lets go of them, too.
    pub(crate) fn stop_listening(&mut self) {
        match self {
            Driver::Readiness(_) => {}
            #[cfg(target_os = "linux")]
            Driver::Completion(driver) => driver.stop_listening(),
        }
    }

    /// Reads what has come, as a socket that does not block does.
    #[inline]
    pub(crate) fn read(&mut self, link: &mut Link, buffer: &mut [u8]) -> io::Result<usize> {
        match (self, link) {
            (_, Link::Readiness(stream)) => io::Read::read(stream, buffer),
            #[cfg(target_os = "linux")]
            (Driver::Completion(driver), Link::Completion(id)) => driver.ring.read(*id, buffer),
            #[cfg(target_os = "linux")]
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Whether there may be more after a read that filled its buffer or did not.
    #[inline]
    pub(crate) fn has_more(&self, link: &Link, filled: bool) -> bool {
        match (self, link) {
            // A short read has emptied the socket: the next edge tells of more.
            (_, Link::Readiness(_)) => filled,
            #[cfg(target_os = "linux")]
            (Driver::Completion(driver), Link::Completion(id)) => driver.ring.has_input(*id),
            #[cfg(target_os = "linux")]
            _ => false,
        }
    }

    /// Writes as much as is taken, as a socket that does not block does.
    #[inline]
    pub(crate) fn write(&mut self, link: &mut Link, bytes: &[u8]) -> io::Result<usize> {
        match (self, link) {
            (_, Link::Readiness(stream)) => io::Write::write(stream, bytes),
            #[cfg(target_os = "linux")]
            (Driver::Completion(driver), Link::Completion(id)) => {
                match driver.ring.send(*id, bytes) {
                    0 => Err(io::ErrorKind::WouldBlock.into()),
                    taken => Ok(taken),
                }
            }
            #[cfg(target_os = "linux")]
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Whether bytes that were taken may still come back.
    #[inline]
    pub(crate) fn is_sending(&self, link: &Link) -> bool {
        match (self, link) {
            #[cfg(target_os = "linux")]
            (Driver::Completion(driver), Link::Completion(id)) => driver.ring.is_sending(*id),
            _ => false,
        }
    }

    /// Closes a connection.
    pub(crate) fn close(&mut self, link: Link) {
        match (self, link) {
            (Driver::Readiness(driver), Link::Readiness(stream)) => driver.close(stream),
            #[cfg(target_os = "linux")]
            (Driver::Completion(driver), Link::Completion(id)) => driver.ring.close(id),
            #[cfg(target_os = "linux")]
            _ => {}
        }
    }
}
