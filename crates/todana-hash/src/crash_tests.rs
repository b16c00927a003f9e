//! A workload on a simulated disk that loses its power at every single operation. What is found
//! afterwards is the state after some prefix of the changes, and the prefix has everything that was
//! acknowledged as durable or shown as such.

use crate::{FlushPolicy, Hash, HashOptions};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use todana_engine::{
    Applied, Cursor, Edit, Engine, Error, Level, Mutation, NewVersion, Progress, Put, Touch,
    UnitMutation, View,
};
use todana_io::{Disk, Generator};
use todana_record::{Expiry, Meta, PartitionId, Position, Timestamp};
use todana_sim::{Fault, SimDisk};

const START_MS: u64 = 1_700_000_000_000;
const STORE: &str = "/data/crash.tdh";

type State = BTreeMap<Vec<u8>, (Vec<u8>, Meta)>;

/// What the test wants of one key.
#[derive(Debug, Clone)]
enum Wish {
    Put(Vec<u8>, u32, Expiry),
    Append(Vec<u8>),
    Touch(Expiry),
    Remove,
}

impl Wish {
    fn edit(&self) -> Edit<'_> {
        match self {
            Wish::Put(value, flags, expiry) => {
                Edit::Put(Put { flags: *flags, expiry: *expiry, ..Put::bytes(value) })
            }
            Wish::Append(bytes) => Edit::Append { bytes, expiry: None, version: NewVersion::Next },
            Wish::Touch(expiry) => Edit::Touch(Touch { expiry: Some(*expiry), ..Touch::default() }),
            Wish::Remove => Edit::Remove,
        }
    }
}

impl Mutation for Wish {
    fn evaluate<'s>(&'s mut self, _: Option<&'s View<'s>>) -> Edit<'s> {
        self.edit()
    }
}

struct All(Vec<Wish>);
impl UnitMutation for All {
    fn evaluate<'s>(&'s mut self, _: &'s [Option<View<'s>>]) -> Vec<Edit<'s>> {
        self.0.iter().map(Wish::edit).collect()
    }
}

fn wish(random: &mut Generator, now: Timestamp) -> Wish {
    let len = match random.below(12) {
        0 => random.below(40_000),
        1..4 => random.below(3_000),
        _ => random.below(60),
    };
    let value = vec![random.next_u64() as u8; len as usize];
    let expiry = match random.below(8) {
        0 => Expiry::at(now.plus_ms(random.below(100_000))),
        _ => Expiry::NEVER,
    };
    match random.below(10) {
        0..2 => Wish::Remove,
        2 => Wish::Append(value),
        3 => Wish::Touch(expiry),
        _ => Wish::Put(value, random.below(3) as u32, expiry),
    }
}

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

fn state_of(hash: &Hash, now: Timestamp) -> Result<State, Error> {
    let mut state = State::new();
    let mut cursor = Some(Cursor::START);
    while let Some(from) = cursor {
        cursor = hash.scan(&from, 100, now, &mut |view| {
            let value = view.value.as_bytes().unwrap().to_vec();
            state.insert(view.key.to_vec(), (value, view.meta));
        })?;
    }
    Ok(state)
}

