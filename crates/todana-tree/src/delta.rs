//! Changes of a leaf that are not in its block yet, one behind the other.
//!
//! ```text
//! sequence u64
//! tag u8               bit 0 removal, bit 1 metadata
//! key length varint, value length varint
//! [metadata]           see `fields`
//! key, value
//! ```
//! A change is appended, and never changed. Each has a byte of its key's hash, so a look-up compares few keys: most
//! leaves have none that fits. Where the key stands in the block is remembered for the merge.

use crate::fields;
use crate::stored::Stored;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use todana_io::{AppendBuffer, prefetch};
use todana_record::{Meta, ShortBytes};

/// Most changes of a leaf.
pub(crate) const CHANGES_MAX: usize = 32;
/// Tags in a word.
const LANES: usize = 8;
const WORDS: usize = CHANGES_MAX / LANES;
const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

const REMOVAL: u8 = 1;
const HAS_FIELDS: u8 = 2;
/// Longest head of a change, metadata not counted.
const HEAD_LEN_MAX: usize = 8 + 1 + 5 + 5;

/// See the module.
#[derive(Debug)]
pub(crate) struct Delta {
    /// A byte a change, in the order of changes.
    tags: [AtomicU64; WORDS],
    count: AtomicU32,
    /// Where each begins, and (above) where its key stands in the block.
    places: [AtomicU64; CHANGES_MAX],
    bytes: AppendBuffer,
}

/// Where a key stands in a leaf's block, or would stand.
pub(crate) type Seat = Result<usize, usize>;

/// A change.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change<'d> {
    pub(crate) key: &'d [u8],
    /// What the key has since then; `None` when it was removed.
    pub(crate) record: Option<Stored<'d>>,
    /// Its metadata, as it is stored.
    pub(crate) fields: &'d [u8],
    pub(crate) seat: Seat,
}

impl Change<'_> {
    /// The place of the first key of the block that is not less.
    #[inline]
    pub(crate) fn place(&self) -> usize {
        self.seat.unwrap_or_else(|place| place)
    }
}

/// A byte of a key's hash: the end of a key is where neighbours differ.
#[inline]
pub(crate) fn tag_of(key: &[u8]) -> u8 {
    let word = match key.last_chunk() {
        Some(last) => u64::from_le_bytes(*last),
        None => key.iter().fold(1, |word, byte| word << 8 | u64::from(*byte)),
    };
    word.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()[0]
}

/// A bit in each byte of a word that is the tag's, perhaps in some above such a byte.
#[inline]
fn same(word: u64, tag: u8) -> u64 {
    let differing = word ^ (LOW * u64::from(tag));
    differing.wrapping_sub(LOW) & !differing & HIGH
}

fn pack(at: u32, seat: Seat) -> u64 {
    let (place, is_there) = match seat {
        Ok(place) => (place, 1),
        Err(place) => (place, 0),
    };
    u64::from(at) | (place as u64) << 33 | is_there << 32
}

#[expect(clippy::cast_possible_truncation, reason = "numbers are masked to their fields")]
fn unpack(word: u64) -> (usize, Seat) {
    let place = (word >> 33) as usize;
    let seat = if word >> 32 & 1 == 1 { Ok(place) } else { Err(place) };
    (word as u32 as usize, seat)
}

/// Bytes that a change takes, at most.
pub(crate) fn len_max(key: &[u8], meta: &Meta, value_len: usize) -> usize {
    HEAD_LEN_MAX + fields::encode(meta).len() + key.len() + value_len
}

impl Delta {
    /// One without changes, with room for `capacity` bytes of them.
    pub(crate) fn with_capacity(capacity: usize) -> Delta {
        Delta {
            tags: [const { AtomicU64::new(0) }; WORDS],
            count: AtomicU32::new(0),
            places: [const { AtomicU64::new(0) }; CHANGES_MAX],
            bytes: AppendBuffer::with_capacity(u32::try_from(capacity).unwrap_or(u32::MAX)),
        }
    }

