//! Looking records up, one or many at once. No lock is taken.

use crate::hash::Hash;
use crate::index::Probe;
use crate::view::Find;
use arc_swap::Guard;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use todana_engine::{Absence, Error, Found, Look};
use todana_log::{Pins, Segments};
use todana_record::Timestamp;

/// Look-ups of a group that are under way in each step.
const AHEAD: usize = 8;

/// Times that a look-up may find its list of segments out of date before that is looked into.
pub(crate) const RELOADS_MAX: u32 = 1_000;
/// What is said when that did not help: footers of some file do not fit their records.
pub(crate) const ASTRAY: &str = "the index points to a segment that is not there";

impl Hash {
    /// Looks keys up, each begun before the one before it is done; visits what is found in their order.
    pub(crate) fn look_up_all(
        &self,
        keys: &[&[u8]],
        now: Timestamp,
        visit: &mut dyn FnMut(usize, Found<'_>) -> Look,
    ) {
        let (index, mut segments) = (&*self.shared.index, self.shared.log.segments.load());
        if let [key] = keys {
            let hash = self.hash_of(key);
            self.look_up(&mut segments, key, hash, now, &mut |found| visit(0, found));
            return;
        }
        // Three steps of each look-up, each begun while the memory for the next is on its way.
        let mut hashes = [0; 4 * AHEAD];
        for at in 0..keys.len() + 2 * AHEAD {
            if let Some(key) = keys.get(at) {
                let hash = self.hash_of(key);
                hashes[at % hashes.len()] = hash;
                index.prefetch(hash);
            }
            let second = at.wrapping_sub(AHEAD);
            if second < keys.len() {
                segments.prefetch(index, hashes[second % hashes.len()]);
            }
            let third = at.wrapping_sub(2 * AHEAD);
            if let Some(key) = keys.get(third) {
                let hash = hashes[third % hashes.len()];
                self.look_up(&mut segments, key, hash, now, &mut |found| visit(third, found));
            }
        }
    }

    /// Looks one key up and visits what is found.
    #[inline]
    fn look_up(
        &self,
        segments: &mut Guard<Arc<Segments>>,
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
            let found = segments.find(&self.shared.index, hash, key, &pins);
            if let Ok(Probe::Reload) = found {
                reloads += 1;
                if reloads > RELOADS_MAX && self.is_astray(key, hash) {
                    visit(Found::Failed(Error::Corrupt(ASTRAY.to_owned())));
                    return;
                }
                *segments = self.shared.log.segments.load();
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
                        *segments = self.shared.log.segments.load();
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
        let _writer = self.writer();
        let segments = self.shared.log.segments.load();
        let pins = Pins::new();
        let found = segments.find(&self.shared.index, hash, key, &pins).map(|found| match found {
            Probe::Reload => true,
            Probe::Found(_) | Probe::Absent => false,
        });
        found.unwrap_or(false)
    }
}
