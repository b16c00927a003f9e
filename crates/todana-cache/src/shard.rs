//! A shard: what its writers change under its lock, and the index that readers use without.
//!
//! An update *writes* its new records first (they lie in a segment but nothing points to them), then
//! *links* them. Writing may be refused; linking cannot fail. So an update of several keys that is refused
//! half-way has changed nothing: what it wrote is garbage.

use crate::access::AccessBits;
use crate::ghost::Ghost;
use crate::large::{Large, LargeWriter};
use crate::layout::{self, HEAD_LEN_MAX};
use crate::place::{Grain, Index, IndexWriter, Place, Slot};
use crate::segment::{Segment, SegmentTable};
use crate::shared::{Shared, Wanted};
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::iter::StepBy;
use std::ops::Range;
use std::sync::Arc;
use todana_engine::Error;
use todana_index::{Check, Seat};
use todana_io::epoch::{self, Mark};
use todana_io::{Retired, SegmentWriter};
use todana_record::{Expiry, Meta, Timestamp};

/// Segments of a shard that may wait for readers in any case; beyond that, a quarter of its memory.
const WAITING_MIN: usize = 8;
/// Times that a writer lets others run before it gives up.
const WAITS: usize = 10_000;

/// A part of the cache.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Shard {
    pub(crate) index: Arc<Index>,
    pub(crate) writer: Mutex<Writer>,
}

/// Counters of a shard, since it was made.
#[derive(Debug, Default, Clone)]
pub(crate) struct Counters {
    pub(crate) stored: u64,
    pub(crate) evictions: u64,
    pub(crate) evicted_with_expiry: u64,
    pub(crate) evicted_unfetched: u64,
    pub(crate) evicted_active: u64,
    pub(crate) evicted_idle_s: u64,
    pub(crate) expired: u64,
    pub(crate) expired_unfetched: u64,
    pub(crate) out_of_memory: u64,
    pub(crate) moved: u64,
    pub(crate) reclaimed: u64,
}

/// Segments and large records in the order in which they were begun.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    pub(crate) sealed: VecDeque<u32>,
    pub(crate) open: Option<u32>,
    pub(crate) bytes: usize,
}

/// A large record and where it stands.
#[derive(Debug)]
pub(crate) struct LargeRecord {
    pub(crate) record: LargeWriter,
    pub(crate) is_main: bool,
    pub(crate) opened: Timestamp,
    /// Bytes that are accounted for it.
    pub(crate) bytes: usize,
    /// Written and not linked yet.
    pub(crate) is_pinned: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) index: IndexWriter,
    pub(crate) segments: SegmentTable,
    pub(crate) larges: HashMap<u32, LargeRecord>,
    /// New records.
    pub(crate) small: Queue,
    /// Those that were fetched again.
    pub(crate) main: Queue,
    pub(crate) ghost: Ghost,
    /// Empty segments.
    pub(crate) free: Vec<SegmentWriter>,
    /// Segments that somebody may still look at.
    limbo: VecDeque<Retired>,
    /// Numbers of segments that were never used, and of some whose memory was given back.
    numbers: StepBy<Range<u32>>,
    returned: Vec<u32>,
    large_numbers: Range<u32>,
    /// Numbers of large records that are gone, each to be used again once its mark is over.
    free_large: VecDeque<(Mark, u32)>,
    pub(crate) limit_bytes: usize,
    pub(crate) counters: Counters,
    /// Where the job *ages* stands.
    pub(crate) sweep_from: Option<u64>,
    /// Rises whenever a reclaim pass, or growth, has made seats void.
    pub(crate) passes: u64,
}

/// A record that is written and not linked.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) place: Place,
    pub(crate) len: usize,
    pub(crate) expiry: Expiry,
    pub(crate) version: u64,
    pub(crate) access: AccessBits,
}

/// A record to be written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct New<'n> {
    pub(crate) key: &'n [u8],
    /// But for the version.
    pub(crate) meta: Meta,
    pub(crate) version: Wanted,
    pub(crate) value: [&'n [u8]; 2],
}

/// An index entry's record, as far as its writer needs it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Old {
    pub(crate) slot: Slot,
    /// Bytes that are accounted for it.
    pub(crate) len: usize,
    pub(crate) version: u64,
}

