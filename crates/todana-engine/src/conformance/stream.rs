//! Update streams and snapshots, for engines that have them.

use super::{Make, Wish, get, scan_all, start, update};
use crate::{Effect, Engine, Snapshot, StreamError, UpdateStream};
use std::collections::BTreeMap;
use todana_io::Generator;
use todana_record::{PartitionId, Position, Timestamp};

pub(super) fn run(make: Make<'_>) {
    a_replica_becomes_equal(&*make(), &*make());
}

fn write_some(engine: &dyn Engine, random: &mut Generator, now: Timestamp) {
    for _ in 0..2_000 {
        let key = random.below(300).to_le_bytes();
        let wish = match random.below(4) {
            0 => Wish::Remove,
            1 => Wish::Append(b"+".to_vec()),
            _ => Wish::put(&random.next_u64().to_le_bytes()),
        };
        update(engine, &key, now, wish);
    }
}

fn follow(
    stream: &mut dyn UpdateStream,
    partition: PartitionId,
    replica: &dyn Engine,
    now: Timestamp,
    times: u32,
) -> Position {
    let mut last = Position::START;
    loop {
        let count = stream
            .next(7, &mut |position, _, effect| {
                assert!(position > last, "a stream went back");
                last = position;
                for _ in 0..times {
                    match replica.apply(partition, position, effect, now) {
                        Ok(()) => {}
                        Err(error) => panic!("{effect:?}: {error}"),
                    }
                }
            })
            .expect("nothing is too old here");
        if count == 0 {
            return last;
        }
    }
}

fn take_over(
    snapshot: &mut dyn Snapshot,
    partition: PartitionId,
    replica: &dyn Engine,
    now: Timestamp,
) {
    let position = snapshot.position();
    let mut more = true;
    while more {
        more = snapshot
            .next(11, &mut |view| {
                let value = view.value.as_bytes().expect("in one piece");
                let effect = Effect::Put { key: view.key, meta: view.meta, value };
                replica.apply(partition, position, &effect, now).expect("a put");
            })
            .expect("a sound store");
    }
}

/// Snapshot, then tail with some of it twice: the replica shows what the primary shows.
fn a_replica_becomes_equal(primary: &dyn Engine, replica: &dyn Engine) {
    let now = start(primary);
    start(replica);
    match primary.stream(PartitionId(0), Position::START) {
        Err(StreamError::Off) => return,
        Err(StreamError::TooOld { .. }) | Ok(_) => {}
        Err(error) => panic!("{error}"),
    }
    let mut random = Generator::new(11);
    write_some(primary, &mut random, now);
    for id in 0..primary.partition_count() {
        let partition = PartitionId(id);
        let mut snapshot = primary.snapshot(partition).expect("there is a stream");
        write_some(primary, &mut random, now);
        take_over(&mut *snapshot, partition, replica, now);
        let mut tail = primary.stream(partition, snapshot.position()).expect("just taken");
        let reached = follow(&mut *tail, partition, replica, now, 2);
        assert!(reached <= primary.watermark(partition, crate::Level::Applied));
    }
    let of = |engine: &dyn Engine| -> BTreeMap<_, _> {
        scan_all(engine, 100, now)
            .into_iter()
            .filter(|(key, _)| {
                primary.partition_of(key) == PartitionId(primary.partition_count() - 1)
            })
            .collect()
    };
    assert_eq!(of(primary), of(replica), "the last partition differs");
    let key = 1u64.to_le_bytes();
    update(primary, &key, now, Wish::put(b"one more"));
    assert!(get(primary, &key, now).is_some());
}
