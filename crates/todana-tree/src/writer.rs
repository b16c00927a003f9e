//! The one who changes the tree: the way down, changes in leaves, leaves and nodes made anew.

use crate::block::{Block, Builder};
use crate::child::Child;
use crate::delta::{self, Seat, tag_of};
use crate::inner::{Branch, CHILDREN_MAX, Inner, separator};
use crate::leaf::{LEAF_LEN, Leaf};
use crate::merge;
use crate::pages::Pages;
use crate::shared::Shared;
use crate::snapshots::Snapshots;
use crate::stored::Stored;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use todana_engine::Error;
use todana_io::epoch::Pin;
use todana_io::{Slab, SlabWriter};
use todana_log::LogWriter;
use todana_record::Meta;

/// A node on the way down, and the place of the child that it went on to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    pub(crate) inner: u32,
    pub(crate) at: usize,
}

/// From which key on, and up to which, a way leads to the same leaf.
#[derive(Debug)]
struct Finger {
    low: Option<Vec<u8>>,
    high: Option<Vec<u8>>,
}

impl Finger {
    fn holds(&self, key: &[u8]) -> bool {
        self.low.as_deref().is_none_or(|low| low <= key)
            && self.high.as_deref().is_none_or(|high| key < high)
    }
}

/// What was replaced and may be needed by a snapshot.
#[derive(Debug)]
struct Kept {
    /// Since when it is not the present.
    made: u64,
    /// The node that leads to it.
    holder: Child,
    gone: Child,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) inners: SlabWriter<Inner>,
    pub(crate) leaves: SlabWriter<Leaf>,
    pub(crate) builder: Builder,
    pub(crate) path: Vec<Step>,
    /// Keys for which the way is still the same as the last one.
    finger: Option<Finger>,
    /// In the order of their sequences.
    kept: VecDeque<Kept>,
    /// Whether a snapshot may need what is replaced now.
    is_keeping: bool,
    /// What was replaced just now, and the node that leads to it.
    gone: Vec<(Child, Child)>,
    /// Bytes of leaves, and of other nodes.
    pub(crate) leaf_bytes: u64,
    inner_bytes: u64,
    /// Bytes of leaves in memory above which leaves are let go of that are safe on disk; 0 for no bound.
    pub(crate) budget: u64,
    /// Where the next leaf to be let go of is looked for.
    pub(crate) hand: Vec<u8>,
    /// Where changes are logged; none in a store without files, or read only.
    pub(crate) log: Option<LogWriter>,
    /// Sequence of the last change, applied or not.
    pub(crate) last: u64,
    pub(crate) records: u64,
    pub(crate) stored: u64,
}

/// The leaf that a key belongs to, and what it has of the key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spot<'a> {
    pub(crate) number: u32,
    pub(crate) leaf: &'a Leaf,
    /// Where its block has the key or would have it.
    pub(crate) seat: Seat,
    /// The key's record now.
    pub(crate) record: Option<Stored<'a>>,
}

/// What a key has from a sequence on: metadata and value, or nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct New<'n> {
    pub(crate) key: &'n [u8],
    pub(crate) record: Option<(&'n Meta, [&'n [u8]; 2])>,
    pub(crate) sequence: u64,
}

impl<'a> Spot<'a> {
    /// What the present leaf that a key's way has led to has of the key.
    #[inline]
    pub(crate) fn of(shared: &'a Shared, pin: &'a Pin, child: Child, key: &[u8]) -> Spot<'a> {
        if let Child::Leaf(number) = child
            && let Some(leaf) = shared.leaves.get(pin, number)
        {
            let (seat, record) = leaf.seek(key, tag_of(key));
            return Spot { number, leaf, seat, record };
        }
        unreachable!("the present nodes lead to leaves")
    }
}

