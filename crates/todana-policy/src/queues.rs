//! Queues of objects, and an index of their keys: what all policies are made of.

use crate::key_hash::BuildKeyHash;
use std::collections::HashMap;

/// Where an object is, until it is dropped.
pub(crate) type Id = u32;

/// The end of a queue.
const NONE: Id = Id::MAX;

/// An object in a queue.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) key: u64,
    pub(crate) size: u32,
    /// Its queue.
    pub(crate) queue: u8,
    /// For the policy to count in.
    pub(crate) hits: u8,
    newer: Id,
    older: Id,
}

#[derive(Debug, Clone, Copy)]
struct Queue {
    newest: Id,
    oldest: Id,
    bytes: u64,
}

/// `N` queues, from the newest object to the oldest. A key is in one of them at most.
#[derive(Debug)]
pub(crate) struct Queues<const N: usize> {
    objects: Vec<Object>,
    free: Vec<Id>,
    index: HashMap<u64, Id, BuildKeyHash>,
    queues: [Queue; N],
}

impl<const N: usize> Default for Queues<N> {
    fn default() -> Queues<N> {
        let queues = [Queue { newest: NONE, oldest: NONE, bytes: 0 }; N];
        Queues { objects: Vec::new(), free: Vec::new(), index: HashMap::default(), queues }
    }
}

impl Queues<1> {
    /// Asks for an object of a cache that is one queue: `hit` notes that it was found; `evict` makes some
    /// room, as often as it takes.
    pub(crate) fn request(
        &mut self,
        capacity: u64,
        (key, size): (u64, u32),
        hit: impl FnOnce(&mut Self, Id),
        mut evict: impl FnMut(&mut Self, Id),
    ) -> bool {
        if let Some(id) = self.find(key) {
            hit(self, id);
            return true;
        }
        if u64::from(size) > capacity {
            return false;
        }
        while self.bytes(0) + u64::from(size) > capacity {
            let Some(oldest) = self.oldest(0) else { break };
            evict(self, oldest);
        }
        self.push(0, key, size);
        false
    }
}

impl<const N: usize> Queues<N> {
    /// The object of a key.
    #[inline]
    pub(crate) fn find(&self, key: u64) -> Option<Id> {
        self.index.get(&key).copied()
    }

    /// An object that was not dropped.
    #[inline]
    pub(crate) fn get(&self, id: Id) -> &Object {
        &self.objects[id as usize]
    }

    /// As [`get`](Queues::get).
    #[inline]
    pub(crate) fn get_mut(&mut self, id: Id) -> &mut Object {
        &mut self.objects[id as usize]
    }

    /// Bytes of a queue's objects.
    pub(crate) fn bytes(&self, queue: u8) -> u64 {
        self.queues[usize::from(queue)].bytes
    }

    /// Objects in all queues.
    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    /// The oldest object of a queue.
    #[inline]
    pub(crate) fn oldest(&self, queue: u8) -> Option<Id> {
        some(self.queues[usize::from(queue)].oldest)
    }

    /// The object of the same queue that came next after this one.
    #[inline]
    pub(crate) fn newer(&self, id: Id) -> Option<Id> {
        some(self.get(id).newer)
    }

    /// Takes in an object, as the newest of a queue. Its key must be in none.
    pub(crate) fn push(&mut self, queue: u8, key: u64, size: u32) -> Id {
        let object = Object { key, size, queue, hits: 0, newer: NONE, older: NONE };
        let id = match self.free.pop() {
            Some(id) => {
                self.objects[id as usize] = object;
                id
            }
            None => {
                let id = Id::try_from(self.objects.len()).unwrap_or(NONE);
                assert!(id != NONE, "more objects than there are numbers for them");
                self.objects.push(object);
                id
            }
        };
        self.index.insert(key, id);
        self.link(id, queue);
        id
    }

    /// Makes an object the newest of a queue, its own or another.
    pub(crate) fn move_to(&mut self, id: Id, queue: u8) {
        self.unlink(id);
        self.link(id, queue);
    }

    /// Forgets an object.
    pub(crate) fn drop(&mut self, id: Id) {
        self.unlink(id);
        self.index.remove(&self.objects[id as usize].key);
        self.free.push(id);
    }

    fn link(&mut self, id: Id, queue: u8) {
        let place = &mut self.queues[usize::from(queue)];
        let object = &mut self.objects[id as usize];
        (object.queue, object.newer, object.older) = (queue, NONE, place.newest);
        place.bytes += u64::from(object.size);
        match some(place.newest) {
            Some(older) => self.objects[older as usize].newer = id,
            None => place.oldest = id,
        }
        place.newest = id;
    }

    fn unlink(&mut self, id: Id) {
        let &Object { size, queue, newer, older, .. } = self.get(id);
        let place = &mut self.queues[usize::from(queue)];
        place.bytes -= u64::from(size);
        match some(newer) {
            Some(newer) => self.objects[newer as usize].older = older,
            None => place.newest = older,
        }
        match some(older) {
            Some(older) => self.objects[older as usize].newer = newer,
            None => place.oldest = newer,
        }
    }
}

#[inline]
fn some(id: Id) -> Option<Id> {
    (id != NONE).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys of a queue, the oldest first.
    fn keys<const N: usize>(queues: &Queues<N>, queue: u8) -> Vec<u64> {
        let ids = std::iter::successors(queues.oldest(queue), |&id| queues.newer(id));
        ids.map(|id| queues.get(id).key).collect()
    }

    #[test]
    fn objects_move_between_queues() {
        let mut queues = Queues::<2>::default();
        let [a, b, c] = [1, 2, 3].map(|key| queues.push(0, key, 10));
        assert_eq!((keys(&queues, 0), queues.bytes(0)), (vec![1, 2, 3], 30));
        queues.move_to(b, 1);
        queues.move_to(a, 0);
        assert_eq!((keys(&queues, 0), keys(&queues, 1)), (vec![3, 1], vec![2]));
        queues.drop(c);
        queues.drop(b);
        assert_eq!((queues.find(3), queues.find(1), queues.bytes(1)), (None, Some(a), 0));
        queues.push(1, 4, 5);
        assert_eq!((keys(&queues, 0), keys(&queues, 1), queues.len()), (vec![1], vec![4], 2));
    }
}
