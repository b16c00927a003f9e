//! Getting memory back: from garbage first, then from ended records, then by eviction.
//!
//! Records stand in two queues of segments (S3-FIFO; Yang et al. 2023, *FIFO queues are all you need for cache
//! eviction*). New ones go to the *small* queue. When memory is short and the small queue has more than
//! its twentieth, its oldest segment goes: records that were fetched move to the *main* queue, the others
//! are evicted, and remembered for a while (`ghost.rs`): who is stored again soon enters the
//! main queue at once. Else the oldest segment of the main queue goes: records that were fetched since the
//! last pass are appended to it again, with one fetch less on their account.
//!
//! - A segment without live records is released as it is.
//! - A segment that is less live than [`WORTH_COMPACTING_PERCENT`] is *compacted*: all its live records stay in
//!   their queue.
//! - Of others at most [`KEPT_PERCENT`] stay, those that were fetched most often; so every pass makes room.

use crate::access::AccessBits;
use crate::layout::Stored;
use crate::place::{Place, Slot};
use crate::segment::Segment;
use crate::shard::{New, Writer, out_of_memory};
use crate::shared::{Shared, Wanted};
use todana_engine::Error;
use todana_index::Seat;
use todana_record::{Expiry, Timestamp};

/// Live percent of a segment up to which its garbage goes before anybody's record does. Higher keeps
/// more records under overwriting, and copies more: at 70, at most 2.3 bytes for each byte gained.
const WORTH_COMPACTING_PERCENT: usize = 70;
/// The small queue's part of the whole, in percent.
const SMALL_PERCENT: usize = 5;
/// Fetches after which a record of the small queue moves to the main queue.
const PROMOTED_AFTER: u16 = 1;
/// Percent of a segment's bytes that stay at most when it is evicted from, so that every pass makes room.
const KEPT_PERCENT: usize = 95;
/// Bytes of a moved record beside what it had, nearly always: its version, and a head.
const MOVED_MORE: usize = 6;
/// Records whose index lines are asked for together.
const GROUP: usize = 16;

/// What becomes of the records of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pass {
    /// All stay in their queue.
    Compact,
    /// Those with so many fetches go to the main queue.
    Promote(u16),
    /// Those with so many fetches stay, with one less.
    Reinsert(u16),
}

impl Pass {
    /// With so high a threshold that it makes room.
    fn limited(self, live: &[Live<'_>], shared: &Shared) -> Pass {
        let (Pass::Promote(least) | Pass::Reinsert(least)) = self else { return self };
        let mut bytes = [0; 4];
        for Live { slot, stored, .. } in live {
            bytes[usize::from(slot.access.times()).min(3)] += stored.len + MOVED_MORE;
        }
        let max = shared.segment_len() * KEPT_PERCENT / 100;
        let kept = |from: u16| bytes.iter().skip(usize::from(from)).sum::<usize>();
        let least = (least..=4).find(|from| kept(*from) <= max).unwrap_or(4);
        match self {
            Pass::Promote(_) => Pass::Promote(least),
            _ => Pass::Reinsert(least),
        }
    }
}

/// A live record of a segment that is reclaimed.
struct Live<'s> {
    hash: u64,
    seat: Seat,
    slot: Slot,
    stored: Stored<'s>,
}

impl Writer {
    /// Makes room for `len` bytes.
    pub(crate) fn make_room(
        &mut self,
        len: usize,
        now: Timestamp,
        shared: &Shared,
    ) -> Result<(), Error> {
        // Every turn takes something away, or a fetch off the account of a large record.
        let turns_max = 8 * (self.small.sealed.len() + self.main.sealed.len()) + 8;
        for _ in 0..turns_max {
            if self.bytes(shared) + len <= self.limit_bytes {
                return Ok(());
            }
            self.collect();
            if !self.free.is_empty() {
                self.give_back(0);
            } else if !self.reclaim_one(now, shared) {
                break;
            }
        }
        if self.bytes(shared) + len <= self.limit_bytes {
            return Ok(());
        }
        self.counters.out_of_memory += 1;
        Err(out_of_memory(shared))
    }

