//! What a cache takes of the machine's memory, as the kernel counts it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod expiry;
mod refusal;
mod resident;
mod sizes;

use std::sync::{Mutex, MutexGuard, PoisonError};
use todana_cache::{Cache, CacheOptions};
use todana_engine::{Cursor, Edit, Engine, Error, Found, Look, Mutation, Put, View};
use todana_io::Generator;
use todana_record::{Expiry, Timestamp};

/// Tests that look at the process's memory go one after the other.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Resident bytes of this process.
fn resident_bytes() -> u64 {
    status_bytes("VmRSS:")
}

/// A figure that the kernel keeps of this process.
#[expect(clippy::disallowed_methods, reason = "what the kernel says of this process")]
fn status_bytes(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kib << 10
}

struct Set<'a>(&'a [u8], Expiry);

impl Mutation for Set<'_> {
    fn evaluate<'s>(&'s mut self, _: Option<&'s View<'s>>) -> Edit<'s> {
        Edit::Put(Put { expiry: self.1, ..Put::bytes(self.0) })
    }
}

/// A cache with a known seed, and the process's resident bytes before it was made.
struct Subject {
    cache: Cache,
    now: Timestamp,
    before_bytes: u64,
}

impl Subject {
    fn new(limit_bytes: u64) -> Subject {
        let options =
            CacheOptions { memory_limit_bytes: limit_bytes, seed: 42, ..Default::default() };
        Subject::with(options)
    }

    fn with(options: CacheOptions) -> Subject {
        let before_bytes = resident_bytes();
        let cache = Cache::new(options).unwrap();
        let now = cache.clock().advance(1_000_000_000);
        Subject { cache, now, before_bytes }
    }

    fn set(&self, key: &str, value: &[u8], expiry: Expiry) -> Result<(), Error> {
        self.cache.update(key.as_bytes(), self.now, &mut Set(value, expiry)).map(drop)
    }

    fn is_there(&self, key: &str) -> bool {
        let mut found = false;
        self.cache.get(key.as_bytes(), self.now, &mut |at| {
            found = matches!(at, Found::Record(_));
            Look::Fetched
        });
        found
    }

    /// Resident bytes since it was made.
    fn resident_bytes(&self) -> u64 {
        resident_bytes().saturating_sub(self.before_bytes)
    }

    /// Bytes of keys and values that it holds: of all records, and of those with values of `len`.
    fn held_bytes(&self, len: usize) -> (u64, u64) {
        let (mut all, mut of_len) = (0, 0);
        let mut cursor = Some(Cursor::default());
        while let Some(from) = cursor {
            cursor = self
                .cache
                .scan(&from, 10_000, self.now, &mut |view| {
                    let bytes = view.key.len() as u64 + view.value.len();
                    all += bytes;
                    of_len += if view.value.len() == len as u64 { bytes } else { 0 };
                })
                .unwrap();
        }
        (all, of_len)
    }
}

/// Draws from `count` keys, number `n` with a weight of about 1 / (n + 1): a Zipf distribution of exponent 1.
struct Zipf {
    count: f64,
    generator: Generator,
}

impl Zipf {
    fn new(count: u32, seed: u64) -> Zipf {
        Zipf { count: f64::from(count), generator: Generator::new(seed) }
    }

    #[expect(clippy::cast_possible_truncation, reason = "below the count, a u32")]
    fn draw(&mut self) -> u32 {
        let part = f64::from(self.generator.next_u64() as u32) / 2_f64.powi(32);
        (self.count.powf(part) - 1.0) as u32
    }
}
