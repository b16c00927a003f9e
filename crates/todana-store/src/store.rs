//! A store for programs that embed one.

use crate::operation::{
    CountOutcome, Counting, PutMode, PutOutcome, Putting, RemoveOutcome, Removing, Retouching,
};
use std::sync::Arc;
use std::time::Duration;
use todana_cache::{Cache, CacheOptions};
use todana_engine::{Engine, Found, Look, Mutation, Progress};
use todana_io::{Clock, SystemClock};
use todana_record::{Expiry, Meta, Timestamp};

/// Why a store did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The engine refused.
    #[error(transparent)]
    Engine(#[from] todana_engine::Error),
    /// The value is not a number that can be counted.
    #[error("the value is not a decimal number of 64 bits")]
    NonNumeric,
    /// The engine waits for a disk, which this caller cannot.
    #[error("the engine has to read first and this call cannot wait")]
    WouldWait,
}

/// A record, copied out of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The value.
    pub value: Vec<u8>,
    /// Flags, expiry, version, kind, marks.
    pub meta: Meta,
}

/// A store in this process. Cheap to clone; any number of threads may use it.
#[derive(Clone)]
pub struct Store {
    engine: Arc<dyn Engine>,
    clock: Arc<dyn Clock>,
}

impl Store {
    /// A store in memory of at most `bytes`, which evicts what nobody fetched when it is full.
    ///
    /// # Errors
    /// When that is too little to work in.
    pub fn memory(bytes: u64) -> Result<Store, Error> {
        let options = CacheOptions { memory_limit_bytes: bytes, ..CacheOptions::default() };
        Ok(Store::over(Arc::new(Cache::new(options)?), Arc::new(SystemClock::new())))
    }

    /// A store over an engine and a clock.
    pub fn over(engine: Arc<dyn Engine>, clock: Arc<dyn Clock>) -> Store {
        Store { engine, clock }
    }

    /// The engine underneath.
    pub fn engine(&self) -> &Arc<dyn Engine> {
        &self.engine
    }

    fn now(&self) -> Timestamp {
        self.engine.clock().advance(self.clock.wall_ms())
    }

    fn update(&self, key: &[u8], mutation: &mut dyn Mutation) -> Result<u64, Error> {
        match self.engine.update(key, self.now(), mutation)? {
            Progress::Done(applied) => Ok(applied.version),
            Progress::Pending(_) => Err(Error::WouldWait),
        }
    }

    /// The record of a key.
    ///
    /// # Errors
    /// What the engine meets.
    pub fn get(&self, key: &[u8]) -> Result<Option<Record>, Error> {
        let mut result = Ok(None);
        self.engine.get(key, self.now(), &mut |found| {
            result = match found {
                Found::Record(view) => match view.value.as_bytes() {
                    Some(value) => Ok(Some(Record { value: value.to_vec(), meta: view.meta })),
                    None => Err(Error::WouldWait),
                },
                Found::Absent(_) => Ok(None),
                Found::Pending(_) => Err(Error::WouldWait),
            };
            Look::Fetched
        });
        result
    }

    /// Stores a value in any case; gives its version.
    ///
    /// # Errors
    /// Limits and memory.
    pub fn set(&self, key: &[u8], value: &[u8]) -> Result<u64, Error> {
        self.update(key, &mut Putting::set(value))
    }

    /// Stores a value that ends after a while; gives its version.
    ///
    /// # Errors
    /// Limits and memory.
    pub fn set_for(&self, key: &[u8], value: &[u8], lifetime: Duration) -> Result<u64, Error> {
        let expiry = self.expiry_in(lifetime);
        self.update(key, &mut Putting { expiry, ..Putting::set(value) })
    }

    fn expiry_in(&self, lifetime: Duration) -> Expiry {
        let ms = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX);
        Expiry::at(self.now().plus_ms(ms))
    }

    fn put(&self, key: &[u8], mut put: Putting<'_>) -> Result<bool, Error> {
        self.update(key, &mut put)?;
        Ok(matches!(put.outcome, PutOutcome::Stored { .. }))
    }

    /// Stores a value unless there is one; tells whether it did.
    ///
    /// # Errors
    /// Limits and memory.
    pub fn add(&self, key: &[u8], value: &[u8]) -> Result<bool, Error> {
        self.put(key, Putting { mode: PutMode::Add, ..Putting::set(value) })
    }

    /// Stores a value if the record has this version; tells whether it did.
    ///
    /// # Errors
    /// Limits and memory.
    pub fn compare_and_set(&self, key: &[u8], value: &[u8], version: u64) -> Result<bool, Error> {
        self.put(key, Putting { compare: Some(version), ..Putting::set(value) })
    }

    /// Adds bytes at the end of a value; tells whether there was one.
    ///
    /// # Errors
    /// Limits and memory.
    pub fn append(&self, key: &[u8], bytes: &[u8]) -> Result<bool, Error> {
        self.put(key, Putting { mode: PutMode::Append, ..Putting::set(bytes) })
    }

    /// Adds to a number in decimal text; gives the sum, `None` when there is no record.
    ///
    /// # Errors
    /// [`Error::NonNumeric`], limits and memory.
    pub fn increment(&self, key: &[u8], delta: u64) -> Result<Option<u64>, Error> {
        let mut counting = Counting::by(delta, false);
        self.update(key, &mut counting)?;
        match counting.outcome {
            CountOutcome::Number { value, .. } => Ok(Some(value)),
            CountOutcome::NotFound | CountOutcome::Exists => Ok(None),
            CountOutcome::NonNumeric => Err(Error::NonNumeric),
        }
    }

    /// Lets a record end after a while; tells whether there is one.
    ///
    /// # Errors
    /// Limits and memory.
    pub fn touch(&self, key: &[u8], lifetime: Duration) -> Result<bool, Error> {
        let expiry = self.expiry_in(lifetime);
        let mut touch = Retouching { expiry, outcome: RemoveOutcome::NotFound };
        self.update(key, &mut touch)?;
        Ok(touch.outcome != RemoveOutcome::NotFound)
    }

    /// Removes a record; tells whether there was one.
    ///
    /// # Errors
    /// What the engine meets.
    pub fn delete(&self, key: &[u8]) -> Result<bool, Error> {
        let mut removing = Removing::any();
        self.update(key, &mut removing)?;
        Ok(removing.outcome != RemoveOutcome::NotFound)
    }

    /// Removes everything.
    ///
    /// # Errors
    /// What the engine meets.
    pub fn flush(&self) -> Result<(), Error> {
        self.engine.flush(None, self.now())?;
        Ok(())
    }
}
