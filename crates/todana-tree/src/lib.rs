//! The ordered engine: a tree whose leaves are sorted blocks with a few changes behind them.
//!
//! A put appends one change to its leaf; a leaf whose changes have become many is made anew. Readers
//! take no lock: a look-up pins, a walk registers the moment that it sees and sees that alone, however long it
//! takes. Nodes are numbered, and let go of when nobody can need them any more.
//!
//! On disk it keeps a log, which has every change, and pages, which have the leaves as they were at the last
//! checkpoint. It owns no threads and knows no protocol. The design and its arguments:
//! `docs/design/005-tree-engine.md`.
#![forbid(unsafe_code)]

mod block;
mod checkpoint;
mod child;
#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "random numbers, bounded")]
mod crash_tests;
mod delta;
mod evict;
mod fields;
mod files;
#[doc(hidden)]
pub mod fuzzing;
mod inner;
mod leaf;
mod look_up;
mod merge;
mod open;
mod options;
mod ordered;
mod outline;
mod page;
mod pages;
mod range;
mod rank;
mod remove_range;
mod shared;
mod snapshots;
mod space;
mod stored;
mod stream;
#[cfg(test)]
mod tests;
mod tree;
mod update;
mod walk;
mod writer;

pub use options::TreeOptions;
pub use todana_log::{FlushPolicy, Mode, Report};
pub use tree::Tree;
