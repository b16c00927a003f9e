//! A segment's file, frame by frame, past what is broken.

use crate::layout::footer::{self, FooterReader, TRAILER_LEN, Trailer};
use crate::layout::frame::{self, Frame};
use crate::layout::header::HEADER_LEN;
use std::ops::Range;

/// A footer as it lies at the end of a file.
pub enum Footer<'b> {
    /// There is none.
    None,
    /// The trailer is there, the tables before it are not what they were.
    Damaged(Trailer),
    /// It is whole.
    Whole(Trailer, FooterReader<'b>),
}

impl<'b> Footer<'b> {
    /// What is at the end of a segment's file.
    pub fn of(id: u64, bytes: &'b [u8]) -> Footer<'b> {
        let Some((rest, trailer)) = bytes.split_last_chunk::<TRAILER_LEN>() else {
            return Footer::None;
        };
        let Some(trailer) = Trailer::decode(id, trailer) else { return Footer::None };
        let at = trailer.summary.frames_end;
        let Some(tables) = rest.get(at..).filter(|tables| tables.len() == trailer.tables_len())
        else {
            return Footer::Damaged(trailer);
        };
        match trailer.tables(tables) {
            Some(reader) => Footer::Whole(trailer, reader),
            None => Footer::Damaged(trailer),
        }
    }

    /// Its trailer, if that is whole.
    pub fn trailer(&self) -> Option<&Trailer> {
        match self {
            Footer::None => None,
            Footer::Damaged(trailer) | Footer::Whole(trailer, _) => Some(trailer),
        }
    }
}

/// A stretch of a segment's file between its header and its footer.
pub enum Stretch<'b> {
    /// A frame, and what is stored of it.
    Intact(Frame, &'b [u8]),
    /// Bytes of the file that are no intact frame, up to where one begins, or to the end; and the byte of
    /// the segment that they reach to, as far as it is known.
    Broken(Range<usize>, usize),
}

/// Walks a segment frame by frame, past those that are broken.
pub struct Stretches<'b> {
    id: u64,
    /// Up to where frames can be.
    bytes: &'b [u8],
    at: usize,
    /// The frames that there were, where a footer tells.
    known: Vec<Frame>,
}

impl<'b> Stretches<'b> {
    /// Over a segment's file, from its header on.
    pub fn of(id: u64, bytes: &'b [u8], footer: &Footer<'b>) -> Stretches<'b> {
        let end = footer.trailer().map_or(bytes.len(), |trailer| trailer.summary.frames_end);
        let known = match footer {
            Footer::Whole(_, reader) => footer::frames(reader),
            Footer::None | Footer::Damaged(_) => Vec::new(),
        };
        let bytes = bytes.get(..end.min(bytes.len())).unwrap_or_default();
        Stretches { id, bytes, at: HEADER_LEN, known }
    }

    fn frame_at(&self, at: usize) -> Option<(Frame, &'b [u8], bool)> {
        let (frame, sums) = frame::read_header(self.id, at, self.bytes.get(at..)?)?;
        let stored = self.bytes.get(frame.stored_start()..frame.stored_end())?;
        Some((frame, stored, frame::is_intact(stored, sums)))
    }

    /// Where the next frame begins behind one whose header cannot be read.
    fn resume(&self, at: usize) -> usize {
        let known = self.known.iter().find(|frame| frame.at <= at && at < frame.stored_end());
        if let Some(frame) = known {
            return frame.stored_end().min(self.bytes.len());
        }
        let begins = |&start: &usize| {
            // Most places are no header at a glance: the length is never 0, of the last 2 bytes one has at
            // most the 3 bits of its form, the other is 0.
            let glance = self.bytes.get(start + 4..start + 16);
            glance.is_some_and(|head| head[..4] != [0; 4] && head[10] <= 7 && head[11] == 0)
                && self.frame_at(start).is_some_and(|(.., intact)| intact)
        };
        (at + 1..self.bytes.len()).find(begins).unwrap_or(self.bytes.len())
    }

    /// The byte of the segment where what ends at a byte of the file ends, where a footer tells.
    fn logical_end(&self, at: usize) -> usize {
        let before = self.known.partition_point(|frame| frame.at < at);
        let last = before.checked_sub(1).and_then(|last| self.known.get(last));
        last.map_or(HEADER_LEN, Frame::end)
    }
}

impl<'b> Iterator for Stretches<'b> {
    type Item = Stretch<'b>;

    fn next(&mut self) -> Option<Stretch<'b>> {
        let start = self.at;
        if start >= self.bytes.len() {
            return None;
        }
        let (end, stretch) = match self.frame_at(start) {
            Some((frame, stored, true)) => (frame.stored_end(), Stretch::Intact(frame, stored)),
            Some((frame, _, false)) => {
                let end = frame.stored_end();
                (end, Stretch::Broken(start..end, frame.end()))
            }
            None => {
                let end = self.resume(start);
                (end, Stretch::Broken(start..end, self.logical_end(end)))
            }
        };
        self.at = end;
        Some(stretch)
    }
}
