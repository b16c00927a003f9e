//! Latencies at a share of memcached's peak.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use todana_bench::{Amount, Distribution, Plan};

use crate::contestant::{Server, Who};
use crate::measure::{self, CLIENT_SHARE_MAX, OTHER_MAX, Sample};
use crate::rows::{self, Row};
use crate::table::{median, values};
use crate::{Contestants, Result, machine, write_json};

const WARM_UP_MS: u64 = 300;
/// The peak is the best of so many: other work on the machine only ever makes it look lower.
const PEAK_TRIES: u64 = 3;
/// Number of the first measurement of the peak; seeds are never used twice.
const PEAK_SEED: u64 = 1_000_000;

#[derive(Args)]
pub(crate) struct TailArgs {
    #[command(flatten)]
    contestants: Contestants,
    /// Keys to preload; fewer where the memory would not hold them
    #[arg(long, default_value_t = 4_000_000)]
    keys: u64,
    /// How keys are chosen: uniform, zipf or zipf:0.99, several by commas
    #[arg(long, value_delimiter = ',', default_value = "uniform")]
    keys_by: Vec<Distribution>,
    /// Only rows whose name contains this
    #[arg(long, default_value = "get 64 B, one in flight")]
    only: String,
    /// Rate, as a share of memcached's peak in the closed loop
    #[arg(long, default_value_t = 0.7)]
    load: f64,
    /// Connections that send at the same moment, 1 to 50
    #[arg(long, default_value_t = 1)]
    burst: usize,
    /// Measurements of each contestant
    #[arg(long, default_value_t = 12)]
    rounds: usize,
    /// Length of one measurement, in milliseconds
    #[arg(long, default_value_t = 3_000)]
    open_ms: u64,
    /// Length of one measurement of the peak, in milliseconds
    #[arg(long, default_value_t = 1_000)]
    closed_ms: u64,
    /// Write every measurement to this file
    #[arg(long)]
    json: Option<PathBuf>,
}

/// Latencies of one row.
#[derive(Debug, Serialize)]
struct Tails {
    row: String,
    peak_requests_per_second: f64,
    rate: f64,
    series: Vec<(&'static str, Vec<Sample>)>,
}

/// `todana-side-by-side tail`.
pub(crate) fn run(args: &TailArgs) -> Result<()> {
    let contestants = &args.contestants;
    let present = contestants.present();
    if !present.contains(&Who::Memcached) {
        return Err("the rate is a share of memcached's peak, and there is no memcached".into());
    }
    machine::pin_myself(contestants.client_core)?;
    let rows: Vec<Row> = rows::by_keys(false, &args.keys_by)
        .into_iter()
        .filter(|row| row.name.contains(&args.only))
        .collect();
    let mut all = Vec::new();
    println!(
        "| row | contestant | p50 µs | p99 µs | p99.9 µs, median [min..max] | × memcached | client \
         | other | remarks |\n|---|---|---|---|---|---|---|---|---|"
    );
    for group in rows.chunk_by(Row::shares_servers) {
        let keys = measure::keys_that_fit(contestants, args.keys, &group[0]);
        let mut servers = measure::start_group(contestants, &present, group, keys)?;
        for row in group {
            let plan = row.plan(keys);
            measure::start_floors(contestants, &present, row, &plan, &mut servers)?;
            let tails = measure_row(args, row, &plan, &measure::taking_part(&servers, row))?;
            print!("{}", tails.markdown());
            all.push(tails);
        }
    }
    println!(
        "\nLatencies are from the time a request was due to its last reply. × memcached: memcached's \
         p99.9 over the contestant's, median of pairs, above 1 is quicker than memcached."
    );
    write_json(args.json.as_deref(), &all)
}

fn measure_row(args: &TailArgs, row: &Row, plan: &Plan, servers: &[&Server]) -> Result<Tails> {
    eprintln!("row: {}", row.name);
    let peak = peak(args, plan, servers)?;
    let rate = peak * args.load;
    let amount = Amount::DurationMs(args.open_ms);
    let open = Plan {
        amount,
        rate: Some(rate),
        burst: args.burst,
        warm_up_ms: WARM_UP_MS,
        ..plan.clone()
    };
    let mut series: Vec<_> = servers.iter().map(|server| (server.who.name(), Vec::new())).collect();
    for round in 0..args.rounds {
        for at in measure::order(round, servers.len()) {
            let plan = Plan { seed: 1 + round as u64, ..open.clone() };
            series[at].1.push(measure::sample(&plan, servers[at])?);
        }
    }
    Ok(Tails { row: row.name.clone(), peak_requests_per_second: peak, rate, series })
}

/// Requests per second that memcached answers in the closed loop.
fn peak(args: &TailArgs, plan: &Plan, servers: &[&Server]) -> Result<f64> {
    let memcached = servers.iter().find(|server| server.who == Who::Memcached);
    let memcached = memcached.ok_or("memcached takes no part in the row")?;
    let amount = Amount::DurationMs(args.closed_ms);
    let mut best = 0.0_f64;
    for time in 0..PEAK_TRIES {
        let seed = PEAK_SEED + time;
        let plan = Plan { amount, seed, warm_up_ms: WARM_UP_MS, ..plan.clone() };
        let keys_per_second = measure::sample(&plan, memcached)?.keys_per_second;
        best = best.max(keys_per_second / plan.keys_per_get as f64);
    }
    Ok(best)
}

impl Tails {
    fn markdown(&self) -> String {
        let memcached = self.series.iter().find(|(name, _)| *name == "memcached");
        let mut lines = String::new();
        for (name, samples) in &self.series {
            let of = |of: fn(&Sample) -> f64| values(samples, of);
            let tail = of(|sample| sample.p999_us);
            let pairs = memcached.map(|(_, others)| others.iter().zip(samples));
            let ratios: Vec<f64> =
                pairs.into_iter().flatten().map(|(a, b)| a.p999_us / b.p999_us).collect();
            lines += &format!(
                "| {}, {:.0} of {:.0} k requests/s | {name} | {:.0} | {:.0} | {:.0} [{:.0}..{:.0}] \
                 | {:.2} | {:.2} | {:.2} | {} |\n",
                self.row,
                self.rate / 1e3,
                self.peak_requests_per_second / 1e3,
                median(&of(|sample| sample.p50_us)),
                median(&of(|sample| sample.p99_us)),
                median(&tail),
                tail.iter().copied().fold(f64::INFINITY, f64::min),
                tail.iter().copied().fold(0.0, f64::max),
                median(&ratios),
                median(&of(|sample| sample.client_share)),
                median(&of(|sample| sample.other_share)),
                remarks(samples),
            );
        }
        lines
    }
}

/// What makes the latencies doubtful.
fn remarks(samples: &[Sample]) -> String {
    let count = |wrong: fn(&Sample) -> bool| samples.iter().filter(|sample| wrong(sample)).count();
    let mut remarks = Vec::new();
    for (wrong, what) in [
        (count(|sample| sample.client_share > CLIENT_SHARE_MAX), "busy client"),
        (count(Sample::is_overload), "rate not kept"),
        (count(|sample| sample.other_share > OTHER_MAX), "dirty"),
        (count(|sample| sample.errors > 0), "errors"),
    ] {
        if wrong > 0 {
            remarks.push(format!("{what} {wrong}"));
        }
    }
    remarks.join(", ")
}
