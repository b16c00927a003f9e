//! Where entries are appended: a segment that is being written, in memory first.

use crate::codec::Packing;
use crate::home::Home;
use crate::layout::footer::{self, EntryKind, FooterEntry, Summary, Tables};
use crate::layout::frame::{self, Frame, PAYLOAD_LEN, header_len};
use crate::layout::header::{HEADER_LEN, SegmentHeader, SegmentKind};
use crate::layout::record;
use crate::segment::{Segment, new_file_name};
use parking_lot::Mutex;
use std::io;
use std::path::Path;
use std::sync::Arc;
use todana_io::{Disk, DiskFile, Open, Tail, TailWriter};
use todana_record::{Expiry, Timestamp};

/// More than an entry adds to the tables of a footer.
const TABLES_LEN_MAX: usize = 32;

/// A file with its space taken, to become a segment.
#[derive(Debug)]
pub struct Blank {
    /// Id of the segment to be.
    pub id: u64,
    /// The file's name, as it is until the segment can be relied on.
    pub name: String,
    /// Its file.
    pub file: Arc<dyn DiskFile>,
    /// Bytes that the file takes.
    pub len: usize,
    tail: Arc<Tail>,
    writer: TailWriter,
}

impl Blank {
    /// Makes the file and takes its space; its name survives a crash when this returns. Memory that was
    /// `used` before saves the system from clearing new one.
    ///
    /// # Errors
    /// What the disk says; `StorageFull` when there is not enough space, and no file is left then.
    pub fn create(
        disk: &dyn Disk,
        directory: &Path,
        id: u64,
        kind: SegmentKind,
        len: usize,
        used: &mut Vec<Arc<Tail>>,
    ) -> io::Result<Blank> {
        let name = new_file_name(id, kind);
        let path = directory.join(&name);
        let (tail, writer) = match used.pop_if(|tail| tail.capacity() >= len) {
            Some(tail) => match Tail::recycle(tail) {
                Ok(recycled) => recycled,
                Err(_) => Tail::with_capacity(len)?,
            },
            None => Tail::with_capacity(len)?,
        };
        let file = disk.open(&path, Open::Create)?;
        if let Err(error) = file.allocate(len as u64) {
            drop(file);
            // What cannot be removed now is removed at the next open: it is no segment yet.
            let _ = disk.remove(&path);
            return Err(error);
        }
        disk.sync_dir(directory)?;
        Ok(Blank { id, name, file: file.into(), len, tail, writer })
    }
}

/// A segment that is being written.
#[derive(Debug)]
pub struct Head {
    /// What the first bytes of the file say.
    pub header: SegmentHeader,
    /// The segment as readers see it.
    pub segment: Arc<Segment>,
    /// Its file.
    pub file: Arc<dyn DiskFile>,
    tail: TailWriter,
    len: usize,
    width: usize,
    tables: Tables,
    /// Start of the frame that is open, and the length that its payload was promised.
    open: Option<(usize, usize)>,
    /// Frames that are closed and not written yet.
    closed: Vec<Frame>,
    /// Byte of the segment where the last closed frame ends.
    frames_end: usize,
    written: Arc<Mutex<Written>>,
    packing: Option<Arc<Packing>>,
    header_written: bool,
    removals_len: u64,
    lowest: u64,
    highest: u64,
    time: Timestamp,
    cut: u64,
    flush_due: Expiry,
}

/// The frames that are in the file.
#[derive(Debug)]
struct Written {
    frames: Vec<Frame>,
    /// Byte of the file where the last ends.
    end: usize,
}

/// Bytes on their way into a file.
#[derive(Debug)]
pub struct Output {
    /// Its file.
    pub file: Arc<dyn DiskFile>,
    id: u64,
    header: Option<Vec<u8>>,
    frames: Vec<Frame>,
    tail: Arc<Tail>,
    written: Arc<Mutex<Written>>,
    packing: Option<Arc<Packing>>,
}

impl Head {
    /// Begins a segment in a blank: its number among the segments, bytes of key hash that its footer keeps, and
    /// the codec that packs its frames.
    pub fn new(
        blank: Blank,
        header: SegmentHeader,
        slot: u16,
        width: usize,
        packing: Option<Arc<Packing>>,
    ) -> Head {
        let Blank { id: _, name: _, file, len, tail, mut writer } = blank;
        writer.skip(HEADER_LEN);
        Head {
            segment: Arc::new(Segment::of_tail(slot, &header, tail)),
            header,
            file,
            tail: writer,
            len,
            width,
            tables: Tables::default(),
            open: None,
            closed: Vec::new(),
            frames_end: HEADER_LEN,
            written: Arc::new(Mutex::new(Written { frames: Vec::new(), end: HEADER_LEN })),
            packing,
            header_written: false,
            removals_len: 0,
            lowest: u64::MAX,
            highest: 0,
            time: Timestamp::from_ms(0),
            cut: header.cut,
            flush_due: header.flush_due,
        }
    }

