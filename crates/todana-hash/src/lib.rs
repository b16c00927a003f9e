//! The persistent hash engine: a log of segments in a directory, and an index in memory.
//!
//! Every change is appended; the index has 8 bytes a record and says where each key's record lies. Space
//! of replaced records is taken back by compaction. Nothing that was acknowledged as durable is lost in a
//! crash, nothing corrupt is served, and nothing has to be tuned.
//!
//! It is *not* ordered (that is `todana-tree`), owns no threads (whoever opens it runs its jobs) and
//! knows no protocol. The design and the crash argument: `docs/design/004-hash-engine.md`; the bytes on
//! disk: `docs/format/hash.md`. [`Hash::check`] verifies a store's files without opening it, beside a
//! writer as well; [`Hash::repair`] makes a new store of what is intact in a damaged one.
//!
//! Limits: keys to 64 KiB, values to 4 GiB - 1 byte, 65,535 segments of up to 64 MiB (4 TiB).
#![forbid(unsafe_code)]

mod blob;
#[cfg(test)]
mod blob_tests;
mod build;
mod check;
mod close;
#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "random numbers, bounded")]
mod codec_crash_tests;
#[cfg(test)]
mod codec_tests;
mod compact;
#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "random numbers, bounded")]
mod crash_tests;
mod cut;
mod edit;
mod hash;
mod index;
mod look_up;
#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "random numbers, bounded")]
mod model_tests;
mod open;
mod options;
mod owner;
mod removals;
mod repair;
#[cfg(test)]
mod repair_tests;
mod settle;
mod shared;
mod snapshot;
#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "random numbers")]
mod stream_tests;
#[cfg(test)]
mod tests;
mod update;
mod view;
mod writer;

pub use hash::Hash;
pub use options::HashOptions;
pub use repair::{Repaired, Rescued};
pub use todana_log::check::{Checked, Finding, OnProgress};
pub use todana_log::layout::identity::FORMAT;
pub use todana_log::{Codec, FlushPolicy, Lz4, Mode, Report, Zstd};
