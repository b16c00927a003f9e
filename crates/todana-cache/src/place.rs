//! What an entry of the index points to, and what it remembers.

use crate::access::{ACCESS_BITS, AccessBits};
use todana_index::Pointer;

/// Bits of an offset within a segment, in grains.
pub(crate) const OFFSET_BITS: u32 = 18;
/// Bits of a segment's number; 0 is none.
const NUMBER_BITS: u32 = 17;
const PLACE_BITS: u32 = OFFSET_BITS + NUMBER_BITS;

/// Numbers from here on are of large records.
pub(crate) const LARGE_FROM: u32 = 1 << 16;
/// Numbers below this one are there.
pub(crate) const NUMBER_END: u32 = 1 << NUMBER_BITS;

/// Where a record lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Number of its segment, or of itself where it is large.
    pub(crate) number: u32,
    /// Grains from the segment's beginning.
    pub(crate) offset: u32,
}

/// Bytes of segments that offsets count by: a power of two, 1 unless there is very much memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grain(u32);

impl Grain {
    /// The least that reaches everywhere in a segment.
    pub(crate) fn of(segment_len: usize) -> Grain {
        Grain((segment_len >> OFFSET_BITS).max(1).ilog2())
    }

    /// Bytes before an offset.
    #[inline]
    pub(crate) fn start(self, offset: u32) -> usize {
        (offset as usize) << self.0
    }

    /// The offset of a byte where a record may begin.
    #[inline]
    pub(crate) fn offset(self, start: usize) -> u32 {
        (start >> self.0) as u32
    }

    /// Where the next record may begin, at the earliest.
    #[inline]
    pub(crate) fn round_up(self, end: usize) -> usize {
        let part = (1 << self.0) - 1;
        (end + part) & !part
    }
}

impl Place {
    pub(crate) fn is_large(self) -> bool {
        self.number >= LARGE_FROM
    }
}

/// An entry of the index: a place, and how the record was accessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) place: Place,
    pub(crate) access: AccessBits,
}

impl Pointer for Slot {
    const BITS: u32 = ACCESS_BITS + PLACE_BITS;

    #[inline]
    fn bits(self) -> u64 {
        let place = u64::from(self.place.number) << OFFSET_BITS | u64::from(self.place.offset);
        u64::from(self.access.0) << PLACE_BITS | place
    }

    #[inline]
    fn of(bits: u64) -> Slot {
        let number = (bits >> OFFSET_BITS & u64::from(NUMBER_END - 1)) as u32;
        let offset = (bits & ((1 << OFFSET_BITS) - 1)) as u32;
        let access = AccessBits((bits >> PLACE_BITS & ((1 << ACCESS_BITS) - 1)) as u16);
        Slot { place: Place { number, offset }, access }
    }
}

pub(crate) type Index = todana_index::Index<Slot>;
pub(crate) type IndexWriter = todana_index::IndexWriter<Slot>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_is_kept() {
        for bit in 0..Slot::BITS {
            assert_eq!(Slot::of(1 << bit).bits(), 1 << bit);
        }
    }
}
