//! The walk over the records.

use super::header::{Header, Options};
use super::inflate::{self, Inflater};
use super::record::{self, Block, Head};
use super::window::Window;
use crate::error::{Damage, ImportError};
use todana_io::DiskFile;

/// Longest value that is inflated unless [`Records::inflated_len_max`] says otherwise, in bytes: a
/// megabyte of a stranger's file can otherwise claim a gigabyte of memory.
pub const INFLATED_LEN_MAX_DEFAULT: usize = 256 * 1024 * 1024;

/// A record; its bytes are valid until the next one is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// The key, up to 2 GiB − 1.
    pub key: &'a [u8],
    /// The value, inflated where it was deflated.
    pub value: &'a [u8],
    /// Where in the file the record begins.
    pub offset: u64,
}

/// Reads one record after the other, in the order in which they lie in the file.
#[derive(Debug)]
pub struct Records<'f> {
    header: &'f Header,
    file_len: u64,
    window: Window<'f>,
    inflater: Option<Inflater>,
    inflated_len_max: usize,
    offset: u64,
    count_read: u64,
}

impl<'f> Records<'f> {
    pub(super) fn new(file: &'f dyn DiskFile, file_len: u64, header: &'f Header) -> Records<'f> {
        Records {
            header,
            file_len,
            window: Window::new(file, file_len.min(header.file_size)),
            inflater: header.options.contains(Options::DEFLATE).then(Inflater::new),
            inflated_len_max: INFLATED_LEN_MAX_DEFAULT,
            offset: header.first_record,
            count_read: 0,
        }
    }

    /// Sets how long a value may be that is stored deflated, in bytes.
    #[must_use]
    pub const fn inflated_len_max(mut self, bytes: usize) -> Records<'f> {
        self.inflated_len_max = bytes;
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
        // A part of the file fits into an address space, or reading it fails before it is allocated.
        let used_len = usize::try_from(head.used_len()).unwrap_or(usize::MAX);
        let used = self.window.get(offset, used_len);
        let used = used.map_err(|source| ImportError::Io { offset, source })?;
        let (key, stored) =
            split(used, &head).ok_or_else(|| self.header.cut(self.file_len, offset))?;
        if self.header.library_version >= record::KEY_HASH_SINCE {
            let (found, stored) = (record::key_hash(key), head.hash);
            if found != stored {
                let damage = Damage::KeyHash { found, stored };
                return Err(ImportError::Record { offset, damage });
            }
        }
        self.offset = offset + head.total_len();
        let value = match &mut self.inflater {
            None => stored,
            Some(inflater) => {
                let limit_bytes = self.inflated_len_max;
                inflater.inflate(stored, limit_bytes).map_err(|fault| match fault {
                    inflate::Fault::TooLong => ImportError::ValueTooLong { offset, limit_bytes },
                    inflate::Fault::Damaged(source) => ImportError::Compressed { offset, source },
                })?
            }
        };
        self.count_read += 1;
        Ok(Some(Record { key, value, offset }))
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

    /// Goes to the next record, over free blocks; all of it is within the records' end and the file.
    fn find(&mut self) -> Result<Option<Head>, ImportError> {
        let header = self.header;
        let end = header.file_size;
        let large = header.options.contains(Options::LARGE);
        while self.offset < end {
            let offset = self.offset;
            let damaged = |damage| ImportError::Record { offset, damage };
            if !offset.is_multiple_of(header.alignment()) {
                return Err(damaged(Damage::Alignment(header.alignment())));
            }
            let bytes = self.window.get(offset, record::HEAD_LEN_MAX);
            let bytes = bytes.map_err(|source| ImportError::Io { offset, source })?;
            let block = record::decode(bytes, header.byte_order, large);
            let block = block.map_err(|fault| match fault {
                record::Fault::Short => header.cut(self.file_len, offset),
                record::Fault::Damaged(damage) => damaged(damage),
            })?;
            let len = match &block {
                Block::Record(head) => head.total_len(),
                Block::Free(len) => u64::from(*len),
            };
            if len > end - offset {
                return Err(damaged(Damage::PastEnd { len, end }));
            }
            if len > self.file_len.saturating_sub(offset) {
                return Err(header.cut(self.file_len, offset));
            }
            match block {
                Block::Record(head) => return Ok(Some(head)),
                Block::Free(_) => self.offset = offset + len,
            }
        }
        Ok(None)
    }
}

impl Header {
    /// The error for a block whose bytes are not all there: the file is too short, or the block
    /// passes the records' end with its head already.
    fn cut(&self, file_len: u64, offset: u64) -> ImportError {
        if file_len < self.file_size {
            return ImportError::Truncated { offset, what: "record", file_len };
        }
        let damage = Damage::HeadPastEnd { end: self.file_size };
        ImportError::Record { offset, damage }
    }
}

/// Key and value of a record, of which `used` is everything but the padding.
fn split<'a>(used: &'a [u8], head: &Head) -> Option<(&'a [u8], &'a [u8])> {
    let key_len = usize::try_from(head.key_len).ok()?;
    let value_len = usize::try_from(head.value_len).ok()?;
    let (key, value) = used.get(head.len..)?.split_at_checked(key_len)?;
    Some((key, value.get(..value_len)?))
}
