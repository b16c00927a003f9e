//! Todana and other embedded databases, side by side in one run. See `README.md`.

mod bounds;
mod cgroup;
mod contestant;
mod floor;
mod measure;
mod row;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

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
    /// Measure every contestant that is there, in turns, and print Markdown tables
    Run(RunArgs),
    /// Say which contestants are there, and what to install for the others
    List {
        /// What to compare
        #[arg(long, value_enum, default_value = "hash")]
        kind: row::Kind,
    },
}

#[derive(Args)]
pub(crate) struct RunArgs {
    /// What to compare
    #[arg(long, value_enum, default_value = "hash")]
    pub(crate) kind: row::Kind,
    /// Number of records
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    pub(crate) records: u32,
    /// Bytes of a value
    #[arg(long, default_value_t = 8)]
    pub(crate) value_len: u32,
    /// Rows, separated by commas; all of the kind without
    #[arg(long, value_delimiter = ',')]
    pub(crate) rows: Vec<row::Row>,
    /// Only the contestants whose name contains this; may be given several times
    #[arg(long)]
    pub(crate) only: Vec<String>,
    /// Measurements of each contestant in each row
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) runs: u32,
    /// Length of one measurement of a durable row, in seconds
    #[arg(long, default_value_t = 2.0)]
    pub(crate) seconds: f64,
    /// Of all random orders; every round adds one
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Where the stores go, on the disk to be measured; what is put there is removed again
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/target/engines-data"))]
    pub(crate) dir: PathBuf,
    /// A memory cgroup made for this, to hold cold rows to their memory; its limit is changed
    #[arg(long)]
    pub(crate) cgroup: Option<PathBuf>,
    /// Write every measurement to this file
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(args) => measure::run(&args),
        Command::List { kind } => contestant::list(kind),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("todana-engines-side-by-side: {error}");
            ExitCode::FAILURE
        }
    }
}
