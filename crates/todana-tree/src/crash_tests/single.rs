//! Single accidents, as short as they can be told.

use super::run::{All, Wish};
use super::{FlushPolicy, START_MS, STORE, Store, key, open, tidied, tidy};
use crate::files::Files;
use crate::page::{self, Place};
use crate::pages::PAGES;
use crate::walk::Moment;
use std::collections::BTreeSet;
use std::ops::{Bound, ControlFlow};
use std::path::Path;
use todana_engine::{Direction, Engine, Error, Ordered, Range};
use todana_io::Generator;
use todana_record::{Expiry, Timestamp};
use todana_sim::{Fault, SimDisk};

const NOW: Timestamp = Timestamp::from_ms(START_MS);

fn put(store: &Store, number: u64, len: usize) -> Result<(), Error> {
    store.update(&key(number), NOW, &mut Wish::Put(vec![7; len], 0, Expiry::NEVER)).map(drop)
}

fn records(store: &Store) -> u64 {
    store.statistics(NOW).records
}

/// Opens what a loss of power has left.
fn after_crash(disk: &SimDisk, seed: u64) -> (SimDisk, Store) {
    let left = disk.crash(seed);
    let store = open(&left, FlushPolicy::Group).unwrap_or_else(|error| panic!("{seed}: {error}"));
    (left, store)
}

#[test]
fn a_log_whose_header_was_lost_does_not_take_the_checkpoint_with_it() {
    for seed in 0..50 {
        let disk = SimDisk::new(seed);
        let store = open(&disk, FlushPolicy::Group).unwrap();
        put(&store, 1, 10).unwrap();
        store.close().unwrap();
        drop(store);
        // This life's log has no header until something is written.
        let store = open(&disk, FlushPolicy::Group).unwrap();
        tidy(&store).unwrap();
        let (_, store) = after_crash(&disk, seed);
        assert_eq!(records(&store), 1, "seed {seed}");
    }
}

#[test]
fn lives_without_a_change_do_not_look_as_if_changes_were_missing() {
    for seed in 0..50 {
        let disk = SimDisk::new(seed);
        let store = open(&disk, FlushPolicy::Group).unwrap();
        put(&store, 1, 10).unwrap();
        store.sync().unwrap();
        let (mut disk, mut store) = after_crash(&disk, seed);
        for life in 0..5 {
            tidy(&store).unwrap();
            (disk, store) = after_crash(&disk, seed + life);
            assert_eq!(records(&store), 1, "seed {seed}, life {life}");
        }
    }
}

#[test]
fn an_empty_log_that_was_lost_does_not_look_as_if_changes_were_missing() {
    let live = |disk: &SimDisk| -> Result<(), Error> {
        let store = open(disk, FlushPolicy::Group)?;
        put(&store, 1, 10)?;
        tidy(&store)?;
        drop(store);
        let store = open(disk, FlushPolicy::Group)?;
        // More than this life's log has room for, which stays empty.
        let keys: Vec<_> = (0..60).map(key).collect();
        let names: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
        let mut all = All(vec![Wish::Put(vec![7; 500], 0, Expiry::NEVER); keys.len()]);
        store.update_many(&names, NOW, &mut all)?;
        store.sync()
    };
    let disk = SimDisk::new(0);
    live(&disk).unwrap();
    let operations = disk.operations();
    for at in 0..operations {
        let disk = SimDisk::new(at);
        disk.fail_at(at, Fault::PowerOff);
        let _ = live(&disk);
        for seed in 0..20 {
            let (left, store) = after_crash(&disk, seed);
            let found = records(&store);
            let (_, store) = after_crash(&left, seed);
            assert!(matches!(found, 0 | 1 | 60) && records(&store) == found, "{found} at {at}");
        }
    }
}

#[test]
fn a_moment_is_as_it_was_after_many_checkpoints_and_evictions() {
    let disk = SimDisk::new(0);
    let store = open(&disk, FlushPolicy::Never).unwrap();
    let mut random = Generator::new(1);
    let change = |random: &mut Generator| {
        if random.one_in(100) {
            let (from, to) = (key(random.below(300)), key(random.below(300)));
            let range = Range { from: Bound::Included(&from), to: Bound::Excluded(&to) };
            store.remove_range(&range, NOW).unwrap();
        } else if random.one_in(400) {
            store.flush(None, NOW).unwrap();
        } else {
            put(&store, random.below(300), random.below(300) as usize).unwrap();
        }
    };
    let mut kept = Vec::new();
    for round in 0..40 {
        for _ in 0..100 {
            change(&mut random);
            store.run_job(1, NOW);
        }
        tidy(&store).unwrap();
        let moment = store.present();
        let (records, pages) = (records_of(&moment), pages_of(&store));
        // At this moment all leaves have pages; later those alone may have its records.
        kept.push((moment, records, pages));
        while kept.len() > 6 || (!kept.is_empty() && random.one_in(4)) {
            kept.swap_remove(random.below(kept.len() as u64) as usize);
        }
        let bytes = disk.content(Path::new(STORE).join(PAGES)).unwrap();
        for (moment, records, pages) in &kept {
            assert!(records_of(moment) == *records, "round {round}, {}", moment.sequence);
            for place in pages {
                let page =
                    bytes.get(place.byte() as usize..place.byte() as usize + place.byte_len());
                let page = page::decode(page.unwrap(), files(&store).store, *place);
                let is_older = page.as_ref().is_ok_and(|(_, made)| *made <= moment.sequence);
                assert!(is_older, "round {round}: {place:?} was reused: {page:?}");
            }
        }
    }
    assert!(tidied(&store, NOW) > 40);
}

