//! SIEVE: a hand that goes over the queue and leaves everybody where it is.

use crate::policy::Policy;
use crate::queues::{Id, Queues};

/// As CLOCK, but who is spared keeps its place: the hand passes over it, towards the newest, and starts again
/// at the oldest (Y. Zhang et al., *SIEVE is simpler than LRU*, NSDI 2024). New objects are sifted soon,
/// old ones that are asked for are left alone. Not for workloads with scans, as its authors say.
#[derive(Debug)]
pub struct Sieve {
    capacity: u64,
    queues: Queues<1>,
    /// The next to be looked at; none at the beginning of a round.
    hand: Option<Id>,
}

impl Sieve {
    /// An empty cache of so many bytes.
    pub fn new(capacity: u64) -> Sieve {
        Sieve { capacity, queues: Queues::default(), hand: None }
    }

    fn drop(&mut self, id: Id) {
        if self.hand == Some(id) {
            self.hand = self.queues.newer(id);
        }
        self.queues.drop(id);
    }
}

impl Policy for Sieve {
    fn request(&mut self, key: u64, size: u32) -> bool {
        let hit = |queues: &mut Queues<1>, id| queues.get_mut(id).hits = 1;
        let hand = &mut self.hand;
        self.queues.request(self.capacity, (key, size), hit, |queues, oldest| {
            let looked_at = hand.unwrap_or(oldest);
            *hand = queues.newer(looked_at);
            if std::mem::take(&mut queues.get_mut(looked_at).hits) == 0 {
                queues.drop(looked_at);
            }
        })
    }

    fn remove(&mut self, key: u64) {
        if let Some(id) = self.queues.find(key) {
            self.drop(id);
        }
    }

    fn bytes(&self) -> u64 {
        self.queues.bytes(0)
    }
}
