//! Getting memory back: from garbage first, then from ended records, then by eviction.
//!
//! Each pass takes one sealed segment, keeps some of its records by appending them again, and releases
//! it. What is kept is less than the segment, so every pass makes room.
//!
//! - A segment without live records is released as it is.
//! - A segment that is less live than [`WORTH_COMPACTING_PERCENT`] is *compacted*: all its live records
//!   are kept.
//! - Otherwise the oldest segment is *evicted from*: records that were fetched since they were stored,
//!   or since the last pass, are kept (up to half), the others go. A large segment that was fetched
//!   goes to the end of the queue once.

use crate::index::{Place, Slot};
use crate::layout::{self, Stored, VERSION_LEN};
use crate::segment::Segment;
use crate::shard::{Located, Shard, view_of};
use crate::shared::Shared;
use todana_engine::{Error, View};
use todana_record::{Expiry, Timestamp};

/// Live percent of a segment up to which its garbage goes before anybody's record does. Higher keeps
/// more records under overwriting, and copies more: at 70, at most 2.3 bytes for each byte gained.
const WORTH_COMPACTING_PERCENT: usize = 70;

/// Why a segment is reclaimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pass {
    Compact,
    Evict,
}

impl Shard {
    /// Makes room for a segment of `len` bytes.
    pub(crate) fn make_room(
        &mut self,
        len: usize,
        now: Timestamp,
        shared: &Shared,
    ) -> Result<(), Error> {
        // Every turn releases a segment or takes the mark of a large one.
        let turns_max = 4 * self.sealed.len() + 4;
        for _ in 0..turns_max {
            if self.bytes() + len <= self.limit_bytes {
                return Ok(());
            }
            if !self.reclaim_one(now, shared) {
                break;
            }
        }
        if self.bytes() + len <= self.limit_bytes {
            return Ok(());
        }
        self.counters.out_of_memory += 1;
        Err(Error::OutOfMemory { limit_bytes: shared.limit_bytes() })
    }

    /// Reclaims one segment; false when there is nothing to gain.
    pub(crate) fn reclaim_one(&mut self, now: Timestamp, shared: &Shared) -> bool {
        let mut emptiest: Option<(u32, usize)> = None;
        for &number in &self.sealed {
            let Some(segment) = self.segments.get(number) else { continue };
            if segment.pinned {
                continue;
            }
            if segment.live == 0 {
                self.release(number);
                self.counters.reclaimed += 1;
                return true;
            }
            // A moved record's version is written out, if it was not before.
            let version_len = if shared.versions { VERSION_LEN } else { 0 };
            let moved_len = segment.live_bytes + version_len * segment.live;
            let percent = moved_len * 100 / segment.capacity;
            if !segment.large && emptiest.is_none_or(|(_, least)| percent < least) {
                emptiest = Some((number, percent));
            }
        }
        let worth_compacting = if shared.evicts { WORTH_COMPACTING_PERCENT } else { 90 };
        if let Some((number, percent)) = emptiest
            && percent <= worth_compacting
        {
            self.reclaim(number, Pass::Compact, now, shared);
            return true;
        }
        if !shared.evicts {
            return false;
        }
        // Large segments that were fetched go behind the others, each at most once here.
        for _ in 0..self.sealed.len() {
            let Some(oldest) = self.sealed.pop_front() else { return false };
            self.sealed.push_back(oldest);
            let pinned = self.segments.get(oldest).is_none_or(|segment| segment.pinned);
            if !pinned && !self.is_spared(oldest, shared) {
                self.reclaim(oldest, Pass::Evict, now, shared);
                return true;
            }
        }
        // All were spared: now it is the oldest one's turn.
        let unpinned = |number: &u32| self.segments.get(*number).is_some_and(|one| !one.pinned);
        let Some(oldest) = self.sealed.iter().copied().find(unpinned) else { return false };
        self.reclaim(oldest, Pass::Evict, now, shared);
        true
    }

    /// Whether a large segment is kept this time, since its record was fetched since the last time.
    fn is_spared(&mut self, number: u32, shared: &Shared) -> bool {
        let place = Place { segment: number, offset: 0 };
        let Some((segment, stored)) = self.segments.at(place) else { return false };
        if !segment.large {
            return false;
        }
        let hash = shared.hash.of(stored.key);
        let Some((entry, slot)) = self.index.find_at(hash, place) else { return false };
        if !slot.access().is_active() {
            return false;
        }
        self.index.set(entry, slot.with_access(slot.access().passed()));
        true
    }

