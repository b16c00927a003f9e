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
        let len = memchr::memchr(b' ', from_start).unwrap_or(from_start.len());
        let (token, rest) = from_start.split_at_checked(len)?;
        self.rest = rest;
        Some(token)
    }
}

/// A key as it stands in a line: 1 to 250 bytes, none of them a space or a control character.
#[inline]
pub(crate) fn checked_key(token: &[u8]) -> Option<&[u8]> {
    let in_bounds = !token.is_empty() && token.len() <= KEY_LEN_MAX;
    // Without an early exit, so that the compiler can take many bytes at once.
    let control = token.iter().fold(false, |any, &byte| any | (byte <= b' ') | (byte == 0x7f));
    (in_bounds && !control).then_some(token)
}

/// Why a word is no key.
pub(crate) fn key_fault(token: &[u8]) -> Fault {
    if token.len() > KEY_LEN_MAX { Fault::KeyTooLong } else { Fault::BadLine }
}

#[cfg(test)]
mod tests {
    use super::*;

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
