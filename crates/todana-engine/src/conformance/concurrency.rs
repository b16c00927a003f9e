//! Many threads at once.

use super::basics::Transfer;
use super::{Make, Wish, get, scan_all, start, update, update_blind};
use crate::{Edit, Engine, Found, Look, Mutation, Payload, Put, Staged, View};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use todana_io::Generator;

pub(super) fn run(make: Make<'_>) {
    increments_are_not_lost(&*make());
    values_are_never_torn(&*make());
    units_are_seen_whole(&*make());
    scans_run_under_writers(&*make());
    puts_are_seen_when_they_have_returned(&*make());
}

const THREADS: u64 = 4;

struct Increment;
impl Mutation for Increment {
    fn needs_value(&self) -> bool {
        true
    }

    fn evaluate<'s>(&'s mut self, current: Option<&'s View<'s>>) -> Edit<'s> {
        let count = current
            .and_then(|view| view.value.as_bytes()?.try_into().ok())
            .map_or(0, u64::from_le_bytes);
        let mut staged = Staged::with_limit(8);
        staged.write(&(count + 1).to_le_bytes()).expect("in limits");
        Edit::Put(Put::of(Payload::Staged(staged)))
    }
}

fn increments_are_not_lost(engine: &dyn Engine) {
    let now = start(engine);
    let each = 5_000u64;
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for round in 0..each {
                    let key = (round % 7).to_le_bytes();
                    engine.update(&key, now, &mut Increment).expect("an increment");
                }
            });
        }
    });
    let total: u64 = (0..7u64)
        .map(|key| {
            let value = get(engine, &key.to_le_bytes(), now).expect("stored").value;
            u64::from_le_bytes(value.try_into().expect("eight bytes"))
        })
        .sum();
    assert_eq!(total, THREADS * each);
}

fn values_are_never_torn(engine: &dyn Engine) {
    let now = start(engine);
    let stop = AtomicBool::new(false);
    let gets = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let keys: [&[u8]; 3] = [b"a", b"b", b"c"];
                    engine.get_many(&keys, now, &mut |_, found| {
                        let Found::Record(view) = found else { return Look::Fetched };
                        let value = view.value.as_bytes().expect("in one piece");
                        assert!(value.iter().all(|byte| byte == &value[0]), "torn");
                        assert_eq!(view.meta.flags as usize, value.len(), "meta of another value");
                        gets.fetch_add(1, Ordering::Relaxed);
                        Look::Fetched
                    });
                }
            });
        }
        let writers: Vec<_> = (0..2u64)
            .map(|seed| {
                scope.spawn(move || {
                    let mut random = Generator::new(seed);
                    for round in 0..20_000u32 {
                        let len = 1 + random.below(if round % 100 == 0 { 60_000 } else { 400 });
                        let value = vec![round.to_le_bytes()[0]; usize::try_from(len).unwrap_or(1)];
                        let key = &b"abc"[usize::try_from(random.below(3)).unwrap_or(0)..][..1];
                        if random.one_in(10) {
                            update(engine, key, now, Wish::Remove);
                        }
                        let wish = Wish::Put {
                            flags: u32::try_from(len).unwrap_or(0),
                            value,
                            expiry: todana_record::Expiry::NEVER,
                            version: crate::NewVersion::Next,
                        };
                        match round % 2 {
                            0 => drop(update(engine, key, now, wish)),
                            _ => drop(update_blind(engine, key, now, wish)),
                        }
                    }
                })
            })
            .collect();
        writers.into_iter().for_each(|writer| writer.join().expect("a writer"));
        stop.store(true, Ordering::Relaxed);
    });
    assert!(gets.load(Ordering::Relaxed) > 0);
}

fn units_are_seen_whole(engine: &dyn Engine) {
    let now = start(engine);
    update(engine, b"from", now, Wish::put(&1_000_000u64.to_le_bytes()));
    let both: [&[u8]; 2] = [b"from", b"to"];
    let turned: [&[u8]; 2] = [b"to", b"from"];
    thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                let keys = if thread % 2 == 0 { &both } else { &turned };
                for amount in 0..2_000 {
                    engine.update_many(keys, now, &mut Transfer(amount % 10)).expect("a unit");
                    // The sum is right in every unit that only looks.
                    engine.update_many(&both, now, &mut CheckSum(1_000_000)).expect("a look");
                }
            });
        }
    });
}

struct CheckSum(u64);
impl crate::UnitMutation for CheckSum {
    fn needs_values(&self) -> bool {
        true
    }

