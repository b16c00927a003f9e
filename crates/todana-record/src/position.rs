//! Places in the order of a partition's changes.

use std::fmt;

/// Names a partition: a contiguous range of slots within which changes have one order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PartitionId(pub u16);

/// A place in the order of a partition's changes.
///
/// The incarnation is raised at every unclean open, so that no position once shown is shown again
/// for another state. [`Position::START`] is before every change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position {
    /// Raised at every unclean open of the store.
    pub incarnation: u32,
    /// Rises with every change; not dense.
    pub sequence: u64,
}

impl Position {
    /// Before every change.
    pub const START: Position = Position { incarnation: 0, sequence: 0 };
}

impl fmt::Display for Position {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.incarnation, self.sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn incarnation_outranks_sequence() {
        let old = Position { incarnation: 1, sequence: 900 };
        let new = Position { incarnation: 2, sequence: 1 };
        assert!(Position::START < old && old < new);
        assert_eq!(new.to_string(), "2:1");
    }
}
