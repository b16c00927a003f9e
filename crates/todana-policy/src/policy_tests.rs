//! What holds for every policy.

use crate::comparison::SIZES;
use crate::{Comparison, Contender, Policy, Request, Trace, Workload};
use std::collections::HashMap;
use todana_io::Generator;

/// Policies without the bound.
fn policies(capacity: u64) -> impl Iterator<Item = (Contender, Box<dyn Policy>)> {
    Contender::ALL.into_iter().filter_map(move |one| Some((one, one.build(capacity)?)))
}

/// Random requests with a few sizes, some of them larger than the cache.
fn requests(count: usize, sizes_max: u64, seed: u64) -> Vec<Request> {
    let mut random = Generator::new(seed);
    let draw = |_| {
        let key = random.below(300) * random.below(300) / 300;
        let size = 1 + u32::try_from(Generator::new(key).below(sizes_max)).unwrap();
        Request { key, size, ttl: 0 }
    };
    (0..count).map(draw).collect()
}

#[test]
fn none_holds_more_than_its_capacity_and_none_forgets_at_once() {
    for (capacity, sizes_max) in [(1, 1), (7, 10), (100, 1), (1_000, 40), (5_000, 6_000)] {
        for (contender, mut policy) in policies(capacity) {
            let what = contender.name();
            let mut sizes_held = HashMap::new();
            for Request { key, size, .. } in requests(20_000, sizes_max, 1) {
                policy.request(key, size);
                assert!(policy.bytes() <= capacity, "{what} of {capacity} is too full");
                let fits = u64::from(size) <= capacity;
                assert_eq!(policy.request(key, size), fits, "{what} of {capacity} forgot {key}");
                sizes_held.insert(key, size);
            }
            for key in sizes_held.into_keys() {
                policy.remove(key);
            }
            assert_eq!(policy.bytes(), 0, "{what} of {capacity} did not let go");
        }
    }
}

#[test]
fn what_was_removed_is_a_miss_and_comes_back() {
    for (contender, mut policy) in policies(50) {
        let mut random = Generator::new(1);
        for _ in 0..20_000 {
            let [key, other] = [random.below(100), random.below(100)];
            policy.remove(key);
            assert!(!policy.request(key, 1) && policy.request(key, 1), "{}", contender.name());
            policy.request(other, 1);
            assert!(policy.bytes() <= 50);
        }
    }
}

#[test]
fn lru_is_what_it_is() {
    let mut naive: Vec<(u64, u32)> = Vec::new();
    let mut policy = Contender::Lru.build(1_000).unwrap();
    for Request { key, size, .. } in requests(20_000, 40, 2) {
        let place = naive.iter().position(|one| one.0 == key);
        assert_eq!(policy.request(key, size), place.is_some());
        naive.retain(|one| one.0 != key);
        naive.push((key, size));
        while naive.iter().map(|one| one.1).sum::<u32>() > 1_000 {
            naive.remove(0);
        }
    }
}

#[test]
fn nobody_beats_the_bound() {
    let mut traces: Vec<Trace> = Workload::ALL
        .into_iter()
        .filter(|one| !matches!(one, Workload::MixedSizes | Workload::TtlChurn))
        .map(|one| one.generate(30_000, 3))
        .collect();
    traces.push(Trace::new("random", requests(30_000, 1, 3)));
    for trace in &traces {
        for capacity in [1, 10, 100, 300] {
            let bound = Contender::Belady.misses(trace, capacity, &mut |_| {});
            for (contender, _) in policies(capacity) {
                let misses = contender.misses(trace, capacity, &mut |_| {});
                let what = format!("{} on {} in {capacity}", contender.name(), trace.name());
                assert!(misses >= bound, "{what}: {misses} misses, {bound} at least");
            }
        }
    }
}

#[test]
fn what_has_expired_is_a_miss() {
    let request = |key| Request { key, size: 1, ttl: 2 };
    let trace = Trace::new("test", [1, 1, 1, 1, 2, 1].map(request).to_vec());
    for contender in Contender::ALL {
        // At 0; at 2, when it has expired; at 4, the other; at 5, when it has expired again.
        assert_eq!(contender.misses(&trace, 10, &mut |_| {}), 4, "{}", contender.name());
    }
}

/// What the default was chosen for; the figures of a large run are those of `todana sim cache`.
#[test]
fn the_default_is_close_to_the_best_and_far_from_lru() {
    let policies: Vec<Contender> = policies(1).map(|(contender, _)| contender).collect();
    let mut compared = Comparison::new(&policies, &SIZES);
    for workload in Workload::ALL {
        compared.add(&workload.generate(20_000, 1), &mut |_| {});
    }
    let verdict = compared.verdict().unwrap();
    assert!(verdict.to_best <= 1.01 && verdict.worst.2 <= 1.05, "{verdict:?}");
    assert!(verdict.to_lru.is_some_and(|ratio| ratio <= 0.95), "{verdict:?}");
}

#[test]
fn what_is_asked_for_once_does_not_wash_out_the_default() {
    let trace = Workload::OneHit.generate(50_000, 1);
    let [default, lru] = [Contender::DEFAULT, Contender::Lru]
        .map(|contender| contender.misses(&trace, 500, &mut |_| {}));
    assert!(default * 100 < lru * 95, "{default} misses, LRU has {lru}");
}
