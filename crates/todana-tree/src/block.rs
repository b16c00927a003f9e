//! Sorted keys, with what belongs to each, that never change.
//!
//! ```text
//! heads    u32 a key: the first four bytes of its rest, as a big-endian number, zeros behind short ones
//! offsets  u16 a key, u32 where entries take more than 64 KiB: where its entry begins
//! prefix   what all keys begin with; what follows in a key is its rest
//! entries  tag u8            bit 7 metadata, bits 4-6 length of the rest, bits 0-3 length of the value
//!          [varint, varint]  the lengths that the tag has no room for (7, 15)
//!          [metadata]        see `fields`
//!          rest of the rest, value
//! ```
//! Numbers are little-endian. A search looks at sixteen *hints*, every n-th head, then at one run of heads,
//! and at an entry: four cache lines. The way the bytes stand is the way they lie on disk.

use crate::fields;
use std::cmp::Ordering;
use std::ops::Range;
use todana_io::prefetch;
use todana_record::{Meta, varint};

/// Hints of a block.
const HINTS: usize = 16;
/// Heads that are compared together.
const LANES: usize = 8;
/// Bytes of a head.
const HEAD_LEN: usize = 4;
/// Lengths in a tag that say that they follow.
const LONG_REST: usize = 7;
const LONG_VALUE: usize = 15;
const HAS_FIELDS: u8 = 0x80;

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    hints: [u32; HINTS],
    /// Heads from one hint to the next.
    step: u32,
    count: u32,
    /// The first eight bytes of the prefix, and those of them that are its.
    prefix_word: u64,
    prefix_mask: u64,
    prefix_len: u32,
    prefix_at: u32,
    is_wide: bool,
    bytes: Box<[u8]>,
}

/// What a key's entry says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'b> {
    /// Bytes of the key behind the prefix.
    rest_len: usize,
    /// Those behind its head.
    tail: &'b [u8],
    fields: &'b [u8],
    pub(crate) value: &'b [u8],
}

impl Entry<'_> {
    /// The record's metadata.
    #[inline]
    pub(crate) fn meta(&self) -> Meta {
        match self.fields {
            [] => Meta::default(),
            fields => fields::decode(fields).map_or(Meta::default(), |(meta, _)| meta),
        }
    }

    /// How its rest, of the same head, stands to another.
    #[inline]
    fn cmp_rest(&self, rest: &[u8]) -> Ordering {
        match (rest.get(HEAD_LEN..), self.rest_len >= HEAD_LEN) {
            (Some([]), true) if self.tail.is_empty() => Ordering::Equal,
            (Some(tail), true) => self.tail.cmp(tail),
            // Zeros stand for what a short rest has not.
            _ => self.rest_len.cmp(&rest.len()),
        }
    }
}

/// The first eight bytes of a prefix as a word, and a mask of those that it has.
fn word_of(prefix: &[u8]) -> (u64, u64) {
    let (mut word, mut mask) = ([0; 8], [0; 8]);
    for ((word, mask), byte) in word.iter_mut().zip(&mut mask).zip(prefix) {
        (*word, *mask) = (*byte, 0xff);
    }
    (u64::from_le_bytes(word), u64::from_le_bytes(mask))
}

/// The head of a rest.
#[inline]
fn head_of(rest: &[u8]) -> u32 {
    match rest.first_chunk() {
        Some(head) => u32::from_be_bytes(*head),
        None => {
            let mut head = [0; HEAD_LEN];
            head.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            u32::from_be_bytes(head)
        }
    }
}

