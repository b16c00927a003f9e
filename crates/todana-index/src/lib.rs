//! An index in memory from the hash of a key to where its record lies: eight bytes an entry, in tables that
//! are filled to seven eighths.
//!
//! ```text
//! entry (u64)   63                        n n - 1                      0
//!              +---------------------------+----------------------------+
//!              | tag                       | pointer (what the engine   |
//!              |                           | makes of it: n bits)       |
//!              +---------------------------+----------------------------+
//! directory     word = table's place and size, depth, a sequence number; found by the hash's top bits
//! table         lines of eight entries; an entry stands in its home line, or after it where that is full
//! ```
//!
//! The top `bits` bits of a key's hash, `q`, order the whole index. A table holds an interval of them: all
//! that begin with its prefix of `depth` bits; home lines divide the interval evenly. An entry keeps the
//! lowest 64 - n bits of `q`, and no prefix is shorter than the others, so an entry says its `q` whole:
//! tables grow and split without reading a single key. A table that is full is copied into one a quarter or
//! an eighth larger, or, when it would pass 16 KiB, into two; that is all that an insert ever moves. (The
//! directory, 8 bytes for some 1,500 records, doubles.)
//!
//! **Memory** comes from a [`Pool`] that several indexes may share, each under a lock of its own: pieces of
//! whole units of 128 bytes, found by the unit's number. Where tables are filled to 15/16, an index takes 9.1
//! bytes an entry, and 9.6 with what is free in between (`free.rs` says why that is little).
//!
//! **One writer, readers without locks.** A line is a cache line, and an entry is one word, stored at once:
//! whoever looks sees it or does not. A search ends at a line that is not full. A removal from a full line
//! takes an entry that had overflowed from it back, and makes the table's sequence number odd meanwhile; a
//! reader that found nothing looks whether its word is still what it was, else it looks again. A doubled
//! directory leaves zeros behind, which say that there is a new one.
//!
//! **A reader that was overtaken** may look through memory that its table has left and another has now, maybe
//! another index's. Memory of tables is never given back to the system and holds nothing but entries, so:
//! - It meets entries of other keys, finds that their keys are not its own, and looks again. A table's word
//!   changes before its memory is given back, that happens before somebody else takes it (under the pool's
//!   lock, where that is another writer), and that before anything is stored there: whoever sees what is
//!   stored sees the changed word, and does not take what it found, or did not find, for the truth.
//! - An entry that it [replaces](Home::replace) there is the very entry that it knows, of the same record, since
//!   engines point to a record from one index alone, and do not use its place again while somebody reads.
//!
//! It knows no keys: a *check* that the engine gives says whether the record of an entry is the key's. It
//! is not persistent, and its writer has to be one at a time.
#![forbid(unsafe_code)]
#![expect(clippy::cast_possible_truncation, reason = "numbers are masked to their fields")]

mod arena;
mod deferred;
mod free;
#[cfg(test)]
mod tests;
mod writer;

pub use arena::Pool;
use arena::UNIT_BITS;
use deferred::Deferred;
pub use deferred::Waiting;
use std::marker::PhantomData;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use todana_io::prefetch;
pub use writer::{IndexWriter, Layout, Seat};

/// The binary logarithm of 1 + n / 16, for n from 0 to 15, as a fraction of 2^64.
const LOGARITHMS: [u64; 16] = [
    0x0000000000000000,
    0x1663f6fac913167c,
    0x2b803473f7ad0f3f,
    0x3f782d7204d01447,
    0x5269e12f346e2bf9,
    0x646eea247c5c22d2,
    0x759d4f80cba83bf8,
    0x86082806b1d532c4,
    0x95c01a39fbd6879f,
    0xa4d3c25e68dc57f2,
    0xb35004723c465e69,
    0xc1404eadf38396de,
    0xceaecfea80859b33,
    0xdba4a47aa996d25a,
    0xe829fb693044b398,
    0xf446359b13539551,
];

