//! One guarantee at a time.

use super::{Make, START_MS, Told, Wish, done, get, scan_all, start, update};
use crate::{Edit, Effect, Engine, Error, Level, NewVersion, Touch, UnitMutation, View};
use std::collections::BTreeSet;
use todana_record::{Expiry, Kind, Meta, PartitionId, Position};

pub(super) fn run(make: Make<'_>) {
    keys_and_values_of_every_length(&*make());
    edits_of_an_absent_record_do_nothing(&*make());
    metadata_comes_back(&*make());
    versions_are_new_for_every_change_and_kept_by_a_touch(&*make());
    expiry_hides_and_the_clock_never_goes_back(&*make());
    a_flush_is_a_cut_now_or_later(&*make());
    a_refused_update_changes_nothing(&*make());
    get_many_answers_in_order(&*make());
    a_unit_is_one_change(&*make());
    effects_apply_once_and_for_all(&*make());
    an_append_effect_wants_its_predecessor(&*make());
    accesses_are_remembered_unless_peeked(&*make());
    positions_and_watermarks(&*make());
    scans_are_complete(&*make());
    jobs_end(&*make());
}

fn keys_and_values_of_every_length(engine: &dyn Engine) {
    let now = start(engine);
    let long = vec![b'k'; engine.limits().key_len_max];
    let keys: [&[u8]; 6] = [b"", b"k", b"\0\r\n ", &long[..250], &long[..251], &long];
    for (round, key) in (b'a'..).zip(keys) {
        for len in [0, 1, 127, 128, 5_000, 300_000] {
            let value = vec![round; len];
            update(engine, key, now, Wish::put(&value));
            assert_eq!(get(engine, key, now).expect("stored").value, value);
        }
    }
    for (round, key) in (b'a'..).zip(keys) {
        assert_eq!(get(engine, key, now).expect("stored").value[0], round);
        update(engine, key, now, Wish::Remove);
        assert_eq!(get(engine, key, now), None);
    }
}

fn edits_of_an_absent_record_do_nothing(engine: &dyn Engine) {
    let now = start(engine);
    let touch = Touch { expiry: Some(Expiry::NEVER), ..Touch::default() };
    for wish in [Wish::Keep, Wish::Append(b"x".to_vec()), Wish::Touch(touch), Wish::Remove] {
        let (saw, applied) = update(engine, b"absent", now, wish);
        assert_eq!((saw, applied.version), (None, 0));
        assert_eq!(get(engine, b"absent", now), None);
    }
}

fn metadata_comes_back(engine: &dyn Engine) {
    let now = start(engine);
    let expiry = Expiry::at(now.plus_ms(60_000));
    let version = NewVersion::Given(u64::MAX);
    let wish = Wish::Put { value: b"v".to_vec(), flags: u32::MAX, expiry, version };
    let (_, applied) = update(engine, b"key", now, wish);
    let meta = get(engine, b"key", now).expect("stored").meta;
    assert_eq!((meta.flags, meta.expiry, meta.kind), (u32::MAX, expiry, Kind::BYTES));
    assert_eq!(meta.version, applied.version);
    if engine.limits().versions {
        assert_eq!(meta.version, u64::MAX);
    }
    assert!(!meta.stale && !meta.won);
    let touch = Touch { stale: Some(true), won: Some(true), ..Touch::default() };
    update(engine, b"key", now, Wish::Touch(touch));
    let marked = get(engine, b"key", now).expect("stored").meta;
    assert_eq!(marked, Meta { stale: true, won: true, ..meta });
    update(engine, b"key", now, Wish::Append(b"w".to_vec()));
    let grown = get(engine, b"key", now).expect("stored");
    assert_eq!(
        (grown.value, grown.meta.flags, grown.meta.expiry),
        (b"vw".to_vec(), u32::MAX, expiry)
    );
    assert!(!grown.meta.stale && !grown.meta.won, "a new value is not stale");
}

