//! Memory of the tables: pieces of one to 128 units of 128 bytes, in huge pages, of a pool that several
//! indexes may share.
//!
//! Readers reach a unit through its number. Addresses for the first units are taken in one piece when the
//! pool is made, so nearly always a unit is found by one addition and one comparison; when they are all
//! used, twice as many come beside them, and so on. Memory is touched from the first unit on: what has not
//! been handed out yet is not resident, but for the rest of one huge page.

use super::free::FreeUnits;
use std::io;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use todana_io::Words;

/// Slots in a unit.
pub(super) const UNIT_SLOTS: usize = 16;
/// Units of the largest table.
pub(super) const UNITS_MAX: u32 = 128;
/// Bytes of a unit.
const UNIT_LEN: u64 = (UNIT_SLOTS * size_of::<u64>()) as u64;
/// Bits of a unit's number: 32 GiB.
pub(super) const UNIT_BITS: u32 = 28;
/// The binary logarithm of the units that addresses are taken for at least: 2 MiB.
const FIRST_BITS_MIN: u32 = 14;
/// Blocks that may follow the first one: each is as long as all before it.
const LATER_COUNT: usize = (UNIT_BITS - FIRST_BITS_MIN) as usize;

/// Memory for indexes, never given back to the system, and never anything but entries. A clone is the same
/// pool.
///
/// What one index leaves another may use: a reader that was overtaken there meets entries of other keys.
/// Each index counts what it has as its own, and an equal part of what is free in between.
#[derive(Debug, Clone)]
pub struct Pool {
    // Here and not behind the `Arc`: readers need it for every look.
    first: Words,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// The binary logarithm of the first block's units.
    first_bits: u32,
    huge: bool,
    later: [OnceLock<Words>; LATER_COUNT],
    free: Mutex<FreeUnits>,
    /// Units that are free between others, for whoever does not hold the lock.
    free_count: AtomicU32,
    index_count: AtomicU32,
}

impl Pool {
    /// A pool that takes addresses for about `len_bytes` at once, or for less where the system refuses them,
    /// and for more when it has to; 32 GiB at most. With `huge`, its memory is in huge pages where the
    /// system has them.
    ///
    /// # Errors
    /// When the system has no addresses left.
    pub fn new(len_bytes: u64, huge: bool) -> io::Result<Pool> {
        let mut first_bits = len_bytes.div_ceil(UNIT_LEN).max(1).next_power_of_two().ilog2();
        first_bits = first_bits.clamp(FIRST_BITS_MIN, UNIT_BITS);
        let first = loop {
            match Words::zeroed(UNIT_SLOTS << first_bits, huge) {
                Err(_) if first_bits > FIRST_BITS_MIN => first_bits -= 1,
                first => break first?,
            }
        };
        let shared = Shared {
            first_bits,
            huge,
            later: [const { OnceLock::new() }; LATER_COUNT],
            free: Mutex::new(FreeUnits::default()),
            free_count: AtomicU32::new(0),
            index_count: AtomicU32::new(0),
        };
        Ok(Pool { first, shared: Arc::new(shared) })
    }

    /// Counts an index that uses it.
    pub(super) fn join(&self) {
        self.shared.index_count.fetch_add(1, Ordering::Relaxed);
    }

    /// Bytes of an index that has so many units.
    pub(super) fn bytes_of(&self, units: u32) -> u64 {
        let free = self.shared.free_count.load(Ordering::Relaxed);
        let indexes = self.shared.index_count.load(Ordering::Relaxed).max(1);
        u64::from(units) * UNIT_LEN + u64::from(free) * UNIT_LEN / u64::from(indexes)
    }

    /// The slots of a piece.
    #[inline]
    pub(super) fn slots(&self, unit: u32, units: u32) -> &[AtomicU64] {
        let start = unit as usize * UNIT_SLOTS;
        let end = start + units as usize * UNIT_SLOTS;
        match self.first.get(start..end) {
            Some(slots) => slots,
            None => self.shared.later_slots(unit, units),
        }
    }

