//! What a mutation sees and what it may ask for.

use crate::{Staged, View};
use todana_record::{Expiry, Kind, Meta};

/// A change of one record, computed from its present state.
///
/// The engine calls [`evaluate`](Mutation::evaluate) exactly once for an update that is done, under
/// the key's guard, and then applies the edit; results that the caller wants are kept in `self`. It
/// may be a long time before it is called again after a *pending*, but then it has not been called
/// before.
pub trait Mutation {
    /// Whether [`evaluate`](Mutation::evaluate) reads the present value's bytes; its length and
    /// metadata are always there. An engine that would have to read a disk for the bytes answers
    /// *pending* first.
    fn needs_value(&self) -> bool {
        false
    }

    /// Whether it makes the same [`Edit::Put`] of any present record and of none, and does not want to know
    /// which: an engine may then give [`evaluate`](Mutation::evaluate) `None`, and look for what is
    /// replaced when it likes.
    fn is_blind(&self) -> bool {
        false
    }

    /// The edit for the present record; `None` when there is none (never stored, removed, expired
    /// or flushed). Must not call the engine.
    fn evaluate<'s>(&'s mut self, current: Option<&'s View<'s>>) -> Edit<'s>;
}

/// A change of several records as one atomic unit: all edits become visible together.
pub trait UnitMutation {
    /// As [`Mutation::needs_value`], for all keys.
    fn needs_values(&self) -> bool {
        false
    }

    /// As [`Mutation::is_blind`], for all keys: an engine may then give no records at all.
    fn is_blind(&self) -> bool {
        false
    }

    /// One edit for each key, in the order of the keys that the unit was given; missing ones are
    /// [`Edit::Keep`], further ones are ignored. Must not call the engine.
    fn evaluate<'s>(&'s mut self, current: &'s [Option<View<'s>>]) -> Vec<Edit<'s>>;
}

/// What becomes of a record.
#[derive(Debug)]
pub enum Edit<'e> {
    /// It stays as it is.
    Keep,
    /// It is replaced, or made.
    Put(Put<'e>),
    /// Bytes are added at the end of its value; flags, kind and (unless given) expiry stay. Without a
    /// record nothing happens.
    Append {
        /// What is added.
        bytes: &'e [u8],
        /// A new expiry, if any.
        expiry: Option<Expiry>,
        /// Where the new version comes from.
        version: NewVersion,
    },
    /// Only its metadata changes. Without a record nothing happens.
    Touch(Touch),
    /// It is removed. Without a record nothing happens.
    Remove,
}

/// A whole new record.
#[derive(Debug)]
pub struct Put<'e> {
    /// The value.
    pub value: Payload<'e>,
    /// Opaque to the store.
    pub flags: u32,
    /// When it ends.
    pub expiry: Expiry,
    /// What the value is.
    pub kind: Kind,
    /// Where the version comes from.
    pub version: NewVersion,
    /// As in [`Meta`](todana_record::Meta).
    pub stale: bool,
    /// As in [`Meta`](todana_record::Meta).
    pub won: bool,
}

impl<'e> Put<'e> {
    /// Plain bytes without flags, expiry or marks.
    pub const fn bytes(value: &'e [u8]) -> Put<'e> {
        Put::of(Payload::Bytes(value))
    }

    /// The metadata of the record that it makes, but for the version.
    #[inline]
    pub fn meta(&self) -> Meta {
        let Put { value: _, flags, expiry, kind, version: _, stale, won } = *self;
        Meta { flags, expiry, version: 0, kind, stale, won }
    }

    /// A payload without flags, expiry or marks.
    pub const fn of(value: Payload<'e>) -> Put<'e> {
        Put {
            value,
            flags: 0,
            expiry: Expiry::NEVER,
            kind: Kind::BYTES,
            version: NewVersion::Next,
            stale: false,
            won: false,
        }
    }
}

/// Where the bytes of a new value are.
#[derive(Debug)]
pub enum Payload<'e> {
    /// In one piece.
    Bytes(&'e [u8]),
    /// In two pieces that follow each other.
    Joined(&'e [u8], &'e [u8]),
    /// Written before, in pieces ([`Engine::stage`](crate::Engine::stage)).
    Staged(Staged),
}

impl Payload<'_> {
    /// Length of the value in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Payload::Bytes(bytes) => bytes.len() as u64,
            Payload::Joined(first, second) => first.len() as u64 + second.len() as u64,
            Payload::Staged(staged) => staged.len(),
        }
    }

    /// Whether the value is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A change of metadata alone. `None` leaves a field as it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Touch {
    /// When the record ends.
    pub expiry: Option<Expiry>,
    /// As in [`Meta`](todana_record::Meta).
    pub stale: Option<bool>,
    /// As in [`Meta`](todana_record::Meta).
    pub won: Option<bool>,
    /// A new version; `None` keeps the record's: a touch is no change of the value.
    pub version: Option<NewVersion>,
    /// Whether the engine remembers it as a fetch (see [`Access`](crate::Access)).
    pub fetch: bool,
}

impl Touch {
    /// Whether anything of the record changes.
    pub fn changes(&self) -> bool {
        let Touch { expiry, stale, won, version, fetch: _ } = self;
        expiry.is_some() || stale.is_some() || won.is_some() || version.is_some()
    }

    /// The metadata that a record with this has afterwards, but for the version.
    pub fn meta(&self, meta: &Meta) -> Meta {
        Meta {
            expiry: self.expiry.unwrap_or(meta.expiry),
            stale: self.stale.unwrap_or(meta.stale),
            won: self.won.unwrap_or(meta.won),
            ..*meta
        }
    }
}

/// Where the version of a changed record comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NewVersion {
    /// The engine gives one that no state of this key ever had.
    #[default]
    Next,
    /// The client gave it; the engine takes it as it is.
    Given(u64),
}
