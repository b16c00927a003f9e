//! Letting go of leaves that are safe on disk, when memory is short.

use crate::child::Child;
use crate::inner::Inner;
use crate::leaf::Leaf;
use crate::shared::Shared;
use crate::writer::Writer;
use std::sync::atomic::Ordering;
use todana_io::epoch::Pin;

/// Places of children that are looked at in one call.
const PLACES: usize = 64;

impl Writer {
    /// Lets go of leaves that nobody has looked at for a round (CLOCK), if there is too much in memory.
    pub(crate) fn let_leaves_go(&mut self, shared: &Shared, pin: &Pin) {
        if self.budget == 0 || self.leaf_bytes <= self.budget {
            return;
        }
        self.begin(shared);
        self.let_some_go(shared, pin);
        // Older moments may still be led to what was let go of, by nodes that are kept for them.
        self.end();
    }

    fn let_some_go(&mut self, shared: &Shared, pin: &Pin) {
        let mut surplus = self.leaf_bytes.saturating_sub(self.budget);
        // Whoever sees an older state than a page has does not find it there.
        let needed = shared.snapshots.oldest().min(shared.applied.load(Ordering::Relaxed));
        let mut looked_at = 0;
        while surplus > 0 && looked_at < PLACES {
            let hand = std::mem::take(&mut self.hand);
            self.go(shared, pin, &hand);
            let Some(step) = self.path.last().copied() else { return };
            let Some(inner) = shared.inners.get(pin, step.inner) else { return };
            let mut at = step.at;
            while at < inner.len() && surplus > 0 && looked_at < PLACES {
                surplus = surplus.saturating_sub(self.let_go_of(shared, pin, inner, at, needed));
                looked_at += 1;
                at += 1;
            }
            // At the end it begins anew, next time: what was read just now shall be found.
            match self.high_separator(at) {
                Some(next) => self.hand = next,
                None => return,
            }
        }
    }

    /// Lets go of a leaf, if it may go; gives its bytes.
    fn let_go_of(
        &mut self,
        shared: &Shared,
        pin: &Pin,
        inner: &Inner,
        at: usize,
        needed: u64,
    ) -> u64 {
        let Child::Leaf(number) = inner.child(at) else { return 0 };
        let Some(leaf) = shared.leaves.get(pin, number) else { return 0 };
        if leaf.take_used() {
            return 0;
        }
        let Some(page) = safe_page(leaf, needed) else { return 0 };
        inner.replace(at, Child::Page(page));
        self.is_gone(Child::None, Child::Leaf(number));
        leaf.len() as u64
    }
}

/// The page of a leaf, if that has all of it and nobody needs more.
fn safe_page(leaf: &Leaf, needed: u64) -> Option<crate::page::Place> {
    leaf.page_as_of(u64::MAX).filter(|_| leaf.paged() <= needed)
}
