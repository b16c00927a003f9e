//! Removing a range: leaves at its ends are made anew without it, what lies between goes unread.

use crate::child::Child;
use crate::merge;
use crate::shared::Shared;
use crate::walk::Part;
use crate::writer::{Spot, Writer};
use std::ops::Bound;
use todana_engine::{Error, Range};
use todana_io::epoch::Pin;

impl Writer {
    /// Removes what is in a range that is not empty. The caller says when readers may see it.
    ///
    /// # Errors
    /// [`Error::Corrupt`], when a leaf at one of its ends cannot be read: part of it is removed then.
    pub(crate) fn remove_range<'a>(
        &mut self,
        shared: &'a Shared,
        pin: &'a Pin,
        range: &Range<'_>,
        sequence: u64,
    ) -> Result<(), Error> {
        self.last = sequence;
        self.begin(shared);
        let done = self.remove_parts(shared, pin, range);
        self.end();
        done
    }

    fn remove_parts<'a>(
        &mut self,
        shared: &'a Shared,
        pin: &'a Pin,
        range: &Range<'_>,
    ) -> Result<(), Error> {
        let mut from = range.from.map(<[u8]>::to_vec);
        loop {
            let rest = Range { from: from.as_ref().map(|key| &key[..]), to: range.to };
            let first = match rest.from {
                Bound::Included(key) | Bound::Excluded(key) => key,
                Bound::Unbounded => &[],
            };
            self.go(shared, pin, first);
            let behind = match self.remove_whole(shared, &rest) {
                Some(behind) => behind,
                None => {
                    let spot = self.seek(shared, pin, first)?;
                    self.trim(shared, spot, &rest)
                }
            };
            match behind {
                Some(separator) if !range.is_past(&separator) => {
                    from = Bound::Included(separator);
                }
                _ => return Ok(()),
            }
        }
    }

    /// Removes the leaf that was sought last and those behind it in the same node, as far as all of each is in
    /// the range. Gives the separator behind them, if there is one; `None` when not even the first is.
    fn remove_whole(&mut self, shared: &Shared, range: &Range<'_>) -> Option<Option<Vec<u8>>> {
        let low = self.low_separator();
        let begins = match (range.from, &low) {
            (Bound::Unbounded, _) => true,
            (Bound::Included(from), Some(low)) => from <= &low[..],
            (Bound::Included(from), None) => from.is_empty(),
            (Bound::Excluded(_), _) => false,
        };
        if !begins {
            return None;
        }
        let step = *self.path.last()?;
        let inner = self.inners.get(step.inner)?;
        // A child is in the range as a whole if what stands behind it is not past the end, or just there.
        let ends = |separator: &[u8]| match range.to {
            Bound::Included(to) | Bound::Excluded(to) => separator <= to,
            Bound::Unbounded => true,
        };
        let mut end = step.at;
        while end + 1 < inner.len() && ends(&inner.separator(end + 1)) {
            end += 1;
        }
        let behind = self.high_separator(end + 1);
        if end + 1 == inner.len() && behind.as_deref().map_or(range.to == Bound::Unbounded, ends) {
            end += 1;
        }
        if end == step.at {
            return None;
        }
        let behind = if end == inner.len() { behind } else { Some(inner.separator(end)) };
        let gone: Vec<Child> = (step.at..end).map(|at| inner.child(at)).collect();
        let count: u64 = (step.at..end).map(|at| inner.count(at)).sum();
        let depth = self.path.len();
        for above in self.path.iter().rev().skip(1) {
            if let Some(inner) = self.inners.get(above.inner) {
                inner.add_count(above.at, 0_i64.saturating_sub_unsigned(count));
            }
        }
        self.records -= count;
        gone.into_iter().for_each(|child| self.is_gone(Child::None, child));
        self.replace(shared, depth, 0..end - step.at, Vec::new());
        Some(behind)
    }

    /// Makes the leaf that was sought last anew without what is in the range; gives the separator behind it.
    fn trim(&mut self, shared: &Shared, spot: Spot<'_>, range: &Range<'_>) -> Option<Vec<u8>> {
        let leaf = spot.leaf;
        let behind = self.high_separator(self.path.last().map_or(0, |step| step.at + 1));
        let part = Part::new(leaf, u64::MAX, range);
        let removed = part.count();
        if removed > 0 {
            self.count(0_i64.saturating_sub_unsigned(removed));
            let block = merge::without(&part, &mut self.builder);
            let old = Child::Leaf(spot.number);
            if block.count() > 0 || self.path.is_empty() {
                self.replace_leaf(shared, old, block);
            } else {
                self.is_gone(Child::None, old);
                self.replace(shared, self.path.len(), 0..1, Vec::new());
            }
        }
        behind
    }

    /// What stands before the leaf that was sought last; `None` when it is the first.
    pub(crate) fn low_separator(&self) -> Option<Vec<u8>> {
        let step = self.path.iter().rev().find(|step| step.at > 0)?;
        self.inners.get(step.inner).map(|inner| inner.separator(step.at))
    }

    /// What stands before the child `at` of the node above that leaf, or behind the node where it has no
    /// such child.
    pub(crate) fn high_separator(&self, at: usize) -> Option<Vec<u8>> {
        let mut next = at;
        for (depth, step) in self.path.iter().enumerate().rev() {
            let inner = self.inners.get(step.inner)?;
            if next < inner.len() {
                return Some(inner.separator(next));
            }
            let above = depth.checked_sub(1).and_then(|above| self.path.get(above));
            next = above.map_or(0, |above| above.at + 1);
        }
        None
    }
}
