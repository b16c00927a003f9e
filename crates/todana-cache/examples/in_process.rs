//! What the engine costs without a server: bytes a record, look-ups one by one and in groups, threads.
//!
//! `cargo run --release -p todana-cache --example in_process -- [MEMORY_MIB] [RECORDS]`

#![expect(clippy::disallowed_methods, reason = "it measures the machine")]

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use todana_cache::{Cache, CacheOptions};
use todana_engine::{Edit, Engine, Error, Found, Look, Mutation, Put, View};
use todana_io::{Generator, Words, prefetch};
use todana_record::Timestamp;

const GROUP: usize = 32;
const KEY_LEN: usize = 26;
const VALUE_LEN: usize = 64;
const GETS: u64 = 1 << 22;
/// Different draws of keys; they are gone through several times.
const KEYS: u64 = 1 << 20;
/// Rounds of writing over: the first ones take new memory until the limit is reached.
const ROUNDS: usize = 8;

struct Set<'a>(&'a [u8]);
impl Mutation for Set<'_> {
    fn is_blind(&self) -> bool {
        true
    }

    fn evaluate<'s>(&'s mut self, _: Option<&'s View<'s>>) -> Edit<'s> {
        Edit::Put(Put::bytes(self.0))
    }
}

fn key(number: u64) -> [u8; KEY_LEN] {
    let mut key = *b"key:0000000000:abcdefghijk";
    let mut rest = number;
    for digit in key[4..14].iter_mut().rev() {
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
    }
    key
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = status.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * 4_096
}

fn fill(cache: &Cache, records: u64, now: Timestamp) -> Result<f64, Error> {
    let start = Instant::now();
    for number in 0..records {
        cache.update(&key(number), now, &mut Set(&[7; VALUE_LEN]))?;
    }
    Ok(start.elapsed().as_secs_f64())
}

/// Keys in the order in which they are asked for, made before anybody looks at the clock.
fn draw(records: u64, seed: u64) -> Vec<[u8; KEY_LEN]> {
    let mut random = Generator::new(seed);
    (0..KEYS).map(|_| key(random.below(records))).collect()
}

fn one_by_one(cache: &Cache, keys: &[[u8; KEY_LEN]], now: Timestamp) -> u64 {
    let mut sum = 0;
    for at in 0..GETS {
        // Which key is next is known only when this value is: no two overlap.
        let at = usize::try_from(at ^ (sum & 1)).unwrap_or(0) % keys.len();
        cache.get(&keys[at], now, &mut |found| {
            if let Found::Record(view) = found {
                sum += u64::from(view.value.as_bytes().unwrap_or_default()[0]);
            }
            Look::Fetched
        });
    }
    sum
}

/// The keys in groups, all of them often enough.
fn groups(keys: &[[u8; KEY_LEN]]) -> impl Iterator<Item = [&[u8]; GROUP]> {
    let rounds = usize::try_from(GETS).unwrap_or(0) / keys.len();
    let groups = keys.as_chunks::<GROUP>().0;
    (0..rounds).flat_map(move |_| groups).map(|group| group.each_ref().map(|key| &key[..]))
}

fn in_groups(cache: &Cache, keys: &[[u8; KEY_LEN]], now: Timestamp) -> u64 {
    let mut sum = 0;
    for keys in groups(keys) {
        cache.get_many(&keys, now, &mut |_, found| {
            if let Found::Record(view) = found {
                sum += u64::from(view.value.as_bytes().unwrap_or_default()[0]);
            }
            Look::Fetched
        });
    }
    sum
}

/// Writes records over, as a server does that has many requests at once: announced in groups.
fn overwrite(cache: &Cache, keys: &[[u8; KEY_LEN]], now: Timestamp) -> Result<(), Error> {
    for keys in groups(keys) {
        cache.expect(&keys);
        for key in keys {
            cache.update(key, now, &mut Set(&[8; VALUE_LEN]))?;
        }
    }
    Ok(())
}

/// Two levels of memory and nothing else: a line of an index leads to a record elsewhere.
struct Probe {
    lines: Words,
    records: Words,
}

/// Words of a line, and of a record.
const LINE: usize = 8;
const RECORD: usize = 13;

impl Probe {
    fn new(records: usize) -> std::io::Result<Probe> {
        let count = (records / 7).next_power_of_two();
        let probe = Probe {
            lines: Words::zeroed(count * LINE, true)?,
            records: Words::zeroed(records * RECORD, true)?,
        };
        let mut random = Generator::new(7);
        for line in 0..count {
            let place = random.below(records as u64) * RECORD as u64;
            probe.lines[line * LINE].store(place, Ordering::Relaxed);
        }
        for word in 0..records {
            probe.records[word * RECORD].store(word as u64, Ordering::Relaxed);
        }
        Ok(probe)
    }

