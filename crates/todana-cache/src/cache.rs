//! The engine: shards, and what they share.

use crate::access::SWEEP_PERIOD_S;
use crate::options::CacheOptions;
use crate::place::{Grain, IndexWriter, LARGE_FROM, NUMBER_END, OFFSET_BITS};
use crate::shard::{Shard, Writer};
use crate::shared::Shared;
use parking_lot::{Mutex, MutexGuard};
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use todana_engine::applying;
use todana_engine::{
    Applied, ClassStatistics, Cursor, Effect, Engine, Error, Found, JobProgress, Level, Limits,
    Listener, Look, Mutation, Progress, Snapshot, Statistics, StoreClock, StreamError,
    UnitMutation, UpdateStream, View,
};
use todana_index::{Layout, Pool};
use todana_io::Arena;
use todana_io::epoch::pin;
use todana_record::{KEY_LEN_MAX, PartitionId, Position, Timestamp, VALUE_LEN_MAX};

/// The least memory limit that the engine works in: 1 MiB.
pub const MEMORY_LIMIT_MIN_BYTES: u64 = 1 << 20;

const SHARD_COUNT_MAX: usize = 16;
/// Bytes of a segment where the limit leaves room for enough of them, and offsets reach.
const SEGMENT_LEN: usize = 1 << OFFSET_BITS;
/// Segments that there should be at most: longer ones make up for more memory.
const SEGMENTS_WANTED: usize = 1 << 14;
/// Limits from which on memory is taken in huge pages.
const HUGE_FROM_BYTES: usize = 64 << 20;
/// Bytes of a record, roughly, by which the index is laid out; it is right for others, if less so.
const RECORD_LEN: usize = 64;
/// Records of a table of the index, roughly.
const TABLE_LEN: usize = 2_048;
/// The part of the limit that addresses for the index are taken for at first: enough for records of 40
/// bytes. With more it takes more, a little farther to reach.
const INDEX_PART: usize = 4;
/// Limits above which each shard's index has a pool of its own, since one goes to 32 GiB.
const ONE_POOL_MAX_BYTES: usize = 8 << 30;
/// Tables that the job *ages* visits in one slice, under a shard's lock: 1 MiB of the index, some 0.1 ms. A slice
/// a millisecond reaches 4 billion records within a period.
const SWEEP_SLICE_TABLES: usize = 64;

/// How far the limit can be raised above what the cache was made with: addresses are taken for so much.
const GROWTH_MAX: usize = 8;

const JOB_EXPIRE: usize = 0;
const JOB_AGES: usize = 1;
const JOB_FLUSH: usize = 2;

/// The memory engine. See the crate's documentation.
pub struct Cache {
    pub(crate) shards: Box<[Shard]>,
    pub(crate) shared: Shared,
    clock: StoreClock,
    /// Milliseconds since the epoch when a flush is due; 0: none.
    flush_due_ms: AtomicU64,
    sweep_done_s: AtomicU64,
}

impl Cache {
    /// Makes an empty cache.
    ///
    /// # Errors
    /// [`Error::LimitTooSmall`]; [`Error::Open`] when the system refuses addresses for so much.
    pub fn new(options: CacheOptions) -> Result<Cache, Error> {
        check_limit(options.memory_limit_bytes)?;
        let limit = usize::try_from(options.memory_limit_bytes).unwrap_or(usize::MAX);
        let value_len_max = options.value_len_max.min(VALUE_LEN_MAX as u64).min(limit as u64 / 4);
        // A shard must hold at least four values of the greatest length, and a few dozen segments.
        let value_len = usize::try_from(value_len_max).unwrap_or(usize::MAX);
        let by_value = limit / value_len.saturating_mul(4).max(1);
        let shard_count = (limit / (32 << 20)).min(by_value).clamp(1, SHARD_COUNT_MAX);
        let shard_count = 1 << shard_count.ilog2();
        let shard_limit = limit / shard_count;
        let longest = (limit / SEGMENTS_WANTED).next_power_of_two().max(SEGMENT_LEN);
        let segment_len = (shard_limit / 32).next_power_of_two().clamp(4_096, longest);
        // The limit may be raised later: addresses cost nothing.
        let most = (LARGE_FROM as usize - 1) / shard_count;
        let numbers = (shard_limit.saturating_mul(GROWTH_MAX) / segment_len + 64).min(most);
        let refused = |error| refused_addresses(options.memory_limit_bytes, &error);
        let huge = limit >= HUGE_FROM_BYTES;
        let arena = Arena::new(segment_len, numbers * shard_count, huge).map_err(refused)?;
        let tables = (shard_limit / RECORD_LEN / TABLE_LEN).max(4).next_power_of_two();
        let pools = index_pools(limit, shard_count, huge).map_err(refused)?;
        let mut shards = Vec::with_capacity(shard_count);
        for shard in 0..shard_count {
            let layout = Layout::dense(IndexWriter::TAG_BITS + tables.ilog2());
            let pool = &pools[shard % pools.len()];
            let index = IndexWriter::new(layout, pool).map_err(refused)?;
            let (small, large) = numbers_of(shard, shard_count, numbers);
            let shared_index = index.index().clone();
            let writer = Writer::new(
                index,
                shard_limit,
                (small, shard_count.ilog2()),
                large,
                Grain::of(segment_len),
            );
            shards.push(Shard { index: shared_index, writer: Mutex::new(writer) });
        }
        Ok(Cache {
            shards: shards.into_boxed_slice(),
            shared: Shared::new(&options, arena, value_len_max),
            clock: StoreClock::new(),
            flush_due_ms: AtomicU64::new(0),
            sweep_done_s: AtomicU64::new(0),
        })
    }

