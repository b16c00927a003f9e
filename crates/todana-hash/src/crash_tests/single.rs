//! Single accidents that the loops have found, as short as they can be told.

use super::flips::get;
use super::run::Wish;
use super::{FlushPolicy, Hash, START_MS, STORE, open};
use std::path::Path;
use todana_engine::{Engine, Error, JobProgress};
use todana_record::{Expiry, Timestamp};
use todana_sim::{Fault, SimDisk};

const NOW: Timestamp = Timestamp::from_ms(START_MS);

fn put(hash: &Hash, key: &[u8], len: usize) -> Result<(), Error> {
    hash.update(key, NOW, &mut Wish::Put(vec![7; len], 0, Expiry::NEVER)).map(drop)
}

/// Fills the log up to less than any change needs.
fn fill_log(hash: &Hash) {
    let room = || hash.writer().log.head.as_ref().map_or(0, |head| head.room());
    while room() >= 128 {
        put(hash, b"key", room().saturating_sub(131).min(1_000)).unwrap();
    }
}

/// The name and length of the only log.
fn log_of(disk: &SimDisk) -> (String, u64) {
    let mut logs = disk.files(STORE).into_iter().filter(|(name, _)| name.ends_with(".log"));
    logs.next().unwrap()
}

/// The operation of a new store's first sync that writes the header of its log.
fn header_write() -> u64 {
    let disk = SimDisk::new(0);
    let hash = open(&disk, FlushPolicy::Group).unwrap();
    put(&hash, b"key", 10).unwrap();
    disk.operations()
}

#[test]
fn a_header_whose_write_failed_is_no_damage() {
    let at = header_write();
    for seed in 0..100 {
        let disk = SimDisk::new(seed);
        let hash = open(&disk, FlushPolicy::Group).unwrap();
        put(&hash, b"key", 10).unwrap();
        disk.fail_at(at, Fault::Error);
        assert!(matches!(hash.sync(), Err(Error::Poisoned(_))));
        drop(hash);
        let hash = open(&disk.kill(), FlushPolicy::Group);
        assert_eq!(hash.map(|hash| get(&hash, b"key")).unwrap(), Ok(None), "seed {seed}");
    }
}

#[test]
fn a_flip_in_the_header_of_a_log_is_damage() {
    let disk = SimDisk::new(0);
    let hash = open(&disk, FlushPolicy::Group).unwrap();
    hash.flush(None, NOW).unwrap();
    hash.sync().unwrap();
    // Its header is all that the second log has: it alone says what was flushed.
    hash.compact().unwrap();
    let log = log_of(&disk).0;
    for bit in 0..64 * 8 {
        let left = disk.crash(0);
        left.flip_bit(Path::new(STORE).join(&log), bit / 8, (bit % 8) as u8);
        let error = open(&left, FlushPolicy::Group).unwrap_err();
        assert!(matches!(&error, Error::Corrupt(why) if why.contains(&log)), "{error}");
    }
}

#[test]
fn what_a_failed_sync_has_left_is_shown_only_when_it_is_safe() {
    for seed in 0..100 {
        let disk = SimDisk::new(seed);
        let hash = open(&disk, FlushPolicy::Group).unwrap();
        put(&hash, b"key", 1_000).unwrap();
        disk.fail_all_syncs(true);
        assert!(matches!(hash.sync(), Err(Error::Poisoned(_))));
        drop(hash);
        // The next process finds it in the system's memory, and its own syncs succeed.
        let disk = disk.kill();
        let hash = open(&disk, FlushPolicy::Group).unwrap();
        let shown = get(&hash, b"key");
        assert!(shown != Ok(None), "the test needs a record to lose");
        let hash = open(&disk.crash(seed), FlushPolicy::Group).unwrap();
        assert_eq!(get(&hash, b"key"), shown, "seed {seed}");
    }
}

