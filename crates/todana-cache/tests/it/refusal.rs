//! The system refuses memory, before a cache is made or in the middle of its life.

use super::{Subject, status_bytes};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::process::{Command, Stdio};
use todana_cache::{Cache, CacheOptions};
use todana_engine::{Edit, Engine, Error, Put, UnitMutation, View};
use todana_record::Expiry;

/// Set in the process of its own that such a test runs in.
const ALONE: &str = "TODANA_TEST_ALONE";

/// Whether the test shall go on here: else it has run in a process of its own.
fn is_alone(test: &str) -> bool {
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--include-ignored"])
        .env(ALONE, "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    println!("{text}");
    assert!(output.status.success() && text.contains("1 passed"), "see above");
    false
}

/// Runs something while this process gets no more than `more_bytes` of addresses.
fn confined<T>(more_bytes: u64, run: impl FnOnce() -> T) -> T {
    let (soft, hard) = getrlimit(Resource::RLIMIT_AS).unwrap();
    setrlimit(Resource::RLIMIT_AS, status_bytes("VmSize:") + more_bytes, hard).unwrap();
    let outcome = run();
    setrlimit(Resource::RLIMIT_AS, soft, hard).unwrap();
    outcome
}

#[test]
fn without_addresses_no_cache_is_made() {
    if !is_alone("refusal::without_addresses_no_cache_is_made") {
        return;
    }
    let make = |memory_limit_bytes| {
        Cache::new(CacheOptions { memory_limit_bytes, ..Default::default() }).map(drop)
    };
    let (large, small) = confined(200 << 20, || (make(64 << 20), make(8 << 20)));
    let error = large.unwrap_err();
    let line = error.to_string();
    assert!(matches!(error, Error::Open(_)) && line.contains("67108864 bytes"), "{line}");
    assert!(line.contains("Cannot allocate memory") && line.contains("ulimit -v"), "{line}");
    assert!(small.is_ok(), "one that fits can be had");
    assert!(make(64 << 20).is_ok());
}

#[test]
fn an_index_that_gets_fewer_addresses_takes_them_when_it_grows() {
    if !is_alone("refusal::an_index_that_gets_fewer_addresses_takes_them_when_it_grows") {
        return;
    }
    // Segments for eight times the limit, and 64 more for each of two shards, are 544 MiB; the index would
    // begin with 16 MiB, and outgrows 8.
    let subject = confined((544 + 10) << 20, || Subject::new(64 << 20));
    (0..1_000_000).for_each(|n: u32| subject.set(&n.to_string(), b"", Expiry::NEVER).unwrap());
    assert!((0..1_000_000).step_by(7).all(|n: u32| subject.is_there(&n.to_string())));
}

/// Stores empty values.
struct SetAll(usize);

impl UnitMutation for SetAll {
    fn evaluate<'s>(&'s mut self, _: &'s [Option<View<'s>>]) -> Vec<Edit<'s>> {
        (0..self.0).map(|_| Edit::Put(Put::bytes(b""))).collect()
    }
}

/// Stores a unit of eight keys; gives how many are there then.
fn set_unit(subject: &Subject, round: u32) -> (Result<(), Error>, usize) {
    let keys: Vec<String> = (0..8).map(|n| format!("unit {round} {n}")).collect();
    let as_bytes: Vec<&[u8]> = keys.iter().map(|key| key.as_bytes()).collect();
    let done = subject.cache.update_many(&as_bytes, subject.now, &mut SetAll(8)).map(drop);
    (done, keys.iter().filter(|key| subject.is_there(key)).count())
}

#[test]
fn when_a_large_value_is_refused_all_else_goes_on() {
    if !is_alone("refusal::when_a_large_value_is_refused_all_else_goes_on") {
        return;
    }
    let subject = Subject::new(64 << 20);
    let large = vec![b'l'; 900_000];
    subject.set("small", b"value", Expiry::NEVER).unwrap();
    subject.set("large", &large, Expiry::NEVER).unwrap();
    let refused = confined(4 << 20, || {
        let set = |n: u32| subject.set(&format!("large {n}"), &large, Expiry::NEVER);
        let refused = (0..32).find(|n| matches!(set(*n), Err(Error::OutOfMemory { .. })));
        assert!(subject.is_there("small") && subject.is_there("large"), "gets go on");
        subject.set("another", b"value", Expiry::NEVER).unwrap();
        refused
    });
    assert!(refused.is_some_and(|n| n < 8), "{refused:?}");
    assert_eq!(subject.cache.statistics(subject.now).out_of_memory, 1);
    subject.set("large again", &large, Expiry::NEVER).unwrap();
    assert!(subject.is_there("large again"));
}

/// Records so small that the index outgrows its first 32 MiB, and cannot have more.
#[test]
#[cfg_attr(debug_assertions, ignore = "half a minute without optimization")]
fn when_the_index_cannot_grow_all_else_goes_on() {
    if !is_alone("refusal::when_the_index_cannot_grow_all_else_goes_on") {
        return;
    }
    let subject = Subject::with(CacheOptions {
        memory_limit_bytes: 128 << 20,
        // One shard, since it has to hold four of these.
        value_len_max: 32 << 20,
        seed: 42,
        ..Default::default()
    });
    let set = |number: u32| subject.set(&number.to_string(), b"", Expiry::NEVER);
    let stored = confined(16 << 20, || {
        let mut stored = 0;
        let mut refused = Vec::new();
        while refused.len() < 1_000 {
            match set(stored) {
                Ok(()) => {}
                Err(Error::OutOfMemory { .. }) => refused.push(stored),
                Err(error) => panic!("{error}"),
            }
            stored += 1;
            assert!(stored < 8_000_000, "nothing was refused");
        }
        let statistics = subject.cache.statistics(subject.now);
        println!("{} of {stored} refused, {statistics:?}", refused.len());
        assert_eq!((statistics.out_of_memory, statistics.evictions), (1_000, 0));
        assert!(!refused.iter().any(|number| subject.is_there(&number.to_string())));
        assert!((0..1_000).all(|number| subject.is_there(&number.to_string())), "gets go on");
        assert!((0..1_000).all(|number| set(number).is_ok()), "what is there can be changed");
        let mut units_refused = 0;
        for round in 0..10_000 {
            let (done, there) = set_unit(&subject, round);
            assert_eq!(there, if done.is_ok() { 8 } else { 0 }, "whole or not at all");
            units_refused += u32::from(done.is_err());
        }
        assert!(units_refused > 0);
        stored
    });
    // With memory again, it grows; and nothing that was refused keeps a segment from being reclaimed.
    for number in 10_000_000..18_000_000 {
        set(number).unwrap();
    }
    let statistics = subject.cache.statistics(subject.now);
    println!("{statistics:?}");
    assert!(statistics.evictions > 1_000_000, "{statistics:?}");
    // Nobody has fetched these, which were stored when others were refused.
    let of_then = stored - 20_000..stored;
    let left = of_then.filter(|number| subject.is_there(&number.to_string())).count();
    assert_eq!(left, 0, "a segment in which a record was refused was never reclaimed");
}
