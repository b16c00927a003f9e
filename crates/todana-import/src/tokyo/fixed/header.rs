//! The header of a fixed-length file, its first 256 bytes.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 32 | as in a [hash file](crate::tokyo::header) |
//! | 32 | 1 | 2, see [`FileKind`] |
//! | 33 | 1 | flags: 1 open for writing, 2 fatal error |
//! | 48 | 8 | number of records |
//! | 56 | 8 | size of the file |
//! | 64 | 8 | width: the longest value |
//! | 72 | 8 | the largest size that the file may have |
//! | 80 | 8 | least id, 0 when there are no records |
//! | 88 | 8 | greatest id, likewise |
//! | 128 | 128 | for the program that uses the file |
//!
//! The width shows the [order of bytes](crate::tokyo#the-order-of-bytes): it has 31 bits, which no such
//! number but 0 has in both orders.

use crate::error::ImportError;
use crate::tokyo::header::ByteOrder;
use crate::tokyo::start::{FileKind, Flags, HEADER_LEN, Start, numbers, refuse};
use std::ops::RangeInclusive;

const FLAGS_OFFSET: usize = 33;
const NUMBERS_OFFSET: usize = 48;
const FILE_SIZE_OFFSET: u64 = 56;
const WIDTH_OFFSET: u64 = 64;
const LIMIT_OFFSET: u64 = 72;
/// The library keeps the width as signed 32 bits.
const WIDTH_MAX: u64 = i32::MAX.unsigned_abs() as u64;

/// What the header of a fixed-length file says. Width and sizes have been checked; the number of
/// records is what the library last wrote there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FixedHeader {
    /// Version of the library that made the file, such as 911 for 1.4.48; 0 when it is not a number.
    pub library_version: u32,
    /// The order of bytes in which the file is written.
    pub byte_order: ByteOrder,
    /// Whether the file is open for writing, or was not closed.
    pub is_open: bool,
    /// Whether the library met an error from which it could not recover.
    pub is_fatal: bool,
    /// Number of records, as the header has it.
    pub record_count: u64,
    /// Length of a file that was closed cleanly, in bytes.
    pub file_size: u64,
    /// The longest value, in bytes, 1 to 2 GiB − 1.
    pub width: u64,
    /// The largest size that the file may have, in bytes.
    pub file_size_max: u64,
    /// Least id, as the header has it; 0 when there are no records.
    pub min_id: u64,
    /// Greatest id, likewise.
    pub max_id: u64,
}

impl FixedHeader {
    /// Length of the length of a value, in bytes: 1, 2 or 4.
    pub(super) const fn length_len(&self) -> u64 {
        match self.width {
            0..=0xff => 1,
            0x100..=0xffff => 2,
            _ => 4,
        }
    }

    /// Length of a slot, in bytes.
    pub const fn slot_len(&self) -> u64 {
        self.length_len() + self.width
    }

    /// Where the slot of an id begins, if a file can be that long. Ids begin with 1.
    pub(super) fn slot(&self, id: u64) -> Option<u64> {
        let offset = id.checked_sub(1)?.checked_mul(self.slot_len())?;
        offset.checked_add(HEADER_LEN as u64).filter(|offset| i64::try_from(*offset).is_ok())
    }

    /// The ids between which the records are; `None` when the header's cannot be right.
    pub(super) fn ids(&self) -> Option<RangeInclusive<u64>> {
        let (min, max) = (self.min_id, self.max_id);
        if (min, max, self.record_count) == (0, 0, 0) {
            #[expect(clippy::reversed_empty_ranges, reason = "there are none")]
            return Some(1..=0);
        }
        let end = self.slot(max)?.checked_add(self.slot_len())?;
        let is_room = max.checked_sub(min)? >= self.record_count.checked_sub(1)?;
        (min > 0 && is_room && end <= self.file_size).then_some(min..=max)
    }

    /// Decodes the start of a file.
    pub(super) fn decode(start: &Start<'_>) -> Result<FixedHeader, ImportError> {
        let bytes = start.of_kind(FileKind::FixedLength)?;
        let read = |order| FixedHeader::read(start, bytes, order).ok_or_else(|| start.short());
        let (little, big) = (read(ByteOrder::Little)?, read(ByteOrder::Big)?);
        let header = if little.width <= big.width { little } else { big };
        header.check().map(|()| header)
    }

