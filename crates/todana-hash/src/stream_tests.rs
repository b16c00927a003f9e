//! The update stream and snapshots, across segments, compaction, closing and crashes.

use crate::{FlushPolicy, Hash, HashOptions};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use todana_engine::{Cursor, Effect, Engine, Level, StreamError, UpdateStream};
use todana_io::Generator;
use todana_record::{Meta, PartitionId, Position, Timestamp};
use todana_sim::SimDisk;

const STORE: &str = "/store.tdh";
const PARTITION: PartitionId = PartitionId(0);
const NOW: Timestamp = Timestamp::from_ms(1_000);

type Contents = BTreeMap<Vec<u8>, (Vec<u8>, Meta)>;

fn open(disk: &SimDisk, stream_bytes: u64) -> Hash {
    let options = HashOptions {
        flush: FlushPolicy::Never,
        least_segment_bytes: 4 << 10,
        stream_bytes,
        ..HashOptions::default()
    };
    Hash::open(Arc::new(disk.clone()), Path::new(STORE), options).unwrap()
}

fn put(hash: &Hash, key: &[u8], value: &[u8]) -> Position {
    let effect = Effect::Put { key, meta: Meta::default(), value };
    apply(hash, &effect);
    hash.watermark(PARTITION, Level::Applied)
}

fn apply(hash: &Hash, effect: &Effect<'_>) {
    hash.apply(PARTITION, Position::START, effect, NOW).unwrap();
}

fn write_some(hash: &Hash, random: &mut Generator, count: u32) {
    for _ in 0..count {
        let key = random.below(200).to_le_bytes();
        let other = random.below(200).to_le_bytes();
        let number = random.next_u64();
        let value = [number.to_le_bytes(); 5].concat();
        let meta = Meta { flags: number as u32, version: number >> 1, ..Meta::default() };
        let effect = Effect::Put { key: &key, meta, value: &value };
        match random.below(20) {
            0..3 => apply(hash, &Effect::Remove { key: &key }),
            3..6 => {
                let remove = Effect::Remove { key: &other };
                apply(hash, &Effect::Unit(vec![effect, remove]));
            }
            _ => apply(hash, &effect),
        }
    }
}

fn contents(hash: &Hash) -> Contents {
    let mut all = Contents::new();
    let mut cursor = Some(Cursor::START);
    while let Some(from) = cursor {
        cursor = hash
            .scan(&from, 50, NOW, &mut |view| {
                let value = view.value.as_bytes().unwrap().to_vec();
                all.insert(view.key.to_vec(), (value, view.meta));
            })
            .unwrap();
    }
    all
}

fn absorb(all: &mut Contents, effect: &Effect<'_>) {
    match effect {
        Effect::Put { key, meta, value } => {
            all.insert(key.to_vec(), (value.to_vec(), *meta));
        }
        Effect::Remove { key } => {
            all.remove(*key);
        }
        Effect::Flush { .. } => all.clear(),
        Effect::Unit(effects) => effects.iter().for_each(|effect| absorb(all, effect)),
        other => panic!("{other:?}"),
    }
}

/// Reads a stream to its end; gives the last position.
fn follow(stream: &mut dyn UpdateStream, all: &mut Contents, from: Position) -> Position {
    let mut last = from;
    while stream
        .next(7, &mut |position, _, effect| {
            assert!(position > last, "{position} after {last}");
            last = position;
            absorb(all, effect);
        })
        .unwrap()
        > 0
    {}
    last
}