/// Spreads hashes unevenly, in order: twice as dense at the end as at the beginning (the logarithm of
/// 1 + x, in 16 straight pieces). So tables are of all sizes at any time, and the memory that one has
/// grown out of is what another grows into; with an even spread all would grow at once (Martin 1979,
/// *Spiral storage*).
#[inline]
pub fn spread(hash: u64) -> u64 {
    let at = (hash >> 60) as usize;
    let low = LOGARITHMS[at];
    let width = LOGARITHMS.get(at + 1).copied().unwrap_or(0).wrapping_sub(low);
    low + ((u128::from(hash << 4) * u128::from(width)) >> 64) as u64
}

/// Where a record lies, as an engine writes it into an entry: never 0.
pub trait Pointer: Copy + PartialEq + std::fmt::Debug {
    /// Bits that it takes, at most 48.
    const BITS: u32;

    /// Its bits, not all of them 0.
    fn bits(self) -> u64;

    /// The pointer of these bits. Readers may meet any that ever stood in the index.
    fn of(bits: u64) -> Self;
}

/// An entry of the index; 0 is none.
#[derive(Debug, PartialEq, Eq)]
struct Entry<P>(u64, PhantomData<P>);

impl<P> Clone for Entry<P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P> Copy for Entry<P> {}

impl<P: Pointer> Entry<P> {
    const TAG_BITS: u32 = 64 - P::BITS;

    #[inline]
    fn of(word: u64) -> Entry<P> {
        Entry(word, PhantomData)
    }

    #[inline]
    fn new(q: u64, pointer: P) -> Entry<P> {
        Entry::of(q << P::BITS | pointer.bits())
    }

    #[inline]
    fn pointer(self) -> P {
        P::of(self.0 & ((1 << P::BITS) - 1))
    }

    #[inline]
    fn tag(self) -> u64 {
        self.0 >> P::BITS
    }
}

/// A word of the directory: where a table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Word(u64);

const DEPTH_SHIFT: u32 = SEQUENCE_BITS;
const UNITS_SHIFT: u32 = DEPTH_SHIFT + 6;
const UNIT_SHIFT: u32 = UNITS_SHIFT + 8;
/// Few enough to leave room for the others; a reader that was overtaken would have to be away for exactly
/// four million changes of one table not to see it.
const SEQUENCE_BITS: u32 = 64 - UNIT_BITS - 8 - 6;

impl Word {
    /// Left behind in a directory that is no longer used.
    const RELOAD: Word = Word(0);

    fn new(unit: u32, units: u32, depth: u32, sequence: u64) -> Word {
        let sequence = sequence & ((1 << SEQUENCE_BITS) - 1);
        let place = u64::from(unit) << UNIT_SHIFT | u64::from(units) << UNITS_SHIFT;
        Word(place | u64::from(depth) << DEPTH_SHIFT | sequence)
    }

    #[inline]
    fn unit(self) -> u32 {
        (self.0 >> UNIT_SHIFT) as u32
    }

    #[inline]
    fn units(self) -> u32 {
        (self.0 >> UNITS_SHIFT & 0xff) as u32
    }

    #[inline]
    fn depth(self) -> u32 {
        (self.0 >> DEPTH_SHIFT & 0x3f) as u32
    }

    #[inline]
    fn sequence(self) -> u64 {
        self.0 & ((1 << SEQUENCE_BITS) - 1)
    }

    #[inline]
    fn is_changing(self) -> bool {
        self.0 & 1 == 1
    }

    /// Same table, next sequence number.
    fn next(self) -> Word {
        Word::new(self.unit(), self.units(), self.depth(), self.sequence() + 1)
    }
}

/// Where the tables are, by the top bits of the hash. A doubled directory is a new level; what was there
/// before stays, full of [`Word::RELOAD`], so nobody has to ask who still reads it.
#[derive(Debug)]
struct Directory {
    depth: AtomicU32,
    levels: [OnceLock<Box<[AtomicU64]>>; DEPTH_MAX as usize + 1],
}

