//! Random operations against a map that is obviously right, through closes, ends without a close, and
//! crashes of a store.
//!
//! Model and store have to agree on every answer: value, flags, expiry, kind, marks, version and position
//! of what an update or a get sees. After a crash the store says by its watermark how far it came; the
//! model takes back what came later, and then both have to be the same again, record by record.

mod model;

use crate::{FlushPolicy, Hash, HashOptions};
use model::*;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use todana_engine::{Cursor, Engine, Found, Level, Look, NewVersion, Touch};
use todana_io::{Disk, Generator, SystemDisk};
use todana_record::{Expiry, Kind, Meta, PartitionId, Position, Timestamp};
use todana_sim::SimDisk;

const START_MS: u64 = 1_700_000_000_000;

/// Where a walk goes.
#[derive(Debug, Clone, Copy)]
struct Plan {
    seed: u64,
    steps: u64,
    keys: u64,
    /// One step in so many is an end of the process.
    ends: u64,
    /// Longest usual value in bytes, and bytes of the smallest segment.
    value_len: u64,
    segment_len: u64,
}

struct Walk {
    plan: Plan,
    random: Generator,
    /// The simulated disk, or a place on a real one.
    sim: Option<SimDisk>,
    disk: Arc<dyn Disk>,
    directory: std::path::PathBuf,
    hash: Option<Hash>,
    model: Model,
    now: Timestamp,
    incarnation: u32,
    step: u64,
    ends: [u64; 4],
}

impl Walk {
    fn new(plan: Plan, files: Option<&Path>) -> Walk {
        let sim = files.is_none().then(|| SimDisk::new(plan.seed));
        let disk: Arc<dyn Disk> = match &sim {
            Some(sim) => Arc::new(sim.clone()),
            None => Arc::new(SystemDisk::new()),
        };
        let directory = files.unwrap_or(Path::new("/data")).join(format!("{}.tdh", plan.seed));
        let mut walk = Walk {
            plan,
            random: Generator::new(plan.seed),
            sim,
            disk,
            directory,
            hash: None,
            model: Model::default(),
            now: Timestamp::from_ms(START_MS),
            incarnation: 0,
            step: 0,
            ends: [0; 4],
        };
        walk.open();
        walk
    }

    fn at(&self) -> String {
        format!("{:?}, step {}, {:?}", self.plan, self.step, self.ends)
    }

    fn hash(&self) -> &Hash {
        self.hash.as_ref().expect("the store is open")
    }

    fn open(&mut self) {
        let flush = match self.random.below(3) {
            0 => FlushPolicy::Never,
            1 => FlushPolicy::Interval(Duration::from_millis(300)),
            _ => FlushPolicy::Group,
        };
        let options = HashOptions {
            flush,
            least_segment_bytes: self.plan.segment_len,
            space_percent: [110, 150, 300][self.random.below(3) as usize],
            ..HashOptions::default()
        };
        let hash = Hash::open(self.disk.clone(), &self.directory, options);
        let hash = hash.unwrap_or_else(|error| panic!("{}: {error}", self.at()));
        self.now = hash.clock().advance(self.now.ms());
        self.hash = Some(hash);
    }

    fn applied(&self) -> Position {
        self.hash().watermark(PartitionId(0), Level::Applied)
    }

    /// Ends the process in one way or another, and opens what is left.
    fn end(&mut self) {
        let way = if self.sim.is_some() { self.random.below(4) } else { self.random.below(2) };
        self.ends[way as usize] += 1;
        match (way, self.sim.clone()) {
            (0, _) => {
                self.hash().close().unwrap_or_else(|error| panic!("{}: {error}", self.at()));
                self.model.settle(u64::MAX);
            }
            // To be dropped closes as well.
            (1, _) | (_, None) => self.model.settle(u64::MAX),
            (2, Some(sim)) => self.sim = Some(sim.kill()),
            (_, Some(sim)) => self.sim = Some(sim.crash(self.random.next_u64())),
        }
        let applied = self.applied();
        self.hash = None;
        if let Some(sim) = &self.sim {
            self.disk = Arc::new(sim.clone());
        }
        self.open();
        if way < 2 {
            assert!(self.hash().report().clean, "{}", self.at());
        } else {
            let left = self.applied();
            // When no log is left of what was applied, the new incarnation's beginning stands for it: then
            // everything must be there.
            let is_new = left.incarnation > applied.incarnation;
            assert!(left <= applied || is_new, "{}: more than there was", self.at());
            self.model.take_back(self.hash().report().found);
            self.model.highest = self.model.highest.max(left.sequence);
            assert!(!self.hash().report().clean, "{}", self.at());
            self.incarnation += 1;
        }
        self.compare();
    }

