//! Todana, memcached, Redis and a server that does nothing, side by side in one run. See `README.md`.

mod ask;
mod contestant;
mod counts;
mod density;
mod fill;
mod floor;
mod gate;
mod machine;
mod measure;
mod misses;
mod rows;
mod table;
mod tail;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use serde::Serialize;
use todana_bench::Distribution;

use crate::contestant::Who;

/// A failure with a line that says what to do.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

#[derive(Parser)]
#[command(about, version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure CPU per key and throughput, row by row, and print a Markdown table
    Run(RunArgs),
    /// Count system calls and instructions per key
    Counts(CountsArgs),
    /// Measure latencies at a share of memcached's peak
    Tail(tail::TailArgs),
    /// Count the records held in a given resident memory
    Density(density::DensityArgs),
    /// Count misses at equal resident memory
    Misses(misses::MissesArgs),
    /// Run the load generator alone: a plan as JSON, for example '{"pipeline": 50}'
    Load {
        /// The plan; what it leaves out is as in `Plan::default()`
        plan: String,
        /// Print the report as JSON
        #[arg(long)]
        json: bool,
    },
    /// Be the server that does nothing but read and write (started by `run`)
    Floor(floor::FloorArgs),
}

/// Who takes part, and where.
#[derive(Args, Clone)]
pub(crate) struct Contestants {
    /// The memcached to run
    #[arg(long, default_value = "memcached")]
    pub(crate) memcached: PathBuf,
    /// Another memcached, measured as `memcached-new` (a newer version)
    #[arg(long)]
    pub(crate) memcached_new: Option<PathBuf>,
    /// The Redis to run
    #[arg(long, default_value = "redis-server")]
    pub(crate) redis: PathBuf,
    /// The Todana to run
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/release/todana"))]
    pub(crate) todana: PathBuf,
    /// Another Todana, measured as `before` (a build of an earlier commit)
    #[arg(long)]
    pub(crate) before: Option<PathBuf>,
    /// Only these, by commas; the floor is always there
    #[arg(long, value_delimiter = ',')]
    pub(crate) who: Vec<Who>,
    /// More arguments for Todana, separated by spaces
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    pub(crate) todana_args: String,
    /// More arguments for memcached, separated by spaces
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    pub(crate) memcached_args: String,
    /// Memory of a server, in MiB
    #[arg(long, default_value_t = 1024)]
    pub(crate) memory_mib: u64,
    /// First port to try
    #[arg(long, default_value_t = 23_100)]
    pub(crate) port: u16,
    /// Core of the servers
    #[arg(long, default_value_t = 0)]
    pub(crate) server_core: usize,
    /// Core of the client
    #[arg(long, default_value_t = 1)]
    pub(crate) client_core: usize,
}

#[derive(Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) contestants: Contestants,
    /// Keys to preload; fewer where the memory would not hold them
    #[arg(long, default_value_t = 4_000_000)]
    pub(crate) keys: u64,
    /// Measurements of each contestant in each row and mode; a multiple of twice the number of
    /// contestants gives everybody every place in the order equally often
    #[arg(long, default_value_t = 12)]
    pub(crate) rounds: usize,
    /// Length of one measurement in the open loop, in milliseconds
    #[arg(long, default_value_t = 700)]
    pub(crate) open_ms: u64,
    /// Length of one measurement in the closed loop, in milliseconds
    #[arg(long, default_value_t = 300)]
    pub(crate) closed_ms: u64,
    /// Rate of the open loop, as a share of what the slowest contestant sustains
    #[arg(long, default_value_t = 0.6)]
    pub(crate) load: f64,
    /// Open loop: connections that send at the same moment, 1 to 50; see the README
    #[arg(long, default_value_t = 50)]
    pub(crate) burst: usize,
    /// How keys are chosen: uniform, zipf or zipf:0.99, several by commas
    #[arg(long, value_delimiter = ',', default_value = "uniform")]
    pub(crate) keys_by: Vec<Distribution>,
    /// Only rows whose name contains this
    #[arg(long)]
    pub(crate) only: Option<String>,
    /// Also rows over a Unix socket
    #[arg(long)]
    pub(crate) unix: bool,
    /// Short and rough: few keys, short measurements
    #[arg(long)]
    pub(crate) quick: bool,
    /// Write every measurement to this file
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
}

#[derive(Args, Clone)]
pub(crate) struct CountsArgs {
    #[command(flatten)]
    pub(crate) contestants: Contestants,
    /// Keys to preload
    #[arg(long, default_value_t = 10_000)]
    pub(crate) keys: u64,
    /// Batches of the shorter run; the longer has twice as many, the difference counts
    #[arg(long, default_value_t = 1_000)]
    pub(crate) batches: u64,
    /// Connections; more than one makes system calls depend on timing
    #[arg(long, default_value_t = 1)]
    pub(crate) connections: usize,
    /// Only rows whose name contains this
    #[arg(long)]
    pub(crate) only: Option<String>,
    /// Write the counts to this file
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    /// Count Todana only and fail where a figure exceeds the stored one by more than 2 %
    #[arg(long, conflicts_with_all = ["keys", "batches", "connections", "who", "json"])]
    pub(crate) check: bool,
    /// Count Todana only and store the figures that `--check` compares with
    #[arg(long, conflicts_with_all = ["check", "keys", "batches", "connections", "who", "only", "json"])]
    pub(crate) store: bool,
    /// Where the figures are stored
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/counts.json"))]
    pub(crate) stored: PathBuf,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(args) => measure::run(args),
        Command::Counts(args) => counts::run(&args),
        Command::Tail(args) => tail::run(&args),
        Command::Density(args) => density::run(&args),
        Command::Misses(args) => misses::run(&args),
        Command::Floor(args) => floor::serve(&args),
        Command::Load { plan, json } => load(&plan, json),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("todana-side-by-side: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Writes what was measured to a file, if one was asked for.
pub(crate) fn write_json(path: Option<&Path>, measured: &impl Serialize) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    std::fs::write(path, serde_json::to_string_pretty(measured)?)
        .map_err(|error| format!("cannot write {}: {error}", path.display()).into())
}

/// The load generator by itself, at whatever server the plan names.
fn load(plan: &str, json: bool) -> Result<()> {
    let plan = serde_json::from_str(plan).map_err(|error| format!("the plan: {error}"))?;
    let report = todana_bench::run(&plan, |_| ControlFlow::Continue(()))?;
    if json {
        println!("{}", report.to_json()?)
    } else {
        print!("{report}")
    }
    Ok(())
}
