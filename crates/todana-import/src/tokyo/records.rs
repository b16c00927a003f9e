//! The walk over the records of a hash file.

use super::blocks::Blocks;
use super::header::Header;
use super::record::{Block, Head};
use super::window::SEQUENTIAL_LEN;
use crate::error::ImportError;
use todana_io::DiskFile;

/// A record; its bytes are valid until the next one is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// The key, up to 2 GiB − 1.
    pub key: &'a [u8],
    /// The value, inflated where it was deflated.
    pub value: &'a [u8],
    /// Where in the file the record begins; of a B+ tree file, where the record begins that holds
    /// its leaf.
    pub offset: u64,
    /// How many values of the same key came before this one; more than 0 only in B+ tree files.
    pub duplicate: u64,
}

/// Reads one record after the other, in the order in which they lie in the file.
#[derive(Debug)]
pub struct Records<'f> {
    header: &'f Header,
    blocks: Blocks<'f>,
    offset: u64,
    count_read: u64,
}

impl<'f> Records<'f> {
    pub(super) fn new(file: &'f dyn DiskFile, file_len: u64, header: &'f Header) -> Records<'f> {
        Records {
            header,
            blocks: Blocks::new(file, file_len, header, SEQUENTIAL_LEN),
            offset: header.first_record,
            count_read: 0,
        }
    }

    /// Sets how long a value may be that is stored deflated, in bytes.
    #[must_use]
    pub const fn inflated_len_max(mut self, bytes: usize) -> Records<'f> {
        self.blocks.set_inflated_len_max(bytes);
        self
    }

    /// The next record; `None` after the last.
    ///
    /// # Errors
    /// [`ImportError::Compressed`] and [`ImportError::ValueTooLong`] concern one record: the next call
    /// goes on with the one after it. After [`ImportError::Record`] and [`ImportError::Truncated`]
    /// nothing more can be found, and the next call says the same; after [`ImportError::Io`] it tries
    /// again.
    pub fn next_record(&mut self) -> Result<Option<Record<'_>>, ImportError> {
        let Some(head) = self.find()? else { return Ok(None) };
        let offset = self.offset;
        let next = offset + head.total_len();
        match self.blocks.open(offset, &head) {
            Ok((key, value)) => {
                self.offset = next;
                self.count_read += 1;
                Ok(Some(Record { key, value, offset, duplicate: 0 }))
            }
            Err(error) => {
                if error.is_passed_over() {
                    self.offset = next;
                }
                Err(error)
            }
        }
    }

    /// Number of records returned so far; at the end to be compared with [`Header::record_count`].
    pub const fn count_read(&self) -> u64 {
        self.count_read
    }

    /// Where the next record or free block begins: how far the walk is on its way to
    /// [`Header::file_size`].
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// Goes to the next record, over free blocks.
    fn find(&mut self) -> Result<Option<Head>, ImportError> {
        while self.offset < self.header.file_size {
            match self.blocks.at(self.offset)? {
                (Block::Record(head), _) => return Ok(Some(head)),
                (Block::Free(_), len) => self.offset += len,
            }
        }
        Ok(None)
    }
}
