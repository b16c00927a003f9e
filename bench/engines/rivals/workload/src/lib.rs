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

use clap::Parser;

pub use feed::{Feed, Tally};

/// A failure with a line that says what to do.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Keys of one call of [`Rival::get_bulk`].
pub const BULK: usize = 32;
/// Length of a key: `%08d`.
pub const KEY_LEN: usize = 8;

/// What a rival is told when it opens a store.
#[derive(Debug)]
pub struct Shape {
    /// An existing directory for this store alone.
    pub dir: PathBuf,
    /// Records that will be put.
    pub records: u32,
    /// Bytes of a value.
    pub value_len: usize,
    /// For [`Rival::put_durable`], from several threads at once; otherwise one thread, flushed by
    /// [`Rival::sync`] only.
    pub durable: bool,
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
    /// When it flushes.
    const POLICY: &'static str;
    /// How [`Rival::put_durable`] makes sure.
    const DURABLE: &'static str;
    /// How it gets many records.
    const BULK: Bulk;

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
}

/// Arguments of a rival's program.
#[derive(Debug, Parser)]
pub struct Arguments {
    /// Directory for the store; created, emptied, and removed at the end
    #[arg(long)]
    pub dir: PathBuf,
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