/// Bytes that two keys begin with.
#[inline]
pub(crate) fn common_len(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

impl Block {
    /// A block without keys.
    pub(crate) fn empty() -> Block {
        Builder::default().finish(&[])
    }

    /// The block of bytes that came from outside; `None` when its tables end behind them.
    pub(crate) fn from_bytes(
        bytes: Box<[u8]>,
        count: usize,
        prefix_len: usize,
        is_wide: bool,
    ) -> Option<Block> {
        let width = if is_wide { 4 } else { 2 };
        let prefix_at = count.checked_mul(HEAD_LEN + width)?;
        if prefix_at.checked_add(prefix_len)? > bytes.len() {
            return None;
        }
        let (step, hints) = hints(bytes.get(..count * HEAD_LEN)?.as_chunks().0);
        let (prefix_word, prefix_mask) = word_of(bytes.get(prefix_at..prefix_at + prefix_len)?);
        Some(Block {
            prefix_word,
            prefix_mask,
            hints,
            step,
            count: u32::try_from(count).ok()?,
            prefix_len: u32::try_from(prefix_len).ok()?,
            prefix_at: u32::try_from(prefix_at).ok()?,
            is_wide,
            bytes,
        })
    }

    /// Its bytes, as they lie on disk.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether its entries take more than 64 KiB.
    pub(crate) fn is_wide(&self) -> bool {
        self.is_wide
    }

    /// Number of keys.
    #[inline]
    pub(crate) fn count(&self) -> usize {
        self.count as usize
    }

    /// Bytes that it takes beside itself.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// What all its keys begin with.
    #[inline]
    pub(crate) fn prefix(&self) -> &[u8] {
        let at = self.prefix_at as usize;
        self.bytes.get(at..at + self.prefix_len as usize).unwrap_or_default()
    }

    fn entries(&self) -> &[u8] {
        self.bytes.get((self.prefix_at + self.prefix_len) as usize..).unwrap_or_default()
    }

    #[inline]
    fn heads(&self) -> &[[u8; HEAD_LEN]] {
        self.bytes.get(..self.count() * HEAD_LEN).unwrap_or_default().as_chunks().0
    }

    #[inline]
    fn head(&self, at: usize) -> u32 {
        self.heads().get(at).map_or(u32::MAX, |head| u32::from_le_bytes(*head))
    }

    /// Where an entry begins; of the one behind the last, where that ends.
    #[inline]
    fn offset(&self, at: usize) -> usize {
        let offsets = self.count() * HEAD_LEN;
        if at >= self.count() {
            return self.bytes.len() - (self.prefix_at + self.prefix_len) as usize;
        }
        if self.is_wide {
            let bytes = self.bytes.get(offsets + at * 4..).and_then(|bytes| bytes.first_chunk());
            bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes) as usize)
        } else {
            let bytes = self.bytes.get(offsets + at * 2..).and_then(|bytes| bytes.first_chunk());
            bytes.map_or(0, |bytes| usize::from(u16::from_le_bytes(*bytes)))
        }
    }

    /// Bytes that some of its entries take, with their heads and offsets.
    #[inline]
    pub(crate) fn len_of(&self, range: Range<usize>) -> usize {
        let each = HEAD_LEN + if self.is_wide { 4 } else { 2 };
        self.offset(range.end) - self.offset(range.start) + range.len() * each
    }

    /// An entry; one without anything where there is none.
    #[inline]
    pub(crate) fn entry(&self, at: usize) -> Entry<'_> {
        let bytes = self.entries().get(self.offset(at)..).unwrap_or_default();
        parse(bytes).unwrap_or(Entry { rest_len: 0, tail: &[], fields: &[], value: &[] })
    }

    /// Brings the run of heads near that a key's is in, and the offsets that belong to it.
    #[inline]
    pub(crate) fn prefetch_heads(&self, key: &[u8]) {
        let head = head_of(key.get(self.prefix_len as usize..).unwrap_or_default());
        let run = self.hints.iter().filter(|hint| **hint < head).count();
        let step = self.step as usize;
        let from = (run * step).min(self.count());
        let width = if self.is_wide { 4 } else { 2 };
        let offsets = self.count() * HEAD_LEN + from * width;
        let lines = [from * HEAD_LEN, (from + step) * HEAD_LEN, offsets, offsets + step * width];
        for line in lines {
            if let Some(byte) = self.bytes.get(line) {
                prefetch(byte);
            }
        }
    }

    /// Brings the entry near that may be a key's.
    #[inline]
    pub(crate) fn prefetch_entry(&self, key: &[u8]) {
        let head = head_of(key.get(self.prefix_len as usize..).unwrap_or_default());
        let at = self.lower_bound(head);
        if let Some(first) = self.entries().get(self.offset(at)) {
            prefetch(first);
        }
    }

    /// Where a head would stand: the first that is not less.
    #[inline]
    fn lower_bound(&self, head: u32) -> usize {
        let run = self.hints.iter().filter(|hint| **hint < head).count();
        let step = self.step as usize;
        let heads = self.heads();
        let from = (run * step).min(heads.len());
        let to = (from + step).min(heads.len());
        let (runs, rest) = heads.get(from..to).unwrap_or_default().as_chunks::<LANES>();
        let less = |one: &[u8; HEAD_LEN]| u32::from(u32::from_le_bytes(*one) < head);
        let mut count: u32 = rest.iter().map(less).sum();
        for run in runs {
            count += run.iter().map(less).sum::<u32>();
        }
        from + count as usize
    }

    /// What follows the prefix in a key, if it begins with that.
    #[inline]
    fn rest_of<'k>(&self, key: &'k [u8]) -> Option<&'k [u8]> {
        if let Some(first) = key.first_chunk()
            && self.prefix_len <= 8
        {
            let differing = u64::from_le_bytes(*first) ^ self.prefix_word;
            return key
                .get(self.prefix_len as usize..)
                .filter(|_| differing & self.prefix_mask == 0);
        }
        key.strip_prefix(self.prefix())
    }

    /// Where a key stands, or where it would.
    ///
    /// # Errors
    /// The place of the first key behind it, when it is not there.
    #[inline]
    pub(crate) fn find(&self, key: &[u8]) -> Result<usize, usize> {
        let Some(rest) = self.rest_of(key) else {
            return Err(if key < self.prefix() { 0 } else { self.count() });
        };
        let head = head_of(rest);
        let at = self.lower_bound(head);
        if self.head(at) != head || at >= self.count() {
            return Err(at);
        }
        match self.entry(at).cmp_rest(rest) {
            Ordering::Equal => Ok(at),
            Ordering::Greater => Err(at),
            Ordering::Less => self.find_among(at + 1, head, rest),
        }
    }

    /// [`find`](Block::find) among keys of the same head, from one on.
    fn find_among(&self, from: usize, head: u32, rest: &[u8]) -> Result<usize, usize> {
        let end = match head.checked_add(1) {
            Some(next) => self.lower_bound(next),
            None => self.count(),
        };
        let (mut low, mut high) = (from, end);
        while low < high {
            let middle = low.midpoint(high);
            match self.entry(middle).cmp_rest(rest) {
                Ordering::Equal => return Ok(middle),
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }

    /// Writes the rest of a key behind what is in `key`.
    #[inline]
    pub(crate) fn push_rest(&self, at: usize, entry: &Entry<'_>, key: &mut Vec<u8>) {
        let head = self.head(at).to_be_bytes();
        key.extend_from_slice(head.get(..entry.rest_len.min(HEAD_LEN)).unwrap_or_default());
        key.extend_from_slice(entry.tail);
    }

    /// A key, whole.
    pub(crate) fn key(&self, at: usize) -> Vec<u8> {
        let mut key = self.prefix().to_vec();
        self.push_rest(at, &self.entry(at), &mut key);
        key
    }
}

#[inline]
fn parse(bytes: &[u8]) -> Option<Entry<'_>> {
    let tag = *bytes.first()?;
    let mut at = 1;
    let mut rest_len = usize::from(tag >> 4 & 7);
    let mut value_len = usize::from(tag & 15);
    if rest_len == LONG_REST {
        (rest_len, at) = fields::length(bytes, at)?;
    }
    if value_len == LONG_VALUE {
        (value_len, at) = fields::length(bytes, at)?;
    }
    let mut rest = bytes.get(at..)?;
    let mut fields: &[u8] = &[];
    if tag & HAS_FIELDS != 0 {
        let (_, len) = fields::decode(rest)?;
        (fields, rest) = rest.split_at_checked(len)?;
    }
    let (tail, rest) = rest.split_at_checked(rest_len.saturating_sub(HEAD_LEN))?;
    let value = rest.get(..value_len)?;
    Some(Entry { rest_len, tail, fields, value })
}

