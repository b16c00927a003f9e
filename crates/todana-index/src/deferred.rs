//! Entries that are seen before they stand in their tables.
//!
//! The line of a table where a new entry belongs is nowhere near the processor: a put that need not know
//! what was there before does not wait for it. Its entry is put into one line that readers look through
//! first, and settled in its table a few puts later, when the memory for that has come.
//!
//! Invariants: an entry stands in its table before it leaves the line; no two entries of the line have the
//! same tag; they are counted, after they came and when they have left. So whoever looks through the line, in any order, and then through the table, finds a state
//! of the key that it had meanwhile.

use super::{Check, Entry, IndexWriter, LINE_LEN, Line, Pointer, look_through};
use std::sync::atomic::{AtomicUsize, Ordering};

/// What readers see, in cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(super) struct Deferred {
    line: Line,
    /// Entries in the line.
    count: AtomicUsize,
}

impl Deferred {
    /// What the check says of an entry of a hash, unless it is none of them.
    #[inline]
    pub(super) fn search<P: Pointer, T>(
        &self,
        q: u64,
        check: impl FnMut(P) -> Check<T>,
    ) -> Option<Check<T>> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        // What has left the line meanwhile stands in its table.
        look_through(&self.line, q, check).map(|(_, checked)| checked)
    }
}

/// An entry that is to be settled.
#[derive(Debug, Clone, Copy)]
pub struct Waiting<P> {
    /// Of its key.
    pub hash: u64,
    /// Where its record lies.
    pub pointer: P,
    /// Bytes of its record.
    pub len: u32,
    /// Its slot of the line.
    slot: u8,
}

/// The writer's side of the line.
#[derive(Debug)]
pub(super) struct Queue<P> {
    waiting: [Option<Waiting<P>>; LINE_LEN],
    /// Tags of what waits, or [`NO_TAG`].
    tags: [u32; LINE_LEN],
    /// The slot that was taken last.
    last: u8,
}

const NO_TAG: u32 = 0;

impl<P> Queue<P> {
    pub(super) fn new() -> Queue<P> {
        Queue { waiting: [const { None }; LINE_LEN], tags: [NO_TAG; LINE_LEN], last: 0 }
    }
}

impl<P: Pointer> IndexWriter<P> {
    /// Entries that are to be settled.
    #[inline]
    pub fn deferred(&self) -> usize {
        self.index.deferred.count.load(Ordering::Relaxed)
    }

    fn set_deferred(&self, count: usize) {
        self.index.deferred.count.store(count, Ordering::Release);
    }

    #[inline]
    fn queue_tag(&self, hash: u64) -> u32 {
        // One above the tag: none of them is no tag.
        (self.index.q(hash) & ((1 << Entry::<P>::TAG_BITS) - 1)) as u32 + 1
    }

    /// Whether an entry with the tag of a hash is to be settled: nothing can be deferred then.
    #[inline]
    pub fn is_deferred(&self, hash: u64) -> bool {
        let tag = self.queue_tag(hash);
        self.queue.tags.iter().fold(false, |is_there, its| is_there | (*its == tag))
    }

    /// The entry that was deferred `back` entries ago, if it is not settled.
    #[inline]
    pub fn deferred_before(&self, back: u8) -> Option<Waiting<P>> {
        let slot = usize::from(self.queue.last.wrapping_sub(back)) % LINE_LEN;
        self.queue.waiting[slot]
    }

    /// Shows an entry to readers, to be settled later. The slot of the one `LINE_LEN` before has to be
    /// free, and no other entry may have its tag.
    #[inline]
    pub fn defer(&mut self, hash: u64, pointer: P, len: u32) {
        let slot = self.queue.last.wrapping_add(1) % LINE_LEN as u8;
        let entry = Entry::new(self.index.q(hash), pointer);
        self.index.deferred.line[usize::from(slot)].store(entry.0, Ordering::Release);
        self.set_deferred(self.deferred() + 1);
        self.queue.tags[usize::from(slot)] = self.queue_tag(hash);
        self.queue.waiting[usize::from(slot)] = Some(Waiting { hash, pointer, len, slot });
        self.queue.last = slot;
    }

    /// Forgets an entry, which stands in its table now.
    #[inline]
    pub fn settled(&mut self, waiting: &Waiting<P>) {
        let slot = usize::from(waiting.slot) % LINE_LEN;
        self.index.deferred.line[slot].store(0, Ordering::Release);
        self.set_deferred(self.deferred() - 1);
        self.queue.tags[slot] = NO_TAG;
        self.queue.waiting[slot] = None;
    }
}
