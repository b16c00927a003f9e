//! Bytes that arrive in pieces.

use todana_io::Generator;

/// Cuts what is sent into the pieces in which it arrives, as a seed says: mostly a few bytes, sometimes
/// much at once, as a network does.
#[derive(Debug, Clone)]
pub struct Delivery {
    random: Generator,
}

impl Delivery {
    /// The delivery of this seed.
    pub fn new(seed: u64) -> Delivery {
        Delivery { random: Generator::new(seed) }
    }

    /// The pieces of `bytes`, in order; none is empty.
    pub fn cut<'d>(&'d mut self, bytes: &'d [u8]) -> impl Iterator<Item = &'d [u8]> {
        let mut rest = bytes;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let most = match self.random.below(8) {
                0..=2 => 1,
                3..=5 => 16,
                6 => 300,
                _ => 20_000,
            };
            let len = 1 + usize::try_from(self.random.below(most)).unwrap_or(0);
            let (piece, after) = rest.split_at(len.min(rest.len()));
            rest = after;
            Some(piece)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_and_equal_seeds_cut_alike() {
        let bytes: Vec<u8> = (0..100_000u32).map(|n| n.to_le_bytes()[0]).collect();
        let lens =
            |seed| -> Vec<usize> { Delivery::new(seed).cut(&bytes).map(<[u8]>::len).collect() };
        assert_eq!(Delivery::new(1).cut(&bytes).collect::<Vec<_>>().concat(), bytes);
        assert_eq!(lens(1), lens(1));
        assert_ne!(lens(1), lens(2));
    }
}