fn versions_are_new_for_every_change_and_kept_by_a_touch(engine: &dyn Engine) {
    let now = start(engine);
    if !engine.limits().versions {
        return;
    }
    let mut versions = BTreeSet::new();
    for round in 0..2_000u32 {
        let wish = match round % 4 {
            0 => Wish::put(&round.to_le_bytes()),
            1 => Wish::Append(vec![1; 20]),
            2 => Wish::Touch(Touch { version: Some(NewVersion::Next), ..Touch::default() }),
            _ => {
                let expiry = Some(Expiry::at(now.plus_ms(u64::from(round) + 1)));
                let before = get(engine, b"key", now).expect("stored").meta.version;
                let (_, applied) =
                    update(engine, b"key", now, Wish::Touch(Touch { expiry, ..Touch::default() }));
                assert_eq!(applied.version, before, "a touch changed the version");
                continue;
            }
        };
        let (_, applied) = update(engine, b"key", now, wish);
        assert_eq!(get(engine, b"key", now).expect("stored").meta.version, applied.version);
        assert!(versions.insert(applied.version), "round {round}: a version came twice");
    }
}

fn expiry_hides_and_the_clock_never_goes_back(engine: &dyn Engine) {
    let now = start(engine);
    let expiry = Expiry::at(now.plus_ms(10));
    let wish = Wish::Put { value: b"v".to_vec(), flags: 0, expiry, version: NewVersion::Next };
    update(engine, b"key", now, wish);
    let before = engine.clock().advance(START_MS + 9);
    assert!(get(engine, b"key", before).is_some());
    let after = engine.clock().advance(START_MS + 10);
    assert!(get(engine, b"key", after).is_none());
    assert_eq!(engine.clock().advance(START_MS), after, "the clock went back");
    let (saw, _) = update(engine, b"key", after, Wish::Keep);
    assert_eq!(saw, None, "an evaluation saw an ended record");
    assert!(scan_all(engine, 10, after).is_empty(), "a scan showed an ended record");
    update(engine, b"key", after, Wish::put(b"again"));
    assert_eq!(get(engine, b"key", after).expect("stored").value, b"again");
}

fn a_flush_is_a_cut_now_or_later(engine: &dyn Engine) {
    let mut now = start(engine);
    update(engine, b"old", now, Wish::put(b"1"));
    engine.flush(None, now).expect("a flush");
    assert_eq!(get(engine, b"old", now), None);
    update(engine, b"new", now, Wish::put(b"2"));
    assert!(get(engine, b"new", now).is_some(), "a flush took what was stored after it");

    engine.flush(Some(now.plus_ms(100)), now).expect("a delayed flush");
    update(engine, b"later", now, Wish::put(b"3"));
    assert!(get(engine, b"new", now).is_some() && get(engine, b"later", now).is_some());
    now = engine.clock().advance(now.ms() + 100);
    assert_eq!(get(engine, b"new", now), None);
    assert_eq!(get(engine, b"later", now), None, "stored before the cut was due");
    update(engine, b"after", now, Wish::put(b"4"));
    now = engine.clock().advance(now.ms() + 1_000);
    assert!(get(engine, b"after", now).is_some(), "a delayed flush cut twice");

    engine.flush(Some(now.plus_ms(100)), now).expect("a delayed flush");
    engine.flush(Some(now.plus_ms(10_000)), now).expect("another in its place");
    now = engine.clock().advance(now.ms() + 200);
    assert!(get(engine, b"after", now).is_some(), "a replaced flush was carried out");
}

fn a_refused_update_changes_nothing(engine: &dyn Engine) {
    let now = start(engine);
    let limits = engine.limits();
    update(engine, b"key", now, Wish::put(b"v"));
    let too_long = vec![b'k'; limits.key_len_max + 1];
    let refused = engine.update(&too_long, now, &mut Told::to(Wish::put(b"v")));
    assert!(matches!(refused, Err(Error::KeyTooLarge { .. })));
    if limits.value_len_max > 64 << 20 {
        return;
    }
    let value = vec![0; usize::try_from(limits.value_len_max).expect("checked") + 1];
    for wish in [Wish::put(&value), Wish::Append(value)] {
        let refused = engine.update(b"key", now, &mut Told::to(wish));
        assert!(matches!(refused, Err(Error::ValueTooLarge { .. })), "{refused:?}");
        assert_eq!(get(engine, b"key", now).expect("stored").value, b"v");
    }
}

fn get_many_answers_in_order(engine: &dyn Engine) {
    let now = start(engine);
    for number in (0..500u32).step_by(2) {
        update(engine, &number.to_le_bytes(), now, Wish::put(&number.to_be_bytes()));
    }
    let keys: Vec<[u8; 4]> = (0..500u32).map(u32::to_le_bytes).collect();
    let keys: Vec<&[u8]> = keys.iter().map(|key| &key[..]).chain([&keys[0][..]]).collect();
    let mut next = 0;
    engine.get_many(&keys, now, &mut |at, found| {
        assert_eq!(at, next, "out of order");
        next += 1;
        let even = (at % 2 == 0 && at < 500) || at == 500;
        assert_eq!(matches!(found, crate::Found::Record(_)), even, "key {at}");
        crate::Look::Fetched
    });
    assert_eq!(next, 501);
    engine.get_many(&[], now, &mut |_, _| panic!("nothing was asked"));
}