    /// The lowest bits: the index goes by those above.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the lowest bits")]
    pub(crate) fn shard_number(&self, hash: u64) -> usize {
        hash as usize & (self.shards.len() - 1)
    }

    #[inline]
    pub(crate) fn shard(&self, hash: u64) -> &Shard {
        &self.shards[self.shard_number(hash)]
    }

    fn check_key(key: &[u8]) -> Result<(), Error> {
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
        let mut writers = self.lock_all();
        // Whoever comes second finds it done. What cannot be cleared for want of memory stays due.
        let exchanged =
            self.flush_due_ms.compare_exchange(due, 0, Ordering::AcqRel, Ordering::Acquire);
        if exchanged.is_ok() && self.clear(&mut writers).is_err() {
            self.flush_due_ms.store(due, Ordering::Release);
        }
    }

    fn lock_all(&self) -> Vec<MutexGuard<'_, Writer>> {
        self.shards.iter().map(|shard| shard.writer.lock()).collect()
    }

    /// Empties all shards at once.
    fn clear(&self, writers: &mut [MutexGuard<'_, Writer>]) -> Result<(), Error> {
        self.shared.units.fetch_add(1, Ordering::AcqRel);
        let mut cleared = Ok(());
        for writer in writers.iter_mut() {
            cleared = cleared.and(writer.clear(&self.shared));
        }
        self.shared.units.fetch_add(1, Ordering::AcqRel);
        for writer in writers {
            writer.give_back(1);
        }
        cleared
    }

    fn run_ages(&self, now: Timestamp) -> JobProgress {
        let done_s = self.sweep_done_s.load(Ordering::Relaxed);
        if now.seconds() < done_s + SWEEP_PERIOD_S {
            return JobProgress::IdleUntil(Timestamp::from_ms((done_s + SWEEP_PERIOD_S) * 1_000));
        }
        for shard in &self.shards {
            let mut writer = shard.writer.lock();
            let Some(from) = writer.sweep_from else { continue };
            writer.sweep_from = writer.index.change(from, SWEEP_SLICE_TABLES, &mut |slot| {
                crate::place::Slot { access: slot.access.aged(now), ..slot }
            });
            return JobProgress::More;
        }
        for shard in &self.shards {
            shard.writer.lock().sweep_from = Some(0);
        }
        self.sweep_done_s.store(now.seconds(), Ordering::Relaxed);
        JobProgress::IdleUntil(now.plus_ms(SWEEP_PERIOD_S * 1_000))
    }
}

/// Memory for the indexes of all shards, or for each one's.
fn index_pools(limit: usize, shard_count: usize, huge: bool) -> io::Result<Vec<Pool>> {
    let count = if limit > ONE_POOL_MAX_BYTES { shard_count } else { 1 };
    (0..count).map(|_| Pool::new((limit / INDEX_PART / count) as u64, huge)).collect()
}

/// Numbers of a shard's segments, of which each `shard_count`th is its own, and of its large records.
///
/// The shards' segments lie between each other: all fill about as fast, so what is used of the arena is its
/// beginning, and of its huge pages only the last few are used in part.
fn numbers_of(shard: usize, shard_count: usize, segments: usize) -> (Range<u32>, Range<u32>) {
    let range = |from: usize, len: usize| {
        u32::try_from(from).unwrap_or(0)..u32::try_from(from + len).unwrap_or(0)
    };
    let small = range(1 + shard, segments * shard_count - shard);
    let large_each = (NUMBER_END - LARGE_FROM) as usize / shard_count;
    (small, range(LARGE_FROM as usize + shard * large_each, large_each))
}

