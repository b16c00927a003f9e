//! A session with its socket, and the bytes between them.

use crate::context::ConnectionInfo;
use crate::counters::Counters;
use crate::driver::{Driver, Link};
use crate::limits::{OUTPUT_PAUSE_LEN, READ_LEN};
use crate::session::Session;
use std::io::ErrorKind;
use std::sync::Arc;

/// Sent bytes that are left in front of unsent ones before these are moved.
const SENT_KEPT_LEN: usize = 64 * 1024;

/// What the bytes of a connection go through.
pub(crate) struct Wire<'w> {
    pub(crate) driver: &'w mut Driver,
    pub(crate) counters: &'w Counters,
    pub(crate) now_ms: u64,
}

/// A session with its socket.
pub(crate) struct Connection {
    pub(crate) link: Link,
    pub(crate) session: Session,
    /// Input that is no whole request yet.
    pub(crate) pending: Vec<u8>,
    /// Bytes that `pending` has to have before decoding makes sense.
    pub(crate) need: usize,
    /// Output that the socket did not take; the first bytes of it are sent.
    unsent: Vec<u8>,
    sent: usize,
    /// There may be something to read.
    pub(crate) readable: bool,
    /// The system has told that the client's end is among what there is to read. That may come together
    /// with the last bytes, and is told once: a short read does not mean that there is nothing left.
    pub(crate) end_is_near: bool,
    /// The client will send no more.
    pub(crate) ended: bool,
    /// The socket is broken.
    pub(crate) broken: bool,
    /// It stands in the list of those who have their turn next.
    pub(crate) listed: bool,
    /// Its client does not read; counted once for each time.
    paused: bool,
    /// Monotonic milliseconds of the last byte read, and of the last one taken by the socket.
    pub(crate) last_read_ms: u64,
    pub(crate) last_sent_ms: u64,
    pub(crate) info: Arc<ConnectionInfo>,
}

/// What a read brought.
pub(crate) enum ReadOutcome {
    /// So many bytes.
    Bytes(usize),
    /// Nothing for now, or nothing any more.
    Nothing,
}

impl Connection {
    pub(crate) fn new(
        link: Link,
        session: Session,
        info: Arc<ConnectionInfo>,
        now_ms: u64,
    ) -> Connection {
        Connection {
            link,
            session,
            pending: Vec::new(),
            need: 0,
            unsent: Vec::new(),
            sent: 0,
            readable: true,
            end_is_near: false,
            ended: false,
            broken: false,
            listed: false,
            paused: false,
            last_read_ms: now_ms,
            last_sent_ms: now_ms,
            info,
        }
    }

    /// Bytes that the socket has not taken.
    pub(crate) fn unsent_len(&self) -> usize {
        self.unsent.len() - self.sent
    }

    /// Whether requests of it may be carried out now.
    pub(crate) fn takes_input(&self) -> bool {
        self.session.takes_input() && self.unsent_len() < OUTPUT_PAUSE_LEN
    }

    /// Whether a turn could bring anything: input to read or to decode, or a listing to go on with.
    pub(crate) fn wants_turn(&self) -> bool {
        let input = self.readable || (self.pending.len() >= self.need.max(1) && self.need > 0);
        let replies = self.session.replies.has_more() && self.unsent_len() < OUTPUT_PAUSE_LEN;
        (input && self.takes_input()) || replies
    }

    /// Reads once, into `buffer`.
    pub(crate) fn read(&mut self, buffer: &mut [u8], wire: &mut Wire<'_>) -> ReadOutcome {
        wire.counters.reads.add(1);
        loop {
            match wire.driver.read(&mut self.link, buffer) {
                Ok(0) => {
                    self.readable = false;
                    self.ended = true;
                    return ReadOutcome::Nothing;
                }
                Ok(len) => {
                    let more = wire.driver.has_more(&self.link, len == buffer.len());
                    self.readable = more || self.end_is_near;
                    self.last_read_ms = wire.now_ms;
                    wire.counters.bytes_read.add(len as u64);
                    return ReadOutcome::Bytes(len);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.readable = false;
                    self.broken |= error.kind() != ErrorKind::WouldBlock;
                    return ReadOutcome::Nothing;
                }
            }
        }
    }

