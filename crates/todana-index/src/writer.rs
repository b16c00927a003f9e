//! The index's one writer.

use super::arena::{Pool, UNIT_SLOTS, UNITS_MAX};
use super::deferred::{Deferred, Queue};
use super::{Check, DEPTH_MAX, Directory, Entry, Index, LINE_LEN, Pointer, Search, Word, empty};
use std::io;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering, fence};

/// Changes the index. There is one; readers go on meanwhile.
#[derive(Debug)]
pub struct IndexWriter<P> {
    pub(super) index: Arc<Index<P>>,
    /// Entries of each table, by its first place in the directory.
    lens: Vec<u16>,
    len: u64,
    pub(super) queue: Queue<P>,
    layout: Layout,
}

/// Where a search by the writer ended. Good until the index is changed.
#[derive(Debug, Clone, Copy)]
pub struct Seat {
    word: Word,
    hash: u64,
    /// Slot of the table; none when the table is full.
    at: Option<usize>,
}

/// Lines of the largest table.
const LINES_MAX: usize = UNITS_MAX as usize * UNIT_SLOTS / LINE_LEN;

/// How an index trades memory for the work of a put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Bits of the hash that order the entries: from the bits of a tag to 48, and 32 more than those of a
    /// tag at most. There is a table for each value of the bits beyond those of a tag from the beginning.
    pub bits: u32,
    /// Sixteenths of a table's slots that are filled when it is enlarged: 14 or 15.
    pub full: usize,
    /// The part by which it is enlarged then: 4 for a quarter. Each entry is copied about as often in its
    /// life.
    pub step: u32,
    /// Units of 128 bytes that the length of a table is a multiple of: a power of two, 128 at most.
    pub grain: u32,
}

impl Layout {
    /// Quick puts: eleven bytes an entry.
    pub const fn quick(bits: u32) -> Layout {
        Layout { bits, full: 14, step: 4, grain: 4 }
    }

    /// Little memory: nine and a half bytes an entry.
    pub const fn dense(bits: u32) -> Layout {
        Layout { bits, full: 15, step: 8, grain: 1 }
    }

    const fn is_full(self, len: usize, slots: usize) -> bool {
        len * 16 >= slots * self.full
    }

    /// Units of a new table for as many entries.
    fn units_for(self, len: usize) -> u32 {
        let slots = len + len / self.step as usize + 8;
        let units = u32::try_from(slots.div_ceil(UNIT_SLOTS)).unwrap_or(UNITS_MAX);
        units.next_multiple_of(self.grain).clamp(self.grain, UNITS_MAX)
    }

    /// Units of a table that takes the place of one with so many.
    fn units_after(self, units: u32) -> u32 {
        let more = units / self.step;
        units + (more - more % self.grain).max(self.grain)
    }
}

impl<P: Pointer> IndexWriter<P> {
    /// Bits of a tag.
    pub const TAG_BITS: u32 = Entry::<P>::TAG_BITS;

    /// An empty index, whose tables are in a pool's memory. What it has there it keeps, even when it is
    /// dropped before the pool is.
    ///
    /// # Errors
    /// When there is no memory.
    pub fn new(layout: Layout, pool: &Pool) -> io::Result<IndexWriter<P>> {
        let bits = layout.bits;
        let directory = Directory::new(bits - Entry::<P>::TAG_BITS);
        pool.join();
        let index = Arc::new(Index {
            bits,
            directory,
            pool: pool.clone(),
            units: AtomicU32::new(0),
            deferred: Deferred::default(),
            pointers: PhantomData,
        });
        let mut writer =
            IndexWriter { index, lens: Vec::new(), len: 0, queue: Queue::new(), layout };
        writer.clear()?;
        Ok(writer)
    }

    /// The part that readers share.
    pub fn index(&self) -> &Arc<Index<P>> {
        &self.index
    }

    /// Entries.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has no entry.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// A table's first place in the directory.
    #[inline]
    fn place_of(&self, hash: u64, word: Word) -> usize {
        (hash >> (64 - word.depth()) << (self.depth() - word.depth())) as usize
    }

    #[inline]
    fn table_len(&self, hash: u64, word: Word) -> usize {
        self.lens.get(self.place_of(hash, word)).copied().map_or(0, usize::from)
    }

