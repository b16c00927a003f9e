//! What readers load once and then use without a lock: the table of segments, and the index.

use crate::index::{Check, Index, IndexWriter, Place, Probe, Seat};
use std::sync::Arc;
use todana_engine::Error;
use todana_log::layout::record::{self, Record};
use todana_log::{Pins, Segment};

/// A state of the tables. Segments live as long as a view that has them.
#[derive(Debug, Clone)]
pub(crate) struct Tables {
    /// Rises with each state.
    pub(crate) state: u64,
    pub(crate) index: Arc<Index>,
    /// By slot; slot 0 is none.
    pub(crate) segments: Vec<Option<Arc<Segment>>>,
}

/// A record where it lies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hit<'t> {
    pub(crate) place: Place,
    /// Byte of the sequence space where it lies; its own sequence may be older.
    pub(crate) at: u64,
    pub(crate) record: Record<'t>,
}

impl Hit<'_> {
    /// The sequence of its last change.
    #[inline]
    pub(crate) fn sequence(&self) -> u64 {
        self.record.sequence(self.at)
    }
}

impl Tables {
    #[inline]
    pub(crate) fn segment(&self, slot: u16) -> Option<&Arc<Segment>> {
        self.segments.get(usize::from(slot))?.as_ref()
    }

    /// The entry at a place; `None` when there is no such segment or no entry.
    ///
    /// # Errors
    /// [`Error::Corrupt`].
    #[inline]
    pub(crate) fn entry<'t>(
        &'t self,
        place: Place,
        pins: &'t Pins,
    ) -> Result<Option<Hit<'t>>, Error> {
        let Some(segment) = self.segment(place.slot) else { return Ok(None) };
        let bytes = segment.bytes_from(place.offset, pins)?;
        let at = segment.id + u64::from(place.offset);
        Ok(record::parse(bytes).map(|record| Hit { place, at, record }))
    }

    /// Brings the record near that a hash probably leads to.
    #[inline]
    pub(crate) fn prefetch(&self, hash: u64) {
        if let Some(place) = self.index.home(hash).guess()
            && let Some(segment) = self.segment(place.slot)
        {
            segment.prefetch(place.offset);
        }
    }

    /// Whether the entry at a place is the key's.
    #[inline]
    fn check<'t>(
        &'t self,
        place: Place,
        key: &[u8],
        pins: &'t Pins,
        failure: &mut Option<Error>,
    ) -> Check<Hit<'t>> {
        match self.entry(place, pins) {
            Ok(Some(hit)) if hit.record.key == key => Check::Is(hit),
            Ok(None) if self.segment(place.slot).is_none() => Check::Reload,
            Ok(_) => Check::IsNot,
            Err(error) => {
                // Perhaps another is the key's: then this one is another key's, or has been replaced.
                *failure = Some(error);
                Check::IsNot
            }
        }
    }

    /// The record of a key, ended ones included.
    ///
    /// # Errors
    /// [`Error::Corrupt`].
    #[inline]
    pub(crate) fn find<'t>(
        &'t self,
        hash: u64,
        key: &[u8],
        pins: &'t Pins,
    ) -> Result<Probe<Hit<'t>>, Error> {
        let mut failure = None;
        let check = |place| self.check(place, key, pins, &mut failure);
        let probe = self.index.probe(hash, check);
        match (failure, probe) {
            (Some(error), Probe::Absent) => Err(error),
            (_, probe) => Ok(probe),
        }
    }

    /// The record of a key as its writer finds it, or [`Error::Corrupt`]; and where its index entry stands
    /// or would stand.
    #[inline]
    pub(crate) fn seek<'t>(
        &'t self,
        index: &IndexWriter,
        hash: u64,
        key: &[u8],
        pins: &'t Pins,
    ) -> (Seat, Result<Option<Hit<'t>>, Error>) {
        let mut failure = None;
        let (seat, hit) = index.seek(hash, |place| self.check(place, key, pins, &mut failure));
        match (failure, hit) {
            (Some(error), None) => (seat, Err(error)),
            (_, hit) => (seat, Ok(hit)),
        }
    }
}
