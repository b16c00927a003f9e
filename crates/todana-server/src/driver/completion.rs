//! By completion: io_uring.

use super::{Event, Link};
use crate::listen::{Listener, Stream};
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;
use todana_ring::{Ring, SocketId, Waker};

pub(crate) struct Completion {
    pub(super) ring: Ring,
    listeners: Vec<SocketId>,
    /// Keys of the listeners that are Unix sockets.
    unix: Vec<usize>,
    /// Empty between waits; kept for its memory.
    happened: Vec<todana_ring::Event>,
}

impl Completion {
    pub(super) fn new() -> io::Result<(Completion, Waker)> {
        let ring = Ring::new()?;
        let waker = ring.waker();
        let (listeners, unix, happened) = (Vec::new(), Vec::new(), Vec::new());
        Ok((Completion { ring, listeners, unix, happened }, waker))
    }

    pub(super) fn wait(&mut self, at_most: Duration, events: &mut Vec<Event>) -> io::Result<()> {
        self.ring.enter(at_most, &mut self.happened)?;
        let unix = &self.unix;
        events.extend(self.happened.drain(..).map(|event| match event {
            todana_ring::Event::Woken => Event::Woken,
            todana_ring::Event::Readable(key) => Event::Readable { key, end_is_near: false },
            todana_ring::Event::Writable(key) => Event::Writable(key),
            todana_ring::Event::Unsent(key, bytes) => Event::Unsent(key, bytes),
            todana_ring::Event::Broken(key) => Event::Broken(key),
            todana_ring::Event::Accepted(key, socket) => {
                Event::Accepted(key, Ok(Stream::from_socket(socket, unix.contains(&key))))
            }
            todana_ring::Event::NotAccepted(key, error) => Event::Accepted(key, Err(error)),
        }));
        Ok(())
    }

    pub(super) fn add(&mut self, stream: Stream, key: usize) -> Link {
        Link::Completion(self.ring.add(stream.into(), key))
    }

    pub(super) fn watch(&mut self, socket: &impl AsFd, key: usize) -> io::Result<()> {
        self.ring.watch(socket.as_fd().try_clone_to_owned()?, key);
        Ok(())
    }

    pub(super) fn listen(&mut self, listener: &Listener, key: usize) -> io::Result<()> {
        let (socket, unix) = match listener {
            Listener::Tcp(tcp) => (tcp.as_fd(), false),
            Listener::Unix(listener, _) => (listener.as_fd(), true),
        };
        self.listeners.push(self.ring.listen(socket.try_clone_to_owned()?, key));
        if unix {
            self.unix.push(key);
        }
        Ok(())
    }

    pub(super) fn stop_listening(&mut self) {
        self.listeners.drain(..).for_each(|listener| self.ring.close(listener));
        // The kernel lets go of them in the call that it is told in; what came meanwhile is dropped.
        if let Err(error) = self.ring.enter(Duration::from_millis(1), &mut self.happened) {
            tracing::debug!(%error, "listeners are closed with their ring");
        }
        self.happened.clear();
    }

    pub(super) fn pause_listeners(&mut self, paused: bool) {
        for &listener in &self.listeners {
            match paused {
                true => self.ring.pause(listener),
                false => self.ring.resume(listener),
            }
        }
    }
}
