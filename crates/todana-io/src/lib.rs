//! The seam between Todana and the machine: disk, clocks, randomness and small files, with their real
//! forms.
//!
//! Everything above takes time and randomness from the traits of this crate, so that the same code
//! runs in production and in a deterministic simulator (`todana-sim`). The crate is *not* a runtime:
//! it owns no threads and no sockets.
//!
//! ```
//! use todana_io::{Clock, SystemClock};
//! let clock = SystemClock::new();
//! assert!(clock.wall_ms() > 1_600_000_000_000);
//! assert!(clock.monotonic_ns() <= clock.monotonic_ns());
//! ```
//!
//! Modules: [`clock`] (wall and monotonic time), [`random`] (seeds and a small generator),
//! [`files`] (whole small files: configuration, passwords, process ids), [`disk`] (what engines ask of
//! a file system), [`system_disk`] (the machine's own), [`exchange`] (two names, swapped at once),
//! [`mapping`] (files and huge pages as memory), [`arena`] and [`append`] (memory that is appended to while others
//! read it), [`slab`] (numbered objects that others look at), [`epoch`] (when such memory can be used again).
#![deny(unsafe_code)]

#[expect(unsafe_code, reason = "memory that readers look at while it is written behind them")]
pub mod append;
#[expect(unsafe_code, reason = "memory that readers look at while others write behind it")]
#[cfg(not(loom))]
pub mod arena;
pub mod clock;
pub mod disk;
#[cfg_attr(loom, expect(unsafe_code, reason = "the model's memory"))]
pub mod epoch;
mod exchange;
pub mod files;
#[expect(unsafe_code, reason = "memory that safe code cannot ask for")]
pub mod mapping;
pub mod random;
#[expect(unsafe_code, reason = "objects that readers look at until nobody does any more")]
#[cfg(not(loom))]
pub mod slab;
pub mod system_disk;

pub use append::AppendBuffer;
#[cfg(not(loom))]
pub use arena::{Arena, Retired, SegmentWriter, huge_page_refusal};
pub use clock::{AdjustableClock, Clock, SystemClock};
pub use disk::{Disk, DiskFile, Lock, Open};
pub use exchange::exchange;
pub use mapping::{Mapping, Tail, TailWriter, Words, prefetch};
pub use random::{Generator, random_seed};
#[cfg(not(loom))]
pub use slab::{Slab, SlabWriter};
pub use system_disk::SystemDisk;
