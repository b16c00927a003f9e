//! Records where they lie: by the places that the index leads to, in the list of segments.
//!
//! Readers load the list once and then use it without a lock. The index is the same all the time.

use crate::index::{Check, Index, IndexWriter, Place, Probe, Seat};
use todana_engine::Error;
use todana_log::layout::record::{self, Record};
use todana_log::{Pins, Segments};

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

/// What is looked for in the segments.
pub(crate) trait Find {
    /// The entry at a place; `None` when there is no such segment or no entry.
    ///
    /// # Errors
    /// [`Error::Corrupt`].
    fn entry<'t>(&'t self, place: Place, pins: &'t Pins) -> Result<Option<Hit<'t>>, Error>;

    /// Brings the record near that a hash probably leads to.
    fn prefetch(&self, index: &Index, hash: u64);

    /// Whether the entry at a place is the key's.
    fn check<'t>(
        &'t self,
        place: Place,
        key: &[u8],
        pins: &'t Pins,
        failure: &mut Option<Error>,
    ) -> Check<Hit<'t>>;

    /// The record of a key, ended ones included.
    ///
    /// # Errors
    /// [`Error::Corrupt`].
    fn find<'t>(
        &'t self,
        index: &Index,
        hash: u64,
        key: &[u8],
        pins: &'t Pins,
    ) -> Result<Probe<Hit<'t>>, Error>;

    /// The record of a key as its writer finds it, or [`Error::Corrupt`]; and where its index entry stands
    /// or would stand.
    fn seek<'t>(
        &'t self,
        index: &IndexWriter,
        hash: u64,
        key: &[u8],
        pins: &'t Pins,
    ) -> (Seat, Result<Option<Hit<'t>>, Error>);
}

impl Find for Segments {
    // Each look-up has a call less by it: 10 of 800 instructions.
    #[inline(always)]
    fn entry<'t>(&'t self, place: Place, pins: &'t Pins) -> Result<Option<Hit<'t>>, Error> {
        let Some(segment) = self.get(place.slot) else { return Ok(None) };
        let bytes = segment.bytes_from(place.offset, pins)?;
        let at = segment.id + u64::from(place.offset);
        Ok(record::parse(bytes).map(|record| Hit { place, at, record }))
    }

    #[inline]
    fn prefetch(&self, index: &Index, hash: u64) {
        if let Some(place) = index.home(hash).guess()
            && let Some(segment) = self.get(place.slot)
        {
            segment.prefetch(place.offset);
        }
    }

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
            Ok(None) if self.get(place.slot).is_none() => Check::Reload,
            Ok(_) => Check::IsNot,
            Err(error) => {
                // Perhaps another is the key's: then this one is another key's, or has been replaced.
                *failure = Some(error);
                Check::IsNot
            }
        }
    }

    #[inline]
    fn find<'t>(
        &'t self,
        index: &Index,
        hash: u64,
        key: &[u8],
        pins: &'t Pins,
    ) -> Result<Probe<Hit<'t>>, Error> {
        let mut failure = None;
        let check = |place| self.check(place, key, pins, &mut failure);
        let probe = index.probe(hash, check);
        match (failure, probe) {
            (Some(error), Probe::Absent) => Err(error),
            (_, probe) => Ok(probe),
        }
    }

    #[inline]
    fn seek<'t>(
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
