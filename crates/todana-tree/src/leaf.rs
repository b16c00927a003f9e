//! A leaf: records in order as they were at a moment, and the changes since.

use crate::block::Block;
use crate::child::Child;
use crate::delta::{Change, Delta, Seat};
use crate::page::Place;
use crate::stored::Stored;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

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
    /// Its page on disk, if it has one, and the sequence up to which that has every change. Changed under the
    /// writer's lock.
    page: AtomicU64,
    paged: AtomicU64,
    /// Whether somebody has looked at it since the last time that it might have been let go of.
    is_used: AtomicBool,
    delta: OnceLock<Box<Delta>>,
}

impl Leaf {
    /// A leaf without changes.
    pub(crate) fn new(block: Block, made: u64, before: Child) -> Leaf {
        let before = AtomicU64::new(before.word());
        Leaf {
            block,
            made,
            before,
            page: AtomicU64::new(Child::None.word()),
            paged: AtomicU64::new(0),
            is_used: AtomicBool::new(true),
            delta: OnceLock::new(),
        }
    }

    /// A leaf as its page has it, made at a sequence.
    pub(crate) fn of_page(block: Block, made: u64, place: Place) -> Leaf {
        let leaf = Leaf::new(block, made, Child::None);
        leaf.set_page(place, made);
        leaf
    }

    /// Says that a page has every change up to a sequence.
    pub(crate) fn set_page(&self, place: Place, sequence: u64) {
        self.paged.store(sequence, Ordering::Relaxed);
        self.page.store(Child::Page(place).word(), Ordering::Release);
    }

    /// Its page, if that has every change up to a sequence.
    pub(crate) fn page_as_of(&self, sequence: u64) -> Option<Place> {
        let Child::Page(place) = Child::of(self.page.load(Ordering::Acquire)) else { return None };
        let paged = self.paged.load(Ordering::Relaxed);
        let is_same = match self.delta() {
            Some(delta) => delta.count_at(sequence) <= delta.count_at(paged),
            None => true,
        };
        is_same.then_some(place)
    }

    /// The sequence up to which its page has every change.
    pub(crate) fn paged(&self) -> u64 {
        self.paged.load(Ordering::Relaxed)
    }

    /// Notes that somebody looks at it. Written only where that says something new.
    #[inline]
    pub(crate) fn is_looked_at(&self) {
        if !self.is_used.load(Ordering::Relaxed) {
            self.is_used.store(true, Ordering::Relaxed);
        }
    }

    /// Whether somebody has looked at it since the last call.
    pub(crate) fn take_used(&self) -> bool {
        self.is_used.swap(false, Ordering::Relaxed)
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
        // What the block needs is on its way while the changes are looked at.
        self.block.prefetch_heads(key);
        match self.delta().and_then(|delta| delta.find(key, tag, sequence)) {
            Some(change) => change.record,
            None => self.block.find(key).ok().map(|place| self.at(place)),
        }
    }

    /// A key's latest record, and where the block has it or would have it.
    pub(crate) fn seek(&self, key: &[u8], tag: u8) -> (Seat, Option<Stored<'_>>) {
        self.block.prefetch_heads(key);
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