type Records = Vec<(Vec<u8>, Vec<u8>)>;

fn records_of(moment: &Moment) -> Records {
    let mut records = Vec::new();
    let walked = moment.walk(&Range::ALL, Direction::Forward, &mut |key, record| {
        records.push((key.to_vec(), record.value.to_vec()));
        ControlFlow::Continue(())
    });
    walked.unwrap();
    records
}

fn files(store: &Store) -> &Files {
    store.files.as_ref().unwrap()
}

/// The pages that the outline leads to.
fn pages_of(store: &Store) -> BTreeSet<Place> {
    files(store).checkpointer.lock().live.clone()
}

/// Bytes of the file of pages, and of the pages that are in use.
fn pages_len(disk: &SimDisk, store: &Store) -> (u64, u64) {
    let used = pages_of(store).iter().map(|place| place.byte_len() as u64).sum();
    (disk.content(Path::new(STORE).join(PAGES)).unwrap().len() as u64, used)
}

#[test]
fn the_file_of_pages_does_not_grow_when_the_same_keys_are_put_again() {
    let disk = SimDisk::new(0);
    let mut store = open(&disk, FlushPolicy::Never).unwrap();
    let mut random = Generator::new(2);
    (0..300).for_each(|number| put(&store, number, 200).unwrap());
    for round in 0..200 {
        for _ in 0..100 {
            put(&store, random.below(300), 150 + random.below(100) as usize).unwrap();
        }
        tidy(&store).unwrap();
        if round % 50 == 49 {
            store.close().unwrap();
            drop(store);
            store = open(&disk, FlushPolicy::Never).unwrap();
        }
        let (len, used) = pages_len(&disk, &store);
        assert!(len < 4 * used, "round {round}: {len} bytes, {used} of them in use");
    }
}

#[test]
fn a_disk_that_stays_full_does_not_make_the_file_of_pages_longer() {
    let disk = SimDisk::new(0);
    let store = open(&disk, FlushPolicy::Group).unwrap();
    (0..300).for_each(|number| put(&store, number, 200).unwrap());
    tidy(&store).unwrap();
    (0..300).for_each(|number| put(&store, number, 250).unwrap());
    store.sync().unwrap();
    let used = disk.files(STORE).iter().map(|(_, len)| len).sum();
    disk.set_capacity(Some(used));
    for _ in 0..100 {
        assert_eq!(tidy(&store), Err(Error::NoSpace));
    }
    assert_eq!(records(&store), 300);
    // About twice what the pages take.
    disk.set_capacity(Some(used + (256 << 10)));
    tidy(&store).unwrap();
    put(&store, 0, 10).unwrap();
    let (len, used) = pages_len(&disk, &store);
    assert!(len < 4 * used, "{len} bytes, {used} of them in use");
}

#[test]
fn a_store_that_was_closed_writes_nothing() {
    let disk = SimDisk::new(0);
    let store = open(&disk, FlushPolicy::Group).unwrap();
    (0..100).for_each(|number| put(&store, number, 200).unwrap());
    store.close().unwrap();
    let operations = disk.operations();
    assert!(put(&store, 0, 10).is_err() && store.flush(None, NOW).is_err());
    assert!(store.remove_range(&Range::ALL, NOW).is_err());
    let _ = (tidy(&store), store.sync());
    for job in 0..2 {
        store.run_job(job, NOW);
    }
    assert_eq!((disk.operations(), records(&store)), (operations, 100));
}

#[test]
fn a_flush_that_is_due_later_outlives_a_checkpoint_and_a_crash() {
    for seed in 0..20 {
        let disk = SimDisk::new(seed);
        let store = open(&disk, FlushPolicy::Group).unwrap();
        put(&store, 1, 10).unwrap();
        store.flush(Some(NOW.plus_ms(1_000)), NOW).unwrap();
        (0..seed * 10).for_each(|number| put(&store, number, 200).unwrap());
        tidy(&store).unwrap();
        let (disk, store) = after_crash(&disk, seed);
        tidy(&store).unwrap();
        let (_, store) = after_crash(&disk, seed);
        assert!(records(&store) > 0, "seed {seed}: it came too early");
        put(&store, 2, 10).unwrap();
        let late = NOW.plus_ms(1_000);
        store.clock().advance(late.ms());
        assert!(super::history::state_of(&store, late).unwrap().is_empty(), "seed {seed}");
    }
}

#[test]
fn a_range_at_a_page_that_is_damaged_is_refused_and_stops_nothing() {
    let disk = SimDisk::new(0);
    let store = open(&disk, FlushPolicy::Group).unwrap();
    (0..300).for_each(|number| put(&store, number, 200).unwrap());
    store.close().unwrap();
    drop(store);
    let store = open(&disk, FlushPolicy::Group).unwrap();
    let place = *pages_of(&store).first().unwrap();
    disk.flip_bit(Path::new(STORE).join(PAGES), place.byte() + 100, 0);
    let mut refused = 0;
    for number in 0..300 {
        let (from, to) = (key(number), key(number + 5));
        let range = Range { from: Bound::Included(&from), to: Bound::Excluded(&to) };
        match store.remove_range(&range, NOW) {
            Ok(_) => {}
            Err(Error::Corrupt(_)) => refused += 1,
            Err(error) => panic!("{number}: {error}"),
        }
    }
    assert!((1..100).contains(&refused), "{refused}");
    store.sync().unwrap();
    drop(store);
    open(&disk, FlushPolicy::Group).unwrap();
}
