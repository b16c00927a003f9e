//! How often a key is not there any more, at equal resident memory.

use std::ops::ControlFlow;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use todana_bench::{Amount, Distribution, Plan, Report};

use crate::contestant::Who;
use crate::fill::{self, Filling, Held, Shape};
use crate::{Contestants, Result, write_json};

/// Parts of warm-up and measurement that are shown one by one, so that a drift is seen.
const PARTS: u64 = 10;
/// Final resident memories further apart than this share are not equal.
const UNEQUAL: f64 = 0.01;

#[derive(Args)]
pub(crate) struct MissesArgs {
    #[command(flatten)]
    contestants: Contestants,
    /// Resident memory that each server shall have, in MiB; --memory-mib does nothing here
    #[arg(long, default_value_t = 1024)]
    mib: u64,
    /// Different keys
    #[arg(long, default_value_t = 64_000_000)]
    keys: u64,
    /// Exponent of Zipf's law by which they are asked for
    #[arg(long, default_value_t = 0.99)]
    theta: f64,
    /// Keys asked for before the misses count
    #[arg(long, default_value_t = 200_000_000)]
    warm: u64,
    /// Keys asked for whose misses count
    #[arg(long, default_value_t = 50_000_000)]
    measure: u64,
    /// Bytes of a key
    #[arg(long, default_value_t = 26)]
    key_size: usize,
    /// Bytes of a value
    #[arg(long, default_value_t = 64)]
    value_size: usize,
    /// Keys in a get; those that it misses are set by one write
    #[arg(long, default_value_t = 50)]
    keys_per_get: usize,
    /// Connections; with one, every server sees its keys in exactly the same order
    #[arg(long, default_value_t = 4)]
    connections: usize,
    /// Seed of the keys, the same for all servers
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Runs of a server, each with its memory limit corrected by the last, until the resident memory
    /// is as wanted at the end
    #[arg(long, default_value_t = 2)]
    tries: usize,
    /// Write every figure to this file
    #[arg(long)]
    json: Option<PathBuf>,
}

/// What came of one server.
#[derive(Debug, Serialize)]
struct Missed {
    contestant: &'static str,
    memory_limit_mib: u64,
    resident_kib: u64,
    records: u64,
    keys_asked: u64,
    misses: u64,
    miss_ratio: f64,
    /// Of each part of the warm-up, and of the measurement.
    warm_miss_ratios: Vec<f64>,
    miss_ratios: Vec<f64>,
    errors: u64,
}

/// `todana-side-by-side misses`.
pub(crate) fn run(args: &MissesArgs) -> Result<()> {
    crate::machine::pin_myself(args.contestants.client_core)?;
    println!(
        "| contestant | -m | resident MiB | records held | keys asked | misses | miss ratio, least..most \
         | × memcached | remarks |\n|---|---|---|---|---|---|---|---|---|"
    );
    let mut all: Vec<Missed> = Vec::new();
    for who in args.contestants.present_stores() {
        let missed = measure(args, who)?;
        let reference = all.iter().find(|other| other.contestant == "memcached");
        println!("{}", missed.markdown(reference.unwrap_or(&missed), args.mib));
        all.push(missed);
    }
    write_json(args.json.as_deref(), &all)
}

/// Finds the memory limit on a server that is filled, then asks one that begins empty.
fn measure(args: &MissesArgs, who: Who) -> Result<Missed> {
    let shape = Shape { key_bytes: args.key_size, value_bytes: args.value_size };
    let (filling, _) = fill::fit(&args.contestants, who, shape, args.mib)?;
    let mut memory_mib = filling.memory_mib;
    drop(filling);
    let mut tries = 1;
    loop {
        let missed = measure_at(args, who, shape, memory_mib)?;
        let ratio = missed.resident_ratio(args.mib);
        eprintln!("{}: -m {memory_mib}: {} MiB resident", who.name(), missed.resident_kib >> 10);
        if tries >= args.tries || (ratio - 1.0).abs() <= UNEQUAL / 2.0 {
            return Ok(missed);
        }
        memory_mib = fill::corrected(memory_mib, ratio);
        tries += 1;
    }
}

