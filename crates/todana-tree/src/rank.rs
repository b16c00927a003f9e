//! How many records stand before a key, from the counts of the nodes above it.

use crate::child::Child;
use crate::shared::{End, Shared};
use crate::tree::Tree;
use crate::walk::changes;
use std::ops::Bound;
use std::sync::atomic::Ordering;
use todana_engine::{Error, Range};
use todana_io::epoch::{Pin, pin};

impl Tree {
    /// Records of a range now.
    ///
    /// # Errors
    /// [`Error::Corrupt`].
    pub(crate) fn count_range(&self, range: &Range<'_>) -> Result<u64, Error> {
        if range.is_empty() {
            return Ok(0);
        }
        let from = match range.from {
            Bound::Included(key) => self.rank(key, false)?,
            Bound::Excluded(key) => self.rank(key, true)?,
            Bound::Unbounded => 0,
        };
        let to = match range.to {
            Bound::Included(key) => self.rank(key, true)?,
            Bound::Excluded(key) => self.rank(key, false)?,
            Bound::Unbounded => self.shared.total(&pin()),
        };
        Ok(to.saturating_sub(from))
    }

    /// Records before a key, itself included if `is_after`.
    fn rank(&self, key: &[u8], is_after: bool) -> Result<u64, Error> {
        let pin = pin();
        loop {
            match self.shared.rank(&pin, key, is_after) {
                Ok(rank) => return Ok(rank),
                Err(End::Page(place)) => self.fetch(key, place)?,
                Err(_) => {}
            }
        }
    }
}

impl Shared {
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
                Child::Page(_) | Child::None => None,
            };
            if let Some(total) = found {
                return total;
            }
        }
    }

    /// Records before a key, itself included if `is_after`.
    ///
    /// # Errors
    /// Where the way ends, if not at a leaf.
    fn rank<'a>(&'a self, pin: &'a Pin, key: &[u8], is_after: bool) -> Result<u64, End<'a>> {
        let mut count = 0;
        let mut child = Child::of(self.root.load(Ordering::Acquire));
        let leaf = loop {
            match child {
                Child::Inner(number) => {
                    let inner = self.inners.get(pin, number).ok_or(End::Gone)?;
                    let at = inner.find(key);
                    count += inner.count_before(at);
                    child = inner.child(at);
                }
                Child::Leaf(number) => break self.leaves.get(pin, number).ok_or(End::Gone)?,
                Child::Page(place) => return Err(End::Page(place)),
                Child::None => return Err(End::Gone),
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
        Ok((count + place as u64).saturating_add_signed(more))
    }
}
