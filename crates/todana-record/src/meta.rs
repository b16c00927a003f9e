//! The metadata of a record.

use crate::Expiry;

/// What a value is. Only plain bytes exist so far; typed values take further numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Kind(pub u8);

impl Kind {
    /// Opaque bytes.
    pub const BYTES: Kind = Kind(0);
}

/// Everything about a record but its key and value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Meta {
    /// Opaque to the store.
    pub flags: u32,
    /// When the record ends.
    pub expiry: Expiry,
    /// The CAS token of every dialect; 0 where the store was made without one. Only comparisons
    /// for equality mean anything.
    pub version: u64,
    /// What the value is.
    pub kind: Kind,
    /// Invalidated: still served, marked as stale, until somebody writes it anew.
    pub stale: bool,
    /// Somebody has been told to recompute the value; nobody else is until it is written.
    pub won: bool,
}
