//! Rows, contestants in turn, and what one measurement takes.

use std::ops::ControlFlow;
use std::time::Instant;

use serde::Serialize;
use todana_bench::{Amount, Dialect, Plan, Progress, Report, preload};

use crate::contestant::{Server, Who};
use crate::machine;
use crate::rows::{self, Row};
use crate::table;
use crate::{Contestants, Result, RunArgs, write_json};

/// A measurement with the client busier than this says more about the client.
pub(crate) const CLIENT_SHARE_MAX: f64 = 0.8;
/// A measurement that leaves more than this share of requests unsent was overload.
const UNSENT_MAX: f64 = 0.01;
/// While the rate is sought, the client shall stay below this, for the rounds vary.
const CLIENT_SHARE_WANTED: f64 = 0.7;
/// How often the rate is lowered before the row is measured as it is.
const RATE_TRIES: usize = 5;
/// Other work on the machine above this share of a core makes a measurement dirty. Interrupts of
/// the load itself take 0.05 to 0.12.
pub(crate) const OTHER_MAX: f64 = 0.2;
const WARM_UP_MS: u64 = 200;
/// Number of the first round in which the rate is sought. Every round of either loop has a seed of
/// its own, the same for all contestants: keys drawn again would still be in the caches.
const CALIBRATION: usize = 1_000;

/// One measurement.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Sample {
    /// CPU of the server's threads, per key.
    pub(crate) cpu_us_per_key: f64,
    pub(crate) keys_per_second: f64,
    /// CPU of the client, as a share of its core.
    pub(crate) client_share: f64,
    /// CPU of the server, as a share of its core.
    pub(crate) server_share: f64,
    /// CPU of neither, as a share of one core.
    pub(crate) other_share: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    pub(crate) hit_ratio: f64,
    pub(crate) errors: u64,
    pub(crate) unsent_ratio: f64,
}

impl Sample {
    pub(crate) fn is_void(&self) -> bool {
        self.client_share > CLIENT_SHARE_MAX || self.is_overload()
    }

    /// Whether the server did not keep the rate.
    pub(crate) fn is_overload(&self) -> bool {
        self.unsent_ratio > UNSENT_MAX
    }
}

/// All measurements of one contestant in one row.
#[derive(Debug, Serialize)]
pub(crate) struct Series {
    pub(crate) contestant: &'static str,
    /// The same rate for all contestants.
    pub(crate) open: Vec<Sample>,
    /// As fast as the contestant answers.
    pub(crate) closed: Vec<Sample>,
    pub(crate) resident_mib: Option<u64>,
}

/// A measured row.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    pub(crate) row: String,
    pub(crate) keys: u64,
    /// Keys per second of the open loop.
    pub(crate) keys_per_second: f64,
    pub(crate) series: Vec<Series>,
}

/// `todana-side-by-side run`.
pub(crate) fn run(mut args: RunArgs) -> Result<()> {
    if args.quick {
        args.keys = args.keys.min(100_000);
        args.rounds = args.rounds.min(2);
        args.open_ms = args.open_ms.min(500);
        args.closed_ms = args.closed_ms.min(300);
    }
    let present = args.contestants.present();
    machine::pin_myself(args.contestants.client_core)?;
    let rows: Vec<Row> = rows::by_keys(args.unix, &args.keys_by)
        .into_iter()
        .filter(|row| args.only.as_ref().is_none_or(|only| row.name.contains(only.as_str())))
        .collect();
    let mut measured = Vec::new();
    print!("{}", table::head());
    for group in rows.chunk_by(Row::shares_servers) {
        let keys = keys_that_fit(&args.contestants, args.keys, &group[0]);
        let mut servers = start_group(&args.contestants, &present, group, keys)?;
        for row in group {
            let plan = row.plan(keys);
            start_floors(&args.contestants, &present, row, &plan, &mut servers)?;
            let result = measure_row(&args, row, &plan, &taking_part(&servers, row))?;
            print!("{}", table::lines(&result));
            measured.push(result);
        }
    }
    println!();
    print!("{}", table::legend());
    write_json(args.json.as_deref(), &measured)
}

/// As many keys as asked for, or as three quarters of the memory hold with 100 bytes about each.
pub(crate) fn keys_that_fit(contestants: &Contestants, keys: u64, row: &Row) -> u64 {
    let each = row.value_size as u64 + 26 + 100;
    keys.min((contestants.memory_mib << 20) / 4 * 3 / each)
}

