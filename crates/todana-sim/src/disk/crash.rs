//! What a loss of power spares: the choices of a seed.

use super::image::{Image, inside};
use todana_io::Generator;

/// The medium writes a sector wholly or not at all.
const SECTOR_LEN: usize = 512;

/// How a list of changes fares.
#[derive(Clone, Copy)]
enum Survival {
    Nothing,
    Everything,
    /// The first ones, and perhaps a part of the next.
    Prefix,
    /// Any of them, torn or whole.
    Subset,
}

/// How one change fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// As if it had never been.
    Lost,
    /// A write is lost, the length it gave the file is not.
    LengthOnly,
    /// Some sectors of a write are kept, anything else wholly.
    Torn,
    /// All of it is there.
    Kept,
}

impl Verdict {
    /// Whether a change that cannot be torn happened.
    pub(super) fn whole(self) -> bool {
        matches!(self, Verdict::Kept | Verdict::Torn)
    }
}

/// Draws how changes fare; equal seeds draw alike.
pub(super) struct Dice {
    random: Generator,
    /// One fate for everything on the disk, in some of the seeds.
    common: Option<Survival>,
}

impl Dice {
    pub(super) fn new(seed: u64) -> Dice {
        let mut dice = Dice { random: Generator::new(seed), common: None };
        if dice.random.one_in(4) {
            dice.common = Some(dice.survival());
        }
        dice
    }

    fn survival(&mut self) -> Survival {
        if let Some(common) = self.common {
            return common;
        }
        match self.random.below(6) {
            0 => Survival::Nothing,
            1 => Survival::Everything,
            2 | 3 => Survival::Prefix,
            _ => Survival::Subset,
        }
    }

    /// How each of `count` changes of one file, or of the names, fares.
    pub(super) fn verdicts(&mut self, count: usize) -> Vec<Verdict> {
        if count == 0 {
            return Vec::new();
        }
        match self.survival() {
            Survival::Nothing => vec![Verdict::Lost; count],
            Survival::Everything => vec![Verdict::Kept; count],
            Survival::Prefix => {
                let mut verdicts = vec![Verdict::Lost; count];
                let cut = self.index(count + 1);
                verdicts[..cut].fill(Verdict::Kept);
                if cut < count && self.random.one_in(2) {
                    verdicts[cut] = Verdict::Torn;
                }
                verdicts
            }
            Survival::Subset => {
                // Of eight, so many are lost: long lists need both the lone loss and the lone survivor.
                let lost_of_8 = [1, 4, 7][self.index(3)];
                (0..count).map(|_| self.verdict(lost_of_8)).collect()
            }
        }
    }

    fn verdict(&mut self, lost_of_8: u64) -> Verdict {
        match (self.random.below(8) < lost_of_8, self.random.below(4)) {
            (true, 0) => Verdict::LengthOnly,
            (true, _) => Verdict::Lost,
            (false, 0 | 1) => Verdict::Torn,
            (false, _) => Verdict::Kept,
        }
    }

    fn index(&mut self, bound: usize) -> usize {
        usize::try_from(self.random.below(bound as u64)).unwrap_or(0)
    }

    /// Writes some of the sectors of a write, and sometimes the length that all of them give.
    pub(super) fn tear(&mut self, image: &mut Image, offset: u64, bytes: &[u8]) {
        let sectors = sectors(offset, bytes);
        let kept = self.sectors_kept(sectors.len());
        for ((at, piece), _) in sectors.into_iter().zip(kept).filter(|(_, kept)| *kept) {
            image.write(at, piece);
        }
        if self.random.one_in(2) && !bytes.is_empty() {
            image.grow(offset + bytes.len() as u64);
        }
    }

    /// Which of `count` sectors are kept: those before a cut, those behind it, any, or all but one.
    fn sectors_kept(&mut self, count: usize) -> Vec<bool> {
        let shape = self.random.below(4);
        let cut = self.index(count + 1);
        (0..count)
            .map(|index| match shape {
                0 => index < cut,
                1 => index >= cut,
                2 => self.random.one_in(2),
                _ => index != cut,
            })
            .collect()
    }
}

/// The pieces of a write that lie in different sectors of the file, and where.
fn sectors(offset: u64, bytes: &[u8]) -> Vec<(u64, &[u8])> {
    let to_border = SECTOR_LEN - inside(offset, SECTOR_LEN);
    let (first, rest) = bytes.split_at(to_border.min(bytes.len()));
    let pieces = std::iter::once(first).chain(rest.chunks(SECTOR_LEN));
    let mut at = offset;
    pieces
        .map(|piece| {
            let start = at;
            at += piece.len() as u64;
            (start, piece)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sectors_are_aligned_to_the_file() {
        let bytes = [0; 1_500];
        let cut = |offset, len: usize| -> Vec<(u64, usize)> {
            sectors(offset, &bytes[..len])
                .into_iter()
                .map(|(at, piece)| (at, piece.len()))
                .collect()
        };
        assert_eq!(cut(0, 512), [(0, 512)]);
        assert_eq!(cut(510, 2), [(510, 2)]);
        assert_eq!(cut(510, 3), [(510, 2), (512, 1)]);
        assert_eq!(cut(1_000, 1_500), [(1_000, 24), (1_024, 512), (1_536, 512), (2_048, 452)]);
    }

    #[test]
    fn seeds_draw_every_fate() {
        let drawn: Vec<Vec<Verdict>> = (0..500).map(|seed| Dice::new(seed).verdicts(4)).collect();
        let again: Vec<Vec<Verdict>> = (0..500).map(|seed| Dice::new(seed).verdicts(4)).collect();
        assert_eq!(drawn, again);
        let any = |what: fn(&[Verdict]) -> bool| drawn.iter().any(|list| what(list));
        assert!(any(|list| list.iter().all(|v| *v == Verdict::Lost)));
        assert!(any(|list| list.iter().all(|v| *v == Verdict::Kept)));
        assert!(any(|list| list.contains(&Verdict::Torn)));
        assert!(any(|list| list.contains(&Verdict::LengthOnly)));
        assert!(any(|list| list[0] == Verdict::Lost && list[3] == Verdict::Kept));
        assert!(any(|list| list[0] == Verdict::Kept && list[1..].iter().all(|v| !v.whole())));
    }
}
