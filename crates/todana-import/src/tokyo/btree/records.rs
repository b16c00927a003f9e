//! The records of a B+ tree file.

use super::chain::Chain;
use super::header::TreeHeader;
use super::leaf::Leaf;
use crate::error::ImportError;
use crate::tokyo::hash::HashFile;
use crate::tokyo::records::{Record, Records};

/// Reads one record after the other, each value of a key as one of its own, with one leaf in memory.
#[derive(Debug)]
pub struct TreeRecords<'f> {
    leaves: Leaves<'f>,
    leaf: Leaf,
    count_read: u64,
}

/// What order the leaves come in.
#[derive(Debug)]
enum Leaves<'f> {
    Chain(Box<Chain<'f>>),
    AsTheyLie(Records<'f>),
}

/// What a page's key says of it.
#[derive(Debug, PartialEq, Eq)]
enum PageKey {
    Leaf(u64),
    Inner,
    Unknown,
}

impl<'f> TreeRecords<'f> {
    pub(super) fn along_the_chain(pages: &'f HashFile, tree: &TreeHeader) -> TreeRecords<'f> {
        TreeRecords::new(Leaves::Chain(Box::new(Chain::new(pages, tree))))
    }

    pub(super) fn as_they_lie(pages: &'f HashFile) -> TreeRecords<'f> {
        TreeRecords::new(Leaves::AsTheyLie(pages.records()))
    }

    fn new(leaves: Leaves<'f>) -> TreeRecords<'f> {
        TreeRecords { leaves, leaf: Leaf::default(), count_read: 0 }
    }

    /// Sets how long a page may be that is stored deflated, in bytes.
    #[must_use]
    pub fn inflated_len_max(mut self, bytes: usize) -> TreeRecords<'f> {
        self.leaves = match self.leaves {
            Leaves::Chain(mut chain) => {
                chain.set_inflated_len_max(bytes);
                Leaves::Chain(chain)
            }
            Leaves::AsTheyLie(records) => Leaves::AsTheyLie(records.inflated_len_max(bytes)),
        };
        self
    }

    /// The next record; `None` after the last.
    ///
    /// # Errors
    /// After [`ImportError::Leaf`] the next call goes on with the leaf after it. After
    /// [`ImportError::Chain`] nothing more can be found along the chain, and the next call says the
    /// same; after [`ImportError::Io`] it tries again.
    ///
    /// Where leaves are read as they lie, errors are as those of [`Records::next_record`], and
    /// [`ImportError::NoPage`] concerns one record.
    pub fn next_record(&mut self) -> Result<Option<Record<'_>>, ImportError> {
        let found = loop {
            if let Some(found) = self.leaf.step()? {
                break found;
            }
            if !self.leaves.next(&mut self.leaf)? {
                return Ok(None);
            }
        };
        self.count_read += 1;
        Ok(Some(self.leaf.record(&found)))
    }

    /// Number of records returned so far, each value of a key counted; at the end to be compared with
    /// [`TreeHeader::record_count`].
    pub const fn count_read(&self) -> u64 {
        self.count_read
    }
}

impl Leaves<'_> {
    /// Fills `leaf` with the next one; `false` after the last.
    fn next(&mut self, leaf: &mut Leaf) -> Result<bool, ImportError> {
        match self {
            Leaves::Chain(chain) => match chain.next(leaf)? {
                true => Ok(true),
                false => chain.check_end().map(|()| false),
            },
            Leaves::AsTheyLie(records) => next_as_it_lies(records, leaf),
        }
    }
}

fn next_as_it_lies(records: &mut Records<'_>, leaf: &mut Leaf) -> Result<bool, ImportError> {
    while let Some(record) = records.next_record()? {
        match PageKey::of(record.key) {
            PageKey::Leaf(id) => return leaf.fill(id, record.offset, record.value).map(|_| true),
            PageKey::Inner => {}
            PageKey::Unknown => return Err(ImportError::NoPage { offset: record.offset }),
        }
    }
    Ok(false)
}

impl PageKey {
    fn of(key: &[u8]) -> PageKey {
        match key.strip_prefix(b"#") {
            Some(rest) => id(rest).map_or(PageKey::Unknown, |_| PageKey::Inner),
            None => id(key).map_or(PageKey::Unknown, PageKey::Leaf),
        }
    }
}

/// The number of some hexadecimal digits, at least 1, as the library writes them.
fn id(digits: &[u8]) -> Option<u64> {
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let text = str::from_utf8(digits).ok().filter(|_| digits.iter().all(is_digit))?;
    u64::from_str_radix(text, 16).ok().filter(|_| !text.starts_with('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_name_pages() {
        let check = |key: &[u8], expected| assert_eq!(PageKey::of(key), expected);
        check(b"1", PageKey::Leaf(1));
        check(b"1f", PageKey::Leaf(31));
        check(b"ffffffffffffffff", PageKey::Leaf(u64::MAX));
        check(b"#1f", PageKey::Inner);
        for key in [&b""[..], b"0", b"01", b"1F", b"+1", b"#", b"##1", b"1g", b"\xff"] {
            check(key, PageKey::Unknown);
        }
        check(b"10000000000000000", PageKey::Unknown);
    }
}
