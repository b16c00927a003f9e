//! Keys, values, and the orders in which they come.

use memmap2::MmapMut;

use crate::{KEY_LEN, Result};

/// SplitMix64 (Steele, Lea, Flood 2014).
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        u32::try_from(self.next() % u64::from(bound)).expect("below a 32-bit number")
    }
}

/// The number as eight decimal digits.
pub(crate) fn write_key(mut number: u32, key: &mut [u8; KEY_LEN]) {
    for digit in key.iter_mut().rev() {
        *digit = b'0' + (number % 10).to_le_bytes()[0];
        number /= 10;
    }
}

/// The first bytes of the pattern of `number`. `generation` tells overwritten values apart.
pub(crate) fn write_value(number: u32, generation: u64, value: &mut [u8]) {
    for (index, part) in (0u64..).zip(value.chunks_mut(8)) {
        let seed = (generation << 56) ^ (u64::from(number) << 16) ^ index;
        let word = mix(seed.wrapping_add(GOLDEN)).to_le_bytes();
        part.copy_from_slice(&word[..part.len()]);
    }
}

/// Counts what was found, and sums up the words of it, so that every byte is touched.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub(crate) found: u64,
    pub(crate) sum: u64,
}

impl Tally {
    /// A value that was found.
    #[inline]
    pub fn found(&mut self, value: &[u8]) {
        self.found += 1;
        self.sum = self.sum.wrapping_add(checksum(value));
    }
}

/// Sum of the words, the last one filled up with zeros.
#[inline]
fn checksum(bytes: &[u8]) -> u64 {
    let mut sum = 0u64;
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        sum = sum.wrapping_add(u64::from_le_bytes(*word));
    }
    if !rest.is_empty() {
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        sum = sum.wrapping_add(u64::from_le_bytes(word));
    }
    sum
}

/// All records of an ordered scan: every byte of key and value is touched, and the order shows.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Scanned {
    values: Tally,
    order: u64,
}

impl Scanned {
    /// The next record.
    #[inline]
    pub fn record(&mut self, key: &[u8], value: &[u8]) {
        self.order = self.order.wrapping_mul(GOLDEN).wrapping_add(checksum(key));
        self.values.found(value);
    }
}

/// Numbers in the order in which a row uses them, in pages of their own: they are given back before
/// resident memory is read.
pub(crate) struct Order {
    numbers: MmapMut,
}

impl Order {
    pub(crate) fn sequential(count: u32) -> Result<Self> {
        let mut numbers = MmapMut::map_anon(count as usize * 4)?;
        let (cells, _) = numbers.as_chunks_mut::<4>();
        for (number, cell) in (0u32..).zip(cells) {
            *cell = number.to_ne_bytes();
        }
        Ok(Self { numbers })
    }

    pub(crate) fn single(number: u32) -> Result<Self> {
        Self::repeated(number, 1)
    }

    /// The same number again and again.
    pub(crate) fn repeated(number: u32, count: u32) -> Result<Self> {
        let mut numbers = MmapMut::map_anon(count as usize * 4)?;
        let (cells, _) = numbers.as_chunks_mut::<4>();
        cells.fill(number.to_ne_bytes());
        Ok(Self { numbers })
    }

    /// Every number below `count` once, at random.
    pub(crate) fn permutation(count: u32, seed: u64) -> Result<Self> {
        let mut order = Self::sequential(count)?;
        let (cells, _) = order.numbers.as_chunks_mut::<4>();
        let mut rng = Rng(seed);
        for at in (1..count).rev() {
            cells.swap(at as usize, rng.below(at + 1) as usize);
        }
        Ok(order)
    }

    /// `count` numbers below `bound`, some more than once.
    pub(crate) fn draws(count: u32, bound: u32, seed: u64) -> Result<Self> {
        let mut order = Self::sequential(count)?;
        let (cells, _) = order.numbers.as_chunks_mut::<4>();
        let mut rng = Rng(seed);
        for cell in cells {
            *cell = rng.below(bound).to_ne_bytes();
        }
        Ok(order)
    }
}