impl Writer {
    /// A shard has each `1 << shift`th of a range of numbers for its segments.
    pub(crate) fn new(
        index: IndexWriter,
        limit_bytes: usize,
        (numbers, shift): (Range<u32>, u32),
        large_numbers: Range<u32>,
        grain: Grain,
    ) -> Writer {
        Writer {
            index,
            segments: SegmentTable::new(numbers.start, shift, grain),
            larges: HashMap::new(),
            small: Queue::default(),
            main: Queue::default(),
            ghost: Ghost::default(),
            free: Vec::new(),
            limbo: VecDeque::new(),
            numbers: numbers.step_by(1 << shift),
            returned: Vec::new(),
            large_numbers,
            free_large: VecDeque::new(),
            limit_bytes,
            counters: Counters::default(),
            sweep_from: Some(0),
            passes: 0,
        }
    }

    /// Bytes of the index and what belongs to it.
    pub(crate) fn index_bytes(&self) -> usize {
        usize::try_from(self.index.index().bytes()).unwrap_or(usize::MAX) + self.ghost.bytes()
    }

    /// Bytes that it holds.
    pub(crate) fn bytes(&self, shared: &Shared) -> usize {
        self.small.bytes
            + self.main.bytes
            + self.free.len() * shared.segment_len()
            + self.index_bytes()
    }

    /// Where the record of a key stands, with it, or where it would stand.
    #[inline]
    pub(crate) fn seek(&self, hash: u64, key: &[u8], shared: &Shared) -> (Seat, Option<Old>) {
        self.index.seek(hash, |slot| match self.old_at(slot, key, shared) {
            Some(old) => Check::Is(old),
            None => Check::IsNot,
        })
    }

    /// The record of an entry, if it is the key's.
    #[inline]
    fn old_at(&self, slot: Slot, key: &[u8], shared: &Shared) -> Option<Old> {
        if slot.place.is_large() {
            let large = self.larges.get(&slot.place.number)?;
            let version = large.record.current.meta.version;
            return (*large.record.current.key == *key).then_some(Old {
                slot,
                len: large.bytes,
                version,
            });
        }
        let stored = self.segments.stored(slot.place)?;
        let version = shared.version(slot.place, &stored);
        (stored.key == key).then_some(Old { slot, len: stored.len, version })
    }

    /// Where the entry of a place stands.
    pub(crate) fn seat_of(&self, hash: u64, place: Place) -> Option<(Seat, Slot)> {
        let (seat, slot) = self.index.seek(hash, |slot| match slot.place == place {
            true => Check::Is(slot),
            false => Check::IsNot,
        });
        slot.map(|slot| (seat, slot))
    }

    pub(crate) fn queue(&mut self, is_main: bool) -> &mut Queue {
        if is_main { &mut self.main } else { &mut self.small }
    }

    /// Writes a record behind the others of a queue.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    // What it gives shall not go through memory: it would wait there behind the record's bytes.
    #[inline(always)]
    pub(crate) fn write(
        &mut self,
        new: &New<'_>,
        is_main: bool,
        access: AccessBits,
        now: Timestamp,
        shared: &Shared,
    ) -> Result<Written, Error> {
        let [first, second] = new.value;
        let value_len = first.len() + second.len();
        let len_max = HEAD_LEN_MAX + new.key.len() + value_len;
        if len_max > shared.record_len_max() {
            return self.write_large(new, is_main, access, now, shared);
        }
        let number = self.open_with_room(len_max, is_main, now, shared)?;
        let Some(segment) = self.segments.get_mut(number) else {
            return Err(out_of_memory(shared));
        };
        let place = Place { number, offset: shared.grain.offset(segment.memory.len()) };
        let (version, behind) = shared.version_at(place, new.version);
        let head = layout::head(&new.meta, behind, new.key.len(), value_len);
        let len = head.len() + new.key.len() + value_len;
        if let Some(mut rest) = segment.memory.spare(len) {
            for part in [&head[..], new.key, first, second] {
                // They are as long together.
                let Some((place, after)) = rest.split_at_mut_checked(part.len()) else { break };
                place.copy_from_slice(part);
                rest = after;
            }
        }
        // The next record begins at a grain.
        let padded = shared.grain.round_up(len).min(segment.memory.room());
        segment.memory.take(padded);
        segment.memory.publish();
        segment.pins += 1;
        Ok(Written { place, len, expiry: new.meta.expiry, version, access })
    }

    /// A segment of a queue with so much room.
    #[inline]
    fn open_with_room(
        &mut self,
        len: usize,
        is_main: bool,
        now: Timestamp,
        shared: &Shared,
    ) -> Result<u32, Error> {
        if let Some(number) = self.queue(is_main).open
            && self.segments.get(number).is_some_and(|open| open.memory.room() >= len)
        {
            return Ok(number);
        }
        self.open_segment(is_main, now, shared)
    }

