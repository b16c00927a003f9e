//! Random operations against a map that is obviously right.

use super::{Make, START_MS, Seen, Wish, get, scan_all, update, update_blind};
use crate::{Engine, NewVersion, Touch};
use std::collections::BTreeMap;
use todana_io::Generator;
use todana_record::{Expiry, Meta, Timestamp};

const STEPS: u32 = 60_000;

pub(super) fn run(make: Make<'_>) {
    for seed in 0..3 {
        walk(&*make(), seed);
    }
}

#[derive(Default)]
struct Model {
    records: BTreeMap<Vec<u8>, Seen>,
    flush_due: Option<Timestamp>,
}

impl Model {
    fn pass_time(&mut self, now: Timestamp) {
        if self.flush_due.is_some_and(|due| due <= now) {
            self.records.clear();
            self.flush_due = None;
        }
        self.records.retain(|_, seen| !seen.meta.expiry.is_past(now));
    }

    /// Applies a wish; the version that the engine gave is taken over, since it is the engine's.
    fn update(&mut self, key: &[u8], wish: &Wish, version: u64) {
        match wish {
            Wish::Keep => {}
            Wish::Remove => drop(self.records.remove(key)),
            Wish::Put { value, flags, expiry, .. } => {
                let meta = Meta { flags: *flags, expiry: *expiry, version, ..Meta::default() };
                self.records.insert(key.to_vec(), Seen { value: value.clone(), meta });
            }
            Wish::Append(bytes) => {
                if let Some(seen) = self.records.get_mut(key) {
                    seen.value.extend_from_slice(bytes);
                    seen.meta = Meta { version, stale: false, won: false, ..seen.meta };
                }
            }
            Wish::Touch(touch) => {
                if let Some(seen) = self.records.get_mut(key) {
                    let meta = seen.meta;
                    seen.meta = Meta {
                        expiry: touch.expiry.unwrap_or(meta.expiry),
                        stale: touch.stale.unwrap_or(meta.stale),
                        won: touch.won.unwrap_or(meta.won),
                        version: if touch.version.is_some() { version } else { meta.version },
                        ..meta
                    };
                }
            }
        }
    }
}

fn wish(random: &mut Generator, now: Timestamp) -> Wish {
    let expiry = |random: &mut Generator| match random.below(4) {
        0 => Expiry::at(now.plus_ms(1 + random.below(3_000))),
        _ => Expiry::NEVER,
    };
    let bytes = |random: &mut Generator| {
        let len = if random.one_in(200) { 60_000 } else { random.below(300) };
        vec![random.next_u64().to_le_bytes()[0]; usize::try_from(len).unwrap_or(0)]
    };
    match random.below(10) {
        0..=3 => Wish::Put {
            value: bytes(random),
            flags: if random.one_in(2) {
                0
            } else {
                u32::try_from(random.below(1 << 16)).unwrap_or(0)
            },
            expiry: expiry(random),
            version: if random.one_in(8) {
                NewVersion::Given(random.next_u64())
            } else {
                NewVersion::Next
            },
        },
        4 => Wish::Append(bytes(random)),
        5 | 6 => Wish::Touch(Touch {
            expiry: random.one_in(2).then(|| expiry(random)),
            stale: random.one_in(4).then(|| random.one_in(2)),
            won: random.one_in(4).then(|| random.one_in(2)),
            version: random.one_in(4).then_some(NewVersion::Next),
            fetch: random.one_in(2),
        }),
        7 | 8 => Wish::Remove,
        _ => Wish::Keep,
    }
}

fn walk(engine: &dyn Engine, seed: u64) {
    let mut random = Generator::new(seed);
    let mut model = Model::default();
    let mut now = engine.clock().advance(START_MS);
    for step in 0..STEPS {
        if random.one_in(20) {
            now = engine.clock().advance(now.ms() + random.below(500));
            model.pass_time(now);
        }
        if random.one_in(4_000) {
            let due = (!random.one_in(2)).then(|| now.plus_ms(random.below(2_000)));
            engine.flush(due, now).expect("a flush");
            model.flush_due = Some(due.unwrap_or(now));
            model.pass_time(now);
        }
        if random.one_in(50) {
            let jobs = engine.jobs().len() as u64;
            engine.run_job(usize::try_from(random.below(jobs)).unwrap_or(0), now);
        }
        let key = random.below(800).to_string().into_bytes();
        if random.one_in(3) {
            let seen = get(engine, &key, now);
            assert_eq!(seen.as_ref(), model.records.get(&key), "seed {seed} step {step}");
            continue;
        }
        let wish = wish(&mut random, now);
        let applied = if random.one_in(2) {
            update_blind(engine, &key, now, wish.clone())
        } else {
            let (saw, applied) = update(engine, &key, now, wish.clone());
            assert_eq!(saw.as_ref(), model.records.get(&key), "seed {seed} step {step}");
            applied
        };
        model.update(&key, &wish, applied.version);
        model.pass_time(now);
        let left = model.records.get(&key).map_or(0, |seen| seen.meta.version);
        assert_eq!(applied.version, left, "seed {seed} step {step}: {wish:?}");
    }
    let records: BTreeMap<_, _> = scan_all(engine, 100, now).into_iter().collect();
    assert_eq!(records, model.records, "seed {seed}");
}
