//! Keys as the command line has them.

use super::tsv;
use crate::outcome::Failure;
use clap::Args;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

/// Letters of a key that a message shows.
const SHOWN_MAX: usize = 60;

/// How keys are written.
#[derive(Debug, Args)]
pub(super) struct KeyForm {
    /// Keys are written as `list` prints them: \\ \t \n \r and \xNN stand for bytes
    #[arg(short, long)]
    pub(super) escaped: bool,
}

impl KeyForm {
    /// The bytes of a key.
    pub(super) fn bytes(&self, key: &OsStr) -> Result<Vec<u8>, Failure> {
        match self.escaped {
            true => tsv::unescape(key.as_bytes()).map_err(Failure::Because),
            false => Ok(key.as_bytes().to_vec()),
        }
    }
}

/// A key for messages: on one line, and not all of a long one.
pub(super) fn shown(key: &OsStr) -> String {
    let mut bytes = Vec::new();
    tsv::escape(key.as_bytes(), &mut bytes);
    let text = String::from_utf8_lossy(&bytes);
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_any_bytes_and_any_length() {
        let bytes = |escaped, key: &str| KeyForm { escaped }.bytes(OsStr::new(key));
        assert_eq!(bytes(true, "a\\x00\\tb").unwrap(), b"a\0\tb");
        assert_eq!(bytes(false, "a\\x00").unwrap(), b"a\\x00");
        assert!(bytes(true, "a\\q").is_err());
        assert_eq!(shown(OsStr::new("two\nlines")), "two\\nlines");
        assert_eq!(shown(OsStr::new(&"é".repeat(70))).chars().count(), SHOWN_MAX + 3);
    }
}
