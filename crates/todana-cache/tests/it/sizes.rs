//! The mix of sizes changes: the memory goes to what is stored now, whatever was there before.

use super::resident::BEYOND_BYTES;
use super::{Subject, Zipf, alone};
use todana_engine::Engine;
use todana_record::Expiry;

const SIZES: [usize; 2] = [100, 8_192];

/// What a cache was like after a phase of one size.
#[derive(Debug)]
struct Outcome {
    /// Bytes of keys and values: all, and those of this phase's size.
    held: u64,
    held_of_size: u64,
    /// Part of the gets that found something, in the second half of the phase.
    hit_ratio: f64,
    resident: u64,
    memory: u64,
}

/// Gets records of a Zipf distribution over four times as many as fit, and stores those that are not
/// there, until `turns` times the limit was stored.
fn run_phase(subject: &Subject, phase: usize, len: usize, turns: u64, limit_bytes: u64) -> Outcome {
    let fit = limit_bytes / (len as u64 + 30);
    let mut zipf = Zipf::new(u32::try_from(fit * 4).unwrap(), 7);
    let value = vec![b'v'; len];
    let (mut sets, mut gets, mut hits) = (0, 0_u32, 0_u32);
    while sets < fit * turns {
        let key = format!("{phase}:{:08}", zipf.draw());
        let is_there = subject.is_there(&key);
        if sets > fit * turns / 2 {
            gets += 1;
            hits += u32::from(is_there);
        }
        if !is_there {
            subject.set(&key, &value, Expiry::NEVER).unwrap();
            sets += 1;
        }
    }
    let (held, held_of_size) = subject.held_bytes(len);
    let memory = subject.cache.statistics(subject.now).memory_bytes;
    let hit_ratio = f64::from(hits) / f64::from(gets);
    Outcome { held, held_of_size, hit_ratio, resident: subject.resident_bytes(), memory }
}

/// Shifts between the sizes. After each shift the cache holds at least `held_min` of the bytes that one
/// holds which never saw another size, `of_size_min` in records of the present size, and finds at least
/// `hits_min` as often what is asked for.
fn shift(limit_bytes: u64, turns: u64, held_min: f64, of_size_min: f64, hits_min: f64) {
    let _alone = alone();
    let fresh = SIZES.map(|len| run_phase(&Subject::new(limit_bytes), 0, len, turns, limit_bytes));
    let subject = Subject::new(limit_bytes);
    for phase in 0..5 {
        let (len, fresh) = (SIZES[phase % 2], &fresh[phase % 2]);
        let outcome = run_phase(&subject, phase, len, turns, limit_bytes);
        #[expect(clippy::cast_precision_loss, reason = "a ratio of sizes")]
        let part = |bytes: u64| bytes as f64 / fresh.held as f64;
        let (held, of_size) = (part(outcome.held), part(outcome.held_of_size));
        let hits = outcome.hit_ratio / fresh.hit_ratio;
        let told = format!(
            "{limit_bytes}, phase {phase} of {len}: {held:.3} held, {of_size:.3} of size, {hits:.3} hits: \
             {outcome:?}, fresh {fresh:?}"
        );
        println!("{told}");
        assert!(held >= held_min && of_size >= of_size_min && hits >= hits_min, "{told}");
        assert!(outcome.memory <= limit_bytes, "{told}");
        assert!(outcome.resident <= limit_bytes + limit_bytes / 20 + BEYOND_BYTES, "{told}");
    }
    assert_eq!(subject.cache.statistics(subject.now).out_of_memory, 0);
}

#[test]
fn a_shift_of_sizes_costs_little() {
    shift(8 << 20, 3, 0.85, 0.3, 0.82);
}

/// What was fetched often stays for a while, however small or large it is; then it goes as well.
#[test]
#[ignore = "half a minute long"]
fn after_a_long_shift_hardly_anything_is_left_of_before() {
    shift(64 << 20, 24, 0.85, 0.85, 0.95);
}
