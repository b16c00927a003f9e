//! The disk is full (C6).

use super::history::state_of;
use super::run::{Run, Wish};
use super::{START_MS, STORE};
use crate::{Hash, HashOptions};
use std::path::Path;
use std::sync::Arc;
use todana_engine::{Engine, Error, Found, Look};
use todana_io::Disk;
use todana_record::{Expiry, Timestamp};
use todana_sim::{Fault, SimDisk};

const VALUE: [u8; 1_000] = [7; 1_000];

fn used(disk: &SimDisk) -> u64 {
    disk.files(STORE).iter().map(|(_, len)| len).sum()
}

/// A store of segments that have room for more than what is kept back for removals.
fn open(disk: &SimDisk) -> Hash {
    let options = HashOptions { least_segment_bytes: 256 << 10, ..HashOptions::default() };
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    Hash::open(disk, Path::new(STORE), options).unwrap()
}

fn put(hash: &Hash, key: u32, now: Timestamp) -> Result<(), Error> {
    let done = hash.update(&key.to_le_bytes(), now, &mut put_wish()).map(drop);
    hash.run_job(0, now);
    done
}

fn put_wish() -> Wish {
    Wish::Put(VALUE.to_vec(), 0, Expiry::NEVER)
}

fn remove(hash: &Hash, key: u32, now: Timestamp) {
    let done = hash.update(&key.to_le_bytes(), now, &mut Wish::Remove);
    assert!(done.is_ok(), "removal of {key}: {done:?}");
    hash.run_job(0, now);
}

fn is_there(hash: &Hash, key: u32, now: Timestamp) -> bool {
    let mut there = false;
    hash.get(&key.to_le_bytes(), now, &mut |found| {
        there = match found {
            Found::Record(view) => {
                assert_eq!(view.value.as_bytes(), Some(&VALUE[..]));
                true
            }
            Found::Absent(_) => false,
            found => panic!("get {key}: {found:?}"),
        };
        Look::Peeked
    });
    there
}

/// Fills the disk: gives the store and the number of its records, 0 up to it.
fn filled(disk: &SimDisk, now: Timestamp) -> (Hash, u32) {
    disk.set_capacity(Some(3 << 20));
    let hash = open(disk);
    let mut count = 0;
    while put(&hash, count, now).is_ok() {
        count += 1;
    }
    assert!(count > 2_000, "{count} records in 3 MiB");
    assert_eq!(put(&hash, count, now), Err(Error::NoSpace));
    assert_eq!(put(&hash, 0, now), Err(Error::NoSpace), "a record that is there");
    assert!((0..count).all(|key| is_there(&hash, key, now)));
    (hash, count)
}

#[test]
fn a_full_disk_takes_removals_and_recovers_by_compaction() {
    let disk = SimDisk::new(1);
    let now = Timestamp::from_ms(START_MS);
    let (hash, count) = filled(&disk, now);
    // The oldest segments have nothing left then.
    for key in 0..1_000 {
        remove(&hash, key, now);
    }
    hash.sync().unwrap();
    assert!((0..count).all(|key| is_there(&hash, key, now) == (key >= 1_000)));
    for _ in 0..1_000 {
        hash.run_job(1, now);
        hash.run_job(0, now);
    }
    for key in 0..200 {
        assert_eq!(put(&hash, key, now), Ok(()), "put {key}");
    }
    assert!((0..count).all(|key| is_there(&hash, key, now) != (200..1_000).contains(&key)));
    hash.close().unwrap();
    drop(hash);
    let hash = open(&disk);
    assert!((0..count).all(|key| is_there(&hash, key, now) != (200..1_000).contains(&key)));
}

#[test]
fn a_full_disk_recovers_by_compaction_of_half_empty_segments() {
    let disk = SimDisk::new(1);
    let now = Timestamp::from_ms(START_MS);
    let (hash, count) = filled(&disk, now);
    disk.set_capacity(Some(used(&disk)));
    for key in (0..count).step_by(2) {
        remove(&hash, key, now);
    }
    for _ in 0..1_000 {
        hash.run_job(1, now);
        hash.run_job(0, now);
    }
    assert_eq!(put(&hash, 0, now), Ok(()));
}

#[test]
fn a_full_disk_recovers_when_it_is_given_space() {
    let disk = SimDisk::new(1);
    let now = Timestamp::from_ms(START_MS);
    let (hash, count) = filled(&disk, now);
    disk.set_capacity(Some(5 << 20));
    hash.run_job(0, now);
    for key in count..count + 500 {
        assert_eq!(put(&hash, key, now), Ok(()), "put {key}");
    }
    assert!((0..count + 500).all(|key| is_there(&hash, key, now)));
    hash.close().unwrap();
}

/// Runs a workload whose disk is full from a step on, for some; fails only when the power does.
fn squeezed(run: &mut Run, seed: u64, steps: u32) -> Result<(), Error> {
    let (full, free) = (10 + seed as u32 % 20, 30 + seed as u32 % 25);
    run.begin()?;
    for step in 0..steps {
        if step == full {
            run.disk.set_capacity(Some(used(&run.disk) + seed % 7 * 4_000));
            run.may_be_full = true;
        }
        if step == free {
            run.disk.set_capacity(None);
            run.hash().run_job(0, run.now());
            run.may_be_full = false;
        }
        match run.step() {
            // A store needs some space to be opened.
            Err(Error::NoSpace) if run.hash.is_none() && run.may_be_full => {
                run.disk.set_capacity(None);
                run.resume()?;
            }
            done => done?,
        }
    }
    run.end()
}

/// Loses power at every `stride`th operation of a workload whose disk is full for a while; gives how
/// often, and how many changes were refused.
fn full_and_lost(seed: u64, steps: u32, stride: u64) -> (u64, u64) {
    let what = format!("seed {seed}, full for a while");
    let mut run = Run::new(SimDisk::new(seed), seed, what.clone());
    squeezed(&mut run, seed, steps).unwrap_or_else(|error| panic!("{what}: {error}"));
    let now = run.now();
    assert!(state_of(run.hash(), now).as_ref() == Ok(run.history.last()), "{what}");
    let (operations, refused) = (run.disk.operations(), run.refused);
    let mut points = 0;
    for at in (seed % stride..operations).step_by(stride as usize) {
        let what = format!("{what}, power off at {at} of {operations}");
        let disk = SimDisk::new(seed);
        disk.fail_at(at, Fault::PowerOff);
        let mut run = Run::new(disk, seed, what.clone());
        let _ = squeezed(&mut run, seed, steps);
        let left = run.disk.crash(at);
        left.set_capacity(None);
        run.survive(&left, at, &what);
        points += 1;
    }
    (points, refused)
}

fn squeeze(seeds: std::ops::Range<u64>, steps: u32, stride: u64) -> (u64, u64) {
    let mut sum = (0, 0);
    for seed in seeds {
        let (points, refused) = full_and_lost(seed, steps, stride);
        sum = (sum.0 + points, sum.1 + refused);
    }
    println!("{} crash points, {} changes refused", sum.0, sum.1);
    sum
}

#[test]
fn a_disk_that_is_full_for_a_while_loses_nothing() {
    let (points, refused) = squeeze(0..6, 60, 23);
    assert!(points > 20 && refused > 10);
}

#[test]
#[ignore = "minutes long"]
fn a_disk_that_is_full_for_a_while_loses_nothing_at_every_operation() {
    squeeze(100..124, 80, 1);
}
