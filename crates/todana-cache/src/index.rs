//! The index of a shard: 64-byte buckets of seven slots and a link, grown by linear hashing.
//!
//! ```text
//! slot (u64)   63         50 49       40 39            20 19             0
//!             +-------------+-----------+----------------+----------------+
//!             | tag         | accesses  | segment        | offset (bytes) |
//!             +-------------+-----------+----------------+----------------+
//! bucket (64 B) = 7 slots, then the number of its overflow bucket (0: none)
//! ```
//!
//! Linear hashing (Litwin 1980) splits one bucket at a time, so that no insert pays for more than one
//! bucket's move; buckets lie in pages of 64 KiB that never move. A record's bucket is given by the low
//! bits of its hash, its tag by the top 14, its shard by bits in between.
//!
//! **Order of a scan.** With n buckets, 2^L ≤ n < 2^(L+1), the bucket b holds the hashes whose low d bits
//! are b, where d is L or L+1. Seen with their bits reversed these hashes are one interval, and a split
//! cuts an interval in two. So a scan in order of reversed hashes meets every record once, however
//! often buckets split between its steps.

use crate::access::AccessBits;

const SLOTS: usize = 7;
const PAGE_BUCKETS: usize = 1024;
/// Records a bucket on average, times 100, above which a bucket is split.
const LOAD_PERCENT: usize = 560;

/// Bits of an offset within a segment.
pub(crate) const OFFSET_BITS: u32 = 20;
/// Bits of a segment's number; 0 is no segment.
pub(crate) const SEGMENT_BITS: u32 = 20;

const ACCESS_SHIFT: u32 = OFFSET_BITS + SEGMENT_BITS;
const ACCESS_MASK: u64 = 0x3ff;
const TAG_SHIFT: u32 = 50;
const TAG_MASK: u64 = !0 << TAG_SHIFT;
const PLACE_MASK: u64 = (1 << ACCESS_SHIFT) - 1;

/// Where a record lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Number of its segment, from 1.
    pub(crate) segment: u32,
    /// Byte in the segment.
    pub(crate) offset: u32,
}

/// An entry of the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot(u64);

impl Slot {
    const EMPTY: Slot = Slot(0);

    #[inline]
    pub(crate) fn new(hash: u64, place: Place, access: AccessBits) -> Slot {
        let place = u64::from(place.segment) << OFFSET_BITS | u64::from(place.offset);
        Slot(hash & TAG_MASK | u64::from(access.0) << ACCESS_SHIFT | place)
    }

    #[inline]
    pub(crate) fn place(self) -> Place {
        let offset = (self.0 & ((1 << OFFSET_BITS) - 1)) as u32;
        let segment = (self.0 >> OFFSET_BITS & ((1 << SEGMENT_BITS) - 1)) as u32;
        Place { segment, offset }
    }

    #[inline]
    pub(crate) fn access(self) -> AccessBits {
        AccessBits((self.0 >> ACCESS_SHIFT & ACCESS_MASK) as u16)
    }

    #[inline]
    pub(crate) fn with_access(self, access: AccessBits) -> Slot {
        Slot(self.0 & !(ACCESS_MASK << ACCESS_SHIFT) | u64::from(access.0) << ACCESS_SHIFT)
    }

    #[inline]
    fn is_empty(self) -> bool {
        self.0 == 0
    }

    #[inline]
    fn has_tag_of(self, hash: u64) -> bool {
        (self.0 ^ hash) & TAG_MASK == 0
    }

    #[inline]
    fn is_at(self, place: Place) -> bool {
        self.0 & PLACE_MASK == u64::from(place.segment) << OFFSET_BITS | u64::from(place.offset)
    }
}

#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Bucket {
    slots: [Slot; SLOTS],
    overflow: u64,
}

impl Bucket {
    const EMPTY: Bucket = Bucket { slots: [Slot::EMPTY; SLOTS], overflow: 0 };
}

/// Names an entry until the index is changed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    bucket: BucketAt,
    slot: usize,
}

