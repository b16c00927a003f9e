//! The engine.

use crate::blob::BlobWriter;
use crate::commit::Commit;
use crate::edit;
use crate::flush::Flusher;
use crate::index::{Probe, spread};
use crate::layout::record::{Fields, Operation};
use crate::options::{FlushPolicy, HashOptions};
use crate::pins::Pins;
use crate::segment::Reading;
use crate::shared::Shared;
use crate::snapshot::IndexWalk;
use crate::stream::LogStream;
use crate::view::{Hit, Tables};
use crate::writer::Home;
use crate::writer::{Change, Writer};
use arc_swap::Guard;
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::{Arc, OnceLock};
use todana_engine::{
    Absence, Applied, Cursor, Edit, Effect, Engine, Error, Found, JobProgress, Level, Limits,
    Listener, Look, Mutation, Progress, Snapshot, Staged, Statistics, StoreClock, StreamError,
    UnitMutation, UpdateStream, View, applying,
};
use todana_io::Lock;
use todana_record::{Expiry, IndexHash, KEY_LEN_MAX, PartitionId, Position, Timestamp};

/// Look-ups of a group that are under way in each step.
const AHEAD: usize = 8;

/// Times that a look-up may find its tables out of date before that is looked into.
const RELOADS_MAX: u32 = 1_000;

/// The jobs of [`Hash`], in order.
pub(crate) const JOBS: [&str; 2] = ["flush", "compact"];
/// Number of the job that writes and flushes.
pub(crate) const JOB_FLUSH: usize = 0;

/// A persistent hash store.
pub struct Hash {
    pub(crate) options: HashOptions,
    pub(crate) home: Home,
    pub(crate) reading: Reading,
    pub(crate) clock: StoreClock,
    pub(crate) hash: IndexHash,
    pub(crate) shared: Arc<Shared>,
    pub(crate) writer: Mutex<Writer>,
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
    fn hash_of(&self, key: &[u8]) -> u64 {
        spread(self.hash.of(key))
    }