/// Heads from one hint to the next, and the hints.
fn hints(heads: &[[u8; HEAD_LEN]]) -> (u32, [u32; HINTS]) {
    // Whole lanes: they are compared together.
    let step = heads.len().div_ceil(HINTS).next_multiple_of(LANES).max(LANES);
    let mut hints = [u32::MAX; HINTS];
    for (hint, run) in hints.iter_mut().zip(heads.chunks(step)) {
        *hint = run.last().map_or(u32::MAX, |head| u32::from_le_bytes(*head));
    }
    (u32::try_from(step).unwrap_or(u32::MAX), hints)
}

/// Bytes that a record's entry would take, with its head and offset, at least.
#[inline]
pub(crate) fn len_of(rest_len: usize, value_len: usize) -> usize {
    HEAD_LEN + 2 + 1 + rest_len.saturating_sub(HEAD_LEN) + value_len
}

/// Makes blocks; its memory is used again.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    heads: Vec<u8>,
    offsets: Vec<u32>,
    entries: Vec<u8>,
}

impl Builder {
    #[inline]
    fn offset(&self) -> u32 {
        u32::try_from(self.entries.len()).unwrap_or(u32::MAX)
    }

    /// Adds the next key by its rest.
    #[inline]
    pub(crate) fn push(&mut self, rest: &[u8], fields: &[u8], value: &[u8]) {
        self.offsets.push(self.offset());
        self.heads.extend_from_slice(&head_of(rest).to_le_bytes());
        let short = |len: usize, long: usize| u8::try_from(len.min(long)).unwrap_or_default();
        let has_fields = if fields.is_empty() { 0 } else { HAS_FIELDS };
        let rest_len = short(rest.len(), LONG_REST);
        self.entries.push(has_fields | rest_len << 4 | short(value.len(), LONG_VALUE));
        if rest.len() >= LONG_REST {
            varint::encode(rest.len() as u64, &mut self.entries);
        }
        if value.len() >= LONG_VALUE {
            varint::encode(value.len() as u64, &mut self.entries);
        }
        self.entries.extend_from_slice(fields);
        self.entries.extend_from_slice(rest.get(HEAD_LEN..).unwrap_or_default());
        self.entries.extend_from_slice(value);
    }