    /// Number of changes.
    #[inline]
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire) as usize
    }

    /// Bytes that it takes beside itself.
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Whether there is room for a change of `len` bytes.
    #[inline]
    pub(crate) fn has_room(&self, len: usize) -> bool {
        self.count() < CHANGES_MAX && self.bytes.room() >= len
    }

    /// Brings what a look-up looks at near.
    #[inline]
    pub(crate) fn prefetch(&self) {
        prefetch(&self.tags);
    }

    /// Appends a change; readers see it. `false` when there is no room.
    #[inline]
    pub(crate) fn append(
        &self,
        sequence: u64,
        key: &[u8],
        record: Option<(&Meta, [&[u8]; 2])>,
        seat: Seat,
    ) -> bool {
        let count = self.count.load(Ordering::Relaxed);
        let number = count as usize;
        let Some(place) = self.places.get(number) else { return false };
        let mut head = ShortBytes::<HEAD_LEN_MAX>::new();
        sequence.to_le_bytes().into_iter().for_each(|byte| head.push(byte));
        let empty: [&[u8]; 2] = [&[], &[]];
        let (fields, value, removal) = match record {
            Some((meta, value)) => (fields::encode(meta), value, 0),
            None => (fields::FieldBytes::new(), empty, REMOVAL),
        };
        head.push(removal | if fields.is_empty() { 0 } else { HAS_FIELDS });
        head.varint(key.len() as u64);
        head.varint((value[0].len() + value[1].len()) as u64);
        let Some(at) = self.bytes.append([&head, &fields, key, value[0], value[1]]) else {
            return false;
        };
        place.store(pack(at, seat), Ordering::Relaxed);
        let (word, lane) = (number / LANES, number % LANES);
        if let Some(word) = self.tags.get(word) {
            let tag = u64::from(tag_of(key)) << (8 * lane);
            word.store(word.load(Ordering::Relaxed) | tag, Ordering::Relaxed);
        }
        self.count.store(count + 1, Ordering::Release);
        true
    }

    /// A change by its number.
    #[inline]
    pub(crate) fn change(&self, number: usize) -> Option<Change<'_>> {
        let (at, seat) = unpack(self.places.get(number)?.load(Ordering::Relaxed));
        let bytes = self.bytes.published().get(at..)?;
        let (sequence, bytes) = bytes.split_first_chunk()?;
        let (&tag, _) = bytes.split_first()?;
        let (key_len, at) = fields::length(bytes, 1)?;
        let (value_len, at) = fields::length(bytes, at)?;
        let mut rest = bytes.get(at..)?;
        let (mut meta, mut fields): (Meta, &[u8]) = (Meta::default(), &[]);
        if tag & HAS_FIELDS != 0 {
            let (decoded, len) = fields::decode(rest)?;
            meta = decoded;
            (fields, rest) = rest.split_at_checked(len)?;
        }
        let (key, rest) = rest.split_at_checked(key_len)?;
        let value = rest.get(..value_len)?;
        let sequence = u64::from_le_bytes(*sequence);
        let record = Stored { meta, value, sequence };
        Some(Change { key, record: (tag & REMOVAL == 0).then_some(record), fields, seat })
    }

    /// The sequence of a change.
    #[inline]
    fn sequence(&self, number: usize) -> u64 {
        let sequence = || {
            let (at, _) = unpack(self.places.get(number)?.load(Ordering::Relaxed));
            self.bytes.published().get(at..)?.first_chunk()
        };
        sequence().map_or(u64::MAX, |bytes| u64::from_le_bytes(*bytes))
    }

    /// How many changes are at or before a sequence: they are the first ones.
    #[inline]
    pub(crate) fn count_at(&self, sequence: u64) -> usize {
        let mut count = self.count();
        while count > 0 && self.sequence(count - 1) > sequence {
            count -= 1;
        }
        count
    }

    /// The latest change of a key at or before a sequence.
    #[inline]
    pub(crate) fn find(&self, key: &[u8], tag: u8, sequence: u64) -> Option<Change<'_>> {
        let count = self.count();
        let words = count.div_ceil(LANES);
        for (word, tags) in self.tags.iter().enumerate().take(words).rev() {
            let mut lanes = same(tags.load(Ordering::Relaxed), tag);
            while lanes != 0 {
                let lane = (63 - lanes.leading_zeros() as usize) / 8;
                lanes &= !(0x80 << (8 * lane));
                let number = word * LANES + lane;
                if number < count
                    && let Some(change) = self.change(number)
                    && change.key == key
                    && self.sequence(number) <= sequence
                {
                    return Some(change);
                }
            }
        }
        None
    }

    /// The latest of the first `count` changes of each key, in the order of keys.
    pub(crate) fn sorted(&self, count: usize) -> Sorted<'_> {
        let mut sorted = Sorted::NONE;
        for number in 0..count {
            if let Some(change) = self.change(number) {
                sorted.insert(number, change);
            }
        }
        sorted
    }
}

