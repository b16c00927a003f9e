//! What readers and the writer share: the nodes, and how far changes are applied.

use crate::child::Child;
use crate::inner::Inner;
use crate::leaf::Leaf;
use crate::page::Place;
use crate::pages::Pages;
use crate::snapshots::Snapshots;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use todana_engine::Error;
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
    /// Where leaves are that are not in memory; none of a store that has no files.
    pub(crate) pages: Option<Pages>,
}

/// What a way down ends at.
#[derive(Debug, Clone, Copy)]
pub(crate) enum End<'a> {
    /// A leaf.
    Leaf(&'a Leaf),
    /// A leaf that has to be read first.
    Page(Place),
    /// It is not kept any more: the reader has to begin anew with a later sequence, unless it has registered it.
    Gone,
}

/// A way down.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way<'a> {
    pub(crate) end: End<'a>,
    /// The node above it, and which of its children it is.
    pub(crate) above: Option<(&'a Inner, usize)>,
    /// The innermost node that has a separator on the side that was asked for, and which.
    bound: Option<(&'a Inner, usize)>,
}

impl Way<'_> {
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

    /// The leaf of a key as of a sequence.
    #[inline]
    pub(crate) fn leaf<'a>(&'a self, pin: &'a Pin, key: &[u8], sequence: u64) -> End<'a> {
        let mut child = Child::of(self.root.load(Ordering::Acquire));
        loop {
            match child {
                Child::Inner(number) => {
                    let Some(inner) = self.inners.get(pin, number) else { return End::Gone };
                    child = match inner.made > sequence {
                        true => inner.before(),
                        false => inner.child(inner.find(key)),
                    };
                }
                Child::Leaf(number) => {
                    self.leaves.prefetch(number);
                    let Some(leaf) = self.leaves.get(pin, number) else { return End::Gone };
                    if leaf.made <= sequence {
                        return End::Leaf(leaf);
                    }
                    child = leaf.before();
                }
                Child::Page(place) => return End::Page(place),
                Child::None => return End::Gone,
            }
        }
    }

    /// The way that `choose` leads by the place of a child, as of a sequence, with its bound on one side:
    /// `beyond` is 1 for what is behind, 0 for what is before.
    pub(crate) fn way<'a>(
        &'a self,
        pin: &'a Pin,
        sequence: u64,
        choose: impl Fn(&Inner) -> usize,
        beyond: usize,
    ) -> Way<'a> {
        let mut child = Child::of(self.root.load(Ordering::Acquire));
        let (mut bound, mut above) = (None, None);
        let end = loop {
            match child {
                Child::Inner(number) => {
                    let Some(inner) = self.inners.get(pin, number) else { break End::Gone };
                    if inner.made > sequence {
                        child = inner.before();
                        continue;
                    }
                    let at = choose(inner);
                    above = Some((inner, at));
                    if (1..inner.len()).contains(&(at + beyond)) {
                        bound = Some((inner, at + beyond));
                    }
                    child = inner.child(at);
                }
                Child::Leaf(number) => {
                    let Some(leaf) = self.leaves.get(pin, number) else { break End::Gone };
                    if leaf.made <= sequence {
                        break End::Leaf(leaf);
                    }
                    child = leaf.before();
                }
                Child::Page(place) => break End::Page(place),
                Child::None => break End::Gone,
            }
        };
        Way { end, above, bound }
    }

    /// Reads a leaf from its page.
    ///
    /// # Errors
    /// [`Error::Corrupt`] with the place.
    pub(crate) fn read(&self, place: Place) -> Result<Leaf, Error> {
        match &self.pages {
            Some(pages) => pages.read(place),
            None => Err(Error::Corrupt("a store in memory has no pages".to_owned())),
        }
    }
}