    fn read(start: &Start<'_>, bytes: &[u8], byte_order: ByteOrder) -> Option<FixedHeader> {
        let flags = Flags(*bytes.get(FLAGS_OFFSET)?);
        let [record_count, file_size, width, file_size_max, min_id, max_id] =
            numbers(bytes, NUMBERS_OFFSET, byte_order)?;
        Some(FixedHeader {
            library_version: start.library_version(),
            byte_order,
            is_open: flags.is_open(),
            is_fatal: flags.is_fatal(),
            record_count,
            file_size,
            width,
            file_size_max,
            min_id,
            max_id,
        })
    }

    fn check(&self) -> Result<(), ImportError> {
        if !(1..=WIDTH_MAX).contains(&self.width) {
            return Err(refuse(WIDTH_OFFSET, "width", self.width, "1 to 2147483647"));
        }
        if i64::try_from(self.file_size_max).is_err() {
            let expected = "less than 2^63";
            return Err(refuse(LIMIT_OFFSET, "limit of the size", self.file_size_max, expected));
        }
        if !(HEADER_LEN as u64..=self.file_size_max).contains(&self.file_size) {
            let expected = "at least 256 and at most the limit at offset 72";
            return Err(refuse(FILE_SIZE_OFFSET, "size of the file", self.file_size, expected));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(order: ByteOrder) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[..22].copy_from_slice(b"ToKyO CaBiNeT\n1.0:911\n");
        bytes[32] = 2;
        for (index, number) in [3_u64, 3105, 10, 4096, 3, 7].into_iter().enumerate() {
            let number = match order {
                ByteOrder::Little => number.to_le_bytes(),
                ByteOrder::Big => number.to_be_bytes(),
            };
            bytes[48 + 8 * index..56 + 8 * index].copy_from_slice(&number);
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<FixedHeader, ImportError> {
        FixedHeader::decode(&Start::new(bytes, 3105))
    }

    #[track_caller]
    fn check(change: impl Fn(&mut [u8]), expected: &str) {
        for order in [ByteOrder::Little, ByteOrder::Big] {
            let mut bytes = sample(order);
            change(&mut bytes);
            assert_eq!(decode(&bytes).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn both_orders_of_bytes_are_told_apart() {
        for order in [ByteOrder::Little, ByteOrder::Big] {
            let header = decode(&sample(order)).unwrap();
            assert_eq!((header.byte_order, header.library_version), (order, 911));
            assert_eq!((header.width, header.file_size, header.record_count), (10, 3105, 3));
            assert_eq!((header.slot_len(), header.ids()), (11, Some(3..=7)));
        }
    }

    #[test]
    fn what_cannot_be_right_is_refused() {
        check(|b| b[32] = 0, "a Tokyo Cabinet hash file (.tch), not a fixed-length file (.tcf)");
        check(|b| b[64..72].fill(0), "header, offset 64: width is 0, expected 1 to 2147483647");
        let max = u64::MAX;
        check(
            |b| b[64..72].fill(0xff),
            &format!("header, offset 64: width is {max}, expected 1 to 2147483647"),
        );
        check(
            |b| b[72..80].fill(0xff),
            &format!("header, offset 72: limit of the size is {max}, expected less than 2^63"),
        );
        check(
            |b| b[56..64].fill(0),
            "header, offset 56: size of the file is 0, expected at least 256 and at most the limit \
             at offset 72",
        );
        let error = decode(&sample(ByteOrder::Little)[..200]).unwrap_err();
        assert!(matches!(error, ImportError::Truncated { .. }));
    }

    #[test]
    fn ids_have_to_fit() {
        let header = decode(&sample(ByteOrder::Little)).unwrap();
        let ids = |min_id, max_id, record_count| {
            FixedHeader { min_id, max_id, record_count, ..header.clone() }.ids()
        };
        assert!(ids(0, 0, 0).is_some_and(|ids| ids.is_empty()));
        assert_eq!(ids(1, 259, 259), Some(1..=259));
        assert_eq!(ids(1, 260, 1), None, "behind the end of the file");
        assert_eq!(ids(3, 7, 6), None, "more records than ids");
        assert_eq!(ids(7, 3, 1), None);
        assert_eq!(ids(0, 3, 1), None);
        assert_eq!(ids(3, 7, 0), None);
        assert_eq!(ids(u64::MAX, u64::MAX, 1), None);
    }
}
