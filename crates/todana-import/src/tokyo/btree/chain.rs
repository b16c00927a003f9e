//! The chain of leaves, from the one with the first keys to the one with the last.

use super::header::TreeHeader;
use super::leaf::{Leaf, Links};
use crate::error::{ChainFault, ImportError};
use crate::tokyo::blocks::Blocks;
use crate::tokyo::buckets::Buckets;
use crate::tokyo::hash::HashFile;
use crate::tokyo::window::PAGE_LEN;

/// Finds one leaf after the other. Each has to name the one before it: the one before a leaf that is
/// met twice would be another than the first time.
#[derive(Debug)]
pub(super) struct Chain<'f> {
    blocks: Blocks<'f>,
    buckets: Buckets<'f>,
    last: u64,
    /// The leaf that was read last; 0 before the first.
    previous: u64,
    /// The leaf that comes now; `None` after the last.
    next: Option<u64>,
}

impl<'f> Chain<'f> {
    pub(super) fn new(pages: &'f HashFile, tree: &TreeHeader) -> Chain<'f> {
        let HashFile { file, file_len, header } = pages;
        Chain {
            blocks: Blocks::new(file.as_ref(), *file_len, header, PAGE_LEN),
            buckets: Buckets::new(file.as_ref(), *file_len, header),
            last: tree.last_leaf,
            previous: 0,
            next: Some(tree.first_leaf),
        }
    }

    pub(super) const fn set_inflated_len_max(&mut self, bytes: usize) {
        self.blocks.set_inflated_len_max(bytes);
    }

    /// Fills `leaf` with the next one; `false` after the last. After an error the next call tries the
    /// same leaf again.
    pub(super) fn next(&mut self, leaf: &mut Leaf) -> Result<bool, ImportError> {
        let Some(id) = self.next else { return Ok(false) };
        let links = self.load(id, leaf).map_err(|fault| match fault {
            // That may well pass.
            ChainFault::Unreadable(error @ ImportError::Io { .. }) => error,
            fault => ImportError::Chain { id, fault: Box::new(fault) },
        });
        let links = links.inspect_err(|_| *leaf = Leaf::default())?;
        self.previous = id;
        self.next = Some(links.next).filter(|next| *next != 0);
        Ok(true)
    }

    fn load(&mut self, id: u64, leaf: &mut Leaf) -> Result<Links, ChainFault> {
        let key = format!("{id:x}");
        let found = self.buckets.find(&mut self.blocks, key.as_bytes())?;
        let (offset, head) = found.ok_or(ChainFault::Missing)?;
        let (_, page) = self.blocks.open(offset, &head)?;
        let links = leaf.fill(id, offset, page)?;
        let (found, expected) = (links.previous, self.previous);
        if found != expected {
            return Err(ChainFault::Previous { found, expected });
        }
        Ok(links)
    }

    /// Whether the chain that was read to its end is all of it.
    pub(super) fn check_end(&self) -> Result<(), ImportError> {
        let (id, last) = (self.previous, self.last);
        if id != last {
            return Err(ImportError::Chain { id, fault: Box::new(ChainFault::End { last }) });
        }
        Ok(())
    }
}
