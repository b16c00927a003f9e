//! `todana sim`: simulations that tell how Todana would do, without a server.

use crate::meter::Meter;
use crate::outcome::{EXIT_STATUS, Failure, finish, say};
use clap::builder::{PossibleValuesParser, TypedValueParser, ValueParser};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use todana_io::files::write_small;
use todana_policy::{Comparison, Contender, Trace, TraceReader, Workload, comparison, plot, table};

/// Longest line of a trace, in bytes.
const LINE_LEN_MAX: u64 = 64 << 10;

/// What to simulate.
#[derive(Debug, Subcommand)]
pub(crate) enum SimCommand {
    /// Compare cache policies by their hit ratios
    Cache(Box<CacheArgs>),
}

impl SimCommand {
    /// Runs the command.
    pub(crate) fn run(self) -> ExitCode {
        match self {
            SimCommand::Cache(args) => args.run(),
        }
    }
}

/// Compare cache policies by their hit ratios.
#[derive(Debug, Args)]
#[command(after_help = format!("\
Every policy sees every trace, in caches of several sizes that are empty at first. s3-fifo is the
policy of Todana's store in memory; belady is none, but what one could do that knew the future.

A trace is a text file with a request a line: KEY [SIZE [TTL]], separated by blanks, tabs or a
comma. KEY is any word; SIZE is the object's bytes with all that it costs, 1 if it is missing; TTL
is the number of requests after which it expires, 0 or missing for never. What follows a # is a
comment. An object has the size of its first request.

Without --trace the built-in traces are run: zipf-0.6, -0.8, -0.99 and -1.2, scan, one-hit (half of
the requests to keys that never come back), ttl-churn, mixed-sizes and shift (what is popular
changes). Equal --requests and --seed make equal traces.

With sizes or times to live, belady is a good cache but no longer a strict bound.

Examples:
  todana sim cache
  todana sim cache --svg policies.svg
  todana sim cache --trace day.txt --size 1 --size 10
  zcat trace.gz | todana sim cache --trace - --policy s3-fifo,lru --json

{EXIT_STATUS}"))]
pub(crate) struct CacheArgs {
    /// Trace: a text file, or - for standard input; may be repeated.
    #[arg(long, value_name = "FILE")]
    trace: Vec<PathBuf>,
    /// Only these policies; all without it.
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = policy())]
    policy: Vec<Contender>,
    /// Cache size in percent of all objects' bytes; may be repeated. Without it 0.1, 1, 5, 10, 25.
    #[arg(long, value_name = "PERCENT", value_delimiter = ',', value_parser = size)]
    size: Vec<f64>,
    /// Requests of each built-in trace.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1_000_000,
        value_parser = clap::value_parser!(u32).range(1..=100_000_000),
        conflicts_with = "trace"
    )]
    requests: u32,
    /// Seed of the built-in traces.
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "trace")]
    seed: u64,
    /// Write a plot, too: a panel for each trace, a line for each policy.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Print one JSON object instead of tables.
    #[arg(long)]
    json: bool,
}

/// Reads the name of a policy.
fn policy() -> ValueParser {
    let named = |name: String| Contender::ALL.into_iter().find(|one| one.name() == name);
    let names = PossibleValuesParser::new(Contender::ALL.map(Contender::name));
    names.try_map(move |name| named(name).ok_or("no such policy")).into()
}

/// Reads a percentage as a part of the whole.
fn size(text: &str) -> Result<f64, String> {
    let percent: Option<f64> = text.strip_suffix('%').unwrap_or(text).parse().ok();
    match percent.filter(|&percent| percent > 0.0 && percent <= 100.0) {
        Some(percent) => Ok(percent / 100.0),
        None => Err("a cache has more than 0 and at most 100 percent".to_owned()),
    }
}

impl CacheArgs {
    fn run(self) -> ExitCode {
        finish("sim cache", self.compare())
    }

