//! What an inner node says of a child: a word.

/// A node, as a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Child {
    /// The leaf with this number.
    Leaf(u32),
    /// The inner node with this number.
    Inner(u32),
    /// Nothing.
    None,
}

const KIND: u64 = 3 << 62;
const LEAF: u64 = 0;
const INNER: u64 = 1 << 62;
const NONE: u64 = KIND;

impl Child {
    #[inline]
    pub(crate) const fn word(self) -> u64 {
        match self {
            Child::Leaf(number) => LEAF | number as u64,
            Child::Inner(number) => INNER | number as u64,
            Child::None => NONE,
        }
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "numbers are masked to their fields")]
    pub(crate) const fn of(word: u64) -> Child {
        match word & KIND {
            LEAF => Child::Leaf(word as u32),
            INNER => Child::Inner(word as u32),
            _ => Child::None,
        }
    }
}