    /// Remembers the flushes as they stood when it was full.
    pub fn end_with(&mut self, cut: u64, flush_due: Expiry) {
        (self.cut, self.flush_due) = (cut, flush_due);
    }

    /// Byte where the next entry would stand at the earliest.
    #[inline]
    pub fn end(&self) -> usize {
        self.tail.len()
    }

    /// Bytes that the finished file will take, as things stand.
    #[inline]
    pub fn file_len(&self) -> usize {
        self.tail.len() + self.tables.footer_len_max()
    }

    /// Bytes that its file takes while it is written.
    pub fn taken_len(&self) -> usize {
        self.len
    }

    /// Bytes that are left for entries.
    #[inline]
    pub fn room(&self) -> usize {
        self.len.saturating_sub(self.file_len())
    }

    /// Whether it is time to make the next one.
    #[inline]
    pub fn is_half_full(&self) -> bool {
        self.room() < self.len / 2
    }

    /// Whether anything was appended.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.tail.len() == HEADER_LEN
    }

    /// Bytes of a segment that takes `count` entries of at most `payload_len` together.
    #[inline]
    pub const fn least_len(payload_len: usize, count: usize) -> usize {
        HEADER_LEN
            + header_len(payload_len)
            + payload_len
            + footer::TRAILER_LEN
            + TABLES_LEN_MAX * (3 + count)
    }

    /// Opens a frame for `count` entries of at most `payload_len` bytes together, unless they fit the
    /// open one. `false` when the segment has no room for them.
    #[inline]
    pub fn reserve(&mut self, payload_len: usize, count: usize, now: Timestamp) -> bool {
        if let Some((start, promised)) = self.open {
            let used = self.tail.len() - start - header_len(promised);
            if promised <= PAYLOAD_LEN && used + payload_len <= PAYLOAD_LEN {
                return self.has_room(payload_len, count);
            }
            self.close_frame(now);
        }
        let promised = payload_len.max(1);
        if !self.has_room(header_len(promised) + promised, count + 1) {
            return false;
        }
        self.open = Some((self.tail.len(), promised));
        let start = self.tail.len();
        self.tail.skip(header_len(promised));
        self.segment.open_frame(start, self.tail.len(), now);
        true
    }

    #[inline]
    fn has_room(&self, len: usize, count: usize) -> bool {
        self.file_len() + len + (count + 1) * TABLES_LEN_MAX <= self.len
    }

    /// Appends an entry for which room was reserved; gives its byte.
    #[inline]
    pub fn append(
        &mut self,
        parts: [&[u8]; 4],
        kind: EntryKind,
        hash: u64,
        sequence: Option<u64>,
    ) -> u32 {
        let at = self.tail.len();
        let len = parts.iter().map(|part| part.len()).sum();
        let mut rest = self.tail.spare(len);
        for part in parts {
            // They are as long together.
            let Some((place, after)) = rest.split_at_mut_checked(part.len()) else { break };
            place.copy_from_slice(part);
            rest = after;
        }
        self.tail.skip(len);
        self.tables.add_entry(len, kind, hash, self.width);
        if kind == EntryKind::Remove {
            self.removals_len += len as u64;
        }
        let sequence = sequence.unwrap_or(self.header.id + at as u64);
        self.lowest = self.lowest.min(sequence);
        self.highest = self.highest.max(sequence);
        crate::layout::narrow(at)
    }

    /// Shows readers what was appended.
    #[inline]
    pub fn publish(&mut self) {
        self.tail.publish();
    }

    /// Ends the open frame, so that it can be written.
    pub fn close_frame(&mut self, now: Timestamp) {
        let Some((start, promised)) = self.open.take() else { return };
        let payload_start = start + header_len(promised);
        let mut payload_len = self.tail.len() - payload_start;
        if promised > PAYLOAD_LEN && payload_len < promised {
            // The header has a sum for each piece that was promised: zeros fill the last.
            let mut missing = promised - payload_len;
            while missing > 0 {
                let zeros = [0; 256];
                let len = missing.min(zeros.len());
                self.tail.append(&zeros[..len]);
                missing -= len;
            }
            self.tables.add_entry(promised - payload_len, EntryKind::Other, 0, 0);
            payload_len = promised;
        }
        self.tables.add_frame();
        self.time = self.time.max(now);
        let frame = Frame::plain(start, payload_len, now);
        self.frames_end = frame.end();
        self.closed.push(frame);
        self.tail.publish();
    }

    /// What is closed and not on its way yet.
    pub fn take_output(&mut self) -> Option<Output> {
        if self.closed.is_empty() && self.header_written {
            return None;
        }
        let header = (!self.header_written).then(|| self.header.encode());
        self.header_written = true;
        Some(Output {
            file: self.file.clone(),
            id: self.header.id,
            header,
            frames: std::mem::take(&mut self.closed),
            tail: self.tail.tail().clone(),
            written: self.written.clone(),
            packing: self.packing.clone(),
        })
    }

    /// Its memory, for another to use.
    pub fn into_memory(self) -> Arc<Tail> {
        self.tail.tail().clone()
    }

    /// Bytes of its frames.
    pub fn data_len(&self) -> u64 {
        (self.tail.len() - HEADER_LEN) as u64
    }

    /// Bytes of its removals.
    pub fn removals_len(&self) -> u64 {
        self.removals_len
    }

    /// Byte of the segment where the last closed frame ends.
    pub fn frames_end(&self) -> usize {
        self.frames_end
    }

    /// The frames that were written.
    pub fn frames(&self) -> Vec<Frame> {
        self.written.lock().frames.clone()
    }

    /// What its footer will say of its entries.
    pub fn entries(&self) -> impl Iterator<Item = FooterEntry> {
        self.tables.entries(self.width)
    }

    /// Lowest and highest sequence of its entries.
    pub fn range(&self) -> (u64, u64) {
        (self.lowest, self.highest)
    }

    /// Writes the footer behind what was written and cuts the file there; gives its length. `synced`
    /// says whether the frames are safe.
    ///
    /// # Errors
    /// What the disk says.
    pub fn write_footer(&self, synced: bool) -> io::Result<usize> {
        let written = self.written.lock();
        let summary = Summary {
            frames_end: written.end,
            count: 0,
            lowest: self.lowest,
            highest: self.highest,
            cut: self.cut,
            flush_due: self.flush_due,
            time: self.time,
            synced,
            width: self.width,
        };
        write_footer(&*self.file, self.header.id, &self.tables, &written.frames, &summary)
    }
}

