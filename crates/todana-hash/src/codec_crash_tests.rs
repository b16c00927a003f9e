//! The power goes off under stores with a codec: what is found afterwards is the state after some prefix
//! of the changes and has everything that was acknowledged as durable, it stays, and the store's files
//! are sound once it was closed.
//!
//! What the workload of `crash_tests` proves of the log holds here too; this one is about what a codec
//! adds: frames that stand elsewhere in the file than in the segment, and a dictionary that has to be safe
//! before the first frame that needs it.

use crate::{Codec, FlushPolicy, Hash, HashOptions, Lz4, Zstd};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use todana_engine::{Cursor, Edit, Engine, Error, Mutation, Put, UnitMutation, View};
use todana_io::{Disk, Generator};
use todana_record::Timestamp;
use todana_sim::{Fault, SimDisk};

const STORE: &str = "/data/packed.tdh";
const NOW: Timestamp = Timestamp::from_ms(1_700_000_000_000);

type Make = fn() -> Arc<dyn Codec>;

const LZ4: Make = || Arc::new(Lz4);
const ZSTD: Make = || Arc::new(Zstd::default());

/// The seed of each key's value.
type State = BTreeMap<Vec<u8>, u64>;

/// A value that can be told by its first 16 bytes and packed well.
fn value_of(seed: u64) -> Vec<u8> {
    let len = match seed % 16 {
        0 => 20_000 + seed % 9_000,
        1..6 => seed % 3_000,
        _ => seed % 90,
    };
    let mut value = format!("{seed:016x}").into_bytes();
    let mut random = Generator::new(seed);
    while (value.len() as u64) < 16 + len {
        let number = random.below(1_000);
        value
            .extend_from_slice(format!("{{\"number\":{number},\"name\":\"somebody\"}}").as_bytes());
    }
    value
}

fn seed_of(value: &[u8]) -> u64 {
    let digits = value.get(..16).and_then(|digits| std::str::from_utf8(digits).ok());
    let seed = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
    let seed = seed.unwrap_or_else(|| panic!("a value that was never written: {value:?}"));
    assert_eq!(value, value_of(seed), "a value is not as it was written");
    seed
}

/// A value for a key, or its end.
struct Wish(Option<Vec<u8>>);

impl Wish {
    fn edit(&self) -> Edit<'_> {
        self.0.as_deref().map_or(Edit::Remove, |value| Edit::Put(Put::bytes(value)))
    }
}

impl Mutation for Wish {
    fn is_blind(&self) -> bool {
        self.0.is_some()
    }

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

fn open(disk: &SimDisk, codec: Option<Arc<dyn Codec>>) -> Result<Hash, Error> {
    let options = HashOptions {
        flush: FlushPolicy::Never,
        space_percent: 120,
        least_segment_bytes: 32 << 10,
        codec,
        ..HashOptions::default()
    };
    Hash::open(Arc::new(disk.clone()) as Arc<dyn Disk>, Path::new(STORE), options)
}

fn state_of(hash: &Hash) -> Result<State, Error> {
    let mut state = State::new();
    let mut cursor = Some(Cursor::START);
    while let Some(from) = cursor {
        cursor = hash.scan(&from, 100, NOW, &mut |view| {
            let value = view.value.as_bytes().expect("values are in one piece");
            state.insert(view.key.to_vec(), seed_of(value));
        })?;
    }
    Ok(state)
}

/// A life of a store, up to a loss of power.
struct Life {
    disk: SimDisk,
    codec: Make,
    hash: Option<Hash>,
    random: Generator,
    /// After each change; a change that failed may be there or not.
    states: Vec<State>,
    /// The first that may be found.
    safe: usize,
}

impl Life {
    fn new(disk: SimDisk, codec: Make, seed: u64) -> Life {
        let (random, states) = (Generator::new(seed), vec![State::new()]);
        Life { disk, codec, hash: None, random, states, safe: 0 }
    }

    fn hash(&self) -> &Hash {
        self.hash.as_ref().expect("the store is open")
    }

    /// Only the first open says which codec it is.
    fn begin(&mut self) -> Result<(), Error> {
        self.hash = Some(open(&self.disk, Some((self.codec)()))?);
        Ok(())
    }

    fn sync(&mut self) -> Result<(), Error> {
        self.hash().sync()?;
        self.safe = self.states.len() - 1;
        Ok(())
    }

    fn end(&mut self) -> Result<(), Error> {
        self.hash().close()?;
        self.safe = self.states.len() - 1;
        self.hash = None;
        Ok(())
    }

    fn change(&mut self, changes: Vec<(Vec<u8>, Option<u64>)>) -> Result<(), Error> {
        let mut next = self.states.last().cloned().unwrap_or_default();
        for (key, seed) in &changes {
            match seed {
                Some(seed) => next.insert(key.clone(), *seed),
                None => next.remove(key),
            };
        }
        self.states.push(next);
        let wish = |seed: &Option<u64>| Wish(seed.map(value_of));
        let hash = self.hash.as_ref().expect("the store is open");
        if let [(key, seed)] = &changes[..] {
            return hash.update(key, NOW, &mut wish(seed)).map(drop);
        }
        let keys: Vec<&[u8]> = changes.iter().map(|(key, _)| &key[..]).collect();
        let wishes = changes.iter().map(|(_, seed)| wish(seed)).collect();
        hash.update_many(&keys, NOW, &mut All(wishes)).map(drop)
    }

