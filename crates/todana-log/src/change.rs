//! An entry on its way into the log.

use crate::layout::record::{Fields, HEAD_LEN_MAX, Operation};
use crate::layout::reference::Reference;

/// An entry to be appended.
#[derive(Debug, Clone, Copy)]
pub struct Change<'c> {
    /// What it does.
    pub fields: Fields,
    /// A version that a client gave, or that stays.
    pub version: Option<u64>,
    /// Its key.
    pub key: &'c [u8],
    /// Its value, in two parts.
    pub value: [&'c [u8]; 2],
    /// The long value that stands elsewhere instead.
    pub blob: Option<Reference>,
    /// Hash of the key, of which the footer keeps the first bytes; 0 where it keeps none.
    pub hash: u64,
}

impl Change<'_> {
    /// One that concerns no key.
    #[inline]
    pub const fn of_store(fields: Fields) -> Change<'static> {
        Change { fields, version: None, key: &[], value: [&[], &[]], blob: None, hash: 0 }
    }

    /// The mark before `count` entries that belong together. They stand in one frame with it, since room is
    /// reserved for all of them at once: after a crash they are there or not.
    #[inline]
    pub const fn unit(count: u64) -> Change<'static> {
        Change::of_store(Fields { number: count, ..Fields::of(Operation::Unit) })
    }

    /// No fewer bytes than it takes.
    #[inline]
    pub fn len_max(&self) -> usize {
        let value_len = match self.blob {
            None => self.value[0].len() + self.value[1].len(),
            Some(_) => Reference::LEN,
        };
        HEAD_LEN_MAX + self.key.len() + value_len
    }
}

/// Where an entry was appended.
#[derive(Debug, Clone, Copy)]
pub struct Appended {
    /// Number of the segment.
    pub slot: u16,
    /// Byte in the segment.
    pub offset: u32,
    /// The entry's sequence.
    pub sequence: u64,
    /// Its bytes.
    pub len: usize,
}