/// Writes a footer behind the frames of a file; gives the file's length.
///
/// # Errors
/// What the disk says.
pub fn write_footer(
    file: &dyn DiskFile,
    id: u64,
    tables: &Tables,
    frames: &[Frame],
    summary: &Summary,
) -> io::Result<usize> {
    let bytes = footer::encode(id, tables, frames, summary);
    let len = summary.frames_end + bytes.len();
    file.write_at(summary.frames_end as u64, &bytes)?;
    file.set_len(len as u64)?;
    Ok(len)
}

impl Output {
    /// Writes the bytes, in pieces of about `WRITE_LEN`.
    ///
    /// # Errors
    /// What the disk says; nothing is known of the bytes then.
    pub fn write(&self, buffer: &mut Vec<u8>) -> io::Result<()> {
        const WRITE_LEN: usize = 256 * 1024;
        if let Some(header) = &self.header {
            self.file.write_at(0, header)?;
        }
        let published = self.tail.published();
        buffer.clear();
        let mut written = self.written.lock();
        let mut at = written.end;
        let mut packed = Vec::new();
        for frame in &self.frames {
            let payload = published.get(frame.payload_start()..frame.end()).unwrap_or_default();
            let mut frame = Frame { at: written.end, ..*frame };
            let mut stored = payload;
            if let Some(packing) = &self.packing {
                frame.form = packing.pack(payload, &mut packed);
                if frame.form.is_packed() {
                    stored = &packed;
                }
                frame.stored_len = stored.len();
            }
            frame::encode(self.id, &frame, stored, buffer);
            written.end = frame.stored_end();
            written.frames.push(frame);
            if buffer.len() >= WRITE_LEN {
                self.file.write_at(at as u64, buffer)?;
                at += buffer.len();
                buffer.clear();
            }
        }
        if !buffer.is_empty() {
            self.file.write_at(at as u64, buffer)?;
        }
        Ok(())
    }

    /// Has the store's codec learn from what is written.
    ///
    /// # Errors
    /// What the disk says.
    pub fn teach(&self, home: &Home) -> io::Result<()> {
        let Some(packing) = &self.packing else { return Ok(()) };
        let published = self.tail.published();
        let entries = self.frames.iter().flat_map(|frame| {
            let mut rest = published.get(frame.payload_start()..frame.end()).unwrap_or_default();
            std::iter::from_fn(move || {
                let entry = record::parse(rest)?;
                let (bytes, after) = rest.split_at_checked(entry.len)?;
                rest = after;
                Some(bytes)
            })
        });
        packing.learn(entries, home)
    }
}
