use super::*;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::atomic::AtomicBool;
use todana_io::Generator;

/// A place as the hash engine has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    slot: u16,
    offset: u32,
}

impl Pointer for Place {
    const BITS: u32 = 42;

    fn bits(self) -> u64 {
        u64::from(self.slot) << 26 | u64::from(self.offset)
    }

    fn of(bits: u64) -> Place {
        Place { slot: (bits >> 26) as u16, offset: (bits & 0x3ff_ffff) as u32 }
    }
}

fn place(number: u64) -> Place {
    Place { slot: (number >> 26) as u16 + 1, offset: (number & 0x3ff_ffff) as u32 }
}

/// An index with a pool of its own, whose first block it may outgrow.
fn index(layout: Layout) -> IndexWriter<Place> {
    IndexWriter::new(layout, &Pool::new(1, true).unwrap()).unwrap()
}

fn look(writer: &IndexWriter<Place>, hash: u64, wanted: Place) -> Probe<()> {
    writer.index().probe(hash, |place| match place == wanted {
        true => Check::Is(()),
        false => Check::IsNot,
    })
}

fn insert(writer: &mut IndexWriter<Place>, hash: u64, place: Place) {
    let (seat, _) = writer.seek::<()>(hash, |_| Check::IsNot);
    writer.insert(seat, place).unwrap();
}

#[test]
fn a_random_walk_agrees_with_a_map() {
    let mut random = Generator::new(5);
    let mut writer = index(Layout::quick(32));
    let mut model: BTreeMap<u64, Place> = BTreeMap::new();
    for step in 0..400_000_u64 {
        // Hashes from a small set: some differ in bits that the index does not keep.
        let hash = random.below(60_000).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ random.below(2);
        let new = place(step);
        match (model.get(&hash).copied(), random.below(3)) {
            (Some(old), 0) => {
                let seat = writer.seat_of(hash, old);
                writer.remove(seat.unwrap_or_else(|| panic!("step {step} {hash:x}")));
                model.remove(&hash);
            }
            (Some(old), _) => {
                let seat = writer.seat_of(hash, old).unwrap();
                writer.set(seat, new);
                model.insert(hash, new);
            }
            (None, _) => {
                insert(&mut writer, hash, new);
                model.insert(hash, new);
            }
        }
    }
    assert_eq!(writer.len(), model.len() as u64);
    for (&hash, &place) in &model {
        assert_eq!(look(&writer, hash, place), Probe::Found(()));
    }
    assert_eq!(look(&writer, 12_345, place(1)), Probe::Absent);
    for count in [1, 7, 100_000] {
        let mut all = Vec::new();
        let mut from = Some(0);
        while let Some(q) = from {
            from = writer.index().walk(q, count, &mut |place| all.push(place));
        }
        let mut expected: Vec<Place> = model.values().copied().collect();
        let key = |place: &Place| (place.slot, place.offset);
        expected.sort_by_key(key);
        all.sort_by_key(key);
        assert_eq!(all, expected, "walk by {count}");
    }
    writer.clear().unwrap();
    assert!(model.iter().all(|(&hash, &place)| look(&writer, hash, place) == Probe::Absent));
}

/// Fills indexes that share a pool, as the shards of a cache do; gives bytes an entry, mean and greatest,
/// at numbers of entries between two.
fn bytes_an_entry(layout: Layout, count: usize, entries: RangeInclusive<u64>) -> (f64, f64) {
    let mut random = Generator::new(9);
    let pool = Pool::new(1, true).unwrap();
    let mut writers: Vec<IndexWriter<Place>> =
        (0..count).map(|_| IndexWriter::new(layout, &pool).unwrap()).collect();
    let step = entries.end() / 240;
    let (mut sum, mut looks, mut worst, mut worst_at) = (0.0, 0.0, 0.0, 0);
    for number in 1..=*entries.end() {
        let hash = spread(random.next_u64());
        insert(&mut writers[hash as usize % count], hash, place(number));
        if number % step == 0 && entries.contains(&number) {
            let bytes: u64 = writers.iter().map(|writer| writer.index().bytes()).sum();
            let each = bytes as f64 / number as f64;
            (sum, looks) = (sum + each, looks + 1.0);
            if each > worst {
                (worst, worst_at) = (each, number);
            }
            if number % (20 * step) == 0 {
                println!("{number} entries: {each:.2} bytes each");
            }
        }
    }
    println!("{layout:?}: {:.2} in the mean, {worst:.2} at most, at {worst_at}", sum / looks);
    (sum / looks, worst)
}

/// As a cache of 64 MiB has it, but for 16 parts instead of two.
#[test]
fn sixteen_indexes_of_a_pool_take_at_most_ten_bytes_an_entry() {
    let layout = Layout::dense(IndexWriter::<Place>::TAG_BITS + 6);
    let (mean, worst) = bytes_an_entry(layout, 16, 125_000..=1_500_000);
    assert!(mean < 9.75 && worst < 10.0, "{mean} bytes an entry in the mean, at most {worst}");
}

/// As a cache of 1 GiB has it.
#[test]
#[cfg_attr(debug_assertions, ignore = "half a minute without optimization")]
fn from_one_to_twelve_million_entries_take_at_most_ten_bytes_each() {
    let layout = Layout::dense(IndexWriter::<Place>::TAG_BITS + 9);
    let (mean, worst) = bytes_an_entry(layout, 16, 1_000_000..=12_000_000);
    assert!(mean < 9.75 && worst < 10.0, "{mean} bytes an entry in the mean, at most {worst}");
}

