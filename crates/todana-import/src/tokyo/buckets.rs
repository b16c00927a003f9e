//! Records by their key, through the buckets.
//!
//! The first hash of a key names a bucket, which leads to the root of a tree of records. On the left of
//! a record are those whose second hash ([`record::key_hash`]) is larger, or the same with a key that
//! is longer, or as long and larger as bytes. Places are in units of the alignment; 0 is none.

use super::blocks::Blocks;
use super::header::Header;
use super::record::{self, Block, Head};
use super::start::HEADER_LEN;
use super::window::{NUMBER_LEN, Window};
use crate::error::{Damage, ImportError};
use std::cmp::Ordering;
use todana_io::DiskFile;
use todana_record::Reader;

/// Records that are looked at for one key. A tree that is deeper is damaged, perhaps a circle; the
/// library would need as many reads for each key.
const DEPTH_MAX: u32 = 1 << 16;

/// The longest form of a bucket, in bytes.
const BUCKET_LEN_MAX: usize = 8;

/// The buckets of a file.
#[derive(Debug)]
pub(super) struct Buckets<'f> {
    header: &'f Header,
    file_len: u64,
    window: Window<'f>,
}

impl<'f> Buckets<'f> {
    pub(super) const fn new(
        file: &'f dyn DiskFile,
        file_len: u64,
        header: &'f Header,
    ) -> Buckets<'f> {
        let window = Window::new(file, header.first_record, NUMBER_LEN);
        Buckets { header, file_len, window }
    }

    /// Where the record with this key begins, and its head.
    pub(super) fn find(
        &mut self,
        blocks: &mut Blocks<'f>,
        key: &[u8],
    ) -> Result<Option<(u64, Head)>, ImportError> {
        let (mut from, mut link) = self.root(key)?;
        for _ in 0..DEPTH_MAX {
            let Some(offset) = self.place(from, link)? else { return Ok(None) };
            let head = match blocks.at(offset)? {
                (Block::Record(head), _) => head,
                (Block::Free(_), _) => {
                    return Err(ImportError::Record { offset, damage: Damage::FreeInTree });
                }
            };
            link = match order(blocks, key, offset, &head)? {
                Ordering::Equal => return Ok(Some((offset, head))),
                Ordering::Greater => head.left,
                Ordering::Less => head.right,
            };
            from = offset;
        }
        Err(ImportError::Record { offset: from, damage: Damage::TooDeep(DEPTH_MAX) })
    }

    /// Where the key's bucket is, and what it has.
    fn root(&mut self, key: &[u8]) -> Result<(u64, u64), ImportError> {
        let (header, file_len) = (self.header, self.file_len);
        // The header has been checked: there is a bucket, and all of them lie before the records.
        let index = bucket_hash(key).checked_rem(header.bucket_count).unwrap_or(0);
        let offset = HEADER_LEN as u64 + index * header.offset_len();
        let bytes = self.window.get(offset, BUCKET_LEN_MAX);
        let bytes = bytes.map_err(|source| ImportError::Io { offset, source })?;
        let link = header.byte_order.offset(&mut Reader::new(bytes), header.offset_len() == 8);
        let link = link.ok_or(ImportError::Truncated { offset, what: "bucket", file_len })?;
        Ok((offset, link))
    }

    /// Where the record begins that a link at `from` leads to; `None` for no link.
    fn place(&self, from: u64, link: u64) -> Result<Option<u64>, ImportError> {
        if link == 0 {
            return Ok(None);
        }
        let offset = link.saturating_mul(self.header.alignment());
        if offset < self.header.first_record || offset >= self.header.file_size {
            return Err(ImportError::Record { offset: from, damage: Damage::Link(offset) });
        }
        Ok(Some(offset))
    }
}

/// How the key compares with that of the record at `offset`, in the order of a bucket's tree.
fn order(
    blocks: &mut Blocks<'_>,
    key: &[u8],
    offset: u64,
    head: &Head,
) -> Result<Ordering, ImportError> {
    let by_hash = record::key_hash(key).cmp(&head.hash);
    let by_len = (key.len() as u64).cmp(&u64::from(head.key_len));
    match by_hash.then(by_len) {
        // Only a key of the same length is read.
        Ordering::Equal => Ok(key.cmp(blocks.key(offset, head)?)),
        other => Ok(other),
    }
}

/// The hash that, divided by the number of buckets, leaves the index of a key's bucket.
fn bucket_hash(key: &[u8]) -> u64 {
    let add = |hash: u64, byte: &u8| hash.wrapping_mul(37).wrapping_add(u64::from(*byte));
    key.iter().fold(19_780_211, add)
}
