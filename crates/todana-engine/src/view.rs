//! Looking at records.

use crate::{Error, Progress, Token};
use std::fmt;
use todana_record::{Meta, Position};

/// A record as it stands, borrowed from the engine for as long as a visitor or evaluation runs.
#[derive(Debug, Clone, Copy)]
pub struct View<'v> {
    /// The key.
    pub key: &'v [u8],
    /// Flags, expiry, version, kind and marks.
    pub meta: Meta,
    /// The value.
    pub value: Value<'v>,
    /// Where the record's last change stands: what a reply that shows it may have to wait for.
    pub position: Position,
    /// What the engine remembers of earlier looks.
    pub access: Access,
}

/// What an engine remembers of earlier looks at a record: local, approximate, no part of the record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Access {
    /// Whether it was fetched before (not counting this time) since it was stored.
    pub hit_before: bool,
    /// Seconds since it was last fetched or stored; coarse.
    pub idle_s: u32,
}

/// Bytes of a value: in memory, or to be read in pieces.
#[derive(Clone, Copy)]
pub enum Value<'v> {
    /// In memory, in one piece.
    Bytes(&'v [u8]),
    /// To be read in pieces.
    Reader(&'v dyn ReadValue),
}

/// A value that is read in pieces.
pub trait ReadValue {
    /// Length in bytes.
    fn len(&self) -> u64;

    /// Whether the value is empty.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `buffer` from `offset`; fewer bytes only at the end of the value.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when the stored bytes are not what was written.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<Progress<usize>, Error>;
}

impl<'v> Value<'v> {
    /// Length in bytes.
    #[inline]
    pub fn len(&self) -> u64 {
        match self {
            Value::Bytes(bytes) => bytes.len() as u64,
            Value::Reader(reader) => reader.len(),
        }
    }

    /// Whether the value is empty.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes, if they are in memory in one piece.
    #[inline]
    pub fn as_bytes(&self) -> Option<&'v [u8]> {
        match self {
            Value::Bytes(bytes) => Some(bytes),
            Value::Reader(_) => None,
        }
    }
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Value({} bytes)", self.len())
    }
}

/// The answer to a look-up.
#[derive(Debug)]
pub enum Found<'v> {
    /// There is a record.
    Record(View<'v>),
    /// There is none.
    Absent(Absence),
    /// It has to be read from a disk first: ask again when the token has completed.
    Pending(Token),
    /// It cannot be told: what is stored is corrupt, or cannot be read.
    Failed(Error),
}

/// Why there is no record, as far as the engine can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Absence {
    /// Nothing is known of the key.
    #[default]
    Unknown,
    /// It had a record that has ended.
    Expired,
}

/// A value written in pieces before its key is touched. Bounded by the engine's limit on values;
/// dropped without a trace unless it becomes a [`Payload`](crate::Payload).
#[derive(Debug, Default)]
pub struct Staged {
    bytes: Vec<u8>,
    len_max: u64,
}

impl Staged {
    /// A staged value of at most `len_max` bytes. Engines make them; see
    /// [`Engine::stage`](crate::Engine::stage).
    pub const fn with_limit(len_max: u64) -> Staged {
        Staged { bytes: Vec::new(), len_max }
    }

    /// Adds a piece at the end.
    ///
    /// # Errors
    /// [`Error::ValueTooLarge`] past the limit; what was written before stays.
    pub fn write(&mut self, piece: &[u8]) -> Result<(), Error> {
        let len = self.bytes.len() as u64 + piece.len() as u64;
        if len > self.len_max {
            return Err(Error::ValueTooLarge { len, max: self.len_max });
        }
        self.bytes.extend_from_slice(piece);
        Ok(())
    }

    /// Bytes written so far.
    pub fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// What was written, for the engine that takes it over.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}
