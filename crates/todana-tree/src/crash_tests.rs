//! Workloads on a simulated disk that goes wrong at every single operation, and what is found
//! afterwards: the hash engine's, with what is particular of a tree. What is tested, and what has to hold, (C1) to
//! (C7), stands in `crash_tests.rs` of `todana-hash`, whose modules these are.
//!
//! The workload's keys are many enough that leaves split, and units and ranges of them come and go, so that
//! leaves join; checkpoints go on in slices between the changes; the memory for leaves is short.

#[path = "../../todana-hash/src/crash_tests/faults.rs"]
mod faults;
#[path = "../../todana-hash/src/crash_tests/flips.rs"]
mod flips;
#[path = "../../todana-hash/src/crash_tests/history.rs"]
mod history;
#[path = "../../todana-hash/src/crash_tests/power.rs"]
mod power;
#[path = "../../todana-hash/src/crash_tests/run.rs"]
mod run;
mod single;
#[path = "../../todana-hash/src/crash_tests/squeeze.rs"]
mod squeeze;

use crate::{FlushPolicy, Report, Tree, TreeOptions};
use run::{All, Wish};
use std::ops::{Bound, Deref};
use std::path::Path;
use std::sync::Arc;
use todana_engine::{Engine, Error, Ordered, Range, View};
use todana_io::{Disk, Generator};
use todana_record::{Expiry, Position, Timestamp};
use todana_sim::SimDisk;

const START_MS: u64 = 1_700_000_000_000;
/// Later than every clock of a workload; some records have ended by then.
const LATER_MS: u64 = START_MS + 20_000;
const STORE: &str = "/data/crash.tdt";
/// Steps of a workload of the quick tier.
const STEPS: u32 = 80;
const KEYS: u64 = 400;

/// A tree, and what opening it found.
struct Store {
    tree: Tree,
    report: Report,
}

impl Deref for Store {
    type Target = Tree;

    fn deref(&self) -> &Tree {
        &self.tree
    }
}

const OPTIONS: TreeOptions = TreeOptions {
    versions: true,
    memory_limit_bytes: 0,
    cache_bytes: 16 << 10,
    flush: FlushPolicy::Group,
    mode: crate::Mode::Create,
    checkpoint_bytes: 4 << 10,
    stream_bytes: 0,
    least_segment_bytes: 8 << 10,
};

fn open(disk: &SimDisk, flush: FlushPolicy) -> Result<Store, Error> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let options = TreeOptions { flush, ..OPTIONS };
    let (tree, report) = Tree::open(disk, Path::new(STORE), options)?;
    Ok(Store { tree, report })
}

fn report(store: &Store) -> &Report {
    &store.report
}

fn check_poison(store: &Store) -> Result<(), Error> {
    store.tree.check_poison()
}

/// Makes a checkpoint, from beginning to end.
fn tidy(store: &Store) -> Result<(), Error> {
    store.checkpoint()
}

/// Checkpoints since the store was opened.
fn tidied(store: &Store, _: Timestamp) -> u64 {
    store.files.as_ref().map_or(0, |files| files.checkpointer.lock().ended)
}

fn key(number: u64) -> Vec<u8> {
    format!("key {number:05}").into_bytes()
}

fn keys() -> impl Iterator<Item = Vec<u8>> {
    (0..KEYS + 100).map(key)
}

fn draw_key(random: &mut Generator) -> Vec<u8> {
    key(random.below(KEYS))
}

/// Bytes of a value.
fn draw_len(random: &mut Generator) -> u64 {
    match random.below(12) {
        0 => random.below(3_000),
        1..4 => random.below(600),
        _ => random.below(60),
    }
}

/// Puts or removes many keys that stand side by side, as a unit, or removes a range.
fn own_change(
    store: &Store,
    random: &mut Generator,
    now: Timestamp,
) -> Option<Result<Position, Error>> {
    let first = random.below(KEYS);
    let wish = match random.below(20) {
        0 => {
            let (from, to) = (key(first), key(first + random.below(KEYS / 4)));
            let from = match random.below(3) {
                0 => Bound::Unbounded,
                1 => Bound::Excluded(&from[..]),
                _ => Bound::Included(&from[..]),
            };
            let range = Range { from, to: Bound::Excluded(&to) };
            return Some(store.remove_range(&range, now).map(|applied| applied.position));
        }
        1 => Wish::Remove,
        2..6 => Wish::Put(
            vec![random.below(256) as u8; draw_len(random) as usize / 4],
            0,
            Expiry::NEVER,
        ),
        _ => return None,
    };
    let keys: Vec<_> = (0..20 + random.below(KEYS / 6)).map(|next| key(first + next)).collect();
    let names: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
    let mut all = All(vec![wish; keys.len()]);
    Some(store.update_many(&names, now, &mut all).map(run::done))
}

/// A block keeps no position of each of its records: there is none that stays.
fn position_of(_: &View<'_>) -> Position {
    Position::START
}

/// Whether an error says that a file is damaged.
fn names(error: &Error, file: &str) -> bool {
    error.to_string().contains(file)
}
