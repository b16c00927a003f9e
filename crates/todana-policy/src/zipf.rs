//! Ranks by Zipf's law.

use todana_io::Generator;

/// Draws ranks from 0 with a probability proportional to `1 / (rank + 1)^theta`, by bisection of a table of
/// their sums.
#[derive(Debug)]
pub(crate) struct Zipf {
    sums: Vec<f64>,
}

impl Zipf {
    /// Of so many ranks.
    pub(crate) fn new(ranks: u64, theta: f64) -> Zipf {
        let mut sum = 0.0;
        let sums = (1..=ranks.max(1)).map(|rank| {
            sum += (rank as f64).powf(-theta);
            sum
        });
        Zipf { sums: sums.collect() }
    }

    /// The next rank.
    pub(crate) fn draw(&self, random: &mut Generator) -> u64 {
        let whole = self.sums.last().copied().unwrap_or(0.0);
        let wanted = unit(random) * whole;
        let rank = self.sums.partition_point(|&sum| sum <= wanted);
        rank.min(self.sums.len() - 1) as u64
    }
}

/// A number in `[0, 1)` of 53 random bits.
pub(crate) fn unit(random: &mut Generator) -> f64 {
    (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frequencies_follow_the_law() {
        let (zipf, mut random) = (Zipf::new(1_000, 1.0), Generator::new(1));
        let mut seen = vec![0_u32; 1_000];
        for _ in 0..100_000 {
            seen[usize::try_from(zipf.draw(&mut random)).unwrap()] += 1;
        }
        // The sum of 1/k up to 1000 is 7.485.
        for rank in [0, 1, 9] {
            let expected = 100_000.0 / 7.485 / (rank + 1) as f64;
            let off = (f64::from(seen[rank]) - expected).abs();
            assert!(off < 5.0 * expected.sqrt(), "rank {rank}: {}, not {expected}", seen[rank]);
        }
    }
}