impl Writer {
    /// An empty tree as of a sequence.
    pub(crate) fn new(pages: Option<Pages>, sequence: u64) -> (Shared, Writer) {
        let inners = Slab::new();
        let mut leaves = Slab::new();
        let root = Leaf::new(Block::empty(), sequence, Child::None);
        let leaf_bytes = root.len() as u64;
        let root = leaves.insert(root);
        let shared = Shared {
            inners: inners.slab().clone(),
            leaves: leaves.slab().clone(),
            root: AtomicU64::new(Child::Leaf(root).word()),
            applied: AtomicU64::new(sequence),
            snapshots: Snapshots::new(),
            pages,
        };
        let writer = Writer {
            inners,
            leaves,
            builder: Builder::default(),
            path: Vec::new(),
            finger: None,
            kept: VecDeque::new(),
            is_keeping: false,
            gone: Vec::new(),
            leaf_bytes,
            inner_bytes: 0,
            budget: 0,
            hand: Vec::new(),
            log: None,
            last: sequence,
            records: 0,
            stored: 0,
        };
        (shared, writer)
    }

    /// The present leaf of a key, read from its page if need be. The way to it is remembered until the next call.
    ///
    /// # Errors
    /// [`Error::Corrupt`].
    pub(crate) fn seek<'a>(
        &mut self,
        shared: &'a Shared,
        pin: &'a Pin,
        key: &[u8],
    ) -> Result<Spot<'a>, Error> {
        loop {
            match self.go(shared, pin, key) {
                Child::Page(place) => {
                    let leaf = shared.read(place)?;
                    self.put_leaf(shared, leaf);
                }
                child => return Ok(Spot::of(shared, pin, child, key)),
            }
        }
    }

    /// Goes down to a key's leaf, in memory or not.
    pub(crate) fn go(&mut self, shared: &Shared, pin: &Pin, key: &[u8]) -> Child {
        let last = self.path.last().copied();
        if let Some(step) = last
            && self.finger.as_ref().is_some_and(|finger| finger.holds(key))
            && let Some(inner) = shared.inners.get(pin, step.inner)
        {
            return inner.child(step.at);
        }
        self.path.clear();
        self.finger = None;
        let mut child = Child::of(shared.root.load(Ordering::Relaxed));
        while let Child::Inner(number) = child {
            let Some(inner) = shared.inners.get(pin, number) else { break };
            let at = inner.find(key);
            self.path.push(Step { inner: number, at });
            child = inner.child(at);
        }
        // Who comes to the same leaf twice may come again.
        if let (Some(last), Some(step)) = (last, self.path.last())
            && (last.inner, last.at) == (step.inner, step.at)
        {
            let (low, high) = (self.low_separator(), self.high_separator(step.at + 1));
            self.finger = Some(Finger { low, high });
        }
        child
    }

    /// Puts a leaf that was read in the place of its page, where the way went last.
    pub(crate) fn put_leaf(&mut self, shared: &Shared, leaf: Leaf) {
        self.leaf_bytes += leaf.len() as u64;
        let new = Child::Leaf(self.leaves.insert(leaf));
        self.put_in_place(shared, self.path.len(), new);
    }

    /// Makes a change of a key in the leaf that was sought last for it. The caller says when readers may
    /// see it.
    ///
    /// # Errors
    /// [`Error::Corrupt`]; nothing has changed then.
    pub(crate) fn change<'a>(
        &mut self,
        shared: &'a Shared,
        pin: &'a Pin,
        mut spot: Spot<'a>,
        new: &New<'_>,
    ) -> Result<(), Error> {
        let New { key, record, sequence } = *new;
        let was_there = spot.record.is_some();
        let len = record.map_or_else(
            || delta::len_max(key, &Meta::default(), 0),
            |(meta, value)| delta::len_max(key, meta, value[0].len() + value[1].len()),
        );
        // More than once, when nothing is left of a leaf: the key belongs to a neighbour then.
        while spot.leaf.delta().is_some_and(|delta| !delta.has_room(len)) {
            self.renew(shared, pin, spot);
            spot = self.seek(shared, pin, key)?;
        }
        if spot.leaf.delta().is_none() {
            let before = spot.leaf.len();
            spot.leaf.delta_for(len);
            self.leaf_bytes += (spot.leaf.len() - before) as u64;
        }
        let is_there = spot.leaf.delta_for(len).append(sequence, key, record, spot.seat);
        assert!(is_there, "room was made for a change");
        self.last = sequence;
        self.stored += u64::from(record.is_some());
        match (was_there, record.is_some()) {
            (false, true) => self.count(1),
            (true, false) => self.count(-1),
            _ => {}
        }
        Ok(())
    }

    /// The sequence that the next change has; the log may have to make room for it first.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.log.as_ref().map_or(self.last + 1, LogWriter::next_sequence)
    }

    /// Adds to the counts on the way to the leaf.
    pub(crate) fn count(&mut self, more: i64) {
        self.records = self.records.wrapping_add_signed(more);
        for step in &self.path {
            if let Some(inner) = self.inners.get(step.inner) {
                inner.add_count(step.at, more);
            }
        }
    }

    /// Makes a leaf anew with its changes; the way to it has to be the last one sought.
    fn renew(&mut self, shared: &Shared, pin: &Pin, place: Spot<'_>) {
        self.begin(shared);
        self.renew_leaf(shared, pin, place);
        self.end();
    }

    fn renew_leaf(&mut self, shared: &Shared, pin: &Pin, place: Spot<'_>) {
        let leaf = place.leaf;
        let sorted = leaf.delta().map(|delta| delta.sorted(delta.count()));
        let Some(sorted) = sorted else { return };
        let at_end = self.path.iter().all(|step| {
            self.inners.get(step.inner).is_some_and(|inner| step.at + 1 == inner.len())
        });
        let blocks = merge::merge(&leaf.block, &sorted, at_end, &mut self.builder);
        let old = Child::Leaf(place.number);
        match <[Block; 1]>::try_from(blocks) {
            Ok([block]) if block.len() >= LEAF_LEN / 4 || self.path.is_empty() => {
                self.replace_leaf(shared, old, block);
            }
            Ok([block]) => self.join(shared, pin, old, block),
            Err(blocks) if blocks.is_empty() && self.path.is_empty() => {
                self.replace_leaf(shared, old, Block::empty());
            }
            Err(blocks) => {
                let branches = self.branches(blocks);
                self.is_gone(Child::None, old);
                self.replace(shared, self.path.len(), 0..1, branches);
            }
        }
    }

    /// Leaves of blocks, which stand behind each other.
    fn branches(&mut self, blocks: Vec<Block>) -> Vec<Branch> {
        let mut last: Option<Vec<u8>> = None;
        let mut branches = Vec::with_capacity(blocks.len());
        for block in blocks {
            let separator = last.map_or_else(Vec::new, |last| separator(&last, &block.key(0)));
            let count = block.count() as u64;
            last = Some(block.key(block.count().saturating_sub(1)));
            let child = self.insert_leaf(block, Child::None);
            branches.push(Branch { separator, child, count });
        }
        branches
    }

    /// Begins to replace nodes: decides whether somebody may need what is there now.
    pub(crate) fn begin(&mut self, shared: &Shared) {
        self.let_go(shared);
        let made = self.last;
        self.is_keeping =
            made > shared.applied.load(Ordering::Relaxed) || shared.snapshots.oldest() < made;
    }

    /// Ends it. Nothing but what is kept leads to what was replaced, so it can be retired.
    pub(crate) fn end(&mut self) {
        for (holder, gone) in std::mem::take(&mut self.gone) {
            match self.is_keeping {
                true => self.kept.push_back(Kept { made: self.last, holder, gone }),
                false => self.retire(gone),
            }
        }
    }

    /// What a node that is made now says was before it.
    pub(crate) fn before(&self, old: Child) -> Child {
        if self.is_keeping { old } else { Child::None }
    }

    fn insert_leaf(&mut self, block: Block, before: Child) -> Child {
        let leaf = Leaf::new(block, self.last, before);
        self.leaf_bytes += leaf.len() as u64;
        Child::Leaf(self.leaves.insert(leaf))
    }

    pub(crate) fn insert_inner(&mut self, branches: &[Branch], before: Child) -> Child {
        let inner = Inner::new(branches, &mut self.builder, self.last, before);
        self.inner_bytes += inner.byte_len() as u64;
        Child::Inner(self.inners.insert(inner))
    }

    pub(crate) fn replace_leaf(&mut self, shared: &Shared, old: Child, block: Block) {
        let new = self.insert_leaf(block, self.before(old));
        self.put_in_place(shared, self.path.len(), new);
        self.is_gone(new, old);
    }

    /// Makes a node the child that the way leads to at a depth.
    pub(crate) fn put_in_place(&self, shared: &Shared, depth: usize, new: Child) {
        match depth.checked_sub(1).and_then(|depth| self.path.get(depth)) {
            None => shared.root.store(new.word(), Ordering::Release),
            Some(step) => {
                if let Some(inner) = self.inners.get(step.inner) {
                    inner.replace(step.at, new);
                }
            }
        }
    }

    /// Joins a small leaf with a neighbour, if both are one leaf's worth.
    fn join(&mut self, shared: &Shared, pin: &Pin, old: Child, block: Block) {
        let Some((step, inner)) = self.path.last().and_then(|step| {
            let inner = shared.inners.get(pin, step.inner)?;
            Some((*step, inner))
        }) else {
            return self.replace_leaf(shared, old, block);
        };
        for neighbour in [step.at + 1, step.at.wrapping_sub(1)] {
            let Child::Leaf(number) = inner.child(neighbour) else { continue };
            let Some(other) = shared.leaves.get(pin, number) else { continue };
            if other.block.len() > LEAF_LEN / 2 {
                continue;
            }
            let changes = other.delta().map(|delta| delta.sorted(delta.count()));
            let mut blocks = match changes {
                Some(changes) => merge::merge(&other.block, &changes, false, &mut self.builder),
                None => vec![other.block.clone()],
            };
            let other_block = blocks.pop().unwrap_or_else(Block::empty);
            if !blocks.is_empty() || other_block.len() > LEAF_LEN / 2 {
                continue;
            }
            let (left, right) = match neighbour > step.at {
                true => (&block, &other_block),
                false => (&other_block, &block),
            };
            let joined = merge::join(left, right, &mut self.builder);
            let branches = self.branches(vec![joined]);
            self.is_gone(Child::None, old);
            self.is_gone(Child::None, Child::Leaf(number));
            // From the left one of both on.
            let back = usize::from(neighbour < step.at);
            if let Some(last) = self.path.last_mut() {
                last.at -= back;
            }
            return self.replace(shared, self.path.len(), 0..2, branches);
        }
        self.replace_leaf(shared, old, block);
    }

    /// Replaces the child that the way leads to at a depth, and those behind it, `range` of them, by others:
    /// the node above is made anew.
    pub(crate) fn replace(
        &mut self,
        shared: &Shared,
        depth: usize,
        range: Range<usize>,
        mut branches: Vec<Branch>,
    ) {
        self.finger = None;
        let Some(above) = depth.checked_sub(1) else {
            return self.replace_root(shared, branches);
        };
        let Some(step) = self.path.get(above).copied() else { return };
        let Some(inner) = self.inners.get(step.inner) else { return };
        let at_end = step.at + range.len() == inner.len();
        let mut all = inner.branches();
        if let (Some(first), Some(old)) = (branches.first_mut(), all.get(step.at)) {
            first.separator.clone_from(&old.separator);
        }
        all.splice(step.at..step.at + range.len(), branches);
        let old = Child::Inner(step.inner);
        if all.is_empty() {
            self.is_gone(Child::None, old);
            return self.replace(shared, above, 0..1, Vec::new());
        }
        if all.len() <= CHILDREN_MAX {
            let new = self.insert_inner(&all, self.before(old));
            self.put_in_place(shared, above, new);
            return self.is_gone(new, old);
        }
        // What comes in order leaves full nodes.
        let left_len = if at_end { CHILDREN_MAX * 7 / 8 } else { all.len() / 2 };
        let right = all.split_off(left_len);
        let nodes = [all, right].map(|branches| {
            let separator =
                branches.first().map(|branch| branch.separator.clone()).unwrap_or_default();
            let count = branches.iter().map(|branch| branch.count).sum();
            Branch { separator, child: self.insert_inner(&branches, Child::None), count }
        });
        self.is_gone(Child::None, old);
        self.replace(shared, above, 0..1, nodes.into());
    }

    /// Puts branches in the place of everything.
    fn replace_root(&mut self, shared: &Shared, branches: Vec<Branch>) {
        self.finger = None;
        let old = Child::of(shared.root.load(Ordering::Relaxed));
        let before = self.before(old);
        let new = match &branches[..] {
            [] => self.insert_leaf(Block::empty(), before),
            branches => self.insert_inner(branches, before),
        };
        shared.root.store(new.word(), Ordering::Release);
        // That the old root is gone was said by whoever has replaced it.
        self.is_gone(new, Child::None);
    }

    /// Says that nobody will be led to a node any more when this is over, but by its `holder`.
    pub(crate) fn is_gone(&mut self, holder: Child, gone: Child) {
        self.gone.push((holder, gone));
    }

    pub(crate) fn retire(&mut self, child: Child) {
        match child {
            Child::Leaf(number) => {
                self.leaf_bytes -= self.leaves.get(number).map_or(0, Leaf::len) as u64;
                self.leaves.retire(number);
            }
            Child::Inner(number) => {
                self.inner_bytes -= self.inners.get(number).map_or(0, Inner::byte_len) as u64;
                self.inners.retire(number);
            }
            Child::Page(_) | Child::None => {}
        }
    }

    /// Lets go of what no snapshot needs any more.
    pub(crate) fn let_go(&mut self, shared: &Shared) {
        if self.kept.is_empty() {
            return;
        }
        let needed = shared.snapshots.oldest().min(shared.applied.load(Ordering::Relaxed));
        while let Some(kept) = self.kept.pop_front_if(|kept| kept.made <= needed) {
            let before = match kept.holder {
                Child::Leaf(number) => self.leaves.get(number).map(|leaf| &leaf.before),
                Child::Inner(number) => self.inners.get(number).map(|inner| &inner.before),
                Child::Page(_) | Child::None => None,
            };
            if let Some(before) = before {
                before.store(Child::None.word(), Ordering::Release);
            }
            self.retire(kept.gone);
        }
    }

    /// Nodes that are kept for snapshots alone.
    #[cfg(test)]
    pub(crate) fn kept_len(&self) -> usize {
        self.kept.len()
    }

    /// Removes everything.
    pub(crate) fn clear(&mut self, shared: &Shared, sequence: u64) {
        self.last = sequence;
        self.begin(shared);
        let mut nodes = vec![Child::of(shared.root.load(Ordering::Relaxed))];
        self.path.clear();
        self.replace_root(shared, Vec::new());
        while let Some(node) = nodes.pop() {
            if let Child::Inner(number) = node
                && let Some(inner) = self.inners.get(number)
            {
                nodes.extend((0..inner.len()).map(|at| inner.child(at)));
            }
            self.is_gone(Child::None, node);
        }
        self.end();
        self.records = 0;
    }

    /// Bytes of nodes that are there now or kept for snapshots.
    pub(crate) fn byte_len(&self) -> u64 {
        self.leaf_bytes + self.inner_bytes
    }
}
