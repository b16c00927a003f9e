//! Fixed-length files (`.tcf`).
//!
//! | bytes | what |
//! |---|---|
//! | 0..256 | header, see [`FixedHeader`] |
//! | then `slot_len` bytes for each id from 1 on | the length of the value in 1, 2 or 4 bytes, then `width` bytes, of which the value is the first |
//!
//! The length has 1 byte for a width up to 255, 2 up to 65,535, else 4. A slot with the length 0 holds
//! no record, unless the first byte behind the length is other than 0: then it is the empty value.
//!
//! Reading goes through the slots between the least and the greatest id that the header has, as `tcfmgr
//! list` does. The library writes these two when the file is closed or synchronised. For a file that was
//! not closed, or where they cannot be right, every slot of the file is looked at. Holes of a sparse
//! file are read as the zeros that they are, which takes time but no memory.

pub mod header;
mod records;

pub use header::FixedHeader;
pub use records::FixedRecords;

use super::start::{FileKind, HEADER_LEN, Start};
use super::warning::Warning;
use crate::error::ImportError;
use todana_io::DiskFile;

/// An open fixed-length file. Several threads may read it, each with [`FixedFile::records`] of its own.
///
/// Nobody may write to the file meanwhile; that is not checked.
#[derive(Debug)]
pub struct FixedFile {
    file: Box<dyn DiskFile>,
    file_len: u64,
    header: FixedHeader,
}

impl FixedFile {
    /// Reads and checks the header.
    ///
    /// # Errors
    /// [`ImportError::NotTokyoCabinet`] and [`ImportError::OtherKind`] when this is not such a file,
    /// [`ImportError::Truncated`] and [`ImportError::Header`] when it is damaged,
    /// [`ImportError::Io`] when it cannot be read.
    pub fn open(file: Box<dyn DiskFile>) -> Result<FixedFile, ImportError> {
        let mut buffer = [0; HEADER_LEN];
        let start = Start::read(file.as_ref(), &mut buffer)?;
        let header = FixedHeader::decode(&start)?;
        let file_len = start.file_len;
        Ok(FixedFile { file, file_len, header })
    }

    /// What the header says.
    pub const fn header(&self) -> &FixedHeader {
        &self.header
    }

    /// Length of the file as it is, in bytes.
    pub const fn file_len(&self) -> u64 {
        self.file_len
    }

    /// What the reader of its records should know first; nothing for a sound file.
    pub fn warnings(&self) -> Vec<Warning> {
        let FixedHeader { file_size, min_id: min, max_id: max, .. } = self.header;
        let file_len = self.file_len;
        let not_closed = Warning::NotClosed { kind: FileKind::FixedLength };
        let mut warnings = Vec::new();
        warnings.extend(self.header.is_open.then_some(not_closed));
        warnings.extend(self.header.is_fatal.then_some(Warning::Fatal));
        if file_len < file_size {
            warnings.push(Warning::Truncated { file_len, file_size });
        }
        if !self.header.is_open && self.header.ids().is_none() {
            warnings.push(Warning::Ids { min, max });
        }
        warnings
    }

    /// The records in the order of their ids. Keys are the ids in decimal digits.
    pub fn records(&self) -> FixedRecords<'_> {
        FixedRecords::new(self.file.as_ref(), self.file_len, &self.header)
    }
}
