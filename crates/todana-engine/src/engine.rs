//! The trait that every engine implements.

use crate::{
    Effect, Error, Found, Mutation, Ordered, Snapshot, Staged, Statistics, StoreClock, StreamError,
    UnitMutation, UpdateStream, View,
};
use std::sync::Arc;
use todana_record::{PartitionId, Position, Timestamp};

/// Stores records.
///
/// # What callers may build on
/// - **(E1)** A key has at most one record. A record whose expiry has come, or that a due flush cut
///   off, is never shown, whether or not its memory was taken back.
/// - **(E2)** Updates of one key happen one after the other; an evaluation sees the effect of all
///   that happened before. A get sees one state, whole.
/// - **(E3)** A unit is seen whole or not at all by any other unit and by anybody who looks at its
///   keys one after the other in one thread after one of them was seen changed.
/// - **(E4)** A version that the engine gives was never given for another state of that key, unless a
///   client gave it ([`NewVersion::Given`](crate::NewVersion::Given)). A touch without a version
///   keeps it. Without CAS (`cas=off`) it is 0.
/// - **(E5)** Within a partition, positions rise with the order of changes; what an update did is at
///   or before the position that it gave back. A watermark never goes back. An engine that keeps
///   no update stream, and whose changes are as safe at once as they will ever be, may give
///   [`Position::START`] for all.
/// - **(E6)** A scan visits every record that is there from its first to its last call exactly once
///   per key, and may or may not visit those that come or go meanwhile.
/// - **(E7)** After [`apply`](Engine::apply) of an effect the key is as the effect says; applying the
///   same effect again changes nothing.
/// - **(E8)** Nothing here blocks on a disk or another thread's disk: it answers *pending* instead.
///
/// # What callers owe
/// - **(C1)** `now` comes from [`clock`](Engine::clock), advanced shortly before.
/// - **(C2)** Visitors and evaluations do not call the engine and are brief: a guard may be held.
/// - **(C3)** Somebody runs the jobs, at the latest when a job said it would be due again. The engine
///   stays correct without, but holds memory longer and answers ages less well.
pub trait Engine: Send + Sync {
    /// What the engine is called: `memory`, `hash`, `tree`.
    fn name(&self) -> &'static str;

    /// What it takes.
    fn limits(&self) -> Limits;

    /// The store's clock.
    fn clock(&self) -> &StoreClock;

