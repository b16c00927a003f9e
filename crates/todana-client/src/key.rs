//! Keys as the protocol carries them.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::Error;

/// Longest key of printable bytes, in bytes.
pub const KEY_LEN_MAX: usize = 250;
/// Longest key with other bytes, in bytes: its base64, four bytes for three, is at most
/// [`KEY_LEN_MAX`] long.
pub const KEY_CODED_LEN_MAX: usize = KEY_LEN_MAX / 4 * 3;

/// A key that was checked, in the form in which it travels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key<'a> {
    /// What stands in the request line.
    pub(crate) token: Cow<'a, [u8]>,
    /// Whether that is base64, which only meta commands take.
    pub(crate) is_coded: bool,
}

impl<'a> Key<'a> {
    /// Checks a key and chooses its form.
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self, Error> {
        let is_coded = !bytes.iter().all(|&byte| fits_a_line(byte));
        let max = if is_coded { KEY_CODED_LEN_MAX } else { KEY_LEN_MAX };
        if bytes.is_empty() || bytes.len() > max {
            return Err(Error::Key { len: bytes.len(), max });
        }
        let token = match is_coded {
            true => Cow::Owned(STANDARD.encode(bytes).into_bytes()),
            false => Cow::Borrowed(bytes),
        };
        Ok(Self { token, is_coded })
    }
}

/// Whether a key with this byte can stand in a line: everything but white space and control
/// characters. Bytes above ASCII are welcome.
const fn fits_a_line(byte: u8) -> bool {
    byte > b' ' && byte != 0x7f
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn form_and_bounds() {
        let check = |bytes: &[u8], token: &str, is_coded: bool| {
            let key = Key::new(bytes).unwrap();
            assert_eq!((&*key.token, key.is_coded), (token.as_bytes(), is_coded));
        };
        check(b"user:7", "user:7", false);
        check("schl\u{fc}ssel".as_bytes(), "schl\u{fc}ssel", false);
        check(b"a b", "YSBi", true);
        check(b"\r\n", "DQo=", true);
        check(&[0], "AA==", true);
        assert!(Key::new(&[b'k'; 250]).is_ok());
        assert_eq!(Key::new(&[b' '; 186]).unwrap().token.len(), 248);
        for bytes in [&[][..], &[b'k'; 251], &[b' '; 187]] {
            assert!(matches!(Key::new(bytes), Err(Error::Key { .. })));
        }
    }
}
