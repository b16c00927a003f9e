//! What engines give whose keys are in order.

use crate::{Applied, Engine, Error, Found, Look, View};
use std::ops::{Bound, ControlFlow};
use todana_record::{Position, Timestamp};

/// Keys from one bound to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range<'r> {
    /// Where it begins.
    pub from: Bound<&'r [u8]>,
    /// Where it ends.
    pub to: Bound<&'r [u8]>,
}

impl Range<'static> {
    /// All keys.
    pub const ALL: Range<'static> = Range { from: Bound::Unbounded, to: Bound::Unbounded };
}

impl Range<'_> {
    /// Whether no key can be in it.
    pub fn is_empty(&self) -> bool {
        match (self.from, self.to) {
            (Bound::Included(from), Bound::Included(to)) => from > to,
            (Bound::Included(from) | Bound::Excluded(from), Bound::Excluded(to))
            | (Bound::Excluded(from), Bound::Included(to)) => from >= to,
            (Bound::Unbounded, Bound::Excluded(to)) => to.is_empty(),
            (_, Bound::Unbounded) | (Bound::Unbounded, Bound::Included(_)) => false,
        }
    }

    /// Whether a key is in it.
    pub fn contains(&self, key: &[u8]) -> bool {
        let after = match self.from {
            Bound::Included(from) => key >= from,
            Bound::Excluded(from) => key > from,
            Bound::Unbounded => true,
        };
        after && !self.is_past(key)
    }

    /// Whether it ends before a key.
    pub fn is_past(&self, key: &[u8]) -> bool {
        match self.to {
            Bound::Included(to) => key > to,
            Bound::Excluded(to) => key >= to,
            Bound::Unbounded => false,
        }
    }
}

/// The least key that does not begin with a prefix and is greater than those that do: where a walk over the
/// prefix ends. `None` when there is none: the prefix is empty, or all 0xff.
pub fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != 0xff)?;
    let mut after = prefix.get(..=last)?.to_vec();
    *after.last_mut()? += 1;
    Some(after)
}

/// Which way a walk goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From lesser keys to greater ones.
    Forward,
    /// From greater keys to lesser ones.
    Backward,
}

/// An engine that keeps its keys in order.
pub trait Ordered: Engine {
    /// The present moment, to be looked at for as long as it is kept. It costs what is changed meanwhile.
    fn moment(&self) -> Box<dyn Moment>;

    /// Records in a range now, in a time that grows with the depth of the tree; ended records count
    /// until they are removed, and changes of this very moment may count or not.
    fn count(&self, range: &Range<'_>) -> u64;

    /// Removes every record in a range, as one change that nobody sees half done.
    ///
    /// # Errors
    /// As [`update`](Engine::update).
    fn remove_range(&self, range: &Range<'_>, now: Timestamp) -> Result<Applied, Error>;
}

/// The records as they are at one moment, whatever is changed after it.
pub trait Moment: Send + Sync {
    /// The moment: it has every change up to here, and none behind.
    fn position(&self) -> Position;

    /// Looks a key up.
    fn get(&self, key: &[u8], now: Timestamp, visit: &mut dyn FnMut(Found<'_>) -> Look);

    /// Visits the records of a range in order until the visitor breaks.
    ///
    /// # Errors
    /// [`Error::Corrupt`].
    fn walk(
        &self,
        range: &Range<'_>,
        direction: Direction,
        now: Timestamp,
        visit: &mut dyn FnMut(&View<'_>) -> ControlFlow<()>,
    ) -> Result<(), Error>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_what_is_between_their_bounds() {
        let (one, three) = (&b"1"[..], &b"3"[..]);
        let range = |from, to| Range { from, to };
        let bounds = |bound: fn(&'static [u8]) -> Bound<&'static [u8]>| [bound(one), bound(three)];
        let [in_1, in_3] = bounds(Bound::Included);
        let [ex_1, ex_3] = bounds(Bound::Excluded);
        let held = |range: Range<'_>| {
            ["0", "1", "2", "3", "4"].map(|key| u8::from(range.contains(key.as_bytes())))
        };
        assert_eq!(held(range(in_1, in_3)), [0, 1, 1, 1, 0]);
        assert_eq!(held(range(ex_1, ex_3)), [0, 0, 1, 0, 0]);
        assert_eq!(held(range(Bound::Unbounded, ex_3)), [1, 1, 1, 0, 0]);
        assert_eq!(held(Range::ALL), [1; 5]);
        for empty in [range(in_3, in_1), range(ex_1, in_1), range(in_1, ex_1), range(ex_3, ex_1)] {
            assert!(empty.is_empty() && held(empty) == [0; 5]);
        }
        assert!(!range(in_1, in_1).is_empty() && !Range::ALL.is_empty());
        assert!(range(Bound::Unbounded, Bound::Excluded(b"")).is_empty());
    }

    #[test]
    fn prefixes_end_before_the_next() {
        assert_eq!(after_prefix(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(after_prefix(b"a\xff\xff"), Some(b"b".to_vec()));
        assert_eq!((after_prefix(b""), after_prefix(b"\xff")), (None, None));
    }
}
