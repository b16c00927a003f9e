//! Looking many keys up at once: level by level, so that memory for all of them is on its way at a time.

use crate::child::Child;
use crate::delta::tag_of;
use crate::leaf::Leaf;
use crate::page::Place;
use crate::shared::{End, Shared};
use crate::stored::{Stored, found};
use crate::tree::Tree;
use std::sync::atomic::Ordering;
use todana_engine::{Error, Found, Look};
use todana_io::epoch::{Pin, pin};
use todana_record::Timestamp;

/// Keys that go down together.
const GROUP: usize = 32;

impl Tree {
    /// A key's record as it stands.
    ///
    /// # Errors
    /// [`Error::Corrupt`].
    #[inline]
    pub(crate) fn look_up<'a>(
        &'a self,
        pin: &'a Pin,
        key: &[u8],
    ) -> Result<Option<Stored<'a>>, Error> {
        let tag = tag_of(key);
        loop {
            let sequence = self.shared.applied();
            match self.shared.leaf(pin, key, sequence) {
                End::Leaf(leaf) => {
                    leaf.is_looked_at();
                    return Ok(leaf.find(key, tag, sequence));
                }
                End::Page(place) => self.fetch(key, place)?,
                End::Gone => {}
            }
        }
    }

    /// Reads a leaf into memory, if that is still where a key belongs.
    ///
    /// # Errors
    /// [`Error::Corrupt`].
    #[cold]
    pub(crate) fn fetch(&self, key: &[u8], place: Place) -> Result<(), Error> {
        let pin = pin();
        // While this moment lives, what it leads to is not written over.
        let moment = self.present();
        match self.shared.leaf(&pin, key, moment.sequence) {
            End::Page(still) if still == place => {}
            _ => return Ok(()),
        }
        // Without the lock: others go on.
        let read = self.shared.read(place);
        let mut writer = self.writing.lock();
        if writer.go(&self.shared, &pin, key) != Child::Page(place) {
            return Ok(());
        }
        writer.put_leaf(&self.shared, read?);
        drop(moment);
        writer.let_leaves_go(&self.shared, &pin);
        Ok(())
    }

    /// Looks keys up and visits what is found in their order.
    pub(crate) fn look_up_all(
        &self,
        keys: &[&[u8]],
        now: Timestamp,
        visit: &mut dyn FnMut(usize, Found<'_>) -> Look,
    ) {
        let pin = pin();
        for (group, keys) in keys.chunks(GROUP).enumerate() {
            let sequence = self.shared.applied();
            let leaves = self.shared.leaves_of(&pin, keys, sequence);
            for (at, (key, leaf)) in keys.iter().zip(leaves).enumerate() {
                let record = match leaf {
                    Some(leaf) => Ok(leaf.find(key, tag_of(key), sequence)),
                    None => self.look_up(&pin, key),
                };
                visit(group * GROUP + at, found(key, record, now));
            }
        }
    }
}

impl Shared {
    /// The leaves of a group of keys as of a sequence, on their way to the caches; `None` for those that
    /// were made since.
    fn leaves_of<'a>(
        &'a self,
        pin: &'a Pin,
        keys: &[&[u8]],
        sequence: u64,
    ) -> [Option<&'a Leaf>; GROUP] {
        let mut children = [Child::of(self.root.load(Ordering::Acquire)); GROUP];
        let mut leaves = [None; GROUP];
        let mut is_down = false;
        while !is_down {
            is_down = true;
            for (key, child) in keys.iter().zip(&mut children) {
                let Child::Inner(number) = *child else { continue };
                let inner = self.inners.get(pin, number).filter(|inner| inner.made <= sequence);
                *child = inner.map_or(Child::None, |inner| inner.child(inner.find(key)));
                match *child {
                    Child::Inner(number) => {
                        self.inners.prefetch(number);
                        is_down = false;
                    }
                    Child::Leaf(number) => self.leaves.prefetch(number),
                    Child::Page(_) | Child::None => {}
                }
            }
        }
        for (child, leaf) in children.iter().zip(&mut leaves) {
            let Child::Leaf(number) = *child else { continue };
            *leaf = self.leaves.get(pin, number).filter(|leaf| leaf.made <= sequence);
        }
        let reached = || keys.iter().zip(leaves);
        for (key, leaf) in reached() {
            if let Some(leaf) = leaf {
                leaf.is_looked_at();
                leaf.prefetch(key);
            }
        }
        for (key, leaf) in reached() {
            if let Some(leaf) = leaf {
                leaf.block.prefetch_entry(key);
            }
        }
        leaves
    }
}
