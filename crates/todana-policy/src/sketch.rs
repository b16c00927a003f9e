//! How often keys were asked for of late, nearly, in little memory.

use crate::key_hash::mix;

/// Counters that a key adds to.
const ROWS: usize = 4;
/// Counters of a row for each object that is held.
const COUNTERS_PER_OBJECT: usize = 4;
/// What a counter counts to: four bits, as in the paper.
const COUNT_MAX: u8 = 15;
/// Requests for each object that is held, until all counters are halved.
const REQUESTS_PER_OBJECT: u64 = 10;
/// Counters of a row at first.
const WIDTH_MIN: usize = 64;

/// A count-min sketch (G. Cormode, S. Muthukrishnan 2005) that forgets: after some requests all counters are
/// halved (G. Einziger, R. Friedman, B. Manes, *TinyLFU*, ACM TOS 2017). Only the smallest
/// of a key's counters are added to.
#[derive(Debug)]
pub(crate) struct Sketch {
    rows: [Vec<u8>; ROWS],
    added: u64,
}

impl Default for Sketch {
    fn default() -> Sketch {
        Sketch { rows: std::array::from_fn(|_| vec![0; WIDTH_MIN]), added: 0 }
    }
}

impl Sketch {
    /// Makes it fit to a cache of so many objects. A row that becomes twice as long is repeated: a key's
    /// counter is then at one of two places with the same count, and nothing is lost.
    pub(crate) fn fit(&mut self, objects: usize) {
        while self.rows[0].len() < objects * COUNTERS_PER_OBJECT {
            self.rows.iter_mut().for_each(|row| row.extend_from_within(..));
        }
    }

    /// How often the key was added, or a little more.
    pub(crate) fn count(&self, key: u64) -> u8 {
        let counts = self.rows.iter().zip(self.places(key)).map(|(row, place)| row[place]);
        counts.min().unwrap_or(0)
    }

    /// Counts a request.
    pub(crate) fn add(&mut self, key: u64) {
        let (count, places) = (self.count(key), self.places(key));
        if count < COUNT_MAX {
            for (row, place) in self.rows.iter_mut().zip(places) {
                row[place] = row[place].max(count + 1);
            }
        }
        self.added += 1;
        let objects = self.rows[0].len() / COUNTERS_PER_OBJECT;
        if self.added >= objects as u64 * REQUESTS_PER_OBJECT {
            self.added /= 2;
            self.rows.iter_mut().flatten().for_each(|count| *count /= 2);
        }
    }

    fn places(&self, key: u64) -> [usize; ROWS] {
        let mask = self.rows[0].len() as u64 - 1;
        let first = mix(key);
        // Double hashing: an odd step leads to different places.
        let step = mix(first) | 1;
        let mut hash = first;
        std::array::from_fn(|_| {
            hash = hash.wrapping_add(step);
            usize::try_from(hash & mask).unwrap_or(0)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_grows_and_forgets() {
        let mut sketch = Sketch::default();
        (0..5).for_each(|_| sketch.add(7));
        sketch.fit(1_000);
        assert_eq!((sketch.count(7), sketch.count(8)), (5, 0));
        (0..20).for_each(|_| sketch.add(7));
        assert_eq!(sketch.count(7), COUNT_MAX);
        (0..100_000).for_each(|key| sketch.add(key));
        assert!(sketch.count(7) < 5, "{}", sketch.count(7));
    }
}
