//! What can go wrong with a file of another store.

use crate::tokyo::{FileKind, Options};
use std::io;

/// Why a file, or a record of it, cannot be read. Offsets and lengths are in bytes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The operating system could not read.
    #[error("reading at offset {offset}: {source}")]
    Io {
        /// Where in the file.
        offset: u64,
        /// What it said.
        source: io::Error,
    },
    /// The file does not begin like a file of Tokyo Cabinet.
    #[error("not a Tokyo Cabinet file: it does not begin with `ToKyO CaBiNeT`")]
    NotTokyoCabinet,
    /// It is a file of Tokyo Cabinet, but no hash file.
    #[error(
        "a Tokyo Cabinet {kind}, not a hash file (.tch); export it with `{} list -pv`",
        kind.tool()
    )]
    OtherKind {
        /// What it is.
        kind: FileKind,
    },
    /// The file's options say that its values are stored in a form that is not read here.
    #[error(
        "the option {} is not supported; {}",
        option_names(*options),
        way_out(*options)
    )]
    UnsupportedOptions {
        /// Those that are not supported.
        options: Options,
    },
    /// A field of the header cannot be right.
    #[error("header, offset {offset}: {field} is {got}, expected {expected}")]
    Header {
        /// Where the field is.
        offset: u64,
        /// Its name.
        field: &'static str,
        /// What it says.
        got: u64,
        /// What it could have said.
        expected: &'static str,
    },
    /// The file ends before something is complete.
    #[error("offset {offset}: the file ends at {file_len}, in the middle of a {what}")]
    Truncated {
        /// Where that thing begins.
        offset: u64,
        /// What it is.
        what: &'static str,
        /// Where the file ends.
        file_len: u64,
    },
    /// A record or a free block is damaged. Nothing after it can be found.
    #[error("offset {offset}: {damage}")]
    Record {
        /// Where it begins.
        offset: u64,
        /// What is wrong with it.
        damage: Damage,
    },
    /// A compressed value is damaged. The records after it can still be read.
    #[error("record at offset {offset}: its compressed value is damaged: {source}")]
    Compressed {
        /// Where the record begins.
        offset: u64,
        /// What the decompressor said.
        source: io::Error,
    },
    /// A compressed value is longer than the caller allows. The records after it can still be read.
    #[error(
        "record at offset {offset}: its compressed value is longer than {limit_bytes} bytes; \
         raise the limit if that is right"
    )]
    ValueTooLong {
        /// Where the record begins.
        offset: u64,
        /// The limit.
        limit_bytes: usize,
    },
}

/// What is wrong with a record or a free block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// It begins with a byte that neither has.
    #[error("neither a record (0xc8) nor a free block (0xb0) but 0x{0:02x}")]
    Magic(u8),
    /// It begins where nothing can, given the alignment of this many bytes.
    #[error("begins at no multiple of {0}, the alignment of the file")]
    Alignment(u64),
    /// A length of a record does not end within five bytes or passes 2 GiB − 1.
    #[error("a length of the record is no number")]
    Length,
    /// It passes the end of the records.
    #[error("{len} bytes long, which passes the end of the records at {end}")]
    PastEnd {
        /// How long it claims to be.
        len: u64,
        /// The end of the records.
        end: u64,
    },
    /// Its head passes the end of the records, as the header has it.
    #[error("its head passes the end of the records at {end}")]
    HeadPastEnd {
        /// The end of the records.
        end: u64,
    },
    /// A free block is shorter than its own head.
    #[error("a free block of {0} bytes, which is shorter than its head")]
    FreeBlock(u32),
    /// The key does not have the hash that is stored with it.
    #[error("the key has the hash 0x{found:02x}, but 0x{stored:02x} is stored with it")]
    KeyHash {
        /// The hash of the key as it is.
        found: u8,
        /// The hash in the record.
        stored: u8,
    },
}

fn option_names(options: Options) -> String {
    let names: Vec<String> = options.names().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

/// tchmgr itself has no codec of a user's own to undo one with.
fn way_out(options: Options) -> &'static str {
    if options.contains(Options::EXTERNAL_CODEC) {
        "export the records with the program that wrote them, which has the codec"
    } else if options.has_unknown() {
        "the file is of an unknown version or damaged"
    } else {
        "rewrite the file with `tchmgr optimize -tz FILE`, which stores the values plainly, or \
         export it with `tchmgr list -pv FILE`"
    }
}
