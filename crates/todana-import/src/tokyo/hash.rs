//! Hash files (`.tch`).
//!
//! | bytes | what |
//! |---|---|
//! | 0..256 | header, see [`header`](super::header) |
//! | then `bucket_count` × 4, or × 8 with [`Options::LARGE`](super::Options::LARGE) | where each bucket's tree of records begins |
//! | then to `first_record` | the free blocks that the library remembers; not read here |
//! | `first_record`..`file_size` | records and free blocks, one after the other, see [`record`](super::record) |
//! | `file_size`.. | zeros, until the file is closed cleanly |
//!
//! Reading goes through the records in the order in which they lie, as `tchmgr list` does; buckets and
//! trees are not needed for that. A file that was closed cleanly holds each key once.

use super::header::Header;
use super::records::Records;
use super::start::{FileKind, HEADER_LEN, Start};
use super::warning::Warning;
use crate::error::ImportError;
use todana_io::DiskFile;

/// An open hash file. Several threads may read it, each with [`HashFile::records`] of its own.
///
/// Nobody may write to the file meanwhile; that is not checked.
#[derive(Debug)]
pub struct HashFile {
    pub(super) file: Box<dyn DiskFile>,
    pub(super) file_len: u64,
    pub(super) header: Header,
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
        let mut buffer = [0; HEADER_LEN];
        let start = Start::read(file.as_ref(), &mut buffer)?;
        let header = Header::decode(&start, FileKind::Hash)?;
        let file_len = start.file_len;
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