/// Moves an amount between two counters, or does nothing when there is too little.
pub(super) struct Transfer(pub(super) u64);

impl UnitMutation for Transfer {
    fn needs_values(&self) -> bool {
        true
    }

    fn evaluate<'s>(&'s mut self, current: &'s [Option<View<'s>>]) -> Vec<Edit<'s>> {
        let amounts: Vec<u64> = current.iter().map(|view| amount(view.as_ref())).collect();
        if amounts[0] < self.0 {
            return Vec::new();
        }
        vec![
            Edit::Put(crate::Put::of(crate::Payload::Staged(staged(amounts[0] - self.0)))),
            Edit::Put(crate::Put::of(crate::Payload::Staged(staged(amounts[1] + self.0)))),
        ]
    }
}

fn staged(amount: u64) -> crate::Staged {
    let mut staged = crate::Staged::with_limit(8);
    let [a, b, rest @ ..] = amount.to_le_bytes();
    staged.write(&[a, b]).expect("in limits");
    staged.write(&rest).expect("in limits");
    assert!(staged.write(b"!").is_err(), "a staged value passed its limit");
    staged
}

fn amount(view: Option<&View<'_>>) -> u64 {
    view.and_then(|view| view.value.as_bytes()?.try_into().ok()).map_or(0, u64::from_le_bytes)
}

fn a_unit_is_one_change(engine: &dyn Engine) {
    let now = start(engine);
    update(engine, b"from", now, Wish::put(&100u64.to_le_bytes()));
    let both: [&[u8]; 2] = [b"from", b"to"];
    for expected in [70u64, 40, 10, 10] {
        done(engine.update_many(&both, now, &mut Transfer(30)).expect("a unit"));
        assert_eq!(get(engine, b"from", now).expect("stored").value, expected.to_le_bytes());
        let to = get(engine, b"to", now).expect("stored").value;
        assert_eq!(to, (100 - expected).to_le_bytes());
    }
    let too_long = vec![b'k'; engine.limits().key_len_max + 1];
    let refused = engine.update_many(&[b"from", &too_long], now, &mut Transfer(5));
    assert!(refused.is_err());
    assert_eq!(get(engine, b"from", now).expect("stored").value, 10u64.to_le_bytes());
}

fn effects_apply_once_and_for_all(engine: &dyn Engine) {
    let now = start(engine);
    let meta = Meta { flags: 3, version: 77, ..Meta::default() };
    let touched = Meta { expiry: Expiry::at(now.plus_ms(1_000)), ..meta };
    let effects = [
        Effect::Put { key: b"a", meta, value: b"one" },
        Effect::Append {
            key: b"a",
            previous_version: meta.version,
            previous_len: 3,
            meta: Meta { version: 78, ..meta },
            bytes: b"two",
        },
        Effect::Touch { key: b"a", previous_version: 78, meta: Meta { version: 78, ..touched } },
        Effect::Unit(vec![
            Effect::Put { key: b"b", meta, value: b"b" },
            Effect::Put { key: b"c", meta, value: b"c" },
        ]),
        Effect::Remove { key: b"b" },
        Effect::Evict { key: b"c" },
    ];
    let versions = engine.limits().versions;
    for (at, effect) in effects.iter().enumerate() {
        let position = Position { incarnation: 9, sequence: at as u64 };
        for _ in 0..2 {
            engine.apply(PartitionId(0), position, effect, now).expect("an effect");
        }
        if !versions && at == 0 {
            // Without versions appends cannot be told apart; the rest is checked with them.
            return;
        }
    }
    let record = get(engine, b"a", now).expect("applied");
    assert_eq!((&record.value[..], record.meta.version), (&b"onetwo"[..], 78));
    assert_eq!(record.meta.expiry, touched.expiry);
    assert_eq!((get(engine, b"b", now), get(engine, b"c", now)), (None, None));
    let flush = Effect::Flush { cut: Position { incarnation: 9, sequence: 100 } };
    let position = Position { incarnation: 9, sequence: 101 };
    let whose = engine.partition_of(b"a");
    for id in (0..engine.partition_count()).map(PartitionId).filter(|id| *id != whose) {
        engine.apply(id, position, &flush, now).expect("a flush of another partition");
        let is_there = get(engine, b"a", now).is_some();
        assert!(is_there, "a flush of one partition has removed a record of another");
    }
    engine.apply(whose, position, &flush, now).expect("a flush");
    assert_eq!(get(engine, b"a", now), None);
}

