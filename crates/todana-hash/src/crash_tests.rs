//! Workloads on a simulated disk that goes wrong at every single operation, and what is found
//! afterwards.
//!
//! The workload ([`run`]) puts, appends, touches, removes and makes anew, in units too, flushes, compacts,
//! closes and opens. After each step everything that a reader would be shown is noted ([`history`]). What is
//! particular of an engine stands in this file, so that the ordered engine's tests have the same modules. Then:
//!
//! | module | what goes wrong | what has to hold |
//! |---|---|---|
//! | [`power`] | the power, at operation *n*; writes are torn, dropped, reordered | (C1) to (C4) |
//! | [`faults`] | operation *n* fails, or every sync from some moment on | (C1) to (C5) |
//! | [`space`], [`squeeze`] | the disk is full, for a while | (C6) |
//! | [`flips`] | a bit of a file is turned over | (C7) |
//!
//! - **(C1)** What is found is the state after some prefix of the changes; it has everything that was
//!   acknowledged as durable.
//! - **(C2)** What was found once stays: a loss of power right after the open changes nothing.
//! - **(C3)** A position or version that a reader was shown is never shown with another content, and the
//!   place of a change that was lost is not given again.
//! - **(C4)** After an end that was no close the incarnation rises; after a close it stays.
//! - **(C5)** After a failed write or sync the store is poisoned until it is opened anew: it writes
//!   nothing any more, every change and sync answers with the reason, reads go on.
//! - **(C6)** A full disk refuses puts with `NoSpace` and changes nothing then; gets and removals go on;
//!   when there is space again, so do puts.
//! - **(C7)** A flipped bit is never served: what is read is right, or an error names the file.

mod faults;
mod flips;
mod history;
mod power;
mod run;
mod single;
mod space;
mod squeeze;

use crate::{FlushPolicy, Hash, HashOptions, Report};
use std::path::Path;
use std::sync::Arc;
use todana_engine::{Engine, Error, View};
use todana_io::{Disk, Generator};
use todana_record::{Position, Timestamp};
use todana_sim::SimDisk;

const START_MS: u64 = 1_700_000_000_000;
/// Later than every clock of a workload; some records have ended by then.
const LATER_MS: u64 = START_MS + 20_000;
const STORE: &str = "/data/crash.tdh";
/// Steps of a workload of the quick tier.
const STEPS: u32 = 60;

type Store = Hash;

fn open(disk: &SimDisk, flush: FlushPolicy) -> Result<Hash, Error> {
    let options = HashOptions {
        flush,
        space_percent: 120,
        least_segment_bytes: 8 << 10,
        ..HashOptions::default()
    };
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    Hash::open(disk, Path::new(STORE), options)
}

fn report(store: &Store) -> &Report {
    store.report()
}

fn check_poison(store: &Store) -> Result<(), Error> {
    store.log.check_poison()
}

/// Takes space back, from beginning to end.
fn tidy(store: &Store) -> Result<(), Error> {
    store.compact()
}

/// How often that was done since the store was opened.
fn tidied(store: &Store, now: Timestamp) -> u64 {
    store.statistics(now).segments_reclaimed
}

fn keys() -> impl Iterator<Item = Vec<u8>> {
    (0..40u64).map(|key| key.to_le_bytes()[..2].to_vec())
}

fn draw_key(random: &mut Generator) -> Vec<u8> {
    random.below(40).to_le_bytes()[..2].to_vec()
}

/// Bytes of a value.
fn draw_len(random: &mut Generator) -> u64 {
    match random.below(12) {
        0 => random.below(40_000),
        1..4 => random.below(3_000),
        _ => random.below(60),
    }
}

/// A change that other engines do not know.
fn own_change(_: &Store, _: &mut Generator, _: Timestamp) -> Option<Result<Position, Error>> {
    None
}

/// A record's position; `START` where an engine gives no more than a bound.
fn position_of(view: &View<'_>) -> Position {
    view.position
}

/// Whether an error says that a file is damaged.
fn names(error: &Error, file: &str) -> bool {
    error.to_string().contains(file)
}