/// The system has refused addresses, which are taken before memory is.
fn refused_addresses(limit_bytes: u64, error: &io::Error) -> Error {
    Error::Open(format!(
        "the system refuses addresses for {GROWTH_MAX} times the memory limit of {limit_bytes} bytes: \
         {error}; lower the limit, or raise the system's (ulimit -v, vm.overcommit_memory)"
    ))
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
        self.look_up_all(keys, now, visit);
    }

    fn expect(&self, keys: &[&[u8]]) {
        self.bring_near(keys);
    }

    fn update(
        &self,
        key: &[u8],
        now: Timestamp,
        mutation: &mut dyn Mutation,
    ) -> Result<Progress<Applied>, Error> {
        Cache::check_key(key)?;
        self.flush_if_due(now);
        self.update_one(key, now, mutation).map(Progress::Done)
    }

    fn update_many(
        &self,
        keys: &[&[u8]],
        now: Timestamp,
        mutation: &mut dyn UnitMutation,
    ) -> Result<Progress<Applied>, Error> {
        keys.iter().try_for_each(|key| Cache::check_key(key))?;
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
        let mut left = count.max(1);
        while let Some(shard) = self.shards.get(number) {
            // Under the lock no record moves between the walk and the look.
            let _writer = shard.writer.lock();
            let pin = pin();
            let mut slots = Vec::new();
            let next = shard.index.walk(place, left, &mut |slot| slots.push(slot));
            left = left.saturating_sub(slots.len());
            for slot in slots {
                let large = self.shared.larges.get(slot.place.number);
                let stored = match &large {
                    Some(large) => Some(large.stored()),
                    None => self.shared.stored(&pin, slot.place),
                };
                if let Some(stored) = stored.filter(|stored| !stored.meta.expiry.is_past(now)) {
                    visit(&self.shared.view(slot, &stored, now));
                }
            }
            (number, place) = match next {
                Some(next) => (number, next),
                None => (number + 1, 0),
            };
            if left == 0 && number < self.shards.len() {
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
                let mut writers = self.lock_all();
                self.flush_due_ms.store(0, Ordering::Release);
                self.clear(&mut writers)?;
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
                let expire = |shard: &&Shard| shard.writer.lock().expire_one(now, &self.shared);
                let worked = self.shards.iter().filter(expire).count();
                match worked > 0 {
                    true => JobProgress::More,
                    false => JobProgress::IdleUntil(now.plus_ms(1_000)),
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
        ordinary.record_len_max = self.shared.record_len_max() as u64;
        let mut large = ClassStatistics { class: 2, ..ClassStatistics::default() };
        large.record_len_max = self.shared.value_len_max();
        let mut total = Statistics::default();
        for shard in &self.shards {
            let writer = shard.writer.lock();
            let counters = &writer.counters;
            total.records += writer.index.len();
            total.memory_bytes += writer.bytes(&self.shared) as u64;
            total.index_bytes += writer.index_bytes() as u64;
            total.index_buckets += writer.index.index().bytes() / 64;
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
            for segment in writer.segments.iter() {
                ordinary.segments += 1;
                ordinary.bytes += self.shared.segment_len() as u64;
                ordinary.live_bytes += segment.live_bytes as u64;
                ordinary.records += segment.live as u64;
                let age_s = now.seconds().saturating_sub(segment.opened.seconds());
                ordinary.age_s = ordinary.age_s.max(age_s);
            }
            for record in writer.larges.values() {
                let current = &record.record.current;
                large.segments += 1;
                large.bytes += record.bytes as u64;
                large.live_bytes += (current.key.len() + current.len) as u64;
                large.records += 1;
                let age_s = now.seconds().saturating_sub(record.opened.seconds());
                large.age_s = large.age_s.max(age_s);
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
        let index_len = self.shards.iter().map(|shard| shard.writer.lock().index_bytes()).max();
        let least = (4 * self.shared.segment_len()).max(value_len.saturating_mul(2))
            + index_len.unwrap_or(0);
        if limit < least {
            let min_bytes = (least.saturating_mul(self.shards.len())) as u64;
            return Err(Error::LimitTooSmall { limit_bytes: bytes, min_bytes });
        }
        let most = self.shared.arena.segment_count() * self.shared.segment_len();
        if bytes > most as u64 {
            return Err(Error::Unsupported("raise its limit above eight times what it began with"));
        }
        self.shared.set_limit_bytes(bytes);
        let now = self.clock.now();
        for shard in &self.shards {
            let mut writer = shard.writer.lock();
            writer.limit_bytes = limit;
            // What does not fit goes now where it may; without evictions, writes are refused instead.
            if writer.make_room(0, now, &self.shared).is_err() {
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
