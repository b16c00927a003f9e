//! Looking records up, one or many at once. No lock is taken.

use crate::cache::Cache;
use crate::layout;
use crate::place::Slot;
use std::sync::atomic::{Ordering, fence};
use todana_engine::{Absence, Found, Look};
use todana_index::{Check, Probe};
use todana_io::epoch::{Pin, pin};
use todana_record::Timestamp;

/// Look-ups of a group that are under way in each step.
const AHEAD: usize = 8;

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
            self.look_up(&pin, key, hash, now, &mut |found| visit(0, found));
            return;
        }
        // Three steps of each look-up, each begun while the memory for the next is on its way.
        let mut hashes = [0; 4 * AHEAD];
        for at in 0..keys.len() + 2 * AHEAD {
            if let Some(key) = keys.get(at) {
                let hash = self.shared.hash_of(key);
                hashes[at % hashes.len()] = hash;
                self.shard(hash).index.prefetch(hash);
            }
            let second = at.wrapping_sub(AHEAD);
            if second < keys.len() {
                let hash = hashes[second % hashes.len()];
                if let Some(slot) = self.shard(hash).index.guess(hash) {
                    self.shared.prefetch(slot.place);
                }
            }
            let third = at.wrapping_sub(2 * AHEAD);
            if let Some(key) = keys.get(third) {
                let hash = hashes[third % hashes.len()];
                self.look_up(&pin, key, hash, now, &mut |found| visit(third, found));
            }
        }
    }

    /// Looks one key up and visits what is found.
    #[inline]
    fn look_up(
        &self,
        pin: &Pin,
        key: &[u8],
        hash: u64,
        now: Timestamp,
        visit: &mut dyn FnMut(Found<'_>) -> Look,
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
                    visit(Found::Absent(Absence::Unknown));
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
            if stored.meta.expiry.is_past(now) {
                visit(Found::Absent(Absence::Expired));
            } else if visit(Found::Record(shared.view(slot, &stored, now))) == Look::Fetched {
                let access = slot.access.fetched_at(now);
                if access != slot.access {
                    // If it is lost, one fetch is.
                    shard.index.replace(hash, slot, Slot { access, ..slot });
                }
            }
            return;
        }
    }
}
