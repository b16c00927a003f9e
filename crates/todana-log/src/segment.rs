//! A segment as readers see it: bytes that never change, wherever they are.

use crate::blocks::{Blocks, FrameCache};
use crate::codec::Packing;
use crate::layout::footer;
use crate::layout::frame::{self, Frame, PIECE_LEN};
use crate::layout::header::{HEADER_LEN, SegmentHeader, SegmentKind};
use crate::pins::Pins;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use todana_engine::Error;
use todana_io::{DiskFile, Mapping, Tail, prefetch};
use todana_record::Timestamp;

/// Where a segment's bytes are.
#[derive(Debug)]
enum Source {
    /// In the memory that they are still appended to.
    Tail(Arc<Tail>),
    /// In the file, as memory.
    Mapped(Mapping),
    /// In the file, frame by frame.
    Blocks(Blocks),
}

/// What reading of files that are not mapped needs.
#[derive(Debug, Clone)]
pub struct Reading {
    /// The store's codec, if it has one.
    pub packing: Option<Arc<Packing>>,
    /// Keeps frames that were read or unpacked.
    pub cache: Arc<FrameCache>,
}

/// Where the entries of a frame lie, as far as they are published.
#[derive(Debug, Clone, Copy)]
pub struct Payload {
    /// Byte of the segment where they begin.
    pub payload_start: usize,
    /// Byte behind the last of them.
    pub end: usize,
    /// When the frame was written, or opened where it is not written yet.
    pub time: Timestamp,
}

/// A segment.
#[derive(Debug)]
pub struct Segment {
    /// Its number in the table of segments.
    pub slot: u16,
    /// Its id: a log's entry at byte `n` has the sequence `id + n`.
    pub id: u64,
    /// What it holds.
    pub kind: SegmentKind,
    /// Id of the log before this one.
    pub previous: Option<u64>,
    /// Shared by all forms of this segment: while anybody has one, its slot is taken.
    pub token: Arc<()>,
    source: Source,
    /// Byte where the last frame ends; of a tail, what was published counts.
    end: usize,
    /// Frames in their order; none of a tail.
    frames: Box<[Frame]>,
    /// Frames of a tail, as they were opened: header's byte, payload's byte, time.
    opened: Mutex<Vec<(usize, usize, Timestamp)>>,
    /// A bit for each 16 KiB whose frames this process has found intact.
    verified: Box<[AtomicU64]>,
}

/// Brings the lines near where an entry's head and key are, or all of a small one.
#[inline]
fn prefetch_entry(bytes: &[u8]) {
    const NEAR: usize = 31;
    if let (Some(first), Some(last)) = (bytes.first(), bytes.get(NEAR).or(bytes.last())) {
        prefetch(first);
        prefetch(last);
    }
}

/// The name of a segment's file.
pub fn file_name(id: u64, kind: SegmentKind) -> String {
    format!("{id:016x}.{}", kind.extension())
}

/// What a segment's file name says; `None` for other names.
pub fn parse_name(name: &str) -> Option<(SegmentKind, u64)> {
    let (id, extension) = name.split_once('.')?;
    let kind = match extension {
        "log" => SegmentKind::Log,
        "pack" => SegmentKind::Pack,
        _ => return None,
    };
    (id.len() == 16).then(|| u64::from_str_radix(id, 16).ok()).flatten().map(|id| (kind, id))
}

/// The name of a segment's file until it is one that can be relied on.
pub fn new_file_name(id: u64, kind: SegmentKind) -> String {
    match kind {
        SegmentKind::Log => file_name(id, kind),
        SegmentKind::Pack => format!("{}.new", file_name(id, kind)),
    }
}

impl Segment {
    /// A segment that is being written.
    pub fn of_tail(slot: u16, header: &SegmentHeader, tail: Arc<Tail>) -> Segment {
        Segment {
            slot,
            id: header.id,
            kind: header.kind,
            previous: header.previous.map(|(id, _)| id),
            opened: Mutex::default(),
            token: Arc::new(()),
            source: Source::Tail(tail),
            end: 0,
            frames: Box::new([]),
            verified: Box::new([]),
        }
    }