    fn evaluate<'s>(&'s mut self, current: &'s [Option<View<'s>>]) -> Vec<Edit<'s>> {
        let sum: u64 = current
            .iter()
            .flatten()
            .filter_map(|view| view.value.as_bytes()?.try_into().ok().map(u64::from_le_bytes))
            .sum();
        assert_eq!(sum, self.0, "a unit was seen half-way");
        Vec::new()
    }
}

/// One thread puts rising numbers; others must never see a number older than one that was put before
/// they looked. Now and then a record is removed, or changed by one who looks at it.
fn puts_are_seen_when_they_have_returned(engine: &dyn Engine) {
    const KEYS: u64 = 64;
    let now = start(engine);
    // What was put last, by key; 0 while it is being removed.
    let put: Vec<AtomicU64> = (0..KEYS).map(|_| AtomicU64::new(0)).collect();
    let stop = AtomicBool::new(false);
    let looks = AtomicU64::new(0);
    let look = |first: u64| {
        let slots = || put.iter().cycle().skip(usize::try_from(first).unwrap_or(0)).take(4);
        let least: Vec<u64> = slots().map(|slot| slot.load(Ordering::Acquire)).collect();
        let keys: Vec<_> = (first..first + 4).map(|at| (at % KEYS).to_be_bytes()).collect();
        let keys: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
        let mut found = [None; 4];
        engine.get_many(&keys, now, &mut |at, seen| {
            if let Found::Record(view) = seen {
                let value = view.value.as_bytes().expect("in one piece");
                found[at] = Some(u64::from_le_bytes(value.try_into().expect("eight bytes")));
            }
            Look::Fetched
        });
        for ((found, least), slot) in found.into_iter().zip(least).zip(slots()) {
            match found {
                Some(number) => assert!(number >= least, "{number} after {least} was put"),
                None => {
                    let was_removed = slot.load(Ordering::Acquire) != least;
                    assert!(least == 0 || was_removed, "nothing after {least} was put");
                }
            }
            looks.fetch_add(1, Ordering::Relaxed);
        }
    };
    thread::scope(|scope| {
        for seed in 0..2 {
            let (look, stop) = (&look, &stop);
            scope.spawn(move || {
                let mut random = Generator::new(seed);
                while !stop.load(Ordering::Relaxed) {
                    look(random.below(KEYS));
                }
            });
        }
        let mut random = Generator::new(9);
        for round in 1..=60_000u64 {
            let among = if random.one_in(2) { 4 } else { KEYS };
            let at = random.below(among);
            let (key, slot) = (at.to_be_bytes(), &put[usize::try_from(at).unwrap_or(0)]);
            if random.one_in(20) {
                slot.store(0, Ordering::Release);
                update(engine, &key, now, Wish::Remove);
            }
            let wish = Wish::put(&round.to_le_bytes());
            match random.below(8) {
                0 => drop(update(engine, &key, now, wish)),
                _ => drop(update_blind(engine, &key, now, wish)),
            }
            slot.store(round, Ordering::Release);
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(looks.load(Ordering::Relaxed) > 0);
    for (at, put) in (0..KEYS).zip(&put) {
        let value = get(engine, &at.to_be_bytes(), now).map(|seen| seen.value);
        assert_eq!(value.as_deref(), Some(&put.load(Ordering::Relaxed).to_le_bytes()[..]));
    }
}

fn scans_run_under_writers(engine: &dyn Engine) {
    let now = start(engine);
    let stable = 20_000u32;
    for number in 0..stable {
        update(engine, &number.to_le_bytes(), now, Wish::put(b"stable"));
    }
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for seed in 0..2 {
            let stop = &stop;
            scope.spawn(move || {
                let mut random = Generator::new(seed);
                while !stop.load(Ordering::Relaxed) {
                    let number = random.below(50_000);
                    let key = number.to_be_bytes();
                    let wish = if random.one_in(3) { Wish::Remove } else { Wish::put(b"moving") };
                    update(engine, &key, now, wish);
                    let rewritten = u32::try_from(random.below(u64::from(stable))).unwrap_or(0);
                    update_blind(engine, &rewritten.to_le_bytes(), now, Wish::put(b"stable"));
                }
            });
        }
        for count in [3, 500] {
            let mut times: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
            for (key, seen) in scan_all(engine, count, now) {
                if seen.value == b"stable" {
                    *times.entry(key).or_default() += 1;
                }
            }
            assert_eq!(times.len(), stable as usize, "a scan missed records");
            assert!(times.values().all(|&times| times == 1), "a scan showed a record twice");
        }
        stop.store(true, Ordering::Relaxed);
    });
}