    fn line(&self, hash: u64) -> usize {
        usize::try_from(hash).unwrap_or(0) & (self.lines.len() / LINE - 1)
    }

    fn place(&self, line: usize) -> usize {
        usize::try_from(self.lines[line * LINE].load(Ordering::Relaxed)).unwrap_or(0)
    }

    fn one_by_one(&self) -> u64 {
        let mut random = Generator::new(3);
        (0..GETS).fold(0, |sum, _| {
            let line = self.line(random.next_u64().wrapping_add(sum & 1));
            sum + self.records[self.place(line)].load(Ordering::Relaxed)
        })
    }

    fn in_groups(&self) -> u64 {
        let mut random = Generator::new(3);
        let mut sum = 0;
        for _ in 0..GETS / GROUP as u64 {
            let lines: [usize; GROUP] = std::array::from_fn(|_| self.line(random.next_u64()));
            lines.iter().for_each(|line| prefetch(&self.lines[line * LINE]));
            let places = lines.map(|line| self.place(line));
            places.iter().for_each(|place| prefetch(&self.records[*place]));
            sum += places.iter().map(|at| self.records[*at].load(Ordering::Relaxed)).sum::<u64>();
        }
        sum
    }
}

fn ns_each(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e9 / GETS as f64
}

fn threads(caches: &[&Cache; 2], keys: &[Vec<[u8; KEY_LEN]>; 2], now: Timestamp) -> f64 {
    let start = Instant::now();
    let sum = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for (keys, cache) in keys.iter().zip(caches) {
            let sum = &sum;
            scope.spawn(move || {
                sum.fetch_add(in_groups(cache, keys, now), Ordering::Relaxed);
            });
        }
    });
    2.0 * GETS as f64 / start.elapsed().as_secs_f64() / 1e6
}

fn run() -> Result<(), Error> {
    let mut args = std::env::args().skip(1).filter_map(|arg| arg.parse::<u64>().ok());
    let mib = args.next().unwrap_or(1_024);
    let records = args.next().unwrap_or(4_000_000);
    let options = || CacheOptions { memory_limit_bytes: mib << 20, ..CacheOptions::default() };
    let before = resident();
    let cache = Cache::new(options())?;
    let now = cache.clock().advance(1_000_000);
    let seconds = fill(&cache, records, now)?;
    let held = cache.statistics(now).records;
    let each = |bytes: u64| bytes as f64 / held as f64;
    println!("{held} of {records} records of {KEY_LEN} + {VALUE_LEN} bytes, limit {mib} MiB");
    println!("set            {:8.1} ns", seconds * 1e9 / records as f64);
    println!("resident       {:8.1} B a record", each(resident() - before));
    let pair = (KEY_LEN + VALUE_LEN) as f64;
    let statistics = cache.statistics(now);
    let records_len = each(statistics.live_bytes) - pair;
    println!(
        "overhead       {records_len:8.1} B in records, {:.1} in the index",
        each(statistics.index_bytes)
    );
    println!("accounted      {:8.1} B a record", each(statistics.memory_bytes));
    let drawn = [draw(records, 1), draw(records, 2)];
    for keys in &drawn {
        let start = Instant::now();
        let sum = one_by_one(&cache, keys, now);
        println!("get            {:8.1} ns ({sum})", ns_each(start));
        let start = Instant::now();
        let sum = in_groups(&cache, keys, now);
        println!("get_many of {GROUP} {:8.1} ns ({sum})", ns_each(start));
    }
    match Probe::new(usize::try_from(held).unwrap_or(1)) {
        Ok(probe) => {
            let start = Instant::now();
            let sum = probe.one_by_one();
            println!("bare probe     {:8.1} ns ({sum})", ns_each(start));
            let start = Instant::now();
            let sum = probe.in_groups();
            println!("bare probe, {GROUP} {:8.1} ns ({sum})", ns_each(start));
        }
        Err(error) => println!("bare probe: {error}"),
    }
    let other = Cache::new(options())?;
    other.clock().advance(1_000_000);
    fill(&other, records, now)?;
    for _ in 0..3 {
        let apart = threads(&[&cache, &other], &drawn, now);
        let together = threads(&[&cache, &cache], &drawn, now);
        println!(
            "two threads    {together:8.2} M gets/s; on a cache each {apart:.2}: {:.2}",
            together / apart
        );
    }
    for keys in drawn.iter().cycle().take(ROUNDS) {
        let start = Instant::now();
        overwrite(&cache, keys, now)?;
        println!("set over, {GROUP}   {:8.1} ns", ns_each(start));
    }
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("in_process: {error}");
            ExitCode::FAILURE
        }
    }
}