    #[inline]
    fn set_len(&mut self, hash: u64, word: Word, len: usize) {
        let place = self.place_of(hash, word);
        if let Some(its) = self.lens.get_mut(place) {
            *its = u16::try_from(len).unwrap_or(u16::MAX);
        }
    }

    fn word(&self, hash: u64) -> Word {
        Word(self.index.directory.word_of(hash).load(Ordering::Relaxed))
    }

    /// Stores a word in every place of its table in the directory.
    fn store_word(&self, hash: u64, word: Word) {
        let depth = self.depth();
        let copies = 1_usize << (depth - word.depth());
        let first = self.place_of(hash, word);
        for place in self.index.directory.level(depth).iter().skip(first).take(copies) {
            place.store(word.0, Ordering::Release);
        }
    }

    fn depth(&self) -> u32 {
        self.index.directory.depth.load(Ordering::Relaxed)
    }

    /// Looks for the entry of a hash that passes the check, and where it stands or would stand.
    #[inline]
    pub fn seek<T>(&self, hash: u64, check: impl FnMut(P) -> Check<T>) -> (Seat, Option<T>) {
        let word = self.word(hash);
        match self.index.search(word, hash, check) {
            Search::Found(at, found) => (Seat { word, hash, at: Some(at) }, Some(found)),
            Search::Absent(at) => (Seat { word, hash, at }, None),
            // The writer's own tables are never out of date.
            Search::Reload => (Seat { word, hash, at: None }, None),
        }
    }

    /// The seat of the entry of a hash at a place.
    #[inline]
    pub fn seat_of(&self, hash: u64, pointer: P) -> Option<Seat> {
        let here = |at| if at == pointer { Check::Is(()) } else { Check::IsNot };
        let (seat, found) = self.seek(hash, here);
        found.map(|()| seat)
    }

    /// What the entry of a seat points to; `None` when its table has moved, or entries in it. The seat is
    /// good if that is what is looked for.
    #[inline]
    pub fn at(&self, seat: Seat) -> Option<P> {
        if self.word(seat.hash) != seat.word {
            return None;
        }
        let slots = self.index.pool.slots(seat.word.unit(), seat.word.units());
        let entry = Entry::<P>::of(slots.get(seat.at?)?.load(Ordering::Acquire));
        (entry.0 != 0).then(|| entry.pointer())
    }

    /// Points the entry of a seat elsewhere.
    #[inline]
    pub fn set(&self, seat: Seat, pointer: P) {
        let slots = self.index.pool.slots(seat.word.unit(), seat.word.units());
        if let Some(slot) = seat.at.and_then(|at| slots.get(at)) {
            slot.store(Entry::new(self.index.q(seat.hash), pointer).0, Ordering::Release);
        }
    }

    /// Adds an entry where a search for it ended, in a larger table if need be.
    ///
    /// # Errors
    /// When there is no memory; nothing has changed then.
    #[inline]
    pub fn insert(&mut self, seat: Seat, pointer: P) -> io::Result<()> {
        let slots = seat.word.units() as usize * UNIT_SLOTS;
        let len = self.table_len(seat.hash, seat.word) + 1;
        if seat.at.is_none() || self.layout.is_full(len, slots) {
            return self.insert_enlarged(seat.hash, pointer);
        }
        self.set(seat, pointer);
        self.set_len(seat.hash, seat.word, len);
        self.len += 1;
        Ok(())
    }

    #[cold]
    fn insert_enlarged(&mut self, hash: u64, pointer: P) -> io::Result<()> {
        self.enlarge(hash)?;
        let (seat, _) = self.seek::<()>(hash, |_| Check::IsNot);
        self.insert(seat, pointer)
    }

    /// Removes the entry of a seat.
    #[inline]
    pub fn remove(&mut self, seat: Seat) {
        let Seat { word, hash, at: Some(at) } = seat else { return };
        let slots = self.index.pool.slots(word.unit(), word.units());
        let Some(slot) = slots.get(at) else { return };
        let line = self.index.lines(word).get(at / LINE_LEN);
        if line.is_some_and(|line| empty(line) != 0) {
            // Nothing ever overflowed from here and is still there.
            slot.store(0, Ordering::Release);
        } else {
            self.take_back(seat, at);
        }
        self.set_len(hash, word, self.table_len(hash, word).saturating_sub(1));
        self.len -= 1;
    }

