//! Blind puts: shown to readers when they are appended, settled in the index a few puts later.

use crate::edit;
use crate::hash::Hash;
use crate::index::{Check, Place, Waiting};
use crate::view::Find;
use crate::writer::Writer;
use parking_lot::MutexGuard;
use todana_engine::{Error, View};
use todana_log::layout::narrow;
use todana_log::{Appended, Pins};

impl Hash {
    /// The writer, with an index that has everything.
    pub(crate) fn writer(&self) -> MutexGuard<'_, Writer> {
        let mut writer = self.writing.lock();
        if writer.index.deferred() > 0 {
            // A failure has poisoned the store: the next who changes something is told.
            let _ = self.log.stop_on_poison(writer.settle_all());
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
    pub(crate) fn defer(&mut self, hash: u64, appended: Appended) -> Result<(), Error> {
        if self.index.is_deferred(hash) {
            self.settle_all()?;
        }
        self.index.defer(hash, appended.into(), narrow(appended.len));
        if let Some(waiting) = self.index.deferred_before(AHEAD) {
            self.settle_new(&waiting)?;
        }
        // The next takes its slot.
        if let Some(waiting) = self.index.deferred_before(2 * AHEAD - 1) {
            self.settle(&waiting)?;
        }
        Ok(())
    }

    /// Settles everything.
    #[cold]
    pub(crate) fn settle_all(&mut self) -> Result<(), Error> {
        for back in (0..2 * AHEAD).rev() {
            if let Some(waiting) = self.index.deferred_before(back) {
                self.settle(&waiting)?;
            }
        }
        Ok(())
    }

    /// Settles an entry that replaces none; else has the record come that it may replace.
    #[inline]
    fn settle_new(&mut self, waiting: &Waiting) -> Result<(), Error> {
        let mut candidate = None;
        let (seat, _) = self.index.seek::<()>(waiting.hash, |place| {
            candidate = Some(place);
            Check::IsNot
        });
        if let Some(place) = candidate {
            let segments = self.log.segments();
            if let Some(segment) = segments.get(place.slot) {
                segment.prefetch(place.offset);
            }
            self.log.keep_segments(segments);
            return Ok(());
        }
        self.insert(seat, waiting.pointer, u64::from(waiting.len))?;
        self.index.settled(waiting);
        Ok(())
    }

    /// Points the index to a deferred record, instead of the one that it replaces.
    fn settle(&mut self, waiting: &Waiting) -> Result<(), Error> {
        let segments = self.log.segments();
        let (pins, others) = (Pins::new(), Pins::new());
        // It lies in a log that was not complete when it was deferred, so in memory: it is whole.
        if let Some(new) = segments.entry(waiting.pointer, &pins)? {
            let (seat, old) = segments.seek(&self.index, waiting.hash, new.record.key, &others);
            // One that cannot be read stays: it may be another key's.
            let old = old.unwrap_or(None);
            let (Place { slot, offset }, sequence) = (waiting.pointer, new.sequence());
            let appended = Appended { slot, offset, sequence, len: new.record.len };
            self.point(seat, new.record.operation, appended, old.as_ref().map(edit::old_of))?;
            let old_blob = old.and_then(|old| old.record.blob());
            self.blob_changes(old_blob, new.record.blob(), sequence);
        }
        self.log.keep_segments(segments);
        self.index.settled(waiting);
        Ok(())
    }
}
