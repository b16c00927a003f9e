//! Walking through records in order, as of one moment.

use crate::delta::Sorted;
use crate::leaf::Leaf;
use crate::shared::Shared;
use crate::stored::Stored;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;
use todana_engine::{Direction, Range};
use todana_io::epoch::pin;

/// A moment that stays as it is while this lives.
#[derive(Debug)]
pub(crate) struct Moment {
    pub(crate) shared: Arc<Shared>,
    pub(crate) sequence: u64,
}

impl Moment {
    /// The present moment.
    pub(crate) fn now(shared: &Arc<Shared>) -> Moment {
        let sequence = shared.snapshots.register(&shared.applied);
        Moment { shared: shared.clone(), sequence }
    }
}

impl Drop for Moment {
    fn drop(&mut self) {
        self.shared.snapshots.release(self.sequence);
    }
}

/// Called with a key and its record.
pub(crate) type Visit<'v> = dyn FnMut(&[u8], &Stored<'_>) -> ControlFlow<()> + 'v;

impl Moment {
    /// Visits the records of a range, leaf by leaf, until the visitor breaks.
    pub(crate) fn walk(&self, range: &Range<'_>, direction: Direction, visit: &mut Visit<'_>) {
        let mut key = Vec::new();
        // Where the leaf that was visited last ends.
        let mut end: Option<Vec<u8>> = None;
        loop {
            let range = match (&end, direction) {
                (None, _) => *range,
                (Some(end), Direction::Forward) => Range { from: Bound::Included(end), ..*range },
                (Some(end), Direction::Backward) => Range { to: Bound::Excluded(end), ..*range },
            };
            if range.is_empty() {
                return;
            }
            let pin = pin();
            let reached = match direction {
                Direction::Forward => {
                    let from = key_of(range.from).unwrap_or_default();
                    self.shared.reach(&pin, self.sequence, |inner| inner.find(from), 1)
                }
                Direction::Backward => {
                    let before = |inner: &crate::inner::Inner| match range.to {
                        Bound::Included(to) => inner.find(to),
                        Bound::Excluded(to) => inner.find_before(to),
                        Bound::Unbounded => inner.len() - 1,
                    };
                    self.shared.reach(&pin, self.sequence, before, 0)
                }
            };
            // A registered moment is there.
            let Some(reached) = reached else { return };
            let part = Part::new(reached.leaf, self.sequence, &range);
            let walked = match direction {
                Direction::Forward => part.forward(&mut key, visit),
                Direction::Backward => part.backward(&mut key, visit),
            };
            if walked.is_break() {
                return;
            }
            let Some(bound) = reached.bound() else { return };
            end = Some(bound);
        }
    }
}

fn key_of(bound: Bound<&[u8]>) -> Option<&[u8]> {
    match bound {
        Bound::Included(key) | Bound::Excluded(key) => Some(key),
        Bound::Unbounded => None,
    }
}

/// What a leaf has in a range, as of a sequence.
pub(crate) struct Part<'l> {
    pub(crate) leaf: &'l Leaf,
    pub(crate) changes: Option<Sorted<'l>>,
    /// Places in the block.
    pub(crate) places: std::ops::Range<usize>,
    /// Places among the changes.
    pub(crate) numbers: std::ops::Range<usize>,
}

impl<'l> Part<'l> {
    pub(crate) fn new(leaf: &'l Leaf, sequence: u64, range: &Range<'_>) -> Part<'l> {
        let changes = changes(leaf, sequence);
        let block = &leaf.block;
        let in_block = |key: &[u8], is_after| match block.find(key) {
            Ok(place) => place + usize::from(is_after),
            Err(place) => place,
        };
        let in_changes = |key: &[u8], is_after| {
            let Some(changes) = &changes else { return 0 };
            let place = changes.lower_bound(key);
            let is_there = changes.get(place).is_some_and(|change| change.key == key);
            place + usize::from(is_after && is_there)
        };
        let (place, number) = match range.from {
            Bound::Included(from) => (in_block(from, false), in_changes(from, false)),
            Bound::Excluded(from) => (in_block(from, true), in_changes(from, true)),
            Bound::Unbounded => (0, 0),
        };
        let (place_end, number_end) = match range.to {
            Bound::Included(to) => (in_block(to, true), in_changes(to, true)),
            Bound::Excluded(to) => (in_block(to, false), in_changes(to, false)),
            Bound::Unbounded => (block.count(), changes.as_ref().map_or(0, Sorted::len)),
        };
        Part { leaf, places: place..place_end, numbers: number..number_end, changes }
    }

    /// Number of records.
    pub(crate) fn count(&self) -> u64 {
        let more = |changes: &Sorted<'_>| {
            let numbers = self.numbers.clone();
            changes.more(Some(numbers.end)) - changes.more(Some(numbers.start))
        };
        (self.places.len() as u64).saturating_add_signed(self.changes.as_ref().map_or(0, more))
    }

    /// Visits all of it. A change stands before the block's key of its place, or in its stead.
    fn forward(&self, key: &mut Vec<u8>, visit: &mut Visit<'_>) -> ControlFlow<()> {
        let mut at = self.places.start;
        if let Some(changes) = &self.changes {
            for number in self.numbers.clone() {
                let Some(change) = changes.get(number) else { break };
                if change.place() > at {
                    self.block(at..change.place(), key, visit)?;
                    at = change.place();
                }
                if let Some(record) = &change.record {
                    visit(change.key, record)?;
                }
                at += usize::from(change.seat.is_ok());
            }
        }
        self.block(at..self.places.end, key, visit)
    }

    fn backward(&self, key: &mut Vec<u8>, visit: &mut Visit<'_>) -> ControlFlow<()> {
        let mut end = self.places.end;
        if let Some(changes) = &self.changes {
            for number in self.numbers.clone().rev() {
                let Some(change) = changes.get(number) else { break };
                let behind = change.place() + usize::from(change.seat.is_ok());
                self.block_back(behind..end, key, visit)?;
                if let Some(record) = &change.record {
                    visit(change.key, record)?;
                }
                end = change.place();
            }
        }
        self.block_back(self.places.start..end, key, visit)
    }

    /// Visits records as the block has them.
    fn block(
        &self,
        places: std::ops::Range<usize>,
        key: &mut Vec<u8>,
        visit: &mut Visit<'_>,
    ) -> ControlFlow<()> {
        let block = &self.leaf.block;
        key.clear();
        key.extend_from_slice(block.prefix());
        let prefix_len = key.len();
        for at in places {
            let entry = block.entry(at);
            key.truncate(prefix_len);
            block.push_rest(at, &entry, key);
            let sequence = self.leaf.made;
            visit(key, &Stored { meta: entry.meta(), value: entry.value, sequence })?;
        }
        ControlFlow::Continue(())
    }

    fn block_back(
        &self,
        places: std::ops::Range<usize>,
        key: &mut Vec<u8>,
        visit: &mut Visit<'_>,
    ) -> ControlFlow<()> {
        places.rev().try_for_each(|at| self.block(at..at + 1, key, visit))
    }
}

/// The changes of a leaf as of a sequence, if there are any.
pub(crate) fn changes(leaf: &Leaf, sequence: u64) -> Option<Sorted<'_>> {
    let delta = leaf.delta()?;
    let count = delta.count_at(sequence);
    (count > 0).then(|| delta.sorted(count))
}
