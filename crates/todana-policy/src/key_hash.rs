//! A hash of keys that are numbers.

use std::hash::{BuildHasherDefault, Hasher};

/// Of a table from keys.
pub(crate) type BuildKeyHash = BuildHasherDefault<KeyHash>;

/// An odd number without structure: 2^64 divided by the golden ratio.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// Mixes a number by one multiplication whose halves are folded together. Not against those who choose keys
/// to collide.
#[inline]
pub(crate) fn mix(key: u64) -> u64 {
    let product = u128::from(key ^ FACTOR) * u128::from(FACTOR);
    let [low, high] = [product, product >> 64].map(|half| half & u128::from(u64::MAX));
    u64::try_from(low ^ high).unwrap_or(0)
}

/// [`mix`] as the standard library wants it.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct KeyHash(u64);

impl Hasher for KeyHash {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(u64::from(byte)));
    }

    #[inline]
    fn write_u64(&mut self, number: u64) {
        self.0 = mix(self.0 ^ number);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}
