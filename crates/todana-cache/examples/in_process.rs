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
const GETS: u64 = 4_000_000;

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

fn one_by_one(cache: &Cache, records: u64, seed: u64, now: Timestamp) -> u64 {
    let mut random = Generator::new(seed);
    let mut sum = 0;
    for _ in 0..GETS {
        // The next key is known only when this value is: no two overlap.
        let number = (random.next_u64().wrapping_add(sum & 1)) % records;
        cache.get(&key(number), now, &mut |found| {
            if let Found::Record(view) = found {
                sum += u64::from(view.value.as_bytes().unwrap_or_default()[0]);
            }
            Look::Fetched
        });
    }
    sum
}

fn in_groups(cache: &Cache, records: u64, seed: u64, now: Timestamp) -> u64 {
    let mut random = Generator::new(seed);
    let mut sum = 0;
    for _ in 0..GETS / GROUP as u64 {
        let keys: [[u8; KEY_LEN]; GROUP] = std::array::from_fn(|_| key(random.below(records)));
        let keys: [&[u8]; GROUP] = std::array::from_fn(|at| &keys[at][..]);
        cache.get_many(&keys, now, &mut |_, found| {
            if let Found::Record(view) = found {
                sum += u64::from(view.value.as_bytes().unwrap_or_default()[0]);
            }
            Look::Fetched
        });
    }
    sum
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

fn threads(caches: &[&Cache; 2], records: u64, now: Timestamp) -> f64 {
    let start = Instant::now();
    let sum = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for (seed, cache) in (0..).zip(caches) {
            let sum = &sum;
            scope.spawn(move || {
                sum.fetch_add(in_groups(cache, records, seed, now), Ordering::Relaxed);
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
    for _ in 0..2 {
        let start = Instant::now();
        let sum = one_by_one(&cache, records, 1, now);
        println!("get            {:8.1} ns ({sum})", ns_each(start));
        let start = Instant::now();
        let sum = in_groups(&cache, records, 1, now);
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
        let apart = threads(&[&cache, &other], records, now);
        let together = threads(&[&cache, &cache], records, now);
        println!(
            "two threads    {together:8.2} M gets/s; on a cache each {apart:.2}: {:.2}",
            together / apart
        );
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