    /// Empties a slot of a full line; entries that overflowed from it, or past it, move up.
    #[cold]
    fn take_back(&self, seat: Seat, at: usize) {
        let Seat { mut word, hash, .. } = seat;
        let (slots, lines) =
            (self.index.pool.slots(word.unit(), word.units()), self.index.lines(word));
        let way = |from: usize, to: usize| (to + lines.len() - from) % lines.len();
        let mut hole = at;
        for step in 1..lines.len() {
            let here = (at / LINE_LEN + step) % lines.len();
            let Some(line) = lines.get(here) else { break };
            let was_full = empty(line) == 0;
            for (column, slot) in line.iter().enumerate() {
                let entry = Entry::<P>::of(slot.load(Ordering::Relaxed));
                let home = self.index.home_line(entry.tag(), word.depth(), lines.len());
                if entry.0 != 0 && way(home, here) >= way(hole / LINE_LEN, here) {
                    if !word.is_changing() {
                        word = word.next();
                        self.store_word(hash, word);
                        fence(Ordering::Release);
                    }
                    if let Some(target) = slots.get(hole) {
                        target.store(entry.0, Ordering::Release);
                    }
                    hole = here * LINE_LEN + column;
                    break;
                }
            }
            if !was_full {
                break;
            }
        }
        if let Some(last) = slots.get(hole) {
            last.store(0, Ordering::Release);
        }
        if word.is_changing() {
            self.store_word(hash, word.next());
        }
    }

    /// Changes all entries of `count` tables from the one that has this `q` on; gives the `q` to go on from,
    /// `None` at the end.
    pub fn change(&self, from: u64, count: usize, change: &mut dyn FnMut(P) -> P) -> Option<u64> {
        let bits = self.index.bits;
        let mut q = from;
        for _ in 0..count {
            if q >= 1 << bits {
                return None;
            }
            let word = self.word(q << (64 - bits));
            for slot in self.index.pool.slots(word.unit(), word.units()) {
                let old = Entry::<P>::of(slot.load(Ordering::Relaxed));
                if old.0 == 0 {
                    continue;
                }
                let tag = old.0 & !((1 << P::BITS) - 1);
                let new = tag | change(old.pointer()).bits();
                if new != old.0 {
                    // A reader may have replaced it meanwhile: then it stays so.
                    let _ = slot.compare_exchange(old.0, new, Ordering::Release, Ordering::Relaxed);
                }
            }
            let span = bits - word.depth();
            q = (q >> span << span) + (1 << span);
        }
        (q < 1 << bits).then_some(q)
    }

    /// Copies the table of a hash into a larger one or two.
    fn enlarge(&mut self, hash: u64) -> io::Result<()> {
        let word = self.word(hash);
        let units = self.layout.units_after(word.units());
        if units <= UNITS_MAX {
            let (new, len) = self.copy(word, units, word.depth(), 0)?;
            self.set_len(hash, new, len);
            self.store_word(hash, new);
        } else {
            self.split(hash, word)?;
        }
        self.put(word);
        Ok(())
    }

    fn split(&mut self, hash: u64, word: Word) -> io::Result<()> {
        let depth = word.depth() + 1;
        if depth > DEPTH_MAX {
            // Thousands of equal hashes: nobody meets them who does not know the seed.
            return Err(io::Error::other("too many keys with the same hash"));
        }
        let half = 1_u64 << (self.index.bits - depth);
        let is_high = |entry: &Entry<P>| entry.tag() & half != 0;
        let high_len = self.index.entries(word).filter(is_high).count();
        let low_len = self.table_len(hash, word).saturating_sub(high_len);
        let (low, low_len) = self.copy(word, self.layout.units_for(low_len), depth, 0)?;
        let copied = self.copy(word, self.layout.units_for(high_len), depth, half);
        let (high, high_len) = copied.inspect_err(|_| self.put(low))?;
        let old = self.depth();
        if depth > old {
            self.double();
        }
        let bit = 1_u64 << (64 - depth);
        self.set_len(hash & !bit, low, low_len);
        self.set_len(hash | bit, high, high_len);
        self.store_word(hash & !bit, low);
        self.store_word(hash | bit, high);
        // Whoever still reads the old level shall know it before anything else changes.
        if depth > old {
            self.leave(old);
        }
        Ok(())
    }

