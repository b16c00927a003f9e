//! The bytes on disk: `docs/format/hash.md` has the tables, the tests here hold them to golden bytes.

pub mod footer;
pub mod frame;
pub mod header;
pub mod identity;
pub mod record;
pub mod reference;

/// Appends a number of 2 bytes; numbers of fixed width are little-endian.
pub fn put_u16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a number of 4 bytes.
pub fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a number of 8 bytes.
pub fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// A length or count as a u32 of a format. What a segment holds is bounded far below.
#[inline]
pub fn narrow(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// Bytes up to the last that is not 0: what was written of a file whose space was taken before.
pub fn used(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1)
}
