//! The engine.

use crate::blob::{BlobWriter, Blobs};
use crate::edit;
use crate::index::spread;
use crate::options::HashOptions;
use crate::shared::Shared;
use crate::snapshot::IndexWalk;
use crate::writer::Writer;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use todana_engine::{
    Applied, Cursor, Effect, Engine, Error, Found, JobProgress, Level, Limits, Listener, Look,
    Mutation, Progress, Snapshot, Staged, Statistics, StoreClock, StreamError, UnitMutation,
    UpdateStream, View, applying,
};
use todana_log::{FlushPolicy, JOB_FLUSH, Log, LogStream, Report};
use todana_record::{IndexHash, KEY_LEN_MAX, PartitionId, Position, Timestamp};

/// The jobs of [`Hash`], in order: the log's first.
const JOBS: [&str; 2] = ["flush", "compact"];

/// A persistent hash store.
pub struct Hash {
    pub(crate) options: HashOptions,
    pub(crate) log: Log,
    pub(crate) hash: IndexHash,
    pub(crate) shared: Shared,
    /// Locked by [`writer`](Hash::writer), but for blind puts.
    pub(crate) writing: Mutex<Writer>,
    pub(crate) compactor: Mutex<crate::compact::Compactor>,
    /// Odd while a unit is half visible.
    pub(crate) units: AtomicU64,
    /// When a flush of all records is due, in ms; 0 for never.
    pub(crate) due_ms: AtomicU64,
    /// Whether a flush has fallen due, is carried out, and not logged yet.
    pub(crate) owes_cut: AtomicBool,
    pub(crate) report: Report,
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
        self.shared.log.position(sequence)
    }

    /// What happened when it was opened.
    pub fn report(&self) -> &Report {
        &self.report
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
        self.log.show(&mut writer.log, sequence);
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
            versions: self.shared.log.versions,
            evicts: false,
            remembers: false,
            waits: false,
            lags: self.options.flush != FlushPolicy::Never,
        }
    }

    fn clock(&self) -> &StoreClock {
        &self.log.clock
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
        BlobWriter::stage(
            self.shared.log.home.clone(),
            edit::VALUE_LEN_MAX,
            self.options.staged_bytes,
        )
    }

    fn update(
        &self,
        key: &[u8],
        now: Timestamp,
        mutation: &mut dyn Mutation,
    ) -> Result<Progress<Applied>, Error> {
        self.log.check_poison()?;
        Hash::check_key(key)?;
        self.log_if_due(now)?;
        self.log.stop_on_poison(self.update_one(key, now, mutation)).map(Progress::Done)
    }

    fn update_many(
        &self,
        keys: &[&[u8]],
        now: Timestamp,
        mutation: &mut dyn UnitMutation,
    ) -> Result<Progress<Applied>, Error> {
        self.log.check_poison()?;
        keys.iter().try_for_each(|key| Hash::check_key(key))?;
        self.log_if_due(now)?;
        self.log.stop_on_poison(self.update_unit(keys, now, mutation)).map(Progress::Done)
    }

    fn apply(
        &self,
        partition: PartitionId,
        _: Position,
        effect: &Effect<'_>,
        now: Timestamp,
    ) -> Result<(), Error> {
        match effect {
            Effect::Flush { .. } if self.shared.log.partitions > 1 => {
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
        self.log.watermark(level)
    }

    fn request_flush(&self, _: PartitionId) {
        self.log.request_flush();
    }

    fn sync(&self) -> Result<(), Error> {
        self.log.sync_up_to(self, self.log.applied())
    }

    fn sync_to(&self, position: Position) -> Result<(), Error> {
        self.log.sync_up_to(self, position.sequence)
    }

    fn compact(&self) -> Result<(), Error> {
        Hash::compact(self)
    }

    fn close(&self) -> Result<(), Error> {
        Hash::close(self)
    }

    fn subscribe(&self, listener: Arc<dyn Listener>) {
        self.log.subscribe(listener);
    }

    fn partition_count(&self) -> u16 {
        self.shared.log.partitions
    }

    fn partition_of(&self, key: &[u8]) -> PartitionId {
        self.shared.log.partition_of(key)
    }

    fn stream(
        &self,
        partition: PartitionId,
        after: Position,
    ) -> Result<Box<dyn UpdateStream>, StreamError> {
        let blobs = Box::new(Blobs(self.shared.log.home.clone()));
        Ok(Box::new(LogStream::open(self.shared.log.clone(), partition, after, blobs)?))
    }

    fn snapshot(&self, partition: PartitionId) -> Result<Box<dyn Snapshot>, StreamError> {
        self.flush_if_due(self.log.clock.now());
        let walk = IndexWalk::new(self.shared.clone(), partition);
        // After its sequence was taken: the index has all up to that.
        self.settle_puts();
        Ok(Box::new(walk))
    }

    fn flush(&self, due: Option<Timestamp>, now: Timestamp) -> Result<Position, Error> {
        self.log.check_poison()?;
        let sequence = self.log.stop_on_poison(self.flush_all(due, now))?;
        Ok(self.position(sequence))
    }

    fn jobs(&self) -> &'static [&'static str] {
        &JOBS
    }

    fn run_job(&self, job: usize, now: Timestamp) -> JobProgress {
        match job {
            JOB_FLUSH => self.log.flush_job(self, now),
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
        statistics.live_bytes = writer.log.live_len();
        statistics.memory_bytes = index_bytes;
        statistics.index_bytes = index_bytes;
        statistics
    }
}
