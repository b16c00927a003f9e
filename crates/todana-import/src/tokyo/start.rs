//! How every file of Tokyo Cabinet begins: 32 bytes that name it, then the kind.

use super::ByteOrder;
use crate::error::ImportError;
use std::fmt;
use todana_io::DiskFile;
use todana_record::Reader;

/// Length of the header of a file of any kind, in bytes.
pub(super) const HEADER_LEN: usize = 256;

const MAGIC: &[u8] = b"ToKyO CaBiNeT";
const MAGIC_LEN: usize = 32;
const KIND_OFFSET: usize = 32;
const FLAG_OPEN: u8 = 1;
const FLAG_FATAL: u8 = 2;

/// What kind of file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// Hash file, `.tch`: 0.
    Hash,
    /// B+ tree file, `.tcb`: 1.
    BTree,
    /// Fixed-length file, `.tcf`: 2.
    FixedLength,
    /// Table file, `.tct`: 3; not read here.
    Table,
}

impl FileKind {
    fn of(byte: u8) -> Option<FileKind> {
        [FileKind::Hash, FileKind::BTree, FileKind::FixedLength, FileKind::Table]
            .get(usize::from(byte))
            .copied()
    }

    /// The tool of Tokyo Cabinet for such files.
    pub const fn tool(self) -> &'static str {
        match self {
            FileKind::Hash => "tchmgr",
            FileKind::BTree => "tcbmgr",
            FileKind::FixedLength => "tcfmgr",
            FileKind::Table => "tctmgr",
        }
    }
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FileKind::Hash => "hash file (.tch)",
            FileKind::BTree => "B+ tree file (.tcb)",
            FileKind::FixedLength => "fixed-length file (.tcf)",
            FileKind::Table => "table file (.tct)",
        })
    }
}

/// The first bytes of a file: its header, or less of a file that is shorter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start<'a> {
    bytes: &'a [u8],
    /// Length of the whole file, in bytes.
    pub(super) file_len: u64,
}

impl<'a> Start<'a> {
    pub(super) const fn new(bytes: &'a [u8], file_len: u64) -> Start<'a> {
        Start { bytes, file_len }
    }

    /// Reads the start of a file into `buffer`.
    pub(super) fn read(
        file: &dyn DiskFile,
        buffer: &'a mut [u8; HEADER_LEN],
    ) -> Result<Start<'a>, ImportError> {
        let io = |source| ImportError::Io { offset: 0, source };
        let file_len = file.len().map_err(io)?;
        let len = file.read_at(0, buffer).map_err(io)?;
        Ok(Start::new(buffer.get(..len).unwrap_or_default(), file_len))
    }

    /// What kind of file says it is.
    pub(super) fn kind(&self) -> Result<FileKind, ImportError> {
        if !self.bytes.starts_with(MAGIC) {
            return Err(ImportError::NotTokyoCabinet);
        }
        self.header()?;
        let byte = self.byte(KIND_OFFSET)?;
        FileKind::of(byte).ok_or_else(|| refuse(KIND_OFFSET as u64, "kind of file", byte, "0 to 3"))
    }

    /// All bytes of the header of a file that has to be of this kind.
    pub(super) fn of_kind(&self, wanted: FileKind) -> Result<&'a [u8], ImportError> {
        match self.kind()? {
            kind if kind == wanted => self.header(),
            kind => Err(ImportError::OtherKind { kind, wanted }),
        }
    }

    /// The number after the colon in `…\n1.0:911\n`; 0 when it is none.
    pub(super) fn library_version(&self) -> u32 {
        let magic = self.bytes.get(..MAGIC_LEN).unwrap_or_default();
        let after = magic.split(|byte| *byte == b':').nth(1).unwrap_or_default();
        let digits = after.split(|byte| *byte == b'\n').next().unwrap_or_default();
        str::from_utf8(digits).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    fn header(&self) -> Result<&'a [u8], ImportError> {
        self.bytes.get(..HEADER_LEN).ok_or_else(|| self.short())
    }

    fn byte(&self, offset: usize) -> Result<u8, ImportError> {
        self.bytes.get(offset).copied().ok_or_else(|| self.short())
    }

    /// The error for a file that ends within its header.
    pub(super) const fn short(&self) -> ImportError {
        ImportError::Truncated { offset: 0, what: "header", file_len: self.file_len }
    }
}

/// The byte behind the kind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flags(pub(super) u8);

impl Flags {
    /// Open for writing, or not closed.
    pub(super) const fn is_open(self) -> bool {
        self.0 & FLAG_OPEN != 0
    }

    /// The library met an error from which it could not recover.
    pub(super) const fn is_fatal(self) -> bool {
        self.0 & FLAG_FATAL != 0
    }
}

/// `N` numbers of eight bytes, from `offset` of a header on.
pub(super) fn numbers<const N: usize>(
    header: &[u8],
    offset: usize,
    order: ByteOrder,
) -> Option<[u64; N]> {
    let mut reader = Reader::new(header.get(offset..)?);
    let mut numbers = [0; N];
    for number in &mut numbers {
        *number = order.u64(&mut reader)?;
    }
    Some(numbers)
}

/// The error for a field of a header.
pub(super) fn refuse(
    offset: u64,
    field: &'static str,
    got: impl Into<u64>,
    expected: &'static str,
) -> ImportError {
    ImportError::Header { offset, field, got: got.into(), expected }
}
