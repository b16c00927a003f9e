//! What a reader should know of a file that can be read.

use super::header::Header;
use std::fmt;

/// Something about the file that its records do not show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// Some program has the file open for writing, or ended without closing it.
    NotClosed,
    /// The library met an error from which it could not recover.
    Fatal,
    /// The file is shorter than its header says; the last records are missing.
    Truncated {
        /// Length of the file, in bytes.
        file_len: u64,
        /// Length as the header has it.
        file_size: u64,
    },
    /// There are bytes behind the end that the header has; they are not read.
    Trailing {
        /// Where they begin.
        offset: u64,
        /// How many they are.
        len: u64,
    },
}

impl Warning {
    pub(super) fn of(header: &Header, file_len: u64) -> Vec<Warning> {
        let file_size = header.file_size;
        let mut warnings = Vec::new();
        warnings.extend(header.is_open.then_some(Warning::NotClosed));
        warnings.extend(header.is_fatal.then_some(Warning::Fatal));
        if file_len < file_size {
            warnings.push(Warning::Truncated { file_len, file_size });
        } else if file_len > file_size {
            warnings.push(Warning::Trailing { offset: file_size, len: file_len - file_size });
        }
        warnings
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::NotClosed => f.write_str(
                "not closed: in use, or its program ended without closing it; stop the program, \
                 and if there is a .wal file beside it run `tchmgr inform FILE` first, which \
                 undoes the unfinished transaction",
            ),
            Warning::Fatal => f.write_str(
                "marked as broken by Tokyo Cabinet: compare the number of records read with the \
                 header's",
            ),
            Warning::Truncated { file_len, file_size } => {
                write!(f, "ends at {file_len} instead of {file_size}: the last records are missing")
            }
            Warning::Trailing { offset, len } => write!(
                f,
                "{len} bytes from offset {offset} on are behind the end of the records and not \
                 read, as is usual for a file that was not closed"
            ),
        }
    }
}
