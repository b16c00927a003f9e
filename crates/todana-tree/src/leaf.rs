//! A leaf: records in order as they were at a moment, and the changes since.

use crate::block::Block;
use crate::child::Child;
use crate::delta::{Change, Delta, Seat};
use crate::stored::Stored;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that a block has at most when it is made, unless a single record is longer.
pub(crate) const LEAF_LEN: usize = 4 * 1024;

/// See the module.
#[derive(Debug)]
pub(crate) struct Leaf {
    pub(crate) block: Block,
    /// The block has every change of its keys up to this sequence.
    pub(crate) made: u64,
    /// The leaf that this one replaced, as long as a snapshot may need it.
    pub(crate) before: AtomicU64,
    delta: OnceLock<Box<Delta>>,
}

impl Leaf {
    /// A leaf without changes.
    pub(crate) fn new(block: Block, made: u64, before: Child) -> Leaf {
        let before = AtomicU64::new(before.word());
        Leaf { block, made, before, delta: OnceLock::new() }
    }

    /// The changes since it was made, if there are any.
    #[inline]
    pub(crate) fn delta(&self) -> Option<&Delta> {
        self.delta.get().map(|delta| &**delta)
    }

    /// A place for changes, of which one has at most `len` bytes.
    pub(crate) fn delta_for(&self, len: usize) -> &Delta {
        const SHARE: usize = 24;
        self.delta.get_or_init(|| {
            let record_len = self.block.len() / self.block.count().max(1);
            let likely = SHARE * len.max(record_len + 20);
            Box::new(Delta::with_capacity(likely.min(2 * LEAF_LEN).max(len)))
        })
    }

    /// The leaf that this one replaced, if it is kept.
    pub(crate) fn before(&self) -> Child {
        Child::of(self.before.load(Ordering::Acquire))
    }

    /// The record at a place of the block.
    #[inline]
    pub(crate) fn at(&self, place: usize) -> Stored<'_> {
        let entry = self.block.entry(place);
        Stored { meta: entry.meta(), value: entry.value, sequence: self.made }
    }

    /// Brings near what a look-up of a key compares next.
    #[inline]
    pub(crate) fn prefetch(&self, key: &[u8]) {
        if let Some(delta) = self.delta() {
            delta.prefetch();
        }
        self.block.prefetch_heads(key);
    }

    /// A key's record as of a sequence.
    #[inline]
    pub(crate) fn find(&self, key: &[u8], tag: u8, sequence: u64) -> Option<Stored<'_>> {
        match self.delta().and_then(|delta| delta.find(key, tag, sequence)) {
            Some(change) => change.record,
            None => self.block.find(key).ok().map(|place| self.at(place)),
        }
    }

    /// A key's latest record, and where the block has it or would have it.
    pub(crate) fn seek(&self, key: &[u8], tag: u8) -> (Seat, Option<Stored<'_>>) {
        let change: Option<Change<'_>> =
            self.delta().and_then(|delta| delta.find(key, tag, u64::MAX));
        match change {
            Some(change) => (change.seat, change.record),
            None => {
                let seat = self.block.find(key);
                (seat, seat.ok().map(|place| self.at(place)))
            }
        }
    }

    /// Bytes that it takes.
    pub(crate) fn len(&self) -> usize {
        size_of::<Leaf>() + self.block.len() + self.delta_len()
    }

    fn delta_len(&self) -> usize {
        self.delta().map_or(0, |delta| size_of::<Delta>() + delta.capacity())
    }
}
