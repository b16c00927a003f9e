//! The engine.

use crate::files::Files;
use crate::options::TreeOptions;
use crate::range::TreeMeaning;
use crate::shared::Shared;
use crate::stored::found;
use crate::stream::TreeSnapshot;
use crate::walk::Moment;
use crate::writer::Writer;
use parking_lot::Mutex;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use todana_engine::{
    Applied, Cursor, Direction, Effect, Engine, Error, Found, JobProgress, Level, Limits, Listener,
    Look, Mutation, Ordered, Progress, Range, Snapshot, Statistics, StoreClock, StreamError,
    UnitMutation, UpdateStream, View, applying,
};
use todana_io::epoch::pin;
use todana_log::layout::record::{Fields, Operation};
use todana_log::{FlushPolicy, JOB_FLUSH, LogStream};
use todana_record::{Expiry, KEY_LEN_MAX, PartitionId, Position, Timestamp};

/// The jobs of a store on disk, in order.
const JOBS: [&str; 2] = ["flush", "checkpoint"];
/// The longest value, in bytes.
pub(crate) const VALUE_LEN_MAX: u64 = 1 << 20;

/// An ordered store.
#[derive(Debug)]
pub struct Tree {
    pub(crate) options: TreeOptions,
    pub(crate) shared: Arc<Shared>,
    pub(crate) writing: Mutex<Writer>,
    /// None of a store in memory.
    pub(crate) files: Option<Files>,
    clock: StoreClock,
    /// When a removal of all records is due, in ms; 0 for never.
    due_ms: AtomicU64,
}

impl Tree {
    /// An empty store in memory.
    pub fn new(options: TreeOptions) -> Tree {
        let (shared, writer) = Writer::new(None, 0);
        Tree::of(options, shared, writer, None, Expiry::NEVER)
    }

    pub(crate) fn of(
        options: TreeOptions,
        shared: Shared,
        writer: Writer,
        files: Option<Files>,
        due: Expiry,
    ) -> Tree {
        Tree {
            options,
            shared: Arc::new(shared),
            writing: Mutex::new(writer),
            files,
            clock: StoreClock::new(),
            due_ms: AtomicU64::new(due.ms()),
        }
    }

    /// The position of a sequence.
    pub(crate) fn position(&self, sequence: u64) -> Position {
        match &self.files {
            Some(files) => files.log.position(sequence),
            None => Position { incarnation: 1, sequence },
        }
    }

    /// The present incarnation.
    pub(crate) fn incarnation(&self) -> u32 {
        self.position(self.shared.applied()).incarnation
    }

    /// The present moment.
    pub(crate) fn present(&self) -> Moment {
        Moment::now(&self.shared, self.incarnation())
    }

    fn check_key(key: &[u8]) -> Result<(), Error> {
        match key.len() > KEY_LEN_MAX {
            true => Err(Error::KeyTooLarge { len: key.len() as u64, max: KEY_LEN_MAX as u64 }),
            false => Ok(()),
        }
    }

    /// Shows what was changed up to a sequence.
    pub(crate) fn finish(&self, writer: &mut Writer, sequence: u64) -> Position {
        writer.last = sequence;
        if let (Some(files), Some(log)) = (&self.files, &mut writer.log) {
            files.log.show(log, sequence);
        }
        self.shared.applied.store(sequence, Ordering::Release);
        writer.let_go(&self.shared);
        self.position(sequence)
    }

    /// Carries out a flush that has become due.
    ///
    /// # Errors
    /// When that cannot be logged: it is still due.
    #[inline]
    pub(crate) fn flush_if_due(&self, now: Timestamp) -> Result<(), Error> {
        let due = self.due_ms.load(Ordering::Acquire);
        match due != 0 && due <= now.ms() {
            true => self.flush_due(now),
            false => Ok(()),
        }
    }

    #[cold]
    fn flush_due(&self, now: Timestamp) -> Result<(), Error> {
        let mut writer = self.writing.lock();
        let due = self.due_ms.load(Ordering::Acquire);
        match due != 0 && due <= now.ms() {
            true => self.clear(&mut writer, now).map(drop),
            false => Ok(()),
        }
    }

