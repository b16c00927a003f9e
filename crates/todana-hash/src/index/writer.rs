//! The index's one writer.

use super::arena::{Allocator, Arena, UNIT_SLOTS, UNITS_MAX};
use super::{Directory, Entry, Index, Place, TAG_BITS, Word};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};

/// Changes the index. There is one; readers go on meanwhile.
#[derive(Debug)]
pub(crate) struct IndexWriter {
    index: Arc<Index>,
    directory: Arc<Directory>,
    allocator: Allocator,
    /// Entries of the table that begins at a unit.
    lens: Vec<u16>,
    len: u64,
    /// Entries of a table that is being copied.
    scratch: Vec<Entry>,
}

/// Whether the directory was replaced and has to be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) struct Doubled(pub(crate) bool);

/// Entries above which a table is enlarged: seven eighths.
const fn is_full(len: usize, slots: usize) -> bool {
    len * 8 >= slots * 7
}

impl IndexWriter {
    /// An empty index for about `records` records.
    pub(crate) fn new(records: u64) -> io::Result<IndexWriter> {
        let bits = match records {
            0..0x0400_0000 => 32,
            0x0400_0000..0x0004_0000_0000 => 40,
            _ => 48,
        };
        let index = Arc::new(Index { bits, arena: Arena::new() });
        let mut writer = IndexWriter {
            index,
            directory: Arc::new(Directory { depth: 0, words: Box::new([]) }),
            allocator: Allocator::new(),
            lens: Vec::new(),
            len: 0,
            scratch: Vec::new(),
        };
        let depth = bits - TAG_BITS;
        let mut words = Vec::with_capacity(1 << depth);
        for _ in 0..1_u64 << depth {
            let unit = writer.allocator.take(&writer.index.arena, 1)?;
            writer.set_len(unit, 0);
            words.push(AtomicU64::new(Word::new(unit, 1, depth, 0).0));
        }
        writer.directory = Arc::new(Directory { depth, words: words.into() });
        Ok(writer)
    }

    pub(crate) fn index(&self) -> &Arc<Index> {
        &self.index
    }

