//! What operations give back.

/// A value and what stands beside it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Value {
    /// The bytes.
    pub data: Vec<u8>,
    /// The number that the writer stored with them.
    pub flags: u32,
    /// Token of this version for [`Client::cas`](crate::Client::cas), where the operation asks for
    /// it, as [`Client::gets`](crate::Client::gets) does.
    pub cas: Option<u64>,
}

/// What came of a write that has a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Stored {
    /// It is stored.
    Yes,
    /// Not stored: the key exists and must not, or does not and must.
    No,
    /// Not stored: the item has changed since its token was taken.
    Changed,
    /// Not stored: there is no item for that token.
    Missing,
}

impl Stored {
    /// Whether it is stored.
    #[must_use]
    pub const fn is_yes(self) -> bool {
        matches!(self, Self::Yes)
    }
}
