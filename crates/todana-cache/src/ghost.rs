//! Keys that were evicted a short while ago: who comes back soon is not left to the small queue again.

/// Sixteen bits of the hash of each of the last evicted keys, or nearly: a later one takes the place of an
/// earlier one whose hash leads to the same place.
#[derive(Debug, Default)]
pub(crate) struct Ghost {
    prints: Box<[u16]>,
}

impl Ghost {
    /// Bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.prints.len() * size_of::<u16>()
    }

    /// Makes it fit to a store of so many records: a place for every fourth to eighth of them. What it knew
    /// is forgotten when its length changes. It stays as it is when the system has no memory for another.
    pub(crate) fn fit(&mut self, records: u64) {
        let wanted = usize::try_from(records / 4 + 1).unwrap_or(usize::MAX);
        let len = if wanted.is_power_of_two() { wanted } else { wanted.next_power_of_two() / 2 };
        // Not for a few records more or less.
        let fits = self.prints.len() == len
            || (self.prints.len() == 2 * len && wanted * 8 > self.prints.len() * 3);
        let mut prints = Vec::new();
        if !fits && prints.try_reserve_exact(len).is_ok() {
            prints.extend(std::iter::repeat_n(0, len));
            self.prints = prints.into_boxed_slice();
        }
    }

    fn place(&self, hash: u64) -> usize {
        // Not the bits that lead to shards and tables.
        let mixed = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        usize::try_from(mixed >> 24).unwrap_or(0) & self.prints.len().wrapping_sub(1)
    }

    fn print(hash: u64) -> u16 {
        let [first, second, ..] = hash.to_le_bytes();
        u16::from_le_bytes([first, second]).max(1)
    }

    pub(crate) fn insert(&mut self, hash: u64) {
        let place = self.place(hash);
        if let Some(print) = self.prints.get_mut(place) {
            *print = Ghost::print(hash);
        }
    }

    /// Whether the key was evicted a short while ago; it is forgotten then.
    pub(crate) fn take(&mut self, hash: u64) -> bool {
        let place = self.place(hash);
        match self.prints.get_mut(place) {
            Some(print) if *print == Ghost::print(hash) => {
                *print = 0;
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use todana_io::Generator;

    #[test]
    fn most_of_the_last_are_known_and_few_others() {
        let mut ghost = Ghost::default();
        assert!(!ghost.take(1));
        ghost.fit(40_000);
        let hash = |number: u64| Generator::new(number).next_u64();
        (0..4_000).for_each(|number| ghost.insert(hash(number)));
        let known = (0..4_000).filter(|&number| ghost.take(hash(number))).count();
        assert!(known > 3_000, "{known}");
        let others = (4_000..54_000).filter(|&number| ghost.take(hash(number))).count();
        assert!(others < 10, "{others}");
        assert!((0..4_000).all(|number| !ghost.take(hash(number))));
        assert_eq!(ghost.bytes(), 8_192 * 2);
    }
}
