//! The engine: shards behind locks, and what they share.

use crate::access::SWEEP_PERIOD_S;
use crate::options::CacheOptions;
use crate::segment::SEGMENT_LEN_MAX;
use crate::shard::{Prepared, Shard, encode_edit, view_of};
use crate::shared::Shared;
use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use todana_engine::applying;
use todana_engine::{
    Absence, Applied, ClassStatistics, Cursor, Edit, Effect, Engine, Error, Found, JobProgress,
    Level, Limits, Listener, Look, Mutation, Progress, Snapshot, Statistics, StoreClock,
    StreamError, UnitMutation, UpdateStream, View,
};
use todana_record::{KEY_LEN_MAX, PartitionId, Position, Timestamp, VALUE_LEN_MAX};

/// The least memory limit that the engine works in: 1 MiB.
pub const MEMORY_LIMIT_MIN_BYTES: u64 = 1 << 20;

const SHARD_COUNT_MAX: usize = 64;
/// Bytes of ordinary segments where the limit leaves room for enough of them.
const SEGMENT_LEN: usize = 256 * 1024;
/// Home buckets that the job *ages* visits in one slice.
const SWEEP_SLICE_BUCKETS: usize = 2_048;

/// Buckets that a scan may look at in one call, however few records are asked for.
const BUCKETS_PER_SCAN_MIN: usize = 1_024;

const JOB_EXPIRE: usize = 0;
const JOB_AGES: usize = 1;
const JOB_FLUSH: usize = 2;

/// Keeps locks of different shards off each other's cache lines.
#[repr(align(64))]
struct Padded(Mutex<Shard>);

/// The memory engine. See the crate's documentation.
pub struct Cache {
    shards: Box<[Padded]>,
    shared: Shared,
    clock: StoreClock,
    /// Milliseconds since the epoch when a flush is due; 0: none.
    flush_due_ms: AtomicU64,
    sweep_done_s: AtomicU64,
}

impl Cache {
    /// Makes an empty cache.
    ///
    /// # Errors
    /// [`Error::LimitTooSmall`].
    pub fn new(options: CacheOptions) -> Result<Cache, Error> {
        check_limit(options.memory_limit_bytes)?;
        let limit = usize::try_from(options.memory_limit_bytes).unwrap_or(usize::MAX);
        let value_len_max = options.value_len_max.min(VALUE_LEN_MAX as u64).min(limit as u64 / 4);
        // A shard must hold at least four values of the greatest length, and eight segments.
        let value_len = usize::try_from(value_len_max).unwrap_or(usize::MAX);
        let by_value = limit / value_len.saturating_mul(4).max(1);
        let shard_count = (limit / (2 << 20)).min(by_value).clamp(1, SHARD_COUNT_MAX);
        let shard_count = 1 << shard_count.ilog2();
        let shard_limit = limit / shard_count;
        let segment_len = (shard_limit / 16).clamp(4_096, SEGMENT_LEN).min(SEGMENT_LEN_MAX);
        let shards =
            (0..shard_count).map(|_| Padded(Mutex::new(Shard::new(shard_limit)))).collect();
        Ok(Cache {
            shards,
            shared: Shared::new(&options, segment_len, value_len_max),
            clock: StoreClock::new(),
            flush_due_ms: AtomicU64::new(0),
            sweep_done_s: AtomicU64::new(0),
        })
    }

    /// Bits 40 to 45: the index uses those below, tags those above.
    #[inline]
    fn shard_number(&self, hash: u64) -> usize {
        (hash >> 40) as usize & (self.shards.len() - 1)
    }