    #[cold]
    fn open_segment(
        &mut self,
        is_main: bool,
        now: Timestamp,
        shared: &Shared,
    ) -> Result<u32, Error> {
        let Some(memory) = self.take_segment(shared) else {
            self.counters.out_of_memory += 1;
            return Err(out_of_memory(shared));
        };
        let number = u32::try_from(memory.number() + 1).unwrap_or(0);
        shared.begin_versions(number);
        self.segments.insert(number, Segment::new(memory, is_main, now));
        let queue = self.queue(is_main);
        queue.sealed.extend(queue.open.replace(number));
        queue.bytes += shared.segment_len();
        Ok(number)
    }

    /// An empty segment. When all wait for readers, one more than the limit allows, since they will be back;
    /// but not when too many wait: a reader that stays must not cost the whole memory.
    fn take_segment(&mut self, shared: &Shared) -> Option<SegmentWriter> {
        self.collect();
        let waiting_max = (self.limit_bytes / 4 / shared.segment_len()).max(WAITING_MIN);
        for _ in 0..WAITS {
            if self.limbo.len() <= waiting_max {
                break;
            }
            std::thread::yield_now();
            self.collect();
        }
        if self.limbo.len() > waiting_max {
            return None;
        }
        if let Some(free) = self.free.pop() {
            return Some(free);
        }
        let fits = self.bytes(shared) + shared.segment_len() <= self.limit_bytes;
        if !fits && !shared.evicts {
            return None;
        }
        let number = self.returned.pop().or_else(|| self.numbers.next())?;
        shared.arena.writer(number as usize - 1)
    }

    /// Takes segments back that nobody looks at any more.
    pub(crate) fn collect(&mut self) {
        while let Some(retired) = self.limbo.pop_front() {
            match retired.reuse() {
                Ok(memory) => self.free.push(memory),
                Err(retired) => {
                    self.limbo.push_front(retired);
                    return;
                }
            }
        }
    }

    /// Takes a segment away that nothing points to.
    pub(crate) fn retire(&mut self, segment: Segment, shared: &Shared) {
        self.queue(segment.is_main).bytes -= shared.segment_len();
        self.limbo.push_back(segment.memory.retire());
    }

    /// Gives the memory of free segments back to the system, but for `keep` of them.
    pub(crate) fn give_back(&mut self, keep: usize) {
        self.collect();
        while self.free.len() > keep {
            let Some(memory) = self.free.pop() else { return };
            let number = u32::try_from(memory.number() + 1);
            if memory.give_back().is_ok() {
                self.returned.extend(number);
            }
        }
    }

    fn write_large(
        &mut self,
        new: &New<'_>,
        is_main: bool,
        access: AccessBits,
        now: Timestamp,
        shared: &Shared,
    ) -> Result<Written, Error> {
        let len = new.key.len() + new.value[0].len() + new.value[1].len();
        if len > self.limit_bytes / 2 {
            let max = self.limit_bytes as u64 / 2;
            return Err(Error::ValueTooLarge { len: len as u64, max });
        }
        self.make_room(len, now, shared)?;
        let number = self.take_large_number().ok_or_else(|| out_of_memory(shared))?;
        let mut meta = new.meta;
        meta.version = match new.version {
            _ if !shared.versions => 0,
            Wanted::Version(version) => version,
            Wanted::Above(_) => shared.next_versions(1),
        };
        let record = LargeWriter::new(new.key, meta, new.value);
        let Ok(record) = record else {
            self.free_large.push_back((epoch::mark(), number));
            self.counters.out_of_memory += 1;
            return Err(out_of_memory(shared));
        };
        let bytes = record.current.bytes();
        shared.larges.set(number, Some(record.current.clone()));
        let large = LargeRecord { record, is_main, opened: now, bytes, is_pinned: true };
        self.larges.insert(number, large);
        let queue = self.queue(is_main);
        queue.sealed.push_back(number);
        queue.bytes += bytes;
        let place = Place { number, offset: 0 };
        Ok(Written { place, len: bytes, expiry: meta.expiry, version: meta.version, access })
    }

    fn take_large_number(&mut self) -> Option<u32> {
        if self.free_large.front().is_some_and(|(mark, _)| epoch::is_over(*mark)) {
            return self.free_large.pop_front().map(|(_, number)| number);
        }
        self.large_numbers.next()
    }

