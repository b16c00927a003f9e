//! Records and free blocks, as they lie one behind the other.
//!
//! A record, whose offset is a multiple of the alignment:
//!
//! | bytes | field |
//! |---|---|
//! | 1 | `0xc8` |
//! | 1 | hash of the key, see [`key_hash`] |
//! | 4, or 8 with [`Options::LARGE`](super::Options::LARGE) | left child ÷ alignment |
//! | the same | right child ÷ alignment |
//! | 2 | length of the padding |
//! | 1 to 5 | length of the key |
//! | 1 to 5 | length of the value |
//! | | key, value, padding |
//!
//! A free block: `0xb0`, its length in 4 bytes, the head included, and whatever was there before.
//!
//! Lengths of keys and values are [numbers of variable length](super::number).

use super::header::ByteOrder;
use super::number::{self, LENGTH_LEN_MAX};
use crate::error::Damage;
use todana_record::Reader;

/// The longest head of a record, in bytes.
pub(super) const HEAD_LEN_MAX: usize = 2 + 2 * 8 + 2 + 2 * LENGTH_LEN_MAX;

const RECORD: u8 = 0xc8;
const FREE: u8 = 0xb0;
const FREE_HEAD_LEN: u32 = 5;

/// What lies at some offset.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Block {
    Record(Head),
    /// A free block of this many bytes.
    Free(u32),
}

/// The head of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) hash: u8,
    /// Where the left child begins, in units of the alignment; 0 for none.
    pub(super) left: u64,
    /// The same for the right child.
    pub(super) right: u64,
    /// Length of the head itself.
    pub(super) len: usize,
    pub(super) key_len: u32,
    pub(super) value_len: u32,
    pub(super) padding_len: u16,
}

impl Head {
    /// Length without the padding.
    pub(super) const fn used_len(&self) -> u64 {
        self.len as u64 + self.key_len as u64 + self.value_len as u64
    }

    /// Length with the padding.
    pub(super) const fn total_len(&self) -> u64 {
        self.used_len() + self.padding_len as u64
    }
}

/// Why there is no block.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The bytes end within its head.
    Short,
    Damaged(Damage),
}

/// Decodes what begins with `bytes`, which are [`HEAD_LEN_MAX`] or all that there are.
pub(super) fn decode(bytes: &[u8], order: ByteOrder, large: bool) -> Result<Block, Fault> {
    let mut reader = Reader::new(bytes);
    match reader.u8().ok_or(Fault::Short)? {
        RECORD => {}
        FREE => {
            let len = order.u32(&mut reader).ok_or(Fault::Short)?;
            return match len >= FREE_HEAD_LEN {
                true => Ok(Block::Free(len)),
                false => Err(Fault::Damaged(Damage::FreeBlock(len))),
            };
        }
        other => return Err(Fault::Damaged(Damage::Magic(other))),
    }
    let hash = reader.u8().ok_or(Fault::Short)?;
    let left = order.offset(&mut reader, large).ok_or(Fault::Short)?;
    let right = order.offset(&mut reader, large).ok_or(Fault::Short)?;
    let padding_len = order.u16(&mut reader).ok_or(Fault::Short)?;
    let key_len = length(&mut reader)?;
    let value_len = length(&mut reader)?;
    let len = bytes.len() - reader.rest().len();
    Ok(Block::Record(Head { hash, left, right, len, key_len, value_len, padding_len }))
}

fn length(reader: &mut Reader<'_>) -> Result<u32, Fault> {
    number::length(reader).map_err(|fault| match fault {
        number::Fault::Short => Fault::Short,
        number::Fault::TooLarge => Fault::Damaged(Damage::Length),
    })
}

/// The first version of the library whose records are known to have [`key_hash`]; those of 2007 had
/// another, and when it changed is not known.
pub(super) const KEY_HASH_SINCE: u32 = 900;

/// The hash that is stored with a key and orders the records of a bucket.
pub fn key_hash(key: &[u8]) -> u8 {
    // Only the low byte is kept, and no carry comes down into it.
    key.iter().rev().fold(0xef, |hash: u8, byte| hash.wrapping_mul(31) ^ byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_decoded() {
        // As tchmgr of Debian wrote it: key `key`, value `value`, alignment 16.
        let bytes = b"\xc8\xe8\0\0\0\0\0\0\0\x1c\0\x0a\x03\x05keyvalue\0\0\0\0\0\0\0\0\0\0";
        let (left, right, padding_len) = (0, 0x1c, 10);
        let head = Head { hash: 0xe8, left, right, len: 14, key_len: 3, value_len: 5, padding_len };
        assert_eq!(decode(bytes, ByteOrder::Big, false), Ok(Block::Record(head)));
        assert_eq!(head.total_len(), bytes.len() as u64);
        assert_eq!(key_hash(b"key"), 0xe8);
        for len in 0..14 {
            assert_eq!(decode(&bytes[..len], ByteOrder::Big, false), Err(Fault::Short));
        }
    }

    #[test]
    fn free_blocks_are_decoded() {
        assert_eq!(decode(b"\xb0\x20\0\0\0", ByteOrder::Little, false), Ok(Block::Free(32)));
        assert_eq!(decode(b"\xb0\0\0\0\x20", ByteOrder::Big, true), Ok(Block::Free(32)));
        assert_eq!(decode(b"\xb0\0\0\0", ByteOrder::Big, true), Err(Fault::Short));
        let short = Fault::Damaged(Damage::FreeBlock(4));
        assert_eq!(decode(b"\xb0\0\0\0\x04", ByteOrder::Big, true), Err(short));
        let zeros = Fault::Damaged(Damage::Magic(0));
        assert_eq!(decode(&[0; 16], ByteOrder::Big, true), Err(zeros));
    }
}
