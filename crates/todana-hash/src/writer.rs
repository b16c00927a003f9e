//! The one writer's state: everything that is changed under its lock, the log's part of it included.

use crate::index::{Check, IndexWriter, Place, Seat};
use std::collections::HashSet;
use todana_engine::Error;
use todana_log::layout::record::Operation;
use todana_log::layout::reference::Reference;
use todana_log::{Appended, LogWriter};

/// See the module.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) log: LogWriter,
    pub(crate) index: IndexWriter,
    /// Blobs that records refer to.
    pub(crate) blobs: HashSet<u64>,
    /// Those that no record refers to any more, from a sequence on.
    pub(crate) dead_blobs: Vec<(u64, u64)>,
    pub(crate) stored: u64,
    pub(crate) moved: u64,
    pub(crate) expired: u64,
    pub(crate) reclaimed: u64,
}

impl Writer {
    /// Points the index to an entry that was appended, instead of `old` (place and length), whose seat
    /// it takes.
    #[inline]
    pub(crate) fn point(
        &mut self,
        seat: Seat,
        operation: Operation,
        appended: Appended,
        old: Option<(Place, usize)>,
    ) -> Result<(), Error> {
        let (place, len) = (Place::from(appended), appended.len as u64);
        match (old, operation.is_put()) {
            (None, true) => self.insert(seat, place, len)?,
            (None, false) => {}
            (Some((old, old_len)), true) => {
                self.index.set(seat, place);
                self.forget(old, old_len);
                self.is_stored(place, len);
            }
            (Some((old, old_len)), false) => {
                self.index.remove(seat);
                self.forget(old, old_len);
            }
        }
        Ok(())
    }

    /// Adds a new record of `len` bytes to the index.
    ///
    /// # Errors
    /// [`Error::Poisoned`] when there is no memory.
    #[inline]
    pub(crate) fn insert(&mut self, seat: Seat, place: Place, len: u64) -> Result<(), Error> {
        let inserted = self.index.insert(seat, place);
        inserted.map_err(|error| Error::Poisoned(format!("the index: {error}")))?;
        self.is_stored(place, len);
        Ok(())
    }

    /// Counts a record that was stored.
    #[inline]
    fn is_stored(&mut self, place: Place, len: u64) {
        self.stored += 1;
        self.log.account(place.slot, |account| account.live += len);
    }

    /// Where the entry of a hash at a place stands; without a place, where a new one would.
    pub(crate) fn seat(&self, hash: u64, place: Option<Place>) -> Seat {
        let is_it = |at| if Some(at) == place { Check::Is(()) } else { Check::IsNot };
        self.index.seek(hash, is_it).0
    }

    /// Notes that a change which was refused had a blob, unless the record has it.
    #[cold]
    pub(crate) fn blob_is_unused(&mut self, blob: Option<Reference>, records: Option<Reference>) {
        if let Some(blob) = blob.filter(|blob| records.is_none_or(|its| its.id != blob.id)) {
            self.dead_blobs.push((0, blob.id));
        }
    }

    /// Notes what blob a change at a sequence took, if any, and which it left.
    #[inline]
    pub(crate) fn blob_changes(
        &mut self,
        old: Option<Reference>,
        next: Option<Reference>,
        sequence: u64,
    ) {
        if old.is_some() || next.is_some() {
            self.change_blobs(old, next, sequence);
        }
    }

    #[cold]
    fn change_blobs(&mut self, old: Option<Reference>, next: Option<Reference>, sequence: u64) {
        if let Some(next) = next {
            self.blobs.insert(next.id);
        }
        if let Some(old) = old.filter(|old| next.is_none_or(|next| next.id != old.id)) {
            self.blobs.remove(&old.id);
            self.dead_blobs.push((sequence, old.id));
        }
    }

    /// Counts an entry as dead.
    #[inline]
    pub(crate) fn forget(&mut self, place: Place, len: usize) {
        self.log
            .account(place.slot, |account| account.live = account.live.saturating_sub(len as u64));
    }
}
