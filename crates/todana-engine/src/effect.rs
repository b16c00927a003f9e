//! What changes travel as.

use crate::Range;
use todana_record::{Expiry, Meta, Position};

/// A change as it stands in an update stream: the resulting state, so that applying it again, or
/// after others of higher positions, changes nothing that it should not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect<'e> {
    /// The key has this record.
    Put {
        /// The key.
        key: &'e [u8],
        /// Its metadata, the version included.
        meta: Meta,
        /// Its value.
        value: &'e [u8],
    },
    /// The record with this predecessor has grown. A consumer that has another predecessor refuses
    /// it with [`Error::NeedsRecord`](crate::Error::NeedsRecord) and asks for the whole record.
    Append {
        /// The key.
        key: &'e [u8],
        /// Version of the record that it applies to.
        previous_version: u64,
        /// Length of that record's value in bytes.
        previous_len: u64,
        /// Metadata after it.
        meta: Meta,
        /// What was added.
        bytes: &'e [u8],
    },
    /// The key's record has this metadata; its value is as it was.
    Touch {
        /// The key.
        key: &'e [u8],
        /// Version of the record before.
        previous_version: u64,
        /// Metadata after it.
        meta: Meta,
    },
    /// The key has no record.
    Remove {
        /// The key.
        key: &'e [u8],
    },
    /// The key has no record, since memory was short.
    Evict {
        /// The key.
        key: &'e [u8],
    },
    /// The keys of a range have no records.
    RemoveRange {
        /// The range.
        range: Range<'e>,
    },
    /// Everything in the partition at or before the cut is gone.
    Flush {
        /// The last position that is gone.
        cut: Position,
    },
    /// A flush is due at this moment, or no longer due (`NEVER`); it emits its own `Flush` then.
    FlushDue {
        /// When.
        at: Expiry,
    },
    /// Several effects that become visible together.
    Unit(Vec<Effect<'e>>),
}