    /// Has a segment ready for the next record, if one may be needed.
    #[inline]
    pub(crate) fn prepare_room(&mut self, now: Timestamp, shared: &Shared) {
        let least = shared.record_len_max();
        let room = |open: Option<u32>| {
            open.and_then(|open| self.segments.get(open)).map_or(0, |open| open.memory.room())
        };
        // Before the first eviction nobody enters the main queue.
        let needs_main = self.main.open.is_some() || self.ghost.bytes() > 0;
        if room(self.small.open) < least || needs_main && room(self.main.open) < least {
            self.prepare_segment(now, shared);
        }
    }

    #[cold]
    fn prepare_segment(&mut self, now: Timestamp, shared: &Shared) {
        if self.counters.evictions > 0 {
            self.ghost.fit(self.index.len());
        }
        let turns_max = 8 * (self.small.sealed.len() + self.main.sealed.len()) + 8;
        for _ in 0..turns_max {
            self.collect();
            let more = if self.free.is_empty() { shared.segment_len() } else { 0 };
            if self.bytes(shared) + more <= self.limit_bytes {
                return;
            }
            if self.free.len() > 1 {
                self.give_back(1);
            } else if !self.reclaim_one(now, shared) {
                return;
            }
        }
    }

    /// Reclaims one segment or large record; `false` when there is nothing to gain.
    pub(crate) fn reclaim_one(&mut self, now: Timestamp, shared: &Shared) -> bool {
        self.passes += 1;
        if let Some((number, percent)) = self.emptiest(shared) {
            let worth_compacting = if shared.evicts { WORTH_COMPACTING_PERCENT } else { 90 };
            if percent <= worth_compacting {
                self.reclaim(number, Pass::Compact, now, shared);
                return true;
            }
        }
        if !shared.evicts {
            return false;
        }
        let total = self.small.bytes + self.main.bytes;
        let from_small =
            self.small.bytes * 100 > total * SMALL_PERCENT || self.main.sealed.is_empty();
        self.evict_from(!from_small, now, shared) || self.evict_from(from_small, now, shared)
    }

    /// The sealed segment with the fewest live bytes, and their percentage if they were moved.
    fn emptiest(&self, shared: &Shared) -> Option<(u32, usize)> {
        let version_len = if shared.versions { MOVED_MORE } else { 0 };
        let sealed = self.small.sealed.iter().chain(&self.main.sealed);
        let segments = sealed.filter_map(|number| Some((*number, self.segments.get(*number)?)));
        segments
            .filter(|(_, segment)| segment.pins == 0)
            .map(|(number, segment)| {
                let moved_len = segment.live_bytes + version_len * segment.live;
                (number, moved_len * 100 / shared.segment_len())
            })
            .min_by_key(|(_, percent)| *percent)
    }

    /// Reclaims the oldest of a queue that may go.
    fn evict_from(&mut self, is_main: bool, now: Timestamp, shared: &Shared) -> bool {
        for _ in 0..self.queue(is_main).sealed.len() {
            let Some(number) = self.queue(is_main).sealed.pop_front() else { return false };
            if let Some(large) = self.larges.get(&number) {
                if large.is_pinned {
                    self.queue(is_main).sealed.push_back(number);
                } else if self.evict_large(number, is_main, now, shared) {
                    return true;
                }
                continue;
            }
            self.queue(is_main).sealed.push_front(number);
            if self.segments.get(number).is_some_and(|segment| segment.pins == 0) {
                let pass = match is_main {
                    true => Pass::Reinsert(1),
                    false => Pass::Promote(PROMOTED_AFTER),
                };
                self.reclaim(number, pass, now, shared);
                return true;
            }
            self.queue(is_main).sealed.rotate_left(1);
        }
        false
    }

