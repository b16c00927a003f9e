//! Looking records up, one or many at once. No lock is taken.

use crate::cache::Cache;
use crate::layout::{self, Stored};
use crate::place::Slot;
use std::sync::atomic::{Ordering, fence};
use todana_engine::{Absence, Found, Look};
use todana_index::{Check, Home, Probe};
use todana_io::epoch::{Pin, pin};
use todana_record::Timestamp;

/// Look-ups that are under way together.
const GROUP: usize = 32;

/// A look-up that is under way.
#[derive(Clone, Copy)]
struct Begun<'c> {
    home: Home<'c, Slot>,
    /// The entry that may be its key's.
    guess: Option<Slot>,
    /// The entry that says that it was fetched.
    mark: Option<Slot>,
}

impl Begun<'static> {
    const NONE: Begun<'static> = Begun { home: Home::NOWHERE, guess: None, mark: None };
}

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
        let mut begun = [Begun::NONE; GROUP];
        for (group, keys) in keys.chunks(GROUP).enumerate() {
            // Passes: the memory of each is on its way while that of the others is asked for.
            let unit = self.shared.units.load(Ordering::Acquire);
            let begun = self.begin(keys, &mut begun);
            self.guess(begun, true);
            for (at, (key, begun)) in keys.iter().zip(&mut *begun).enumerate() {
                let number = group * GROUP + at;
                match begun.guess.and_then(|slot| Some((slot, self.is_at(&pin, slot, key, unit)?)))
                {
                    // So it was when it was guessed.
                    Some((slot, stored)) => {
                        begun.mark = self.show(number, slot, &stored, now, visit);
                    }
                    None => {
                        self.look_up(&pin, number, key, self.shared.hash_of(key), now, visit);
                    }
                }
            }
            // Together, since each waits for all look-ups before it.
            for begun in begun {
                if let (Some(old), Some(new)) = (begun.guess, begun.mark.take()) {
                    begun.home.replace(old, new);
                }
            }
        }
    }

    /// Brings index lines and keys of records near, as updates need them.
    pub(crate) fn bring_near(&self, keys: &[&[u8]]) {
        let mut begun = [Begun::NONE; GROUP];
        for keys in keys.chunks(GROUP) {
            let begun = self.begin(keys, &mut begun);
            self.guess(begun, false);
        }
    }

    /// Asks for the index lines of at most [`GROUP`] keys.
    #[inline]
    fn begin<'c, 'b>(
        &'c self,
        keys: &[&[u8]],
        begun: &'b mut [Begun<'c>; GROUP],
    ) -> &'b mut [Begun<'c>] {
        for (begun, key) in begun.iter_mut().zip(keys) {
            let hash = self.shared.hash_of(key);
            begun.home = self.shard(hash).index.home(hash);
            begun.home.prefetch();
        }
        begun.get_mut(..keys.len()).unwrap_or_default()
    }

    /// Asks for the records that the index lines lead to, or for their keys.
    #[inline]
    fn guess(&self, begun: &mut [Begun<'_>], whole: bool) {
        for begun in begun {
            begun.guess = begun.home.guess();
            if let Some(slot) = begun.guess {
                self.shared.prefetch(slot.place, whole);
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
                shard.index.home(hash).replace(slot, marked);
            }
            return;
        }
    }
}
