//! The log that Todana's persistent engines stand on: every change is appended to it, and what it has
//! made durable is there after any crash.
//!
//! A log is a chain of segments in a directory. A segment is a file of frames, a frame has the entries that
//! were written together, with their checksums: it is there whole or not at all. Ids of segments are never
//! used again, and an entry's *sequence* is its segment's id plus its byte, so no sequence is given twice.
//!
//! It knows entries by their bytes and sequences. What they mean to the records of a store, which of them are
//! still needed, and the lock under which changes are made are the engine's. It owns no threads, reads no
//! clock and keeps no index. What belongs where and why: `docs/design/006-log.md`; the invariants (H1) to
//! (H14) and the crash argument: `docs/design/004-hash-engine.md`; the bytes: `docs/format/hash.md`.
//!
//! ```
//! use parking_lot::Mutex;
//! use std::{path::Path, sync::Arc};
//! use todana_log::layout::{identity::StoreKind, record::Fields};
//! use todana_log::{Change, LogOptions, Recovered};
//! use todana_record::{Meta, Timestamp};
//!
//! # let disk = Arc::new(todana_sim::SimDisk::new(1));
//! let options = LogOptions::of(StoreKind::TREE);
//! let (recovered, _) = Recovered::open(disk, Path::new("/store"), options, None)?;
//! recovered.replay(0, &mut |entry| Ok(println!("{entry:?}")))?;
//! let (log, writer) = recovered.begin(0)?;
//! let owner = Mutex::new(writer);
//!
//! let put = Change { key: b"k", ..Change::of_store(Fields::put(&Meta::default())) };
//! let mut writer = owner.lock();
//! writer.reserve(put.len_max(), 1, Timestamp::from_ms(1))?;
//! let appended = writer.append(&put)?;
//! log.show(&mut writer, appended.sequence);
//! drop(writer);
//! log.sync_up_to(&owner, appended.sequence)?;
//! log.close(&owner)?;
//! # Ok::<(), todana_engine::Error>(())
//! ```
//!
//! Limits: keys to 64 KiB, 65,535 segments of up to 64 MiB (4 TiB).
#![forbid(unsafe_code)]

mod blocks;
mod change;
pub mod check;
mod close;
mod codec;
mod commit;
mod flush;
#[doc(hidden)]
pub mod fuzzing;
mod head;
mod home;
pub mod layout;
mod log;
mod options;
mod owner;
mod pins;
mod recovery;
mod removal;
mod replay;
mod segment;
mod segments;
mod state;
mod stream;
#[cfg(test)]
mod tests;
mod writer;

pub use blocks::{Blocks, FrameCache};
pub use change::{Appended, Change};
pub use codec::{
    Codec, DICTIONARY, Lz4, NAME_LEN_MAX, Packing, Zstd, built_in, dictionary_file_len,
    read_dictionary, write_dictionary,
};
pub use head::{Blank, Head, Output, write_footer};
pub use home::{
    Home, IDENTITY, corrupt, failed, is_full, lock_store, make_directory, read_identity, refused,
};
pub use log::{JOB_FLUSH, Log};
pub use options::{FlushPolicy, LogOptions, Mode};
pub use owner::Owner;
pub use pins::Pins;
pub use recovery::{Contents, Entries, KeyHash, Recovered, Report};
pub use replay::Replayed;
pub use segment::{Payload, Reading, Segment, file_name, new_file_name, parse_name, read_footer};
pub use segments::Segments;
pub use state::{Hold, LogState};
pub use stream::{LogStream, Meaning};
pub use writer::{Account, LogWriter, READ_ONLY};