    /// Takes a segment away, having appended those of its records again that are kept.
    fn reclaim(&mut self, number: u32, pass: Pass, now: Timestamp, shared: &Shared) {
        // Its number stays taken until the end, since the index still points there.
        let Some(segment) = self.detach(number) else { return };
        self.counters.reclaimed += 1;
        let mut kept_len = 0;
        let kept_len_max = match pass {
            Pass::Compact => usize::MAX,
            Pass::Evict => shared.segment_len / 2,
        };
        let mut next = Some(0);
        while let Some(offset) = next {
            next = segment.after(offset);
            let Some(stored) = segment.record(offset) else { break };
            let hash = shared.hash.of(stored.key);
            let place = Place { segment: number, offset };
            let Some((entry, slot)) = self.index.find_at(hash, place) else { continue };
            let access = slot.access();
            let view = view_of(slot, &segment, stored, now, shared);
            if view.meta.expiry.is_past(now) {
                self.counters.expired += 1;
                self.counters.expired_unfetched += u64::from(!access.was_fetched());
            } else if pass == Pass::Compact
                || (access.is_active() && kept_len + stored.len <= kept_len_max)
            {
                kept_len += stored.len;
                let access = if pass == Pass::Evict { access.passed() } else { access };
                if let Some(place) = self.keep(&segment, offset, &stored, &view, now, shared) {
                    self.index.set(entry, Slot::new(hash, place, access));
                    self.counters.moved += 1;
                    continue;
                }
            } else {
                self.counters.evictions += 1;
                self.counters.evicted_with_expiry += u64::from(!view.meta.expiry.is_never());
                self.counters.evicted_unfetched += u64::from(!access.was_fetched());
                self.counters.evicted_active += u64::from(access.is_active());
                self.counters.evicted_idle_s = u64::from(access.idle_s(now));
                shared.tell_evicted(&view);
            }
            self.index.remove(entry, hash);
        }
        self.segments.free_number(number);
    }

    /// Appends a record of a detached segment again, which has left the room for it. The version that
    /// its old place implied is written out.
    fn keep(
        &mut self,
        from: &Segment,
        offset: u32,
        stored: &Stored<'_>,
        view: &View<'_>,
        now: Timestamp,
        shared: &Shared,
    ) -> Option<Place> {
        let open = self.open.filter(|&number| {
            let room = self.segments.get(number).map_or(0, Segment::room);
            room >= stored.len + VERSION_LEN
        });
        let number = match open {
            Some(number) => number,
            None => {
                self.sealed.extend(self.open.take());
                let base = shared.next_versions(shared.segment_len as u64);
                let segment = Segment::ordinary(shared.segment_len, base, now);
                let number = self.segments.add(segment)?;
                self.segment_bytes += shared.segment_len;
                self.open = Some(number);
                number
            }
        };
        let target = self.segments.get_mut(number)?;
        let start = target.bytes.len();
        if stored.explicit_version || !shared.versions {
            let start = offset as usize;
            target.bytes.extend_from_slice(from.bytes.get(start..start + stored.len)?);
        } else {
            let value_len = stored.value.len() as u64;
            layout::encode_head(&mut target.bytes, &view.meta, true, stored.key.len(), value_len);
            target.bytes.extend_from_slice(stored.key);
            target.bytes.extend_from_slice(stored.value);
        }
        target.gained(target.bytes.len() - start, view.meta.expiry);
        Some(Place { segment: number, offset: u32::try_from(start).ok()? })
    }

    /// Forgets the ended records of one segment, if there can be any; false when no segment is due.
    pub(crate) fn expire_one(&mut self, now: Timestamp, shared: &Shared) -> bool {
        let due = self.sealed.iter().chain(&self.open).copied().find(|&number| {
            self.segments.get(number).is_some_and(|segment| {
                segment.soonest_expiry.is_past(now) && segment.walk_again <= now
            })
        });
        let Some(number) = due else { return false };
        let mut soonest = Expiry::NEVER;
        let mut next = Some(0);
        while let Some(offset) = next {
            let place = Place { segment: number, offset };
            next = self.segments.get(number).and_then(|segment| segment.after(offset));
            let Some((_, stored)) = self.segments.at(place) else { break };
            let (expiry, len) = (stored.meta.expiry, stored.len);
            if expiry.is_never() {
                continue;
            }
            let hash = shared.hash.of(stored.key);
            let Some((entry, slot)) = self.index.find_at(hash, place) else { continue };
            if expiry.is_past(now) {
                self.counters.expired += 1;
                self.counters.expired_unfetched += u64::from(!slot.access().was_fetched());
                self.unlink(hash, Located { entry, slot, place }, len);
            } else if soonest.is_never() || expiry.ms() < soonest.ms() {
                soonest = expiry;
            }
        }
        let sealed = self.open != Some(number);
        if let Some(segment) = self.segments.get_mut(number) {
            // Nor is it walked again at once when more records that are over at once come in.
            segment.walk_again = now.plus_ms(1_000);
            // Expiries that are spread over time would have the segment read again every time: once a
            // minute is enough, since ended records are never shown anyway.
            let not_before = now.plus_ms(60_000).ms();
            segment.soonest_expiry = if soonest.is_never() {
                soonest
            } else {
                Expiry::at_ms(soonest.ms().max(not_before))
            };
            if segment.live == 0 && sealed && !segment.pinned {
                self.release(number);
                self.counters.reclaimed += 1;
            }
        }
        true
    }
}