/// Changes in the order of their keys, one of each.
#[derive(Debug, Clone)]
pub(crate) struct Sorted<'d> {
    changes: [Option<Change<'d>>; CHANGES_MAX],
    order: [u8; CHANGES_MAX],
    count: usize,
}

impl<'d> Sorted<'d> {
    /// No changes.
    pub(crate) const NONE: Sorted<'static> =
        Sorted { changes: [const { None }; CHANGES_MAX], order: [0; CHANGES_MAX], count: 0 };

    /// Adds the change with a number, which is later than those that are there.
    #[inline]
    fn insert(&mut self, number: usize, change: Change<'d>) {
        let Ok(order) = u8::try_from(number) else { return };
        let mut at = self.count;
        while let Some(other) = at.checked_sub(1).and_then(|at| self.get(at)) {
            match other.place().cmp(&change.place()).then_with(|| other.key.cmp(change.key)) {
                std::cmp::Ordering::Less => break,
                std::cmp::Ordering::Greater => at -= 1,
                std::cmp::Ordering::Equal => {
                    self.order[at - 1] = order;
                    self.changes[number] = Some(change);
                    return;
                }
            }
        }
        self.order.copy_within(at..self.count, at + 1);
        self.order[at] = order;
        self.changes[number] = Some(change);
        self.count += 1;
    }

    /// Number of changes.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// A change by its place among those that are there.
    #[inline]
    pub(crate) fn get(&self, at: usize) -> Option<&Change<'d>> {
        if at >= self.count {
            return None;
        }
        self.changes.get(usize::from(*self.order.get(at)?))?.as_ref()
    }

    /// How many records more the first `count` of them, or all, make.
    pub(crate) fn more(&self, count: Option<usize>) -> i64 {
        let first = self.iter().take(count.unwrap_or(self.count));
        first.map(|one| i64::from(one.record.is_some()) - i64::from(one.seat.is_ok())).sum()
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Change<'d>> {
        (0..self.count).filter_map(|at| self.get(at))
    }

    /// The first whose key is not less.
    pub(crate) fn lower_bound(&self, key: &[u8]) -> usize {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low.midpoint(high);
            match self.get(middle).is_some_and(|change| change.key < key) {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        low
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn the_latest_change_of_each_moment_is_found(
            changes in proptest::collection::vec((0u8..12, any::<Option<u8>>()), 0..40),
        ) {
            let delta = Delta::with_capacity(4_096);
            let mut states = vec![BTreeMap::new()];
            for (n, (key, value)) in changes.iter().enumerate() {
                let sequence = 10 + 2 * n as u64;
                let value = value.as_ref().map(std::slice::from_ref);
                let meta = Meta { flags: u32::from(*key), ..Meta::default() };
                let record = value.map(|value| (&meta, [value, &b"-"[..]]));
                let done = delta.append(sequence, &[*key], record, Err(usize::from(*key)));
                prop_assert_eq!(done, n < CHANGES_MAX);
                if done {
                    let mut state: BTreeMap<u8, Option<u8>> = states[n].clone();
                    state.insert(*key, value.map(|value| value[0]));
                    states.push(state);
                }
            }
            for (n, state) in states.iter().enumerate() {
                let sequence = 9 + 2 * n as u64;
                prop_assert_eq!(delta.count_at(sequence), n);
                for key in 0..12 {
                    let found = delta.find(&[key], tag_of(&[key]), sequence);
                    let found = found.map(|change| change.record.map(|record| record.value[0]));
                    prop_assert_eq!(found, state.get(&key).copied());
                }
                let sorted = delta.sorted(n);
                let keys: Vec<u8> = sorted.iter().map(|change| change.key[0]).collect();
                prop_assert_eq!(keys, state.keys().copied().collect::<Vec<_>>());
                for change in sorted.iter() {
                    let value = change.record.map(|record| record.value[0]);
                    prop_assert_eq!(Some(&value), state.get(&change.key[0]));
                    prop_assert_eq!(change.seat, Err(usize::from(change.key[0])));
                }
            }
        }
    }

    #[test]
    fn a_change_that_does_not_fit_is_refused() {
        let delta = Delta::with_capacity(40);
        let meta = Meta::default();
        let record = Some((&meta, [&[7; 20][..], &[]]));
        assert!(delta.append(1, b"a", record, Ok(0)));
        assert!(!delta.has_room(len_max(b"b", &meta, 20)));
        assert!(!delta.append(2, b"b", record, Ok(0)));
        assert_eq!(delta.count(), 1);
    }
}
