//! Memory of the tables: pieces of one to 32 units of 512 bytes, in huge pages.

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use todana_io::Words;

/// Slots in a unit.
pub(super) const UNIT_SLOTS: usize = 64;
/// Units of the largest table.
pub(super) const UNITS_MAX: u32 = 32;
const CHUNK_UNITS: u32 = 1 << 16;
const CHUNKS: usize = 1 << 10;

/// Memory that is reached by unit numbers. Never given back, never anything but entries.
#[derive(Debug)]
pub(super) struct Arena {
    chunks: Box<[OnceLock<Words>]>,
    used: AtomicU32,
    huge: bool,
}

impl Arena {
    pub(super) fn new(huge: bool) -> Arena {
        let chunks = (0..CHUNKS).map(|_| OnceLock::new()).collect();
        Arena { chunks, used: AtomicU32::new(0), huge }
    }

    /// Bytes that were ever handed out.
    pub(super) fn bytes(&self) -> u64 {
        u64::from(self.used.load(Ordering::Relaxed)) * (UNIT_SLOTS * 8) as u64
    }

    #[inline]
    pub(super) fn slots(&self, unit: u32, units: u32) -> &[AtomicU64] {
        let chunk = self.chunks.get((unit / CHUNK_UNITS) as usize).and_then(OnceLock::get);
        let start = (unit % CHUNK_UNITS) as usize * UNIT_SLOTS;
        let end = start + units as usize * UNIT_SLOTS;
        chunk.and_then(|words| words.get(start..end)).unwrap_or_default()
    }
}

/// Which pieces are free.
#[derive(Debug)]
pub(super) struct Allocator {
    pub(super) next: u32,
    /// Starts of free pieces, by their number of units.
    free: Vec<Vec<u32>>,
    /// Free pieces that are longer than any table: start and units.
    long: Vec<(u32, u32)>,
    pub(super) free_units: u32,
    /// Free units when pieces were last joined.
    joined_at: u32,
    /// Units that are to be left of a piece that is cut.
    least_left: u32,
}

impl Allocator {
    /// Of a piece that is cut at least `least_left` units shall be left, to be of use to somebody.
    pub(super) fn new(least_left: u32) -> Allocator {
        Allocator {
            next: 0,
            free: vec![Vec::new(); UNITS_MAX as usize + 1],
            long: Vec::new(),
            free_units: 0,
            joined_at: 0,
            least_left,
        }
    }

    /// A piece of `units` units.
    ///
    /// # Errors
    /// When the system has no more memory, or the index is as large as it can be.
    pub(super) fn take(&mut self, arena: &Arena, units: u32) -> io::Result<u32> {
        if let Some(unit) = self.take_free(units) {
            return Ok(unit);
        }
        // Neighbours that have become free make larger pieces, when it is worth looking for them.
        if self.free_units > self.next / 64 && self.free_units > self.joined_at {
            self.join();
            if let Some(unit) = self.take_free(units) {
                return Ok(unit);
            }
        }
        let left = CHUNK_UNITS - self.next % CHUNK_UNITS;
        if left < units {
            self.put(self.next, left);
            self.next += left;
        }
        let at = (self.next / CHUNK_UNITS) as usize;
        let chunk = arena.chunks.get(at).ok_or(io::ErrorKind::OutOfMemory)?;
        if chunk.get().is_none() {
            let words = Words::zeroed(CHUNK_UNITS as usize * UNIT_SLOTS, arena.huge)?;
            // This is the only writer: nobody else sets it.
            let _ = chunk.set(words);
        }
        let unit = self.next;
        self.next += units;
        arena.used.store(self.next, Ordering::Relaxed);
        Ok(unit)
    }

    fn take_free(&mut self, units: u32) -> Option<u32> {
        let exact = self.free.get_mut(units as usize).and_then(Vec::pop);
        if let Some(unit) = exact {
            self.free_units -= units;
            return Some(unit);
        }
        if let Some((start, len)) = self.long.pop() {
            self.free_units -= len;
            self.put(start + units, len - units);
            return Some(start);
        }
        // What is left shall be of use to somebody.
        let (size, unit) = self
            .free
            .iter_mut()
            .enumerate()
            .skip((units + self.least_left) as usize)
            .find_map(|(size, starts)| Some((u32::try_from(size).ok()?, starts.pop()?)))?;
        self.free_units -= size;
        self.put(unit + units, size - units);
        Some(unit)
    }

    /// Gives a piece back.
    pub(super) fn put(&mut self, unit: u32, units: u32) {
        if units == 0 {
            return;
        }
        match self.free.get_mut(units as usize) {
            Some(starts) => starts.push(unit),
            None => self.long.push((unit, units)),
        }
        self.free_units += units;
    }

    fn join(&mut self) {
        let mut pieces: Vec<(u32, u32)> = Vec::new();
        for (size, starts) in (0..).zip(&mut self.free) {
            pieces.extend(starts.drain(..).map(|start| (start, size)));
        }
        pieces.append(&mut self.long);
        pieces.sort_unstable();
        self.free_units = 0;
        let mut joined: Option<(u32, u32)> = None;
        for (start, units) in pieces {
            joined = match joined {
                Some((first, len))
                    if first + len == start && first / CHUNK_UNITS == start / CHUNK_UNITS =>
                {
                    Some((first, len + units))
                }
                other => {
                    other.into_iter().for_each(|(first, len)| self.put(first, len));
                    Some((start, units))
                }
            };
        }
        joined.into_iter().for_each(|(first, len)| self.put(first, len));
        self.joined_at = self.free_units + self.next / 256;
    }
}
