//! Replies of a connection, in order.
//!
//! A reply is *ready*, or holds a place in the queue until what it waits for has come: positions that
//! have to be as safe as was promised, a listing that is made piece by piece, an answer from elsewhere.
//! Replies behind it wait for it, since they leave in order. In the common case nothing waits, the
//! queue is empty, and replies go straight to the socket.

use crate::dump::Listing;
use std::collections::VecDeque;
use todana_engine::{Engine, Level};
use todana_record::{PartitionId, Position};

/// Names a reply that somebody else will fill in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotId(u64);

/// What a place in the queue waits for.
enum Slot {
    /// Bytes that may leave once these positions are safe.
    Bytes(Vec<u8>, Vec<(PartitionId, Position)>),
    /// Lines that are made piece by piece.
    Listing(Box<dyn Listing>),
    /// An answer that has not come.
    Empty(SlotId),
}

/// The queue of a connection.
#[derive(Default)]
pub struct Replies {
    slots: VecDeque<Slot>,
    queued_len: usize,
    next_id: u64,
    listings: usize,
    /// The last release ended since there was enough, not since something has to be waited for.
    more: bool,
}

impl Replies {
    /// Whether nothing waits, so that a reply may leave at once.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Bytes that wait.
    pub fn queued_len(&self) -> usize {
        self.queued_len
    }

    /// Whether another release would bring something at once.
    pub(crate) fn has_more(&self) -> bool {
        self.more || matches!(self.slots.front(), Some(Slot::Listing(_)))
    }

    /// Whether a listing is queued: one at a time is enough for a connection.
    pub(crate) fn has_listing(&self) -> bool {
        self.listings > 0
    }

    /// Queues bytes that may leave once the positions are safe.
    pub(crate) fn push(&mut self, bytes: &[u8], until: &[(PartitionId, Position)]) {
        self.queued_len += bytes.len();
        if let Some(Slot::Bytes(last, positions)) = self.slots.back_mut()
            && positions.as_slice() == until
        {
            last.extend_from_slice(bytes);
            return;
        }
        self.slots.push_back(Slot::Bytes(bytes.to_vec(), until.to_vec()));
    }

    /// Queues a listing.
    pub(crate) fn push_listing(&mut self, listing: Box<dyn Listing>) {
        self.listings += 1;
        self.slots.push_back(Slot::Listing(listing));
    }

    /// Holds a place for an answer from elsewhere.
    pub fn reserve(&mut self) -> SlotId {
        self.next_id += 1;
        self.slots.push_back(Slot::Empty(SlotId(self.next_id)));
        SlotId(self.next_id)
    }

    /// Gives the answer that a place was held for; false when there is no such place (any more).
    pub fn fill(&mut self, id: SlotId, bytes: Vec<u8>) -> bool {
        let slot = self.slots.iter_mut().find(|slot| matches!(slot, Slot::Empty(of) if *of == id));
        let Some(slot) = slot else { return false };
        self.queued_len += bytes.len();
        *slot = Slot::Bytes(bytes, Vec::new());
        true
    }

    /// Moves what may leave to `out`, until that has about `len_max` bytes.
    pub(crate) fn release(
        &mut self,
        engine: &dyn Engine,
        level: Level,
        out: &mut Vec<u8>,
        len_max: usize,
    ) {
        self.more = false;
        loop {
            let Some(first) = self.slots.front_mut() else {
                // An idle connection keeps no memory for its queue.
                self.slots = VecDeque::new();
                return;
            };
            if out.len() >= len_max {
                self.more = true;
                return;
            }
            match first {
                Slot::Bytes(bytes, until) => {
                    until.retain(|(partition, position)| {
                        engine.watermark(*partition, level) < *position
                    });
                    if !until.is_empty() {
                        return;
                    }
                    self.queued_len -= bytes.len();
                    out.append(bytes);
                    self.slots.pop_front();
                }
                Slot::Listing(listing) => {
                    if listing.step(engine, out) {
                        // One slice a turn: others want the worker too.
                        return;
                    }
                    self.listings -= 1;
                    self.slots.pop_front();
                }
                Slot::Empty(_) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use todana_engine::conformance::MapEngine;
    use todana_record::Timestamp;

    struct Count(u32);
    impl Listing for Count {
        fn step(&mut self, _: &dyn Engine, out: &mut Vec<u8>) -> bool {
            out.push(b'.');
            self.0 -= 1;
            self.0 > 0
        }
    }

    fn released(replies: &mut Replies, engine: &dyn Engine) -> Vec<u8> {
        let mut out = Vec::new();
        replies.release(engine, Level::Durable, &mut out, 1_000);
        out
    }

    #[test]
    fn replies_leave_in_order_whatever_they_wait_for() {
        let engine = MapEngine::new();
        let now = engine.clock().advance(1_000);
        let position = engine.flush(None, now).unwrap();
        let mut replies = Replies::default();
        replies.push(b"a", &[(PartitionId(0), position)]);
        replies.push(b"b", &[]);
        let slot = replies.reserve();
        replies.push(b"d", &[]);
        replies.push_listing(Box::new(Count(2)));
        replies.push(b"f", &[]);
        assert_eq!(released(&mut replies, &engine), b"", "a is not durable yet");
        engine.run_job(0, Timestamp::from_ms(1_000));
        assert_eq!(released(&mut replies, &engine), b"ab");
        assert!(replies.fill(slot, b"c".to_vec()) && !replies.fill(slot, b"c".to_vec()));
        assert_eq!(released(&mut replies, &engine), b"cd.");
        assert_eq!(released(&mut replies, &engine), b".f");
        assert!(replies.is_empty() && replies.queued_len() == 0);
        assert_eq!(replies.slots.capacity(), 0, "an idle connection keeps nothing");
    }
}
