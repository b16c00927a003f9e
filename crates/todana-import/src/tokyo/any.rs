//! Files of any kind that is read here, by what they say they are.

use super::btree::{BTreeFile, TreeRecords};
use super::fixed::{FixedFile, FixedRecords};
use super::hash::HashFile;
use super::records::{Record, Records};
use super::start::{FileKind, HEADER_LEN, Start};
use super::warning::Warning;
use crate::error::ImportError;
use todana_io::DiskFile;

/// An open file of Tokyo Cabinet.
#[derive(Debug)]
#[non_exhaustive]
pub enum AnyFile {
    /// Hash file.
    Hash(HashFile),
    /// B+ tree file.
    BTree(BTreeFile),
    /// Fixed-length file.
    Fixed(FixedFile),
}

/// The records of a file of any kind.
#[derive(Debug)]
#[non_exhaustive]
pub enum AnyRecords<'f> {
    /// Those of a hash file, as they lie.
    Hash(Records<'f>),
    /// Those of a B+ tree file.
    BTree(TreeRecords<'f>),
    /// Those of a fixed-length file, in the order of their ids.
    Fixed(FixedRecords<'f>),
}

impl AnyFile {
    /// Opens a file as the byte for its kind says; its name does not matter.
    ///
    /// # Errors
    /// [`ImportError::UnsupportedKind`] for a table file, else those of [`HashFile::open`],
    /// [`BTreeFile::open`] and [`FixedFile::open`].
    pub fn open(file: Box<dyn DiskFile>) -> Result<AnyFile, ImportError> {
        let kind = Start::read(file.as_ref(), &mut [0; HEADER_LEN])?.kind()?;
        match kind {
            FileKind::Hash => HashFile::open(file).map(AnyFile::Hash),
            FileKind::BTree => BTreeFile::open(file).map(AnyFile::BTree),
            FileKind::FixedLength => FixedFile::open(file).map(AnyFile::Fixed),
            FileKind::Table => Err(ImportError::UnsupportedKind { kind }),
        }
    }

    /// Number of records, as the header has it; each value of a key counts.
    pub const fn record_count(&self) -> u64 {
        match self {
            AnyFile::Hash(file) => file.header().record_count,
            AnyFile::BTree(file) => file.tree().record_count,
            AnyFile::Fixed(file) => file.header().record_count,
        }
    }

    /// What the reader of its records should know first; nothing for a sound file.
    pub fn warnings(&self) -> Vec<Warning> {
        match self {
            AnyFile::Hash(file) => file.warnings(),
            AnyFile::BTree(file) => file.warnings(),
            AnyFile::Fixed(file) => file.warnings(),
        }
    }

    /// The records, from the first on.
    pub fn records(&self) -> AnyRecords<'_> {
        match self {
            AnyFile::Hash(file) => AnyRecords::Hash(file.records()),
            AnyFile::BTree(file) => AnyRecords::BTree(file.records()),
            AnyFile::Fixed(file) => AnyRecords::Fixed(file.records()),
        }
    }

    /// The same, but without the chain of leaves of a B+ tree file
    /// ([`BTreeFile::records_as_they_lie`]); files of other kinds have no such thing.
    pub fn records_as_they_lie(&self) -> AnyRecords<'_> {
        match self {
            AnyFile::BTree(file) => AnyRecords::BTree(file.records_as_they_lie()),
            AnyFile::Hash(_) | AnyFile::Fixed(_) => self.records(),
        }
    }
}

impl AnyRecords<'_> {
    /// The next record; `None` after the last.
    ///
    /// # Errors
    /// Those of [`Records::next_record`], [`TreeRecords::next_record`] and
    /// [`FixedRecords::next_record`]. [`ImportError::is_passed_over`] says whether the next call goes
    /// on.
    pub fn next_record(&mut self) -> Result<Option<Record<'_>>, ImportError> {
        match self {
            AnyRecords::Hash(records) => records.next_record(),
            AnyRecords::BTree(records) => records.next_record(),
            AnyRecords::Fixed(records) => records.next_record(),
        }
    }

    /// Number of records returned so far; at the end to be compared with [`AnyFile::record_count`].
    pub const fn count_read(&self) -> u64 {
        match self {
            AnyRecords::Hash(records) => records.count_read(),
            AnyRecords::BTree(records) => records.count_read(),
            AnyRecords::Fixed(records) => records.count_read(),
        }
    }
}
