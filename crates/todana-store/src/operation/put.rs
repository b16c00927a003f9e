//! Storing values.

use super::{matches, version_from};
use todana_engine::{Edit, Mutation, NewVersion, Payload, Put, ReadValue, Staged, Value, View};
use todana_record::Expiry;

/// On what condition a value is stored, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutMode {
    /// In any case.
    Set,
    /// Unless there is a record.
    Add,
    /// Only if there is a record.
    Replace,
    /// At the end of the present value.
    Append,
    /// At the beginning of the present value.
    Prepend,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutOutcome {
    /// Stored; the whole value has this length in bytes.
    Stored {
        /// Bytes.
        value_len: u64,
    },
    /// The condition of the mode did not hold.
    NotStored,
    /// The record has another version.
    Exists,
    /// There is no record to compare with.
    NotFound,
}

/// Stores a value.
#[derive(Debug)]
pub struct Putting<'a> {
    /// The value, or what is added to it.
    pub value: &'a [u8],
    /// Opaque to the store; those of the record stay in the modes append and prepend.
    pub flags: u32,
    /// When the record ends; the record's stays in the modes append and prepend.
    pub expiry: Expiry,
    /// How.
    pub mode: PutMode,
    /// Only if the record has this version.
    pub compare: Option<u64>,
    /// The version that it is to have.
    pub version: Option<u64>,
    /// When `compare` is older (smaller) than the record's version: store, marked as stale.
    pub invalidate: bool,
    /// In the modes append and prepend: make a record that ends then, when there is none.
    pub vivify: Option<Expiry>,
    /// What became of it.
    pub outcome: PutOutcome,
}

impl<'a> Putting<'a> {
    /// A set of a value without flags and expiry.
    pub const fn set(value: &'a [u8]) -> Putting<'a> {
        Putting {
            value,
            flags: 0,
            expiry: Expiry::NEVER,
            mode: PutMode::Set,
            compare: None,
            version: None,
            invalidate: false,
            vivify: None,
            outcome: PutOutcome::NotStored,
        }
    }

    fn put(&mut self, stale: bool) -> Edit<'_> {
        self.outcome = PutOutcome::Stored { value_len: self.value.len() as u64 };
        Edit::Put(Put {
            flags: self.flags,
            expiry: self.expiry,
            version: version_from(self.version),
            stale,
            ..Put::bytes(self.value)
        })
    }

    fn make(&mut self) -> Edit<'_> {
        match (self.mode, self.compare, self.vivify) {
            (PutMode::Set | PutMode::Replace, Some(_), _) => {
                self.outcome = PutOutcome::NotFound;
                Edit::Keep
            }
            (PutMode::Set | PutMode::Add, ..) => self.put(false),
            (PutMode::Append | PutMode::Prepend, None, Some(expiry)) => {
                self.expiry = expiry;
                self.put(false)
            }
            _ => {
                self.outcome = PutOutcome::NotStored;
                Edit::Keep
            }
        }
    }
}

/// Bytes before a value that is stored in pieces; `None` when it cannot be read.
fn joined(first: &[u8], second: &dyn ReadValue) -> Option<Staged> {
    let mut staged = Staged::with_limit(u64::MAX);
    staged.write(first).ok()?;
    let mut buffer = vec![0; 64 << 10];
    let mut at = 0;
    while at < second.len() {
        let read = second.read_at(at, &mut buffer).ok()?.done().filter(|&read| read > 0)?;
        staged.write(buffer.get(..read)?).ok()?;
        at += read as u64;
    }
    Some(staged)
}

impl Mutation for Putting<'_> {
    fn is_blind(&self) -> bool {
        self.mode == PutMode::Set && self.compare.is_none()
    }

    fn needs_value(&self) -> bool {
        self.mode == PutMode::Prepend
    }

    fn evaluate<'s>(&'s mut self, current: Option<&'s View<'s>>) -> Edit<'s> {
        let Some(view) = current else { return self.make() };
        if self.mode == PutMode::Add {
            self.outcome = PutOutcome::NotStored;
            return Edit::Keep;
        }
        if !matches(view, self.compare) {
            let older = self.compare.is_some_and(|compare| compare < view.meta.version);
            let replaces = matches!(self.mode, PutMode::Set | PutMode::Replace);
            if self.invalidate && older && replaces {
                return self.put(true);
            }
            self.outcome = PutOutcome::Exists;
            return Edit::Keep;
        }
        let value_len = view.value.len() + self.value.len() as u64;
        match self.mode {
            PutMode::Set | PutMode::Add | PutMode::Replace => self.put(false),
            PutMode::Append => {
                self.outcome = PutOutcome::Stored { value_len };
                let version = version_from(self.version);
                Edit::Append { bytes: self.value, expiry: None, version }
            }
            PutMode::Prepend => {
                self.outcome = PutOutcome::Stored { value_len };
                let value = match view.value {
                    Value::Bytes(old) => Payload::Joined(self.value, old),
                    Value::Reader(reader) => match joined(self.value, reader) {
                        Some(staged) => Payload::Staged(staged),
                        None => {
                            self.outcome = PutOutcome::NotStored;
                            return Edit::Keep;
                        }
                    },
                };
                Edit::Put(Put {
                    flags: view.meta.flags,
                    expiry: view.meta.expiry,
                    kind: view.meta.kind,
                    version: self.version.map_or(NewVersion::Next, NewVersion::Given),
                    ..Put::of(value)
                })
            }
        }
    }
}