fn measure_at(args: &MissesArgs, who: Who, shape: Shape, memory_mib: u64) -> Result<Missed> {
    let filling = Filling::start(&args.contestants, who, shape, memory_mib)?;
    let plan = filling.server.plan(&Plan {
        connections: args.connections,
        keys_per_get: args.keys_per_get,
        distribution: Distribution::Zipf(args.theta),
        get_ratio: 1.0,
        refill: true,
        ..shape.plan(args.keys)
    });
    let mut part = 0;
    let mut ask = |keys: u64| -> Result<Report> {
        let gets = keys / PARTS / args.keys_per_get as u64;
        let amount = Amount::Requests(gets.max(1));
        let plan = Plan { amount, seed: args.seed * 1_000 + part, ..plan.clone() };
        let report = todana_bench::run(&plan, |_| ControlFlow::Continue(()))
            .map_err(|error| format!("{}: {error}", who.name()))?;
        part += 1;
        eprintln!(
            "{}: {} of {}: {:.3} % missed, {:.0} k keys/s",
            who.name(),
            part,
            2 * PARTS,
            miss_ratio(&report) * 100.0,
            report.keys_per_second / 1e3,
        );
        Ok(report)
    };
    let warm = (0..PARTS).map(|_| ask(args.warm)).collect::<Result<Vec<_>>>()?;
    let reports = (0..PARTS).map(|_| ask(args.measure)).collect::<Result<Vec<_>>>()?;
    let held = Held::at_rest(&filling.server)?;
    let sum = |of: fn(&Report) -> u64| reports.iter().map(of).sum::<u64>();
    let (hits, misses) = (sum(|report| report.hits), sum(|report| report.misses));
    Ok(Missed {
        contestant: who.name(),
        memory_limit_mib: memory_mib,
        resident_kib: held.resident_kib,
        records: held.records.held,
        keys_asked: hits + misses,
        misses,
        miss_ratio: misses as f64 / (hits + misses) as f64,
        warm_miss_ratios: warm.iter().map(miss_ratio).collect(),
        miss_ratios: reports.iter().map(miss_ratio).collect(),
        errors: sum(|report| report.errors),
    })
}

fn miss_ratio(report: &Report) -> f64 {
    report.misses as f64 / (report.hits + report.misses) as f64
}

impl Missed {
    /// Resident memory over what was wanted.
    fn resident_ratio(&self, mib: u64) -> f64 {
        self.resident_kib as f64 / (mib << 10) as f64
    }

    fn markdown(&self, reference: &Self, mib: u64) -> String {
        let percent = |ratio: f64| format!("{:.3}", ratio * 100.0);
        let mut remarks = Vec::new();
        let (own, others) = (self.resident_kib as f64, reference.resident_kib as f64);
        if (own / others - 1.0).abs() > UNEQUAL {
            remarks.push(format!("**{:+.1} % resident**", (own / others - 1.0) * 100.0));
        }
        if (self.resident_ratio(mib) - 1.0).abs() > UNEQUAL {
            remarks.push(format!("wanted {mib} MiB"));
        }
        if self.errors > 0 {
            remarks.push(format!("{} errors", self.errors));
        }
        format!(
            "| {} | {} | {:.1} | {} | {} | {} | {} % [{}..{}] | {} | {} |",
            self.contestant,
            self.memory_limit_mib,
            own / 1024.0,
            self.records,
            self.keys_asked,
            self.misses,
            percent(self.miss_ratio),
            percent(self.miss_ratios.iter().copied().fold(1.0, f64::min)),
            percent(self.miss_ratios.iter().copied().fold(0.0, f64::max)),
            if reference.contestant == "memcached" {
                format!("{:.3}", self.miss_ratio / reference.miss_ratio)
            } else {
                "–".to_owned()
            },
            remarks.join(", "),
        )
    }
}
