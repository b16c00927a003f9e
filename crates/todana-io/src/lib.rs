//! The seam between Todana and the machine: clocks, randomness and small files, with their real
//! forms.
//!
//! Everything above takes time and randomness from the traits of this crate, so that the same code
//! runs in production and in a deterministic simulator (`todana-sim`). The crate is *not* a runtime:
//! it owns no threads and no sockets. The disk seam (`read_at`, appends, syncs) joins it with the
//! first engine that keeps files.
//!
//! ```
//! use todana_io::{Clock, SystemClock};
//! let clock = SystemClock::new();
//! assert!(clock.wall_ms() > 1_600_000_000_000);
//! assert!(clock.monotonic_ns() <= clock.monotonic_ns());
//! ```
//!
//! Modules: [`clock`] (wall and monotonic time), [`random`] (seeds and a small generator),
//! [`files`] (whole small files: configuration, passwords, process ids).
#![forbid(unsafe_code)]

pub mod clock;
pub mod files;
pub mod random;

pub use clock::{AdjustableClock, Clock, SystemClock};
pub use random::{Generator, random_seed};