    fn clear(&self, writer: &mut Writer, now: Timestamp) -> Result<Position, Error> {
        let logged = self.log_of_store(writer, Fields::of(Operation::Flush), now);
        let sequence = self.stop_on_poison(logged)?;
        writer.clear(&self.shared, sequence);
        self.set_due(writer, Expiry::NEVER);
        Ok(self.finish(writer, sequence))
    }

    /// Logs that a flush is to come at a moment, or, at `NEVER`, that none is.
    fn order(&self, due: Expiry, now: Timestamp) -> Result<Position, Error> {
        self.check_poison()?;
        let mut writer = self.writing.lock();
        let fields = Fields { expiry: due, ..Fields::of(Operation::FlushDue) };
        let logged = self.log_of_store(&mut writer, fields, now);
        let sequence = self.stop_on_poison(logged)?;
        self.set_due(&mut writer, due);
        Ok(self.finish(&mut writer, sequence))
    }

    fn set_due(&self, writer: &mut Writer, due: Expiry) {
        if let Some(log) = &mut writer.log {
            log.flush_due = due;
        }
        self.due_ms.store(due.ms(), Ordering::Release);
    }

    /// Makes everything durable, makes a checkpoint, and marks the store as closed. Writes are refused from then on,
    /// reads go on. Dropping does it too, but cannot say whether it failed.
    ///
    /// # Errors
    /// [`Error::Poisoned`], also when the store was poisoned before.
    pub fn close(&self) -> Result<(), Error> {
        let Some(files) = &self.files else { return Ok(()) };
        if files.log.is_closed() {
            return Ok(());
        }
        let is_changed = self.shared.applied() > files.checkpointed.load(Ordering::Acquire);
        match if is_changed { self.checkpoint() } else { Ok(()) } {
            // The log has what the checkpoint would have had.
            Ok(()) | Err(Error::NoSpace | Error::Corrupt(_)) => {}
            Err(error) => return Err(error),
        }
        files.log.close(self)
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        // Nobody is left to be told; the next open recovers.
        let _ = self.close();
    }
}