    /// A segment whose file is complete up to `end`.
    ///
    /// # Errors
    /// When the file cannot be mapped.
    pub fn of_file(
        slot: u16,
        header: &SegmentHeader,
        file: Arc<dyn DiskFile>,
        frames: Vec<Frame>,
        token: Arc<()>,
        how: &Reading,
    ) -> std::io::Result<Segment> {
        let end = frames.last().map_or(HEADER_LEN, Frame::end);
        let mapping = if how.packing.is_none() { file.map(end)? } else { None };
        let source = match mapping {
            Some(mapping) => Source::Mapped(mapping),
            None => {
                let Reading { packing, cache } = how.clone();
                Source::Blocks(Blocks { file, packing, cache })
            }
        };
        let words = end.div_ceil(PIECE_LEN).div_ceil(64);
        Ok(Segment {
            slot,
            id: header.id,
            kind: header.kind,
            previous: header.previous.map(|(id, _)| id),
            opened: Mutex::default(),
            token,
            source,
            end,
            frames: frames.into(),
            verified: (0..words).map(|_| AtomicU64::new(0)).collect(),
        })
    }

    /// The name of its file.
    pub fn name(&self) -> String {
        file_name(self.id, self.kind)
    }

    /// Byte where its entries end, as things stand.
    #[inline]
    pub fn end(&self) -> usize {
        match &self.source {
            Source::Tail(tail) => tail.published().len().max(HEADER_LEN),
            Source::Mapped(_) | Source::Blocks(_) => self.end,
        }
    }

    /// Says that a frame of a tail begins.
    pub fn open_frame(&self, start: usize, payload_start: usize, now: Timestamp) {
        self.opened.lock().push((start, payload_start, now));
    }

    /// The frame that holds a byte, or the one that begins after it; `None` when there is nothing (yet)
    /// from there on.
    pub fn frame_at(&self, at: usize) -> Option<Payload> {
        let end = self.end();
        let Source::Tail(_) = self.source else {
            let frame = self.frames.get(self.frames.partition_point(|frame| frame.end() <= at))?;
            let (payload_start, time) = (frame.payload_start(), self.time_of(frame));
            return Some(Payload { payload_start, end: frame.end(), time });
        };
        let opened = self.opened.lock();
        let after = opened.partition_point(|&(start, ..)| start <= at);
        let ends = |next: usize| opened.get(next).map_or(end, |&(start, ..)| start);
        let found = (after.saturating_sub(1)..opened.len()).find(|&one| ends(one + 1) > at)?;
        let &(_, payload_start, time) = opened.get(found)?;
        let end = ends(found + 1);
        (end > payload_start).then_some(Payload { payload_start, end, time })
    }

    /// When a frame was written: footers do not say it.
    fn time_of(&self, frame: &Frame) -> Timestamp {
        let mut bytes = vec![0; frame.stored_start() - frame.at];
        match &self.source {
            Source::Tail(_) => return frame.time,
            Source::Mapped(mapping) => {
                let there = mapping.get(frame.at..frame.stored_start()).unwrap_or_default();
                bytes.get_mut(..there.len()).unwrap_or_default().copy_from_slice(there);
            }
            Source::Blocks(blocks) => {
                // What cannot be read is told when its entries are.
                let _ = blocks.file.read_exact_at(frame.at as u64, &mut bytes);
            }
        }
        frame::read_header(self.id, frame.at, &bytes).map_or(frame.time, |(read, _)| read.time)
    }

    /// Brings the entry at `offset` near; nothing is checked.
    #[inline]
    pub fn prefetch(&self, offset: u32) {
        let bytes = match &self.source {
            Source::Tail(tail) => tail.published(),
            Source::Mapped(mapping) => mapping,
            Source::Blocks(_) => return,
        };
        prefetch_entry(bytes.get(offset as usize..).unwrap_or_default());
    }

    /// The bytes from the entry at `offset` on, checked against their sums; where frames have to be read,
    /// to the end of its frame, which `pins` keeps.
    ///
    /// # Errors
    /// [`Error::Corrupt`] with the file and the place.
    #[inline]
    pub fn bytes_from<'a>(&'a self, offset: u32, pins: &'a Pins) -> Result<&'a [u8], Error> {
        let at = offset as usize;
        let all = match &self.source {
            Source::Tail(tail) => tail.published(),
            Source::Mapped(mapping) => {
                let all = mapping.get(..self.end).unwrap_or_default();
                let piece = at / PIECE_LEN;
                let word = self.verified.get(piece / 64);
                let bit = 1 << (piece % 64);
                if word.is_none_or(|word| word.load(Ordering::Relaxed) & bit == 0) {
                    self.verify_around(all, piece)?;
                }
                all
            }
            Source::Blocks(blocks) => return self.block_from(blocks, at, pins),
        };
        let bytes = all.get(at..).unwrap_or_default();
        prefetch_entry(bytes);
        Ok(bytes)
    }

