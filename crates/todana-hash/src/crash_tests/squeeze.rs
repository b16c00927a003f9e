//! The disk is full for a while, and then the power goes off (C6).

use super::history::state_of;
use super::run::Run;
use super::{STEPS, STORE};
use todana_engine::{Engine, Error};
use todana_sim::{Fault, SimDisk};

/// Bytes of all files of the store.
pub(super) fn used(disk: &SimDisk) -> u64 {
    disk.files(STORE).iter().map(|(_, len)| len).sum()
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
            run.store().run_job(0, run.now());
            run.may_be_full = false;
        }
        match run.step() {
            // A store needs some space to be opened.
            Err(Error::NoSpace) if run.store.is_none() && run.may_be_full => {
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
    assert!(state_of(run.store(), now).as_ref() == Ok(run.history.last()), "{what}");
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
    let (points, refused) = squeeze(0..6, STEPS, 23);
    assert!(points > 20 && refused > 10);
}

#[test]
#[ignore = "minutes long"]
fn a_disk_that_is_full_for_a_while_loses_nothing_at_every_operation() {
    squeeze(100..124, 80, 1);
}
