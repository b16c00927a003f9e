//! W-TinyLFU: a newcomer stays if it is asked for more often than who would have to go.

use crate::policy::{Policy, percent};
use crate::queues::{Id, Object, Queues};
use crate::sketch::Sketch;

/// New objects.
const WINDOW: u8 = 0;
/// Objects of the main cache that were not asked for since they came there.
const PROBATION: u8 = 1;
/// Objects of the main cache that were.
const PROTECTED: u8 = 2;

/// The window's part of the capacity, one in so many bytes.
const WINDOW_ONE_IN: u64 = 100;
/// The protected part of the main cache, in percent.
const PROTECTED_PERCENT: u64 = 80;

/// A window of one percent, LRU, before a segmented LRU; who leaves the window enters the main cache if it
/// was asked for more often of late than who would be evicted for it (G. Einziger, R. Friedman, B. Manes,
/// *TinyLFU: a highly efficient cache admission policy*, ACM TOS 2017).
///
/// With sizes, a candidate has to be asked for more often than all its victims together (Einziger et al.,
/// *Lightweight robust size aware cache management*, ACM TOS 2022). The newest object stays in the window
/// even if it is larger than that. The window has a fixed size; Caffeine moves it while it runs, and needs
/// that where what was new is asked for soon and then never again.
#[derive(Debug)]
pub struct WTinyLfu {
    capacity: u64,
    window_max: u64,
    protected_max: u64,
    queues: Queues<3>,
    sketch: Sketch,
}

impl WTinyLfu {
    /// An empty cache of so many bytes.
    pub fn new(capacity: u64) -> WTinyLfu {
        let window_max = (capacity / WINDOW_ONE_IN).max(1);
        let protected_max = percent(PROTECTED_PERCENT, capacity.saturating_sub(window_max));
        let (queues, sketch) = (Queues::default(), Sketch::default());
        WTinyLfu { capacity, window_max, protected_max, queues, sketch }
    }

    fn hit(&mut self, id: Id) {
        match self.queues.get(id).queue {
            WINDOW => self.queues.move_to(id, WINDOW),
            _ => {
                self.queues.move_to(id, PROTECTED);
                while self.queues.bytes(PROTECTED) > self.protected_max {
                    let Some(oldest) = self.queues.oldest(PROTECTED) else { break };
                    self.queues.move_to(oldest, PROBATION);
                }
            }
        }
    }

    /// What the window has too much goes to the main cache or away; then the main cache makes room for a
    /// newest object that is larger than the window.
    fn settle(&mut self) {
        while self.queues.bytes(WINDOW) > self.window_max {
            let Some(oldest) = self.queues.oldest(WINDOW) else { break };
            if self.queues.newer(oldest).is_none() {
                break;
            }
            self.decide(oldest);
        }
        while self.bytes() > self.capacity {
            let Some(victim) = self.victims().next() else { break };
            self.queues.drop(victim);
        }
    }

    /// Moves a candidate from the window to the main cache, or lets go of it.
    fn decide(&mut self, candidate: Id) {
        let &Object { key, .. } = self.queues.get(candidate);
        let excess = self.bytes().saturating_sub(self.capacity);
        let wanted = u32::from(self.sketch.count(key));
        let (mut freed, mut against, mut victims) = (0, 0, 0);
        for victim in self.victims() {
            if freed >= excess || against >= wanted {
                break;
            }
            let victim = self.queues.get(victim);
            freed += u64::from(victim.size);
            against += u32::from(self.sketch.count(victim.key));
            victims += 1;
        }
        if freed < excess || victims > 0 && against >= wanted {
            self.queues.drop(candidate);
            return;
        }
        for _ in 0..victims {
            let victim = self.victims().next();
            victim.into_iter().for_each(|victim| self.queues.drop(victim));
        }
        self.queues.move_to(candidate, PROBATION);
    }

    /// The objects of the main cache in the order in which they would go.
    fn victims(&self) -> impl Iterator<Item = Id> {
        let queues = [PROBATION, PROTECTED];
        queues.into_iter().flat_map(|queue| {
            let oldest = self.queues.oldest(queue);
            std::iter::successors(oldest, |&id| self.queues.newer(id))
        })
    }
}

impl Policy for WTinyLfu {
    fn request(&mut self, key: u64, size: u32) -> bool {
        self.sketch.add(key);
        if let Some(id) = self.queues.find(key) {
            self.hit(id);
            return true;
        }
        if u64::from(size) <= self.capacity {
            self.queues.push(WINDOW, key, size);
            self.settle();
            self.sketch.fit(self.queues.len());
        }
        false
    }

    fn remove(&mut self, key: u64) {
        if let Some(id) = self.queues.find(key) {
            self.queues.drop(id);
        }
    }

    fn bytes(&self) -> u64 {
        [WINDOW, PROBATION, PROTECTED].iter().map(|&queue| self.queues.bytes(queue)).sum()
    }
}
