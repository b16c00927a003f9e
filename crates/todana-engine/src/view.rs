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
    len: u64,
    len_max: u64,
    spill: Option<Box<dyn Spill>>,
    /// Bytes that are kept in memory where there is something to spill to.
    keep_len: usize,
}

/// Where an engine has the bytes of a long staged value go.
pub trait Spill: Send + Sync + fmt::Debug {
    /// Adds bytes at the end.
    ///
    /// # Errors
    /// Space, or what the disk says.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Error>;

    /// Makes all of it as safe as it will be. Doing it again does nothing.
    ///
    /// # Errors
    /// As [`write`](Spill::write).
    fn finish(&mut self) -> Result<(), Error>;

    /// For the engine, to know its own again.
    fn as_any(&self) -> &dyn std::any::Any;
}

impl Staged {
    /// A staged value of at most `len_max` bytes, in memory. Engines make them; see
    /// [`Engine::stage`](crate::Engine::stage).
    pub const fn with_limit(len_max: u64) -> Staged {
        Staged { bytes: Vec::new(), len: 0, len_max, spill: None, keep_len: 0 }
    }

    /// A staged value of at most `len_max` bytes, which spills when it becomes longer than `keep_len`.
    pub const fn with_spill(len_max: u64, keep_len: usize, spill: Box<dyn Spill>) -> Staged {
        Staged { bytes: Vec::new(), len: 0, len_max, spill: Some(spill), keep_len }
    }

    /// Adds a piece at the end.
    ///
    /// # Errors
    /// [`Error::ValueTooLarge`] past the limit, what was written before stays then; where it spills,
    /// space and what the disk says.
    pub fn write(&mut self, piece: &[u8]) -> Result<(), Error> {
        let len = self.len + piece.len() as u64;
        if len > self.len_max {
            return Err(Error::ValueTooLarge { len, max: self.len_max });
        }
        match &mut self.spill {
            Some(spill) if len > self.keep_len as u64 => {
                if !self.bytes.is_empty() {
                    spill.write(&std::mem::take(&mut self.bytes))?;
                }
                spill.write(piece)?;
            }
            _ => self.bytes.extend_from_slice(piece),
        }
        self.len = len;
        Ok(())
    }

    /// Says that all was written. Without it the engine does it, in the middle of the update.
    ///
    /// # Errors
    /// Space, or what the disk says.
    pub fn finish(&mut self) -> Result<(), Error> {
        match &mut self.spill {
            Some(spill) if self.len > self.keep_len as u64 => spill.finish(),
            _ => Ok(()),
        }
    }

    /// Bytes written so far.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What was written, for the engine that takes it over, unless it has spilled.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where it has spilled to.
    pub fn spilled(&self) -> Option<&dyn Spill> {
        self.spill.as_deref().filter(|_| self.len > self.keep_len as u64)
    }
}
