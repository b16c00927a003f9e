//! Which key comes next, and its bytes.

use crate::parts::Distribution;
use crate::plan::Plan;
use crate::rng::Rng;
use crate::zipf::Zipf;

/// A prime above every number of keys a plan may have, hence coprime to it.
const SCRAMBLE_PRIME: u64 = 4_294_967_291;

/// The keys of a run: numbers `0..keys`, drawn by the plan's distribution, written as the plan's
/// prefix and a zero-padded decimal number of fixed width.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    count: u64,
    zipf: Option<Zipf>,
    /// Prefix and zeros; the digits of a number are written over its end.
    template: Vec<u8>,
    prefix_len: usize,
}

impl Keys {
    pub(crate) fn new(plan: &Plan) -> Self {
        let mut template = plan.key_prefix.clone().into_bytes();
        let prefix_len = template.len();
        template.resize(plan.key_size_bytes, b'0');
        let zipf = match plan.distribution {
            Distribution::Uniform => None,
            Distribution::Zipf(theta) => Some(Zipf::new(plan.keys, theta)),
        };
        Self { count: plan.keys, zipf, template, prefix_len }
    }

    /// Bytes of every key.
    pub(crate) fn size(&self) -> usize {
        self.template.len()
    }

    /// Draws a key.
    pub(crate) fn draw(&self, rng: &mut Rng) -> u64 {
        match &self.zipf {
            None => rng.below(self.count),
            Some(zipf) => self.scramble(zipf.sample(rng) - 1),
        }
    }

    /// Spreads neighbouring ranks over the key space, one to one: both factors are below 2^32, and
    /// multiplying by what is coprime to `count` permutes `0..count`.
    fn scramble(&self, rank: u64) -> u64 {
        rank * SCRAMBLE_PRIME % self.count
    }

    /// Appends the key's bytes to `out`.
    pub(crate) fn write(&self, key: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.template);
        let mut at = out.len();
        let mut rest = key;
        while rest > 0 {
            at -= 1;
            out[at] = b'0' + (rest % 10).to_le_bytes()[0];
            rest /= 10;
        }
    }

    /// The number of a key that [`Keys::write`] wrote, if it is one.
    pub(crate) fn parse(&self, bytes: &[u8]) -> Option<u64> {
        let digits = bytes.get(self.prefix_len..self.template.len())?;
        digits.iter().try_fold(0u64, |sum, &digit| {
            let digit = digit.wrapping_sub(b'0');
            (digit < 10).then(|| sum.wrapping_mul(10).wrapping_add(u64::from(digit)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(keys: u64, distribution: Distribution) -> Plan {
        Plan { keys, distribution, ..Plan::default() }
    }

    #[test]
    fn keys_have_their_width_and_come_back() {
        let keys = Keys::new(&plan(4_000_000, Distribution::Uniform));
        for key in [0, 7, 10, 3_999_999] {
            let mut out = b"get ".to_vec();
            keys.write(key, &mut out);
            assert_eq!(out.len(), 4 + 26);
            assert_eq!(keys.parse(&out[4..]), Some(key));
        }
        let mut out = Vec::new();
        keys.write(1234, &mut out);
        assert_eq!(out, b"key:0000000000000000001234");
    }

    #[test]
    fn scrambling_is_one_to_one() {
        for count in [1, 2, 10, 1000, 4096] {
            let keys = Keys::new(&plan(count, Distribution::Zipf(0.99)));
            let mut seen: Vec<u64> = (0..count).map(|rank| keys.scramble(rank)).collect();
            seen.sort_unstable();
            assert_eq!(seen, (0..count).collect::<Vec<_>>());
        }
    }
}
