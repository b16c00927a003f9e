//! The ordered engine: a tree whose leaves are sorted blocks with a few changes behind them.
//!
//! A put appends one change to its leaf; a leaf whose changes have become many is made anew. Readers
//! take no lock: a look-up pins, a walk registers the moment that it sees and sees that alone, however long it
//! takes. Nodes are numbered, and let go of when nobody can need them any more.
//!
//! It is *not* persistent yet, owns no threads and knows no protocol. The design and its arguments:
//! `docs/design/005-tree-engine.md`.
#![forbid(unsafe_code)]

mod block;
mod child;
mod delta;
mod fields;
mod inner;
mod leaf;
mod look_up;
mod merge;
mod options;
mod ordered;
mod page;
mod rank;
mod remove_range;
mod shared;
mod snapshots;
mod space;
mod stored;
#[cfg(test)]
mod tests;
mod tree;
mod update;
mod walk;
mod writer;

pub use options::TreeOptions;
pub use tree::Tree;
