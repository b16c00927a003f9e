//! Who looks at which moment: sequences that readers have registered.
//!
//! *Why nobody misses anybody.* A reader first says that it may need everything (0), then, after a fence, reads
//! how far changes are applied, and says that. A writer that is about to let an old leaf go has applied all
//! that it has up to the new leaf's sequence, then, after a fence, reads what the oldest reader needs. Either
//! it sees the 0, or the reader sees the writer's sequence and does not need the old leaf.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering, fence};

/// See the module.
#[derive(Debug)]
pub(crate) struct Snapshots {
    /// Readers at each sequence.
    registered: Mutex<BTreeMap<u64, usize>>,
    /// The least of them.
    oldest: AtomicU64,
}

impl Snapshots {
    pub(crate) fn new() -> Snapshots {
        Snapshots { registered: Mutex::default(), oldest: AtomicU64::new(u64::MAX) }
    }

    /// Registers a reader of the present moment; gives its sequence.
    pub(crate) fn register(&self, applied: &AtomicU64) -> u64 {
        let mut registered = self.registered.lock();
        self.oldest.store(0, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let sequence = applied.load(Ordering::Acquire);
        *registered.entry(sequence).or_default() += 1;
        self.publish(&registered);
        sequence
    }

    /// Ends a reader.
    pub(crate) fn release(&self, sequence: u64) {
        let mut registered = self.registered.lock();
        if let Some(count) = registered.get_mut(&sequence) {
            *count -= 1;
            if *count == 0 {
                registered.remove(&sequence);
            }
        }
        self.publish(&registered);
    }

    fn publish(&self, registered: &BTreeMap<u64, usize>) {
        let oldest = registered.first_key_value().map_or(u64::MAX, |(sequence, _)| *sequence);
        self.oldest.store(oldest, Ordering::Release);
    }

    /// The least sequence that a reader may need; the greatest number when there is none.
    pub(crate) fn oldest(&self) -> u64 {
        fence(Ordering::SeqCst);
        self.oldest.load(Ordering::Acquire)
    }
}