    /// Makes the directory one bit deeper.
    fn double(&mut self) {
        let (directory, depth) = (&self.index.directory, self.depth());
        let words = directory.level(depth).iter().map(|word| word.load(Ordering::Relaxed));
        let twice = words.flat_map(|word| [word; 2]);
        for (place, word) in directory.make_level(depth + 1).iter().zip(twice) {
            place.store(word, Ordering::Release);
        }
        self.lens = self.lens.iter().flat_map(|len| [*len, 0]).collect();
        directory.depth.store(depth + 1, Ordering::Release);
    }

    /// Says to those who still read a level that there is another.
    fn leave(&self, depth: u32) {
        for place in self.index.directory.level(depth) {
            place.store(Word::RELOAD.0, Ordering::Release);
        }
    }

    /// Takes an empty table.
    fn table(&self, units: u32, depth: u32, sequence: u64) -> io::Result<Word> {
        let unit = self.index.pool.take(units)?;
        self.index.units.fetch_add(units, Ordering::Relaxed);
        let word = Word::new(unit, units, depth, sequence);
        // Who sees what is stored here from now on sees that the memory's last table has left it: this
        // index's own, or another's, whose writer has given it back under the pool's lock after that.
        fence(Ordering::Release);
        for slot in self.index.lines(word).as_flattened() {
            slot.store(0, Ordering::Relaxed);
        }
        Ok(word)
    }

    /// Gives the memory of a table back that no word leads to any more.
    fn put(&self, word: Word) {
        self.index.units.fetch_sub(word.units(), Ordering::Relaxed);
        self.index.pool.put(word.unit(), word.units());
    }

    /// Copies the entries of a table into a new one of so many units, which has room for them; of a
    /// deeper one, those whose next bit is that of `half`. Says how many there are.
    fn copy(&self, old: Word, units: u32, depth: u32, half: u64) -> io::Result<(Word, usize)> {
        let word = self.table(units, depth, old.sequence() + 2)?;
        let lines = self.index.lines(word);
        // As `Index::home` has it, with all that is the same for each entry taken out.
        let span = self.index.bits - depth;
        let (rest, count) = ((1_u64 << span) - 1, lines.len() as u64);
        let mask = if depth == old.depth() { 0 } else { 1_u64 << span };
        let mut filled = [0_u8; LINES_MAX];
        let mut len = 0;
        for slot in self.index.pool.slots(old.unit(), old.units()) {
            let entry = Entry::<P>::of(slot.load(Ordering::Relaxed));
            if entry.0 == 0 || entry.tag() & mask != half {
                continue;
            }
            let mut at = (((entry.tag() & rest) * count) >> span) as usize;
            while usize::from(filled[at % LINES_MAX]) == LINE_LEN {
                at = if at + 1 == lines.len() { 0 } else { at + 1 };
            }
            let filled = &mut filled[at % LINES_MAX];
            if let Some(line) = lines.get(at) {
                line[usize::from(*filled) % LINE_LEN].store(entry.0, Ordering::Relaxed);
                *filled += 1;
                len += 1;
            }
        }
        Ok((word, len))
    }

    /// Removes every entry.
    ///
    /// # Errors
    /// When there is no memory; nothing has changed then.
    pub fn clear(&mut self) -> io::Result<()> {
        let (old, depth) = (self.depth(), self.index.bits - Entry::<P>::TAG_BITS);
        let fresh = self.fresh(depth)?;
        let words = self.index.directory.level(old).iter();
        let mut tables: Vec<Word> = words.map(|word| Word(word.load(Ordering::Relaxed))).collect();
        tables.dedup_by_key(|word| word.unit());
        for (place, word) in self.index.directory.make_level(depth).iter().zip(fresh) {
            place.store(word.0, Ordering::Release);
        }
        self.index.directory.depth.store(depth, Ordering::Release);
        if old > depth {
            self.leave(old);
        }
        tables.into_iter().filter(|word| *word != Word::RELOAD).for_each(|word| self.put(word));
        self.lens = vec![0; 1 << depth];
        self.len = 0;
        Ok(())
    }

    /// The tables of an empty index.
    fn fresh(&self, depth: u32) -> io::Result<Vec<Word>> {
        let mut fresh = Vec::with_capacity(1 << depth);
        for _ in 0..1_u64 << depth {
            match self.table(self.layout.grain, depth, 0) {
                Ok(word) => fresh.push(word),
                Err(error) => {
                    fresh.into_iter().for_each(|word| self.put(word));
                    return Err(error);
                }
            }
        }
        Ok(fresh)
    }
}