    /// A flush that has become due happens at the next look.
    fn pass_time(&mut self) {
        if self.random.one_in(16) {
            let ms = if self.random.one_in(100) { 5_000 } else { self.random.below(200) };
            self.now = self.hash().clock().advance(self.now.ms() + ms);
        }
        if self.model.flush_due.is_some_and(|due| due <= self.now) {
            self.hash().get(b"", self.now, &mut |_| Look::Peeked);
            let cut = self.applied().sequence;
            assert!(cut > self.model.highest, "{}", self.at());
            self.model.cut(cut);
            self.model.highest = cut;
        }
    }

    fn key(&mut self) -> Vec<u8> {
        let number = match self.random.below(4) {
            0 => self.random.below(self.plan.keys.div_ceil(20)),
            _ => self.random.below(self.plan.keys),
        };
        // A few are long, one is empty.
        match number % 97 {
            0 if number == 0 => Vec::new(),
            0 => vec![number as u8; 300 + number as usize % 200],
            _ => number.to_string().into_bytes(),
        }
    }

    fn expiry(&mut self) -> Expiry {
        match self.random.below(5) {
            0 => Expiry::at(self.now.plus_ms(1 + self.random.below(3_000))),
            _ => Expiry::NEVER,
        }
    }

    fn value(&mut self) -> Vec<u8> {
        let len = match self.random.below(300) {
            0 => self.random.below(60_000),
            1..20 => self.random.below(10 * self.plan.value_len),
            _ => self.random.below(self.plan.value_len),
        };
        let first = self.random.next_u64();
        (0..len).map(|at| (first.wrapping_mul(at + 1) >> 56) as u8).collect()
    }

    fn version(&mut self) -> NewVersion {
        match self.random.one_in(10) {
            true => NewVersion::Given(self.random.next_u64() >> self.random.below(64)),
            false => NewVersion::Next,
        }
    }

    fn wish(&mut self) -> Wish {
        match self.random.below(12) {
            0..6 => Wish::Put {
                value: self.value(),
                meta: Meta {
                    flags: if self.random.one_in(3) { self.random.next_u64() as u32 } else { 0 },
                    expiry: self.expiry(),
                    version: 0,
                    kind: Kind(if self.random.one_in(8) { 3 } else { 0 }),
                    stale: self.random.one_in(16),
                    won: self.random.one_in(16),
                },
                version: self.version(),
            },
            6 => Wish::Append {
                bytes: self.value(),
                expiry: self.random.one_in(3).then(|| self.expiry()),
                version: self.version(),
            },
            7 => Wish::Touch(Touch {
                expiry: self.random.one_in(2).then(|| self.expiry()),
                stale: self.random.one_in(4).then(|| self.random.one_in(2)),
                won: self.random.one_in(4).then(|| self.random.one_in(2)),
                version: self.random.one_in(4).then(|| self.version()),
                fetch: self.random.one_in(2),
            }),
            8..11 => Wish::Remove,
            _ => Wish::Keep,
        }
    }

    /// Makes the change of a wish in the model; `found` is what the store has now, if it was asked.
    fn change(&mut self, key: &[u8], wish: &Wish, sequence: u64, found: Option<&Item>) {
        let current = self.model.get(key, self.now);
        let Some(outcome) = wish.outcome(current) else { return };
        let old = current.map_or(0, |item| item.meta.version);
        let item = outcome.map(|(value, meta)| {
            let (found, at) = (found.expect("a change was made"), self.at());
            let version = match wish.version() {
                None => old,
                Some(NewVersion::Given(version)) => version,
                Some(NewVersion::Next) => {
                    let version = found.meta.version;
                    assert!(version > self.model.highest && version <= sequence, "{at}: {version}");
                    version
                }
            };
            assert!(found.sequence > self.model.highest && found.sequence <= sequence, "{at}");
            Item { value, meta: Meta { version, ..meta }, sequence: found.sequence }
        });
        self.model.set(sequence, key, item);
    }

