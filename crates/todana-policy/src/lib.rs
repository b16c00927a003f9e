//! Cache policies as simulations: who stays in a cache that is full, and how often is it asked for what stayed?
//!
//! A [`Policy`] decides that for keys and sizes alone: there are no values, no threads, no I/O. The crate is
//! *not* what the engines run: `todana-cache` has S3-FIFO in a form of its own, over segments. Here the
//! policies of the literature stand side by side, so that a default is chosen by measurement.
//!
//! Limits: a trace has at most [`REQUESTS_MAX`] requests; every key has one size; time is counted in requests.
//!
//! ```
//! use todana_policy::{Comparison, Contender, Workload};
//! let contenders = [Contender::S3Fifo, Contender::Lru, Contender::Belady];
//! let mut comparison = Comparison::new(&contenders, &[0.01, 0.1]);
//! comparison.add(&Workload::Zipf099.generate(10_000, 1), &mut |_| {});
//! let miss_ratio = |contender| comparison.mean_miss_ratio(contender);
//! assert!(miss_ratio(Contender::S3Fifo) < miss_ratio(Contender::Lru));
//! assert!(miss_ratio(Contender::Belady) < miss_ratio(Contender::S3Fifo));
//! ```
//!
//! Modules: [`policy`] (the trait) with `lru`, `clock`, `sieve`, `arc`, `w_tiny_lfu` and `s3_fifo`, all over
//! `queues` (lists of objects and an index of their keys); [`belady`] (the bound); [`contender`] (all of
//! them by name); [`trace`] (requests, and their text form), [`workload`] (built-in traces); [`comparison`]
//! (every contender on every trace in every size), [`table`] and [`plot`] (how that is shown).
#![forbid(unsafe_code)]

mod arc;
pub mod belady;
mod clock;
pub mod comparison;
pub mod contender;
mod key_hash;
mod lru;
pub mod plot;
pub mod policy;
#[cfg(test)]
mod policy_tests;
mod queues;
mod s3_fifo;
mod sieve;
mod sketch;
pub mod table;
pub mod trace;
mod w_tiny_lfu;
pub mod workload;
mod zipf;

pub use arc::Arc;
pub use clock::Clock;
pub use comparison::{Comparison, Score, Verdict};
pub use contender::Contender;
pub use lru::Lru;
pub use policy::Policy;
pub use s3_fifo::S3Fifo;
pub use sieve::Sieve;
pub use trace::{REQUESTS_MAX, Request, Trace, TraceError, TraceReader};
pub use w_tiny_lfu::WTinyLfu;
pub use workload::Workload;