    /// Looks up keys; calls `visit` once for each, in order, with its index. The visitor says whether
    /// the engine shall remember the look. The fast path: engines overlap the look-ups.
    fn get_many(
        &self,
        keys: &[&[u8]],
        now: Timestamp,
        visit: &mut dyn FnMut(usize, Found<'_>) -> Look,
    );

    /// Brings near the memory that updates of these keys will need, a few of them at a time: they are
    /// about to come, one by one. Changes nothing.
    fn expect(&self, keys: &[&[u8]]) {
        let _ = keys;
    }

    /// Looks up one key, as [`get_many`](Engine::get_many).
    fn get(&self, key: &[u8], now: Timestamp, visit: &mut dyn FnMut(Found<'_>) -> Look) {
        self.get_many(&[key], now, &mut |_, found| visit(found));
    }

    /// Evaluates a mutation against the key's record and applies its edit.
    ///
    /// # Errors
    /// Limits, memory, space, poison; nothing has changed then, though the mutation may have been
    /// evaluated.
    fn update(
        &self,
        key: &[u8],
        now: Timestamp,
        mutation: &mut dyn Mutation,
    ) -> Result<Progress<Applied>, Error>;

    /// Evaluates a mutation against the records of several keys and applies its edits as one unit
    /// (E3). A key named twice is given as one record to both places and the later edit counts.
    ///
    /// # Errors
    /// As [`update`](Engine::update).
    fn update_many(
        &self,
        keys: &[&[u8]],
        now: Timestamp,
        mutation: &mut dyn UnitMutation,
    ) -> Result<Progress<Applied>, Error>;

    /// Applies an effect that was made elsewhere or before, at its position (E7).
    ///
    /// # Errors
    /// [`Error::NeedsRecord`] when the effect builds on a record that is not here; else as
    /// [`update`](Engine::update).
    fn apply(
        &self,
        partition: PartitionId,
        position: Position,
        effect: &Effect<'_>,
        now: Timestamp,
    ) -> Result<(), Error>;

    /// Begins a value that is written in pieces.
    fn stage(&self) -> Staged {
        Staged::with_limit(self.limits().value_len_max)
    }

    /// Visits about `count` records from a cursor on, perhaps fewer or none where few live, without
    /// leaving a trace in accesses, and gives the cursor to go on from; `None` at the end (E6).
    ///
    /// # Errors
    /// [`Error::Corrupt`]; an unknown cursor counts as the end.
    fn scan(
        &self,
        from: &Cursor,
        count: usize,
        now: Timestamp,
        visit: &mut dyn FnMut(&View<'_>),
    ) -> Result<Option<Cursor>, Error>;

    /// Number of partitions, at least 1.
    fn partition_count(&self) -> u16 {
        1
    }

    /// The partition of a key.
    fn partition_of(&self, key: &[u8]) -> PartitionId {
        let _ = key;
        PartitionId(0)
    }

    /// How far a partition is applied, durable or replicated.
    fn watermark(&self, partition: PartitionId, level: Level) -> Position;

    /// Asks that what is applied become durable soon, for a promise on a store that flushes at
    /// intervals. Returns at once; the watermark tells when.
    fn request_flush(&self, partition: PartitionId) {
        let _ = partition;
    }

    /// Makes everything applied before the call durable. Blocks on a disk: for callers who may wait,
    /// and for closing; never for a worker.
    ///
    /// # Errors
    /// [`Error::Poisoned`].
    fn sync(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Makes what was applied up to a position durable, together with others who wait. Blocks as
    /// [`sync`](Engine::sync).
    ///
    /// # Errors
    /// [`Error::Poisoned`].
    fn sync_to(&self, position: Position) -> Result<(), Error> {
        let _ = position;
        self.sync()
    }

    /// Takes back whatever space can be taken back, now. May take long.
    ///
    /// # Errors
    /// [`Error::Unsupported`], or what the engine meets.
    fn compact(&self) -> Result<(), Error> {
        Err(Error::Unsupported("be compacted"))
    }

    /// Makes everything durable and ends writing; reads go on. Engines without files do nothing.
    ///
    /// # Errors
    /// [`Error::Poisoned`].
    fn close(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Has `listener` told of watermarks, completions and evictions from now on.
    fn subscribe(&self, listener: Arc<dyn Listener>);

    /// Effects of a partition after a position.
    ///
    /// # Errors
    /// [`StreamError::Off`] or [`StreamError::TooOld`].
    fn stream(
        &self,
        partition: PartitionId,
        after: Position,
    ) -> Result<Box<dyn UpdateStream>, StreamError>;

    /// A complete state of a partition to start from.
    ///
    /// # Errors
    /// [`StreamError::Off`] where the engine keeps no stream that could follow.
    fn snapshot(&self, partition: PartitionId) -> Result<Box<dyn Snapshot>, StreamError>;

    /// Removes everything stored before: now, or when `due` has come (a later call replaces one that
    /// is not due yet). Gives the position of the cut, or of the order to make it.
    ///
    /// # Errors
    /// As [`update`](Engine::update).
    fn flush(&self, due: Option<Timestamp>, now: Timestamp) -> Result<Position, Error>;

    /// What it can do besides, if it keeps its keys in order.
    fn ordered(&self) -> Option<&dyn Ordered> {
        None
    }

    /// Names of the engine's background work. The engine owns no threads; the caller runs them.
    fn jobs(&self) -> &'static [&'static str];

    /// Runs a slice of one job (index into [`jobs`](Engine::jobs)), of about a millisecond beside the
    /// time that a disk takes. Different jobs may run at once.
    fn run_job(&self, job: usize, now: Timestamp) -> JobProgress;

    /// Figures; may take all guards one after the other.
    fn statistics(&self, now: Timestamp) -> Statistics;

    /// Changes the memory limit of an engine that has one.
    ///
    /// # Errors
    /// [`Error::Unsupported`], or [`Error::LimitTooSmall`].
    fn set_memory_limit(&self, bytes: u64) -> Result<(), Error> {
        let _ = bytes;
        Err(Error::Unsupported("change its memory limit"))
    }
}

/// Whether an engine remembers that somebody looked at a record (see [`Access`](crate::Access)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// It was fetched.
    Fetched,
    /// Nothing is remembered: a peek, or a look that is done again.
    Peeked,
}

/// What an engine takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest key in bytes.
    pub key_len_max: usize,
    /// Longest value in bytes.
    pub value_len_max: u64,
    /// Whether records have versions.
    pub versions: bool,
    /// Whether records are removed when memory is short.
    pub evicts: bool,
    /// Whether looks are remembered: without, [`Access`](crate::Access) is always that of a record
    /// that was just stored.
    pub remembers: bool,
    /// Whether a look-up or an update may answer *pending*.
    pub waits: bool,
    /// Whether a change may be visible before it is as safe as it will be.
    pub lags: bool,
}

/// Done, or to be asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress<T> {
    /// Done.
    Done(T),
    /// Something has to be read first: ask again when the token has completed.
    Pending(Token),
}

impl<T> Progress<T> {
    /// The result, if it is done.
    pub fn done(self) -> Option<T> {
        match self {
            Progress::Done(result) => Some(result),
            Progress::Pending(_) => None,
        }
    }
}

/// Names a piece of waiting work of an engine. Its completion is told to every [`Listener`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token(pub u64);

/// What an update did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    /// At or after everything that the update changed or saw (E5): what its reply may have to wait
    /// for.
    pub position: Position,
    /// The record's version afterwards; 0 when there is none, and of a unit.
    pub version: u64,
}

/// How safe a change is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Visible to everybody.
    Applied,
    /// Safe against a loss of power, as far as the engine can be.
    Durable,
    /// On the replicas that the store was told to have.
    Replicated,
}

/// Where a scan stands: opaque bytes of the engine's own. Empty at the start. Stays valid for as
/// long as the store is open, whatever is written meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Cursor(pub Vec<u8>);

impl Cursor {
    /// Before the first record.
    pub const START: Cursor = Cursor(Vec::new());
}

/// When a job wants to be run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobProgress {
    /// There is more to do: run it again soon.
    More,
    /// Nothing to do before this moment.
    IdleUntil(Timestamp),
}

/// Told of what happens inside an engine, from whatever thread it happens in. Calls are brief and
/// never call the engine back.
pub trait Listener: Send + Sync {
    /// A watermark of the partition has advanced.
    fn advanced(&self, partition: PartitionId) {
        let _ = partition;
    }

    /// A job (index into [`Engine::jobs`]) has something to do now.
    fn wanted(&self, job: usize) {
        let _ = job;
    }

    /// A token has completed: whoever waits for it asks again.
    fn completed(&self, token: Token) {
        let _ = token;
    }

    /// Whether [`evicted`](Listener::evicted) should be called.
    fn wants_evictions(&self) -> bool {
        false
    }

    /// A record is about to be removed since memory is short.
    fn evicted(&self, record: &View<'_>) {
        let _ = record;
    }
}