#[derive(Debug, Clone, Copy)]
enum BucketAt {
    Home(usize),
    Overflow(usize),
}

/// The index of one shard.
#[derive(Debug)]
pub(crate) struct Index {
    pages: Vec<Box<[Bucket]>>,
    bucket_count: usize,
    overflow: Vec<Bucket>,
    overflow_free: Vec<u32>,
    len: usize,
}

impl Index {
    pub(crate) fn new() -> Index {
        let mut index = Index {
            pages: Vec::new(),
            bucket_count: 1,
            overflow: Vec::new(),
            overflow_free: Vec::new(),
            len: 0,
        };
        index.pages.push(new_page());
        index
    }

    /// Records in it.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Bytes that it holds.
    pub(crate) fn bytes(&self) -> usize {
        (self.pages.len() * PAGE_BUCKETS + self.overflow.capacity()) * size_of::<Bucket>()
    }

    /// Home buckets in use.
    pub(crate) fn bucket_count(&self) -> usize {
        self.bucket_count
    }

    /// Number of bits that name the bucket with number `bucket`.
    fn depth_of(&self, bucket: usize) -> u32 {
        let level = self.bucket_count.ilog2();
        let split_to = self.bucket_count - (1 << level);
        if bucket < split_to || bucket >= 1 << level { level + 1 } else { level }
    }

    #[inline]
    fn bucket_of(&self, hash: u64) -> usize {
        let level = self.bucket_count.ilog2();
        let wide = low_bits(hash, level + 1);
        if wide < self.bucket_count { wide } else { wide & ((1 << level) - 1) }
    }

    #[inline]
    fn bucket(&self, at: BucketAt) -> &Bucket {
        match at {
            BucketAt::Home(number) => &self.pages[number / PAGE_BUCKETS][number % PAGE_BUCKETS],
            BucketAt::Overflow(number) => &self.overflow[number],
        }
    }

    fn bucket_mut(&mut self, at: BucketAt) -> &mut Bucket {
        match at {
            BucketAt::Home(number) => &mut self.pages[number / PAGE_BUCKETS][number % PAGE_BUCKETS],
            BucketAt::Overflow(number) => &mut self.overflow[number],
        }
    }

    fn next(&self, at: BucketAt) -> Option<BucketAt> {
        match self.bucket(at).overflow {
            0 => None,
            number => Some(BucketAt::Overflow(low_bits(number, 32) - 1)),
        }
    }

    /// The entry of this hash for which `is_it` holds. `is_it` sees only entries whose tag agrees.
    #[inline]
    pub(crate) fn find(
        &self,
        hash: u64,
        mut is_it: impl FnMut(Slot) -> bool,
    ) -> Option<(Entry, Slot)> {
        let mut at = BucketAt::Home(self.bucket_of(hash));
        loop {
            let bucket = self.bucket(at);
            for (number, &slot) in bucket.slots.iter().enumerate() {
                if slot.has_tag_of(hash) && !slot.is_empty() && is_it(slot) {
                    return Some((Entry { bucket: at, slot: number }, slot));
                }
            }
            at = self.next(at)?;
        }
    }

    /// The entry of this hash for the record at `place`.
    pub(crate) fn find_at(&self, hash: u64, place: Place) -> Option<(Entry, Slot)> {
        self.find(hash, |slot| slot.is_at(place))
    }

    /// Replaces an entry that was just found.
    #[inline]
    pub(crate) fn set(&mut self, entry: Entry, slot: Slot) {
        self.bucket_mut(entry.bucket).slots[entry.slot] = slot;
    }

    /// Removes an entry that was just found.
    pub(crate) fn remove(&mut self, entry: Entry, hash: u64) {
        self.set(entry, Slot::EMPTY);
        self.len -= 1;
        if let BucketAt::Overflow(number) = entry.bucket
            && self.overflow[number].slots.iter().all(|slot| slot.is_empty())
        {
            self.unlink_overflow(hash, number);
        }
    }

