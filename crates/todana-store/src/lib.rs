//! A store: an engine, and the operations that users know, derived once for all engines.
//!
//! The [`operation`]s (set, add, replace, append, prepend, compare-and-swap, increment, touch, delete,
//! invalidate, get and touch) are [`Mutation`](todana_engine::Mutation)s: the same code over every
//! engine. Servers run them on the engine itself; a program that embeds a store has [`Store`].
//!
//! The crate is *not* an engine and knows no dialect. [`open`] takes a name: a directory ending in `.tdh`
//! for a hash store on disk, `*` for memory, with options behind `#`.
//!
//! ```
//! # let directory = tempfile::tempdir().unwrap();
//! # let name = directory.path().join("casket.tdh");
//! # let name = name.to_str().unwrap();
//! // "casket.tdh", or with options "casket.tdh#flush=interval=100ms"
//! let store = todana_store::open(name)?;
//! store.set(b"greeting", b"hello")?;
//! assert_eq!(store.get(b"greeting")?.map(|record| record.value), Some(b"hello".to_vec()));
//! store.set(b"visits", b"41")?;
//! assert_eq!(store.increment(b"visits", 1)?, Some(42));
//! assert!(store.delete(b"greeting")?);
//! # Ok::<(), todana_store::Error>(())
//! ```
#![forbid(unsafe_code)]

mod named;
pub mod operation;
mod runner;
mod store;
mod transaction;

pub use named::{Name, open};
pub use store::{Error, Record, Store};
pub use todana_cache::{Cache, CacheOptions, MEMORY_LIMIT_MIN_BYTES};
pub use todana_engine as engine;
pub use todana_hash::{FlushPolicy, Hash, HashOptions, Mode, Report};
pub use transaction::Transaction;