#[test]
fn a_store_is_there_even_if_the_making_of_its_directory_was_interrupted() {
    for at in 0..6 {
        let disk = SimDisk::new(0);
        disk.fail_at(at, Fault::Error);
        drop(open(&disk, FlushPolicy::Group));
        let disk = disk.kill();
        let hash = open(&disk, FlushPolicy::Group).unwrap();
        put(&hash, b"key", 10).unwrap();
        hash.sync().unwrap();
        for seed in 0..20 {
            let hash = open(&disk.crash(seed), FlushPolicy::Group).unwrap();
            assert!(get(&hash, b"key") != Ok(None), "operation {at} failed, crash {seed}");
        }
    }
}

#[test]
fn a_flush_or_compaction_that_cannot_begin_a_segment_stops_the_store() {
    type Fail = fn(&Hash) -> Result<(), Error>;
    let fail: [Fail; 3] = [
        |hash| hash.flush(None, NOW).map(drop),
        |hash| hash.flush(Some(NOW.plus_ms(1_000)), NOW).map(drop),
        Hash::compact,
    ];
    for fail in fail {
        let disk = SimDisk::new(0);
        let hash = open(&disk, FlushPolicy::Group).unwrap();
        fill_log(&hash);
        disk.fail_at(disk.operations(), Fault::Error);
        assert!(matches!(fail(&hash), Err(Error::Poisoned(_))));
        assert!(matches!(put(&hash, b"key", 10), Err(Error::Poisoned(_))));
        assert!(matches!(hash.sync(), Err(Error::Poisoned(_))));
    }
}

#[test]
fn a_corrupt_segment_does_not_keep_others_from_being_compacted() {
    let disk = SimDisk::new(0);
    let hash = open(&disk, FlushPolicy::Group).unwrap();
    let (first, _) = log_of(&disk);
    for key in 0..100u8 {
        put(&hash, &[key], 1_000).unwrap();
    }
    hash.flush(None, NOW).unwrap();
    hash.close().unwrap();
    drop(hash);
    disk.flip_bit(Path::new(STORE).join(first), 1_000, 0);
    let hash = open(&disk, FlushPolicy::Group).unwrap();
    for _ in 0..2_000 {
        hash.run_job(1, NOW);
    }
    assert!(hash.statistics(NOW).segments_reclaimed > 5);
}

#[test]
fn removals_stay_when_a_compaction_finds_the_disk_full() {
    for at in 0..40 {
        let disk = SimDisk::new(0);
        let hash = open(&disk, FlushPolicy::Group).unwrap();
        for key in 0..21u8 {
            put(&hash, &[key], 1_000).unwrap();
        }
        // Removals in segments that are garbage but for them; what they remove is in others.
        for key in [0, 7, 14] {
            hash.update(&[key], NOW, &mut Wish::Remove).unwrap();
            (0..21).for_each(|_| put(&hash, b"other", 1_000).unwrap());
        }
        hash.sync().unwrap();
        disk.fail_at(disk.operations() + at, Fault::Full);
        let run = |job| hash.run_job(job, NOW);
        (0..50).for_each(|step| assert!(run(step % 2) != JobProgress::IdleUntil(NOW)));
        drop(hash);
        let hash = open(&disk.kill(), FlushPolicy::Group).unwrap();
        for key in [0, 7, 14] {
            assert_eq!(get(&hash, &[key]), Ok(None), "full at {at}: {key} is back");
        }
    }
}

#[test]
fn reads_go_on_when_a_flush_falls_due_and_cannot_be_written() {
    let stop: [fn(&SimDisk, &Hash); 2] = [
        |disk, hash| {
            disk.fail_all_syncs(true);
            assert!(matches!(hash.sync(), Err(Error::Poisoned(_))));
        },
        |disk, _| disk.set_capacity(Some(0)),
    ];
    for (case, stop) in stop.into_iter().enumerate() {
        let disk = SimDisk::new(0);
        let hash = open(&disk, FlushPolicy::Group).unwrap();
        put(&hash, b"key", 10).unwrap();
        hash.flush(Some(NOW.plus_ms(1_000)), NOW).unwrap();
        fill_log(&hash);
        stop(&disk, &hash);
        let operations = disk.operations();
        hash.clock().advance(NOW.ms() + 1_000);
        assert_eq!(get(&hash, b"key"), Ok(None), "case {case}");
        let is_poisoned = hash.log.check_poison().is_err();
        assert!(!is_poisoned || disk.operations() == operations, "written after a failure");
    }
}
