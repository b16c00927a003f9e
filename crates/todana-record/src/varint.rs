//! Unsigned numbers in 1 to 10 bytes: seven bits a byte, lowest first, the high bit set on all but
//! the last (LEB128). Decoding takes only the shortest form, so that equal numbers have equal bytes.

/// Longest encoding of a u64, in bytes.
pub const VARINT_LEN_MAX: usize = 10;

/// Number of bytes that [`encode`] writes for `value`: 1 to 10.
#[inline]
pub const fn encoded_len(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Appends `value`.
#[inline]
pub fn encode(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// Reads a number from the start of `bytes`: the number and how many bytes it took. `None` when
/// the bytes end inside it, it does not fit 64 bits, or it is not in its shortest form.
#[inline]
pub fn decode(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0u64;
    for (index, &byte) in bytes.iter().take(VARINT_LEN_MAX).enumerate() {
        let part = u64::from(byte & 0x7f);
        if index == 9 && part > 1 {
            return None;
        }
        value |= part << (7 * index);
        if byte & 0x80 == 0 {
            let shortest = byte != 0 || index == 0;
            return shortest.then_some((value, index + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn round_trip(value: u64, shift in 0u32..64) {
            let value = value >> shift;
            let mut bytes = Vec::new();
            encode(value, &mut bytes);
            prop_assert_eq!(bytes.len(), encoded_len(value));
            prop_assert_eq!(decode(&bytes), Some((value, bytes.len())));
            prop_assert_eq!(decode(&bytes[..bytes.len() - 1]), None);
        }

        #[test]
        fn any_bytes_decode_to_their_own_encoding(bytes: Vec<u8>) {
            if let Some((value, len)) = decode(&bytes) {
                let mut again = Vec::new();
                encode(value, &mut again);
                prop_assert_eq!(&again[..], &bytes[..len]);
            }
        }
    }

    #[test]
    fn refuses_what_is_not_shortest_or_too_large() {
        assert_eq!(decode(&[0x80, 0x00]), None);
        assert_eq!(decode(&[0xff; 10]), None);
        assert_eq!(decode(&[]), None);
    }
}
