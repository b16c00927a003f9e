//! What is particular to this engine; the contract is checked by the conformance suite.

use super::*;
use todana_engine::{Edit, NewVersion, Put, Touch, conformance};
use todana_record::Expiry;

struct Set<'a>(&'a [u8], Expiry);
impl Mutation for Set<'_> {
    fn evaluate<'s>(&'s mut self, _: Option<&'s View<'s>>) -> Edit<'s> {
        Edit::Put(Put { expiry: self.1, ..Put::bytes(self.0) })
    }
}

struct Retouch(Touch);
impl Mutation for Retouch {
    fn evaluate<'s>(&'s mut self, _: Option<&'s View<'s>>) -> Edit<'s> {
        Edit::Touch(self.0)
    }
}

fn cache(limit: u64, evictions: bool) -> Cache {
    let options = CacheOptions {
        memory_limit_bytes: limit,
        evictions,
        seed: 42,
        value_len_max: limit / 8,
        ..CacheOptions::default()
    };
    Cache::new(options).unwrap()
}

fn set(cache: &Cache, key: &str, value: &[u8], now: Timestamp) -> Result<u64, Error> {
    let applied = cache.update(key.as_bytes(), now, &mut Set(value, Expiry::NEVER))?;
    Ok(applied.done().unwrap().version)
}

fn get(cache: &Cache, key: &str, now: Timestamp) -> Option<(Vec<u8>, u64)> {
    let mut result = None;
    cache.get(key.as_bytes(), now, &mut |found| {
        if let Found::Record(view) = found {
            result = Some((view.value.as_bytes().unwrap().to_vec(), view.meta.version));
        }
        Look::Fetched
    });
    result
}

#[test]
fn conforms() {
    conformance::run(&|| Arc::new(cache(64 << 20, true)));
}

#[test]
fn stays_within_its_limit_and_keeps_what_is_fetched() {
    let cache = cache(8 << 20, true);
    let now = cache.clock().advance(1_000_000);
    for number in 0..200_000u32 {
        set(&cache, &format!("key{number:07}"), &[b'x'; 100], now).unwrap();
        if number % 10 == 0 {
            assert!(get(&cache, "key0000000", now).is_some(), "lost after {number}");
        }
    }
    let statistics = cache.statistics(now);
    assert!(statistics.memory_bytes <= 8 << 20, "{statistics:?}");
    assert!(statistics.evictions > 50_000 && statistics.records > 20_000, "{statistics:?}");
    assert_eq!(statistics.evicted_unfetched, statistics.evictions);
}

#[test]
fn overwriting_reclaims_garbage_without_evicting() {
    for evictions in [true, false] {
        let cache = cache(8 << 20, evictions);
        let now = cache.clock().advance(1_000_000);
        for number in 0..400_000u32 {
            set(&cache, &format!("key{:05}", number % 10_000), &[b'x'; 100], now).unwrap();
        }
        let statistics = cache.statistics(now);
        assert_eq!((statistics.records, statistics.evictions), (10_000, 0), "{statistics:?}");
        assert!((0..10_000).all(|n| get(&cache, &format!("key{n:05}"), now).is_some()));
    }
}

#[test]
fn without_evictions_a_full_cache_refuses_and_recovers() {
    let cache = cache(4 << 20, false);
    let now = cache.clock().advance(1_000_000);
    let mut stored = 0;
    while set(&cache, &format!("key{stored:07}"), &[b'x'; 500], now).is_ok() {
        stored += 1;
    }
    assert!(stored > 5_000, "{stored}");
    assert!((0..stored).all(|n| get(&cache, &format!("key{n:07}"), now).is_some()));
    struct Remove;
    impl Mutation for Remove {
        fn evaluate<'s>(&'s mut self, _: Option<&'s View<'s>>) -> Edit<'s> {
            Edit::Remove
        }
    }
    for number in 0..stored / 2 {
        cache.update(format!("key{number:07}").as_bytes(), now, &mut Remove).unwrap();
    }
    for number in 0..stored / 4 {
        set(&cache, &format!("new{number:07}"), &[b'x'; 500], now).unwrap();
    }
}

#[test]
fn values_change_size_without_calcification() {
    let cache = cache(16 << 20, true);
    let now = cache.clock().advance(1_000_000);
    for (round, len) in [100, 8_192, 100_000, 100].into_iter().enumerate() {
        let value = vec![b'v'; len];
        let count = 64_000_000 / len;
        for number in 0..count {
            set(&cache, &format!("{round}:{number}"), &value, now).unwrap();
        }
        let live = cache.statistics(now).live_bytes;
        assert!(live > 10 << 20, "{len}: {live} bytes live");
        assert!(cache.statistics(now).memory_bytes <= 16 << 20);
    }
}

#[test]
fn ended_records_give_their_memory_back_without_a_get() {
    let cache = cache(16 << 20, true);
    let now = cache.clock().advance(1_000_000);
    for number in 0..50_000u64 {
        let expiry = Expiry::at(now.plus_ms(1_000 + number % 1_000));
        cache.update(format!("{number}").as_bytes(), now, &mut Set(&[0; 100], expiry)).unwrap();
    }
    let before = cache.statistics(now);
    let later = cache.clock().advance(now.ms() + 5_000);
    while cache.run_job(JOB_EXPIRE, later) == JobProgress::More {}
    let after = cache.statistics(later);
    assert_eq!((before.records, after.records, after.expired), (50_000, 0, 50_000));
    assert!(after.memory_bytes < before.memory_bytes / 2);
}

