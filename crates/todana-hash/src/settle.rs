//! Blind puts: shown to readers when they are appended, settled in the index a few puts later.

use crate::edit;
use crate::hash::Hash;
use crate::index::{Check, Waiting};
use todana_log::Pins;

use crate::view::Tables;
use crate::writer::{Appended, Writer};
use arc_swap::ArcSwap;
use parking_lot::MutexGuard;
use std::sync::Arc;
use todana_engine::{Error, View};

impl Hash {
    /// The writer, with an index that has everything.
    pub(crate) fn writer(&self) -> MutexGuard<'_, Writer> {
        let mut writer = self.writing.lock();
        if writer.index.deferred() > 0 {
            // A failure has poisoned the store: the next who changes something is told.
            let _ = self.stop_on_poison(writer.settle_all(&self.shared.tables));
        }
        writer
    }

    /// Has the index have everything that was put before.
    pub(crate) fn settle_puts(&self) {
        drop(self.writer());
    }

    /// Visits the records that were put before, and perhaps later ones; see [`walk`](crate::shared::Shared::walk).
    pub(crate) fn walk(
        &self,
        from: u64,
        count: usize,
        visit: &mut dyn FnMut(&View<'_>),
    ) -> Result<Option<u64>, Error> {
        self.settle_puts();
        self.shared.walk(from, count, visit)
    }
}

/// Puts after which the line of an entry has come for sure; and so many later, its predecessor.
const AHEAD: u8 = 4;

impl Writer {
    /// Shows an appended record to readers, and settles others that were shown before.
    ///
    /// # Errors
    /// [`Error::Poisoned`] when the index has no memory; the record is not shown then.
    #[inline]
    pub(crate) fn defer(
        &mut self,
        shared: &ArcSwap<Tables>,
        hash: u64,
        appended: Appended,
    ) -> Result<(), Error> {
        if self.index.is_deferred(hash) {
            self.settle_all(shared)?;
        }
        self.index.defer(hash, appended.place, todana_log::layout::narrow(appended.len));
        if let Some(waiting) = self.index.deferred_before(AHEAD) {
            self.settle_new(shared, &waiting)?;
        }
        // The next takes its slot.
        if let Some(waiting) = self.index.deferred_before(2 * AHEAD - 1) {
            self.settle(shared, &waiting)?;
        }
        Ok(())
    }

    /// Settles everything.
    #[cold]
    pub(crate) fn settle_all(&mut self, shared: &ArcSwap<Tables>) -> Result<(), Error> {
        for back in (0..2 * AHEAD).rev() {
            if let Some(waiting) = self.index.deferred_before(back) {
                self.settle(shared, &waiting)?;
            }
        }
        Ok(())
    }

    /// Settles an entry that replaces none; else has the record come that it may replace.
    #[inline]
    fn settle_new(&mut self, shared: &ArcSwap<Tables>, waiting: &Waiting) -> Result<(), Error> {
        let mut candidate = None;
        let (seat, _) = self.index.seek::<()>(waiting.hash, |place| {
            candidate = Some(place);
            Check::IsNot
        });
        if let Some(place) = candidate {
            let tables = self.tables(shared);
            if let Some(segment) = tables.segment(place.slot) {
                segment.prefetch(place.offset);
            }
            self.keep(tables);
            return Ok(());
        }
        self.insert(seat, waiting.pointer, u64::from(waiting.len))?;
        self.index.settled(waiting);
        Ok(())
    }

    /// Points the index to a deferred record, instead of the one that it replaces.
    fn settle(&mut self, shared: &ArcSwap<Tables>, waiting: &Waiting) -> Result<(), Error> {
        let tables = self.tables(shared);
        let (pins, others) = (Pins::new(), Pins::new());
        // It lies in a log that was not complete when it was deferred, so in memory: it is whole.
        if let Some(new) = tables.entry(waiting.pointer, &pins)? {
            let (seat, old) = tables.seek(&self.index, waiting.hash, new.record.key, &others);
            // One that cannot be read stays: it may be another key's.
            let old = old.unwrap_or(None);
            let (place, sequence, len) = (waiting.pointer, new.sequence(), new.record.len);
            let appended = Appended { place, sequence, len };
            self.point(seat, new.record.operation, appended, old.as_ref().map(edit::old_of))?;
            let old_blob = old.and_then(|old| old.record.blob());
            self.blob_changes(old_blob, new.record.blob(), sequence);
        }
        self.keep(tables);
        self.index.settled(waiting);
        Ok(())
    }

    /// The tables as they are, to be kept when they have been used.
    #[inline]
    pub(crate) fn tables(&mut self, shared: &ArcSwap<Tables>) -> Arc<Tables> {
        self.tables.take().unwrap_or_else(|| shared.load_full())
    }

    /// Keeps tables for the next who needs them: loading them costs two locked operations.
    #[inline]
    pub(crate) fn keep(&mut self, tables: Arc<Tables>) {
        if tables.state == self.state {
            self.tables = Some(tables);
        }
    }
}
