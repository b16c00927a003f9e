//! The memory engine: records under a memory limit, the oldest that nobody fetches going first.
//!
//! Records live in append-only segments; an index of 64-byte buckets holds a tag
//! and an offset a record. There are no pointers and no per-record CAS field: a version is the base of
//! the record's segment plus its offset, until something makes it worth eight bytes. The layout and
//! its arguments are in `docs/design/002-memory-engine.md`.
//!
//! It is *not* persistent, keeps no update stream yet, owns no threads, and knows no dialect.
//!
//! ```
//! use todana_cache::{Cache, CacheOptions};
//! use todana_engine::{Edit, Engine, Found, Look, Mutation, Put, View};
//!
//! struct Set<'a>(&'a [u8]);
//! impl Mutation for Set<'_> {
//!     fn evaluate<'s>(&'s mut self, _: Option<&'s View<'s>>) -> Edit<'s> {
//!         Edit::Put(Put::bytes(self.0))
//!     }
//! }
//! let cache = Cache::new(CacheOptions { memory_limit_bytes: 64 << 20, ..Default::default() })?;
//! let now = cache.clock().advance(1_000);
//! cache.update(b"key", now, &mut Set(b"value"))?;
//! cache.get(b"key", now, &mut |found| {
//!     assert!(matches!(found, Found::Record(view) if view.value.as_bytes() == Some(b"value")));
//!     Look::Fetched
//! });
//! # Ok::<(), todana_engine::Error>(())
//! ```
//!
//! Limits: keys to 64 KiB, values to 4 GiB − 1 B and to a quarter of the memory limit, 256 shards.
#![forbid(unsafe_code)]

mod access;
mod cache;
mod ghost;
mod large;
mod layout;
mod look_up;
mod options;
#[expect(clippy::cast_possible_truncation, reason = "numbers are masked to their fields")]
mod place;
mod reclaim;
mod segment;
mod shard;
mod shared;
mod update;

pub use cache::{Cache, MEMORY_LIMIT_MIN_BYTES};
pub use options::CacheOptions;
