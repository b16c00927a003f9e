//! The contract, and the tree against a map: the present, moments that were kept, many threads.

use crate::walk::Moment;
use crate::{FlushPolicy, Mode, Tree, TreeOptions};
use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use todana_engine::{
    Direction, Edit, Engine, Found, Look, Mutation, Ordered, Put, Range, Statistics, UnitMutation,
    View, conformance,
};
use todana_io::{Disk, Generator};
use todana_record::Timestamp;
use todana_sim::SimDisk;

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

const NOW: Timestamp = Timestamp::from_ms(1);

/// Puts a value, or removes the record.
struct To<'a>(Option<&'a [u8]>);

impl To<'_> {
    fn edit(&self) -> Edit<'_> {
        self.0.map_or(Edit::Remove, |value| Edit::Put(Put::bytes(value)))
    }
}

impl Mutation for To<'_> {
    fn evaluate<'s>(&'s mut self, _: Option<&'s View<'s>>) -> Edit<'s> {
        self.edit()
    }
}

struct AllTo<'a>(Vec<To<'a>>);

impl UnitMutation for AllTo<'_> {
    fn evaluate<'s>(&'s mut self, _: &'s [Option<View<'s>>]) -> Vec<Edit<'s>> {
        self.0.iter().map(To::edit).collect()
    }
}

fn get(tree: &Tree, key: &[u8]) -> Option<Vec<u8>> {
    let mut value = None;
    tree.get(key, NOW, &mut |found| {
        if let Found::Record(view) = found {
            value = view.value.as_bytes().map(<[u8]>::to_vec);
        }
        Look::Peeked
    });
    value
}

type Record = (Vec<u8>, Vec<u8>);