    fn step(&mut self) -> Result<(), Error> {
        let count = if self.random.one_in(6) { 2 + self.random.below(4) } else { 1 };
        let changes = (0..count).map(|_| {
            let key = format!("key{}", self.random.below(50)).into_bytes();
            let removes = self.random.one_in(6);
            (key, (!removes).then(|| self.random.next_u64()))
        });
        let changes = changes.collect();
        self.change(changes)?;
        if self.random.one_in(4) {
            self.sync()?;
        }
        while self.random.one_in(2) {
            let job = self.random.below(2) as usize;
            self.hash().run_job(job, NOW);
            self.hash().log.check_poison()?;
        }
        if self.random.one_in(20) {
            self.hash().compact()?;
        }
        if self.random.one_in(30) {
            self.end()?;
            self.hash = Some(open(&self.disk, None)?);
        }
        Ok(())
    }

    /// Small changes of every kind.
    fn small(&mut self, steps: u32) -> Result<(), Error> {
        self.begin()?;
        (0..steps).try_for_each(|_| self.step())?;
        self.end()
    }

    /// Records until a dictionary is trained, and what is packed with it; gives the operations that it
    /// took before that.
    fn trained(&mut self) -> Result<u64, Error> {
        self.begin()?;
        let (mut seed, mut before) = (2, 0);
        while !self.disk.files(STORE).iter().any(|(name, _)| name == "dictionary") {
            before = self.disk.operations();
            for _ in 0..40 {
                // 3,000 bytes and a few: no longer than what is learned from.
                seed += 48_000;
                let key = format!("many{seed}").into_bytes();
                self.change(vec![(key, Some(seed + 2_994))])?;
            }
            self.sync()?;
        }
        (0..12).try_for_each(|_| self.step())?;
        self.end().map(|()| before)
    }

    /// What a loss of power leaves is opened, loses power again, is changed, closed, and sound.
    fn survive(&self, seed: u64, what: &str) {
        let left = self.disk.crash(seed);
        let reopened = |disk: &SimDisk| {
            // Until something is safe there may be nothing yet that says which codec it is.
            let hash = open(disk, (self.safe == 0).then(|| (self.codec)()));
            let hash = hash.unwrap_or_else(|error| panic!("{what}: {error}"));
            let state = state_of(&hash).unwrap_or_else(|error| panic!("{what}: {error}"));
            (hash, state)
        };
        let (hash, found) = reopened(&left);
        let is_one = self.states[self.safe..].contains(&found);
        let report = hash.report();
        assert!(is_one, "{what}: none of {} safe states: {report:?}", self.states.len());
        let again = left.crash(seed + 1);
        drop(hash);
        let (hash, same) = reopened(&again);
        assert!(same == found, "{what}: what was shown once is gone");
        hash.update(b"new", NOW, &mut Wish(Some(value_of(3)))).unwrap();
        hash.compact().unwrap();
        hash.close().unwrap();
        drop(hash);
        let checked = Hash::check(&again, Path::new(STORE), None, &mut |_, _| {}).unwrap();
        assert_eq!(checked.findings, [], "{what}");
        assert_eq!((&checked.codec[..], checked.sealed_frames), ((self.codec)().name(), 0));
        let (hash, last) = reopened(&again);
        assert_eq!((last.len(), last.get(&b"new"[..])), (found.len() + 1, Some(&3)), "{what}");
        drop(hash);
    }
}

/// Loses power at every `stride`th operation of a workload from one on; gives the number.
fn crash_points(
    codec: Make,
    seed: u64,
    from: u64,
    stride: u64,
    live: impl Fn(&mut Life) -> Result<(), Error>,
) -> u64 {
    let mut whole = Life::new(SimDisk::new(seed), codec, seed);
    live(&mut whole).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    let operations = whole.disk.operations();
    let mut points = 0;
    for at in (from + seed % stride..operations).step_by(stride as usize) {
        let disk = SimDisk::new(seed);
        disk.fail_at(at, Fault::PowerOff);
        let mut life = Life::new(disk, codec, seed);
        // Some operations come after the last that it needs.
        let _ = live(&mut life);
        for crash in 0..2 {
            let what = format!("seed {seed}, power off at {at} of {operations}, crash {crash}");
            life.survive(crash * 1_000 + at, &what);
            points += 1;
        }
    }
    points
}

#[test]
fn every_crash_of_a_packed_store_leaves_a_prefix() {
    for codec in [LZ4, ZSTD] {
        let points: u64 =
            (0..4).map(|seed| crash_points(codec, seed, 0, 13, |l| l.small(60))).sum();
        println!("{points} crash points");
        assert!(points > 100);
    }
}

#[test]
fn a_crash_while_the_dictionary_is_made_leaves_one_that_every_frame_can_be_read_with() {
    let mut whole = Life::new(SimDisk::new(5), ZSTD, 5);
    let before = whole.trained().unwrap();
    let points = crash_points(ZSTD, 5, before, 7, |life| life.trained().map(drop));
    println!("{points} crash points");
    assert!(points > 10);
}

/// The long tier: `cargo test --release -p todana-hash -- --ignored`.
#[test]
#[ignore = "minutes long"]
fn thousands_of_crash_points_of_packed_stores() {
    let (mut points, mut seed) = (0, 100);
    while points < 5_000 {
        for codec in [LZ4, ZSTD] {
            points += crash_points(codec, seed, 0, 1, |life| life.small(150));
        }
        let before = Life::new(SimDisk::new(seed), ZSTD, seed).trained().unwrap();
        points += crash_points(ZSTD, seed, before, 1, |life| life.trained().map(drop));
        seed += 1;
        println!("{points} crash points, {} workloads", 3 * (seed - 100));
    }
}
