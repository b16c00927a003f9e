//! What readers and the writer share: the nodes, and how far changes are applied.

use crate::child::Child;
use crate::delta::tag_of;
use crate::inner::Inner;
use crate::leaf::Leaf;
use crate::snapshots::Snapshots;
use crate::stored::Stored;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use todana_io::Slab;
use todana_io::epoch::Pin;

/// See the module.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) inners: Arc<Slab<Inner>>,
    pub(crate) leaves: Arc<Slab<Leaf>>,
    pub(crate) root: AtomicU64,
    /// Every change up to this sequence can be found.
    pub(crate) applied: AtomicU64,
    pub(crate) snapshots: Snapshots,
}

/// What a way down ended at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reached<'a> {
    pub(crate) leaf: &'a Leaf,
    /// The innermost node that has a separator on the side that was asked for, and which.
    bound: Option<(&'a Inner, usize)>,
}

impl Reached<'_> {
    /// The separator that ends the leaf on the side that was asked for; `None` where nothing is beyond.
    pub(crate) fn bound(&self) -> Option<Vec<u8>> {
        self.bound.map(|(inner, at)| inner.separator(at))
    }
}

impl Shared {
    /// How far changes are applied.
    #[inline]
    pub(crate) fn applied(&self) -> u64 {
        self.applied.load(Ordering::Acquire)
    }

    /// The leaf of a key as of a sequence; `None` when it is not kept any more: the reader has to begin anew
    /// with a later one, unless it has registered it.
    #[inline]
    pub(crate) fn leaf<'a>(&'a self, pin: &'a Pin, key: &[u8], sequence: u64) -> Option<&'a Leaf> {
        let mut child = Child::of(self.root.load(Ordering::Acquire));
        loop {
            match child {
                Child::Inner(number) => {
                    let inner = self.inners.get(pin, number)?;
                    child = match inner.made > sequence {
                        true => inner.before(),
                        false => inner.child(inner.find(key)),
                    };
                }
                Child::Leaf(number) => {
                    let leaf = self.leaves.get(pin, number)?;
                    if leaf.made <= sequence {
                        return Some(leaf);
                    }
                    child = leaf.before();
                }
                Child::None => return None,
            }
        }
    }

    /// The leaf that `choose` leads to by the place of a child, as of a sequence, and its bound on one side:
    /// `beyond` is 1 for what is behind, 0 for what is before.
    pub(crate) fn reach<'a>(
        &'a self,
        pin: &'a Pin,
        sequence: u64,
        choose: impl Fn(&Inner) -> usize,
        beyond: usize,
    ) -> Option<Reached<'a>> {
        let mut child = Child::of(self.root.load(Ordering::Acquire));
        let mut bound = None;
        loop {
            match child {
                Child::Inner(number) => {
                    let inner = self.inners.get(pin, number)?;
                    if inner.made > sequence {
                        child = inner.before();
                        continue;
                    }
                    let at = choose(inner);
                    if (1..inner.len()).contains(&(at + beyond)) {
                        bound = Some((inner, at + beyond));
                    }
                    child = inner.child(at);
                }
                Child::Leaf(number) => {
                    let leaf = self.leaves.get(pin, number)?;
                    if leaf.made <= sequence {
                        return Some(Reached { leaf, bound });
                    }
                    child = leaf.before();
                }
                Child::None => return None,
            }
        }
    }

    /// A key's record as it stands.
    #[inline]
    pub(crate) fn get<'a>(&'a self, pin: &'a Pin, key: &[u8]) -> Option<Stored<'a>> {
        let tag = tag_of(key);
        loop {
            let sequence = self.applied();
            if let Some(leaf) = self.leaf(pin, key, sequence) {
                return leaf.find(key, tag, sequence);
            }
        }
    }
}
