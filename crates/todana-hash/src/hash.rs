//! The engine.

use crate::blob::BlobWriter;
use crate::commit::Commit;
use crate::edit;
use crate::flush::Flusher;
use crate::index::spread;
use crate::options::{FlushPolicy, HashOptions};
use crate::shared::Shared;
use crate::snapshot::IndexWalk;
use crate::stream::LogStream;
use crate::writer::Writer;
use parking_lot::{Mutex, RwLock};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use todana_engine::{
    Applied, Cursor, Effect, Engine, Error, Found, JobProgress, Level, Limits, Listener, Look,
    Mutation, Progress, Snapshot, Staged, Statistics, StoreClock, StreamError, UnitMutation,
    UpdateStream, View, applying,
};
use todana_io::Lock;
use todana_log::Reading;
use todana_record::{IndexHash, KEY_LEN_MAX, PartitionId, Position, Timestamp};

/// The jobs of [`Hash`], in order.
pub(crate) const JOBS: [&str; 2] = ["flush", "compact"];
/// Number of the job that writes and flushes.
pub(crate) const JOB_FLUSH: usize = 0;

/// A persistent hash store.
pub struct Hash {
    pub(crate) options: HashOptions,
    pub(crate) reading: Reading,
    pub(crate) clock: StoreClock,
    pub(crate) hash: IndexHash,
    pub(crate) shared: Arc<Shared>,
    /// Locked by [`writer`](Hash::writer), but for blind puts.
    pub(crate) writing: Mutex<Writer>,
    pub(crate) flusher: Mutex<Flusher>,
    pub(crate) commit: Commit,
    pub(crate) compactor: Mutex<crate::compact::Compactor>,
    /// Highest sequence that is safe.
    pub(crate) durable: AtomicU64,
    /// Odd while a unit is half visible.
    pub(crate) units: AtomicU64,
    /// When a flush of all records is due, in ms; 0 for never.
    pub(crate) due_ms: AtomicU64,
    /// Whether a flush has fallen due, is carried out, and not logged yet.
    pub(crate) owes_cut: AtomicBool,
    pub(crate) flush_wanted: AtomicBool,
    pub(crate) poison: OnceLock<String>,
    pub(crate) listeners: RwLock<Vec<Arc<dyn Listener>>>,
    pub(crate) lock: Mutex<Option<Box<dyn Lock>>>,
    pub(crate) report: crate::recovery::Report,
}

impl std::fmt::Debug for Hash {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Hash").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Hash {
    #[inline]
    pub(crate) fn hash_of(&self, key: &[u8]) -> u64 {
        spread(self.hash.of(key))
    }

    #[inline]
    pub(crate) fn position(&self, sequence: u64) -> Position {
        self.shared.position(sequence)
    }

    /// What happened when it was opened.
    pub fn report(&self) -> &crate::recovery::Report {
        &self.report
    }

    pub(crate) fn tell(&self, call: impl Fn(&dyn Listener)) {
        for listener in self.listeners.read().iter() {
            call(&**listener);
        }
    }

    /// Tells listeners that a watermark has advanced.
    pub(crate) fn tell_advanced(&self) {
        for partition in 0..self.shared.partitions {
            self.tell(|listener| listener.advanced(PartitionId(partition)));
        }
    }

    pub(crate) fn check_poison(&self) -> Result<(), Error> {
        match self.poison.get() {
            Some(reason) => Err(Error::Poisoned(reason.clone())),
            None => Ok(()),
        }
    }

    /// Stops the store for good.
    pub(crate) fn poison(&self, reason: String) -> Error {
        Error::Poisoned(self.poison.get_or_init(|| reason).clone())
    }

    #[inline]
    pub(crate) fn stop_on_poison<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        result.inspect_err(|error| {
            if let Error::Poisoned(reason) = error {
                self.poison(reason.clone());
            }
        })
    }

    fn check_key(key: &[u8]) -> Result<(), Error> {
        match key.len() > KEY_LEN_MAX {
            true => Err(Error::KeyTooLarge { len: key.len() as u64, max: KEY_LEN_MAX as u64 }),
            false => Ok(()),
        }
    }

    /// Shows what was appended up to a sequence.
    #[inline]
    pub(crate) fn finish(&self, writer: &mut Writer, sequence: u64) {
        writer.publish_log();
        self.shared.applied.store(sequence, Ordering::Release);
    }
}