/// A deeper directory would only be made for keys of equal hashes: 2^32 words.
const DEPTH_MAX: u32 = 32;

impl Directory {
    fn new(depth: u32) -> Directory {
        Directory { depth: AtomicU32::new(depth), levels: [const { OnceLock::new() }; 33] }
    }

    /// The words of a depth.
    #[inline]
    fn level(&self, depth: u32) -> &[AtomicU64] {
        self.levels.get(depth as usize).and_then(OnceLock::get).map_or(&[], |words| words)
    }

    /// The words of a depth, made when they are not there yet.
    fn make_level(&self, depth: u32) -> &[AtomicU64] {
        let words = || (0..1_u64 << depth).map(|_| AtomicU64::new(0)).collect();
        self.levels.get(depth as usize).map_or(&[], |level| level.get_or_init(words))
    }

    #[inline]
    fn word_of(&self, hash: u64) -> &AtomicU64 {
        static NONE: AtomicU64 = AtomicU64::new(Word::RELOAD.0);
        let depth = self.depth.load(Ordering::Acquire);
        // At least 10 bits: the shift is in range.
        self.level(depth).get((hash >> (64 - depth)) as usize).unwrap_or(&NONE)
    }
}

/// What a reader finds.
#[derive(Debug, PartialEq, Eq)]
pub enum Probe<T> {
    /// The check gave this.
    Found(T),
    /// No entry passed the check.
    Absent,
    /// The table of segments is out of date: load it and look again.
    Reload,
}

/// What a check says of an entry.
#[derive(Debug)]
pub enum Check<T> {
    /// It is the one.
    Is(T),
    /// It belongs to another key.
    IsNot,
    /// It names a segment that the reader's table does not have.
    Reload,
}

/// The part of the index that readers share.
#[derive(Debug)]
pub struct Index<P> {
    bits: u32,
    directory: Directory,
    pool: Pool,
    /// Units of its tables.
    units: AtomicU32,
    deferred: Deferred,
    pointers: PhantomData<fn(P) -> P>,
}

impl<P: Pointer> Index<P> {
    /// Bits of the hash that order the index.
    pub fn bits(&self) -> u32 {
        self.bits
    }

    /// Bytes of memory that it holds, its part of what is free in its pool included: what the indexes of a
    /// pool hold together was handed out once, and is resident.
    pub fn bytes(&self) -> u64 {
        self.pool.bytes_of(self.units.load(Ordering::Relaxed))
    }

    #[inline]
    fn q(&self, hash: u64) -> u64 {
        hash >> (64 - self.bits)
    }

    /// The part of a tag that is ordered within a table of this depth.
    #[inline]
    fn rest(&self, tag: u64, depth: u32) -> u64 {
        tag & ((1 << (self.bits - depth)) - 1)
    }

    /// The line where entries with this `q` (or the tag, which ends alike) stand, unless it is full.
    #[inline]
    fn home_line(&self, q: u64, depth: u32, lines: usize) -> usize {
        ((self.rest(q, depth) * lines as u64) >> (self.bits - depth)) as usize
    }

    #[inline]
    fn lines(&self, word: Word) -> &[Line] {
        self.pool.slots(word.unit(), word.units()).as_chunks().0
    }

    /// The entries of a table, line by line.
    #[inline]
    fn entries(&self, word: Word) -> impl Iterator<Item = Entry<P>> {
        let slots = self.pool.slots(word.unit(), word.units()).iter();
        slots.map(|slot| Entry::of(slot.load(Ordering::Acquire))).filter(|entry| entry.0 != 0)
    }

