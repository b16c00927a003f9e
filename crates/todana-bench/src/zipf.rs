//! Ranks by Zipf's law.

use crate::rng::Rng;

/// Samples ranks `1..=n` with probability proportional to `rank^-theta`.
///
/// Rejection-inversion, W. Hörmann and G. Derflinger, "Rejection-inversion to generate variates
/// from monotone discrete distributions", ACM TOMACS 6(3), 1996: constant time and space for any
/// `n` and any `theta > 0`, about 1.1 tries a sample, no table and no sum over all keys to set up.
#[derive(Debug, Clone)]
pub(crate) struct Zipf {
    n: u64,
    theta: f64,
    h_integral_x1: f64,
    h_integral_n: f64,
    s: f64,
}

impl Zipf {
    /// `n >= 1`, `theta > 0`; [`Plan::check`](crate::Plan::check) sees to it.
    pub(crate) fn new(n: u64, theta: f64) -> Self {
        assert!(n >= 1 && theta > 0.0, "a Zipf sampler needs keys and a positive exponent");
        Self {
            n,
            theta,
            h_integral_x1: h_integral(1.5, theta) - 1.0,
            h_integral_n: h_integral(n as f64 + 0.5, theta),
            s: 2.0 - h_integral_inverse(h_integral(2.5, theta) - h(2.0, theta), theta),
        }
    }

    /// The next rank, `1..=n`, 1 the most frequent.
    pub(crate) fn sample(&self, rng: &mut Rng) -> u64 {
        loop {
            let u = self.h_integral_n + rng.unit() * (self.h_integral_x1 - self.h_integral_n);
            let x = h_integral_inverse(u, self.theta);
            #[expect(clippy::cast_possible_truncation, reason = "saturates, then clamped")]
            let k = ((x + 0.5) as u64).clamp(1, self.n);
            let rank = k as f64;
            // The hat covers the histogram: accept at once in its flat part, else compare.
            if rank - x <= self.s || u >= h_integral(rank + 0.5, self.theta) - h(rank, self.theta) {
                return k;
            }
        }
    }
}

/// `x^-theta`.
fn h(x: f64, theta: f64) -> f64 {
    (-theta * x.ln()).exp()
}

/// An antiderivative of `h`, exact near `theta = 1` too.
fn h_integral(x: f64, theta: f64) -> f64 {
    let ln_x = x.ln();
    let t = (1.0 - theta) * ln_x;
    let factor = if t.abs() > 1e-8 { t.exp_m1() / t } else { 1.0 + t / 2.0 };
    factor * ln_x
}

fn h_integral_inverse(x: f64, theta: f64) -> f64 {
    // Rounding may push t below -1 for theta > 1, where the logarithm ends.
    let t = (x * (1.0 - theta)).max(-1.0);
    let factor = if t.abs() > 1e-8 { t.ln_1p() / t } else { 1.0 - t / 2.0 };
    (factor * x).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frequencies of the first ranks and of the rest against `rank^-theta / zeta`.
    fn check(n: u64, theta: f64) {
        let zeta: f64 = (1..=n).map(|k| (k as f64).powf(-theta)).sum();
        let (sampler, mut rng) = (Zipf::new(n, theta), Rng::new(42, 0));
        let (draws, head) = (400_000u32, 20.min(n));
        let mut seen = vec![0u32; usize::try_from(head).unwrap() + 1];
        for _ in 0..draws {
            let rank = sampler.sample(&mut rng);
            assert!((1..=n).contains(&rank));
            seen[usize::try_from(rank.min(head + 1) - 1).unwrap()] += 1;
        }
        for (index, &count) in seen.iter().enumerate().take(usize::try_from(head).unwrap()) {
            let p = ((index + 1) as f64).powf(-theta) / zeta;
            let expected = p * f64::from(draws);
            let tolerance = 5.0 * (expected * (1.0 - p)).sqrt() + 1.0;
            assert!(
                (f64::from(count) - expected).abs() < tolerance,
                "n {n} theta {theta} rank {}: {count}, expected {expected:.0}",
                index + 1
            );
        }
    }

    #[test]
    fn frequencies_follow_the_law() {
        for theta in [0.2, 0.5, 0.99, 1.0, 1.01, 2.0] {
            check(10_000, theta);
        }
        check(1, 0.99);
        check(2, 0.99);
        check(1_000_000, 0.99);
    }
}
