//! What an inner node says of a child: a word.

use crate::page::Place;

/// A node, as a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Child {
    /// The leaf with this number.
    Leaf(u32),
    /// The inner node with this number.
    Inner(u32),
    /// The leaf whose page lies there.
    Page(Place),
    /// Nothing.
    None,
}

const KIND: u64 = 3 << 62;
const LEAF: u64 = 0;
const INNER: u64 = 1 << 62;
const PAGE: u64 = 2 << 62;
const NONE: u64 = KIND;
/// Bits of a page's place; those of its length follow.
const AT_BITS: u32 = 40;
const LEN_MASK: u64 = (1 << 22) - 1;

impl Child {
    #[inline]
    pub(crate) const fn word(self) -> u64 {
        match self {
            Child::Leaf(number) => LEAF | number as u64,
            Child::Inner(number) => INNER | number as u64,
            Child::Page(place) => PAGE | (place.len & LEN_MASK) << AT_BITS | place.at,
            Child::None => NONE,
        }
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "numbers are masked to their fields")]
    pub(crate) const fn of(word: u64) -> Child {
        match word & KIND {
            LEAF => Child::Leaf(word as u32),
            INNER => Child::Inner(word as u32),
            PAGE => Child::Page(Place {
                at: word & ((1 << AT_BITS) - 1),
                len: word >> AT_BITS & LEN_MASK,
            }),
            _ => Child::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_back() {
        let places = [(0, 1), ((1 << 40) - 1, (1 << 22) - 1), (77, 65)];
        let pages = places.map(|(at, len)| Child::Page(Place { at, len }));
        let others = [Child::Leaf(0), Child::Leaf(u32::MAX), Child::Inner(9), Child::None];
        for child in pages.into_iter().chain(others) {
            assert_eq!(Child::of(child.word()), child);
        }
    }
}