    fn unlink_overflow(&mut self, hash: u64, number: usize) {
        let link = number as u64 + 1;
        let mut at = BucketAt::Home(self.bucket_of(hash));
        while self.bucket(at).overflow != link {
            let Some(next) = self.next(at) else { return };
            at = next;
        }
        self.bucket_mut(at).overflow = self.overflow[number].overflow;
        self.overflow[number] = Bucket::EMPTY;
        self.overflow_free.extend(u32::try_from(number));
    }

    /// Adds an entry. `hash_of` gives the hash of a record that is already in, for the split.
    pub(crate) fn insert(&mut self, hash: u64, slot: Slot, hash_of: impl FnMut(Slot) -> u64) {
        self.place_in(self.bucket_of(hash), slot);
        self.len += 1;
        if self.len * 100 > self.bucket_count * LOAD_PERCENT {
            self.split(hash_of);
        }
    }

    fn place_in(&mut self, bucket: usize, slot: Slot) {
        let mut at = BucketAt::Home(bucket);
        loop {
            let bucket = self.bucket_mut(at);
            if let Some(free) = bucket.slots.iter_mut().find(|slot| slot.is_empty()) {
                *free = slot;
                return;
            }
            match self.next(at) {
                Some(next) => at = next,
                None => break,
            }
        }
        let number = match self.overflow_free.pop() {
            Some(number) => number as usize,
            None => {
                self.overflow.push(Bucket::EMPTY);
                self.overflow.len() - 1
            }
        };
        self.overflow[number].slots[0] = slot;
        self.bucket_mut(at).overflow = number as u64 + 1;
    }

    /// Cuts the next bucket in two.
    fn split(&mut self, mut hash_of: impl FnMut(Slot) -> u64) {
        let level = self.bucket_count.ilog2();
        let from = self.bucket_count - (1 << level);
        let to = self.bucket_count;
        if to / PAGE_BUCKETS == self.pages.len() {
            self.pages.push(new_page());
        }
        self.bucket_count += 1;
        let mut moved = Vec::with_capacity(2 * SLOTS);
        let mut next = Some(BucketAt::Home(from));
        while let Some(at) = next {
            next = self.next(at);
            let bucket = std::mem::replace(self.bucket_mut(at), Bucket::EMPTY);
            moved.extend(bucket.slots.into_iter().filter(|slot| !slot.is_empty()));
            if let BucketAt::Overflow(number) = at {
                self.overflow_free.extend(u32::try_from(number));
            }
        }
        for slot in moved {
            let bucket = self.bucket_of(hash_of(slot));
            debug_assert!(bucket == from || bucket == to);
            self.place_in(bucket, slot);
        }
    }

    /// Visits the entries of the bucket at this place in scan order; gives the place after it, `None`
    /// at the end.
    pub(crate) fn scan_bucket(&self, from: u64, mut visit: impl FnMut(Slot)) -> Option<u64> {
        let bucket = self.bucket_of(from.reverse_bits());
        let mut next = Some(BucketAt::Home(bucket));
        while let Some(at) = next {
            let slots = self.bucket(at).slots;
            slots.into_iter().filter(|slot| !slot.is_empty()).for_each(&mut visit);
            next = self.next(at);
        }
        let start = (bucket as u64).reverse_bits();
        let depth = self.depth_of(bucket);
        if depth == 0 {
            return None;
        }
        start.checked_add(1 << (64 - depth))
    }

    /// Changes the entries of `count` home buckets from number `from` on with their overflow; gives
    /// the number to go on from, `None` at the end.
    pub(crate) fn update_buckets(
        &mut self,
        from: usize,
        count: usize,
        mut change: impl FnMut(Slot) -> Slot,
    ) -> Option<usize> {
        let end = (from + count).min(self.bucket_count);
        for bucket in from..end {
            let mut next = Some(BucketAt::Home(bucket));
            while let Some(at) = next {
                for slot in &mut self.bucket_mut(at).slots {
                    if !slot.is_empty() {
                        *slot = change(*slot);
                    }
                }
                next = self.next(at);
            }
        }
        (end < self.bucket_count).then_some(end)
    }
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "platforms are 64-bit")]
fn low_bits(word: u64, count: u32) -> usize {
    (word & ((1u64 << count) - 1)) as usize
}