    #[inline]
    fn shard_of(&self, hash: u64) -> MutexGuard<'_, Shard> {
        self.shards[self.shard_number(hash)].0.lock()
    }

    fn check_key(&self, key: &[u8]) -> Result<(), Error> {
        if key.len() > KEY_LEN_MAX {
            return Err(Error::KeyTooLarge { len: key.len() as u64, max: KEY_LEN_MAX as u64 });
        }
        Ok(())
    }

    /// Makes the cut of a flush that is due.
    #[inline]
    fn flush_if_due(&self, now: Timestamp) {
        let due = self.flush_due_ms.load(Ordering::Acquire);
        if due != 0 && due <= now.ms() {
            self.flush_due(due);
        }
    }

    #[cold]
    fn flush_due(&self, due: u64) {
        let mut guards = self.lock_all();
        // Whoever comes second finds it done.
        if self.flush_due_ms.compare_exchange(due, 0, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            clear(guards);
        } else {
            guards.clear();
        }
    }

    fn lock_all(&self) -> Vec<MutexGuard<'_, Shard>> {
        self.shards.iter().map(|shard| shard.0.lock()).collect()
    }

    fn run_ages(&self, now: Timestamp) -> JobProgress {
        if now.seconds() < self.sweep_done_s.load(Ordering::Relaxed) + SWEEP_PERIOD_S {
            let due = self.sweep_done_s.load(Ordering::Relaxed) + SWEEP_PERIOD_S;
            return JobProgress::IdleUntil(Timestamp::from_ms(due * 1_000));
        }
        for shard in &self.shards {
            let mut shard = shard.0.lock();
            let from = shard.sweep_from;
            if from == usize::MAX {
                continue;
            }
            let next = shard.index.update_buckets(from, SWEEP_SLICE_BUCKETS, |slot| {
                slot.with_access(slot.access().aged(now))
            });
            shard.sweep_from = next.unwrap_or(usize::MAX);
            return JobProgress::More;
        }
        for shard in &self.shards {
            shard.0.lock().sweep_from = 0;
        }
        self.sweep_done_s.store(now.seconds(), Ordering::Relaxed);
        JobProgress::IdleUntil(now.plus_ms(SWEEP_PERIOD_S * 1_000))
    }
}

/// Empties shards at once, and gives their memory back once they are free for others again.
fn clear(mut guards: Vec<MutexGuard<'_, Shard>>) {
    let old: Vec<Shard> = guards.iter_mut().map(|shard| shard.clear()).collect();
    drop(guards);
    drop(old);
}

fn check_limit(bytes: u64) -> Result<(), Error> {
    if bytes < MEMORY_LIMIT_MIN_BYTES {
        return Err(Error::LimitTooSmall { limit_bytes: bytes, min_bytes: MEMORY_LIMIT_MIN_BYTES });
    }
    Ok(())
}

impl Engine for Cache {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn limits(&self) -> Limits {
        Limits {
            key_len_max: KEY_LEN_MAX,
            value_len_max: self.shared.value_len_max(),
            versions: self.shared.versions,
            evicts: self.shared.evicts,
            remembers: true,
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
        for (number, key) in keys.iter().enumerate() {
            let hash = self.shared.hash.of(key);
            let mut shard = self.shard_of(hash);
            match shard.view(hash, key, now, &self.shared) {
                (Some((located, view)), _) => {
                    if visit(number, Found::Record(view)) == Look::Fetched {
                        shard.mark_fetched(located, now);
                    }
                }
                (None, true) => {
                    visit(number, Found::Absent(Absence::Expired));
                }
                (None, false) => {
                    visit(number, Found::Absent(Absence::Unknown));
                }
            }
        }
    }

    fn update(
        &self,
        key: &[u8],
        now: Timestamp,
        mutation: &mut dyn Mutation,
    ) -> Result<Progress<Applied>, Error> {
        self.check_key(key)?;
        self.flush_if_due(now);
        let hash = self.shared.hash.of(key);
        let mut shard = self.shard_of(hash);
        let scratch = shard.scratch();
        let prepared = match shard.view(hash, key, now, &self.shared) {
            (Some((located, view)), _) => {
                let before = shard.before(located, &view);
                let edit = mutation.evaluate(Some(&view));
                let encoded = encode_edit(key, Some(before), edit, scratch, now, &self.shared)?;
                shard.prepare_over(located.place, encoded, now, &self.shared)?
            }
            (None, _) => {
                let edit = mutation.evaluate(None);
                let encoded = encode_edit(key, None, edit, scratch, now, &self.shared)?;
                shard.prepare(encoded, now, &self.shared)?
            }
        };
        let version = shard.link(hash, key, prepared, now, &self.shared);
        Ok(Progress::Done(Applied { position: Position::START, version }))
    }

