//! CLOCK: a second chance for what was asked for.

use crate::policy::Policy;
use crate::queues::Queues;

/// First in, first out, but what was asked for since its last turn gets another one (F. J. Corbató, *A paging
/// experiment with the Multics system*, 1968). The hand around a ring is a queue here: who is spared goes
/// to its end.
#[derive(Debug)]
pub struct Clock {
    capacity: u64,
    queues: Queues<1>,
}

impl Clock {
    /// An empty cache of so many bytes.
    pub fn new(capacity: u64) -> Clock {
        Clock { capacity, queues: Queues::default() }
    }
}

impl Policy for Clock {
    fn request(&mut self, key: u64, size: u32) -> bool {
        let hit = |queues: &mut Queues<1>, id| queues.get_mut(id).hits = 1;
        self.queues.request(self.capacity, (key, size), hit, |queues, oldest| {
            if std::mem::take(&mut queues.get_mut(oldest).hits) > 0 {
                queues.move_to(oldest, 0);
            } else {
                queues.drop(oldest);
            }
        })
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