    pub(crate) fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    /// Entries.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    fn table_len(&self, word: Word) -> usize {
        self.lens.get(word.unit() as usize).copied().map_or(0, usize::from)
    }

    fn set_len(&mut self, unit: u32, len: usize) {
        let unit = unit as usize;
        if self.lens.len() <= unit {
            self.lens.resize(unit + 1, 0);
        }
        self.lens[unit] = u16::try_from(len).unwrap_or(u16::MAX);
    }

    fn word(&self, hash: u64) -> Word {
        Word(self.directory.word_of(hash).load(Ordering::Relaxed))
    }

    /// Stores a word in every place of its table in the directory.
    fn store_word(&self, hash: u64, word: Word) {
        let directory = &self.directory;
        let copies = 1_usize << (directory.depth - word.depth());
        let first = (hash >> (64 - word.depth())) as usize * copies;
        for place in directory.words.iter().skip(first).take(copies) {
            place.store(word.0, Ordering::Release);
        }
    }

    /// Where the entry of a hash at a place stands in its table.
    fn position(&self, word: Word, hash: u64, place: Place) -> Option<usize> {
        let slots = self.index.table(word);
        let depth = word.depth();
        let rest = self.index.rest(self.index.q(hash), depth);
        let home = self.index.home(rest, depth, slots.len());
        for (at, slot) in slots.iter().enumerate().skip(home) {
            let entry = Entry(slot.load(Ordering::Relaxed));
            if entry.0 == 0 || self.index.rest(entry.tag(), depth) > rest {
                return None;
            }
            if entry.place() == place && self.index.rest(entry.tag(), depth) == rest {
                return Some(at);
            }
        }
        None
    }

    /// Whether the entry of a hash is at this place.
    pub(crate) fn contains(&self, hash: u64, place: Place) -> bool {
        self.position(self.word(hash), hash, place).is_some()
    }

    /// Points an entry elsewhere; tells whether it was there.
    pub(crate) fn replace(&mut self, hash: u64, old: Place, new: Place) -> bool {
        let word = self.word(hash);
        let Some(at) = self.position(word, hash, old) else { return false };
        if let Some(slot) = self.index.table(word).get(at) {
            slot.store(Entry::new(self.index.q(hash), new).0, Ordering::Release);
        }
        true
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// When there is no memory; nothing has changed then.
    pub(crate) fn insert(&mut self, hash: u64, place: Place) -> io::Result<Doubled> {
        let mut doubled = false;
        loop {
            let word = self.word(hash);
            let len = self.table_len(word);
            let slots = self.index.table(word);
            if !is_full(len + 1, slots.len()) && self.insert_into(word, hash, place) {
                self.set_len(word.unit(), len + 1);
                self.len += 1;
                return Ok(Doubled(doubled));
            }
            doubled |= self.enlarge(hash)?;
        }
    }

    /// Makes room for the entry and stores it; `false` when it would push another off the table's end.
    fn insert_into(&self, word: Word, hash: u64, place: Place) -> bool {
        let slots = self.index.table(word);
        let depth = word.depth();
        let q = self.index.q(hash);
        let rest = self.index.rest(q, depth);
        let home = self.index.home(rest, depth, slots.len());
        let load = |slot: &AtomicU64| Entry(slot.load(Ordering::Relaxed));
        let Some(tail) = slots.get(home..) else { return false };
        let Some(before) = tail.iter().position(|slot| {
            let entry = load(slot);
            entry.0 == 0 || self.index.rest(entry.tag(), depth) > rest
        }) else {
            return false;
        };
        let Some(tail) = tail.get(before..) else { return false };
        let Some(gap) = tail.iter().position(|slot| load(slot).0 == 0) else { return false };
        // From the end, each before the one that takes its place: readers meet all of them.
        for pair in (0..gap).rev() {
            if let (Some(from), Some(to)) = (tail.get(pair), tail.get(pair + 1)) {
                to.store(from.load(Ordering::Relaxed), Ordering::Release);
            }
        }
        if let Some(slot) = tail.first() {
            slot.store(Entry::new(q, place).0, Ordering::Release);
        }
        true
    }

    /// Removes an entry; tells whether it was there.
    pub(crate) fn remove(&mut self, hash: u64, place: Place) -> bool {
        let word = self.word(hash);
        let Some(at) = self.position(word, hash, place) else { return false };
        let changing = word.next();
        self.store_word(hash, changing);
        fence(Ordering::Release);
        let slots = self.index.table(word);
        let depth = word.depth();
        let mut hole = at;
        for (next, slot) in slots.iter().enumerate().skip(at + 1) {
            let entry = Entry(slot.load(Ordering::Relaxed));
            let rest = self.index.rest(entry.tag(), depth);
            if entry.0 == 0 || self.index.home(rest, depth, slots.len()) == next {
                break;
            }
            if let Some(target) = slots.get(hole) {
                target.store(entry.0, Ordering::Release);
            }
            hole = next;
        }
        if let Some(last) = slots.get(hole) {
            last.store(0, Ordering::Release);
        }
        self.store_word(hash, changing.next());
        self.set_len(word.unit(), self.table_len(word).saturating_sub(1));
        self.len -= 1;
        true
    }

    /// Copies the table of a hash into a larger one or two. Tells whether the directory was doubled.
    fn enlarge(&mut self, hash: u64) -> io::Result<bool> {
        let word = self.word(hash);
        let mut entries = std::mem::take(&mut self.scratch);
        entries.clear();
        let slots = self.index.table(word);
        entries.extend(slots.iter().map(|slot| Entry(slot.load(Ordering::Relaxed))));
        entries.retain(|entry| entry.0 != 0);
        let units = word.units() + (word.units() / 8).max(1);
        let result = if units <= UNITS_MAX {
            self.copy_into(&entries, units, word.depth(), word.sequence() + 2).map(|new| {
                self.store_word(hash, new);
                false
            })
        } else {
            self.split(hash, word, &entries)
        };
        self.scratch = entries;
        if result.is_ok() {
            self.allocator.put(word.unit(), word.units());
        }
        result
    }

    fn split(&mut self, hash: u64, word: Word, entries: &[Entry]) -> io::Result<bool> {
        let depth = word.depth() + 1;
        let half = 1_u64 << (self.index.bits - depth);
        let middle =
            entries.partition_point(|entry| self.index.rest(entry.tag(), word.depth()) < half);
        let (low, high) = entries.split_at(middle);
        let sequence = word.sequence() + 2;
        let low = self.copy_into(low, units_for(low.len()), depth, sequence)?;
        let high = match self.copy_into(high, units_for(high.len()), depth, sequence) {
            Ok(high) => high,
            Err(error) => {
                self.allocator.put(low.unit(), low.units());
                return Err(error);
            }
        };
        let doubled = depth > self.directory.depth;
        let old = doubled.then(|| self.double());
        let bit = 1_u64 << (64 - depth);
        self.store_word(hash & !bit, low);
        self.store_word(hash | bit, high);
        // Whoever still has the old directory shall know it before anything else changes.
        for place in old.iter().flat_map(|old| old.words.iter()) {
            place.store(Word::RELOAD.0, Ordering::Release);
        }
        Ok(doubled)
    }

    /// Makes the directory one bit deeper; gives the old one.
    fn double(&mut self) -> Arc<Directory> {
        let words = self.directory.words.iter();
        let twice = words.flat_map(|word| [word.load(Ordering::Relaxed); 2]).map(AtomicU64::new);
        let new = Directory { depth: self.directory.depth + 1, words: twice.collect() };
        std::mem::replace(&mut self.directory, Arc::new(new))
    }

    /// Writes entries, which are in order, into a new table of at least `units`.
    fn copy_into(
        &mut self,
        entries: &[Entry],
        units: u32,
        depth: u32,
        sequence: u64,
    ) -> io::Result<Word> {
        for units in units..=UNITS_MAX {
            let unit = self.allocator.take(&self.index.arena, units)?;
            if self.fill(self.index.arena.slots(unit, units), entries, depth) {
                self.set_len(unit, entries.len());
                return Ok(Word::new(unit, units, depth, sequence));
            }
            self.allocator.put(unit, units);
        }
        // Thousands of equal hashes: nobody meets them who does not know the seed.
        Err(io::Error::other("too many keys with the same hash"))
    }

    fn fill(&self, slots: &[AtomicU64], entries: &[Entry], depth: u32) -> bool {
        let mut next = 0;
        for &entry in entries {
            let rest = self.index.rest(entry.tag(), depth);
            let at = next.max(self.index.home(rest, depth, slots.len()));
            let Some(gap) = slots.get(next..=at) else { return false };
            if let Some((last, empty)) = gap.split_last() {
                empty.iter().for_each(|slot| slot.store(0, Ordering::Relaxed));
                last.store(entry.0, Ordering::Relaxed);
            }
            next = at + 1;
        }
        for slot in slots.iter().skip(next) {
            slot.store(0, Ordering::Relaxed);
        }
        true
    }

    /// Visits entries in order of `q` from `from` on: at least `count` of them, and all that share the
    /// last one's `q`. Gives the `q` to go on from; `None` at the end.
    pub(crate) fn walk(
        &self,
        from: u64,
        count: usize,
        visit: &mut dyn FnMut(Place),
    ) -> Option<u64> {
        let bits = self.index.bits;
        let mut q = from;
        let mut visited = 0;
        let mut last = None;
        while q < 1 << bits {
            let word = self.word(q << (64 - bits));
            let depth = word.depth();
            let base = q >> (bits - depth) << (bits - depth);
            for slot in self.index.table(word) {
                let entry = Entry(slot.load(Ordering::Relaxed));
                let its = base | self.index.rest(entry.tag(), depth);
                if entry.0 == 0 || its < q {
                    continue;
                }
                if visited >= count && last != Some(its) {
                    return Some(its);
                }
                visit(entry.place());
                last = Some(its);
                visited += 1;
            }
            q = base + (1 << (bits - depth));
        }
        None
    }

    /// Removes every entry.
    ///
    /// # Errors
    /// When there is no memory; nothing has changed then.
    pub(crate) fn clear(&mut self) -> io::Result<()> {
        let depth = self.index.bits - TAG_BITS;
        let mut at = 0_u64;
        let mut fresh = Vec::with_capacity(1 << depth);
        for _ in 0..1_u64 << depth {
            let word = self.copy_into(&[], 1, depth, 0)?;
            fresh.push(AtomicU64::new(word.0));
        }
        let old = self.directory.clone();
        self.directory = Arc::new(Directory { depth, words: fresh.into() });
        while let Some(place) = old.words.get(usize::try_from(at).unwrap_or(usize::MAX)) {
            let word = Word(place.load(Ordering::Relaxed));
            at += 1 << (old.depth - word.depth());
            self.allocator.put(word.unit(), word.units());
        }
        for place in &old.words {
            place.store(Word::RELOAD.0, Ordering::Release);
        }
        self.len = 0;
        Ok(())
    }
}

/// Units of a new table for as many entries.
fn units_for(len: usize) -> u32 {
    let slots = len + len / 4 + 8;
    u32::try_from(slots.div_ceil(UNIT_SLOTS)).unwrap_or(UNITS_MAX).clamp(1, UNITS_MAX)
}
