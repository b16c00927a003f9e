//! Built-in traces. They and their seeds were fixed before any policy was measured, and stay as they are.

use crate::trace::{REQUESTS_MAX, Request, Trace};
use crate::zipf::{Zipf, unit};
use todana_io::Generator;

/// A kind of trace. Of `n` requests, a Zipf law is over `n / 10` keys unless something else is said; objects
/// have one byte and never expire but where that is the point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workload {
    /// Zipf's law with exponent 0.6.
    Zipf06,
    /// Zipf's law with exponent 0.8.
    Zipf08,
    /// Zipf's law with exponent 0.99.
    Zipf099,
    /// Zipf's law with exponent 1.2.
    Zipf12,
    /// Zipf 0.99; of each `n / 100` requests the last quarter goes on in a loop over `n / 20` keys.
    Scan,
    /// Half of the requests, by chance, to keys that never come back; the others Zipf 0.8 over `n / 20` keys.
    OneHit,
    /// Zipf 0.8; every key has a time to live of its own, from `n / 1000` to `n / 2` requests,
    /// log-uniform.
    TtlChurn,
    /// Zipf 0.8; every key has a size of its own, from 50 B to 64 KiB, log-uniform.
    MixedSizes,
    /// Zipf 0.99; after each `n / 20` requests every rank goes to the key `n / 200` further on.
    Shift,
}

impl Workload {
    /// All of them.
    pub const ALL: [Workload; 9] = [
        Workload::Zipf06,
        Workload::Zipf08,
        Workload::Zipf099,
        Workload::Zipf12,
        Workload::Scan,
        Workload::OneHit,
        Workload::TtlChurn,
        Workload::MixedSizes,
        Workload::Shift,
    ];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Workload::Zipf06 => "zipf-0.6",
            Workload::Zipf08 => "zipf-0.8",
            Workload::Zipf099 => "zipf-0.99",
            Workload::Zipf12 => "zipf-1.2",
            Workload::Scan => "scan",
            Workload::OneHit => "one-hit",
            Workload::TtlChurn => "ttl-churn",
            Workload::MixedSizes => "mixed-sizes",
            Workload::Shift => "shift",
        }
    }

    /// A trace of so many requests, at most [`REQUESTS_MAX`]: equal seeds make equal traces.
    pub fn generate(self, requests: usize, seed: u64) -> Trace {
        let count = requests.min(REQUESTS_MAX) as u64;
        let (keys, theta) = match self {
            Workload::Zipf06 => (count / 10, 0.6),
            Workload::Zipf08 | Workload::TtlChurn | Workload::MixedSizes => (count / 10, 0.8),
            Workload::Zipf099 | Workload::Scan | Workload::Shift => (count / 10, 0.99),
            Workload::Zipf12 => (count / 10, 1.2),
            Workload::OneHit => (count / 20, 0.8),
        };
        let keys = keys.max(1);
        let (zipf, mut random) = (Zipf::new(keys, theta), self.random(seed));
        let attributes = self.random(!seed).next_u64();
        let mut scanned = 0;
        let round = (count / 100).max(4);
        let requests = (0..count).map(|number| {
            let rank = zipf.draw(&mut random);
            let key = match self {
                Workload::Scan if number % round >= round * 3 / 4 => {
                    scanned += 1;
                    keys + scanned % (count / 20).max(1)
                }
                Workload::OneHit if random.one_in(2) => keys + number,
                Workload::Shift => {
                    let phase = number / (count / 20).max(1);
                    (rank + phase * (count / 200)) % keys
                }
                _ => rank,
            };
            let of_key = &mut Generator::new(attributes ^ key.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let (size, ttl) = match self {
                Workload::MixedSizes => (log_uniform(50, 64 << 10, of_key), 0),
                Workload::TtlChurn => (1, log_uniform(count / 1_000, count / 2, of_key)),
                _ => (1, 0),
            };
            Request { key, size, ttl }
        });
        Trace::new(self.name(), requests.collect())
    }

    /// Random numbers of its own, whatever other traces are made.
    fn random(self, seed: u64) -> Generator {
        let name = self
            .name()
            .bytes()
            .fold(0, |sum: u64, byte| sum.wrapping_mul(257).wrapping_add(u64::from(byte)));
        Generator::new(Generator::new(seed).next_u64() ^ name)
    }
}

/// A number from `least` to `most` whose logarithm is evenly distributed.
fn log_uniform(least: u64, most: u64, random: &mut Generator) -> u32 {
    let [least, most] = [least, most].map(|bound| bound.max(1) as f64);
    let number = least * (most / least).powf(unit(random));
    #[expect(clippy::cast_possible_truncation, reason = "saturates")]
    let whole = number as u32;
    whole.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    const COUNT: usize = 20_000;

    #[test]
    fn seeds_fix_traces() {
        for workload in Workload::ALL {
            let [one, same, other] = [1, 1, 2].map(|seed| workload.generate(COUNT, seed));
            assert_eq!((one.name(), one.requests().len()), (workload.name(), COUNT));
            assert_eq!(one.requests(), same.requests());
            assert_ne!(one.requests(), other.requests());
            workload.generate(3, 1);
        }
    }

    #[test]
    fn they_are_what_their_names_say() {
        let trace = Workload::OneHit.generate(COUNT, 1);
        let mut times = HashMap::new();
        trace.requests().iter().for_each(|one| *times.entry(one.key).or_insert(0) += 1);
        let once = times.values().filter(|&&times| times == 1).count();
        assert!((COUNT * 49 / 100..COUNT * 54 / 100).contains(&once), "{once}");
        let sizes = Workload::MixedSizes.generate(COUNT, 1);
        assert!(sizes.requests().iter().all(|one| (50..=64 << 10).contains(&one.size)));
        assert!(sizes.bytes() / sizes.objects() as u64 > 5_000);
        let ttl = Workload::TtlChurn.generate(COUNT, 1);
        assert!(ttl.requests().iter().all(|one| (20..=10_000).contains(&one.ttl)));
    }
}
