//! The engine.

use crate::options::TreeOptions;
use crate::shared::Shared;
use crate::stored::found;
use crate::walk::Moment;
use crate::writer::Writer;
use parking_lot::{Mutex, RwLock};
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use todana_engine::{
    Applied, Cursor, Direction, Effect, Engine, Error, Found, JobProgress, Level, Limits, Listener,
    Look, Mutation, Ordered, Progress, Range, Snapshot, Statistics, StoreClock, StreamError,
    UnitMutation, UpdateStream, View, applying,
};
use todana_io::epoch::pin;
use todana_record::{KEY_LEN_MAX, PartitionId, Position, Timestamp};

/// The longest value, in bytes.
pub(crate) const VALUE_LEN_MAX: u64 = 1 << 20;

/// An ordered store.
#[derive(Debug)]
pub struct Tree {
    pub(crate) options: TreeOptions,
    pub(crate) shared: Arc<Shared>,
    pub(crate) writing: Mutex<Writer>,
    clock: StoreClock,
    /// When a removal of all records is due, in ms; 0 for never.
    due_ms: AtomicU64,
    listeners: Listeners,
}

#[derive(Default)]
struct Listeners(RwLock<Vec<Arc<dyn Listener>>>);

impl std::fmt::Debug for Listeners {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} listeners", self.0.read().len())
    }
}

impl Tree {
    /// An empty store in memory.
    pub fn new(options: TreeOptions) -> Tree {
        let (shared, writer) = Writer::new();
        Tree {
            options,
            shared: Arc::new(shared),
            writing: Mutex::new(writer),
            clock: StoreClock::new(),
            due_ms: AtomicU64::new(0),
            listeners: Listeners::default(),
        }
    }

    pub(crate) fn position(&self, sequence: u64) -> Position {
        Position { incarnation: 1, sequence }
    }

    fn check_key(key: &[u8]) -> Result<(), Error> {
        match key.len() > KEY_LEN_MAX {
            true => Err(Error::KeyTooLarge { len: key.len() as u64, max: KEY_LEN_MAX as u64 }),
            false => Ok(()),
        }
    }

    /// Shows what was changed up to a sequence.
    pub(crate) fn finish(&self, sequence: u64) -> Position {
        self.shared.applied.store(sequence, Ordering::Release);
        self.position(sequence)
    }

    pub(crate) fn flush_if_due(&self, now: Timestamp) {
        let due = self.due_ms.load(Ordering::Acquire);
        if due == 0 || now.ms() < due {
            return;
        }
        let mut writer = self.writing.lock();
        if self.due_ms.compare_exchange(due, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            self.clear(&mut writer);
        }
    }

    fn clear(&self, writer: &mut Writer) -> Position {
        let sequence = writer.last + 1;
        writer.clear(&self.shared, sequence);
        let position = self.finish(sequence);
        writer.let_go(&self.shared);
        position
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
            lags: false,
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

    fn get(&self, key: &[u8], now: Timestamp, visit: &mut dyn FnMut(Found<'_>) -> Look) {
        self.flush_if_due(now);
        let pin = pin();
        let record = self.shared.get(&pin, key);
        visit(found(key, record, now));
    }

    fn update(
        &self,
        key: &[u8],
        now: Timestamp,
        mutation: &mut dyn Mutation,
    ) -> Result<Progress<Applied>, Error> {
        Tree::check_key(key)?;
        self.flush_if_due(now);
        self.update_one(key, now, mutation).map(Progress::Done)
    }

    fn update_many(
        &self,
        keys: &[&[u8]],
        now: Timestamp,
        mutation: &mut dyn UnitMutation,
    ) -> Result<Progress<Applied>, Error> {
        keys.iter().try_for_each(|key| Tree::check_key(key))?;
        self.flush_if_due(now);
        self.update_unit(keys, now, mutation).map(Progress::Done)
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
            Effect::FlushDue { at } if at.is_never() => {
                self.due_ms.store(0, Ordering::Release);
                Ok(())
            }
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
        let moment = Moment::now(&self.shared);
        let range = Range { from: Bound::Included(&from.0), to: Bound::Unbounded };
        let (mut left, mut next) = (count.max(1), None);
        moment.walk(&range, Direction::Forward, &mut |key, record| {
            if left == 0 {
                next = Some(Cursor(key.to_vec()));
                return ControlFlow::Break(());
            }
            if !record.meta.expiry.is_past(now) {
                visit(&record.view(key, 1));
            }
            left -= 1;
            ControlFlow::Continue(())
        });
        Ok(next)
    }

    fn watermark(&self, _: PartitionId, _: Level) -> Position {
        self.position(self.shared.applied())
    }

    fn subscribe(&self, listener: Arc<dyn Listener>) {
        self.listeners.0.write().push(listener);
    }

    fn stream(&self, _: PartitionId, _: Position) -> Result<Box<dyn UpdateStream>, StreamError> {
        Err(StreamError::Off)
    }

    fn snapshot(&self, _: PartitionId) -> Result<Box<dyn Snapshot>, StreamError> {
        Err(StreamError::Off)
    }

    fn flush(&self, due: Option<Timestamp>, now: Timestamp) -> Result<Position, Error> {
        let mut writer = self.writing.lock();
        match due {
            Some(due) if due > now => {
                self.due_ms.store(due.ms(), Ordering::Release);
                Ok(self.position(writer.last))
            }
            _ => {
                self.due_ms.store(0, Ordering::Release);
                Ok(self.clear(&mut writer))
            }
        }
    }

    fn ordered(&self) -> Option<&dyn Ordered> {
        Some(self)
    }

    fn jobs(&self) -> &'static [&'static str] {
        &[]
    }

    fn run_job(&self, _: usize, now: Timestamp) -> JobProgress {
        JobProgress::IdleUntil(now.plus_ms(1_000))
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