    /// Reads once, behind what is pending. What a client claims that it will send is made room for only
    /// as it comes.
    pub(crate) fn read_pending(&mut self, wire: &mut Wire<'_>) -> ReadOutcome {
        let mut pending = std::mem::take(&mut self.pending);
        let len = pending.len();
        let missing = self.need.saturating_sub(len);
        let room = missing.clamp(READ_LEN, (len / 2).max(READ_LEN));
        pending.resize(len + room, 0);
        let outcome = self.read(&mut pending[len..], wire);
        pending.truncate(match outcome {
            ReadOutcome::Bytes(read) => len + read,
            ReadOutcome::Nothing => len,
        });
        self.pending = pending;
        outcome
    }

    /// Keeps input that is no whole request yet, which may be all that comes for long: in little more
    /// memory than it needs.
    pub(crate) fn keep_pending(&mut self, mut bytes: Vec<u8>, need: usize) {
        if bytes.len() < bytes.capacity() / 2 {
            bytes.shrink_to_fit();
        }
        self.need = if bytes.is_empty() { 0 } else { need };
        self.pending = bytes;
    }

    /// Whether it has something to do when a watermark advances or a token completes.
    pub(crate) fn waits_for_engine(&self) -> bool {
        !self.session.replies.is_empty() || self.session.waits_for().is_some()
    }

    /// Sends bytes, behind what is unsent; keeps what the socket does not take.
    pub(crate) fn send(&mut self, bytes: &[u8], wire: &mut Wire<'_>) {
        if self.unsent_len() > 0 {
            self.unsent.extend_from_slice(bytes);
            self.note_pause(wire.counters);
            return;
        }
        let taken = self.write(bytes, wire);
        if taken < bytes.len() && !self.broken {
            self.unsent.extend_from_slice(&bytes[taken..]);
            // From here on it is the client's turn to read.
            self.last_sent_ms = wire.now_ms;
            self.note_pause(wire.counters);
        }
    }

    /// Takes bytes back that were sent, but that the socket had no room for; they stand before all others.
    pub(crate) fn take_back(&mut self, mut bytes: Vec<u8>, wire: &Wire<'_>) {
        wire.counters.bytes_written.subtract(bytes.len() as u64);
        bytes.extend_from_slice(&self.unsent[self.sent..]);
        (self.unsent, self.sent) = (bytes, 0);
        self.last_sent_ms = wire.now_ms;
        self.note_pause(wire.counters);
    }

    /// Sends what is unsent.
    pub(crate) fn flush(&mut self, wire: &mut Wire<'_>) {
        if self.unsent_len() == 0 {
            return;
        }
        let unsent = std::mem::take(&mut self.unsent);
        self.sent += self.write(&unsent[self.sent..], wire);
        self.unsent = unsent;
        if self.sent == self.unsent.len() {
            // An idle connection keeps no buffer.
            (self.unsent, self.sent) = (Vec::new(), 0);
        } else if self.sent >= SENT_KEPT_LEN && self.sent >= self.unsent.len() / 2 {
            // A client that always reads a little too slowly must not have all it ever read kept.
            self.unsent.drain(..self.sent);
            self.sent = 0;
        }
        if self.unsent_len() < OUTPUT_PAUSE_LEN {
            self.paused = false;
        }
    }

    fn note_pause(&mut self, counters: &Counters) {
        if self.unsent_len() >= OUTPUT_PAUSE_LEN && !self.paused {
            self.paused = true;
            counters.output_paused.add(1);
        }
    }

    fn write(&mut self, bytes: &[u8], wire: &mut Wire<'_>) -> usize {
        let mut taken = 0;
        while taken < bytes.len() {
            wire.counters.writes.add(1);
            match wire.driver.write(&mut self.link, &bytes[taken..]) {
                Ok(0) => break,
                Ok(len) => {
                    taken += len;
                    self.last_sent_ms = wire.now_ms;
                    wire.counters.bytes_written.add(len as u64);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => {
                    self.broken = true;
                    break;
                }
            }
        }
        taken
    }

    /// Takes the lines that wait for a watcher.
    pub(crate) fn take_watched(&mut self) {
        if let Some(watcher) = &self.session.watcher
            && self.unsent.len() - self.sent < OUTPUT_PAUSE_LEN
        {
            watcher.take(&mut self.unsent);
        }
    }

    /// Whether there is nothing left to do for it.
    pub(crate) fn is_over(&self) -> bool {
        let answered = self.unsent_len() == 0 && self.session.replies.is_empty();
        let finished = self.session.is_closing() || (self.ended && self.session.blocked.is_none());
        self.broken || (finished && answered && !(self.ended && self.wants_turn()))
    }
}