    fn update_many(
        &self,
        keys: &[&[u8]],
        now: Timestamp,
        mutation: &mut dyn UnitMutation,
    ) -> Result<Progress<Applied>, Error> {
        keys.iter().try_for_each(|key| self.check_key(key))?;
        self.flush_if_due(now);
        let hashes: Vec<u64> = keys.iter().map(|key| self.shared.hash.of(key)).collect();
        let shard_of: Vec<usize> = hashes.iter().map(|&hash| self.shard_number(hash)).collect();
        // Locks in order of shard numbers, so that two units never wait for each other.
        let mut wanted = shard_of.clone();
        wanted.sort_unstable();
        wanted.dedup();
        let mut guards: Vec<MutexGuard<'_, Shard>> =
            wanted.iter().map(|&number| self.shards[number].0.lock()).collect();
        let guard_of: Vec<usize> = shard_of
            .iter()
            .map(|number| wanted.binary_search(number).unwrap_or_default())
            .collect();

        let encoded = {
            let found: Vec<_> = (0..keys.len())
                .map(|at| guards[guard_of[at]].view(hashes[at], keys[at], now, &self.shared).0)
                .collect();
            let views: Vec<Option<View<'_>>> =
                found.iter().map(|found| found.map(|(_, view)| view)).collect();
            let mut edits = mutation.evaluate(&views);
            edits.resize_with(keys.len(), || Edit::Keep);
            let mut encoded = Vec::with_capacity(keys.len());
            for (at, edit) in edits.into_iter().enumerate() {
                let current = found[at]
                    .as_ref()
                    .map(|(located, view)| guards[guard_of[at]].before(*located, view));
                encoded.push(encode_edit(keys[at], current, edit, Vec::new(), now, &self.shared)?);
            }
            encoded
        };
        let mut prepared: Vec<Prepared> = Vec::with_capacity(keys.len());
        for (at, encoded) in encoded.into_iter().enumerate() {
            match guards[guard_of[at]].prepare(encoded, now, &self.shared) {
                Ok(done) => prepared.push(done),
                Err(error) => {
                    for (at, done) in prepared.iter().enumerate() {
                        guards[guard_of[at]].abandon(done);
                    }
                    return Err(error);
                }
            }
        }
        for (at, done) in prepared.into_iter().enumerate() {
            guards[guard_of[at]].link(hashes[at], keys[at], done, now, &self.shared);
        }
        Ok(Progress::Done(Applied { position: Position::START, version: 0 }))
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
            Effect::FlushDue { at } => {
                self.flush_due_ms.store(at.ms(), Ordering::Release);
                Ok(())
            }
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
        let Some((mut number, mut place)) = decode_cursor(from) else { return Ok(None) };
        let mut visited = 0;
        // Where few records live, buckets are what takes time.
        let mut buckets = 0;
        while let Some(shard) = self.shards.get(number) {
            let shard = shard.0.lock();
            loop {
                let next = shard.index.scan_bucket(place, |slot| {
                    let Some((segment, stored)) = shard.segments.at(slot.place()) else { return };
                    // The index may have been made anew, with coarser buckets, since the last call.
                    let behind = self.shared.hash.of(stored.key).reverse_bits() < place;
                    if !behind && !stored.meta.expiry.is_past(now) {
                        visit(&view_of(slot, segment, stored, now, &self.shared));
                        visited += 1;
                    }
                });
                let Some(next) = next else { break };
                place = next;
                buckets += 1;
                if visited >= count || buckets >= count.max(BUCKETS_PER_SCAN_MIN) {
                    return Ok(Some(encode_cursor(number, place)));
                }
            }
            number += 1;
            place = 0;
            if visited >= count && number < self.shards.len() {
                return Ok(Some(encode_cursor(number, place)));
            }
        }
        Ok(None)
    }

    fn watermark(&self, partition: PartitionId, level: Level) -> Position {
        let _ = (partition, level);
        Position::START
    }

    fn subscribe(&self, listener: Arc<dyn Listener>) {
        self.shared.subscribe(listener);
    }

    fn stream(
        &self,
        partition: PartitionId,
        after: Position,
    ) -> Result<Box<dyn UpdateStream>, StreamError> {
        let _ = (partition, after);
        Err(StreamError::Off)
    }

    fn snapshot(&self, partition: PartitionId) -> Result<Box<dyn Snapshot>, StreamError> {
        let _ = partition;
        Err(StreamError::Off)
    }

    fn flush(&self, due: Option<Timestamp>, now: Timestamp) -> Result<Position, Error> {
        match due {
            Some(due) if due > now => self.flush_due_ms.store(due.ms().max(1), Ordering::Release),
            _ => {
                // Cut here and not by way of the due time, which somebody may set meanwhile.
                let guards = self.lock_all();
                self.flush_due_ms.store(0, Ordering::Release);
                clear(guards);
            }
        }
        Ok(Position::START)
    }

    fn jobs(&self) -> &'static [&'static str] {
        &["expire", "ages", "flush"]
    }

