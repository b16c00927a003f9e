//! Files of Tokyo Cabinet, read without its library: [hash files](hash) (`.tch`),
//! [B+ tree files](btree) (`.tcb`) and [fixed-length files](fixed) (`.tcf`). [`AnyFile`] is whichever of
//! them a file says it is.
//!
//! # The order of bytes
//! The format says little-endian. Debian and what follows it, however, build the library with its
//! switch `--enable-swab`, and such a library reads and writes *everything* big-endian on an ordinary
//! processor: neither opens the other's files, and nothing in a file says which it is. The geometry
//! of the header does: of the two ways to read it only one fits ([`Header::byte_order`],
//! [`FixedHeader::byte_order`]).
//!
//! # Departures from the library
//! - The library's own walk checks the first byte of a record or free block and nothing more. Here
//!   each also has to begin at a multiple of the alignment and end within the records, and the hash
//!   beside a key has to be the key's ([`record::key_hash`]). Values have no checksum in the format.
//! - A file that is shorter than its header says is read up to its end, with a [`Warning`] first and
//!   [`ImportError::Truncated`](crate::ImportError::Truncated) last.
//! - An unfinished transaction is not undone: its log is another file. [`Warning::NotClosed`] says so.
//! - Leaves of a B+ tree whose chain is broken can be read as they lie, and the slots of a fixed-length
//!   file that was not closed are all looked at; the library finds neither.
//!
//! Source: the documentation of the file format and `tchdb.c`, `tcbdb.c` and `tcfdb.c` of Tokyo Cabinet
//! 1.4.48, `debian/rules` of its package, and what its tools write. The documented type numbers are one
//! too high.

mod any;
mod blocks;
pub mod btree;
mod buckets;
pub mod fixed;
pub mod hash;
pub mod header;
mod inflate;
pub mod number;
pub mod record;
mod records;
mod start;
mod warning;
mod window;

pub use any::{AnyFile, AnyRecords};
pub use blocks::INFLATED_LEN_MAX_DEFAULT;
pub use btree::{BTreeFile, Comparator, TreeHeader, TreeRecords};
pub use fixed::{FixedFile, FixedHeader, FixedRecords};
pub use hash::HashFile;
pub use header::{ByteOrder, Header, Options};
pub use records::{Record, Records};
pub use start::FileKind;
pub use warning::Warning;