#[test]
fn everything_is_followed_through_segments_flushes_and_reopening() {
    let disk = SimDisk::new(1);
    let mut random = Generator::new(3);
    let (mut all, mut last) = (Contents::new(), Position::START);
    for round in 0..6 {
        let hash = open(&disk, u64::MAX);
        let mut stream = hash.stream(PARTITION, last).unwrap();
        for _ in 0..4 {
            write_some(&hash, &mut random, 300);
            last = follow(&mut *stream, &mut all, last);
            assert_eq!(all, contents(&hash), "round {round}");
            hash.compact().unwrap();
        }
        hash.flush(None, NOW).unwrap();
        write_some(&hash, &mut random, 30);
        last = follow(&mut *stream, &mut all, last);
        assert_eq!((last, &all), (hash.watermark(PARTITION, Level::Applied), &contents(&hash)));
        hash.close().unwrap();
    }
    // From the beginning too: nothing that the stream is to keep has gone.
    let hash = open(&disk, u64::MAX);
    let mut again = Contents::new();
    follow(&mut *hash.stream(PARTITION, Position::START).unwrap(), &mut again, Position::START);
    assert_eq!(again, all);
}

/// A log that only repeats what was flushed before is no flush.
#[test]
fn a_flush_is_followed_once() {
    let disk = SimDisk::new(1);
    let hash = open(&disk, u64::MAX);
    put(&hash, b"a", b"1");
    hash.flush(None, NOW).unwrap();
    hash.flush(Some(NOW.plus_ms(9_000)), NOW).unwrap();
    put(&hash, b"b", b"2");
    hash.compact().unwrap();
    put(&hash, b"c", b"3");
    let mut stream = hash.stream(PARTITION, Position::START).unwrap();
    let (mut flushes, mut all) = ((0, 0), Contents::new());
    while stream
        .next(7, &mut |_, _, effect| match effect {
            Effect::FlushDue { .. } => flushes.1 += 1,
            effect => {
                flushes.0 += u32::from(matches!(effect, Effect::Flush { .. }));
                absorb(&mut all, effect);
            }
        })
        .unwrap()
        > 0
    {}
    assert_eq!((flushes, all.len()), ((1, 1), 2));
}

/// The last change is in a log that is gone, and nothing was written since.
#[test]
fn positions_and_gaps_survive_closing_after_a_compaction() {
    let disk = SimDisk::new(1);
    let hash = open(&disk, 0);
    for key in 0..100_u8 {
        put(&hash, &[key], &[7; 100]);
    }
    let early = hash.watermark(PARTITION, Level::Applied);
    put(&hash, b"key", b"1");
    apply(&hash, &Effect::Remove { key: b"key" });
    let last = hash.watermark(PARTITION, Level::Applied);
    hash.compact().unwrap();
    hash.close().unwrap();
    drop(hash);
    let hash = open(&disk, 0);
    assert!(hash.watermark(PARTITION, Level::Applied) >= last, "a position went back");
    let mut replica = Contents::from([(b"key".to_vec(), (b"1".to_vec(), Meta::default()))]);
    match hash.stream(PARTITION, early) {
        Err(StreamError::TooOld { .. }) => {}
        Ok(mut stream) => {
            follow(&mut *stream, &mut replica, early);
            assert!(!replica.contains_key(&b"key"[..]), "a removal was skipped");
        }
        Err(error) => panic!("{error}"),
    }
    let position = hash.snapshot(PARTITION).unwrap().position();
    assert!(hash.stream(PARTITION, position).is_ok());
}

#[test]
fn what_compaction_removed_is_too_old() {
    let disk = SimDisk::new(1);
    let hash = open(&disk, 0);
    let mut random = Generator::new(5);
    write_some(&hash, &mut random, 500);
    let mut slow = hash.stream(PARTITION, Position::START).unwrap();
    slow.next(1, &mut |_, _, _| {}).unwrap();
    hash.compact().unwrap();
    let Err(StreamError::TooOld { oldest }) = hash.stream(PARTITION, Position::START) else {
        panic!("the logs are gone");
    };
    let told = |stream: &mut dyn UpdateStream| loop {
        match stream.next(100, &mut |_, _, _| {}) {
            Ok(0) => break None,
            Ok(_) => {}
            Err(error) => break Some(error),
        }
    };
    assert_eq!(told(&mut *slow), Some(StreamError::TooOld { oldest }));
    // Nothing has happened since.
    let mut all = Contents::new();
    let mut stream = hash.stream(PARTITION, oldest).unwrap();
    assert_eq!(follow(&mut *stream, &mut all, oldest), oldest);
    hash.close().unwrap();
    drop(hash);
    let hash = open(&disk, 0);
    let position = hash.snapshot(PARTITION).unwrap().position();
    let mut stream = hash.stream(PARTITION, position).unwrap();
    let mut all = contents(&hash);
    write_some(&hash, &mut random, 100);
    follow(&mut *stream, &mut all, position);
    assert_eq!(all, contents(&hash));
    assert!(matches!(hash.stream(PARTITION, Position::START), Err(StreamError::TooOld { .. })));
}