    /// Replaces a large record by another state of the same memory, or of memory that has grown.
    pub(crate) fn change_large(
        &mut self,
        number: u32,
        shared: &Shared,
        change: impl FnOnce(&mut LargeWriter) -> io::Result<()>,
    ) -> Result<(), Error> {
        let Some(large) = self.larges.get_mut(&number) else { return Err(out_of_memory(shared)) };
        if change(&mut large.record).is_err() {
            self.counters.out_of_memory += 1;
            return Err(out_of_memory(shared));
        }
        let (before, after) = (large.bytes, large.record.current.bytes());
        large.bytes = after;
        let (current, is_main) = (large.record.current.clone(), large.is_main);
        shared.larges.set(number, Some(current));
        let queue = self.queue(is_main);
        queue.bytes = queue.bytes + after - before;
        self.counters.stored += 1;
        Ok(())
    }

    /// Adds bytes at the end of a large record.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub(crate) fn grow_large(
        &mut self,
        number: u32,
        meta: Meta,
        bytes: &[u8],
        now: Timestamp,
        shared: &Shared,
    ) -> Result<(), Error> {
        let Some(large) = self.larges.get_mut(&number) else { return Err(out_of_memory(shared)) };
        let more = large.record.more_for(bytes.len());
        if more > 0 {
            // It is not to be evicted itself.
            large.is_pinned = true;
            let made = self.make_room(more, now, shared);
            if let Some(large) = self.larges.get_mut(&number) {
                large.is_pinned = false;
            }
            made?;
        }
        self.change_large(number, shared, |large| large.append(meta, bytes))
    }

    /// Takes a large record away.
    pub(crate) fn drop_large(&mut self, number: u32, shared: &Shared) -> Option<Arc<Large>> {
        let large = self.larges.remove(&number)?;
        shared.larges.set(number, None);
        let queue = self.queue(large.is_main);
        queue.bytes -= large.bytes;
        queue.sealed.retain(|sealed| *sealed != number);
        self.free_large.push_back((epoch::mark(), number));
        Some(large.record.current)
    }

    /// Points the index to a record that was written, instead of `old`.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] when there is no `old` and the index cannot grow: what was written is given up
    /// then.
    pub(crate) fn link(
        &mut self,
        seat: Seat,
        old: Option<Old>,
        written: &Written,
        shared: &Shared,
    ) -> Result<(), Error> {
        let Written { place, len, expiry, access, .. } = *written;
        let slot = Slot { place, access };
        match old {
            Some(old) => {
                self.index.set(seat, slot);
                self.forget(old.slot, old.len, shared);
            }
            None => {
                if self.index.insert(seat, slot).is_err() {
                    self.abandon(written, shared);
                    self.counters.out_of_memory += 1;
                    return Err(out_of_memory(shared));
                }
            }
        }
        self.counters.stored += 1;
        match self.segments.get_mut(place.number) {
            Some(segment) => {
                segment.gained(len, expiry);
                segment.pins -= 1;
            }
            None => {
                if let Some(large) = self.larges.get_mut(&place.number) {
                    large.is_pinned = false;
                }
            }
        }
        Ok(())
    }

    /// Takes back what was written and will not be linked.
    pub(crate) fn abandon(&mut self, written: &Written, shared: &Shared) {
        match self.segments.get_mut(written.place.number) {
            Some(segment) => segment.pins -= 1,
            None => drop(self.drop_large(written.place.number, shared)),
        }
    }

    /// Removes a record from the index.
    pub(crate) fn unlink(&mut self, seat: Seat, slot: Slot, len: usize, shared: &Shared) {
        self.index.remove(seat);
        self.forget(slot, len, shared);
    }

    /// Notes that nothing points to a record any more.
    #[inline]
    fn forget(&mut self, slot: Slot, len: usize, shared: &Shared) {
        match self.segments.get_mut(slot.place.number) {
            Some(segment) => segment.lost(len),
            None => drop(self.drop_large(slot.place.number, shared)),
        }
    }

    /// Forgets everything; gives the segments and large records that there were.
    pub(crate) fn clear(&mut self, shared: &Shared) -> Result<(), Error> {
        self.index.clear().map_err(|_| out_of_memory(shared))?;
        self.passes += 1;
        let segments = self.segments.take_all();
        segments.into_iter().for_each(|segment| self.retire(segment, shared));
        let numbers: Vec<u32> = self.larges.keys().copied().collect();
        numbers.into_iter().for_each(|number| drop(self.drop_large(number, shared)));
        self.small = Queue::default();
        self.main = Queue::default();
        self.ghost = Ghost::default();
        Ok(())
    }
}

pub(crate) fn out_of_memory(shared: &Shared) -> Error {
    Error::OutOfMemory { limit_bytes: shared.limit_bytes() }
}