    /// A piece of `units` units, at most [`UNITS_MAX`].
    ///
    /// # Errors
    /// When the system has no more memory, or the pool is as large as it can be.
    pub(super) fn take(&self, units: u32) -> io::Result<u32> {
        let mut free = self.lock();
        let unit = match free.take(units) {
            Some(unit) => unit,
            None => self.shared.append(&mut free, units)?,
        };
        self.shared.free_count.store(free.count(), Ordering::Relaxed);
        Ok(unit)
    }

    /// Gives a piece back.
    pub(super) fn put(&self, unit: u32, units: u32) {
        let mut free = self.lock();
        free.put(unit, units);
        self.shared.free_count.store(free.count(), Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, FreeUnits> {
        self.shared.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// The number of a unit's block; the first is 0.
    #[inline]
    fn block_of(&self, unit: u32) -> u32 {
        (unit >> self.first_bits).checked_ilog2().map_or(0, |above| above + 1)
    }

    /// The unit that a later block begins with.
    #[inline]
    fn block_start(&self, block: u32) -> u32 {
        1 << (self.first_bits + block - 1)
    }

    /// [`Pool::slots`] of a piece that does not lie in the first block.
    #[inline(never)]
    fn later_slots(&self, unit: u32, units: u32) -> &[AtomicU64] {
        let block = self.block_of(unit).max(1);
        let words = self.later.get(block as usize - 1).and_then(OnceLock::get);
        let start = unit.wrapping_sub(self.block_start(block)) as usize * UNIT_SLOTS;
        let end = start + units as usize * UNIT_SLOTS;
        words.and_then(|words| words.get(start..end)).unwrap_or_default()
    }

    /// A piece at the end of what was used.
    fn append(&self, free: &mut FreeUnits, units: u32) -> io::Result<u32> {
        let start = free.end_piece();
        let block = self.block_of(start + units - 1);
        // The first unit of a later block is nobody's: no piece reaches from one block into the next.
        if block == 0 || start > self.block_start(block) {
            free.append(start, units);
            return Ok(start);
        }
        // The system may refuse it: then nothing has changed.
        self.make_block(block)?;
        let start = self.block_start(block) + 1;
        free.skip_to(start);
        free.append(start, units);
        Ok(start)
    }

    fn make_block(&self, block: u32) -> io::Result<()> {
        let at = block as usize - 1;
        let is_last = self.first_bits + block > UNIT_BITS;
        let place = self.later.get(at).filter(|_| !is_last).ok_or(io::ErrorKind::OutOfMemory)?;
        if place.get().is_none() {
            let words = Words::zeroed(UNIT_SLOTS << (self.first_bits + block - 1), self.huge)?;
            // Under the pool's lock nobody else sets it.
            let _ = place.set(words);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_all_blocks_are_apart() {
        check_pieces(|number| 1 + number * 37 % UNITS_MAX);
        // They fill the first block exactly.
        check_pieces(|_| UNITS_MAX);
    }

    fn check_pieces(units: impl Fn(u32) -> u32) {
        let pool = Pool::new(1, false).unwrap();
        let mut pieces = Vec::new();
        for number in 0..2_000 {
            let (units, mark) = (units(number), u64::from(number) + 1);
            let unit = pool.take(units).unwrap();
            let slots = pool.slots(unit, units);
            assert_eq!(slots.len(), units as usize * UNIT_SLOTS, "unit {unit}");
            assert!(slots.iter().all(|slot| slot.swap(mark, Ordering::Relaxed) == 0));
            pieces.push((unit, units, mark));
        }
        assert!(pool.shared.later[2].get().is_some(), "the first block has to be outgrown");
        for (unit, units, mark) in pieces {
            let slots = pool.slots(unit, units);
            assert!(slots.iter().all(|slot| slot.load(Ordering::Relaxed) == mark), "unit {unit}");
            pool.put(unit, units);
        }
    }

    #[test]
    fn indexes_share_what_is_free() {
        let pool = Pool::new(1, false).unwrap();
        (0..2).for_each(|_| pool.join());
        let unit = pool.take(100).unwrap();
        pool.take(20).unwrap();
        pool.put(unit, 100);
        assert_eq!(pool.bytes_of(20) + pool.bytes_of(0), 120 * UNIT_LEN);
    }
}
