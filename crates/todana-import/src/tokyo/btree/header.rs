//! The header of the tree, in the bytes of the file's header that are for the program that uses it.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 128 | 1 | [`Comparator`] |
//! | 136 | 4 | most keys of a leaf |
//! | 140 | 4 | most children of an inner page |
//! | 144 | 8 | id of the root |
//! | 152 | 8 | id of the first leaf |
//! | 160 | 8 | id of the last leaf |
//! | 168 | 8 | id of the leaf that was made last |
//! | 176 | 8 | the same for inner pages |
//! | 184 | 8 | number of records, each value of a key counted |
//!
//! The numbers are in the order of bytes of the file. The library writes them when the file is closed
//! or synchronised. Only the comparator, the first and last leaf and the number of records matter here.

use crate::tokyo::header::ByteOrder;
use crate::tokyo::start::numbers;
use std::fmt;

const COMPARATOR_OFFSET: usize = 128;
const NUMBERS_OFFSET: usize = 144;

/// What order the keys are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparator {
    /// As bytes, a shorter key before a longer one that begins with it: 0.
    Lexical,
    /// As decimal numbers in text: 1.
    Decimal,
    /// As signed numbers of four bytes in the order of the machine: 2.
    Int32,
    /// As signed numbers of eight bytes in the order of the machine: 3.
    Int64,
    /// By a function of the program that wrote the file: 255.
    Custom,
    /// A byte that no version is known to have.
    Unknown(u8),
}

impl Comparator {
    const fn of(byte: u8) -> Comparator {
        match byte {
            0 => Comparator::Lexical,
            1 => Comparator::Decimal,
            2 => Comparator::Int32,
            3 => Comparator::Int64,
            255 => Comparator::Custom,
            other => Comparator::Unknown(other),
        }
    }
}

impl fmt::Display for Comparator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Comparator::Lexical => f.write_str("lexical"),
            Comparator::Decimal => f.write_str("decimal"),
            Comparator::Int32 => f.write_str("int32"),
            Comparator::Int64 => f.write_str("int64"),
            Comparator::Custom => f.write_str("custom"),
            Comparator::Unknown(byte) => write!(f, "unknown ({byte})"),
        }
    }
}

/// What the tree's header says. Its ids are not checked before the leaves are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeHeader {
    /// What order the keys are in.
    pub comparator: Comparator,
    /// Id of the root, a leaf or an inner page.
    pub root: u64,
    /// Id of the leaf with the first keys.
    pub first_leaf: u64,
    /// Id of the leaf with the last keys.
    pub last_leaf: u64,
    /// Number of records, each value of a key counted.
    pub record_count: u64,
}

impl TreeHeader {
    /// Decodes the header of a file, all of it.
    pub(super) fn decode(header: &[u8], order: ByteOrder) -> Option<TreeHeader> {
        let comparator = Comparator::of(*header.get(COMPARATOR_OFFSET)?);
        let [root, first_leaf, last_leaf, _, _, record_count] =
            numbers(header, NUMBERS_OFFSET, order)?;
        Some(TreeHeader { comparator, root, first_leaf, last_leaf, record_count })
    }
}