    /// Evicts a large record that was taken off its queue, or puts it behind the others of the main queue.
    fn evict_large(&mut self, number: u32, is_main: bool, now: Timestamp, shared: &Shared) -> bool {
        let Some(large) = self.larges.get_mut(&number) else { return true };
        let hash = shared.hash_of(&large.record.current.key);
        let (bytes, expiry) = (large.bytes, large.record.current.meta.expiry);
        let place = Place { number, offset: 0 };
        let Some((seat, slot)) = self.seat_of(hash, place) else {
            self.drop_large(number, shared);
            return true;
        };
        let times = slot.access.times();
        let stays = times >= if is_main { 1 } else { PROMOTED_AFTER };
        if stays && !expiry.is_past(now) {
            let left = if is_main { times - 1 } else { 0 };
            self.index.set(seat, Slot { place, access: slot.access.with_times(left) });
            if let Some(large) = self.larges.get_mut(&number) {
                large.is_main = true;
            }
            self.queue(is_main).bytes -= bytes;
            self.main.bytes += bytes;
            self.main.sealed.push_back(number);
            return false;
        }
        self.index.remove(seat);
        self.counters.reclaimed += 1;
        // It is off its queue already, but its bytes are not.
        if let Some(large) = self.drop_large(number, shared) {
            self.count_gone(hash, slot, &large.stored(), is_main, now, shared);
        }
        true
    }

    /// Counts a record that was removed because it has ended, or because memory is short.
    fn count_gone(
        &mut self,
        hash: u64,
        slot: Slot,
        stored: &Stored<'_>,
        is_main: bool,
        now: Timestamp,
        shared: &Shared,
    ) {
        let (access, expiry) = (slot.access, stored.meta.expiry);
        if expiry.is_past(now) {
            self.counters.expired += 1;
            self.counters.expired_unfetched += u64::from(!access.was_fetched());
            return;
        }
        self.counters.evictions += 1;
        self.counters.evicted_with_expiry += u64::from(!expiry.is_never());
        self.counters.evicted_unfetched += u64::from(!access.was_fetched());
        self.counters.evicted_active += u64::from(access.times() > 0);
        self.counters.evicted_idle_s = u64::from(access.idle_s(now));
        if !is_main {
            self.ghost.insert(hash);
        }
        if shared.tells_evictions() {
            shared.tell_evicted(&shared.view(slot, stored, now));
        }
    }

    /// Takes a segment away, having written those of its records again that stay.
    fn reclaim(&mut self, number: u32, pass: Pass, now: Timestamp, shared: &Shared) {
        let Some(segment) = self.segments.remove(number) else { return };
        let is_main = segment.is_main;
        self.queue(is_main).sealed.retain(|sealed| *sealed != number);
        self.counters.reclaimed += 1;
        let live = self.live_records(&segment, number, shared);
        self.move_records(&live, pass.limited(&live, shared), is_main, now, shared);
        self.retire(segment, shared);
    }

