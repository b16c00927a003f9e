//! An inner node: separators, and a child before, between and behind them.

use crate::block::{Block, Builder, common_len};
use crate::child::Child;
use std::sync::atomic::{AtomicU64, Ordering};

/// Most children of a node.
pub(crate) const CHILDREN_MAX: usize = 256;

/// See the module. Its separators never change, its children do, one word at a time.
#[derive(Debug)]
pub(crate) struct Inner {
    separators: Block,
    children: Box<[AtomicU64]>,
    /// Records below each child.
    counts: Box<[AtomicU64]>,
    /// As in [`Leaf`](crate::leaf::Leaf).
    pub(crate) made: u64,
    /// As in [`Leaf`](crate::leaf::Leaf).
    pub(crate) before: AtomicU64,
}

/// A child with its place in the order.
#[derive(Debug, Clone)]
pub(crate) struct Branch {
    /// No greater than its keys and greater than those of the child before it. Of a node's first child it
    /// says nothing.
    pub(crate) separator: Vec<u8>,
    pub(crate) child: Child,
    /// Records below it.
    pub(crate) count: u64,
}

impl Inner {
    /// A node of these branches.
    pub(crate) fn new(
        branches: &[Branch],
        builder: &mut Builder,
        made: u64,
        before: Child,
    ) -> Inner {
        let separators = || branches.iter().skip(1).map(|branch| &branch.separator[..]);
        let first = separators().next().unwrap_or_default();
        let prefix_len = separators().next_back().map_or(0, |last| common_len(first, last));
        for separator in separators() {
            builder.push(separator.get(prefix_len..).unwrap_or_default(), &[], &[]);
        }
        let words = |word: fn(&Branch) -> u64| {
            branches.iter().map(|branch| AtomicU64::new(word(branch))).collect()
        };
        Inner {
            separators: builder.finish(first.get(..prefix_len).unwrap_or_default()),
            children: words(|branch| branch.child.word()),
            counts: words(|branch| branch.count),
            made,
            before: AtomicU64::new(before.word()),
        }
    }

    /// Its branches as they stand.
    pub(crate) fn branches(&self) -> Vec<Branch> {
        let branch = |at: usize| Branch {
            separator: self.separator(at),
            child: self.child(at),
            count: self.count(at),
        };
        (0..self.len()).map(branch).collect()
    }

    /// What stands before a child; nothing before the first.
    pub(crate) fn separator(&self, at: usize) -> Vec<u8> {
        at.checked_sub(1).map(|at| self.separators.key(at)).unwrap_or_default()
    }

    /// Number of children.
    pub(crate) fn len(&self) -> usize {
        self.children.len()
    }

    /// The child that a key belongs to.
    #[inline]
    pub(crate) fn find(&self, key: &[u8]) -> usize {
        match self.separators.find(key) {
            Ok(at) => at + 1,
            Err(at) => at,
        }
    }

    /// The child that the keys before a key belong to.
    #[inline]
    pub(crate) fn find_before(&self, key: &[u8]) -> usize {
        self.separators.find(key).unwrap_or_else(|at| at)
    }

    /// A child by its place.
    #[inline]
    pub(crate) fn child(&self, at: usize) -> Child {
        self.children.get(at).map_or(Child::None, |word| Child::of(word.load(Ordering::Acquire)))
    }

    /// Puts another in its place, of the same keys.
    pub(crate) fn replace(&self, at: usize, child: Child) {
        if let Some(word) = self.children.get(at) {
            word.store(child.word(), Ordering::Release);
        }
    }

    /// Records below a child.
    #[inline]
    pub(crate) fn count(&self, at: usize) -> u64 {
        self.counts.get(at).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// Records below its first children.
    pub(crate) fn count_before(&self, at: usize) -> u64 {
        self.counts.iter().take(at).map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// Adds to the records below a child. There is one writer.
    #[inline]
    pub(crate) fn add_count(&self, at: usize, more: i64) {
        if let Some(count) = self.counts.get(at) {
            let sum = count.load(Ordering::Relaxed).wrapping_add_signed(more);
            count.store(sum, Ordering::Relaxed);
        }
    }

    /// The node that this one replaced, if it is kept.
    pub(crate) fn before(&self) -> Child {
        Child::of(self.before.load(Ordering::Acquire))
    }

    /// Bytes that it takes.
    pub(crate) fn byte_len(&self) -> usize {
        size_of::<Inner>() + self.separators.len() + self.children.len() * 16
    }
}

/// The shortest bytes that are greater than one key and no greater than the next.
pub(crate) fn separator(before: &[u8], next: &[u8]) -> Vec<u8> {
    next.get(..=common_len(before, next)).unwrap_or(next).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_lead_to_their_children() {
        let branches: Vec<Branch> = (0..100_u32)
            .map(|n| Branch {
                separator: format!("key{:04}", n * 10).into_bytes(),
                child: Child::Leaf(n),
                count: u64::from(n),
            })
            .collect();
        let node = Inner::new(&branches, &mut Builder::default(), 7, Child::None);
        for n in 0..1_000 {
            let at = node.find(format!("key{n:04}").as_bytes());
            assert_eq!((at, node.child(at)), (n / 10, Child::Leaf(u32::try_from(n / 10).unwrap())));
        }
        assert_eq!((node.find(b""), node.find(b"kez")), (0, 99));
        node.replace(3, Child::Inner(5));
        node.add_count(3, -2);
        assert_eq!((node.child(3), node.count(3), node.count_before(4)), (Child::Inner(5), 1, 4));
        let again = node.branches();
        assert_eq!((again.len(), &again[5].separator[..]), (100, &b"key0050"[..]));
    }

    #[test]
    fn separators_are_short() {
        assert_eq!(separator(b"abcd", b"abxyz"), b"abx");
        assert_eq!(separator(b"ab", b"abc"), b"abc");
        assert_eq!(separator(b"", b"a"), b"a");
    }
}