    #[inline]
    fn position(&self, sequence: u64) -> Position {
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

    /// Carries out a flush that has become due, for somebody who reads.
    #[inline]
    fn flush_if_due(&self, now: Timestamp) {
        let due = self.due_ms.load(Ordering::Acquire);
        if due != 0 && due <= now.ms() && !self.owes_cut.load(Ordering::Acquire) {
            self.clear_due(now);
        }
    }

    /// Carries out a flush that has become due, and logs it: before anything else is.
    #[inline]
    fn log_if_due(&self, now: Timestamp) -> Result<(), Error> {
        let due = self.due_ms.load(Ordering::Acquire);
        match due != 0 && due <= now.ms() {
            true => self.cut_due(now),
            false => Ok(()),
        }
    }

    /// Logs it, or, where that is not possible, forgets everything: the log has it that this was to come,
    /// and is told before the next change that it has.
    #[cold]
    fn clear_due(&self, now: Timestamp) {
        let mut writer = self.writer.lock();
        if !writer.flush_due.is_past(now) || self.owes_cut.load(Ordering::Acquire) {
            return;
        }
        let is_logged =
            self.check_poison().is_ok() && self.stop_on_poison(self.cut(&mut writer, now)).is_ok();
        let applied = self.shared.applied.load(Ordering::Relaxed);
        if !is_logged && self.forget_all(&mut writer, applied).is_ok() {
            self.owes_cut.store(true, Ordering::Release);
        }
    }

    #[cold]
    fn cut_due(&self, now: Timestamp) -> Result<(), Error> {
        let mut writer = self.writer.lock();
        match writer.flush_due.is_past(now) {
            true => self.stop_on_poison(self.cut(&mut writer, now)).map(|_| ()),
            false => Ok(()),
        }
    }

    fn forget_all(&self, writer: &mut Writer, sequence: u64) -> Result<(), Error> {
        let cleared = writer.index.clear();
        cleared.map_err(|error| self.poison(format!("the index: {error}")))?;
        writer.accounts.iter_mut().for_each(|account| account.live = 0);
        let blobs = std::mem::take(&mut writer.blobs);
        writer.dead_blobs.extend(blobs.into_iter().map(|id| (sequence, id)));
        Ok(())
    }

    /// Forgets a flush that was to come.
    pub(crate) fn flush_not_due(&self, now: Timestamp) -> Result<(), Error> {
        self.check_poison()?;
        self.log_if_due(now)?;
        let mut writer = self.writer.lock();
        self.stop_on_poison(writer.reserve(&self.shared.tables, 64, 1, now))?;
        let fields = Fields::of(Operation::FlushDue);
        let change = Change::of_store(fields);
        let appended = writer.append(&change)?;
        writer.flush_due = Expiry::NEVER;
        self.due_ms.store(0, Ordering::Release);
        self.finish(&mut writer, appended.sequence);
        Ok(())
    }

    /// Removes the records of a partition, one by one: a cut would take those of the others too.
    fn flush_partition(&self, partition: PartitionId, now: Timestamp) -> Result<(), Error> {
        let mut next = Some(0);
        let mut keys: Vec<Vec<u8>> = Vec::new();
        while let Some(from) = next {
            next = self.shared.walk(from, 1_000, &mut |view| {
                if self.shared.partition_of(view.key) == partition {
                    keys.push(view.key.to_vec());
                }
            })?;
            for key in keys.drain(..) {
                applying::apply(self, &Effect::Remove { key: &key }, now)?;
            }
        }
        Ok(())
    }

    /// Removes everything stored before.
    fn cut(&self, writer: &mut Writer, now: Timestamp) -> Result<u64, Error> {
        writer.reserve(&self.shared.tables, 64, 1, now)?;
        let sequence = writer.log.as_ref().map_or(0, |log| log.header.id + log.end() as u64);
        let fields = Fields { number: sequence, ..Fields::of(Operation::Flush) };
        let change = Change::of_store(fields);
        writer.append(&change)?;
        self.forget_all(writer, sequence)?;
        (writer.cut, writer.flush_due) = (sequence, Expiry::NEVER);
        self.due_ms.store(0, Ordering::Release);
        self.owes_cut.store(false, Ordering::Release);
        self.finish(writer, sequence);
        Ok(sequence)
    }

    fn flush_all(&self, due: Option<Timestamp>, now: Timestamp) -> Result<u64, Error> {
        self.log_if_due(now)?;
        let mut writer = self.writer.lock();
        let Some(due) = due.filter(|due| *due > now) else { return self.cut(&mut writer, now) };
        writer.reserve(&self.shared.tables, 64, 1, now)?;
        let fields = Fields { expiry: Expiry::at(due), ..Fields::of(Operation::FlushDue) };
        let appended = writer.append(&Change::of_store(fields))?;
        writer.flush_due = Expiry::at(due);
        self.due_ms.store(due.ms(), Ordering::Release);
        self.finish(&mut writer, appended.sequence);
        Ok(appended.sequence)
    }

    /// Shows what was appended up to a sequence.
    #[inline]
    pub(crate) fn finish(&self, writer: &mut Writer, sequence: u64) {
        writer.publish_log();
        self.shared.applied.store(sequence, Ordering::Release);
    }

    /// Looks one key up and visits what is found.
    #[inline]
    fn look_up(
        &self,
        tables: &mut Guard<Arc<Tables>>,
        key: &[u8],
        hash: u64,
        now: Timestamp,
        visit: &mut dyn FnMut(Found<'_>) -> Look,
    ) {
        let mut reloads = 0;
        loop {
            let unit = self.units.load(Ordering::Acquire);
            if unit & 1 == 1 {
                std::thread::yield_now();
                continue;
            }
            let pins = Pins::new();
            let found = tables.find(hash, key, &pins);
            if let Ok(Probe::Reload) = found {
                reloads += 1;
                if reloads > RELOADS_MAX && self.is_astray(key, hash) {
                    let what = "the index points to a segment that is not there".to_owned();
                    visit(Found::Failed(Error::Corrupt(what)));
                    return;
                }
                *tables = self.shared.tables.load();
                continue;
            }
            fence(Ordering::Acquire);
            if self.units.load(Ordering::Relaxed) != unit {
                continue;
            }
            match found {
                Ok(Probe::Found(hit)) if hit.record.expiry.is_past(now) => {
                    visit(Found::Absent(Absence::Expired))
                }
                Ok(Probe::Found(hit)) => match self.shared.view(&hit, &pins) {
                    Ok(Some(view)) => visit(Found::Record(view)),
                    Ok(None) if reloads < RELOADS_MAX => {
                        reloads += 1;
                        *tables = self.shared.tables.load();
                        continue;
                    }
                    Ok(None) => visit(Found::Failed(Error::Corrupt("a blob is gone".to_owned()))),
                    Err(error) => visit(Found::Failed(error)),
                },
                Ok(_) => visit(Found::Absent(Absence::Unknown)),
                Err(error) => visit(Found::Failed(error)),
            };
            return;
        }
    }

    /// Whether the index points to no segment even while nobody changes anything.
    #[cold]
    fn is_astray(&self, key: &[u8], hash: u64) -> bool {
        let _writer = self.writer.lock();
        let found =
            self.shared.tables.load().find(hash, key, &Pins::new()).map(|found| match found {
                Probe::Reload => true,
                Probe::Found(_) | Probe::Absent => false,
            });
        found.unwrap_or(false)
    }

    /// The record that a writer found, unless it has ended.
    #[inline]
    fn current<'v>(
        &self,
        hit: Option<&Hit<'v>>,
        now: Timestamp,
        pins: &'v Pins,
    ) -> Result<Option<View<'v>>, Error> {
        let Some(hit) = hit.filter(|hit| !hit.record.expiry.is_past(now)) else { return Ok(None) };
        match self.shared.view(hit, pins)? {
            Some(view) => Ok(Some(view)),
            // Under the lock no blob goes that a record refers to.
            None => Err(Error::Corrupt("the blob of a record is gone".to_owned())),
        }
    }