fn an_append_effect_wants_its_predecessor(engine: &dyn Engine) {
    let now = start(engine);
    if !engine.limits().versions {
        return;
    }
    let append = |previous_version, previous_len| Effect::Append {
        key: b"a",
        previous_version,
        previous_len,
        meta: Meta { version: 9, ..Meta::default() },
        bytes: b"x",
    };
    let apply = |effect: &Effect<'_>| {
        engine.apply(PartitionId(0), Position { incarnation: 9, sequence: 1 }, effect, now)
    };
    assert_eq!(apply(&append(8, 1)), Err(Error::NeedsRecord));
    let meta = Meta { version: 8, ..Meta::default() };
    apply(&Effect::Put { key: b"a", meta, value: b"v" }).expect("a put");
    assert_eq!(apply(&append(7, 1)), Err(Error::NeedsRecord));
    assert_eq!(apply(&append(8, 2)), Err(Error::NeedsRecord));
    let unit = Effect::Unit(vec![Effect::Remove { key: b"a" }, append(7, 1)]);
    assert_eq!(apply(&unit), Err(Error::NeedsRecord));
    assert_eq!(get(engine, b"a", now).expect("still there").value, b"v");
    assert_eq!(apply(&append(8, 1)), Ok(()));
    assert_eq!(get(engine, b"a", now).expect("grown").value, b"vx");
}

fn accesses_are_remembered_unless_peeked(engine: &dyn Engine) {
    if !engine.limits().remembers {
        return;
    }
    let now = start(engine);
    update(engine, b"key", now, Wish::put(b"v"));
    let look = |at, peek| {
        let mut access = None;
        engine.get(b"key", at, &mut |found| {
            if let crate::Found::Record(view) = found {
                access = Some(view.access);
            }
            if peek { crate::Look::Peeked } else { crate::Look::Fetched }
        });
        access.expect("stored")
    };
    let later = engine.clock().advance(now.ms() + 5_000);
    assert!(!look(later, true).hit_before);
    assert!(!look(later, false).hit_before, "a peek left a trace");
    let access = look(later, true);
    assert!(access.hit_before);
    assert!(access.idle_s <= 5, "{access:?}");
    update(engine, b"key", later, Wish::put(b"w"));
    assert!(!look(later, true).hit_before, "a new value was fetched before");
}

fn positions_and_watermarks(engine: &dyn Engine) {
    let now = start(engine);
    let mut last = Position::START;
    for round in 0..100u8 {
        let (_, applied) = update(engine, b"key", now, Wish::put(&[round]));
        assert!(applied.position >= last, "positions went back");
        last = applied.position;
        let partition = engine.partition_of(b"key");
        assert!(partition.0 < engine.partition_count());
        assert!(engine.watermark(partition, Level::Applied) >= last);
    }
}

fn scans_are_complete(engine: &dyn Engine) {
    let now = start(engine);
    assert!(scan_all(engine, 100, now).is_empty());
    let keys: BTreeSet<Vec<u8>> = (0..5_000u32).map(|n| n.to_le_bytes().to_vec()).collect();
    keys.iter().for_each(|key| drop(update(engine, key, now, Wish::put(key))));
    for count in [1, 7, 1_000, 100_000] {
        let records = scan_all(engine, count, now);
        assert_eq!(records.len(), keys.len(), "steps of {count}");
        assert!(records.iter().all(|(key, seen)| *key == seen.value));
        let seen: BTreeSet<Vec<u8>> = records.into_iter().map(|(key, _)| key).collect();
        assert_eq!(seen, keys);
    }
}

fn jobs_end(engine: &dyn Engine) {
    let now = start(engine);
    (0..1_000u32).for_each(|n| drop(update(engine, &n.to_le_bytes(), now, Wish::put(b"v"))));
    for (job, name) in engine.jobs().iter().enumerate() {
        let mut runs = 0;
        while engine.run_job(job, now) == crate::JobProgress::More {
            runs += 1;
            assert!(runs < 100_000, "job {name} does not end");
        }
    }
    assert_eq!(engine.statistics(now).records, 1_000);
}
