//! An operation of the disk fails, or every sync from some moment on: (C5).

use super::history::state_of;
use super::run::{All, Run, Wish};
use super::{FlushPolicy, STEPS, open, tidy};
use todana_engine::{Engine, Error, Found, Level, Look};
use todana_record::{Expiry, PartitionId};
use todana_sim::{Fault, SimDisk};

fn is_poisoned<T>(result: &Result<T, Error>) -> bool {
    matches!(result, Err(Error::Poisoned(_)))
}

/// A store after a failure: it writes nothing, says so, and reads go on (C5).
fn check_poisoned(run: &Run, what: &str) {
    let (store, now) = (run.store(), run.now());
    let operations = run.disk.operations();
    let nothing_written = |after: &str| {
        assert_eq!(run.disk.operations(), operations, "{what}: {after} has written something");
    };
    let durable = store.watermark(PartitionId(0), Level::Durable);
    let put = || Wish::Put(vec![1], 0, Expiry::NEVER);
    for key in [&b"new"[..], &[3, 0]] {
        assert!(is_poisoned(&store.update(key, now, &mut put())), "{what}: put");
        let unit = store.update_many(&[key], now, &mut All(vec![put()]));
        assert!(is_poisoned(&unit), "{what}: unit");
    }
    assert!(is_poisoned(&store.update(&[5, 0], now, &mut Wish::Remove)), "{what}: removal");
    assert!(is_poisoned(&store.flush(None, now)), "{what}: flush");
    nothing_written("a change");
    assert!(is_poisoned(&tidy(store)), "{what}: tidying");
    nothing_written("the tidying");
    store.request_flush(PartitionId(0));
    for (number, job) in store.jobs().iter().enumerate() {
        store.run_job(number, now);
        nothing_written(job);
    }
    assert!(is_poisoned(&store.sync()) || durable >= run.applied(), "{what}: sync");
    nothing_written("a sync");
    assert!(is_poisoned(&store.close()), "{what}: close");
    let state = state_of(store, now).unwrap_or_else(|error| panic!("{what}: scan: {error}"));
    assert!(run.history.last() == &state, "{what}: a poisoned store shows something else");
    for (key, seen) in &state {
        store.get(key, now, &mut |found| {
            let Found::Record(view) = &found else { panic!("{what}: get {key:?}: {found:?}") };
            assert_eq!(super::history::seen(view), *seen, "{what}: get {key:?}");
            Look::Peeked
        });
    }
    assert_eq!(store.watermark(PartitionId(0), Level::Durable), durable, "{what}: durable");
    nothing_written("a close or a read");
}

/// Both ends of a process that has stopped: it is started anew, or the power goes off.
fn check_ends(mut run: Run, at: u64, what: &str) {
    let operations = run.disk.operations();
    run.store = None;
    assert_eq!(run.disk.operations(), operations, "{what}: something was written at the end");
    let left = run.disk.kill();
    run.survive(&left, at, &format!("{what}, killed"));
    run.survive(&run.disk.crash(at), at, &format!("{what}, crashed"));
}

/// Has every `stride`th operation of a workload fail; gives how many did.
fn failures(seed: u64, steps: u32, stride: u64) -> u64 {
    let operations = Run::whole(seed, steps);
    let mut points = 0;
    for at in (seed % stride..operations).step_by(stride as usize) {
        let what = format!("seed {seed}, operation {at} of {operations} fails");
        let disk = SimDisk::new(seed);
        disk.fail_at(at, Fault::Error);
        let mut run = Run::new(disk, seed, what.clone());
        let lived = run.live(steps);
        match &lived {
            Err(Error::Poisoned(_)) => check_poisoned(&run, &what),
            Err(Error::Open(_)) => assert!(run.store.is_none(), "{what}: {lived:?}"),
            _ => panic!("{what}: {lived:?}"),
        }
        check_ends(run, at, &what);
        points += 1;
    }
    points
}

/// Has every `stride`th operation of a workload find the disk full, once: what cannot be foreseen is a
/// failure, else the store goes on.
fn full_once(seed: u64, steps: u32, stride: u64) -> u64 {
    let operations = Run::whole(seed, steps);
    let mut points = 0;
    for at in (seed % stride..operations).step_by(stride as usize) {
        let what = format!("seed {seed}, operation {at} of {operations} finds the disk full");
        let disk = SimDisk::new(seed);
        disk.fail_at(at, Fault::Full);
        let mut run = Run::new(disk, seed, what.clone());
        run.may_be_full = true;
        match run.live(steps) {
            Ok(()) => {}
            Err(Error::Poisoned(_)) => check_poisoned(&run, &what),
            Err(Error::Open(_) | Error::NoSpace) if run.store.is_none() => {}
            Err(error) => panic!("{what}: {error}"),
        }
        check_ends(run, at, &what);
        points += 1;
    }
    points
}

/// Has all syncs fail from a step on.
fn syncs_fail(seed: u64, steps: u32) -> u64 {
    let mut points = 0;
    for good in (0..steps).step_by(7) {
        let what = format!("seed {seed}, syncs fail after {good} steps");
        let mut run = Run::new(SimDisk::new(seed), seed, what.clone());
        let lived = run.begin().and_then(|()| (0..good).try_for_each(|_| run.step()));
        lived.unwrap_or_else(|error| panic!("{what}: {error}"));
        run.disk.fail_all_syncs(true);
        let safe = run.history.safe;
        let failed = (0..1_000).find_map(|_| run.step().err());
        match failed {
            Some(Error::Poisoned(_)) => check_poisoned(&run, &what),
            // A close that has nothing to sync but the identity.
            Some(Error::Open(_)) if run.store.is_none() => {}
            failed => panic!("{what}: {failed:?}"),
        }
        assert!(run.history.safe >= safe);
        // An open cannot promise anything either, until syncs succeed.
        run.store = None;
        let again = run.disk.kill();
        again.fail_all_syncs(true);
        assert!(open(&again, FlushPolicy::Group).is_err(), "{what}: opened without a sync");
        run.survive(&again.kill(), u64::from(good), &format!("{what}, killed"));
        check_ends(run, u64::from(good), &what);
        points += 1;
    }
    points
}

#[test]
fn a_failure_stops_the_store_and_loses_nothing_acknowledged() {
    let points: u64 = (0..4).map(|seed| failures(seed, STEPS * 2 / 3, 9)).sum();
    println!("{points} failures");
    assert!(points > 60);
}

#[test]
fn a_disk_that_is_full_once_loses_nothing() {
    let points: u64 = (0..4).map(|seed| full_once(seed, STEPS * 2 / 3, 11)).sum();
    println!("{points} times full");
    assert!(points > 40);
}

#[test]
fn syncs_that_fail_promise_nothing() {
    let points: u64 = (0..4).map(|seed| syncs_fail(seed, STEPS * 2 / 3)).sum();
    println!("{points} moments");
    assert!(points > 20);
}

#[test]
#[ignore = "minutes long"]
fn every_operation_fails_once() {
    let (mut points, mut seed) = (0, 300);
    while points < 6_000 {
        points += failures(seed, 150, 1) + full_once(seed, 150, 1) + syncs_fail(seed, 150);
        seed += 1;
        println!("{points} failures, {} workloads", seed - 300);
    }
}
