//! The walk over the slots of a fixed-length file.

use super::header::FixedHeader;
use crate::error::ImportError;
use crate::tokyo::records::Record;
use crate::tokyo::start::HEADER_LEN;
use crate::tokyo::window::{SEQUENTIAL_LEN, Window};
use std::io::Write as _;
use std::ops::Range;
use todana_io::DiskFile;
use todana_record::Reader;

/// Reads one record after the other, in the order of their ids.
#[derive(Debug)]
pub struct FixedRecords<'f> {
    header: &'f FixedHeader,
    file_len: u64,
    window: Window<'f>,
    /// The ids that have not been looked at.
    ids: Range<u64>,
    key: Vec<u8>,
    count_read: u64,
}

/// A slot that holds a record.
#[derive(Debug, Clone, Copy)]
struct Slot {
    id: u64,
    offset: u64,
    /// Length of the value, in bytes, at most the file's width.
    len: u64,
}

impl<'f> FixedRecords<'f> {
    pub(super) fn new(
        file: &'f dyn DiskFile,
        file_len: u64,
        header: &'f FixedHeader,
    ) -> FixedRecords<'f> {
        let ids = header.ids().filter(|_| !header.is_open);
        // Ids are small enough for that: their slots lie within a file.
        let ids = ids.map(|ids| *ids.start()..ids.end() + 1);
        FixedRecords {
            header,
            file_len,
            window: Window::new(file, file_len, SEQUENTIAL_LEN),
            ids: ids.unwrap_or_else(|| all(header, file_len)),
            key: Vec::new(),
            count_read: 0,
        }
    }

    /// The next record; `None` after the last.
    ///
    /// # Errors
    /// [`ImportError::Slot`] concerns one record: the next call goes on with the one after it. After
    /// [`ImportError::Truncated`] there is nothing more, and the next call says the same; after
    /// [`ImportError::Io`] it tries again.
    pub fn next_record(&mut self) -> Result<Option<Record<'_>>, ImportError> {
        let Some(slot) = self.find()? else { return Ok(None) };
        let Slot { id, offset, len } = slot;
        let start = self.header.length_len();
        // A part of the file fits into an address space, or reading it fails before it is allocated.
        let used_len = usize::try_from(start + len).unwrap_or(usize::MAX);
        let used = self.window.get(offset, used_len);
        let used = used.map_err(|source| ImportError::Io { offset, source })?;
        let value = usize::try_from(start).ok().and_then(|start| used.get(start..));
        let value = value.filter(|_| used.len() == used_len);
        let value = value.ok_or_else(|| cut(self.file_len, offset))?;
        self.ids.start = id + 1;
        self.count_read += 1;
        self.key.clear();
        // Writing to memory does not fail.
        let _ = write!(self.key, "{id}");
        Ok(Some(Record { key: &self.key, value, offset, duplicate: 0 }))
    }

    /// Number of records returned so far; at the end to be compared with
    /// [`FixedHeader::record_count`].
    pub const fn count_read(&self) -> u64 {
        self.count_read
    }

    /// Goes to the next slot that holds a record.
    fn find(&mut self) -> Result<Option<Slot>, ImportError> {
        while !self.ids.is_empty() {
            let id = self.ids.start;
            let Some(offset) = self.header.slot(id) else { return Ok(None) };
            let (len, is_empty) = self.head(offset)?;
            let width = self.header.width;
            if len > width {
                self.ids.start += 1;
                return Err(ImportError::Slot { id, offset, len, width });
            }
            if !is_empty {
                return Ok(Some(Slot { id, offset, len }));
            }
            self.ids.start += 1;
        }
        Ok(None)
    }

    /// The length of the value of the slot at `offset`, and whether the slot holds no record.
    fn head(&mut self, offset: u64) -> Result<(u64, bool), ImportError> {
        // A length and a byte, 5 at most.
        let len = self.header.length_len();
        let head_len = usize::try_from(len + 1).unwrap_or_default();
        let bytes = self.window.get(offset, head_len);
        let bytes = bytes.map_err(|source| ImportError::Io { offset, source })?;
        let mut reader = Reader::new(bytes);
        let order = self.header.byte_order;
        let value_len = match len {
            1 => reader.u8().map(u64::from),
            2 => order.u16(&mut reader).map(u64::from),
            _ => order.u32(&mut reader).map(u64::from),
        };
        let mark = reader.u8();
        let head = value_len.zip(mark).ok_or_else(|| cut(self.file_len, offset))?;
        Ok((head.0, head == (0, 0)))
    }
}

/// The ids of all slots of the file, the last perhaps not complete.
fn all(header: &FixedHeader, file_len: u64) -> Range<u64> {
    1..1 + file_len.saturating_sub(HEADER_LEN as u64).div_ceil(header.slot_len())
}

const fn cut(file_len: u64, offset: u64) -> ImportError {
    ImportError::Truncated { offset, what: "record", file_len }
}
