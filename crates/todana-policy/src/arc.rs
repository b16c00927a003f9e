//! ARC: recency and frequency, shared out by what was evicted too early.

use crate::policy::Policy;
use crate::queues::{Id, Object, Queues};

/// Objects that were asked for once.
const ONCE: u8 = 0;
/// Objects that were asked for again.
const AGAIN: u8 = 1;
/// Keys that were evicted from [`ONCE`].
const ONCE_GHOST: u8 = 2;
/// Keys that were evicted from [`AGAIN`].
const AGAIN_GHOST: u8 = 3;

/// Two LRU lists, of what was asked for once and of what was asked for again, and the keys that were evicted
/// from each of them of late. Such a key that comes back says that its list was too short (N. Megiddo, D.
/// Modha, *ARC: a self-tuning, low overhead replacement cache*, FAST 2003).
///
/// The paper counts pages; here lengths are bytes, and a list grows by the size of the object that came back.
/// Not for many threads: every hit writes to a list.
#[derive(Debug)]
pub struct Arc {
    capacity: u64,
    queues: Queues<4>,
    /// Bytes that [`ONCE`] should have: the paper's p.
    once_wanted: u64,
}

impl Arc {
    /// An empty cache of so many bytes.
    pub fn new(capacity: u64) -> Arc {
        Arc { capacity, queues: Queues::default(), once_wanted: 0 }
    }

    /// A key came back: the list that it was evicted from is wanted longer.
    fn adapt(&mut self, ghost: u8, size: u32) {
        let [once, again] = [ONCE_GHOST, AGAIN_GHOST].map(|ghost| self.queues.bytes(ghost).max(1));
        let step = |own: u64, other: u64| u64::from(size).saturating_mul((other / own).max(1));
        self.once_wanted = match ghost {
            ONCE_GHOST => (self.once_wanted + step(once, again)).min(self.capacity),
            _ => self.once_wanted.saturating_sub(step(again, once)),
        };
    }

    fn make_room(&mut self, size: u32, came_back_to_again: bool) {
        while self.bytes() + u64::from(size) > self.capacity {
            let once = self.queues.bytes(ONCE);
            let is_long = once > self.once_wanted || came_back_to_again && once == self.once_wanted;
            let order = if is_long { [ONCE, AGAIN] } else { [AGAIN, ONCE] };
            let oldest = order.iter().find_map(|&queue| self.queues.oldest(queue));
            let Some(oldest) = oldest else { break };
            let is_once = self.queues.get(oldest).queue == ONCE;
            self.queues.move_to(oldest, if is_once { ONCE_GHOST } else { AGAIN_GHOST });
        }
    }

    /// Keys that were seen once stand for at most the capacity, all keys for at most twice as much.
    fn trim_ghosts(&mut self, size: u32) {
        let room = |taken: u64, whole: u64| taken + u64::from(size) <= whole;
        while !room(self.queues.bytes(ONCE) + self.queues.bytes(ONCE_GHOST), self.capacity) {
            let Some(oldest) = self.queues.oldest(ONCE_GHOST) else { break };
            self.queues.drop(oldest);
        }
        let all = |queues: &Queues<4>| (ONCE..=AGAIN_GHOST).map(|queue| queues.bytes(queue)).sum();
        while !room(all(&self.queues), 2 * self.capacity) {
            let Some(oldest) = self.queues.oldest(AGAIN_GHOST) else { break };
            self.queues.drop(oldest);
        }
    }

    fn bring_back(&mut self, id: Id) {
        let &Object { queue, size, .. } = self.queues.get(id);
        self.adapt(queue, size);
        self.make_room(size, queue == AGAIN_GHOST);
        self.queues.move_to(id, AGAIN);
    }
}

impl Policy for Arc {
    fn request(&mut self, key: u64, size: u32) -> bool {
        if let Some(id) = self.queues.find(key) {
            let is_held = self.queues.get(id).queue <= AGAIN;
            if is_held {
                self.queues.move_to(id, AGAIN);
            } else {
                self.bring_back(id);
            }
            return is_held;
        }
        if u64::from(size) <= self.capacity {
            self.make_room(size, false);
            self.trim_ghosts(size);
            self.queues.push(ONCE, key, size);
        }
        false
    }

    fn remove(&mut self, key: u64) {
        let held = self.queues.find(key).filter(|&id| self.queues.get(id).queue <= AGAIN);
        if let Some(id) = held {
            self.queues.drop(id);
        }
    }

    fn bytes(&self) -> u64 {
        self.queues.bytes(ONCE) + self.queues.bytes(AGAIN)
    }
}