    fn look(&self, key: &[u8]) -> Option<Item> {
        let mut result = None;
        self.hash().get(key, self.now, &mut |found| {
            match found {
                Found::Record(view) => {
                    assert_eq!(view.key, key, "{}", self.at());
                    result = Some(item(&view));
                }
                Found::Absent(_) => {}
                found => panic!("{}: {found:?}", self.at()),
            }
            Look::Fetched
        });
        result
    }

    fn get(&mut self) {
        let count = if self.random.one_in(4) { 1 + self.random.below(70) } else { 1 };
        let keys: Vec<Vec<u8>> = (0..count).map(|_| self.key()).collect();
        let keys: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
        let mut next = 0;
        self.hash().get_many(&keys, self.now, &mut |at, found| {
            assert_eq!(at, next, "{}", self.at());
            next += 1;
            let found = match &found {
                Found::Record(view) => Some(item(view)),
                Found::Absent(_) => None,
                found => panic!("{}: {found:?}", self.at()),
            };
            let known = self.model.get(keys[at], self.now);
            assert!(found.as_ref() == known, "{}: {:?} {found:?} {known:?}", self.at(), keys[at]);
            Look::Fetched
        });
        assert_eq!(next, keys.len(), "{}", self.at());
    }

    fn update(&mut self) {
        let (key, wish) = (self.key(), self.wish());
        let is_blind = matches!(wish, Wish::Put { .. }) && self.random.one_in(2);
        let mut watched = Watched { wish: &wish, is_blind, saw: None };
        let applied = self.hash().update(&key, self.now, &mut watched);
        let applied = done(applied.unwrap_or_else(|error| panic!("{}: {error}", self.at())));
        let known = self.model.get(&key, self.now);
        assert!(is_blind || watched.saw.as_ref() == known, "{}: {key:?}", self.at());
        let sequence = applied.position.sequence;
        let found = self.look(&key);
        self.change(&key, &wish, sequence, found.as_ref());
        let known = self.model.get(&key, self.now);
        assert!(found.as_ref() == known, "{}: {key:?} {wish:?} {found:?} {known:?}", self.at());
        // What ends as soon as it is put was put all the same.
        if let Some(item) = known {
            assert_eq!(item.meta.version, applied.version, "{}", self.at());
        }
        self.model.highest = self.model.highest.max(sequence);
    }

    fn unit(&mut self) {
        let count = 1 + self.random.below(12);
        let keys: Vec<Vec<u8>> = (0..count).map(|_| self.key()).collect();
        let wishes: Vec<Wish> = keys.iter().map(|_| self.wish()).collect();
        let borrowed: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
        let mut watched = WatchedUnit(&wishes, Vec::new());
        let applied = self.hash().update_many(&borrowed, self.now, &mut watched);
        let applied = done(applied.unwrap_or_else(|error| panic!("{}: {error}", self.at())));
        let sequence = applied.position.sequence;
        for (key, seen) in keys.iter().zip(&watched.1) {
            assert!(seen.as_ref() == self.model.get(key, self.now), "{}: {key:?}", self.at());
        }
        for (at, (key, wish)) in keys.iter().zip(&wishes).enumerate() {
            // Of several edits of a key the last counts.
            let is_other =
                |(other, wish): (&Vec<u8>, &Wish)| other == key && !matches!(wish, Wish::Keep);
            if !keys.iter().zip(&wishes).skip(at + 1).any(is_other) {
                let found = self.look(key);
                self.change(key, wish, sequence, found.as_ref());
            }
        }
        for key in &keys {
            assert!(self.look(key).as_ref() == self.model.get(key, self.now), "{}", self.at());
        }
        self.model.highest = self.model.highest.max(sequence);
    }

    fn flush(&mut self) {
        let due = (!self.random.one_in(3)).then(|| self.now.plus_ms(self.random.below(8_000)));
        let position = self.hash().flush(due, self.now);
        let sequence = position.unwrap_or_else(|error| panic!("{}: {error}", self.at())).sequence;
        assert!(sequence > self.model.highest, "{}", self.at());
        self.model.highest = sequence;
        match due.filter(|due| *due > self.now) {
            Some(due) => self.model.set_due(sequence, Some(due)),
            None => self.model.cut(sequence),
        }
    }

