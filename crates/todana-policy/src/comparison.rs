//! Every contender on every trace in every size.

use crate::contender::Contender;
use crate::trace::Trace;

/// The sizes of the caches in the default run, as parts of a trace's [`bytes`](Trace::bytes).
pub const SIZES: [f64; 5] = [0.001, 0.01, 0.05, 0.1, 0.25];

/// What was compared, and what came of it.
#[derive(Debug, Clone)]
pub struct Comparison {
    traces: Vec<Described>,
    contenders: Vec<Contender>,
    sizes: Vec<f64>,
    scores: Vec<Score>,
}

/// A trace without its requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// What it is called.
    pub name: String,
    /// Requests.
    pub requests: u64,
    /// Different keys.
    pub objects: u64,
    /// Bytes of all objects together.
    pub bytes: u64,
}

/// How a contender did on a trace in a cache of a size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// Which trace, as an index of [`Comparison::traces`].
    pub trace: usize,
    /// Who.
    pub contender: Contender,
    /// Which size, as a part of the trace's bytes.
    pub size: f64,
    /// The capacity, in bytes.
    pub capacity: u64,
    /// Misses.
    pub misses: u64,
    /// Misses by requests.
    pub miss_ratio: f64,
}

/// How the default compares with the others. Ratios are of miss ratios: 1.01 means one percent more misses.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The mean of the default's miss ratios.
    pub miss_ratio: f64,
    /// The policy with the least mean.
    pub best: Contender,
    /// The default's mean by that one.
    pub to_best: f64,
    /// The default's mean by LRU's, if that was compared.
    pub to_lru: Option<f64>,
    /// The trace on which the default is the farthest from the best on it (index), that one, and the ratio.
    pub worst: (usize, Contender, f64),
}

impl Comparison {
    /// A comparison of such contenders in caches of such sizes, which are parts of a trace's bytes.
    pub fn new(contenders: &[Contender], sizes: &[f64]) -> Comparison {
        let (contenders, sizes) = (contenders.to_vec(), sizes.to_vec());
        Comparison { traces: Vec::new(), contenders, sizes, scores: Vec::new() }
    }

    /// Runs all on a trace; `progress` hears of requests that are done, of as many as
    /// [`work`](Comparison::work) says.
    pub fn add(&mut self, trace: &Trace, progress: &mut dyn FnMut(u64)) {
        let number = self.traces.len();
        let requests = trace.requests().len() as u64;
        self.traces.push(Described {
            name: trace.name().to_owned(),
            requests,
            objects: trace.objects() as u64,
            bytes: trace.bytes(),
        });
        for &contender in &self.contenders {
            for &size in &self.sizes {
                let capacity = part(trace.bytes(), size);
                let misses = contender.misses(trace, capacity, progress);
                let miss_ratio = misses as f64 / requests.max(1) as f64;
                let score = Score { trace: number, contender, size, capacity, misses, miss_ratio };
                self.scores.push(score);
            }
        }
    }

    /// Requests that all contenders together carry out in all sizes for a trace of so many.
    pub fn work(&self, requests: usize) -> u64 {
        (requests * self.contenders.len() * self.sizes.len()) as u64
    }

    /// The traces.
    pub fn traces(&self) -> &[Described] {
        &self.traces
    }

    /// Who was compared.
    pub fn contenders(&self) -> &[Contender] {
        &self.contenders
    }

    /// The sizes, as parts of a trace's bytes.
    pub fn sizes(&self) -> &[f64] {
        &self.sizes
    }

    /// All scores: by trace, then by contender, then by size.
    pub fn scores(&self) -> &[Score] {
        &self.scores
    }

    /// The scores of a contender on a trace, by size.
    pub fn scores_of(&self, trace: usize, contender: Contender) -> impl Iterator<Item = &Score> {
        self.scores.iter().filter(move |one| one.trace == trace && one.contender == contender)
    }

    /// The mean of a contender's miss ratios over all traces and sizes; none without any.
    pub fn mean_miss_ratio(&self, contender: Contender) -> Option<f64> {
        mean(self.scores.iter().filter(|one| one.contender == contender))
    }

    /// How the default did; none if it was not compared.
    pub fn verdict(&self) -> Option<Verdict> {
        let miss_ratio = self.mean_miss_ratio(Contender::DEFAULT)?;
        let (best, least) = self.best(|contender| self.mean_miss_ratio(contender))?;
        let lru = self.mean_miss_ratio(Contender::Lru);
        let by_trace = (0..self.traces.len()).filter_map(|trace| {
            let mean_of = |contender| mean(self.scores_of(trace, contender));
            let (best, least) = self.best(mean_of)?;
            Some((trace, best, ratio(mean_of(Contender::DEFAULT)?, least)))
        });
        Some(Verdict {
            miss_ratio,
            best,
            to_best: ratio(miss_ratio, least),
            to_lru: lru.map(|lru| ratio(miss_ratio, lru)),
            worst: by_trace.max_by(|one, other| one.2.total_cmp(&other.2))?,
        })
    }

    /// The policy with the least mean, and that.
    fn best(&self, mean_of: impl Fn(Contender) -> Option<f64>) -> Option<(Contender, f64)> {
        let policies = self.contenders.iter().filter(|one| **one != Contender::Belady);
        let means = policies.filter_map(|&contender| Some((contender, mean_of(contender)?)));
        means.min_by(|one, other| one.1.total_cmp(&other.1))
    }
}

fn mean<'s>(scores: impl Iterator<Item = &'s Score>) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0_u32);
    for score in scores {
        sum += score.miss_ratio;
        count += 1;
    }
    (count > 0).then(|| sum / f64::from(count))
}

/// Nothing by nothing is even.
fn ratio(one: f64, other: f64) -> f64 {
    if one == other { 1.0 } else { one / other }
}

/// A part of so many bytes; at least one.
fn part(bytes: u64, size: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, reason = "saturates")]
    let bytes = (bytes as f64 * size).round() as u64;
    bytes.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Workload;

    #[test]
    fn all_are_scored() {
        let traces = [Workload::Zipf099, Workload::Scan].map(|one| one.generate(20_000, 1));
        let mut done = 0;
        let mut compared = Comparison::new(&Contender::ALL, &[0.01, 0.1]);
        traces.iter().for_each(|trace| compared.add(trace, &mut |more| done += more));
        assert_eq!(done, 2 * compared.work(20_000));
        assert_eq!(compared.scores().len(), 2 * Contender::ALL.len() * 2);
        let [(_, large), (small, _)] = [0, 1].map(|trace| {
            let scores: Vec<_> = compared.scores_of(trace, Contender::Lru).collect();
            (scores[0].miss_ratio, scores[1].miss_ratio)
        });
        assert!(large < small, "ten times the size, and a workload without scans");
        let verdict = compared.verdict().unwrap();
        assert!(verdict.to_best >= 1.0 && verdict.worst.2 >= 1.0 && verdict.best != Contender::Lru);
        assert!(verdict.to_lru.is_some_and(|ratio| ratio < 1.0));
    }

    #[test]
    fn without_the_default_there_is_no_verdict() {
        let mut compared = Comparison::new(&[Contender::Lru], &[0.5]);
        compared.add(&Workload::Zipf12.generate(100, 1), &mut |_| {});
        assert_eq!(compared.verdict(), None);
        assert_eq!(Comparison::new(&Contender::ALL, &[0.5]).verdict(), None);
    }
}
