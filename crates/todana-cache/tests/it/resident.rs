//! The limit is one of resident memory.

use super::{Subject, alone};
use todana_engine::Engine;
use todana_record::Expiry;

/// What a cache may take beyond 5 % of its limit.
pub(super) const BEYOND_BYTES: u64 = 8 << 20;

/// Stores new records until a million were evicted, and looks at the memory all the while.
fn run_over(limit_bytes: u64) {
    let _alone = alone();
    let subject = Subject::new(limit_bytes);
    let max = limit_bytes + limit_bytes / 20 + BEYOND_BYTES;
    let mut number = 0_u32;
    while subject.cache.statistics(subject.now).evictions < 1_000_000 {
        for _ in 0..50_000 {
            subject.set(&format!("key{number:08}"), &[b'x'; 100], Expiry::NEVER).unwrap();
            number += 1;
        }
        let resident = subject.resident_bytes();
        assert!(resident <= max, "{resident} bytes after {number} records, limit {limit_bytes}");
    }
    let statistics = subject.cache.statistics(subject.now);
    let resident = subject.resident_bytes();
    println!("{limit_bytes}: {resident} bytes, {number} records, {statistics:?}");
    assert!(statistics.memory_bytes <= limit_bytes, "{statistics:?}");
    // It uses what it was given, too.
    assert!(resident > limit_bytes / 10 * 9, "{resident} bytes, limit {limit_bytes}");
}

#[test]
fn a_cache_of_16_mib_stays_within_its_limit() {
    run_over(16 << 20);
}

#[test]
#[cfg_attr(debug_assertions, ignore = "half a minute without optimization")]
fn a_cache_of_64_mib_stays_within_its_limit() {
    run_over(64 << 20);
}

#[test]
#[ignore = "half a minute long"]
fn a_cache_of_256_mib_stays_within_its_limit() {
    run_over(256 << 20);
}

/// Eight shards begin their segments and tables in the same huge pages: two or three are used in part, and
/// not two of each shard.
#[test]
fn what_is_resident_and_not_accounted_is_less_than_six_mib() {
    let _alone = alone();
    let subject = Subject::new(256 << 20);
    for number in 0..300_000_u32 {
        subject.set(&format!("key{number:08}"), &[b'x'; 100], Expiry::NEVER).unwrap();
    }
    let (resident, statistics) = (subject.resident_bytes(), subject.cache.statistics(subject.now));
    let beyond = resident.saturating_sub(statistics.memory_bytes);
    println!("{resident} bytes, {beyond} beyond {}", statistics.memory_bytes);
    assert!(beyond < 6 << 20, "{beyond} bytes beyond {}", statistics.memory_bytes);
}