    /// Adds keys of a block; the new one has a prefix of `prefix_len` bytes, which they begin with.
    pub(crate) fn push_from(&mut self, block: &Block, range: Range<usize>, prefix_len: usize) {
        if prefix_len == block.prefix_len as usize {
            self.push_run(block, range);
            return;
        }
        let mut key = block.prefix().to_vec();
        for at in range {
            let entry = block.entry(at);
            key.truncate(block.prefix_len as usize);
            block.push_rest(at, &entry, &mut key);
            self.push(key.get(prefix_len..).unwrap_or_default(), entry.fields, entry.value);
        }
    }

    /// As they stand.
    fn push_run(&mut self, block: &Block, range: Range<usize>) {
        let heads = block.heads().get(range.clone()).unwrap_or_default();
        self.heads.extend_from_slice(heads.as_flattened());
        let (from, to) = (block.offset(range.start), block.offset(range.end));
        let moved = self.offset().wrapping_sub(u32::try_from(from).unwrap_or_default());
        let table = block.count() * HEAD_LEN;
        if block.is_wide {
            let bytes = block.bytes.get(table + range.start * 4..table + range.end * 4);
            let offsets = bytes.unwrap_or_default().as_chunks().0.iter();
            self.offsets.extend(offsets.map(|one| u32::from_le_bytes(*one).wrapping_add(moved)));
        } else {
            let bytes = block.bytes.get(table + range.start * 2..table + range.end * 2);
            let offsets = bytes.unwrap_or_default().as_chunks().0.iter();
            let moved_one = |one: &[u8; 2]| u32::from(u16::from_le_bytes(*one)).wrapping_add(moved);
            self.offsets.extend(offsets.map(moved_one));
        }
        self.entries.extend_from_slice(block.entries().get(from..to).unwrap_or_default());
    }

