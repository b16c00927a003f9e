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
//! | 1 to 5 | length of the key, see below |
//! | 1 to 5 | length of the value |
//! | | key, value, padding |
//!
//! A free block: `0xb0`, its length in 4 bytes, the head included, and whatever was there before.
//!
//! Lengths of keys and values have seven bits a byte, least significant first. The last byte has them
//! as they are; those before it have all eight bits turned over, which also sets their highest bit.

use super::header::ByteOrder;
use crate::error::Damage;
use todana_record::Reader;

/// The longest head of a record, in bytes.
pub(super) const HEAD_LEN_MAX: usize = 2 + 2 * 8 + 2 + 2 * LENGTH_LEN_MAX;

const RECORD: u8 = 0xc8;
const FREE: u8 = 0xb0;
const FREE_HEAD_LEN: u32 = 5;
const LENGTH_LEN_MAX: usize = 5;

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
    reader.take(if large { 16 } else { 8 }).ok_or(Fault::Short)?;
    let padding_len = order.u16(&mut reader).ok_or(Fault::Short)?;
    let key_len = length(&mut reader)?;
    let value_len = length(&mut reader)?;
    let len = bytes.len() - reader.rest().len();
    Ok(Block::Record(Head { hash, len, key_len, value_len, padding_len }))
}

fn length(reader: &mut Reader<'_>) -> Result<u32, Fault> {
    let mut value: u64 = 0;
    for index in 0..LENGTH_LEN_MAX {
        let byte = reader.u8().ok_or(Fault::Short)?;
        let is_last = byte < 0x80;
        let bits = if is_last { byte } else { !byte };
        value |= u64::from(bits) << (7 * index);
        if is_last {
            // The library keeps lengths as signed 32 bits.
            let value = i32::try_from(value).map_err(|_| Fault::Damaged(Damage::Length))?;
            return Ok(value.unsigned_abs());
        }
    }
    Err(Fault::Damaged(Damage::Length))
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
        let bytes = b"\xc8\xe8\0\0\0\0\0\0\0\0\0\x0a\x03\x05keyvalue\0\0\0\0\0\0\0\0\0\0";
        let head = Head { hash: 0xe8, len: 14, key_len: 3, value_len: 5, padding_len: 10 };
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

    #[test]
    fn lengths_have_seven_bits_a_byte() {
        let check = |bytes: &[u8], expected| assert_eq!(length(&mut Reader::new(bytes)), expected);
        check(&[0x7f], Ok(127));
        check(&[0xff, 0x01], Ok(128));
        check(&[0x80, 0x01], Ok(255));
        check(&[0x80, 0x80, 0x80, 0x80, 0x07], Ok(i32::MAX.unsigned_abs()));
        check(&[0xff, 0xff, 0xff, 0xff, 0x08], Err(Fault::Damaged(Damage::Length)));
        check(&[0xff, 0xff, 0xff, 0xff, 0xff, 0], Err(Fault::Damaged(Damage::Length)));
        check(&[0xff], Err(Fault::Short));
    }
}