/// A range as of a moment, in steps of some records.
fn walk(moment: &Moment, range: Range<'_>, direction: Direction, step: usize) -> Vec<Record> {
    let mut all: Vec<Record> = Vec::new();
    loop {
        let last = all.last().map(|(key, _)| key.clone());
        let rest = match (&last, direction) {
            (None, _) => range,
            (Some(last), Direction::Forward) => Range { from: Bound::Excluded(last), ..range },
            (Some(last), Direction::Backward) => Range { to: Bound::Excluded(last), ..range },
        };
        let mut left = step;
        let walked = moment.walk(&rest, direction, &mut |key, record| {
            all.push((key.to_vec(), record.value.to_vec()));
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        walked.unwrap();
        if left > 0 {
            return all;
        }
    }
}

fn forward(moment: &Moment, step: usize) -> Vec<Record> {
    walk(moment, Range::ALL, Direction::Forward, step)
}

fn backward(moment: &Moment, step: usize) -> Vec<Record> {
    let mut all = walk(moment, Range::ALL, Direction::Backward, step);
    all.reverse();
    all
}

fn draw_bound(random: &mut Generator, key: &'static [u8]) -> Bound<&'static [u8]> {
    match random.below(5) {
        0 => Bound::Unbounded,
        1 | 2 => Bound::Included(key),
        _ => Bound::Excluded(key),
    }
}

/// A range between two drawn keys, in either order.
fn draw_range(random: &mut Generator, space: u64) -> Range<'static> {
    let mut key = || &*draw_key(random, space).leak();
    let (one, other) = (key(), key());
    let (from, to) = if random.one_in(8) { (one, other) } else { (one.min(other), one.max(other)) };
    Range { from: draw_bound(random, from), to: draw_bound(random, to) }
}

fn in_range(map: &Map, range: &Range<'_>) -> Vec<Record> {
    let all = map.iter().filter(|(key, _)| range.contains(key));
    all.map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn is_same(moment: &Moment, map: &Map, random: &mut Generator) {
    let expected: Vec<_> = map.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    let step = 1 + usize::try_from(random.below(300)).unwrap();
    assert!(forward(moment, step) == expected, "forward by {step}");
    assert!(backward(moment, step) == expected, "backward by {step}");
    for _ in 0..20 {
        let range = draw_range(random, 3_000);
        let mut expected = in_range(map, &range);
        assert!(walk(moment, range, Direction::Forward, step) == expected, "{range:?}");
        expected.reverse();
        assert!(walk(moment, range, Direction::Backward, step) == expected, "{range:?}");
    }
}

/// Keys that crowd in some places, with long and short common beginnings.
fn draw_key(random: &mut Generator, space: u64) -> Vec<u8> {
    let number = random.below(space);
    match random.below(8) {
        0 => number.to_be_bytes()[6..].to_vec(),
        1 => format!("{:0200}", number % 50).into_bytes(),
        2 => number.to_le_bytes().repeat(1 + usize::try_from(number % 3).unwrap()),
        3 => vec![b'a'; usize::try_from(number % 70).unwrap()],
        _ => format!("user:{number:06}").into_bytes(),
    }
}

fn rank(tree: &Tree, key: &[u8]) -> u64 {
    tree.count(&Range { from: Bound::Unbounded, to: Bound::Excluded(key) }).unwrap()
}

fn statistics(tree: &Tree) -> Statistics {
    tree.statistics(NOW)
}

/// Random changes beside a map; now and then a moment is kept, looked at later, and let go.
fn against_a_map(seed: u64, rounds: usize, space: u64, disk: Option<&SimDisk>) {
    let mut random = Generator::new(seed);
    let options = TreeOptions { versions: seed.is_multiple_of(2), ..TreeOptions::default() };
    let mut tree = match disk {
        Some(disk) => on_disk(disk, TIGHT),
        None => Tree::new(options),
    };
    let mut map = Map::new();
    let mut kept: Vec<(Moment, Map)> = Vec::new();
    // Phases that grow and such that shrink.
    let mut removals = 2;
    for round in 0..rounds {
        if random.one_in(2_000) {
            removals = random.below(10);
        }
        let key = draw_key(&mut random, space);
        let value_len = if random.one_in(100) { 3_000 } else { random.below(40) };
        let value = vec![key.len().to_le_bytes()[0]; usize::try_from(value_len).unwrap()];
        match random.below(200) {
            0 => {
                let keys: Vec<_> =
                    (0..random.below(300)).map(|_| draw_key(&mut random, space)).collect();
                let names: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
                let removes = random.one_in(3);
                let to = || To((!removes).then_some(&value[..]));
                let mut unit = AllTo(keys.iter().map(|_| to()).collect());
                tree.update_many(&names, NOW, &mut unit).unwrap();
                for key in keys {
                    match removes {
                        true => drop(map.remove(&key)),
                        false => drop(map.insert(key, value.clone())),
                    }
                }
            }
            1 if random.one_in(20) => {
                tree.flush(None, NOW).unwrap();
                map.clear();
            }
            2 if random.one_in(4) => {
                let range = draw_range(&mut random, space);
                tree.remove_range(&range, NOW).unwrap();
                map.retain(|key, _| !range.contains(key));
            }
            _ if random.below(10) < removals => {
                tree.update(&key, NOW, &mut To(None)).unwrap();
                map.remove(&key);
            }
            _ => {
                tree.update(&key, NOW, &mut To(Some(&value))).unwrap();
                map.insert(key, value);
            }
        }
        if random.one_in(400) {
            kept.push((tree.present(), map.clone()));
        }
        if let Some(disk) = disk
            && random.one_in(1_000)
        {
            kept.clear();
            if random.one_in(2) {
                tree.close().unwrap();
            } else {
                // As after a kill: what was written is there, what was not has to be.
                tree.sync().unwrap();
            }
            drop(std::mem::replace(&mut tree, Tree::new(TreeOptions::default())));
            tree = on_disk(disk, TIGHT);
        }
        if disk.is_some() && random.one_in(10) {
            tree.run_job(1, NOW);
        }
        if !kept.is_empty() && random.one_in(400) {
            let at = usize::try_from(random.below(kept.len() as u64)).unwrap();
            is_same(&kept[at].0, &kept[at].1, &mut random);
            if random.one_in(2) {
                kept.swap_remove(at);
            }
        }
        let key = draw_key(&mut random, space);
        assert_eq!(get(&tree, &key), map.get(&key).cloned(), "round {round}");
        if random.one_in(50) {
            let range = draw_range(&mut random, space);
            assert_eq!(
                tree.count(&range).unwrap(),
                in_range(&map, &range).len() as u64,
                "{range:?}"
            );
            assert_eq!(statistics(&tree).records, map.len() as u64);
        }
    }
    is_same(&tree.present(), &map, &mut random);
    for (moment, map) in kept {
        is_same(&moment, &map, &mut random);
    }
    // Without moments nothing old is kept.
    tree.update(b"last", NOW, &mut To(Some(b""))).unwrap();
    let mut writer = tree.writing.lock();
    writer.let_go(&tree.shared);
    assert_eq!(writer.kept_len(), 0);
}

#[test]
fn the_tree_is_as_a_map() {
    for seed in 0..6 {
        against_a_map(
            seed,
            20_000,
            [100, 3_000, 200_000][usize::try_from(seed % 3).unwrap()],
            None,
        );
    }
}

#[test]
fn the_tree_on_disk_is_as_a_map() {
    for seed in 10..14 {
        let space = [100, 3_000, 200_000][usize::try_from(seed % 3).unwrap()];
        against_a_map(seed, 10_000, space, Some(&SimDisk::new(seed)));
    }
}

#[test]
#[ignore = "some minutes"]
fn the_tree_is_as_a_map_for_long() {
    for seed in 100..160 {
        let space = [100, 3_000, 200_000][usize::try_from(seed % 3).unwrap()];
        against_a_map(seed, 100_000, space, None);
        against_a_map(seed, 100_000, space, Some(&SimDisk::new(seed)));
    }
}

#[test]
fn a_put_where_a_leaf_has_become_empty_is_not_lost() {
    let key = |n: u32| format!("{n:08}").into_bytes();
    for first in 0..160 {
        let tree = Tree::new(TreeOptions::default());
        let put = |n, len| {
            tree.update(&key(n), NOW, &mut To(Some(&vec![7; len]))).unwrap();
        };
        (0..200).for_each(|n| put(n, 100));
        // Every leaf has changes, and little room for more.
        (0..200).step_by(8).for_each(|n| put(n, 10));
        for n in first..first + 40 {
            tree.update(&key(n), NOW, &mut To(None)).unwrap();
            // Its leaf may have nothing left, and then the key belongs to a neighbour.
            put(n, 3_000);
            assert_eq!(get(&tree, &key(n)).map(|value| value.len()), Some(3_000), "{first}, {n}");
            tree.update(&key(n), NOW, &mut To(None)).unwrap();
        }
    }
}

#[test]
fn many_nodes_grow_and_go() {
    let tree = Tree::new(TreeOptions::default());
    let key = |n: u32| format!("{n:08}").into_bytes();
    for n in 0..400_000 {
        tree.update(&key(n), NOW, &mut To(Some(b"8 bytes."))).unwrap();
    }
    let full = statistics(&tree).memory_bytes;
    assert_eq!((statistics(&tree).records, rank(&tree, &key(123_456))), (400_000, 123_456));
    for n in (0..400_000).rev().filter(|n: &u32| !n.is_multiple_of(100)) {
        tree.update(&key(n), NOW, &mut To(None)).unwrap();
    }
    let expected: Vec<Vec<u8>> = (0..4_000).map(|n| key(n * 100)).collect();
    let keys: Vec<Vec<u8>> =
        forward(&tree.present(), 1_000).into_iter().map(|(key, _)| key).collect();
    assert!(keys == expected);
    let left = statistics(&tree).memory_bytes;
    assert!(left < full / 20, "{left} bytes are left of {full}");
    assert_eq!(rank(&tree, &key(200_000)), 2_000);
}

/// One thread moves amounts between accounts, several at a time, accounts come and go; every moment shows the
/// same sum.
#[test]
fn a_moment_shows_units_whole() {
    const SUM: u64 = 1_000_000;
    let tree = Arc::new(Tree::new(TreeOptions::default()));
    let amount = |value: &[u8]| u64::from_le_bytes(value.try_into().unwrap());
    tree.update(b"account 0000", NOW, &mut To(Some(&SUM.to_le_bytes()))).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..2)
        .map(|reader| {
            let (tree, stop) = (tree.clone(), stop.clone());
            std::thread::spawn(move || {
                let mut rounds = 0;
                while !stop.load(Ordering::Relaxed) || rounds == 0 {
                    let moment = tree.present();
                    for _ in 0..2 {
                        let all = if reader == 0 { forward } else { backward }(&moment, 100);
                        let sum: u64 = all.iter().map(|(_, value)| amount(value)).sum();
                        assert_eq!(sum, SUM);
                    }
                    rounds += 1;
                }
                rounds
            })
        })
        .collect();
    let mut random = Generator::new(3);
    let mut accounts = BTreeMap::from([(b"account 0000".to_vec(), SUM)]);
    for _ in 0..20_000 {
        let mut unit: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
        for _ in 0..1 + random.below(40) {
            let key = format!("account {:04}", random.below(3_000)).into_bytes();
            let value = accounts.get(&key).copied().unwrap_or_default();
            unit.insert(key, value);
        }
        let mut sum: u64 = unit.values().sum();
        let count = unit.len();
        for (at, value) in unit.values_mut().enumerate() {
            *value = if at + 1 == count { sum } else { random.below(sum / 2 + 1) };
            sum -= *value;
        }
        let bytes: Vec<[u8; 8]> = unit.values().map(|value| value.to_le_bytes()).collect();
        let keys: Vec<&[u8]> = unit.keys().map(|key| &key[..]).collect();
        let edits = unit.values().zip(&bytes);
        let edits = edits.map(|(value, bytes)| To((*value > 0).then_some(&bytes[..])));
        tree.update_many(&keys, NOW, &mut AllTo(edits.collect())).unwrap();
        accounts.extend(unit);
    }
    stop.store(true, Ordering::Relaxed);
    let rounds: u32 = readers.into_iter().map(|reader| reader.join().unwrap()).sum();
    assert!(rounds >= 2);
}

#[test]
fn memory_that_is_short_is_refused() {
    let memory_limit_bytes = 1 << 20;
    let tree =
        Tree::new(TreeOptions { memory_limit_bytes, versions: false, ..TreeOptions::default() });
    let put = |n: u32| tree.update(&n.to_be_bytes(), NOW, &mut To(Some(&[0; 100])));
    let stored = (0..).take_while(|n| put(*n).is_ok()).count();
    assert!((8_000..11_000).contains(&stored), "{stored}");
    assert_eq!(
        put(0).unwrap_err().to_string(),
        "no memory: the limit of 1048576 bytes is reached, or the system has no more"
    );
    for n in 0..5_000_u32 {
        tree.update(&n.to_be_bytes(), NOW, &mut To(None)).unwrap();
    }
    assert!(put(1).is_ok());
}

fn on_disk(disk: &SimDisk, options: TreeOptions) -> Tree {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    Tree::open(disk, Path::new("/data/a.tdt"), options).unwrap().0
}

/// Small checkpoints and a small cache, so that leaves come and go.
const TIGHT: TreeOptions = TreeOptions {
    versions: true,
    memory_limit_bytes: 0,
    cache_bytes: 100 << 10,
    flush: FlushPolicy::Never,
    mode: Mode::Create,
    checkpoint_bytes: 64 << 10,
    stream_bytes: 0,
    least_segment_bytes: 64 << 10,
};

#[test]
fn conformance_on_disk() {
    let number = std::sync::atomic::AtomicU32::new(0);
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(1));
    for flush in [FlushPolicy::Never, FlushPolicy::Group] {
        conformance::run(&|| {
            let number = number.fetch_add(1, Ordering::Relaxed);
            let path = format!("/stores/{number}.tdt");
            let options = TreeOptions { flush, ..TIGHT };
            Arc::new(Tree::open(disk.clone(), Path::new(&path), options).unwrap().0)
        });
    }
}

#[test]
fn conformance_in_memory() {
    conformance::run(&|| Arc::new(Tree::new(TreeOptions::default())));
}
