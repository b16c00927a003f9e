//! B+ tree files (`.tcb`).
//!
//! The file is a [hash file](super::hash) whose records are the tree's pages, and whose header has the
//! [tree's own](TreeHeader) in the bytes that are for the program that uses the file. Pages have ids; a
//! page's key is its id in hexadecimal digits, without zeros before it: `1f` for leaf 31, `#1f` for
//! inner page 31. Values, deflated where the file's options say so, are pages.
//!
//! A **leaf** is a sequence of [numbers of variable length](super::number), keys and values:
//!
//! | field | what |
//! |---|---|
//! | id | the leaf before it; 0 for none |
//! | id | the leaf after it; 0 for none |
//! | then for each key | |
//! | length | length of the key |
//! | length | length of its first value |
//! | length | how many more values it has |
//! | | key, first value |
//! | | for each further value its length and itself, in the order in which they were put |
//!
//! An **inner page**, which is not read here: the id of the first child, then for each further child its
//! id, the length of the first key below it, and that key. Ids of inner pages are 2^48 + 1 larger there
//! than in the pages' keys.
//!
//! Reading goes along the chain of leaves, so that records come in the order of their keys as `tcbmgr
//! list` has them, one leaf in memory at a time; each leaf is found through the hash file's buckets.
//! Each has to name the one before it, so that the chain cannot be a circle. Where it breaks,
//! [`BTreeFile::records_as_they_lie`] still finds the leaves that are whole. Whether keys really are in
//! the comparator's order is not checked.

mod chain;
pub mod header;
mod leaf;
mod records;

pub use header::{Comparator, TreeHeader};
pub use records::TreeRecords;

use super::hash::HashFile;
use super::header::Header;
use super::start::{FileKind, HEADER_LEN, Start};
use super::warning::Warning;
use crate::error::ImportError;
use todana_io::DiskFile;

/// An open B+ tree file. Several threads may read it, each with [`BTreeFile::records`] of its own.
///
/// Nobody may write to the file meanwhile; that is not checked.
#[derive(Debug)]
pub struct BTreeFile {
    pages: HashFile,
    tree: TreeHeader,
}

impl BTreeFile {
    /// Reads and checks the header.
    ///
    /// # Errors
    /// As [`HashFile::open`].
    pub fn open(file: Box<dyn DiskFile>) -> Result<BTreeFile, ImportError> {
        let mut buffer = [0; HEADER_LEN];
        let start = Start::read(file.as_ref(), &mut buffer)?;
        let header = Header::decode(&start, FileKind::BTree)?;
        let bytes = start.of_kind(FileKind::BTree)?;
        let tree = TreeHeader::decode(bytes, header.byte_order).ok_or_else(|| start.short())?;
        let file_len = start.file_len;
        Ok(BTreeFile { pages: HashFile { file, file_len, header }, tree })
    }

    /// The header of the hash file whose records are the pages.
    pub const fn header(&self) -> &Header {
        &self.pages.header
    }

    /// What the tree's own header says.
    pub const fn tree(&self) -> &TreeHeader {
        &self.tree
    }

    /// Length of the file as it is, in bytes.
    pub const fn file_len(&self) -> u64 {
        self.pages.file_len
    }

    /// What the reader of its records should know first; nothing for a sound file.
    pub fn warnings(&self) -> Vec<Warning> {
        let mut warnings = self.pages.warnings();
        if let Comparator::Unknown(byte) = self.tree.comparator {
            warnings.push(Warning::Comparator { byte });
        }
        warnings
    }

    /// The records in the order of their keys, all values of a key in the order in which they were put.
    pub fn records(&self) -> TreeRecords<'_> {
        TreeRecords::along_the_chain(&self.pages, &self.tree)
    }

    /// The records of each leaf that is whole, leaf by leaf in the order in which they lie in the file:
    /// for a file whose chain of leaves is broken. Values of a key are still together and in order.
    pub fn records_as_they_lie(&self) -> TreeRecords<'_> {
        TreeRecords::as_they_lie(&self.pages)
    }
}
