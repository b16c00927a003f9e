//! A store for programs that embed one.

use crate::operation::{
    CountOutcome, Counting, PutMode, PutOutcome, Putting, RemoveOutcome, Removing, Retouching,
};
use crate::runner::Runner;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;
use todana_cache::{Cache, CacheOptions};
use todana_engine::{
    Cursor, Edit, Engine, Found, Look, Mutation, Payload, Progress, Put, Staged, UnitMutation,
    Value, View,
};
use todana_io::{Clock, SystemClock};
use todana_record::{Expiry, Meta, Position, Timestamp};

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
    /// The name cannot be opened.
    #[error("{0}")]
    Name(String),
    /// A transaction read what somebody has changed since: begin again.
    #[error("what the transaction read has changed meanwhile")]
    Conflict,
}

/// A record, copied out of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The value.
    pub value: Vec<u8>,
    /// Flags, expiry, version, kind, marks.
    pub meta: Meta,
}

/// Values longer than this, in bytes, are staged first: a disk is written to before the key is touched.
const STAGED_LEN: usize = 16 << 20;
/// Bytes that are read at once of a value in pieces.
const PIECE_LEN: usize = 256 << 10;

fn pieces_of(value: &Value<'_>, visit: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
    let reader = match value {
        Value::Bytes(bytes) => {
            visit(bytes);
            return Ok(());
        }
        Value::Reader(reader) => reader,
    };
    let mut buffer = vec![0; PIECE_LEN];
    let mut at = 0;
    while at < reader.len() {
        match reader.read_at(at, &mut buffer)? {
            Progress::Done(read) => {
                visit(buffer.get(..read).unwrap_or_default());
                at += read.max(1) as u64;
            }
            Progress::Pending(_) => return Err(Error::WouldWait),
        }
    }
    Ok(())
}

/// The bytes of a value, read together if they are in pieces.
///
/// # Errors
/// What the engine meets.
pub fn bytes_of<'v>(value: &Value<'v>) -> Result<Cow<'v, [u8]>, Error> {
    match value {
        Value::Bytes(bytes) => Ok(Cow::Borrowed(bytes)),
        Value::Reader(_) => {
            let mut all = Vec::new();
            pieces_of(value, &mut |piece| all.extend_from_slice(piece))?;
            Ok(Cow::Owned(all))
        }
    }
}

/// Stores a value that was written in pieces.
struct PuttingStaged {
    value: Option<Staged>,
    meta: Meta,
}

impl Mutation for PuttingStaged {
    fn is_blind(&self) -> bool {
        true
    }

    fn evaluate<'s>(&'s mut self, _: Option<&'s View<'s>>) -> Edit<'s> {
        let Some(value) = self.value.take() else { return Edit::Keep };
        let Meta { flags, expiry, kind, .. } = self.meta;
        Edit::Put(Put { flags, expiry, kind, ..Put::of(Payload::Staged(value)) })
    }
}

