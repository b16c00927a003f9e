//! Words of a line.

use crate::Fault;
use crate::memcached::KEY_LEN_MAX;

/// The words of a line, which are separated by one or more spaces.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tokens<'a> {
    rest: &'a [u8],
}

impl<'a> Tokens<'a> {
    pub(crate) const fn new(line: &'a [u8]) -> Tokens<'a> {
        Tokens { rest: line }
    }

    /// What follows the words taken so far, spaces included.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let start = self.rest.iter().position(|&byte| byte != b' ')?;
        let from_start = self.rest.get(start..)?;
        let mut len = word_len(from_start);
        if from_start.get(len).is_some_and(|&byte| byte != b' ') {
            len += memchr::memchr(b' ', &from_start[len..]).unwrap_or(from_start.len() - len);
        }
        let (token, rest) = from_start.split_at_checked(len)?;
        self.rest = rest;
        Some(token)
    }
}

const EACH: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = EACH << 7;

/// Bytes before the first that cannot stand in a key: a space, a control character, 0x7f. Eight at a time,
/// since keys are short.
#[inline]
pub(crate) fn word_len(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks();
    for (at, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let below = word.wrapping_sub(EACH * 0x21) & !word;
        let delete = word ^ (EACH * 0x7f);
        // What a borrow makes wrong stands above a byte that is right.
        let ends = (below | delete.wrapping_sub(EACH) & !delete) & HIGH_BITS;
        if ends != 0 {
            return at * 8 + ends.trailing_zeros() as usize / 8;
        }
    }
    let end = rest.iter().position(|&byte| is_no_key_byte(byte));
    words.len() * 8 + end.unwrap_or(rest.len())
}

#[inline]
const fn is_no_key_byte(byte: u8) -> bool {
    byte <= b' ' || byte == 0x7f
}

/// A key as it stands in a line: 1 to 250 bytes, none of them a space or a control character.
#[inline]
pub(crate) fn checked_key(token: &[u8]) -> Option<&[u8]> {
    let in_bounds = !token.is_empty() && token.len() <= KEY_LEN_MAX;
    (in_bounds && word_len(token) == token.len()).then_some(token)
}

/// Why a word is no key.
pub(crate) fn key_fault(token: &[u8]) -> Fault {
    if token.len() > KEY_LEN_MAX { Fault::KeyTooLong } else { Fault::BadLine }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_word_ends_where_a_byte_cannot_stand_in_a_key(
            bytes in prop::collection::vec(prop_oneof![4 => 0x1e..0x24u8, 2 => 0x7d..0x82u8, 1 => any::<u8>()], 0..40),
            start in 0..40usize,
        ) {
            let mut bytes = bytes;
            for byte in bytes.iter_mut().take(start) {
                *byte |= 0x80;
            }
            let end = bytes.iter().position(|&byte| byte <= b' ' || byte == 0x7f);
            prop_assert_eq!(word_len(&bytes), end.unwrap_or(bytes.len()));
        }
    }

    #[test]
    fn words_and_rest() {
        let mut tokens = Tokens::new(b"  set  key 0 ");
        assert_eq!(tokens.next(), Some(&b"set"[..]));
        assert_eq!(tokens.next(), Some(&b"key"[..]));
        assert_eq!(tokens.rest(), b" 0 ");
        assert_eq!(tokens.next(), Some(&b"0"[..]));
        assert_eq!((tokens.next(), tokens.next()), (None, None));
    }

    #[test]
    fn keys() {
        assert!(checked_key(&[b'k'; 250]).is_some() && checked_key(&[b'k'; 251]).is_none());
        assert!(checked_key("戸棚".as_bytes()).is_some());
        for bad in [&b""[..], b"a\tb", b"a\0", b"\x7f", b"a\rb"] {
            assert_eq!(checked_key(bad), None);
        }
    }
}
