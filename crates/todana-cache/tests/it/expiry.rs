//! Memory of ended records comes back without a get.

use super::{Subject, alone};
use todana_engine::{Engine, JobProgress};
use todana_record::Expiry;

#[test]
fn resident_memory_falls_when_records_end() {
    let _alone = alone();
    let limit_bytes = 64_u64 << 20;
    let mut subject = Subject::new(limit_bytes);
    let count = limit_bytes / 400;
    let value = [b'x'; 300];
    for number in 0..count {
        let expiry = Expiry::at(subject.now.plus_ms(2_000 + number % 3_000));
        subject.set(&format!("key{number:08}"), &value, expiry).unwrap();
    }
    let before = subject.resident_bytes();
    assert!(before > limit_bytes / 2, "{before} bytes");
    subject.now = subject.cache.clock().advance(subject.now.ms() + 5_000);
    let expire = subject.cache.jobs().iter().position(|job| *job == "expire").unwrap();
    while subject.cache.run_job(expire, subject.now) == JobProgress::More {}
    let (after, statistics) = (subject.resident_bytes(), subject.cache.statistics(subject.now));
    println!("{before} bytes, then {after}, {statistics:?}");
    assert_eq!((statistics.records, statistics.expired), (0, count));
    assert!(after < before / 4, "{before} bytes, then {after}");
}
