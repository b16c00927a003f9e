//! What every rival does, how it is timed, and how it is told: the Rust half.
//!
//! `../workload.hpp` holds the same in C++; the two must draw the same keys, orders and values. A
//! rival implements [`Rival`] and hands itself to [`main`]. Not a benchmark by itself: the harness
//! starts the programs, in turns, and compares what they print.

mod feed;
mod meter;
mod rows;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

pub use feed::{Feed, Scanned, Tally};

/// A failure with a line that says what to do.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Keys of one call of [`Rival::get_bulk`].
pub const BULK: usize = 32;
/// Length of a key: `%08d`.
pub const KEY_LEN: usize = 8;

/// Puts a transaction, where nothing else is said.
pub const BATCH: u32 = 10_000;
/// Caches of a tree, where nothing else is said: more than any store here needs.
const MEMORY_AMPLE: u64 = 4 << 30;

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Records found by their keys.
    Hash,
    /// Records in the order of their keys.
    Tree,
}

/// What a rival is told when it opens a store.
#[derive(Debug, Clone)]
pub struct Shape {
    /// An existing directory for this store alone.
    pub dir: PathBuf,
    /// Records that will be put.
    pub records: u32,
    /// Bytes of a value.
    pub value_len: usize,
    /// For [`Rival::put_durable`], from several threads at once; otherwise flushed by
    /// [`Rival::sync`] only.
    pub durable: bool,
    /// What is compared.
    pub kind: Kind,
    /// Puts a transaction, for those who have transactions.
    pub batch: u32,
    /// Bytes that the caches of a tree may take, the kernel's share of them included.
    pub memory: u64,
}

/// How a rival reads many records at once.
#[derive(Debug, Clone, Copy)]
pub enum Bulk {
    /// By a call of its own.
    Native,
    /// One after the other.
    Loop,
}

/// An engine. The loops are its own, so that it may hold a transaction over many operations.
pub trait Rival: Sized + Sync {
    /// How it gets many records.
    const BULK: Bulk;

    /// When it flushes.
    fn policy(shape: &Shape) -> &'static str;
    /// Opens the store, creating what is missing.
    fn open(shape: &Shape) -> Result<Self>;
    /// Puts every record of the feed.
    fn put_all(&self, feed: &mut Feed<'_>) -> Result<()>;
    /// Gets every key of the feed, one by one.
    fn get_all(&self, feed: &mut Feed<'_>, tally: &mut Tally) -> Result<()>;
    /// Gets every key of the feed, [`BULK`] at a time.
    fn get_bulk(&self, feed: &mut Feed<'_>, tally: &mut Tally) -> Result<()>;
    /// Deletes every key of the feed; the number that was there.
    fn remove_all(&self, feed: &mut Feed<'_>) -> Result<u64>;
    /// Everything to the disk.
    fn sync(&self) -> Result<()>;
    /// Closes in good order.
    fn close(self) -> Result<()>;
    /// One put that is on the disk when it returns; from any thread.
    fn put_durable(&self, key: &[u8], value: &[u8]) -> Result<()>;

    /// Appends the value of every record of the feed to what is there.
    fn append_all(&self, _feed: &mut Feed<'_>) -> Result<()> {
        not_ordered()
    }
    /// Every record, from the first key to the last.
    fn scan(&self, _scanned: &mut Scanned) -> Result<()> {
        not_ordered()
    }
    /// Gets one key, from any thread; sees what was put before.
    fn get_any(&self, _key: &[u8], _tally: &mut Tally) -> Result<()> {
        not_ordered()
    }
    /// One put as a transaction of its own, from any thread.
    fn put_any(&self, _key: &[u8], _value: &[u8]) -> Result<()> {
        not_ordered()
    }
}

fn not_ordered() -> Result<()> {
    Err("not an ordered engine".into())
}

/// Arguments of a rival's program.
#[derive(Debug, Parser)]
pub struct Arguments {
    /// Directory for the store; created, emptied, and removed at the end
    #[arg(long)]
    pub dir: PathBuf,
    /// What to compare
    #[arg(long, value_enum, default_value = "hash")]
    pub kind: Kind,
    /// Bytes of memory in cold rows; ample without
    #[arg(long, default_value_t = MEMORY_AMPLE)]
    pub memory: u64,
    /// Number of records
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    pub records: u32,
    /// Bytes of a value
    #[arg(long, default_value_t = 8)]
    pub value_len: usize,
    /// Rows, separated by commas
    #[arg(long, value_delimiter = ',', required = true)]
    pub rows: Vec<String>,
    /// Of all random orders
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Length of a durable row
    #[arg(long, default_value_t = 2.0)]
    pub seconds: f64,
}

/// Runs the rows of the command line and prints a line of JSON for each.
pub fn main<R: Rival>() -> ExitCode {
    match rows::run::<R>(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