impl Engine for Tree {
    fn name(&self) -> &'static str {
        "tree"
    }

    fn limits(&self) -> Limits {
        Limits {
            key_len_max: KEY_LEN_MAX,
            value_len_max: VALUE_LEN_MAX,
            versions: self.options.versions,
            evicts: false,
            remembers: false,
            waits: false,
            lags: self.files.is_some() && self.options.flush != FlushPolicy::Never,
        }
    }

    fn clock(&self) -> &StoreClock {
        match &self.files {
            Some(files) => &files.log.clock,
            None => &self.clock,
        }
    }

    fn get_many(
        &self,
        keys: &[&[u8]],
        now: Timestamp,
        visit: &mut dyn FnMut(usize, Found<'_>) -> Look,
    ) {
        self.clear_for_readers(now);
        self.look_up_all(keys, now, visit);
    }

    fn get(&self, key: &[u8], now: Timestamp, visit: &mut dyn FnMut(Found<'_>) -> Look) {
        self.clear_for_readers(now);
        let pin = pin();
        let record = self.look_up(&pin, key);
        visit(found(key, record, now));
    }

    fn update(
        &self,
        key: &[u8],
        now: Timestamp,
        mutation: &mut dyn Mutation,
    ) -> Result<Progress<Applied>, Error> {
        self.check_poison()?;
        Tree::check_key(key)?;
        self.flush_if_due(now)?;
        self.stop_on_poison(self.update_one(key, now, mutation)).map(Progress::Done)
    }

    fn update_many(
        &self,
        keys: &[&[u8]],
        now: Timestamp,
        mutation: &mut dyn UnitMutation,
    ) -> Result<Progress<Applied>, Error> {
        self.check_poison()?;
        keys.iter().try_for_each(|key| Tree::check_key(key))?;
        self.flush_if_due(now)?;
        self.stop_on_poison(self.update_unit(keys, now, mutation)).map(Progress::Done)
    }

    fn apply(
        &self,
        _: PartitionId,
        _: Position,
        effect: &Effect<'_>,
        now: Timestamp,
    ) -> Result<(), Error> {
        match effect {
            Effect::Flush { .. } => self.flush(None, now).map(drop),
            Effect::FlushDue { at } if at.is_never() => self.order(*at, now).map(drop),
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
        self.clear_for_readers(now);
        let moment = self.present();
        let range = Range { from: Bound::Included(&from.0), to: Bound::Unbounded };
        let (mut left, mut next) = (count.max(1), None);
        let incarnation = self.incarnation();
        let walked = moment.walk(&range, Direction::Forward, &mut |key, record| {
            if left == 0 {
                next = Some(Cursor(key.to_vec()));
                return ControlFlow::Break(());
            }
            if !record.meta.expiry.is_past(now) {
                visit(&record.view(key, incarnation));
            }
            left -= 1;
            ControlFlow::Continue(())
        });
        walked.map(|()| next)
    }

    fn watermark(&self, _: PartitionId, level: Level) -> Position {
        match &self.files {
            Some(files) => files.log.watermark(level),
            None => self.position(self.shared.applied()),
        }
    }

    fn request_flush(&self, _: PartitionId) {
        if let Some(files) = &self.files {
            files.log.request_flush();
        }
    }

    fn sync(&self) -> Result<(), Error> {
        self.sync_to(self.position(self.shared.applied()))
    }

    fn sync_to(&self, position: Position) -> Result<(), Error> {
        match &self.files {
            Some(files) => files.log.sync_up_to(self, position.sequence),
            None => Ok(()),
        }
    }

    fn close(&self) -> Result<(), Error> {
        Tree::close(self)
    }

    fn subscribe(&self, listener: Arc<dyn Listener>) {
        // What has no files has nothing to tell: its changes are as safe as they will be at once.
        if let Some(files) = &self.files {
            files.log.subscribe(listener);
        }
    }

    fn stream(
        &self,
        partition: PartitionId,
        after: Position,
    ) -> Result<Box<dyn UpdateStream>, StreamError> {
        let Some(files) = &self.files else { return Err(StreamError::Off) };
        let state = files.log.state.clone();
        Ok(Box::new(LogStream::open(state, partition, after, Box::new(TreeMeaning))?))
    }

    fn snapshot(&self, _: PartitionId) -> Result<Box<dyn Snapshot>, StreamError> {
        let Some(files) = &self.files else { return Err(StreamError::Off) };
        self.clear_for_readers(self.clock().now());
        // The log behind the moment is held before it is looked for.
        let hold = files.log.state.hold();
        let moment = self.present();
        let position = self.position(moment.sequence);
        Ok(Box::new(TreeSnapshot { moment, position, from: Some(Vec::new()), _hold: hold }))
    }

    fn flush(&self, due: Option<Timestamp>, now: Timestamp) -> Result<Position, Error> {
        self.check_poison()?;
        match due {
            Some(due) if due > now => self.order(Expiry::at(due), now),
            _ => self.clear(&mut self.writing.lock(), now),
        }
    }

    fn ordered(&self) -> Option<&dyn Ordered> {
        Some(self)
    }

    fn jobs(&self) -> &'static [&'static str] {
        if self.files.is_some() { &JOBS } else { &[] }
    }

    fn run_job(&self, job: usize, now: Timestamp) -> JobProgress {
        match (&self.files, job) {
            (Some(files), JOB_FLUSH) => files.log.flush_job(self, now),
            _ => self.checkpoint_job(now),
        }
    }

    fn statistics(&self, _: Timestamp) -> Statistics {
        let writer = self.writing.lock();
        let mut statistics = Statistics::default();
        statistics.records = writer.records;
        statistics.records_stored = writer.stored;
        statistics.memory_bytes = writer.byte_len();
        statistics.live_bytes = writer.byte_len();
        statistics.memory_limit_bytes = self.options.memory_limit_bytes;
        statistics
    }
}

impl Tree {
    /// [`flush_if_due`](Tree::flush_if_due) for somebody who reads: where it cannot be logged, the store is poisoned or
    /// full, and what was due stays.
    #[inline]
    fn clear_for_readers(&self, now: Timestamp) {
        let _ = self.flush_if_due(now);
    }
}
