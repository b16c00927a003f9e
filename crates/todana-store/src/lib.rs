//! A store: an engine, and the operations that users know, derived once for all engines.
//!
//! The [`operation`]s (set, add, replace, append, prepend, compare-and-swap, increment, touch, delete,
//! invalidate, get and touch) are [`Mutation`](todana_engine::Mutation)s: the same code over every
//! engine. Servers run them on the engine itself; a program that embeds a store has [`Store`].
//!
//! The crate is *not* an engine and knows no dialect. [`open`] takes a name: a directory ending in `.tdh`
//! for a hash store on disk, `*` for memory, `+` for memory in the order of keys, with options behind `#`.
//!
//! ```
//! use std::time::Duration;
//!
//! fn main() -> Result<(), todana_store::Error> {
//! #   let directory = tempfile::tempdir().unwrap();
//! #   std::env::set_current_dir(&directory).unwrap();
//!     // A directory, made when there is none. In memory instead: "*".
//!     let store = todana_store::open("casket.tdh")?;
//!     store.set(b"greeting", b"hello")?;
//!     store.set_for(b"session:17", b"Ada", Duration::from_secs(1_800))?;
//!     store.add(b"visits", b"0")?;
//!     println!("visit {:?}", store.increment(b"visits", 1)?);
//!     if let Some(record) = store.get(b"greeting")? {
//!         println!("{}", String::from_utf8_lossy(&record.value));
//!     }
//!     store.close()
//! }
//! ```
//!
//! What is on disk when `set` returns is safe against a loss of power, unless the name says otherwise:
//! `casket.tdh#flush=interval=100ms`. One process at a time has a store open; others read it with
//! `#mode=read`. `todana db --help` is the command line for the same stores.
#![forbid(unsafe_code)]

mod named;
pub mod operation;
mod ordered;
mod runner;
mod store;
mod transaction;

pub use named::{Name, open};
pub use ordered::{Moment, StoreCursor};
pub use store::{Error, Record, Store, bytes_of};
pub use todana_cache::{Cache, CacheOptions, MEMORY_LIMIT_MIN_BYTES};
pub use todana_engine as engine;
pub use todana_engine::{Direction, Range};
pub use todana_hash::FORMAT as HASH_FORMAT;
pub use todana_hash::{
    Checked, Finding, FlushPolicy, Hash, HashOptions, Mode, OnProgress, Repaired, Report, Rescued,
};
pub use todana_hash::{Codec, Lz4, Zstd};
pub use todana_tree::{Tree, TreeOptions};
pub use transaction::Transaction;