#[test]
fn logs_after_a_snapshot_stay_while_it_is_read() {
    let disk = SimDisk::new(1);
    let hash = open(&disk, 0);
    let mut random = Generator::new(7);
    write_some(&hash, &mut random, 500);
    let mut snapshot = hash.snapshot(PARTITION).unwrap();
    let mut all = Contents::new();
    loop {
        let more = snapshot.next(20, &mut |view| {
            let value = view.value.as_bytes().unwrap().to_vec();
            all.insert(view.key.to_vec(), (value, view.meta));
        });
        write_some(&hash, &mut random, 100);
        hash.compact().unwrap();
        if !more.unwrap() {
            break;
        }
    }
    let position = snapshot.position();
    follow(&mut *hash.stream(PARTITION, position).unwrap(), &mut all, position);
    assert_eq!(all, contents(&hash));
    drop(snapshot);
    hash.compact().unwrap();
    assert!(hash.stream(PARTITION, position).is_err(), "nobody needs them any more");
}

#[test]
fn a_position_that_was_lost_is_not_followed() {
    let mut lost_once = false;
    for seed in 0..20 {
        let disk = SimDisk::new(seed);
        let hash = open(&disk, u64::MAX);
        put(&hash, b"a", b"1");
        hash.sync().unwrap();
        let safe = hash.watermark(PARTITION, Level::Applied);
        put(&hash, b"b", b"2");
        let shown = hash.watermark(PARTITION, Level::Applied);
        hash.log.write_out(&hash, false).unwrap();
        let disk = disk.crash(seed);
        drop(hash);
        let hash = open(&disk, u64::MAX);
        let survived = contents(&hash).contains_key(&b"b"[..]);
        lost_once |= !survived;
        assert_eq!(hash.stream(PARTITION, shown).is_ok(), survived, "seed {seed}");
        let after = put(&hash, b"c", b"3");
        assert!(after.incarnation > shown.incarnation);
        let mut all = Contents::new();
        let last = follow(&mut *hash.stream(PARTITION, safe).unwrap(), &mut all, safe);
        assert_eq!((last, all.contains_key(&b"c"[..])), (after, true));
    }
    assert!(lost_once, "no seed has lost anything");
}

#[test]
fn a_partition_has_its_own_stream() {
    let disk = SimDisk::new(1);
    let options = HashOptions { partitions: 4, ..HashOptions::default() };
    let hash = Hash::open(Arc::new(disk.clone()), Path::new(STORE), options).unwrap();
    let mut random = Generator::new(9);
    write_some(&hash, &mut random, 500);
    let all = contents(&hash);
    let mut together = Contents::new();
    for id in 0..hash.partition_count() {
        let mut one = Contents::new();
        let mut stream = hash.stream(PartitionId(id), Position::START).unwrap();
        follow(&mut *stream, &mut one, Position::START);
        assert!(!one.is_empty() && one.len() < all.len());
        assert!(one.keys().all(|key| hash.partition_of(key) == PartitionId(id)));
        together.append(&mut one);
    }
    assert_eq!(together, all);
    hash.close().unwrap();
    let again = Hash::open(Arc::new(disk), Path::new(STORE), HashOptions::default()).unwrap();
    assert_eq!(again.partition_count(), 4);
}
