//! What a reader should know of a file that can be read.

use super::header::Header;
use super::start::FileKind;
use std::fmt;

/// Something about the file that its records do not show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// Some program has the file open for writing, or ended without closing it.
    NotClosed {
        /// What kind of file it is.
        kind: FileKind,
    },
    /// The library met an error from which it could not recover.
    Fatal,
    /// The file is shorter than its header says; the last records are missing.
    Truncated {
        /// Length of the file, in bytes.
        file_len: u64,
        /// Length as the header has it.
        file_size: u64,
    },
    /// The header of a B+ tree file names no comparator that is known. Its records can be read.
    Comparator {
        /// What it has instead.
        byte: u8,
    },
    /// The least and the greatest id that the header of a fixed-length file has cannot be right.
    /// Every place for a record is looked at instead.
    Ids {
        /// The least, as the header has it.
        min: u64,
        /// The greatest.
        max: u64,
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
        let not_closed = Warning::NotClosed { kind: header.kind };
        warnings.extend(header.is_open.then_some(not_closed));
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
            Warning::NotClosed { kind } => write!(
                f,
                "not closed: in use, or its program ended without closing it; stop the program, \
                 and if there is a .wal file beside it run `{} inform FILE` first, which undoes \
                 the unfinished transaction{}",
                kind.tool(),
                what_is_lost(*kind)
            ),
            Warning::Fatal => f.write_str(
                "marked as broken by Tokyo Cabinet: compare the number of records read with the \
                 header's",
            ),
            Warning::Truncated { file_len, file_size } => {
                write!(f, "ends at {file_len} instead of {file_size}: the last records are missing")
            }
            Warning::Comparator { byte } => write!(
                f,
                "header, offset 128: comparator is {byte}, expected 0 to 3, or 255: what order the \
                 keys are in is unknown, the records can be read"
            ),
            Warning::Ids { min, max } => write!(
                f,
                "header, offset 80: the ids {min} to {max} cannot be right; every place for a \
                 record is looked at instead"
            ),
            Warning::Trailing { offset, len } => write!(
                f,
                "{len} bytes from offset {offset} on are behind the end of the records and not \
                 read, as is usual for a file that was not closed"
            ),
        }
    }
}

/// What a program that did not close its file may have taken with it, beside transactions.
const fn what_is_lost(kind: FileKind) -> &'static str {
    match kind {
        FileKind::BTree => {
            "; pages that it had not written are missing or old, so that records may be missing, old \
             or there twice, and the header's number of records is that of its last save"
        }
        FileKind::FixedLength => {
            "; the header's ids and number of records are those of its last save, so that every place \
             for a record is looked at"
        }
        FileKind::Hash | FileKind::Table => "",
    }
}