    /// Looks through a table for an entry of a hash that passes the check.
    #[inline]
    fn search<T>(&self, word: Word, hash: u64, mut check: impl FnMut(P) -> Check<T>) -> Search<T> {
        let (lines, q) = (self.lines(word), self.q(hash));
        let home = self.home_line(q, word.depth(), lines.len());
        let (before, after) = lines.split_at_checked(home).unwrap_or_default();
        let mut at = home;
        for line in after.iter().chain(before) {
            if at == lines.len() {
                at = 0;
            }
            match look_through(line, q, &mut check) {
                Some((slot, Check::Is(found))) => {
                    return Search::Found(at * LINE_LEN + slot, found);
                }
                Some((_, Check::Reload)) => return Search::Reload,
                Some((_, Check::IsNot)) | None => {}
            }
            let empty = empty(line);
            if empty != 0 {
                return Search::Absent(Some(at * LINE_LEN + empty.trailing_zeros() as usize));
            }
            at += 1;
        }
        Search::Absent(None)
    }

    /// The line where the entry of a hash should be.
    #[inline]
    pub fn home(&self, hash: u64) -> Home<'_, P> {
        let word = Word(self.directory.word_of(hash).load(Ordering::Acquire));
        let (lines, q) = (self.lines(word), self.q(hash));
        let line = lines.get(self.home_line(q, word.depth(), lines.len()));
        Home { line: line.unwrap_or(&NOWHERE), q, pointers: PhantomData }
    }

    /// Brings the line where the entry of a hash should be near.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        self.home(hash).prefetch();
    }

    /// Looks for the entry of a hash that passes the check.
    #[inline]
    pub fn probe<T>(&self, hash: u64, mut check: impl FnMut(P) -> Check<T>) -> Probe<T> {
        loop {
            match self.deferred.search(self.q(hash), &mut check) {
                Some(Check::Is(found)) => return Probe::Found(found),
                Some(Check::Reload) => return Probe::Reload,
                Some(Check::IsNot) | None => {}
            }
            let place = self.directory.word_of(hash);
            let word = Word(place.load(Ordering::Acquire));
            if word == Word::RELOAD || word.is_changing() {
                std::hint::spin_loop();
                continue;
            }
            match self.search(word, hash, &mut check) {
                Search::Found(_, found) => return Probe::Found(found),
                Search::Reload => return Probe::Reload,
                Search::Absent(_) => {}
            }
            fence(Ordering::Acquire);
            if place.load(Ordering::Relaxed) == word.0 {
                return Probe::Absent;
            }
        }
    }
}

impl<P: Pointer> Index<P> {
    /// Visits entries in order of `q` from `from` on: at least `count` of them, and all that share the
    /// last one's `q`. Gives the `q` to go on from; `None` at the end. What is there all the time is
    /// visited once.
    pub fn walk(&self, from: u64, count: usize, visit: &mut dyn FnMut(P)) -> Option<u64> {
        let bits = self.bits;
        let mut q = from;
        let mut visited = 0;
        let mut last = None;
        let mut sorted = Vec::new();
        while q < 1 << bits {
            let depth = self.table_at(q, &mut sorted);
            let base = q >> (bits - depth) << (bits - depth);
            for &mut (ref mut its, _) in &mut sorted {
                *its = base | self.rest(*its, depth);
            }
            sorted.retain(|&(its, _)| its >= q);
            sorted.sort_unstable_by_key(|&(its, _)| its);
            for &(its, place) in &sorted {
                if visited >= count && last != Some(its) {
                    return Some(its);
                }
                visit(place);
                last = Some(its);
                visited += 1;
            }
            q = base + (1 << (bits - depth));
        }
        None
    }

    /// Copies tags and places of the table that has a `q`, as they are at one moment but for what is
    /// added meanwhile; gives its depth.
    fn table_at(&self, q: u64, entries: &mut Vec<(u64, P)>) -> u32 {
        loop {
            let at = self.directory.word_of(q << (64 - self.bits));
            let word = Word(at.load(Ordering::Acquire));
            if word == Word::RELOAD || word.is_changing() {
                std::hint::spin_loop();
                continue;
            }
            entries.clear();
            entries.extend(self.entries(word).map(|entry| (entry.tag(), entry.pointer())));
            fence(Ordering::Acquire);
            if at.load(Ordering::Relaxed) == word.0 {
                return word.depth();
            }
        }
    }
}

