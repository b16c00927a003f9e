//! Segments: append-only pieces of memory that records lie in, and the table that numbers them.
//!
//! A segment is *open* (records are appended), *sealed* (they are only read, marked and forgotten) or
//! gone. A record that would fill more than an eighth of an ordinary segment gets one of its own, of
//! its exact size, which is sealed from birth.

use crate::index::{OFFSET_BITS, Place, SEGMENT_BITS};
use crate::layout::{self, Stored};
use todana_record::{Expiry, Timestamp};

/// Most bytes of an ordinary segment: what an offset can name.
pub(crate) const SEGMENT_LEN_MAX: usize = 1 << OFFSET_BITS;
const SEGMENT_COUNT_MAX: usize = (1 << SEGMENT_BITS) - 1;

/// A piece of memory with records. What a look-up reads of it stands in one cache line.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Segment {
    pub(crate) bytes: Vec<u8>,
    /// Added to a record's offset it gives the record's implicit version.
    pub(crate) version_base: u64,
    /// Bytes accounted for, whether or not they are filled.
    pub(crate) capacity: usize,
    /// When it was opened.
    pub(crate) opened: Timestamp,
    /// Bytes of records that the index points to.
    pub(crate) live_bytes: usize,
    /// Number of those records.
    pub(crate) live: usize,
    /// At or before the soonest expiry among them; never if there is none.
    pub(crate) soonest_expiry: Expiry,
    /// Not walked for ended records before this moment.
    pub(crate) walk_again: Timestamp,
    /// A reclaim pass spares it while an update is between writing and linking its records.
    pub(crate) pinned: bool,
    /// Holds a single record of its own size.
    pub(crate) large: bool,
}

impl Segment {
    fn new(capacity: usize, large: bool, version_base: u64, now: Timestamp) -> Segment {
        Segment {
            bytes: Vec::new(),
            capacity,
            version_base,
            opened: now,
            live_bytes: 0,
            live: 0,
            soonest_expiry: Expiry::NEVER,
            walk_again: Timestamp::default(),
            pinned: false,
            large,
        }
    }

    /// An empty segment to append to.
    pub(crate) fn ordinary(capacity: usize, version_base: u64, now: Timestamp) -> Segment {
        let mut segment = Segment::new(capacity, false, version_base, now);
        segment.bytes = Vec::with_capacity(capacity);
        segment
    }

    /// A sealed segment of one record.
    pub(crate) fn large(record: Vec<u8>, version_base: u64, now: Timestamp) -> Segment {
        let mut segment = Segment::new(record.len(), true, version_base, now);
        segment.bytes = record;
        segment
    }

    /// Bytes that can still be appended.
    pub(crate) fn room(&self) -> usize {
        self.capacity - self.bytes.len()
    }

    /// The record at an offset that the index gave.
    #[inline]
    pub(crate) fn record(&self, offset: u32) -> Option<Stored<'_>> {
        layout::decode(self.bytes.get(offset as usize..)?)
    }

    /// The implicit version of the record at an offset.
    #[inline]
    pub(crate) fn implicit_version(&self, offset: u32) -> u64 {
        self.version_base + u64::from(offset)
    }

    /// Notes that the index points to a record of `len` bytes.
    pub(crate) fn gained(&mut self, len: usize, expiry: Expiry) {
        self.live += 1;
        self.live_bytes += len;
        self.note_expiry(expiry);
    }

    /// Notes that the index no longer points to a record of `len` bytes.
    pub(crate) fn lost(&mut self, len: usize) {
        self.live -= 1;
        self.live_bytes -= len;
    }

    /// Notes an expiry among its records.
    pub(crate) fn note_expiry(&mut self, expiry: Expiry) {
        let sooner = self.soonest_expiry.is_never() || expiry.ms() < self.soonest_expiry.ms();
        if !expiry.is_never() && sooner {
            self.soonest_expiry = expiry;
        }
    }

    /// Offset of the record after the one at `offset`; `None` at the end.
    pub(crate) fn after(&self, offset: u32) -> Option<u32> {
        let next = offset as usize + self.record(offset)?.len;
        if next < self.bytes.len() { u32::try_from(next).ok() } else { None }
    }
}

/// Segments by number, from 1.
#[derive(Debug, Default)]
pub(crate) struct SegmentTable {
    segments: Vec<Option<Segment>>,
    free: Vec<u32>,
}

impl SegmentTable {
    /// Gives a segment a number; `None` when all numbers are taken.
    pub(crate) fn add(&mut self, segment: Segment) -> Option<u32> {
        let number = match self.free.pop() {
            Some(number) => number,
            None if self.segments.len() < SEGMENT_COUNT_MAX => {
                self.segments.push(None);
                u32::try_from(self.segments.len()).ok()?
            }
            None => return None,
        };
        self.segments[number as usize - 1] = Some(segment);
        Some(number)
    }

    /// Takes a segment out; its number stays taken until it is freed.
    pub(crate) fn take(&mut self, number: u32) -> Option<Segment> {
        self.segments.get_mut((number as usize).checked_sub(1)?)?.take()
    }

    /// Lets the number of a segment that was taken out be used again.
    pub(crate) fn free_number(&mut self, number: u32) {
        self.free.push(number);
    }

    #[inline]
    pub(crate) fn get(&self, number: u32) -> Option<&Segment> {
        self.segments.get((number as usize).wrapping_sub(1))?.as_ref()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut Segment> {
        self.segments.get_mut((number as usize).wrapping_sub(1))?.as_mut()
    }

    /// The record at a place that the index gave, with its segment.
    #[inline]
    pub(crate) fn at(&self, place: Place) -> Option<(&Segment, Stored<'_>)> {
        let segment = self.get(place.segment)?;
        Some((segment, segment.record(place.offset)?))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter().flatten()
    }
}