/// Keys, or records, one after the other.
pub struct Feed<'a> {
    numbers: &'a [[u8; 4]],
    at: usize,
    generation: u64,
    key: [u8; KEY_LEN],
    value: Vec<u8>,
    /// Whether all values are alike but for their first word.
    is_stamped: bool,
}

impl<'a> Feed<'a> {
    pub(crate) fn new(order: &'a Order, generation: u64, value_len: usize) -> Self {
        let (numbers, _) = order.numbers.as_chunks::<4>();
        let value = vec![0; value_len];
        Self { numbers, at: 0, generation, key: [0; KEY_LEN], value, is_stamped: false }
    }

    /// Long values: a pattern that is drawn once, with the number's own word at its start. Drawing a
    /// value must not cost as much as writing it.
    pub(crate) fn stamped(order: &'a Order, generation: u64, value_len: usize) -> Self {
        let mut feed = Self::new(order, generation, value_len);
        write_value(0, generation, &mut feed.value);
        feed.is_stamped = true;
        feed
    }

    /// The next key and its value.
    #[inline]
    pub fn record(&mut self) -> Option<(&[u8], &[u8])> {
        let number = self.number()?;
        write_key(number, &mut self.key);
        let len = if self.is_stamped { 8 } else { self.value.len() };
        write_value(number, self.generation, &mut self.value[..len]);
        Some((&self.key, &self.value))
    }

    /// The next key.
    #[inline]
    pub fn key(&mut self) -> Option<&[u8]> {
        let number = self.number()?;
        write_key(number, &mut self.key);
        Some(&self.key)
    }

    /// As many keys as there are, and `keys` holds; their count, 0 at the end.
    #[inline]
    pub fn keys(&mut self, keys: &mut [[u8; KEY_LEN]]) -> usize {
        let mut count = 0;
        for key in keys {
            let Some(number) = self.number() else { break };
            write_key(number, key);
            count += 1;
        }
        count
    }

    /// Whether nothing is left.
    pub fn is_done(&self) -> bool {
        self.at == self.numbers.len()
    }

    #[inline]
    fn number(&mut self) -> Option<u32> {
        let number = self.numbers.get(self.at)?;
        self.at += 1;
        Some(u32::from_ne_bytes(*number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_eight_digits() {
        let mut key = [0; KEY_LEN];
        write_key(1_234, &mut key);
        assert_eq!(&key, b"00001234");
    }

    #[test]
    fn a_short_value_is_the_start_of_a_long_one() {
        let (mut short, mut long) = ([0; 11], [0; 100]);
        write_value(7, 0, &mut short);
        write_value(7, 0, &mut long);
        assert_eq!(short, long[..11]);
        write_value(7, 1, &mut short);
        assert_ne!(short, long[..11]);
    }

    #[test]
    fn a_stamped_value_begins_as_the_plain_one() {
        let order = Order::single(7).unwrap();
        let mut plain = [0; 8];
        write_value(7, 1, &mut plain);
        let mut feed = Feed::stamped(&order, 1, 100);
        let (_, value) = feed.record().unwrap();
        assert_eq!(value[..8], plain);
        let mut first = [0; 100];
        write_value(0, 1, &mut first);
        assert_eq!(value[8..], first[8..]);
    }

    #[test]
    fn a_scan_out_of_order_shows() {
        let scanned = |keys: [&[u8]; 2]| {
            let mut scanned = Scanned::default();
            keys.iter().for_each(|key| scanned.record(key, b"value"));
            scanned
        };
        assert_eq!(scanned([b"a", b"b"]), scanned([b"a", b"b"]));
        assert_ne!(scanned([b"a", b"b"]), scanned([b"b", b"a"]));
    }

    #[test]
    fn a_permutation_has_every_number_once() {
        let order = Order::permutation(1_000, 3).unwrap();
        let mut feed = Feed::new(&order, 0, 0);
        let mut seen: Vec<u32> = std::iter::from_fn(|| feed.number()).collect();
        assert!(seen.windows(2).any(|pair| pair[0] > pair[1]));
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..1_000));
    }
}
