//! Records and free blocks, wherever they lie.

use super::header::{Header, Options};
use super::inflate::{self, Inflater};
use super::record::{self, Block, Head};
use super::window::Window;
use crate::error::{Damage, ImportError};
use todana_io::DiskFile;

/// Longest value that is inflated unless the caller says otherwise, in bytes: a megabyte of a
/// stranger's file can otherwise claim a gigabyte of memory.
pub const INFLATED_LEN_MAX_DEFAULT: usize = 256 * 1024 * 1024;

/// Reads the blocks of a file, each of them checked.
#[derive(Debug)]
pub(super) struct Blocks<'f> {
    header: &'f Header,
    file_len: u64,
    window: Window<'f>,
    inflater: Option<Inflater>,
    inflated_len_max: usize,
}

impl<'f> Blocks<'f> {
    /// Reads `read_len` bytes at a time.
    pub(super) fn new(
        file: &'f dyn DiskFile,
        file_len: u64,
        header: &'f Header,
        read_len: usize,
    ) -> Blocks<'f> {
        Blocks {
            header,
            file_len,
            window: Window::new(file, file_len.min(header.file_size), read_len),
            inflater: header.options.contains(Options::DEFLATE).then(Inflater::new),
            inflated_len_max: INFLATED_LEN_MAX_DEFAULT,
        }
    }

    /// Sets how long a value may be that is stored deflated, in bytes.
    pub(super) const fn set_inflated_len_max(&mut self, bytes: usize) {
        self.inflated_len_max = bytes;
    }

    /// The block at `offset`, which is below the records' end, and its length. All of it is within
    /// the records' end and the file.
    pub(super) fn at(&mut self, offset: u64) -> Result<(Block, u64), ImportError> {
        let header = self.header;
        let end = header.file_size;
        let damaged = |damage| ImportError::Record { offset, damage };
        if !offset.is_multiple_of(header.alignment()) {
            return Err(damaged(Damage::Alignment(header.alignment())));
        }
        let bytes = self.window.get(offset, record::HEAD_LEN_MAX);
        let bytes = bytes.map_err(|source| ImportError::Io { offset, source })?;
        let large = header.options.contains(Options::LARGE);
        let block = record::decode(bytes, header.byte_order, large);
        let block = block.map_err(|fault| match fault {
            record::Fault::Short => header.cut(self.file_len, offset),
            record::Fault::Damaged(damage) => damaged(damage),
        })?;
        let len = match &block {
            Block::Record(head) => head.total_len(),
            Block::Free(len) => u64::from(*len),
        };
        if len > end.saturating_sub(offset) {
            return Err(damaged(Damage::PastEnd { len, end }));
        }
        if len > self.file_len.saturating_sub(offset) {
            return Err(header.cut(self.file_len, offset));
        }
        Ok((block, len))
    }

    /// The key of the record at `offset`.
    pub(super) fn key(&mut self, offset: u64, head: &Head) -> Result<&[u8], ImportError> {
        // A part of the file fits into an address space, or reading it fails before it is allocated.
        let key_len = usize::try_from(head.key_len).unwrap_or(usize::MAX);
        let bytes = self.window.get(offset, head.len.saturating_add(key_len));
        let bytes = bytes.map_err(|source| ImportError::Io { offset, source })?;
        let (_, key) = bytes
            .split_at_checked(head.len)
            .filter(|(_, key)| key.len() == key_len)
            .ok_or_else(|| self.header.cut(self.file_len, offset))?;
        check_hash(self.header, offset, key, head)?;
        Ok(key)
    }

    /// Key and value of the record at `offset`, the value inflated where it was deflated.
    pub(super) fn open(&mut self, offset: u64, head: &Head) -> Result<(&[u8], &[u8]), ImportError> {
        // As in `key`.
        let used_len = usize::try_from(head.used_len()).unwrap_or(usize::MAX);
        let used = self.window.get(offset, used_len);
        let used = used.map_err(|source| ImportError::Io { offset, source })?;
        let (key, stored) =
            split(used, head).ok_or_else(|| self.header.cut(self.file_len, offset))?;
        check_hash(self.header, offset, key, head)?;
        let Some(inflater) = &mut self.inflater else { return Ok((key, stored)) };
        let limit_bytes = self.inflated_len_max;
        let value = inflater.inflate(stored, limit_bytes).map_err(|fault| match fault {
            inflate::Fault::TooLong => ImportError::ValueTooLong { offset, limit_bytes },
            inflate::Fault::Damaged(source) => ImportError::Compressed { offset, source },
        })?;
        Ok((key, value))
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

fn check_hash(header: &Header, offset: u64, key: &[u8], head: &Head) -> Result<(), ImportError> {
    if header.library_version < record::KEY_HASH_SINCE {
        return Ok(());
    }
    let (found, stored) = (record::key_hash(key), head.hash);
    if found != stored {
        return Err(ImportError::Record { offset, damage: Damage::KeyHash { found, stored } });
    }
    Ok(())
}

/// Key and value of a record, of which `used` is everything but the padding.
fn split<'a>(used: &'a [u8], head: &Head) -> Option<(&'a [u8], &'a [u8])> {
    let key_len = usize::try_from(head.key_len).ok()?;
    let value_len = usize::try_from(head.value_len).ok()?;
    let (key, value) = used.get(head.len..)?.split_at_checked(key_len)?;
    Some((key, value.get(..value_len)?))
}