/// Starts the real servers that take part in any row of a group, and sets every key once.
pub(crate) fn start_group(
    contestants: &Contestants,
    present: &[Who],
    group: &[Row],
    keys: u64,
) -> Result<Vec<Server>> {
    let takes_part = |who: &Who| group.iter().any(|row| who.speaks(row.dialect).is_some());
    let mut servers = Vec::new();
    for who in present.iter().copied().filter(|who| !who.is_floor() && takes_part(who)) {
        let row = &group[0];
        let server = Server::start(contestants, who, &row.plan(keys), &[], row.unix)?;
        let text = Plan { dialect: Dialect::Text, keys_per_get: 1, ..row.plan(keys) };
        let plan = server.plan(&text);
        let mut tenth = 0;
        let loaded = preload(&plan, |progress| {
            if let Progress::Preload { done, total } = progress
                && done * 10 / total > tenth
            {
                tenth = done * 10 / total;
                eprint!("\rpreload {}: {} % ", who.name(), tenth * 10);
            }
            ControlFlow::Continue(())
        })?;
        eprintln!(
            "\rpreload {}: {} keys of {} B in {:.1} s, {} MiB resident",
            who.name(),
            loaded.keys,
            row.value_size,
            loaded.wall_seconds,
            machine::resident_mib(server.pid()).unwrap_or(0),
        );
        servers.push(server);
    }
    Ok(servers)
}

/// Starts the floors anew: they are told the shape of the row.
pub(crate) fn start_floors(
    contestants: &Contestants,
    present: &[Who],
    row: &Row,
    plan: &Plan,
    servers: &mut Vec<Server>,
) -> Result<()> {
    servers.retain(|server| !server.who.is_floor());
    let takes_part = |who: &Who| who.is_floor() && who.speaks(row.dialect).is_some();
    for who in present.iter().copied().filter(takes_part) {
        servers.push(Server::start(contestants, who, plan, &[], row.unix)?);
    }
    Ok(())
}

/// Those servers that can do what the row asks for.
pub(crate) fn taking_part<'a>(servers: &'a [Server], row: &Row) -> Vec<&'a Server> {
    servers.iter().filter(|server| server.who.speaks(row.dialect).is_some()).collect()
}

fn measure_row(args: &RunArgs, row: &Row, plan: &Plan, servers: &[&Server]) -> Result<Measured> {
    eprintln!("row: {}", row.name);
    let rate = find_rate(args, plan, servers)?;
    let mut series: Vec<Series> = servers
        .iter()
        .map(|server| Series {
            contestant: server.who.name(),
            open: Vec::new(),
            closed: Vec::new(),
            resident_mib: machine::resident_mib(server.pid()),
        })
        .collect();
    for round in 0..args.rounds {
        for at in order(round, servers.len()) {
            let open = sample(&open_plan(args, plan, rate, args.open_ms, round), servers[at])?;
            series[at].open.push(open);
        }
        for at in order(round + 1, servers.len()) {
            let closed = sample(&closed_plan(plan, args.closed_ms, round), servers[at])?;
            series[at].closed.push(closed);
        }
    }
    let keys_per_second = rate * row.keys_per_batch() as f64 / row.pipeline as f64;
    Ok(Measured { row: row.name.clone(), keys: plan.keys, keys_per_second, series })
}

/// Forth and back, and every other pair of rounds begins one further: ABC CBA BCA ACB ...
pub(crate) fn order(round: usize, count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).map(|at| (at + round / 2) % count).collect();
    if round % 2 == 1 {
        order.reverse();
    }
    order
}

/// Requests per second that every contestant sustains with the client well below its core.
///
/// Every question is asked twice and the better answer taken: other work on the machine only ever
/// makes a contestant look slower.
fn find_rate(args: &RunArgs, plan: &Plan, servers: &[&Server]) -> Result<f64> {
    let mut slowest = f64::INFINITY;
    for server in servers {
        let mut best = 0.0_f64;
        for time in 0..2 {
            let closed = closed_plan(plan, args.closed_ms, CALIBRATION + time);
            best = best.max(sample(&closed, server)?.keys_per_second);
        }
        slowest = slowest.min(best / plan.keys_per_get as f64);
    }
    let mut rate = slowest * args.load;
    for attempt in 0..RATE_TRIES {
        let mut all_keep_it = true;
        for server in servers {
            let mut keeps_it = false;
            for time in 0..2 {
                let round = CALIBRATION + 2 * attempt + time;
                let open = sample(&open_plan(args, plan, rate, args.open_ms / 2, round), server)?;
                keeps_it |= open.client_share < CLIENT_SHARE_WANTED && !open.is_void();
                if keeps_it {
                    break;
                }
            }
            all_keep_it &= keeps_it;
        }
        if all_keep_it {
            break;
        }
        rate *= 0.8;
    }
    Ok(rate)
}

