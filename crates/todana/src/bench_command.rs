//! `todana bench`: options to a plan of `todana-bench`, a bar on a terminal, a report.

use std::io::{self, ErrorKind, IsTerminal as _, Write as _};
use std::ops::ControlFlow;
use std::process::ExitCode;

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use todana_bench::{Amount, Dialect, Distribution, Plan, Progress, Report, Target, ValueSize};

/// Replies were errors.
const REFUSED: u8 = 1;
/// The run failed.
const FAILED: u8 = 2;
/// Steps of the bar.
const BAR_STEPS: u64 = 1_000;

/// Measure a server: throughput, hits, latencies.
///
/// Every key is stored once, the load runs for a second unmeasured, then it is measured.
#[derive(Debug, Args)]
#[command(after_help = "\
Without --rate a connection sends its next requests when the last are answered (closed loop): good
for throughput. With --rate requests fall due at fixed times, whatever the server does, and
latencies count from then (open loop): good for latencies.

Examples:
  todana bench
  todana bench -c 200 -t 2 -P 16 --duration 30s
  todana bench --rate 50000 --zipf 0.99 -d 64-1024
  todana bench --requests 1000000 --get-ratio 0 --no-preload --json

Exit status: 0 done, 1 some replies were errors, 2 error.")]
pub(crate) struct BenchArgs {
    /// Server: HOST:PORT, or the path of a Unix socket.
    #[arg(
        short,
        long,
        value_name = "ADDRESS",
        env = "TODANA_SERVER",
        default_value = "127.0.0.1:11211"
    )]
    server: Target,
    /// Connections, shared out to the threads.
    #[arg(short, long, value_name = "N", default_value_t = 50)]
    connections: usize,
    /// Threads.
    #[arg(short, long, value_name = "N", default_value_t = 1)]
    threads: usize,
    /// Requests that a connection sends at once.
    #[arg(short = 'P', long, value_name = "N", default_value_t = 1)]
    pipeline: usize,
    /// Keys in one get; above 1 only with `--dialect text`.
    #[arg(long, value_name = "N", default_value_t = 1)]
    multiget: usize,
    /// Bytes of every key.
    #[arg(short = 'k', long, value_name = "BYTES", default_value_t = 26)]
    key_size: usize,
    /// Bytes of the values: 64, a range as 64-1024, or a choice as 64,1024,8192.
    #[arg(short = 'd', long, value_name = "BYTES", default_value = "64")]
    value_size: ValueSize,
    /// Different keys.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100_000)]
    keys: u64,
    /// Ask for keys by Zipf's law with this exponent, such as 0.99, instead of all alike.
    #[arg(long, value_name = "THETA")]
    zipf: Option<f64>,
    /// Share of gets, from 0 to 1; the others are sets.
    #[arg(long, value_name = "SHARE", default_value_t = 0.9)]
    get_ratio: f64,
    /// text, meta, meta-quiet, binary or binary-quiet.
    #[arg(long, value_name = "NAME", default_value = "text")]
    dialect: Dialect,
    /// Time to measure, such as 10s, 250ms or 2m.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    duration: Amount,
    /// Measure so many requests, however long they take.
    #[arg(long, value_name = "N", conflicts_with = "duration")]
    requests: Option<u64>,
    /// Open loop: send so many requests a second.
    #[arg(long, value_name = "N")]
    rate: Option<f64>,
    /// Do not store every key first.
    #[arg(long)]
    no_preload: bool,
    /// Seed of all randomness.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Print the report as one JSON object.
    #[arg(long)]
    json: bool,
}

/// Reads a time; a bare number would be requests.
fn duration(text: &str) -> Result<Amount, String> {
    match text.parse() {
        Ok(amount @ Amount::DurationMs(_)) => Ok(amount),
        _ => Err("write 10s, 250ms or 2m; --requests takes a number of requests".to_owned()),
    }
}

impl BenchArgs {
    /// Runs the command.
    pub(crate) fn run(self) -> ExitCode {
        let plan = self.plan();
        let bar = bar();
        let ran = todana_bench::run(&plan, |progress| {
            show(&bar, &progress);
            ControlFlow::Continue(())
        });
        bar.finish_and_clear();
        let failure = match ran {
            Ok(report) => match self.print(&report) {
                Ok(()) if report.errors > 0 => return ExitCode::from(REFUSED),
                Ok(()) => return ExitCode::SUCCESS,
                Err(error) if error.kind() == ErrorKind::BrokenPipe => return ExitCode::SUCCESS,
                Err(error) => format!("cannot write the report: {error}"),
            },
            Err(error) => error.to_string(),
        };
        // Nowhere is left to say that standard error is closed.
        let _ = writeln!(io::stderr(), "todana: bench {}: {failure}", plan.target);
        ExitCode::from(FAILED)
    }

    fn plan(&self) -> Plan {
        Plan {
            target: self.server.clone(),
            connections: self.connections,
            threads: self.threads,
            pipeline: self.pipeline,
            keys_per_get: self.multiget,
            key_size_bytes: self.key_size,
            value_size: self.value_size.clone(),
            keys: self.keys,
            distribution: self.zipf.map_or(Distribution::Uniform, Distribution::Zipf),
            get_ratio: self.get_ratio,
            dialect: self.dialect,
            amount: self.requests.map_or(self.duration, Amount::Requests),
            rate: self.rate,
            seed: self.seed,
            preload: !self.no_preload,
            ..Plan::default()
        }
    }

    fn print(&self, report: &Report) -> io::Result<()> {
        let text = match self.json {
            true => report.to_json().map_err(io::Error::other)? + "\n",
            false => report.to_string(),
        };
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }
}

/// A bar on standard error, or nothing where that is no terminal.
fn bar() -> ProgressBar {
    let target = match io::stderr().is_terminal() {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    };
    let bar = ProgressBar::with_draw_target(Some(BAR_STEPS), target);
    // The template is a constant; a wrong one would leave the plain bar.
    if let Ok(style) = ProgressStyle::with_template("{prefix:>8} [{bar:40}] {percent:>3}% {msg}") {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}

fn show(bar: &ProgressBar, progress: &Progress) {
    let (phase, message) = match progress {
        Progress::Preload { done, total } => ("preload", format!("{done} of {total} keys")),
        Progress::WarmUp { .. } => ("warm-up", String::new()),
        Progress::Measuring { elapsed, requests, .. } => {
            let rate = *requests as f64 / elapsed.as_secs_f64().max(0.001);
            ("measure", format!("{rate:.0} requests/s"))
        }
        _ => return,
    };
    #[expect(clippy::cast_possible_truncation, reason = "a fraction is at most 1")]
    let steps = (progress.fraction() * BAR_STEPS as f64) as u64;
    bar.set_position(steps);
    bar.set_prefix(phase);
    bar.set_message(message);
}
