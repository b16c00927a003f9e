//! Which parts of a file are free.

use std::collections::{BTreeMap, BTreeSet};

/// Free runs of a file, in units; what lies behind its end is free too.
#[derive(Debug, Default)]
pub(crate) struct Space {
    /// Where each begins, and its length.
    runs: BTreeMap<u64, u64>,
    /// The same by length.
    by_len: BTreeSet<(u64, u64)>,
    /// Units of the file.
    end: u64,
}

impl Space {
    /// What is left of a file besides parts that are in use, in any order; `None` when two overlap.
    pub(crate) fn around(mut used: Vec<(u64, u64)>) -> Option<Space> {
        used.sort_unstable();
        let mut space = Space::default();
        for (at, len) in used {
            let gap = at.checked_sub(space.end)?;
            space.insert(space.end, gap);
            space.end = at.checked_add(len)?;
        }
        Some(space)
    }

    /// Units of the file.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// Units that are free before the end.
    #[cfg(test)]
    pub(crate) fn free_len(&self) -> u64 {
        self.runs.values().sum()
    }

    /// Takes `len` units: from the shortest run that has them, else at the end. Gives where they begin.
    pub(crate) fn take(&mut self, len: u64) -> u64 {
        let found = self.by_len.range((len, 0)..).next().copied();
        let Some((run, at)) = found else {
            let at = self.end;
            self.end += len;
            return at;
        };
        self.remove(at, run);
        self.insert(at + len, run - len);
        at
    }

    /// Makes units free that are in use.
    pub(crate) fn give(&mut self, at: u64, len: u64) {
        let (mut from, mut to) = (at, at + len);
        if let Some((&before, &run)) = self.runs.range(..at).next_back()
            && before + run == from
        {
            self.remove(before, run);
            from = before;
        }
        if let Some(&run) = self.runs.get(&to) {
            self.remove(to, run);
            to += run;
        }
        match to == self.end {
            true => self.end = from,
            false => self.insert(from, to - from),
        }
    }

    fn insert(&mut self, at: u64, len: u64) {
        if len > 0 {
            self.runs.insert(at, len);
            self.by_len.insert((len, at));
        }
    }

    fn remove(&mut self, at: u64, len: u64) {
        self.runs.remove(&at);
        self.by_len.remove(&(len, at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use todana_io::Generator;

    #[test]
    fn what_is_taken_is_nobody_elses() {
        let mut random = Generator::new(1);
        let mut space = Space::default();
        let mut taken: Vec<(u64, u64)> = Vec::new();
        for _ in 0..20_000 {
            if taken.len() > 200 || (!taken.is_empty() && random.one_in(3)) {
                let at = usize::try_from(random.below(taken.len() as u64)).unwrap();
                let (at, len) = taken.swap_remove(at);
                space.give(at, len);
            } else {
                let len = 1 + random.below(70);
                taken.push((space.take(len), len));
            }
            let used: u64 = taken.iter().map(|(_, len)| len).sum();
            assert_eq!(used + space.free_len(), space.end());
        }
        let again = Space::around(taken.clone()).expect("nothing overlaps");
        assert_eq!((&again.runs, again.end), (&space.runs, space.end));
        taken.drain(..).for_each(|(at, len)| space.give(at, len));
        assert_eq!((space.end(), space.free_len()), (0, 0));
    }

    #[test]
    fn parts_that_overlap_are_told() {
        assert!(Space::around(vec![(5, 2), (0, 5)]).is_some());
        assert!(Space::around(vec![(5, 2), (0, 6)]).is_none());
        assert!(Space::around(vec![(u64::MAX, 2)]).is_none());
    }
}