/// What is left of a state at a moment.
fn shown(state: &State, now: Timestamp) -> State {
    let alive = state.iter().filter(|(_, (_, meta))| !meta.expiry.is_past(now));
    alive.map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// States after each change of a run, as far as it came, and how many of them were acknowledged.
#[derive(Default)]
struct History {
    states: Vec<State>,
    positions: Vec<Position>,
    safe: usize,
    reclaimed: u64,
}

impl History {
    fn last(&self) -> usize {
        self.states.len() - 1
    }

    fn add(&mut self, state: State, position: Position) {
        self.states.push(state);
        self.positions.push(position);
    }

    fn told(&mut self, durable: Position) {
        let told = self.positions.partition_point(|position| *position <= durable);
        self.safe = self.safe.max(told.saturating_sub(1));
    }
}

fn done(progress: Progress<Applied>) -> Position {
    match progress {
        Progress::Done(applied) => applied.position,
        Progress::Pending(_) => panic!("this engine does not wait"),
    }
}

fn change(hash: &Hash, random: &mut Generator, now: Timestamp) -> Result<Position, Error> {
    let key = |random: &mut Generator| random.below(40).to_le_bytes()[..2].to_vec();
    match random.below(40) {
        0 => hash.flush(None, now),
        1..6 => {
            let keys: Vec<Vec<u8>> = (0..1 + random.below(6)).map(|_| key(random)).collect();
            let wishes = keys.iter().map(|_| wish(random, now)).collect();
            let keys: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
            hash.update_many(&keys, now, &mut All(wishes)).map(done)
        }
        _ => hash.update(&key(random), now, &mut wish(random, now)).map(done),
    }
}

/// Runs a workload until it ends or fails.
fn run(disk: &SimDisk, seed: u64, steps: u32, history: &mut History) -> Result<(), Error> {
    let mut random = Generator::new(seed);
    let flush = if seed.is_multiple_of(2) { FlushPolicy::Group } else { FlushPolicy::Never };
    let mut now_ms = START_MS;
    let mut hash = open(disk, flush)?;
    hash.clock().advance(now_ms);
    history.add(State::new(), Position::START);
    for _ in 0..steps {
        now_ms += random.below(50);
        let now = hash.clock().advance(now_ms);
        if random.one_in(30) {
            // A clean close and an open change nothing.
            let before = history.states[history.last()].clone();
            hash.close()?;
            history.safe = history.last();
            drop(hash);
            hash = open(disk, flush)?;
            hash.clock().advance(now_ms);
            assert_eq!(state_of(&hash, now)?, shown(&before, now), "seed {seed}: after a close");
            continue;
        }
        let changed = change(&hash, &mut random, now);
        // A change that failed late may be there or not: both are states of the history then.
        if let Ok(state) = state_of(&hash, now) {
            let position = hash.watermark(PartitionId(0), Level::Applied);
            history.add(state, position.max(*changed.as_ref().unwrap_or(&position)));
        }
        changed?;
        if random.one_in(4) {
            hash.sync()?;
            history.safe = history.last();
        }
        while random.one_in(2) {
            hash.run_job(random.below(2) as usize, now);
            hash.check_poison()?;
        }
        if random.one_in(20) {
            hash.compact()?;
        }
        history.reclaimed += hash.statistics(now).segments_reclaimed;
        if flush == FlushPolicy::Group {
            history.told(hash.watermark(PartitionId(0), Level::Durable));
        }
    }
    hash.close()?;
    history.safe = history.last();
    Ok(())
}

/// Opens what a crash has left and compares it with the history; gives what was found.
fn check(disk: &SimDisk, history: &History, what: &str) -> State {
    let hash = open(disk, FlushPolicy::Group).unwrap_or_else(|error| panic!("{what}: {error}"));
    // Later than every clock of the run; some records have ended by then.
    let now = hash.clock().advance(START_MS + 20_000);
    let found = state_of(&hash, now).unwrap_or_else(|error| panic!("{what}: {error}"));
    let allowed = history.states.get(history.safe..).unwrap_or_default();
    let allowed: Vec<State> = allowed.iter().map(|state| shown(state, now)).collect();
    let nothing = allowed.is_empty() && found.is_empty();
    if !nothing && !allowed.contains(&found) {
        let last = allowed.first().cloned().unwrap_or_default();
        let differs = |key: &&Vec<u8>| found.get(*key) != last.get(*key);
        let keys: Vec<_> = found.keys().chain(last.keys()).filter(differs).collect();
        panic!(
            "{what}: of {} states none after {} was found; {keys:?} differ from the last safe one; \
             {:?}",
            history.states.len(),
            history.safe,
            hash.report(),
        );
    }
    hash.update(b"after", now, &mut Wish::Put(vec![1], 0, Expiry::NEVER)).unwrap();
    hash.close().unwrap();
    found
}

fn crash_points(seed: u64, steps: u32, stride: u64, crashes: u64) -> u64 {
    let disk = SimDisk::new(seed);
    let mut history = History::default();
    run(&disk, seed, steps, &mut history).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    assert!(history.reclaimed > 0, "seed {seed}: nothing was compacted");
    check(&disk.kill(), &history, &format!("seed {seed}, whole"));
    let operations = disk.operations();
    let mut points = 0;
    let mut at = seed % stride;
    while at < operations {
        let disk = SimDisk::new(seed);
        disk.fail_at(at, Fault::PowerOff);
        let mut history = History::default();
        // Some operations come after the last that a run needs.
        let _ = run(&disk, seed, steps, &mut history);
        for crash in 0..crashes {
            let what = format!("seed {seed}, power off at {at} of {operations}, crash {crash}");
            let after = disk.crash(crash * 1_000 + at);
            let mut found = check(&after, &history, &what);
            // What was recovered once stays: another crash, at once, changes nothing.
            let hash = open(&after.crash(crash), FlushPolicy::Group);
            let hash = hash.unwrap_or_else(|error| panic!("{what}, again: {error}"));
            let now = hash.clock().advance(START_MS + 20_000);
            let again = state_of(&hash, now).unwrap();
            found.insert(b"after".to_vec(), again[&b"after"[..]].clone());
            assert_eq!(again, found, "{what}, again");
            points += 1;
        }
        at += stride;
    }
    points
}

#[test]
fn every_crash_leaves_a_prefix_with_everything_acknowledged() {
    let points: u64 = (0..8).map(|seed| crash_points(seed, 60, 7, 3)).sum();
    println!("{points} crash points");
    assert!(points > 100);
}

/// The long tier: `cargo test --release -p todana-hash -- --ignored`.
#[test]
#[ignore = "minutes long"]
fn twenty_thousand_crash_points() {
    let (mut points, mut seed) = (0, 100);
    while points < 20_000 {
        points += crash_points(seed, 150, 1, 3);
        seed += 1;
    }
    println!("{points} crash points, {} workloads", seed - 100);
}