#[test]
fn a_quick_index_takes_at_most_twelve_bytes_an_entry() {
    let (mean, worst) = bytes_an_entry(Layout::quick(32), 1, 500_000..=2_000_000);
    assert!(mean < 11.0 && worst < 12.0, "{mean} bytes an entry in the mean, at most {worst}");
}

/// An index looks for its keys alone, whatever others of its pool do; flushes leave memory to them.
#[test]
fn indexes_of_a_pool_do_not_meet() {
    let pool = Pool::new(1, false).unwrap();
    let layout = Layout::dense(IndexWriter::<Place>::TAG_BITS + 2);
    let mut writers: Vec<IndexWriter<Place>> =
        (0..3).map(|_| IndexWriter::new(layout, &pool).unwrap()).collect();
    let bytes = |writers: &[IndexWriter<Place>]| {
        writers.iter().map(|writer| writer.index().bytes()).sum::<u64>()
    };
    let mut after = Vec::new();
    for round in 0..4 {
        let mut random = Generator::new(round);
        let all: Vec<u64> = (0..60_000).map(|_| spread(random.next_u64())).collect();
        for (number, &hash) in (0..).zip(&all) {
            insert(&mut writers[number as usize % 3], hash, place(number));
        }
        for (number, &hash) in (0..).zip(&all) {
            for (at, writer) in (0..).zip(&writers) {
                let found = look(writer, hash, place(number)) == Probe::Found(());
                assert_eq!(found, number % 3 == at, "round {round}, {number} in {at}");
            }
        }
        after.push(bytes(&writers));
        writers.iter_mut().for_each(|writer| writer.clear().unwrap());
    }
    println!("{after:?} bytes");
    assert!(after[3] < after[1] + after[1] / 50, "{after:?}: memory is lost");
}

#[test]
fn spreading_keeps_the_order() {
    let step = u64::MAX / 10_007;
    let spreads: Vec<u64> = (0..=10_007).map(|n| spread(n * step)).collect();
    assert!(spreads.is_sorted() && spreads[0] == 0 && spreads[10_007] > u64::MAX - (1 << 52));
}

/// Readers under a writer that grows, removes and moves: what stays is always found.
#[test]
fn readers_find_what_stays() {
    let mut writer = index(Layout::quick(32));
    let hash_of = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for number in 0..20_000 {
        insert(&mut writer, hash_of(number), place(number));
    }
    let index = writer.index().clone();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (index, stop) = (&index, &stop);
        for seed in 0..2 {
            scope.spawn(move || {
                let mut random = Generator::new(seed);
                while !stop.load(Ordering::Relaxed) {
                    let number = random.below(20_000);
                    let probe = index.probe(hash_of(number), |found| {
                        if found == place(number) { Check::Is(()) } else { Check::IsNot }
                    });
                    assert_eq!(probe, Probe::Found(()), "{number} was lost");
                }
            });
        }
        let mut random = Generator::new(77);
        let mut others: Vec<u64> = Vec::new();
        for step in 0..600_000_u64 {
            if random.below(5) < 3 || others.is_empty() {
                let number = 1_000_000 + step;
                insert(&mut writer, hash_of(number), place(number));
                others.push(number);
            } else {
                let at = random.below(others.len() as u64) as usize;
                let number = others.swap_remove(at);
                let seat = writer.seat_of(hash_of(number), place(number)).unwrap();
                writer.remove(seat);
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
}

/// An index grows while another of its pool, of the same hashes and other places, is filled and cleared again
/// and again, so each has the memory that the other's tables have left: readers find what stays, and
/// nothing of the other's.
#[test]
fn readers_are_not_led_astray_by_another_index_of_the_pool() {
    const STAY: u64 = 2_000;
    let last = if cfg!(debug_assertions) { 100_000 } else { 600_000 };
    let pool = Pool::new(1, false).unwrap();
    let layout = Layout::dense(IndexWriter::<Place>::TAG_BITS + 2);
    let hash_of = |number: u64| spread(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let place_of = |at: u64, number: u64| place(at << 32 | number);
    let mut writer = IndexWriter::new(layout, &pool).unwrap();
    let mut other = IndexWriter::new(layout, &pool).unwrap();
    (0..STAY).for_each(|number| insert(&mut writer, hash_of(number), place_of(0, number)));
    let index = writer.index().clone();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (index, stop) = (&index, &stop);
        for seed in 0..2 {
            scope.spawn(move || {
                let mut random = Generator::new(seed);
                while !stop.load(Ordering::Relaxed) {
                    let number = random.below(STAY);
                    let probe = index.probe(hash_of(number), |found| {
                        if found == place_of(0, number) { Check::Is(()) } else { Check::IsNot }
                    });
                    assert_eq!(probe, Probe::Found(()), "{number} was lost");
                }
            });
        }
        scope.spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                (0..5_000).for_each(|n| insert(&mut other, hash_of(n), place_of(1, n)));
                other.clear().unwrap();
            }
        });
        for number in STAY..last {
            insert(&mut writer, hash_of(number), place_of(0, number));
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!((0..last).all(|n| look(&writer, hash_of(n), place_of(0, n)) == Probe::Found(())));
}
