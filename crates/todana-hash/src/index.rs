//! The index of a store: where the record of each key lies, 8 bytes a record in tables that are filled to
//! seven eighths. See [`todana_index`].

pub(crate) use todana_index::{Check, Probe, Seat, spread};

/// Bits of an offset in a segment.
const OFFSET_BITS: u32 = 26;
/// Bits of the number of a segment; 0 is no segment.
const SLOT_BITS: u32 = 16;

/// Bytes of addresses that an index takes at first: enough for some twenty million records. With more it
/// takes more, a little farther to reach.
const INDEX_ADDRESSES_LEN: u64 = 256 << 20;

/// Where a record lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    /// Number of its segment in the table of segments, from 1.
    pub(crate) slot: u16,
    /// Byte in the segment.
    pub(crate) offset: u32,
}

impl From<todana_log::Appended> for Place {
    #[inline]
    fn from(appended: todana_log::Appended) -> Place {
        Place { slot: appended.slot, offset: appended.offset }
    }
}

impl todana_index::Pointer for Place {
    const BITS: u32 = SLOT_BITS + OFFSET_BITS;

    #[inline]
    fn bits(self) -> u64 {
        u64::from(self.slot) << OFFSET_BITS | u64::from(self.offset)
    }

    #[inline]
    fn of(bits: u64) -> Place {
        Place {
            slot: (bits >> OFFSET_BITS & 0xffff) as u16,
            offset: (bits & ((1 << OFFSET_BITS) - 1)) as u32,
        }
    }
}

pub(crate) type Index = todana_index::Index<Place>;
pub(crate) type IndexWriter = todana_index::IndexWriter<Place>;
pub(crate) type Waiting = todana_index::Waiting<Place>;

/// An empty index for about `records` records.
///
/// # Errors
/// When there is no memory.
pub(crate) fn new_index(records: u64) -> std::io::Result<IndexWriter> {
    let bits = match records {
        0..0x0400_0000 => 32,
        0x0400_0000..0x0004_0000_0000 => 40,
        _ => 48,
    };
    let pool = todana_index::Pool::new(INDEX_ADDRESSES_LEN, true)?;
    IndexWriter::new(todana_index::Layout::quick(bits), &pool)
}
