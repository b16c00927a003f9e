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
    /// It is a file of Tokyo Cabinet, but of another kind than was asked for.
    #[error("a Tokyo Cabinet {kind}, not a {wanted}")]
    OtherKind {
        /// What it is.
        kind: FileKind,
        /// What it should have been.
        wanted: FileKind,
    },
    /// It is a file of Tokyo Cabinet of a kind that is not read here.
    #[error("a Tokyo Cabinet {kind}, which is not read; export it with `{} list -pv`", kind.tool())]
    UnsupportedKind {
        /// What it is.
        kind: FileKind,
    },
    /// The file's options say that its values are stored in a form that is not read here.
    #[error(
        "the option {} is not supported; {}",
        option_names(*options),
        way_out(*options, *kind)
    )]
    UnsupportedOptions {
        /// Those that are not supported.
        options: Options,
        /// What kind of file it is.
        kind: FileKind,
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
    /// The chain of leaves of a B+ tree file breaks: what follows cannot be found along it. The
    /// leaves can still be read as they lie in the file
    /// ([`BTreeFile::records_as_they_lie`](crate::tokyo::BTreeFile::records_as_they_lie)).
    #[error("the chain of leaves breaks at leaf {id}: {fault}")]
    Chain {
        /// The leaf that cannot be read or does not belong there.
        id: u64,
        /// Why.
        fault: Box<ChainFault>,
    },
    /// A leaf of a B+ tree file is damaged. The leaves after it can still be read.
    #[error("leaf {id} at offset {offset}, byte {at} of its page: {damage}")]
    Leaf {
        /// Which leaf.
        id: u64,
        /// Where the record begins that holds its page.
        offset: u64,
        /// Where in the page, after it was inflated.
        at: usize,
        /// What is wrong.
        damage: LeafDamage,
    },
    /// A record of a B+ tree file is no page. The pages after it can still be read.
    #[error("record at offset {offset}: its key names no page of a B+ tree")]
    NoPage {
        /// Where it begins.
        offset: u64,
    },
    /// A record of a fixed-length file is damaged. The records after it can still be read.
    #[error(
        "record {id} at offset {offset}: {len} bytes long, but the file's records have up to \
         {width}"
    )]
    Slot {
        /// Its id.
        id: u64,
        /// Where it begins.
        offset: u64,
        /// How long it claims to be, in bytes.
        len: u64,
        /// The width that the header has, in bytes.
        width: u64,
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

impl ImportError {
    /// Whether it concerns one record, leaf or page alone, so that the next call goes on behind it.
    pub const fn is_passed_over(&self) -> bool {
        matches!(
            self,
            ImportError::Leaf { .. }
                | ImportError::NoPage { .. }
                | ImportError::Slot { .. }
                | ImportError::Compressed { .. }
                | ImportError::ValueTooLong { .. }
        )
    }
}

/// Why a leaf is not to be had along the chain.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChainFault {
    /// There is no such page in the file.
    #[error("it is not in the file")]
    Missing,
    /// It cannot be read.
    #[error("{0}")]
    Unreadable(#[from] ImportError),
    /// It does not say that it comes after the leaf that leads to it.
    #[error("it says that it comes after leaf {found}, but leaf {expected} leads to it")]
    Previous {
        /// Which leaf it has before it; 0 for none.
        found: u64,
        /// Which one led to it; 0 when it is the first.
        expected: u64,
    },
    /// It is the last of the chain, but not the last that the header has.
    #[error("it is the last one, but the header says that leaf {last} is")]
    End {
        /// The last leaf, as the header has it.
        last: u64,
    },
}

/// What is wrong with a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LeafDamage {
    /// A number does not end, or is larger than its kind can be.
    #[error("a number that does not end or is too large")]
    Number,
    /// The page ends within a number.
    #[error("the page ends within a number")]
    Short,
    /// A key or a value passes the end of the page.
    #[error("a key or value of {len} bytes, but the page has {rest} more")]
    PastEnd {
        /// How long it claims to be, in bytes.
        len: u32,
        /// How many bytes there are.
        rest: usize,
    },
    /// There are more values of a key than there are bytes.
    #[error("{count} more values of the key, but the page has {rest} more bytes")]
    Values {
        /// How many values there should be.
        count: u32,
        /// How many bytes there are.
        rest: usize,
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
    /// A record or bucket leads to where no record can be.
    #[error("leads to offset {0}, which is outside the records")]
    Link(u64),
    /// A bucket's tree leads to a free block.
    #[error("a free block, but a bucket's tree of records leads to it")]
    FreeInTree,
    /// A bucket's tree is too deep to be sound.
    #[error("more than {0} records deep in a bucket's tree")]
    TooDeep(u32),
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

/// The tools themselves have no codec of a user's own to undo one with.
fn way_out(options: Options, kind: FileKind) -> String {
    let tool = kind.tool();
    if options.contains(Options::EXTERNAL_CODEC) {
        "export the records with the program that wrote them, which has the codec".to_owned()
    } else if options.has_unknown() {
        "the file is of an unknown version or damaged".to_owned()
    } else {
        format!(
            "rewrite the file with `{tool} optimize -tz FILE`, which stores the values plainly, or \
             export it with `{tool} list -pv FILE`"
        )
    }
}