/// A store in this process. Cheap to clone; any number of threads may use it. It is closed when the last
/// clone is dropped, or by [`close`](Store::close), which tells whether that went well.
#[derive(Clone)]
pub struct Store {
    engine: Arc<dyn Engine>,
    clock: Arc<dyn Clock>,
    /// Whether a change waits until it is durable.
    waits: bool,
    /// Runs the engine's jobs as long as a clone lives.
    runner: Option<Arc<Runner>>,
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
        Store { engine, clock, waits: false, runner: None }
    }

    /// A store over an engine, with a thread of its own that runs the engine's jobs. With `waits`, a
    /// change returns when it is durable.
    pub(crate) fn running(engine: Arc<dyn Engine>, clock: Arc<dyn Clock>, waits: bool) -> Store {
        let runner = Some(Arc::new(Runner::start(engine.clone(), clock.clone())));
        Store { engine, clock, waits, runner }
    }

    /// The engine underneath.
    pub fn engine(&self) -> &Arc<dyn Engine> {
        &self.engine
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.engine.clock().advance(self.clock.wall_ms())
    }

    fn update(&self, key: &[u8], mutation: &mut dyn Mutation) -> Result<u64, Error> {
        match self.engine.update(key, self.now(), mutation)? {
            Progress::Done(applied) => {
                if self.waits {
                    self.engine.sync_to(applied.position)?;
                }
                Ok(applied.version)
            }
            Progress::Pending(_) => Err(Error::WouldWait),
        }
    }

    /// Waits until a change is as safe as this store's changes are when they return.
    pub(crate) fn wait_for(&self, position: Position) -> Result<(), Error> {
        match self.waits {
            true => Ok(self.engine.sync_to(position)?),
            false => Ok(()),
        }
    }

    /// Changes several records as one: all of it is seen, or nothing.
    pub(crate) fn update_many(
        &self,
        keys: &[&[u8]],
        mutation: &mut dyn UnitMutation,
    ) -> Result<(), Error> {
        match self.engine.update_many(keys, self.now(), mutation)? {
            Progress::Done(applied) if self.waits => Ok(self.engine.sync_to(applied.position)?),
            Progress::Done(_) => Ok(()),
            Progress::Pending(_) => Err(Error::WouldWait),
        }
    }

    /// Looks up many keys at once, much faster than one by one; calls `visit` for each in order.
    ///
    /// # Errors
    /// What the engine meets; some keys have been visited then.
    pub fn get_many(
        &self,
        keys: &[&[u8]],
        mut visit: impl FnMut(usize, Option<&[u8]>),
    ) -> Result<(), Error> {
        let mut result = Ok(());
        self.engine.get_many(keys, self.now(), &mut |at, found| {
            match found {
                Found::Record(view) => match bytes_of(&view.value) {
                    Ok(value) => visit(at, Some(&value)),
                    Err(error) => result = Err(error),
                },
                Found::Absent(_) => visit(at, None),
                Found::Pending(_) => result = Err(Error::WouldWait),
                Found::Failed(error) => result = Err(error.into()),
            }
            Look::Fetched
        });
        result
    }

    /// Visits every record, in no order of its own; those that come or go meanwhile may be met or not.
    /// Stops when `visit` gives `false`.
    ///
    /// # Errors
    /// What the engine meets.
    pub fn for_each(&self, mut visit: impl FnMut(&View<'_>) -> bool) -> Result<(), Error> {
        let mut goes_on = true;
        let mut cursor = Some(Cursor::START);
        while let Some(from) = cursor.filter(|_| goes_on) {
            cursor = self.engine.scan(&from, 1_000, self.now(), &mut |view| {
                goes_on = goes_on && visit(view);
            })?;
        }
        Ok(())
    }

    /// Number of records, ended ones that still take space included.
    pub fn len(&self) -> u64 {
        self.engine.statistics(self.now()).records
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Stores a record with all of its metadata but the version, which is new.
    ///
    /// # Errors
    /// Limits and space.
    pub fn put(&self, key: &[u8], value: &[u8], meta: &Meta) -> Result<u64, Error> {
        let putting = Putting { flags: meta.flags, expiry: meta.expiry, ..Putting::set(value) };
        self.update(key, &mut { putting })
    }

    /// Makes everything stored so far durable.
    ///
    /// # Errors
    /// When the disk fails: the store is stopped then.
    pub fn sync(&self) -> Result<(), Error> {
        Ok(self.engine.sync()?)
    }

    /// Takes back the space of what was replaced or removed, now.
    ///
    /// # Errors
    /// What the engine meets; engines that need none refuse.
    pub fn compact(&self) -> Result<(), Error> {
        Ok(self.engine.compact()?)
    }

    /// Makes everything durable and ends writing, for all clones.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn close(self) -> Result<(), Error> {
        if let Some(runner) = &self.runner {
            runner.stop();
        }
        Ok(self.engine.close()?)
    }

    /// The record of a key.
    ///
    /// # Errors
    /// What the engine meets.
    pub fn get(&self, key: &[u8]) -> Result<Option<Record>, Error> {
        self.get_with(key, |value, meta| Record { value: value.to_vec(), meta: *meta })
    }

    /// Shows the value and metadata of a key's record to `visit`, without copying it; gives what that
    /// gives, `None` when there is no record. A value that is stored in pieces is read whole:
    /// [`read`](Store::read) does not.
    ///
    /// # Errors
    /// What the engine meets.
    #[inline]
    pub fn get_with<T>(
        &self,
        key: &[u8],
        visit: impl FnOnce(&[u8], &Meta) -> T,
    ) -> Result<Option<T>, Error> {
        let mut visit = Some(visit);
        let mut result = Ok(None);
        self.engine.get(key, self.now(), &mut |found| {
            result = match found {
                Found::Record(view) => match (bytes_of(&view.value), visit.take()) {
                    (Ok(value), Some(visit)) => Ok(Some(visit(&value, &view.meta))),
                    (Err(error), _) => Err(error),
                    (Ok(_), None) => Err(Error::WouldWait),
                },
                Found::Absent(_) => Ok(None),
                Found::Pending(_) => Err(Error::WouldWait),
                Found::Failed(error) => Err(error.into()),
            };
            Look::Fetched
        });
        result
    }

    /// Shows a value to `visit` piece by piece, so that a long one is never in memory whole; gives the
    /// metadata, `None` when there is no record.
    ///
    /// # Errors
    /// What the engine meets; some pieces have been visited then.
    pub fn read(&self, key: &[u8], mut visit: impl FnMut(&[u8])) -> Result<Option<Meta>, Error> {
        let mut result = Ok(None);
        self.engine.get(key, self.now(), &mut |found| {
            result = match found {
                Found::Record(view) => pieces_of(&view.value, &mut visit).map(|()| Some(view.meta)),
                Found::Absent(_) => Ok(None),
                Found::Pending(_) => Err(Error::WouldWait),
                Found::Failed(error) => Err(error.into()),
            };
            Look::Fetched
        });
        result
    }

    /// Begins a value that is written in pieces, for [`set_staged`](Store::set_staged). A long one goes
    /// to the disk as it comes, where the store has one.
    pub fn stage(&self) -> Staged {
        self.engine.stage()
    }

    /// Stores a value that was staged; gives its version.
    ///
    /// # Errors
    /// Limits, memory and space.
    pub fn set_staged(&self, key: &[u8], mut value: Staged, meta: &Meta) -> Result<u64, Error> {
        value.finish()?;
        self.update(key, &mut PuttingStaged { value: Some(value), meta: *meta })
    }

    /// Stores a value in any case; gives its version.
    ///
    /// # Errors
    /// Limits and memory.
    pub fn set(&self, key: &[u8], value: &[u8]) -> Result<u64, Error> {
        if value.len() > STAGED_LEN {
            let mut staged = self.stage();
            staged.write(value)?;
            return self.set_staged(key, staged, &Meta::default());
        }
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

    fn put_when(&self, key: &[u8], mut put: Putting<'_>) -> Result<bool, Error> {
        self.update(key, &mut put)?;
        Ok(matches!(put.outcome, PutOutcome::Stored { .. }))
    }

    /// Stores a value unless there is one; tells whether it did.
    ///
    /// # Errors
    /// Limits and memory.
    pub fn add(&self, key: &[u8], value: &[u8]) -> Result<bool, Error> {
        self.put_when(key, Putting { mode: PutMode::Add, ..Putting::set(value) })
    }

    /// Stores a value if the record has this version; tells whether it did.
    ///
    /// # Errors
    /// Limits and memory.
    pub fn compare_and_set(&self, key: &[u8], value: &[u8], version: u64) -> Result<bool, Error> {
        self.put_when(key, Putting { compare: Some(version), ..Putting::set(value) })
    }

    /// Adds bytes at the end of a value; tells whether there was one.
    ///
    /// # Errors
    /// Limits and memory.
    pub fn append(&self, key: &[u8], bytes: &[u8]) -> Result<bool, Error> {
        self.put_when(key, Putting { mode: PutMode::Append, ..Putting::set(bytes) })
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
        if self.waits {
            self.engine.sync()?;
        }
        Ok(())
    }
}
