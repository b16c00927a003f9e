//! Seeds from the operating system and a small generator that is reproducible from its seed.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

/// A seed that an outsider cannot guess (the standard library's per-process hash keys, which come
/// from the operating system's entropy, mixed anew for each call). Not for cryptographic keys.
pub fn random_seed() -> u64 {
    RandomState::new().hash_one(0x746f_6461_6e61_u64)
}

/// SplitMix64 (Steele, Lea, Flood 2014): 64 bits of state, equidistributed, one multiplication
/// chain a number. For tests, sampling and workloads; never for secrets.
#[derive(Debug, Clone)]
pub struct Generator {
    state: u64,
}

impl Generator {
    /// The sequence of `seed`: equal seeds give equal sequences on every platform.
    pub fn new(seed: u64) -> Generator {
        Generator { state: seed }
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number in `0..bound`; 0 when `bound` is 0. The bias is below `bound / 2^64`.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// True in one of `n` draws on average; always when `n` is 0 or 1.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n.max(1)) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_is_that_of_the_reference() {
        // First outputs of SplitMix64 for seed 1234567, as published with the algorithm.
        let mut generator = Generator::new(1_234_567);
        assert_eq!(generator.next_u64(), 6_457_827_717_110_365_317);
        assert_eq!(generator.next_u64(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn below_stays_below() {
        let mut generator = Generator::new(7);
        assert!((0..10_000).all(|_| generator.below(10) < 10));
        assert_eq!(generator.below(0), 0);
    }

    #[test]
    fn seeds_differ() {
        assert_ne!(random_seed(), random_seed());
    }
}
