//! What is answered, in one vocabulary for all dialects.

use crate::Fault;

/// An answer. What it looks like is the form's business.
#[derive(Debug, Clone, Copy)]
pub enum Response<'v> {
    /// A record, as asked for.
    Item(Item<'v>),
    /// There is no record.
    Miss,
    /// Stored.
    Stored {
        /// Its version.
        version: u64,
        /// Length of the whole value in bytes.
        value_len: u64,
    },
    /// The condition of the mode did not hold.
    NotStored,
    /// The record has another version than was asked for.
    Exists,
    /// There is no record to change.
    NotFound,
    /// Removed, or invalidated.
    Deleted,
    /// Its lifetime was changed.
    Touched {
        /// Its flags.
        flags: u32,
        /// Its version.
        version: u64,
    },
    /// The number after a count.
    Number {
        /// It.
        value: u64,
        /// Version of its record.
        version: u64,
        /// How long its record lives.
        lifetimes: Lifetimes,
    },
    /// Metadata for debugging.
    Inspected {
        /// The record.
        item: Item<'v>,
        /// Number of its class, as the figures by class use it.
        class: u32,
        /// Bytes that it takes.
        size: u64,
    },
    /// Done.
    Done,
    /// The version of the server.
    Version(&'v str),
    /// One figure of several.
    Stat {
        /// Its name.
        name: &'v str,
        /// Its value.
        value: &'v str,
    },
    /// After the last figure or line.
    End,
    /// Text as it stands: lines of a listing.
    Raw(&'v [u8]),
    /// Mechanisms of authentication, separated by spaces.
    Mechanisms(&'v str),
    /// The mechanism wants more.
    Challenge(&'v [u8]),
    /// Who they say they are.
    Authenticated,
    /// It could not be done.
    Fault(&'v Fault),
}

/// Seconds that a record has left (`None`: forever), as a request has seen and changed them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lifetimes {
    /// Before the request; forever, if the request made the record.
    pub before_s: Option<u64>,
    /// What the request made the record with, if it did.
    pub made_s: Option<Option<u64>>,
    /// What the request gave the record, if it did.
    pub touched_s: Option<Option<u64>>,
}

/// A record in an answer.
#[derive(Debug, Clone, Copy)]
pub struct Item<'v> {
    /// The key.
    pub key: &'v [u8],
    /// The value.
    pub value: &'v [u8],
    /// Opaque to the store.
    pub flags: u32,
    /// The CAS token.
    pub version: u64,
    /// How long it lives.
    pub lifetimes: Lifetimes,
    /// Whether it was fetched before.
    pub hit_before: bool,
    /// Seconds since the last access before this one.
    pub idle_s: u32,
    /// The client has won: it shall compute the value.
    pub won: bool,
    /// The value is stale.
    pub stale: bool,
    /// Somebody else has won.
    pub sent: bool,
}