    /// The records of a segment that the index points to.
    fn live_records<'s>(
        &self,
        segment: &'s Segment,
        number: u32,
        shared: &Shared,
    ) -> Vec<Live<'s>> {
        let mut records = segment.records(shared.grain);
        let mut live = Vec::with_capacity(segment.live);
        let mut group = Vec::with_capacity(GROUP);
        loop {
            // All lines of a group are on their way before the first is looked at.
            for (offset, stored) in records.by_ref().take(GROUP) {
                let hash = shared.hash_of(stored.key);
                self.index.index().prefetch(hash);
                group.push((hash, offset, stored));
            }
            if group.is_empty() {
                return live;
            }
            for (hash, offset, stored) in group.drain(..) {
                if let Some((seat, slot)) = self.seat_of(hash, Place { number, offset }) {
                    live.push(Live { hash, seat, slot, stored });
                }
            }
        }
    }

    /// Writes those of a segment's records again that stay, and removes the others.
    fn move_records(
        &mut self,
        live: &[Live<'_>],
        pass: Pass,
        is_main: bool,
        now: Timestamp,
        shared: &Shared,
    ) {
        for Live { hash, seat, slot, stored } in live {
            // A reader may have noted a fetch meanwhile, and each removal may make seats void.
            let is_there = |now: Slot| now.place == slot.place;
            let here = self.index.at(*seat).filter(|now| is_there(*now)).map(|now| (*seat, now));
            let Some((seat, slot)) = here.or_else(|| self.seat_of(*hash, slot.place)) else {
                continue;
            };
            let times = slot.access.times();
            let (stays, to_main, left) = match pass {
                Pass::Compact => (true, is_main, times),
                Pass::Promote(least) => (times >= least, true, 0),
                Pass::Reinsert(least) => (times >= least, true, times.saturating_sub(1)),
            };
            let access = slot.access.with_times(left);
            let moved = stays
                && !stored.meta.expiry.is_past(now)
                && self.move_record(stored, slot, access, to_main, seat, now, shared);
            if !moved {
                self.index.remove(seat);
                self.count_gone(*hash, slot, stored, is_main, now, shared);
            }
        }
    }

    /// Writes a record again and points its entry there; `false` when there is no memory.
    #[expect(clippy::too_many_arguments, reason = "one record with all that is known of it")]
    fn move_record(
        &mut self,
        stored: &Stored<'_>,
        slot: Slot,
        access: AccessBits,
        to_main: bool,
        seat: Seat,
        now: Timestamp,
        shared: &Shared,
    ) -> bool {
        // The version that its old place implied is written out.
        let version = Wanted::Version(shared.version(slot.place, stored));
        let value = [stored.value, &[]];
        let new = New { key: stored.key, meta: stored.meta, version, value };
        let Ok(written) = self.write(&new, to_main, access, now, shared) else { return false };
        self.index.set(seat, Slot { place: written.place, access });
        if let Some(segment) = self.segments.get_mut(written.place.number) {
            segment.gained(written.len, written.expiry);
            segment.pins -= 1;
        }
        self.counters.moved += 1;
        true
    }

    /// Forgets the ended records of one segment, if there can be any; `false` when no segment is due.
    pub(crate) fn expire_one(&mut self, now: Timestamp, shared: &Shared) -> bool {
        let large = self
            .larges
            .iter()
            .find(|(_, large)| !large.is_pinned && large.record.current.meta.expiry.is_past(now));
        if let Some((&number, large)) = large {
            let hash = shared.hash_of(&large.record.current.key);
            let len = large.bytes;
            if let Some((seat, slot)) = self.seat_of(hash, Place { number, offset: 0 }) {
                self.counters.expired += 1;
                self.counters.expired_unfetched += u64::from(!slot.access.was_fetched());
                self.unlink(seat, slot, len, shared);
            } else {
                self.drop_large(number, shared);
            }
            return true;
        }
        let queues = [&self.small, &self.main];
        let mut numbers = queues.iter().flat_map(|queue| queue.sealed.iter().chain(&queue.open));
        let due = numbers.find(|number| {
            self.segments.get(**number).is_some_and(|segment| {
                let is_due = segment.soonest_expiry.is_past(now) && segment.walk_again <= now;
                is_due && segment.pins == 0
            })
        });
        let Some(&number) = due else { return false };
        let Some(mut segment) = self.segments.remove(number) else { return false };
        let mut soonest = Expiry::NEVER;
        let mut ended = Vec::new();
        for live in self.live_records(&segment, number, shared) {
            let expiry = live.stored.meta.expiry;
            if expiry.is_past(now) {
                ended.push((live.hash, live.slot, live.stored.len));
            } else if !expiry.is_never() && (soonest.is_never() || expiry.ms() < soonest.ms()) {
                soonest = expiry;
            }
        }
        for (hash, slot, len) in ended {
            if let Some((seat, slot)) = self.seat_of(hash, slot.place) {
                self.counters.expired += 1;
                self.counters.expired_unfetched += u64::from(!slot.access.was_fetched());
                self.index.remove(seat);
                segment.lost(len);
            }
        }
        self.passes += 1;
        // Nor is it walked again at once when more records that are over at once come in.
        segment.walk_again = now.plus_ms(1_000);
        // Expiries that are spread over time would have the segment read again every time: once a
        // minute is enough, since ended records are never shown anyway.
        let not_before = now.plus_ms(60_000).ms();
        segment.soonest_expiry = match soonest.is_never() {
            true => soonest,
            false => Expiry::at_ms(soonest.ms().max(not_before)),
        };
        let is_open = [self.small.open, self.main.open].contains(&Some(number));
        if segment.live == 0 && !is_open {
            self.queue(segment.is_main).sealed.retain(|sealed| *sealed != number);
            self.retire(segment, shared);
            self.counters.reclaimed += 1;
            self.give_back(1);
        } else {
            self.segments.insert(number, segment);
        }
        true
    }
}
