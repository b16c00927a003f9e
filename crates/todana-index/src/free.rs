//! Which units of a pool are free.
//!
//! A bit a unit says so, and nothing else does: neighbours that are free are one piece without being
//! joined. A piece is taken from the shortest run of free units that it fits into, so long runs stay
//! whole. Tables leave their pieces about in the order in which they took them (each lives until it has
//! grown by the same part), so runs become long soon: at most four percent are free, where lists of pieces by
//! length, joined now and then, left a quarter.
//!
//! Runs are found through *hints*, lists of where runs of each length begin. A hint may be out of date,
//! which is seen when it is used; when most of them may be, all are made anew from the bits.

use super::arena::UNITS_MAX;

/// Runs of this length and longer are of one kind.
const LONG: u32 = UNITS_MAX + 1;
/// Hints above twice the number of runs that are kept.
const HINTS_MORE: usize = 256;
const WORD_BITS: u32 = 64;

/// See the module.
#[derive(Debug)]
pub(super) struct FreeUnits {
    /// Units from here on were never handed out.
    end: u32,
    /// A bit a unit, set while it is free; none from `end` on.
    bits: Vec<u64>,
    count: u32,
    /// By length, up to [`LONG`]: where such runs begin.
    hints: Vec<Vec<u32>>,
    hint_count: usize,
    hint_count_max: usize,
}

impl Default for FreeUnits {
    fn default() -> FreeUnits {
        FreeUnits {
            end: 0,
            bits: Vec::new(),
            count: 0,
            hints: vec![Vec::new(); LONG as usize + 1],
            hint_count: 0,
            hint_count_max: HINTS_MORE,
        }
    }
}

impl FreeUnits {
    /// Free units.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// A free piece of `units` units.
    pub(super) fn take(&mut self, units: u32) -> Option<u32> {
        let unit = self.best_run(units)?;
        self.mark(unit, units, false);
        self.hint(unit + units);
        Some(unit)
    }

    /// Gives a piece back.
    pub(super) fn put(&mut self, unit: u32, units: u32) {
        self.mark(unit, units, true);
        // What lies after a long run belongs to it, and that is known.
        if let Some(start) = self.start_of(unit) {
            self.hint(start);
        }
    }

    /// Where a piece may begin that ends beyond all units so far: with the free ones at the end, unless
    /// they are too many to be looked at.
    pub(super) fn end_piece(&self) -> u32 {
        self.start_of(self.end).unwrap_or(self.end)
    }

    /// Hands out units from [`end_piece`](FreeUnits::end_piece) on.
    pub(super) fn append(&mut self, unit: u32, units: u32) {
        let (free, end) = (self.end - unit, unit + units);
        self.grow_to(end);
        self.mark(unit, free.min(units), false);
    }

    /// Leaves units free up to the one before `unit`, which is nobody's.
    pub(super) fn skip_to(&mut self, unit: u32) {
        let (start, units) = (self.end, unit - 1 - self.end);
        self.grow_to(unit);
        if units > 0 {
            self.put(start, units);
        }
    }

    fn grow_to(&mut self, end: u32) {
        self.end = self.end.max(end);
        self.bits.resize(self.end.div_ceil(WORD_BITS) as usize, 0);
    }

    /// The word of a unit's bit.
    fn word(&self, unit: u32) -> u64 {
        self.bits.get((unit / WORD_BITS) as usize).copied().unwrap_or(0)
    }

    fn mark(&mut self, unit: u32, units: u32, free: bool) {
        let (mut at, end) = (unit, unit + units);
        while at < end {
            let bit = at % WORD_BITS;
            let len = (WORD_BITS - bit).min(end - at);
            let mask = (u64::MAX >> (WORD_BITS - len)) << bit;
            if let Some(word) = self.bits.get_mut((at / WORD_BITS) as usize) {
                debug_assert_eq!(
                    *word & mask,
                    if free { 0 } else { mask },
                    "units {unit}, {units}"
                );
                *word ^= mask;
            }
            at += len;
        }
        self.count = if free { self.count + units } else { self.count - units };
    }

    /// Free units from one on, [`LONG`] at most.
    fn run_len(&self, unit: u32) -> u32 {
        let mut len = 0;
        while len < LONG {
            let bit = (unit + len) % WORD_BITS;
            let ones = (self.word(unit + len) >> bit).trailing_ones();
            len += ones;
            if ones < WORD_BITS - bit {
                break;
            }
        }
        len.min(LONG)
    }

    /// Where the free units begin that end before `unit`; `None` when they are [`LONG`] or more.
    fn start_of(&self, unit: u32) -> Option<u32> {
        let mut start = unit;
        while start > 0 {
            let bit = (start - 1) % WORD_BITS;
            let ones = (self.word(start - 1) << (WORD_BITS - 1 - bit)).leading_ones();
            start -= ones;
            if ones <= bit {
                break;
            }
        }
        (unit - start < LONG).then_some(start)
    }

