//! A segment as its shard has it: the right to append, and what its records come to.

use crate::layout::{self, Stored};
use crate::place::{Grain, Place};
use todana_io::SegmentWriter;
use todana_record::{Expiry, Timestamp};

/// See the module.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) memory: SegmentWriter,
    /// Whether it is of the main queue.
    pub(crate) is_main: bool,
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
    /// Records that are written and not linked yet: no pass takes it meanwhile.
    pub(crate) pins: u32,
}

impl Segment {
    pub(crate) fn new(memory: SegmentWriter, is_main: bool, now: Timestamp) -> Segment {
        Segment {
            memory,
            is_main,
            opened: now,
            live_bytes: 0,
            live: 0,
            soonest_expiry: Expiry::NEVER,
            walk_again: Timestamp::default(),
            pins: 0,
        }
    }

    /// Notes that the index points to a record of `len` bytes.
    #[inline]
    pub(crate) fn gained(&mut self, len: usize, expiry: Expiry) {
        self.live += 1;
        self.live_bytes += len;
        let sooner = self.soonest_expiry.is_never() || expiry.ms() < self.soonest_expiry.ms();
        if !expiry.is_never() && sooner {
            self.soonest_expiry = expiry;
        }
    }

    /// Notes that the index no longer points to a record of `len` bytes.
    #[inline]
    pub(crate) fn lost(&mut self, len: usize) {
        self.live -= 1;
        self.live_bytes -= len;
    }

    /// Its records, dead ones included, each with its offset.
    pub(crate) fn records(&self, grain: Grain) -> impl Iterator<Item = (u32, Stored<'_>)> {
        let bytes = self.memory.bytes();
        let mut next = 0;
        std::iter::from_fn(move || {
            let at = next;
            let stored = layout::decode(bytes.get(at..)?)?;
            next = grain.round_up(at + stored.len);
            Some((grain.offset(at), stored))
        })
    }
}

/// Segments of a shard by number. The shards' numbers take turns, so that all begin their segments in the
/// same huge pages.
#[derive(Debug)]
pub(crate) struct SegmentTable {
    first: u32,
    /// The binary logarithm of the distance from a number of the shard to the next.
    shift: u32,
    grain: Grain,
    segments: Vec<Option<Segment>>,
}

impl SegmentTable {
    /// For every `1 << shift`th number from `first` on.
    pub(crate) fn new(first: u32, shift: u32, grain: Grain) -> SegmentTable {
        SegmentTable { first, shift, grain, segments: Vec::new() }
    }

    /// Numbers of large records lie beyond all.
    #[inline]
    fn at(&self, number: u32) -> usize {
        (number.wrapping_sub(self.first) >> self.shift) as usize
    }

    #[inline]
    pub(crate) fn get(&self, number: u32) -> Option<&Segment> {
        self.segments.get(self.at(number))?.as_ref()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut Segment> {
        let at = self.at(number);
        self.segments.get_mut(at)?.as_mut()
    }

    pub(crate) fn insert(&mut self, number: u32, segment: Segment) {
        let at = self.at(number);
        if self.segments.len() <= at {
            self.segments.resize_with(at + 1, || None);
        }
        self.segments[at] = Some(segment);
    }

    pub(crate) fn remove(&mut self, number: u32) -> Option<Segment> {
        let at = self.at(number);
        self.segments.get_mut(at)?.take()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter().flatten()
    }

    pub(crate) fn take_all(&mut self) -> Vec<Segment> {
        self.segments.drain(..).flatten().collect()
    }

    /// The record at a place that is not large.
    #[inline]
    pub(crate) fn stored(&self, place: Place) -> Option<Stored<'_>> {
        let bytes = self.get(place.number)?.memory.bytes();
        layout::decode(bytes.get(self.grain.start(place.offset)..)?)
    }
}
