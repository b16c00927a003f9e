//! Transactions of Tokyo Cabinet's kind, over any engine: writes are kept back, reads are remembered, and
//! the commit is one unit that first looks whether everything read is still as it was.

use crate::store::{Error, Record, Store};
use std::collections::BTreeMap;
use todana_engine::{Edit, Put, UnitMutation, View};

/// Reads and writes that happen together or not at all. Dropped without a commit, nothing happened.
pub struct Transaction<'s> {
    store: &'s Store,
    /// Versions of what was read; `None` of keys that had no record.
    read: BTreeMap<Vec<u8>, Option<u64>>,
    /// What is to be stored; `None` is removed.
    written: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl Store {
    /// Begins a transaction. Others go on meanwhile; whoever commits first wins.
    pub fn begin(&self) -> Transaction<'_> {
        Transaction { store: self, read: BTreeMap::new(), written: BTreeMap::new() }
    }
}

impl Store {
    /// Stores several records as one unit: all of them are seen, and there after a crash, or none. Of several of
    /// one key the last counts.
    ///
    /// # Errors
    /// Limits and space; nothing has changed then.
    pub fn set_all(&self, records: &[(&[u8], &[u8])]) -> Result<(), Error> {
        let keys: Vec<&[u8]> = records.iter().map(|(key, _)| *key).collect();
        self.update_many(&keys, &mut SetAll(records))
    }
}

struct SetAll<'r>(&'r [(&'r [u8], &'r [u8])]);

impl UnitMutation for SetAll<'_> {
    fn is_blind(&self) -> bool {
        true
    }

    fn evaluate<'s>(&'s mut self, _: &'s [Option<View<'s>>]) -> Vec<Edit<'s>> {
        self.0.iter().map(|(_, value)| Edit::Put(Put::bytes(value))).collect()
    }
}

impl Transaction<'_> {
    /// The value of a key, as this transaction has left it.
    ///
    /// # Errors
    /// What the engine meets.
    pub fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        if let Some(written) = self.written.get(key) {
            return Ok(written.clone());
        }
        let record: Option<Record> = self.store.get(key)?;
        let version = record.as_ref().map(|record| record.meta.version);
        // A second read must not see what the first did not.
        if *self.read.entry(key.to_vec()).or_insert(version) != version {
            return Err(Error::Conflict);
        }
        Ok(record.map(|record| record.value))
    }

    /// Stores a value when the transaction is committed.
    pub fn set(&mut self, key: &[u8], value: &[u8]) {
        self.written.insert(key.to_vec(), Some(value.to_vec()));
    }

    /// Removes a record when the transaction is committed.
    pub fn delete(&mut self, key: &[u8]) {
        self.written.insert(key.to_vec(), None);
    }

    /// Makes all of it happen.
    ///
    /// # Errors
    /// [`Error::Conflict`] when something that was read has changed: nothing has happened then. Limits
    /// and space.
    pub fn commit(self) -> Result<(), Error> {
        let Transaction { store, read, written } = self;
        let mut keys: Vec<&[u8]> = read.keys().map(Vec::as_slice).collect();
        keys.extend(written.keys().filter(|key| !read.contains_key(*key)).map(Vec::as_slice));
        let mut commit = Commit { keys: &keys, read: &read, written: &written, conflict: false };
        store.update_many(&keys, &mut commit)?;
        if commit.conflict { Err(Error::Conflict) } else { Ok(()) }
    }

    /// Forgets all of it; dropping does the same.
    pub fn abort(self) {}
}

struct Commit<'c> {
    keys: &'c [&'c [u8]],
    read: &'c BTreeMap<Vec<u8>, Option<u64>>,
    written: &'c BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    conflict: bool,
}

impl UnitMutation for Commit<'_> {
    fn evaluate<'s>(&'s mut self, current: &'s [Option<View<'s>>]) -> Vec<Edit<'s>> {
        let is_same = |(key, view): (&&[u8], &Option<View<'_>>)| match self.read.get(*key) {
            Some(version) => *version == view.as_ref().map(|view| view.meta.version),
            None => true,
        };
        if !self.keys.iter().zip(current).all(is_same) {
            self.conflict = true;
            return Vec::new();
        }
        let edit = |key: &&[u8]| match self.written.get(*key) {
            Some(Some(value)) => Edit::Put(Put::bytes(value)),
            Some(None) => Edit::Remove,
            None => Edit::Keep,
        };
        self.keys.iter().map(edit).collect()
    }
}
