//! A few bytes on the stack: heads of records, before they have a place.

use std::ops::Deref;

/// At most `N` bytes, written from the front. What does not fit is left out: `N` is what the longest of a
/// format takes.
#[derive(Debug, Clone, Copy)]
pub struct ShortBytes<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> ShortBytes<N> {
    /// No bytes yet.
    #[inline]
    pub const fn new() -> ShortBytes<N> {
        ShortBytes { bytes: [0; N], len: 0 }
    }

    /// Appends a byte.
    #[inline]
    pub fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        }
    }

    /// Appends a number as a [varint](crate::varint).
    #[inline]
    pub fn varint(&mut self, value: u64) {
        let mut rest = value;
        while rest >= 0x80 {
            self.push(rest.to_le_bytes()[0] | 0x80);
            rest >>= 7;
        }
        self.push(rest.to_le_bytes()[0]);
    }
}

impl<const N: usize> Default for ShortBytes<N> {
    fn default() -> ShortBytes<N> {
        ShortBytes::new()
    }
}

impl<const N: usize> Deref for ShortBytes<N> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::varint;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_are_varints(value: u64, shift in 0u32..64) {
            let mut expected = vec![7];
            varint::encode(value >> shift, &mut expected);
            let mut bytes = ShortBytes::<11>::new();
            bytes.push(7);
            bytes.varint(value >> shift);
            prop_assert_eq!(&bytes[..], &expected[..]);
        }
    }
}