    /// The shortest run that is known to have so many units.
    fn best_run(&mut self, units: u32) -> Option<u32> {
        for len in units..=LONG {
            while let Some(unit) = self.hints.get_mut(len as usize).and_then(Vec::pop) {
                self.hint_count -= 1;
                if self.begins_run(unit, len) {
                    return Some(unit);
                }
            }
        }
        None
    }

    /// Whether a run of this length, and no longer, begins with a unit.
    fn begins_run(&self, unit: u32, len: u32) -> bool {
        self.run_len(unit) == len && self.start_of(unit) == Some(unit)
    }

    /// Notes the run that begins with a unit, if there is one.
    fn hint(&mut self, unit: u32) {
        let len = self.run_len(unit);
        if let Some(hints) = self.hints.get_mut(len as usize).filter(|_| len > 0) {
            hints.push(unit);
            self.hint_count += 1;
        }
        if self.hint_count > self.hint_count_max {
            self.hint_anew();
        }
    }

    /// Notes all runs, the first ones to be used first.
    fn hint_anew(&mut self) {
        self.hints.iter_mut().for_each(Vec::clear);
        let mut starts = Vec::new();
        let mut before = 0;
        for (number, &word) in (0..).zip(&self.bits) {
            let mut begins = word & !(word << 1 | before >> (WORD_BITS - 1));
            while begins != 0 {
                starts.push(number * WORD_BITS + begins.trailing_zeros());
                begins &= begins - 1;
            }
            before = word;
        }
        for &start in starts.iter().rev() {
            let len = self.run_len(start);
            if let Some(hints) = self.hints.get_mut(len as usize) {
                hints.push(start);
            }
        }
        self.hint_count = starts.len();
        self.hint_count_max = 2 * starts.len() + HINTS_MORE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use todana_io::Generator;

    /// Takes a piece as a pool does.
    fn take(free: &mut FreeUnits, units: u32) -> u32 {
        free.take(units).unwrap_or_else(|| {
            let start = free.end_piece();
            free.append(start, units);
            start
        })
    }

    #[test]
    fn a_random_walk_agrees_with_a_plain_list_of_owners() {
        let mut random = Generator::new(3);
        let mut free = FreeUnits::default();
        let mut owners: Vec<u32> = Vec::new();
        let mut pieces: Vec<(u32, u32)> = Vec::new();
        for step in 1..60_000_u32 {
            if random.below(100) < 50 + u64::from(pieces.len() < 500) {
                let units = 1 + random.below(u64::from(UNITS_MAX)) as u32;
                let unit = take(&mut free, units);
                owners.resize(owners.len().max((unit + units) as usize), 0);
                let its = &mut owners[unit as usize..(unit + units) as usize];
                assert!(its.iter().all(|owner| *owner == 0), "step {step}");
                its.fill(step);
                pieces.push((unit, units));
            } else if !pieces.is_empty() {
                let at = random.below(pieces.len() as u64) as usize;
                let (unit, units) = pieces.swap_remove(at);
                owners[unit as usize..(unit + units) as usize].fill(0);
                free.put(unit, units);
            }
            if step % 1_000 == 0 {
                let count = owners.iter().filter(|owner| **owner == 0).count();
                assert_eq!(free.count() as usize, count, "step {step}");
            }
        }
        for (unit, units) in pieces {
            free.put(unit, units);
        }
        // All is one run now, which is found from its beginning on.
        assert_eq!((free.count(), free.end), (owners.len() as u32, owners.len() as u32));
        let mut next = 0;
        while next + UNITS_MAX <= free.end {
            assert_eq!(free.take(UNITS_MAX), Some(next));
            next += UNITS_MAX;
        }
        assert_eq!(free.end_piece(), next);
    }

    #[test]
    fn a_piece_comes_from_the_shortest_run_that_it_fits_into() {
        let mut free = FreeUnits::default();
        for units in [30, 1, 10, 1, 20, 1] {
            take(&mut free, units);
        }
        free.put(0, 30);
        free.put(31, 10);
        free.put(42, 20);
        assert_eq!(free.take(9), Some(31));
        assert_eq!(free.take(12), Some(42));
        // Its neighbour has become free: they are one run now.
        free.put(30, 1);
        assert_eq!(free.take(31), Some(0));
        assert_eq!((free.take(9), free.take(8), free.take(1)), (None, Some(54), Some(40)));
    }

    #[test]
    fn what_is_skipped_is_free_but_for_the_last_unit() {
        let mut free = FreeUnits::default();
        take(&mut free, 60);
        free.skip_to(101);
        assert_eq!((free.count(), free.end_piece()), (40, 101));
        assert_eq!((free.take(41), free.take(40)), (None, Some(60)));
    }
}
