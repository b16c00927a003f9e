use super::*;
use std::collections::BTreeMap;
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
    let mut writer = IndexWriter::new(Layout::quick(32)).unwrap();
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

/// Bytes an entry at the end, and at most on the way there.
fn bytes_an_entry(layout: Layout) -> (f64, f64) {
    let mut random = Generator::new(9);
    let mut writer = IndexWriter::new(layout).unwrap();
    let mut worst: f64 = 0.0;
    for number in 0..2_000_000_u64 {
        insert(&mut writer, spread(random.next_u64()), place(number));
        if number > 100_000 && number % 10_000 == 0 {
            worst = worst.max(writer.index().bytes() as f64 / number as f64);
        }
    }
    let bytes = writer.index().bytes() as f64 / 2_000_000.0;
    println!("{layout:?}: {bytes:.2} bytes an entry at the end, at most {worst:.2}");
    (bytes, worst)
}

#[test]
fn memory_is_about_eleven_bytes_an_entry_or_less_than_ten() {
    let (bytes, worst) = bytes_an_entry(Layout::quick(32));
    assert!(worst < 14.0 && bytes < 12.0, "{worst} bytes an entry");
    let (bytes, worst) = bytes_an_entry(Layout::dense(27, true));
    assert!(worst < 12.0 && bytes < 10.0, "{worst} bytes an entry");
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
    let mut writer = IndexWriter::new(Layout::quick(32)).unwrap();
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
