//! Looking records up, one or many at once. No lock is taken.

use crate::cache::Cache;
use crate::layout::{self, Stored};
use crate::place::Slot;
use std::sync::atomic::{Ordering, fence};
use todana_engine::{Absence, Found, Look};
use todana_index::{Check, Probe};
use todana_io::epoch::{Pin, pin};
use todana_record::Timestamp;

/// Look-ups that are under way together.
const GROUP: usize = 32;

impl Cache {
    /// Looks keys up, each begun before the one before it is done; visits what is found in their order.
    pub(crate) fn look_up_all(
        &self,
        keys: &[&[u8]],
        now: Timestamp,
        visit: &mut dyn FnMut(usize, Found<'_>) -> Look,
    ) {
        let pin = pin();
        if let [key] = keys {
            let hash = self.shared.hash_of(key);
            self.look_up(&pin, 0, key, hash, now, visit);
            return;
        }
        let mut hashes = [0; GROUP];
        let mut guesses = [None; GROUP];
        let mut marks = [None; GROUP];
        for (group, keys) in keys.chunks(GROUP).enumerate() {
            // Three passes: the memory of each is on its way while that of the others is asked for.
            for (hash, key) in hashes.iter_mut().zip(keys) {
                *hash = self.shared.hash_of(key);
                self.shard(*hash).index.prefetch(*hash);
            }
            let unit = self.shared.units.load(Ordering::Acquire);
            for (&hash, guess) in hashes.iter().zip(&mut guesses).take(keys.len()) {
                *guess = self.shard(hash).index.guess(hash);
            }
            for slot in guesses.iter().take(keys.len()).flatten() {
                self.shared.prefetch(slot.place);
            }
            for (at, key) in keys.iter().enumerate() {
                let (number, hash) = (group * GROUP + at, hashes[at]);
                let stored = guesses[at].and_then(|slot| self.is_at(&pin, slot, key, unit));
                match (stored, guesses[at]) {
                    // So it was when it was guessed.
                    (Some(stored), Some(slot)) => {
                        marks[at] = self.show(number, slot, &stored, now, visit);
                    }
                    _ => self.look_up(&pin, number, key, hash, now, visit),
                }
            }
            // Together, since each waits for all look-ups before it.
            for ((hash, guess), mark) in hashes.iter().zip(&guesses).zip(&mut marks) {
                if let (Some(old), Some(new)) = (guess, mark.take()) {
                    self.shard(*hash).index.replace(*hash, *old, new);
                }
            }
        }
    }

    /// Brings index lines and records near, as for look-ups.
    pub(crate) fn bring_near(&self, keys: &[&[u8]]) {
        let mut hashes = [0; GROUP];
        for keys in keys.chunks(GROUP) {
            for (hash, key) in hashes.iter_mut().zip(keys) {
                *hash = self.shared.hash_of(key);
                self.shard(*hash).index.prefetch(*hash);
            }
            for &hash in hashes.iter().take(keys.len()) {
                if let Some(slot) = self.shard(hash).index.guess(hash) {
                    self.shared.prefetch(slot.place);
                }
            }
        }
    }

    /// The record of a key where it was guessed to be, unless it is another's or large, or a unit came
    /// between.
    #[inline]
    fn is_at<'p>(&'p self, pin: &'p Pin, slot: Slot, key: &[u8], unit: u64) -> Option<Stored<'p>> {
        let stored = self.shared.stored(pin, slot.place).filter(|stored| stored.key == key)?;
        fence(Ordering::Acquire);
        let is_whole = unit & 1 == 0 && self.shared.units.load(Ordering::Relaxed) == unit;
        is_whole.then_some(stored)
    }

    /// Visits a record; gives the entry that says that it was fetched, if its does not yet.
    #[inline]
    fn show(
        &self,
        number: usize,
        slot: Slot,
        stored: &Stored<'_>,
        now: Timestamp,
        visit: &mut dyn FnMut(usize, Found<'_>) -> Look,
    ) -> Option<Slot> {
        if stored.meta.expiry.is_past(now) {
            visit(number, Found::Absent(Absence::Expired));
            return None;
        }
        if visit(number, Found::Record(self.shared.view(slot, stored, now))) != Look::Fetched {
            return None;
        }
        let access = slot.access.fetched_at(now);
        (access != slot.access).then_some(Slot { access, ..slot })
    }

    /// Looks one key up and visits what is found.
    fn look_up(
        &self,
        pin: &Pin,
        number: usize,
        key: &[u8],
        hash: u64,
        now: Timestamp,
        visit: &mut dyn FnMut(usize, Found<'_>) -> Look,
    ) {
        let (shared, shard) = (&self.shared, self.shard(hash));
        loop {
            let unit = shared.units.load(Ordering::Acquire);
            if unit & 1 == 1 {
                std::thread::yield_now();
                continue;
            }
            let mut large = None;
            let probe = shard.index.probe(hash, |slot| {
                if slot.place.is_large() {
                    return match shared.larges.get(slot.place.number) {
                        Some(found) if *found.key == *key => {
                            large = Some(found);
                            Check::Is((slot, None))
                        }
                        Some(_) => Check::IsNot,
                        None => Check::Reload,
                    };
                }
                match layout::decode(shared.bytes(pin, slot.place)) {
                    Some(stored) if stored.key == key => Check::Is((slot, Some(stored))),
                    Some(_) => Check::IsNot,
                    // Its segment was taken away since: the entry is another by now.
                    None => Check::Reload,
                }
            });
            fence(Ordering::Acquire);
            if shared.units.load(Ordering::Relaxed) != unit {
                continue;
            }
            let (slot, stored) = match probe {
                Probe::Found(found) => found,
                Probe::Absent => {
                    visit(number, Found::Absent(Absence::Unknown));
                    return;
                }
                Probe::Reload => {
                    std::hint::spin_loop();
                    continue;
                }
            };
            let Some(stored) = stored.or_else(|| large.as_deref().map(|large| large.stored()))
            else {
                continue;
            };
            if let Some(marked) = self.show(number, slot, &stored, now, visit) {
                // If it is lost, one fetch is.
                shard.index.replace(hash, slot, marked);
            }
            return;
        }
    }
}
