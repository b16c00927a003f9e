//! Hash files of Tokyo Cabinet (`.tch`), read without its library.
//!
//! # The file
//! | bytes | what |
//! |---|---|
//! | 0..256 | header, see [`header`] |
//! | then `bucket_count` × 4, or × 8 with [`Options::LARGE`] | where each bucket's tree of records begins; not read here |
//! | then to `first_record` | the free blocks that the library remembers; not read here |
//! | `first_record`..`file_size` | records and free blocks, one after the other, see [`record`] |
//! | `file_size`.. | zeros, until the file is closed cleanly |
//!
//! Reading goes through the records in the order in which they lie, as `tchmgr list` does; buckets and
//! trees are not needed for that. A file that was closed cleanly holds each key once.
//!
//! # The order of bytes
//! The format says little-endian. Debian and what follows it, however, build the library with its
//! switch `--enable-swab`, and such a library reads and writes *everything* big-endian on an ordinary
//! processor: neither opens the other's files, and nothing in a file says which it is. The geometry
//! of the header does: of the two ways to read it only one fits ([`Header::byte_order`]).
//!
//! # Departures from the library
//! - The library's own walk checks the first byte of a record or free block and nothing more. Here
//!   each also has to begin at a multiple of the alignment and end within the records, and the hash
//!   beside a key has to be the key's ([`record::key_hash`]). Values have no checksum in the format.
//! - A file that is shorter than its header says is read up to its end, with a [`Warning`] first and
//!   [`ImportError::Truncated`] last.
//! - An unfinished transaction is not undone: its log is another file. [`Warning::NotClosed`] says so.
//!
//! Source: the documentation of the file format and `tchdb.c` of Tokyo Cabinet 1.4.48, `debian/rules`
//! of its package, and what its tools write. The documented type numbers are one too high.

pub mod header;
mod inflate;
pub mod record;
mod records;
mod warning;
mod window;

pub use header::{ByteOrder, FileKind, Header, Options};
pub use records::{INFLATED_LEN_MAX_DEFAULT, Record, Records};
pub use warning::Warning;

use crate::error::ImportError;
use todana_io::DiskFile;

/// An open hash file. Several threads may read it, each with [`HashFile::records`] of its own.
///
/// Nobody may write to the file meanwhile; that is not checked.
#[derive(Debug)]
pub struct HashFile {
    file: Box<dyn DiskFile>,
    file_len: u64,
    header: Header,
}

impl HashFile {
    /// Reads and checks the header.
    ///
    /// # Errors
    /// [`ImportError::NotTokyoCabinet`], [`ImportError::OtherKind`] and
    /// [`ImportError::UnsupportedOptions`] when this is not such a file or one that is not read here,
    /// [`ImportError::Truncated`] and [`ImportError::Header`] when it is damaged,
    /// [`ImportError::Io`] when it cannot be read.
    pub fn open(file: Box<dyn DiskFile>) -> Result<HashFile, ImportError> {
        let io = |source| ImportError::Io { offset: 0, source };
        let file_len = file.len().map_err(io)?;
        let mut bytes = [0; header::LEN];
        let len = file.read_at(0, &mut bytes).map_err(io)?;
        let header = Header::decode(bytes.get(..len).unwrap_or(&bytes), file_len)?;
        Ok(HashFile { file, file_len, header })
    }

    /// What the header says.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Length of the file as it is, in bytes.
    pub const fn file_len(&self) -> u64 {
        self.file_len
    }

    /// What the reader of its records should know first; nothing for a sound file.
    pub fn warnings(&self) -> Vec<Warning> {
        Warning::of(&self.header, self.file_len)
    }

    /// The records, from the first on.
    pub fn records(&self) -> Records<'_> {
        Records::new(self.file.as_ref(), self.file_len, &self.header)
    }
}