fn open_plan(args: &RunArgs, plan: &Plan, rate: f64, ms: u64, round: usize) -> Plan {
    let seed = 1 + 2 * round as u64;
    Plan { rate: Some(rate), burst: args.burst, seed, ..closed_plan(plan, ms, round) }
}

fn closed_plan(plan: &Plan, ms: u64, round: usize) -> Plan {
    let amount = Amount::DurationMs(ms.max(100));
    Plan { amount, warm_up_ms: WARM_UP_MS, seed: 2 + 2 * round as u64, ..plan.clone() }
}

/// What CPU was used up to now.
struct Meter {
    at: Instant,
    server: f64,
    idle: f64,
    cores: usize,
}

impl Meter {
    fn read(server: &Server) -> Result<Self> {
        let (idle, cores) = machine::idle_seconds()?;
        Ok(Self {
            at: Instant::now(),
            idle,
            cores,
            server: machine::process_cpu_seconds(server.pid())?,
        })
    }
}

pub(crate) fn sample(plan: &Plan, server: &Server) -> Result<Sample> {
    let plan = server.plan(plan);
    let mut before = None;
    let mut failure = None;
    // The server is asked for its CPU at the moment at which measuring begins, and again once the
    // last reply has come: the threads of the generator have ended then, so theirs is reported.
    let report = todana_bench::run(&plan, |progress| {
        if before.is_none() && matches!(progress, Progress::Measuring { .. }) {
            match Meter::read(server) {
                Ok(meter) => before = Some(meter),
                Err(error) => failure = Some(error),
            }
        }
        if failure.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    if let Some(error) = failure {
        return Err(format!("{}: {error}", server.who.name()).into());
    }
    let report = report.map_err(|error| format!("{}: {error}", server.who.name()))?;
    let after = Meter::read(server)?;
    let before = before.ok_or("nothing was measured")?;
    Ok(summarize(&report, &before, &after))
}

fn summarize(report: &Report, before: &Meter, after: &Meter) -> Sample {
    let server = after.server - before.server;
    let client = report.client_cpu_seconds;
    let elapsed = after.at.duration_since(before.at).as_secs_f64();
    let busy = elapsed * after.cores as f64 - (after.idle - before.idle);
    let other = busy - server - client;
    let asked = report.hits + report.misses;
    let due = report.requests + report.unsent;
    // Two bursts may be under way at the end without the server being behind.
    let two_bursts = 2 * (report.plan.connections * report.plan.pipeline) as u64;
    Sample {
        cpu_us_per_key: server * 1e6 / report.keys as f64,
        keys_per_second: report.keys_per_second,
        client_share: report.client_cpu_share,
        server_share: server / report.wall_seconds,
        other_share: (other / elapsed).max(0.0),
        p50_us: report.latency.p50_us,
        p99_us: report.latency.p99_us,
        p999_us: report.latency.p999_us,
        hit_ratio: if asked == 0 { 1.0 } else { report.hits as f64 / asked as f64 },
        errors: report.errors,
        unsent_ratio: report.unsent.saturating_sub(two_bursts) as f64 / due as f64,
    }
}

impl Contestants {
    /// The plan that `counts` starts servers with.
    pub(crate) fn quiet_plan(row: &Row, keys: u64, connections: usize) -> Plan {
        Plan { connections, warm_up_ms: 0, ..row.plan(keys) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_contestant_has_every_place_equally_often() {
        for count in 2..=6 {
            let mut places = vec![vec![0; count]; count];
            for round in 0..2 * count {
                for (place, at) in order(round, count).into_iter().enumerate() {
                    places[at][place] += 1;
                }
            }
            assert!(places.iter().flatten().all(|&times| times == 2), "{places:?}");
        }
    }
}
