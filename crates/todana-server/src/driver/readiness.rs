//! By readiness: epoll, or what the system has in its place.

use super::{Event, Link};
use crate::listen::Stream;
use mio::event::Source;
use mio::{Events, Interest, Poll, Token, Waker};
use std::io;
use std::time::Duration;

const WAKER: Token = Token(usize::MAX);
const EVENTS_PER_WAIT: usize = 1_024;

pub(crate) struct Readiness {
    poll: Poll,
    events: Events,
}

impl Readiness {
    pub(super) fn new() -> io::Result<(Readiness, Waker)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        Ok((Readiness { poll, events: Events::with_capacity(EVENTS_PER_WAIT) }, waker))
    }

    pub(super) fn wait(&mut self, at_most: Duration, events: &mut Vec<Event>) -> io::Result<()> {
        match self.poll.poll(&mut self.events, Some(at_most)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            outcome => outcome?,
        }
        for event in &self.events {
            if event.token() == WAKER {
                events.push(Event::Woken);
                continue;
            }
            let Token(key) = event.token();
            let end_is_near = event.is_read_closed() || event.is_error();
            // Writable first: what is sent before a turn need not be kept behind its answers.
            if event.is_writable() {
                events.push(Event::Writable(key));
            }
            if event.is_readable() || end_is_near {
                events.push(Event::Readable { key, end_is_near });
            }
        }
        Ok(())
    }

    pub(super) fn add(&mut self, mut stream: Stream, key: usize) -> io::Result<Link> {
        let interests = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(key), interests)?;
        Ok(Link::Readiness(stream))
    }

    pub(super) fn watch(&mut self, socket: &mut impl Source, key: usize) -> io::Result<()> {
        self.poll.registry().register(socket, Token(key), Interest::READABLE)
    }

    pub(super) fn close(&mut self, mut stream: Stream) {
        // Closing would do, but for a descriptor that was duplicated elsewhere.
        let _ = self.poll.registry().deregister(&mut stream);
    }
}