    fn refuse_when_short(&self, writer: &Writer, change: &Change<'_>) -> Result<(), Error> {
        let puts = change.fields.operation.is_put();
        let room = |log: &crate::head::Head| log.room();
        match puts
            && writer.short
            && writer.log.as_ref().map_or(0, room) < change.len_max() + (64 << 10)
        {
            true => Err(Error::NoSpace),
            false => Ok(()),
        }
    }

    fn update_one(
        &self,
        key: &[u8],
        now: Timestamp,
        mutation: &mut dyn Mutation,
    ) -> Result<Applied, Error> {
        let hash = self.hash_of(key);
        // On its way while the lock is taken.
        self.shared.index.prefetch(hash);
        let mut writer = self.writer.lock();
        let tables = writer.tables.take().unwrap_or_else(|| self.shared.tables.load_full());
        let pins = Pins::new();
        let (seat, hit) = tables.seek(&writer.index, hash, key, &pins)?;
        let view = self.current(hit.as_ref(), now, &pins)?;
        let mut edit = mutation.evaluate(view.as_ref());
        let change = edit::change(&self.home, &mut edit, key, hash, view.as_ref(), hit.as_ref())?;
        let Some(change) = change else {
            let sequence = self.shared.applied.load(Ordering::Relaxed);
            let version = view.map_or(0, |view| view.meta.version);
            return Ok(Applied { position: self.position(sequence), version });
        };
        let old_blob = hit.as_ref().and_then(|hit| hit.record.blob());
        let appended = self
            .refuse_when_short(&writer, &change)
            .and_then(|()| writer.reserve(&self.shared.tables, change.len_max(), 1, now))
            .and_then(|()| writer.append(&change))
            .inspect_err(|_| writer.blob_is_unused(change.blob, old_blob))?;
        writer.publish_log();
        let (operation, old) = (change.fields.operation, hit.as_ref().map(edit::old_of));
        writer.point(seat, operation, appended, old)?;
        if old_blob.is_some() || change.blob.is_some() {
            writer.blob_changes(old_blob, change.blob, appended.sequence);
        }
        self.finish(&mut writer, appended.sequence);
        let version = match (operation, self.shared.versions) {
            (Operation::Put | Operation::PutBlob, true) => {
                change.version.unwrap_or(appended.sequence)
            }
            _ => 0,
        };
        if tables.state == writer.state {
            writer.tables = Some(tables);
        }
        let (wants, behind) = (writer.wants_writing(), writer.retired.len());
        drop(writer);
        self.after_append(wants, behind)?;
        Ok(Applied { position: self.position(appended.sequence), version })
    }

    /// Has what was appended written, when it is much; writes it here when nobody else does.
    #[inline]
    fn after_append(&self, wants: bool, behind: usize) -> Result<(), Error> {
        if wants {
            if behind >= 2 {
                return self.write_out(false);
            }
            self.tell(|listener| listener.wanted(JOB_FLUSH));
        }
        Ok(())
    }

