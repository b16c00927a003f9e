//! Reading bytes that came from outside: every step is checked, none panics.

use crate::varint;

/// A bounded reader over bytes from a disk or a network. A step that would pass the end gives
/// `None` and consumes nothing.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads `bytes` from their start.
    pub const fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    /// What has not been read.
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next `len` bytes.
    #[inline]
    pub fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(head)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*head)
    }

    /// One byte.
    #[inline]
    pub fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// A big-endian u16 (network order).
    #[inline]
    pub fn u16_be(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    /// A big-endian u32 (network order).
    #[inline]
    pub fn u32_be(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// A big-endian u64 (network order).
    #[inline]
    pub fn u64_be(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// A little-endian u32 (order of the formats on disk).
    #[inline]
    pub fn u32_le(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// A little-endian u64 (order of the formats on disk).
    #[inline]
    pub fn u64_le(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A number as [`varint`] writes it.
    #[inline]
    pub fn varint(&mut self) -> Option<u64> {
        let (value, len) = varint::decode(self.rest)?;
        self.rest = self.rest.get(len..)?;
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_checked() {
        let mut reader = Reader::new(&[1, 0, 2, 0, 0, 0, 3, 0x85, 0x01, 9]);
        assert_eq!(reader.u8(), Some(1));
        assert_eq!(reader.u16_be(), Some(2));
        assert_eq!(reader.u64_be(), None);
        assert_eq!(reader.u32_be(), Some(3));
        assert_eq!(reader.varint(), Some(133));
        assert_eq!(reader.take(2), None);
        assert_eq!(reader.take(1), Some(&[9][..]));
        assert_eq!(reader.u8(), None);
        assert!(reader.rest().is_empty());
    }
}
