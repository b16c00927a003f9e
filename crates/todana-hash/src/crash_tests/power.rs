//! The power goes off.

use super::STEPS;
use super::run::Run;
use todana_sim::{Fault, SimDisk};

/// Loses power at every `stride`th operation of a workload, and looks at `crashes` of the disks that each
/// leaves; gives their number.
fn crash_points(seed: u64, steps: u32, stride: u64, crashes: u64) -> u64 {
    let operations = Run::whole(seed, steps);
    let mut points = 0;
    for at in (seed % stride..operations).step_by(stride as usize) {
        let disk = SimDisk::new(seed);
        disk.fail_at(at, Fault::PowerOff);
        let what = format!("seed {seed}, power off at {at} of {operations}");
        let mut run = Run::new(disk, seed, what.clone());
        // Some operations come after the last that a run needs.
        let _ = run.live(steps);
        for crash in 0..crashes {
            let left = run.disk.crash(crash * 1_000 + at);
            run.survive(&left, crash * 1_000 + at, &format!("{what}, crash {crash}"));
            points += 1;
        }
    }
    points
}

#[test]
fn every_crash_leaves_a_prefix_with_everything_acknowledged() {
    let points: u64 = (0..6).map(|seed| crash_points(seed, STEPS, 11, 2)).sum();
    println!("{points} crash points");
    assert!(points > 200);
}

/// The long tier: `cargo test --release -- --ignored crash_tests`.
#[test]
#[ignore = "minutes long"]
fn twenty_thousand_crash_points() {
    let (mut points, mut seed) = (0, 100);
    while points < 20_000 {
        points += crash_points(seed, 150, 1, 3);
        seed += 1;
        println!("{points} crash points, {} workloads", seed - 100);
    }
}