    /// Store and model are the same, record by record.
    fn compare(&mut self) {
        self.pass_time();
        let (hash, now) = (self.hash(), self.now);
        let (mut cursor, mut shown) = (Some(Cursor::START), BTreeSet::new());
        while let Some(from) = cursor {
            let next = hash.scan(&from, 500, now, &mut |view| {
                assert!(shown.insert(view.key.to_vec()), "{}: {:?} twice", self.at(), view.key);
                let (found, known) = (item(view), self.model.get(view.key, now));
                assert!(known == Some(&found), "{}: {:?}", self.at(), view.key);
                let is_known = view.position.incarnation <= 1 + self.incarnation;
                assert!(is_known, "{}: {}", self.at(), view.position);
            });
            cursor = next.unwrap_or_else(|error| panic!("{}: {error}", self.at()));
        }
        for key in self.model.items.keys() {
            let known = self.model.get(key, now);
            let is_right = known.is_some() == shown.contains(key);
            let found = if is_right { None } else { self.look(key) };
            assert!(is_right, "{}: a scan misses {key:?}, {known:?}; a get {found:?}", self.at());
        }
    }

    fn work(&mut self) {
        let reclaimed = self.hash().statistics(self.now).segments_reclaimed;
        self.background();
        if self.hash().statistics(self.now).segments_reclaimed > reclaimed {
            // A file goes only when all changes are safe; those in it are no longer in the watermark then.
            self.model.settle(self.applied().sequence);
        }
    }

    fn background(&mut self) {
        match self.random.below(400) {
            0 => {
                self.hash().sync().unwrap_or_else(|error| panic!("{}: {error}", self.at()));
                self.model.settle(self.applied().sequence);
            }
            1 if self.random.one_in(20) => {
                self.hash().compact().unwrap_or_else(|error| panic!("{}: {error}", self.at()));
            }
            2 if self.random.one_in(10) => self.flush(),
            3 if self.random.one_in(4) => self.compare(),
            4..40 => {
                let job = self.random.below(2) as usize;
                self.hash().run_job(job, self.now);
                assert_eq!(self.hash().log.check_poison(), Ok(()), "{}", self.at());
                if self.hash().limits().lags {
                    let durable = self.hash().watermark(PartitionId(0), Level::Durable);
                    self.model.settle(durable.sequence);
                }
            }
            _ => {}
        }
    }

    fn run(mut self) -> [u64; 4] {
        while self.step < self.plan.steps {
            self.step += 1;
            self.pass_time();
            match self.random.below(20) {
                0..7 => self.get(),
                7 => self.unit(),
                _ => self.update(),
            }
            self.work();
            if self.random.one_in(self.plan.ends) {
                self.end();
            }
        }
        self.end();
        self.ends
    }
}

fn plan(seed: u64, steps: u64) -> Plan {
    let keys = [60, 700, 4_000][seed as usize % 3];
    let segment_len = [8 << 10, 64 << 10][seed as usize / 3 % 2];
    Plan { seed, steps, keys, ends: 400 + 60 * (seed % 4), value_len: 100, segment_len }
}

#[test]
fn a_walk_through_crashes_agrees_with_a_map() {
    for seed in 0..6 {
        let ends = Walk::new(plan(seed, 7_000), None).run();
        println!("seed {seed}: ends {ends:?}");
    }
}

#[test]
fn a_walk_on_files_agrees_with_a_map() {
    let directory = tempfile::tempdir().unwrap();
    Walk::new(plan(100, 10_000), Some(directory.path())).run();
}

/// The long tier: `cargo test --release -p todana-hash -- --ignored`.
#[test]
#[ignore = "minutes long"]
fn millions_of_operations_agree_with_a_map() {
    let directory = tempfile::tempdir().unwrap();
    let mut ends = [0; 4];
    for seed in 1_000..1_060 {
        let files = (seed % 6 == 5).then(|| directory.path());
        let plan = Plan { ends: 2_000, ..plan(seed, 110_000) };
        let ended = Walk::new(plan, files).run();
        ends.iter_mut().zip(ended).for_each(|(sum, count)| *sum += count);
        println!("{} operations, ends {ends:?}", (seed - 999) * 110_000);
    }
}