fn new_page() -> Box<[Bucket]> {
    vec![Bucket::EMPTY; PAGE_BUCKETS].into_boxed_slice()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeSet, HashMap};
    use todana_io::Generator;
    use todana_record::Timestamp;

    fn place(number: u64) -> Place {
        Place {
            segment: 1 + u32::try_from(number >> 18).unwrap(),
            offset: u32::try_from(number & 0x3ffff).unwrap(),
        }
    }

    fn hash_of(number: u64) -> u64 {
        Generator::new(number).next_u64()
    }

    fn number_of(slot: Slot) -> u64 {
        let place = slot.place();
        u64::from(place.segment - 1) << 18 | u64::from(place.offset)
    }

    fn insert(index: &mut Index, number: u64) {
        let access = AccessBits::stored(Timestamp::from_ms(0));
        let slot = Slot::new(hash_of(number), place(number), access);
        index.insert(hash_of(number), slot, |slot| hash_of(number_of(slot)));
    }

    fn scan_step(index: &Index, from: u64, seen: &mut HashMap<u64, u32>) -> Option<u64> {
        index.scan_bucket(from, |slot| *seen.entry(number_of(slot)).or_default() += 1)
    }

    #[test]
    fn holds_what_a_set_holds() {
        let mut index = Index::new();
        let mut model = BTreeSet::new();
        let mut random = Generator::new(3);
        for step in 0..200_000u64 {
            let number = random.below(30_000);
            let hash = hash_of(number);
            let found = index.find_at(hash, place(number));
            assert_eq!(found.is_some(), model.contains(&number), "step {step}");
            match found {
                Some((entry, _)) if random.one_in(3) => {
                    index.remove(entry, hash);
                    model.remove(&number);
                }
                Some(_) => {}
                None => {
                    insert(&mut index, number);
                    model.insert(number);
                }
            }
            assert_eq!(index.len(), model.len());
        }
    }

    #[test]
    fn costs_at_most_sixteen_bytes_a_record() {
        let mut index = Index::new();
        (0..300_000).for_each(|number| insert(&mut index, number));
        assert!(index.bytes() / index.len() < 16, "{} bytes", index.bytes());
    }

    #[test]
    fn a_scan_that_growth_interrupts_sees_each_record_once() {
        let mut index = Index::new();
        (0..1_000).for_each(|number| insert(&mut index, number));
        let mut seen = HashMap::new();
        let mut next = Some(0);
        let mut added = 1_000;
        while let Some(from) = next {
            next = scan_step(&index, from, &mut seen);
            (added..added + 50).for_each(|number| insert(&mut index, number));
            added += 50;
        }
        assert!((0..1_000).all(|number| seen.get(&number) == Some(&1)));
        assert!(seen.values().all(|&count| count == 1));
    }

    #[test]
    fn a_scan_of_a_single_bucket_ends() {
        let mut index = Index::new();
        assert_eq!(scan_step(&index, 0, &mut HashMap::new()), None);
        insert(&mut index, 1);
        let mut seen = HashMap::new();
        assert_eq!(scan_step(&index, 0, &mut seen), None);
        assert_eq!(seen.len(), 1);
    }

    #[test]
    fn every_entry_can_be_changed() {
        let mut index = Index::new();
        (0..5_000).for_each(|number| insert(&mut index, number));
        let now = Timestamp::from_ms(1_000_000);
        let mut next = Some(0);
        while let Some(from) = next {
            next = index
                .update_buckets(from, 64, |slot| slot.with_access(slot.access().fetched_at(now)));
        }
        for number in 0..5_000 {
            let (_, slot) = index.find_at(hash_of(number), place(number)).unwrap();
            assert!(slot.access().was_fetched());
        }
    }
}