    fn compare(&self) -> Result<u8, Failure> {
        // A file that cannot be read is found before the long work.
        let given = self.trace.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
        let contenders = distinct(&self.policy, &Contender::ALL);
        let mut compared = Comparison::new(&contenders, &distinct(&self.size, &comparison::SIZES));
        if given.is_empty() {
            let requests = self.requests as usize;
            let mut run = Run::new(compared.work(requests * Workload::ALL.len()));
            // One at a time: they are large.
            for workload in Workload::ALL {
                run.add(&workload.generate(requests, self.seed), &mut compared);
            }
        } else {
            let requests: usize = given.iter().map(|trace| trace.requests().len()).sum();
            let mut run = Run::new(compared.work(requests));
            given.iter().for_each(|trace| run.add(trace, &mut compared));
        }
        if let Some(path) = &self.svg {
            let shown = path.display().to_string();
            write_small(path, &plot::svg(&compared)).map_err(Failure::of_writing(&shown))?;
        }
        match self.json {
            true => say(json(&compared))?,
            false => say(table::table(&compared).trim_end())?,
        }
        Ok(0)
    }
}

/// A comparison that is under way.
struct Run {
    meter: Meter,
    done: u64,
}

impl Run {
    fn new(work: u64) -> Run {
        Run { meter: Meter::of_requests(work), done: 0 }
    }

    fn add(&mut self, trace: &Trace, compared: &mut Comparison) {
        compared.add(trace, &mut |requests| {
            self.done += requests;
            self.meter.at(self.done);
        });
    }
}

/// What was asked for, once each, or what is taken without.
fn distinct<T: Copy + PartialEq>(asked_for: &[T], without: &[T]) -> Vec<T> {
    let mut found: Vec<T> = Vec::new();
    for &one in if asked_for.is_empty() { without } else { asked_for } {
        if !found.contains(&one) {
            found.push(one);
        }
    }
    found
}

fn read(path: &Path) -> Result<Trace, Failure> {
    if path == Path::new("-") {
        return read_lines("standard input", io::stdin().lock(), Meter::of_stream());
    }
    let shown = path.display().to_string();
    let failed = |error| Failure::Because(format!("cannot read {shown}: {error}"));
    #[expect(clippy::disallowed_methods, reason = "a file that the user names")]
    let file = File::open(path).map_err(failed)?;
    let len = file.metadata().map_err(failed)?.len();
    read_lines(&shown, BufReader::new(file), Meter::of_bytes(len))
}

fn read_lines(shown: &str, mut input: impl BufRead, mut meter: Meter) -> Result<Trace, Failure> {
    let mut reader = TraceReader::default();
    let (mut line, mut number, mut read_bytes) = (String::new(), 0_u64, 0);
    loop {
        line.clear();
        number += 1;
        let wrong = |reason: String| Failure::Because(format!("{shown}:{number}: {reason}"));
        let read = input.by_ref().take(LINE_LEN_MAX + 1).read_line(&mut line);
        let len = read.map_err(|error| wrong(format!("cannot read: {error}")))? as u64;
        if len == 0 {
            let trace = reader.finish(shown);
            return match trace.requests().is_empty() {
                true => Err(Failure::Because(format!("{shown} has no requests"))),
                false => Ok(trace),
            };
        }
        if len > LINE_LEN_MAX {
            return Err(wrong(format!("a line of more than {LINE_LEN_MAX} bytes")));
        }
        reader.line(&line).map_err(|error| wrong(error.reason))?;
        read_bytes += len;
        meter.at(read_bytes);
    }
}

fn json(compared: &Comparison) -> Value {
    let traces = compared.traces().iter().enumerate().map(|(number, trace)| {
        let scores = compared.scores().iter().filter(|score| score.trace == number);
        let scores = scores.map(|score| {
            json!({
                "policy": score.contender.name(),
                "size": score.size,
                "capacity_bytes": score.capacity,
                "misses": score.misses,
                "miss_ratio": score.miss_ratio,
            })
        });
        json!({
            "name": trace.name,
            "requests": trace.requests,
            "objects": trace.objects,
            "bytes": trace.bytes,
            "scores": scores.collect::<Vec<_>>(),
        })
    });
    let means = compared.contenders().iter().map(|&contender| {
        (contender.name().to_owned(), json!(compared.mean_miss_ratio(contender)))
    });
    let verdict = compared.verdict().map(|verdict| {
        let (trace, best, ratio) = verdict.worst;
        json!({
            "policy": Contender::DEFAULT.name(),
            "best": verdict.best.name(),
            "to_best": verdict.to_best,
            "to_lru": verdict.to_lru,
            "worst": {
                "trace": compared.traces().get(trace).map(|trace| trace.name.as_str()),
                "best": best.name(),
                "to_best": ratio,
            },
        })
    });
    json!({
        "traces": traces.collect::<Vec<_>>(),
        "mean_miss_ratio": means.collect::<serde_json::Map<_, _>>(),
        "verdict": verdict,
    })
}
