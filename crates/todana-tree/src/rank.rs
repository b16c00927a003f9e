//! How many records stand before a key, from the counts of the nodes above it.

use crate::child::Child;
use crate::shared::Shared;
use crate::walk::changes;
use std::ops::Bound;
use std::sync::atomic::Ordering;
use todana_engine::Range;
use todana_io::epoch::{Pin, pin};

impl Shared {
    /// Records of a range now.
    pub(crate) fn count(&self, range: &Range<'_>) -> u64 {
        if range.is_empty() {
            return 0;
        }
        let pin = pin();
        let rank = |key: &[u8], is_after| {
            loop {
                if let Some(rank) = self.rank(&pin, key, is_after) {
                    return rank;
                }
            }
        };
        let from = match range.from {
            Bound::Included(key) => rank(key, false),
            Bound::Excluded(key) => rank(key, true),
            Bound::Unbounded => 0,
        };
        let to = match range.to {
            Bound::Included(key) => rank(key, true),
            Bound::Excluded(key) => rank(key, false),
            Bound::Unbounded => self.total(&pin),
        };
        to.saturating_sub(from)
    }

    fn total(&self, pin: &Pin) -> u64 {
        loop {
            let found = match Child::of(self.root.load(Ordering::Acquire)) {
                Child::Inner(number) => {
                    self.inners.get(pin, number).map(|inner| inner.count_before(inner.len()))
                }
                Child::Leaf(number) => self.leaves.get(pin, number).map(|leaf| {
                    let more =
                        changes(leaf, self.applied()).map_or(0, |changes| changes.more(None));
                    (leaf.block.count() as u64).saturating_add_signed(more)
                }),
                Child::None => None,
            };
            if let Some(total) = found {
                return total;
            }
        }
    }

    /// Records before a key, itself included if `is_after`; `None` when a node on the way has gone meanwhile.
    fn rank(&self, pin: &Pin, key: &[u8], is_after: bool) -> Option<u64> {
        let mut count = 0;
        let mut child = Child::of(self.root.load(Ordering::Acquire));
        let leaf = loop {
            match child {
                Child::Inner(number) => {
                    let inner = self.inners.get(pin, number)?;
                    let at = inner.find(key);
                    count += inner.count_before(at);
                    child = inner.child(at);
                }
                Child::Leaf(number) => break self.leaves.get(pin, number)?,
                Child::None => return None,
            }
        };
        let mut more = 0;
        if let Some(changes) = changes(leaf, self.applied()) {
            let at = changes.lower_bound(key);
            let is_there = changes.get(at).is_some_and(|change| change.key == key);
            more = changes.more(Some(at + usize::from(is_after && is_there)));
        }
        let place = match leaf.block.find(key) {
            Ok(place) => place + usize::from(is_after),
            Err(place) => place,
        };
        Some((count + place as u64).saturating_add_signed(more))
    }
}