/// Entries that are looked at together.
const LINE_LEN: usize = 8;
type Line = [AtomicU64; LINE_LEN];

/// A line with no entry, in place of one whose table is not known any more.
static NOWHERE: Line = [const { AtomicU64::new(0) }; LINE_LEN];

/// The line where the entry of a hash should be. Its table may be left, and its memory be another table's
/// by now: it holds entries all the same. What is found here is checked by the key; it was true at some
/// moment since the line was asked for, or it is another key's.
#[derive(Debug)]
pub struct Home<'i, P> {
    line: &'i Line,
    q: u64,
    pointers: PhantomData<fn(P) -> P>,
}

impl<P> Clone for Home<'_, P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P> Copy for Home<'_, P> {}

impl<P: Pointer> Home<'_, P> {
    /// A line with no entry.
    pub const NOWHERE: Home<'static, P> = Home { line: &NOWHERE, q: 0, pointers: PhantomData };

    /// Brings it near.
    #[inline]
    pub fn prefetch(self) {
        prefetch(self.line);
    }

    /// The first entry that may be the key's, unchecked: to bring its record near.
    #[inline]
    pub fn guess(self) -> Option<P> {
        let slot = self.line.get(same::<P>(self.line, self.q).trailing_zeros() as usize)?;
        Some(Entry::of(slot.load(Ordering::Acquire)).pointer())
    }

    /// Replaces an entry, if it is here and what it is thought to be. For readers, of what it does not
    /// matter if it is lost.
    #[inline]
    pub fn replace(self, old: P, new: P) -> bool {
        let (old, new) = (Entry::new(self.q, old).0, Entry::new(self.q, new).0);
        self.line.iter().any(|slot| {
            slot.load(Ordering::Relaxed) == old
                && slot.compare_exchange(old, new, Ordering::Release, Ordering::Relaxed).is_ok()
        })
    }
}

/// What the check says of an entry of a line with the tag of a `q`, and its slot, unless it is none of
/// them.
#[inline]
fn look_through<P: Pointer, T>(
    line: &Line,
    q: u64,
    mut check: impl FnMut(P) -> Check<T>,
) -> Option<(usize, Check<T>)> {
    let mut same = same::<P>(line, q);
    while same != 0 {
        let slot = same.trailing_zeros() as usize;
        // It may have been replaced or removed since: the check tells.
        let entry = Entry::of(line.get(slot)?.load(Ordering::Acquire));
        let checked = if entry.0 == 0 { Check::IsNot } else { check(entry.pointer()) };
        match checked {
            Check::IsNot => same &= same - 1,
            checked => return Some((slot, checked)),
        }
    }
    None
}

/// What a search met.
enum Search<T> {
    /// At this slot of the table the check gave this.
    Found(usize, T),
    /// Nothing; a slot for it, unless the table is full.
    Absent(Option<usize>),
    Reload,
}

/// The slots of a line, a bit each, whose entries have the tag of a `q`; where that is 0, empty ones too.
#[inline]
fn same<P: Pointer>(line: &Line, q: u64) -> u32 {
    let (tag, pointer_max) = (q << P::BITS, (1 << P::BITS) - 1);
    line.iter().rev().fold(0, |slots, slot| {
        slots + slots + u32::from(slot.load(Ordering::Acquire) ^ tag <= pointer_max)
    })
}

/// The slots of a line that have no entry, a bit each.
#[inline]
fn empty(line: &Line) -> u32 {
    line.iter()
        .rev()
        .fold(0, |slots, slot| slots + slots + u32::from(slot.load(Ordering::Acquire) == 0))
}