    fn run_job(&self, job: usize, now: Timestamp) -> JobProgress {
        match job {
            JOB_EXPIRE => {
                let worked = self
                    .shards
                    .iter()
                    .filter(|shard| shard.0.lock().expire_one(now, &self.shared))
                    .count();
                if worked > 0 {
                    JobProgress::More
                } else {
                    JobProgress::IdleUntil(now.plus_ms(1_000))
                }
            }
            JOB_AGES => self.run_ages(now),
            JOB_FLUSH => {
                self.flush_if_due(now);
                JobProgress::IdleUntil(now.plus_ms(1_000))
            }
            _ => JobProgress::IdleUntil(Timestamp::from_ms(u64::MAX)),
        }
    }

    fn statistics(&self, now: Timestamp) -> Statistics {
        self.flush_if_due(now);
        let mut ordinary = ClassStatistics { class: 1, ..ClassStatistics::default() };
        ordinary.record_len_max = self.shared.segment_len as u64 / 8;
        let mut large = ClassStatistics { class: 2, ..ClassStatistics::default() };
        large.record_len_max = self.shared.value_len_max();
        let mut total = Statistics::default();
        for shard in &self.shards {
            let shard = shard.0.lock();
            let counters = &shard.counters;
            total.records += shard.index.len() as u64;
            total.memory_bytes += shard.bytes() as u64;
            total.index_bytes += shard.index.bytes() as u64;
            total.index_buckets += shard.index.bucket_count() as u64;
            total.records_stored += counters.stored;
            total.evictions += counters.evictions;
            total.evicted_unfetched += counters.evicted_unfetched;
            total.evicted_active += counters.evicted_active;
            total.expired += counters.expired;
            total.expired_unfetched += counters.expired_unfetched;
            total.out_of_memory += counters.out_of_memory;
            total.records_moved += counters.moved;
            total.segments_reclaimed += counters.reclaimed;
            ordinary.evicted_with_expiry += counters.evicted_with_expiry;
            ordinary.evicted_idle_s = ordinary.evicted_idle_s.max(counters.evicted_idle_s);
            for segment in shard.segments.iter() {
                let class = if segment.large { &mut large } else { &mut ordinary };
                class.segments += 1;
                class.bytes += segment.capacity as u64;
                class.live_bytes += segment.live_bytes as u64;
                class.records += segment.live as u64;
                let age_s = now.seconds().saturating_sub(segment.opened.seconds());
                class.age_s = class.age_s.max(age_s);
            }
        }
        // Kept for the whole engine, shown with the class that nearly all records are in.
        ordinary.evictions = total.evictions;
        ordinary.evicted_unfetched = total.evicted_unfetched;
        ordinary.expired = total.expired;
        ordinary.expired_unfetched = total.expired_unfetched;
        ordinary.out_of_memory = total.out_of_memory;
        total.live_bytes = ordinary.live_bytes + large.live_bytes;
        total.memory_limit_bytes = self.shared.limit_bytes();
        total.classes = [ordinary, large].into_iter().filter(|class| class.segments > 0).collect();
        total
    }

    fn set_memory_limit(&self, bytes: u64) -> Result<(), Error> {
        check_limit(bytes)?;
        let limit = usize::try_from(bytes).unwrap_or(usize::MAX) / self.shards.len();
        // A shard must still hold a few segments or the largest value, beside its index, which does not
        // shrink.
        let value_len = usize::try_from(self.shared.value_len_max()).unwrap_or(usize::MAX);
        let index_len = self.shards.iter().map(|shard| shard.0.lock().index.bytes()).max();
        let least =
            (4 * self.shared.segment_len).max(value_len.saturating_mul(2)) + index_len.unwrap_or(0);
        if limit < least {
            let min_bytes = (least.saturating_mul(self.shards.len())) as u64;
            return Err(Error::LimitTooSmall { limit_bytes: bytes, min_bytes });
        }
        self.shared.set_limit_bytes(bytes);
        let now = self.clock.now();
        for shard in &self.shards {
            let mut shard = shard.0.lock();
            shard.limit_bytes = limit;
            // What does not fit goes now where it may; without evictions, writes are refused instead.
            if shard.make_room(0, now, &self.shared).is_err() {
                continue;
            }
        }
        Ok(())
    }
}

fn encode_cursor(shard: usize, place: u64) -> Cursor {
    let mut bytes = (shard as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(&place.to_le_bytes());
    Cursor(bytes)
}

fn decode_cursor(cursor: &Cursor) -> Option<(usize, u64)> {
    if cursor.0.is_empty() {
        return Some((0, 0));
    }
    let mut reader = todana_record::Reader::new(&cursor.0);
    let shard = usize::try_from(reader.u64_le()?).ok()?;
    Some((shard, reader.u64_le()?))
}

#[cfg(test)]
mod tests;