    #[cold]
    fn block_from<'a>(
        &self,
        blocks: &Blocks,
        at: usize,
        pins: &'a Pins,
    ) -> Result<&'a [u8], Error> {
        let number = self.frames.partition_point(|frame| frame.end() <= at);
        let Some(frame) = self.frames.get(number) else { return Ok(&[]) };
        let read = blocks.get(self.id, number, frame);
        let payload = pins.keep(read.map_err(|reason| self.corrupt(frame, &reason))?);
        let from = at.checked_sub(frame.payload_start());
        Ok(from.and_then(|from| payload.get(from..)).unwrap_or_default())
    }

    fn corrupt(&self, frame: &Frame, reason: &str) -> Error {
        let (name, at) = (self.name(), frame.at);
        Error::Corrupt(format!("{name}: the frame at byte {at} {reason}"))
    }

    /// Checks the frames that reach into a piece of 16 KiB.
    #[cold]
    fn verify_around(&self, all: &[u8], piece: usize) -> Result<(), Error> {
        let (from, to) = (piece * PIECE_LEN, (piece + 1) * PIECE_LEN);
        let first = self.frames.partition_point(|frame| frame.end() <= from);
        for frame in self.frames.iter().skip(first).take_while(|frame| frame.start < to) {
            self.verify(all, frame)?;
        }
        if let Some(word) = self.verified.get(piece / 64) {
            word.fetch_or(1 << (piece % 64), Ordering::Relaxed);
        }
        Ok(())
    }

    fn verify<'a>(&self, all: &'a [u8], frame: &Frame) -> Result<(Frame, &'a [u8]), Error> {
        let corrupt = || self.corrupt(frame, "fails its checksum");
        let bytes = all.get(frame.at..).unwrap_or_default();
        let (read, sums) = frame::read_header(self.id, frame.at, bytes).ok_or_else(corrupt)?;
        let stored = all.get(read.stored_start()..read.stored_end()).ok_or_else(corrupt)?;
        let same = Frame { time: read.time, ..*frame } == read;
        match same && frame::is_intact(stored, sums) {
            true => Ok((read, stored)),
            false => Err(corrupt()),
        }
    }

    /// A frame's header as it stands in the file, and its payload, both checked.
    ///
    /// # Errors
    /// [`Error::Corrupt`].
    pub fn checked_frame<'a>(
        &'a self,
        number: usize,
        pins: &'a Pins,
    ) -> Result<Option<(Frame, &'a [u8])>, Error> {
        let Some(frame) = self.frames.get(number) else { return Ok(None) };
        match &self.source {
            Source::Tail(_) => Ok(None),
            Source::Mapped(mapping) => self.verify(mapping, frame).map(Some),
            // Past the cache: who walks through all of it comes once.
            Source::Blocks(blocks) => {
                let read = blocks.read(self.id, frame);
                let (read, payload) = read.map_err(|reason| self.corrupt(frame, &reason))?;
                Ok(Some((read, pins.keep(payload.into()))))
            }
        }
    }
}

/// The frames and footer of a segment's file, if it is complete.
pub fn read_footer(
    file: &dyn DiskFile,
    id: u64,
) -> std::io::Result<Option<(footer::Trailer, Vec<u8>)>> {
    let len = file.len()?;
    let trailer_len = footer::TRAILER_LEN as u64;
    let Some(trailer_at) = len.checked_sub(trailer_len) else { return Ok(None) };
    let mut bytes = [0; footer::TRAILER_LEN];
    file.read_exact_at(trailer_at, &mut bytes)?;
    let Some(trailer) = footer::Trailer::decode(id, &bytes) else { return Ok(None) };
    let Some(tables_at) = trailer_at.checked_sub(trailer.tables_len() as u64) else {
        return Ok(None);
    };
    if tables_at != trailer.summary.frames_end as u64 {
        return Ok(None);
    }
    let mut tables = vec![0; trailer.tables_len()];
    file.read_exact_at(tables_at, &mut tables)?;
    Ok(trailer.tables(&tables).is_some().then_some((trailer, tables)))
}