#[test]
fn a_touch_keeps_the_version_in_place_or_moved() {
    let cache = cache(16 << 20, true);
    let now = cache.clock().advance(1_000_000);
    let version = set(&cache, "key", b"value", now).unwrap();
    for expiry in [now.plus_ms(5_000), now.plus_ms(9_000)] {
        let touch = Touch { expiry: Some(Expiry::at(expiry)), ..Touch::default() };
        cache.update(b"key", now, &mut Retouch(touch)).unwrap();
        assert_eq!(get(&cache, "key", now), Some((b"value".to_vec(), version)));
    }
    let later = cache.clock().advance(now.ms() + 8_999);
    assert!(get(&cache, "key", later).is_some());
    let end = cache.clock().advance(now.ms() + 9_000);
    assert!(get(&cache, "key", end).is_none());
    set(&cache, "key", b"value", end).unwrap();
    let touch = Touch { version: Some(NewVersion::Next), stale: Some(true), ..Touch::default() };
    cache.update(b"key", end, &mut Retouch(touch)).unwrap();
    assert_ne!(get(&cache, "key", end).unwrap().1, version);
}

#[test]
fn versions_of_a_key_rise_whatever_the_size_of_its_values() {
    let cache = cache(16 << 20, true);
    let now = cache.clock().advance(1_000_000);
    let mut last = 0;
    for round in 0..2_000usize {
        let value = vec![1; if round % 3 == 0 { 60_000 } else { 10 }];
        let version = set(&cache, "key", &value, now).unwrap();
        assert!(version > last, "round {round}: {version} after {last}");
        assert_eq!(get(&cache, "key", now).unwrap().1, version);
        let touch = Touch { version: Some(NewVersion::Next), ..Touch::default() };
        cache.update(b"key", now, &mut Retouch(touch)).unwrap();
        last = get(&cache, "key", now).unwrap().1;
        assert!(last > version, "round {round}: {last} after {version}");
    }
}

#[test]
fn limits_are_checked() {
    assert!(Cache::new(CacheOptions { memory_limit_bytes: 100, ..Default::default() }).is_err());
    let cache = cache(8 << 20, true);
    let now = cache.clock().advance(1_000_000);
    let max = cache.limits().value_len_max;
    set(&cache, "a", &vec![0; usize::try_from(max).unwrap()], now).unwrap();
    let error = set(&cache, "a", &vec![0; usize::try_from(max).unwrap() + 1], now).unwrap_err();
    assert_eq!(error, Error::ValueTooLarge { len: max + 1, max });
    assert!(get(&cache, "a", now).is_some());
    let key = vec![b'k'; KEY_LEN_MAX + 1];
    assert!(matches!(
        cache.update(&key, now, &mut Set(b"", Expiry::NEVER)),
        Err(Error::KeyTooLarge { .. })
    ));
    assert!(cache.set_memory_limit(1).is_err());
    cache.set_memory_limit(16 << 20).unwrap();
    assert_eq!(cache.statistics(now).memory_limit_bytes, 16 << 20);
}

#[test]
fn lowering_the_limit_takes_effect_at_once() {
    let cache = cache(32 << 20, true);
    let now = cache.clock().advance(1_000_000);
    for number in 0..200_000 {
        set(&cache, &number.to_string(), &[0; 100], now).unwrap();
    }
    let _ = cache.set_memory_limit(64 << 20);
    assert!(
        cache.set_memory_limit(24 << 20).is_err() || cache.statistics(now).memory_bytes <= 24 << 20
    );
}

#[test]
fn most_records_are_guessed() {
    let cache = cache(256 << 20, true);
    let now = cache.clock().advance(1_000_000);
    for number in 0..300_000u32 {
        set(&cache, &format!("key{number:07}"), &[b'x'; 100], now).unwrap();
    }
    let (mut right, mut wrong, mut none) = (0, 0, 0);
    for number in 0..300_000u32 {
        let key = format!("key{number:07}");
        let hash = cache.shared.hash_of(key.as_bytes());
        let shard = cache.shard(hash);
        let place =
            shard.writer.lock().seek(hash, key.as_bytes(), &cache.shared).1.unwrap().slot.place;
        match shard.index.home(hash).guess() {
            Some(slot) if slot.place == place => right += 1,
            Some(_) => wrong += 1,
            None => none += 1,
        }
    }
    assert!(right > 260_000, "{right} right, {wrong} wrong, {none} none");
}

#[test]
fn a_reader_that_stays_costs_writes_not_memory() {
    let cache = cache(8 << 20, true);
    let now = cache.clock().advance(1_000_000);
    set(&cache, "held", b"value", now).unwrap();
    let (arrived, wait) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            cache.get(b"held", now, &mut |found| {
                arrived.wait();
                wait.wait();
                assert!(
                    matches!(found, Found::Record(view) if view.value.as_bytes() == Some(b"value"))
                );
                Look::Fetched
            });
        });
        arrived.wait();
        let refused = (0..400_000u32).find(|number| {
            let result = set(&cache, &format!("key{number:07}"), &[b'x'; 100], now);
            matches!(result, Err(Error::OutOfMemory { .. }))
        });
        // Not before what the limit allows was written, and not much later.
        assert!(refused.is_some_and(|number| (60_000..140_000).contains(&number)), "{refused:?}");
        wait.wait();
    });
    for number in 0..200_000u32 {
        set(&cache, &format!("key{number:07}"), &[b'x'; 100], now).unwrap();
    }
}
