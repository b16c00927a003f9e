//! Belady's optimum: what a cache could do that knew the future.

use crate::trace::Trace;
use std::collections::BinaryHeap;

/// That an object is not asked for again while it has not expired.
const NEVER: u32 = u32::MAX;
/// Requests between two reports of progress.
const CHUNK: usize = 1 << 16;

/// The misses of a cache of so many bytes that lets go of what is asked for the latest, and takes nothing in
/// that would be that (L. A. Belady, *A study of replacement algorithms for a virtual-storage computer*,
/// 1966). `progress` hears of requests that are done.
///
/// No cache has fewer misses where all objects have one size and never expire. With sizes the optimum is
/// out of reach (NP-hard: M. Chrobak et al., *Caching is hard, even in the fault model*, 2012), and to go by
/// the next use alone is a good cache, but no bound; with times to live it is nearly one.
pub fn misses(trace: &Trace, capacity: u64, progress: &mut dyn FnMut(u64)) -> u64 {
    let mut cache = Optimum {
        capacity,
        bytes: 0,
        held: vec![Held::default(); trace.objects()],
        latest: BinaryHeap::new(),
    };
    let next_uses = next_uses(trace);
    let (mut misses, mut now) = (0, 0_u32);
    for (requests, next_uses) in trace.requests().chunks(CHUNK).zip(next_uses.chunks(CHUNK)) {
        for (request, &next_use) in requests.iter().zip(next_uses) {
            let object = usize::try_from(request.key).unwrap_or(usize::MAX);
            let is_hit = cache.held[object].next_use == now && cache.held[object].is_held;
            if !is_hit {
                misses += 1;
                cache.take_in(object, request.size, expiry(now, request.ttl));
            }
            cache.wait(object, next_use);
            cache.evict();
            now += 1;
        }
        progress(requests.len() as u64);
    }
    misses
}

/// When an object that is taken in now expires.
pub(crate) fn expiry(now: u32, ttl: u32) -> u32 {
    if ttl == 0 { NEVER } else { now.saturating_add(ttl) }
}

/// For each request the number of the next one for the same key.
fn next_uses(trace: &Trace) -> Vec<u32> {
    let mut next_of_key = vec![NEVER; trace.objects()];
    let mut next_uses = vec![NEVER; trace.requests().len()];
    for (number, request) in trace.requests().iter().enumerate().rev() {
        let object = usize::try_from(request.key).unwrap_or(usize::MAX);
        let number_of_next = u32::try_from(number).unwrap_or(NEVER);
        next_uses[number] = std::mem::replace(&mut next_of_key[object], number_of_next);
    }
    next_uses
}

#[derive(Debug, Default, Clone, Copy)]
struct Held {
    is_held: bool,
    size: u32,
    expires: u32,
    next_use: u32,
}

struct Optimum {
    capacity: u64,
    bytes: u64,
    held: Vec<Held>,
    /// Next uses and their objects, the latest first; what an object no longer waits for is passed over.
    latest: BinaryHeap<(u32, usize)>,
}

impl Optimum {
    fn take_in(&mut self, object: usize, size: u32, expires: u32) {
        if !std::mem::replace(&mut self.held[object].is_held, true) {
            self.bytes += u64::from(size);
        }
        (self.held[object].size, self.held[object].expires) = (size, expires);
    }

    /// The object will be asked for then; if it has expired by then, it might as well never be.
    fn wait(&mut self, object: usize, next_use: u32) {
        let held = &mut self.held[object];
        held.next_use = if next_use < held.expires { next_use } else { NEVER };
        self.latest.push((held.next_use, object));
    }

    fn evict(&mut self) {
        while self.bytes > self.capacity {
            let Some((next_use, object)) = self.latest.pop() else { break };
            let held = &mut self.held[object];
            if held.is_held && held.next_use == next_use {
                held.is_held = false;
                self.bytes -= u64::from(held.size);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Request;

    fn check(keys: &[u64], ttl: u32, capacity: u64, expected: u64) {
        let requests = keys.iter().map(|&key| Request { key, size: 1, ttl });
        let trace = Trace::new("test", requests.collect());
        assert_eq!(misses(&trace, capacity, &mut |_| {}), expected, "{keys:?} in {capacity}");
    }

    #[test]
    fn small_traces() {
        // The trace of the textbooks: nine misses in three frames, one less as 4 need not be taken in.
        check(&[7, 0, 1, 2, 0, 3, 0, 4, 2, 3, 0, 3, 2, 1, 2, 0, 1, 7, 0, 1], 0, 3, 8);
        check(&[1, 2, 3, 1, 2, 3], 0, 3, 3);
        check(&[1, 2, 3, 1, 2, 3], 0, 2, 4);
        check(&[1, 1, 1], 0, 0, 3);
        check(&[1, 1, 1, 1], 2, 1, 2);
    }
}
