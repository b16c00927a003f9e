//! The disk is full (C6).

use super::run::Wish;
use super::squeeze::used;
use super::{START_MS, STORE};
use crate::{Hash, HashOptions};
use std::path::Path;
use std::sync::Arc;
use todana_engine::{Engine, Error, Found, Look};
use todana_io::Disk;
use todana_record::{Expiry, Timestamp};
use todana_sim::SimDisk;

const VALUE: [u8; 1_000] = [7; 1_000];

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
