//! LRU: what was not asked for the longest goes.

use crate::policy::Policy;
use crate::queues::Queues;

/// Evicts what was not asked for the longest. The measure that others are held against; scans wash it out.
#[derive(Debug)]
pub struct Lru {
    capacity: u64,
    queues: Queues<1>,
}

impl Lru {
    /// An empty cache of so many bytes.
    pub fn new(capacity: u64) -> Lru {
        Lru { capacity, queues: Queues::default() }
    }
}

impl Policy for Lru {
    fn request(&mut self, key: u64, size: u32) -> bool {
        let hit = |queues: &mut Queues<1>, id| queues.move_to(id, 0);
        self.queues.request(self.capacity, (key, size), hit, Queues::drop)
    }

    fn remove(&mut self, key: u64) {
        if let Some(id) = self.queues.find(key) {
            self.queues.drop(id);
        }
    }

    fn bytes(&self) -> u64 {
        self.queues.bytes(0)
    }
}
