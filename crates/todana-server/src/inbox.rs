//! What other threads have for a worker.

use crate::context::Peer;
use crate::driver::Waker;
use crate::listen::Stream;
use parking_lot::Mutex;
use std::sync::Arc;
use todana_engine::{Listener, Token};
use todana_protocol::memcached::Protocol;
use todana_record::PartitionId;

/// A connection that was just accepted.
pub(crate) struct Arrival {
    pub(crate) stream: Stream,
    pub(crate) protocol: Protocol,
    pub(crate) peer: Peer,
    /// What the listener is called.
    pub(crate) listener: Arc<str>,
}

pub(crate) enum Message {
    Arrival(Arrival),
    /// Lines wait for the watcher at this number.
    Watched(usize),
    /// A watermark has advanced.
    Advanced,
    /// A token of the engine has completed.
    Completed(Token),
    /// The server is to stop.
    Stop,
}

/// Messages for a worker, who is woken by the first.
pub(crate) struct Inbox {
    messages: Mutex<Vec<Message>>,
    waker: Waker,
}

impl Inbox {
    pub(crate) fn new(waker: Waker) -> Inbox {
        Inbox { messages: Mutex::default(), waker }
    }

    pub(crate) fn push(&self, message: Message) {
        let mut messages = self.messages.lock();
        let wakes = messages.is_empty();
        messages.push(message);
        drop(messages);
        if wakes && let Err(error) = self.waker.wake() {
            tracing::error!(%error, "cannot wake a worker");
        }
    }

    /// Hands a connection over.
    pub(crate) fn hand_over(&self, arrival: Arrival) {
        self.push(Message::Arrival(arrival));
    }

    /// Takes all messages, oldest first.
    pub(crate) fn take(&self) -> Vec<Message> {
        std::mem::take(&mut *self.messages.lock())
    }
}

impl Listener for Inbox {
    fn advanced(&self, _: PartitionId) {
        self.push(Message::Advanced);
    }

    fn completed(&self, token: Token) {
        self.push(Message::Completed(token));
    }
}
