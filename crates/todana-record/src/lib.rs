//! What a record is, for every engine and every dialect: its metadata, its place in the order of
//! changes, its two hashes, and the primitives that formats are written with.
//!
//! The crate holds no state and does no I/O. It decides nothing about *where* records live; engines
//! store only the fields that a record uses.
//!
//! ```
//! use todana_record::{Expiry, Meta, Timestamp, slot_of};
//! let meta = Meta { flags: 7, expiry: Expiry::at_ms(1_000), ..Meta::default() };
//! assert!(meta.expiry.is_past(Timestamp::from_ms(1_000)));
//! assert_eq!(slot_of(b"{user7}.name"), slot_of(b"{user7}.mail"));
//! ```
//!
//! Modules: [`meta`] (metadata of a record), [`time`] (timestamps and expiry), [`position`] (order
//! of changes), [`hash`] (slot and index hash), [`varint`], [`short`] (a few bytes to be
//! written), [`cursor`] (reading bytes from outside).
//!
//! Limits: keys of 0 B to 64 KiB, values of 0 B to 4 GiB − 1 B ([`KEY_LEN_MAX`],
//! [`VALUE_LEN_MAX`]); a dialect may hold lower ones.
#![forbid(unsafe_code)]

pub mod cursor;
pub mod hash;
pub mod meta;
pub mod position;
pub mod short;
pub mod time;
pub mod varint;

pub use cursor::Reader;
pub use hash::{IndexHash, SLOT_COUNT, slot_of};
pub use meta::{Kind, Meta};
pub use position::{PartitionId, Position};
pub use short::ShortBytes;
pub use time::{Expiry, Timestamp};

/// Longest key, in bytes.
pub const KEY_LEN_MAX: usize = 64 * 1024;
/// Longest value, in bytes: 4 GiB − 1.
pub const VALUE_LEN_MAX: usize = u32::MAX as usize;