    fn update_unit(
        &self,
        keys: &[&[u8]],
        now: Timestamp,
        mutation: &mut dyn UnitMutation,
    ) -> Result<Applied, Error> {
        let mut writer = self.writer.lock();
        let tables = self.shared.tables.load();
        let mut hits = Vec::with_capacity(keys.len());
        let mut pins = Vec::new();
        pins.resize_with(keys.len(), Pins::new);
        for (key, pins) in keys.iter().zip(&pins) {
            let hash = self.hash_of(key);
            hits.push((hash, tables.seek(&writer.index, hash, key, pins)?.1));
        }
        let views: Vec<Option<View<'_>>> = hits
            .iter()
            .zip(&pins)
            .map(|((_, hit), pins)| self.current(hit.as_ref(), now, pins))
            .collect::<Result<_, _>>()?;
        let mut edits = mutation.evaluate(&views);
        let mut changes = Vec::with_capacity(keys.len());
        // Of several edits to one key the last counts.
        let mut latest: HashMap<&[u8], usize> = HashMap::with_capacity(keys.len());
        for (at, (key, edit)) in keys.iter().zip(&edits).enumerate() {
            if !matches!(edit, Edit::Keep) {
                latest.insert(key, at);
            }
        }
        let seen = hits.iter().zip(&views);
        for (at, ((key, edit), ((hash, hit), view))) in
            keys.iter().zip(&mut edits).zip(seen).enumerate()
        {
            if latest.get(key) == Some(&at) {
                let (view, hit) = (view.as_ref(), hit.as_ref());
                let change = edit::change(&self.home, edit, key, *hash, view, hit)?;
                changes.extend(change.map(|change| (change, hit.copied())));
            }
        }
        if changes.is_empty() {
            let sequence = self.shared.applied.load(Ordering::Relaxed);
            return Ok(Applied { position: self.position(sequence), version: 0 });
        }
        for (change, _) in &changes {
            self.refuse_when_short(&writer, change)?;
        }
        let number = changes.len() as u64;
        let fields = Fields { number, ..Fields::of(Operation::Unit) };
        let unit = Change::of_store(fields);
        let len_max = changes.iter().map(|(change, _)| change.len_max()).sum::<usize>();
        writer.reserve(&self.shared.tables, len_max + unit.len_max(), changes.len() + 1, now)?;
        writer.append(&unit)?;
        self.units.fetch_add(1, Ordering::AcqRel);
        let done = self.append_all(&mut writer, &changes);
        self.units.fetch_add(1, Ordering::AcqRel);
        let sequence = self.stop_on_poison(done)?;
        let wants = writer.wants_writing();
        let behind = writer.retired.len();
        drop(writer);
        self.after_append(wants, behind)?;
        Ok(Applied { position: self.position(sequence), version: 0 })
    }

    fn append_all(
        &self,
        writer: &mut Writer,
        changes: &[(Change<'_>, Option<Hit<'_>>)],
    ) -> Result<u64, Error> {
        let mut appended = Vec::with_capacity(changes.len());
        for (change, _) in changes {
            appended.push(writer.append(change)?);
        }
        let sequence = appended.last().map_or(0, |last| last.sequence);
        writer.publish_log();
        for ((change, hit), appended) in changes.iter().zip(appended) {
            let old = hit.as_ref().map(edit::old_of);
            let seat = writer.seat(change.hash, old.map(|(place, _)| place));
            writer.point(seat, change.fields.operation, appended, old)?;
            let old_blob = hit.as_ref().and_then(|hit| hit.record.blob());
            if old_blob.is_some() || change.blob.is_some() {
                writer.blob_changes(old_blob, change.blob, appended.sequence);
            }
        }
        self.finish(writer, sequence);
        Ok(sequence)
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
        let mut tables = self.shared.tables.load();
        if let [key] = keys {
            let hash = self.hash_of(key);
            self.look_up(&mut tables, key, hash, now, &mut |found| visit(0, found));
            return;
        }
        // Three steps of each look-up, each begun while the memory for the next is on its way.
        let mut hashes = [0; 4 * AHEAD];
        for at in 0..keys.len() + 2 * AHEAD {
            if let Some(key) = keys.get(at) {
                let hash = self.hash_of(key);
                hashes[at % hashes.len()] = hash;
                tables.index.prefetch(hash);
            }
            let second = at.wrapping_sub(AHEAD);
            if second < keys.len() {
                tables.prefetch(hashes[second % hashes.len()]);
            }
            let third = at.wrapping_sub(2 * AHEAD);
            if let Some(key) = keys.get(third) {
                let hash = hashes[third % hashes.len()];
                self.look_up(&mut tables, key, hash, now, &mut |found| visit(third, found));
            }
        }
    }

    fn stage(&self) -> Staged {
        BlobWriter::stage(self.home.clone(), edit::VALUE_LEN_MAX, self.options.staged_bytes)
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
        let next = self.shared.walk(from, count, &mut |view| {
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
        Ok(Box::new(IndexWalk::new(self.shared.clone(), partition)))
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
        let writer = self.writer.lock();
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