    /// The block of what was added, whose keys all begin with a prefix. The builder is empty again.
    pub(crate) fn finish(&mut self, prefix: &[u8]) -> Block {
        let count = self.offsets.len();
        let is_wide = self.entries.len() > usize::from(u16::MAX);
        let width = if is_wide { 4 } else { 2 };
        let prefix_at = count * (HEAD_LEN + width);
        let mut bytes = Vec::with_capacity(prefix_at + prefix.len() + self.entries.len());
        bytes.extend_from_slice(&self.heads);
        if is_wide {
            bytes.extend(self.offsets.iter().flat_map(|offset| offset.to_le_bytes()));
        } else {
            let narrow = |offset: &u32| {
                let [low, high, ..] = offset.to_le_bytes();
                [low, high]
            };
            bytes.resize(prefix_at, 0);
            let table = bytes.get_mut(self.heads.len()..).unwrap_or_default().as_chunks_mut().0;
            table.iter_mut().zip(&self.offsets).for_each(|(to, offset)| *to = narrow(offset));
        }
        bytes.extend_from_slice(prefix);
        bytes.extend_from_slice(&self.entries);
        let (step, hints) = hints(self.heads.as_chunks().0);
        let (prefix_word, prefix_mask) = word_of(prefix);
        self.heads.clear();
        self.offsets.clear();
        self.entries.clear();
        let narrow = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        Block {
            hints,
            step,
            count: narrow(count),
            prefix_word,
            prefix_mask,
            prefix_len: narrow(prefix.len()),
            prefix_at: narrow(prefix_at),
            is_wide,
            bytes: bytes.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn build(map: &BTreeMap<Vec<u8>, Vec<u8>>) -> Block {
        let empty = Vec::new();
        let (first, last) = (map.keys().next(), map.keys().next_back());
        let (first, last) = (first.unwrap_or(&empty), last.unwrap_or(&empty));
        let prefix_len = common_len(first, last);
        let mut builder = Builder::default();
        for (key, value) in map {
            builder.push(&key[prefix_len..], &[], value);
        }
        builder.finish(&first[..prefix_len])
    }

    proptest! {
        #[test]
        fn keys_are_found_as_in_a_map(
            map in proptest::collection::btree_map(
                proptest::collection::vec(0u8..3, 0..9), proptest::collection::vec(any::<u8>(), 0..40), 0..200),
            others in proptest::collection::vec(proptest::collection::vec(0u8..4, 0..10), 0..50),
        ) {
            let block = build(&map);
            prop_assert_eq!(block.count(), map.len());
            for (at, (key, value)) in map.iter().enumerate() {
                prop_assert_eq!(block.find(key), Ok(at));
                prop_assert_eq!(block.entry(at).value, &value[..]);
                prop_assert_eq!(&block.key(at), key);
            }
            for key in &others {
                let place = map.range(..key.clone()).count();
                let expected = if map.contains_key(key) { Ok(place) } else { Err(place) };
                prop_assert_eq!(block.find(key), expected);
            }
            // Copied with another prefix, in two pieces.
            let mut builder = Builder::default();
            let half = map.len() / 2;
            builder.push_from(&block, 0..half, 0);
            builder.push_from(&block, half..map.len(), 0);
            let again = builder.finish(&[]);
            let mut builder = Builder::default();
            builder.push_from(&again, 0..half, 0);
            builder.push_from(&again, half..map.len(), 0);
            let copy = builder.finish(&[]);
            for (at, key) in map.keys().enumerate() {
                prop_assert_eq!((again.find(key), copy.find(key)), (Ok(at), Ok(at)));
            }
            prop_assert_eq!(&again.bytes, &copy.bytes);
        }
    }

    #[test]
    fn long_entries_have_wide_offsets() {
        let map = (0..40_u8).map(|n| (vec![b'k', n], vec![n; 5_000])).collect();
        let block = build(&map);
        assert!(block.is_wide);
        for (at, (key, value)) in map.iter().enumerate() {
            assert_eq!((block.find(key), block.entry(at).value), (Ok(at), &value[..]));
        }
        assert_eq!(block.len_of(0..40) + block.prefix().len(), block.len());
    }
}