impl Engine for Hash {
    fn name(&self) -> &'static str {
        "hash"
    }

    fn limits(&self) -> Limits {
        Limits {
            key_len_max: KEY_LEN_MAX,
            value_len_max: edit::VALUE_LEN_MAX,
            versions: self.shared.versions,
            evicts: false,
            remembers: false,
            waits: false,
            lags: self.options.flush != FlushPolicy::Never,
        }
    }

    fn clock(&self) -> &StoreClock {
        &self.clock
    }

    fn get_many(
        &self,
        keys: &[&[u8]],
        now: Timestamp,
        visit: &mut dyn FnMut(usize, Found<'_>) -> Look,
    ) {
        self.flush_if_due(now);
        self.look_up_all(keys, now, visit);
    }

    fn stage(&self) -> Staged {
        BlobWriter::stage(self.shared.home.clone(), edit::VALUE_LEN_MAX, self.options.staged_bytes)
    }

    fn update(
        &self,
        key: &[u8],
        now: Timestamp,
        mutation: &mut dyn Mutation,
    ) -> Result<Progress<Applied>, Error> {
        self.check_poison()?;
        Hash::check_key(key)?;
        self.log_if_due(now)?;
        self.stop_on_poison(self.update_one(key, now, mutation)).map(Progress::Done)
    }

    fn update_many(
        &self,
        keys: &[&[u8]],
        now: Timestamp,
        mutation: &mut dyn UnitMutation,
    ) -> Result<Progress<Applied>, Error> {
        self.check_poison()?;
        keys.iter().try_for_each(|key| Hash::check_key(key))?;
        self.log_if_due(now)?;
        self.stop_on_poison(self.update_unit(keys, now, mutation)).map(Progress::Done)
    }

    fn apply(
        &self,
        partition: PartitionId,
        _: Position,
        effect: &Effect<'_>,
        now: Timestamp,
    ) -> Result<(), Error> {
        match effect {
            Effect::Flush { .. } if self.shared.partitions > 1 => {
                self.flush_partition(partition, now)
            }
            Effect::Flush { .. } => self.flush(None, now).map(drop),
            Effect::FlushDue { at } if at.is_never() => self.flush_not_due(now),
            Effect::FlushDue { at } => self.flush(Some(Timestamp::from_ms(at.ms())), now).map(drop),
            _ => applying::apply(self, effect, now),
        }
    }

    fn scan(
        &self,
        from: &Cursor,
        count: usize,
        now: Timestamp,
        visit: &mut dyn FnMut(&View<'_>),
    ) -> Result<Option<Cursor>, Error> {
        self.flush_if_due(now);
        let from = match <[u8; 8]>::try_from(&from.0[..]) {
            Ok(bytes) => u64::from_le_bytes(bytes),
            Err(_) if from.0.is_empty() => 0,
            Err(_) => return Ok(None),
        };
        let next = self.walk(from, count, &mut |view| {
            if !view.meta.expiry.is_past(now) {
                visit(view);
            }
        })?;
        Ok(next.map(|next| Cursor(next.to_le_bytes().to_vec())))
    }

    fn watermark(&self, _: PartitionId, level: Level) -> Position {
        let applied = self.shared.applied.load(Ordering::Acquire);
        self.position(match level {
            Level::Durable | Level::Replicated if self.options.flush != FlushPolicy::Never => {
                self.durable.load(Ordering::Acquire)
            }
            _ => applied,
        })
    }

    fn request_flush(&self, _: PartitionId) {
        if !self.flush_wanted.swap(true, Ordering::AcqRel) {
            self.tell(|listener| listener.wanted(JOB_FLUSH));
        }
    }

    fn sync(&self) -> Result<(), Error> {
        let wanted = self.shared.applied.load(Ordering::Acquire);
        self.sync_up_to(wanted)
    }

    fn sync_to(&self, position: Position) -> Result<(), Error> {
        self.sync_up_to(position.sequence)
    }

    fn compact(&self) -> Result<(), Error> {
        Hash::compact(self)
    }

    fn close(&self) -> Result<(), Error> {
        Hash::close(self)
    }

    fn subscribe(&self, listener: Arc<dyn Listener>) {
        self.listeners.write().push(listener);
    }

    fn partition_count(&self) -> u16 {
        self.shared.partitions
    }

    fn partition_of(&self, key: &[u8]) -> PartitionId {
        self.shared.partition_of(key)
    }

    fn stream(
        &self,
        partition: PartitionId,
        after: Position,
    ) -> Result<Box<dyn UpdateStream>, StreamError> {
        Ok(Box::new(LogStream::open(self.shared.clone(), partition, after)?))
    }

    fn snapshot(&self, partition: PartitionId) -> Result<Box<dyn Snapshot>, StreamError> {
        self.flush_if_due(self.clock.now());
        let walk = IndexWalk::new(self.shared.clone(), partition);
        // After its sequence was taken: the index has all up to that.
        self.settle_puts();
        Ok(Box::new(walk))
    }

    fn flush(&self, due: Option<Timestamp>, now: Timestamp) -> Result<Position, Error> {
        self.check_poison()?;
        let sequence = self.stop_on_poison(self.flush_all(due, now))?;
        Ok(self.position(sequence))
    }

    fn jobs(&self) -> &'static [&'static str] {
        &JOBS
    }

    fn run_job(&self, job: usize, now: Timestamp) -> JobProgress {
        match job {
            JOB_FLUSH => self.flush_job(now),
            _ => self.compact_job(now),
        }
    }

    fn statistics(&self, _: Timestamp) -> Statistics {
        let writer = self.writer();
        let index_bytes = writer.index.index().bytes();
        let mut statistics = Statistics::default();
        statistics.records = writer.index.len();
        statistics.records_stored = writer.stored;
        statistics.records_moved = writer.moved;
        statistics.expired = writer.expired;
        statistics.segments_reclaimed = writer.reclaimed;
        statistics.live_bytes = writer.live_len();
        statistics.memory_bytes = index_bytes;
        statistics.index_bytes = index_bytes;
        statistics
    }
}
