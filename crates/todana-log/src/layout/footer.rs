//! The footer of a complete segment: what the index needs of each entry, so that a store is opened
//! without reading its records.
//!
//! ```text
//! entries   varint (length of the entry × 4 + kind), then, of a put or remove, the highest bytes of the
//!           index hash, the highest first
//! frames    varint length of the payload of each; of extended ones also varint (length of what is
//!           stored × 8 + form)
//! trailer   see the code; the last bytes of the file
//! ```

use super::frame::{Form, Frame, header_len};
use super::header::HEADER_LEN;
use super::narrow;
use super::record::Operation;
use crc32c::{crc32c, crc32c_append};
use todana_record::{Expiry, Reader, Timestamp, varint};

/// Bytes of the trailer.
pub const TRAILER_LEN: usize = 72;
const MAGIC: &[u8; 8] = b"todanaFT";
const TIME_MASK: u64 = (1 << 48) - 1;
const SYNCED: u64 = 1 << 48;
/// Its frames are extended.
const EXTENDED: u64 = 1 << 49;
/// Two numbers of a frame's lengths, and its extension.
const FRAME_LEN_MAX: usize = 5 + 5 + 8;
const WIDTH_SHIFT: u32 = 56;
/// No byte of a segment lies behind this one, whatever lengths a table claims: no sum of them overflows.
const SEGMENT_LEN_MAX: usize = 1 << 28;

/// What an entry is to the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// The key has a record here.
    Put,
    /// The key has a record here whose value is in a blob.
    Blob,
    /// The key has none.
    Remove,
    /// No key's business.
    Other,
}

impl EntryKind {
    /// What an operation is to the index.
    #[inline]
    pub const fn of(operation: Operation) -> EntryKind {
        match operation {
            Operation::Put => EntryKind::Put,
            Operation::PutBlob => EntryKind::Blob,
            Operation::Remove => EntryKind::Remove,
            Operation::Flush | Operation::FlushDue | Operation::Unit | Operation::Own => {
                EntryKind::Other
            }
        }
    }
}

/// The tables of a footer, while their segment is written.
#[derive(Debug, Default)]
pub struct Tables {
    entries: Vec<u8>,
    frame_count: usize,
    count: u32,
}

impl Tables {
    /// Adds an entry of `len` bytes, and the first `width` bytes of its hash.
    #[inline]
    pub fn add_entry(&mut self, len: usize, kind: EntryKind, hash: u64, width: usize) {
        let code = match kind {
            EntryKind::Put => 0,
            EntryKind::Remove => 1,
            EntryKind::Other => 2,
            EntryKind::Blob => 3,
        };
        varint::encode((len as u64) << 2 | code, &mut self.entries);
        if kind != EntryKind::Other {
            // A fixed length is cheaper to copy than the right one.
            let end = self.entries.len() + width;
            self.entries.extend_from_slice(&hash.to_be_bytes());
            self.entries.truncate(end);
        }
        self.count += 1;
    }

    /// Counts a frame, for [`footer_len_max`](Tables::footer_len_max).
    #[inline]
    pub fn add_frame(&mut self) {
        self.frame_count += 1;
    }

    /// The entries so far. Their offsets mean nothing.
    pub fn entries(&self, width: usize) -> FooterReader<'_> {
        FooterReader {
            entries: Reader::new(&self.entries),
            frames: Reader::new(&[]),
            extended: false,
            width,
            at: 0,
            frame_end: usize::MAX,
        }
    }

    /// No fewer bytes than the footer takes so far, and extended frames take beyond their payload.
    #[inline]
    pub fn footer_len_max(&self) -> usize {
        self.entries.len() + self.frame_count * FRAME_LEN_MAX + TRAILER_LEN
    }
}

/// What the trailer says of the whole segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Byte where the last frame ends.
    pub frames_end: usize,
    /// Entries.
    pub count: u32,
    /// Lowest and highest sequence of its entries.
    pub lowest: u64,
    /// See `lowest`.
    pub highest: u64,
    /// Everything at or before this sequence was flushed when the segment ended.
    pub cut: u64,
    /// When a flush was due then.
    pub flush_due: Expiry,
    /// The store's clock at its last frame.
    pub time: Timestamp,
    /// Whether the frames had been synced when the footer was written.
    pub synced: bool,
    /// Bytes of hash that each entry has.
    pub width: usize,
}

/// The bytes of a whole footer.
pub fn encode(segment: u64, tables: &Tables, frames: &[Frame], summary: &Summary) -> Vec<u8> {
    let mut out = Vec::with_capacity(tables.footer_len_max());
    out.extend_from_slice(&tables.entries);
    let extended = frames.iter().any(|frame| frame.form != Form::Plain);
    for frame in frames {
        varint::encode(frame.payload_len as u64, &mut out);
        if extended {
            varint::encode((frame.stored_len as u64) << 3 | frame.form.code(), &mut out);
        }
    }
    let frames_len = out.len() - tables.entries.len();
    let sum = crc32c(&out);
    let trailer = out.len();
    out.extend_from_slice(MAGIC);
    super::put_u32(&mut out, narrow(summary.frames_end));
    super::put_u32(&mut out, narrow(tables.entries.len()));
    super::put_u32(&mut out, narrow(frames_len));
    super::put_u32(&mut out, tables.count);
    super::put_u64(&mut out, summary.lowest);
    super::put_u64(&mut out, summary.highest);
    super::put_u64(&mut out, summary.cut);
    super::put_u64(&mut out, summary.flush_due.ms());
    let synced = if summary.synced { SYNCED } else { 0 };
    let extended = if extended { EXTENDED } else { 0 };
    let width = (summary.width as u64) << WIDTH_SHIFT;
    super::put_u64(&mut out, summary.time.ms() & TIME_MASK | synced | extended | width);
    super::put_u32(&mut out, sum);
    let sum = crc32c_append(crc32c(&segment.to_le_bytes()), &out[trailer..]);
    super::put_u32(&mut out, sum);
    out
}

/// Lengths that a trailer names, so that the tables can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trailer {
    /// What it says.
    pub summary: Summary,
    entries_len: usize,
    frames_len: usize,
    extended: bool,
    sum: u32,
}

impl Trailer {
    /// `None` when the bytes are no trailer of this segment.
    pub fn decode(segment: u64, bytes: &[u8; TRAILER_LEN]) -> Option<Trailer> {
        let (head, sum) = bytes.split_last_chunk::<4>()?;
        if crc32c_append(crc32c(&segment.to_le_bytes()), head) != u32::from_le_bytes(*sum) {
            return None;
        }
        let mut reader = Reader::new(head);
        if reader.take(MAGIC.len())? != MAGIC {
            return None;
        }
        let mut len = || usize::try_from(reader.u32_le()?).ok();
        let (frames_end, entries_len, frames_len) = (len()?, len()?, len()?);
        // Each entry has a byte at least.
        let count = reader.u32_le().filter(|&count| count as usize <= entries_len)?;
        if frames_end < HEADER_LEN {
            return None;
        }
        let (lowest, highest, cut) = (reader.u64_le()?, reader.u64_le()?, reader.u64_le()?);
        let flush_due = Expiry::at_ms(reader.u64_le()?);
        let packed = reader.u64_le()?;
        let summary = Summary {
            frames_end,
            count,
            lowest,
            highest,
            cut,
            flush_due,
            time: Timestamp::from_ms(packed & TIME_MASK),
            synced: packed & SYNCED != 0,
            width: usize::try_from(packed >> WIDTH_SHIFT).ok().filter(|&width| width <= 8)?,
        };
        let extended = packed & EXTENDED != 0;
        Some(Trailer { summary, entries_len, frames_len, extended, sum: reader.u32_le()? })
    }

    /// Bytes of the tables, which end where the trailer begins.
    pub const fn tables_len(&self) -> usize {
        self.entries_len + self.frames_len
    }

    /// Checks the tables and gives them to be read.
    pub fn tables<'t>(&self, bytes: &'t [u8]) -> Option<FooterReader<'t>> {
        if crc32c(bytes) != self.sum {
            return None;
        }
        let (entries, frames) = bytes.split_at_checked(self.entries_len)?;
        Some(FooterReader {
            entries: Reader::new(entries),
            frames: Reader::new(frames),
            extended: self.extended,
            width: self.summary.width,
            at: HEADER_LEN,
            frame_end: HEADER_LEN,
        })
    }
}

/// An entry as a footer tells of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FooterEntry {
    /// Byte in the segment.
    pub offset: usize,
    /// Bytes.
    pub len: usize,
    /// What it is to the index.
    pub kind: EntryKind,
    /// The highest bytes of the hash; the others are 0.
    pub hash: u64,
}

/// Walks the tables of a footer, entry by entry.
#[derive(Debug, Clone)]
pub struct FooterReader<'t> {
    entries: Reader<'t>,
    frames: Reader<'t>,
    extended: bool,
    width: usize,
    at: usize,
    frame_end: usize,
}

impl Iterator for FooterReader<'_> {
    type Item = FooterEntry;

    fn next(&mut self) -> Option<FooterEntry> {
        let code = self.entries.varint()?;
        let kind = match code & 3 {
            0 => EntryKind::Put,
            1 => EntryKind::Remove,
            2 => EntryKind::Other,
            _ => EntryKind::Blob,
        };
        let len = usize::try_from(code >> 2).ok().filter(|&len| len <= SEGMENT_LEN_MAX)?;
        let mut hash = [0; 8];
        if kind != EntryKind::Other {
            hash.get_mut(..self.width)?.copy_from_slice(self.entries.take(self.width)?);
        }
        if self.at == self.frame_end {
            let (payload_len, ..) = self.next_frame()?;
            self.at += header_len(payload_len);
            self.frame_end = self.at + payload_len;
        }
        let offset = self.at;
        self.at = Some(self.at + len).filter(|&end| end <= SEGMENT_LEN_MAX)?;
        Some(FooterEntry { offset, len, kind, hash: u64::from_be_bytes(hash) })
    }
}

/// The frames that a footer names, their times unknown.
pub fn frames(tables: &FooterReader<'_>) -> Vec<Frame> {
    let mut reader = tables.clone();
    let (mut start, mut at) = (HEADER_LEN, HEADER_LEN);
    let mut frames = Vec::new();
    while let Some((payload_len, stored_len, form)) = reader.next_frame() {
        let time = Timestamp::from_ms(0);
        let frame = Frame { start, payload_len, time, form, at, stored_len };
        (start, at) = (frame.end(), frame.stored_end());
        if start.max(at) > SEGMENT_LEN_MAX {
            break;
        }
        frames.push(frame);
    }
    frames
}

impl FooterReader<'_> {
    /// Lengths of the next frame's payload and of what is stored, and how.
    fn next_frame(&mut self) -> Option<(usize, usize, Form)> {
        let len = |number: u64| usize::try_from(number).ok().filter(|&len| len <= SEGMENT_LEN_MAX);
        let payload_len = len(self.frames.varint()?)?;
        if !self.extended {
            return Some((payload_len, payload_len, Form::Plain));
        }
        let stored = self.frames.varint()?;
        Some((payload_len, len(stored >> 3)?, Form::of_code(stored & 7)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes_and_round_trip() {
        let mut tables = Tables::default();
        tables.add_frame();
        tables.add_entry(19, EntryKind::Put, 0x1122_3344_5566_7788, 4);
        tables.add_entry(20, EntryKind::Remove, 0xaabb_ccdd_0000_0000, 4);
        tables.add_frame();
        tables.add_entry(300, EntryKind::Other, 5, 4);
        let summary = Summary {
            frames_end: 64 + 20 + 39 + 20 + 300,
            count: 3,
            lowest: 1,
            highest: 2,
            cut: 3,
            flush_due: Expiry::at_ms(4),
            time: Timestamp::from_ms(5),
            synced: true,
            width: 4,
        };
        let first = Frame::plain(64, 39, Timestamp::from_ms(5));
        let second = Frame::plain(first.end(), 300, Timestamp::from_ms(5));
        let bytes = encode(7, &tables, &[first, second], &summary);
        assert!(bytes.len() <= tables.footer_len_max());
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let golden = "4c1122334451aabbccddb20927ac02\
                      746f64616e614654bb0100000c00000003000000030000000100000000000000\
                      020000000000000003000000000000000400000000000000050000000000010499096d1eaa35ce07";
        assert_eq!(hex, golden);
        let (rest, trailer) = bytes.split_last_chunk::<TRAILER_LEN>().unwrap();
        let trailer = Trailer::decode(7, trailer).unwrap();
        assert_eq!((trailer.summary, trailer.tables_len()), (summary, rest.len()));
        let tables = trailer.tables(rest).unwrap();
        assert_eq!(frames(&tables).len(), 2);
        let entries: Vec<_> = tables.collect();
        let entry = |offset, len, kind, hash| FooterEntry { offset, len, kind, hash };
        assert_eq!(
            entries,
            [
                entry(84, 19, EntryKind::Put, 0x1122_3344_0000_0000),
                entry(103, 20, EntryKind::Remove, 0xaabb_ccdd_0000_0000),
                entry(143, 300, EntryKind::Other, 0),
            ]
        );
        let mut flipped = rest.to_vec();
        flipped[3] ^= 1;
        assert!(trailer.tables(&flipped).is_none());
        let (_, of_another) = bytes.split_last_chunk::<TRAILER_LEN>().unwrap();
        assert_eq!(Trailer::decode(8, of_another), None);
    }
    #[test]
    fn golden_bytes_of_extended_frames() {
        let time = Timestamp::from_ms(5);
        let mut tables = Tables::default();
        let first = Frame { form: Form::Loose, ..Frame::plain(64, 39, time) };
        let second = Frame {
            form: Form::PackedWithDictionary,
            at: first.stored_end(),
            stored_len: 120,
            ..Frame::plain(first.end(), 300, time)
        };
        let known = [first, second];
        for (frame, kind) in known.iter().zip([EntryKind::Put, EntryKind::Other]) {
            tables.add_frame();
            tables.add_entry(frame.payload_len, kind, 0x1122_3344_5566_7788, 4);
        }
        let summary = Summary {
            frames_end: second.stored_end(),
            count: 2,
            lowest: 1,
            highest: 2,
            cut: 3,
            flush_due: Expiry::at_ms(4),
            time,
            synced: true,
            width: 4,
        };
        let bytes = encode(7, &tables, &known, &summary);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let golden = "9c0111223344b20927b902ac02c707746f64\
                      616e614654170100000800000007000000020000000100000000000000020000\
                      0000000000030000000000000004000000000000000500000000000304b7388773803d2d08";
        assert_eq!(hex, golden);
        let (rest, trailer) = bytes.split_last_chunk::<TRAILER_LEN>().unwrap();
        let tables = Trailer::decode(7, trailer).unwrap().tables(rest).unwrap();
        let of_footer = known.map(|frame| Frame { time: Timestamp::from_ms(0), ..frame });
        assert_eq!(frames(&tables), of_footer);
        // Entries are found by their byte in the segment, not in the file.
        let offsets: Vec<usize> = tables.map(|entry| entry.offset).collect();
        assert_eq!(offsets, [first.payload_start(), second.payload_start()]);
    }

    #[test]
    fn lengths_that_no_segment_has_end_the_tables() {
        fn of_tables<'t>(entries: &'t [u8], lens: &'t [u8], extended: bool) -> FooterReader<'t> {
            FooterReader {
                entries: Reader::new(entries),
                frames: Reader::new(lens),
                extended,
                width: 0,
                at: HEADER_LEN,
                frame_end: HEADER_LEN,
            }
        }
        let number = |value: u64| {
            let mut out = Vec::new();
            varint::encode(value, &mut out);
            out
        };
        let (most, frame) = (number(u64::MAX << 2 | 2), number(1 << 28));
        assert_eq!(of_tables(&most.repeat(8), &number(9), false).count(), 0);
        let (long, lens) = (number((1 << 27) << 2 | 2).repeat(9), frame.repeat(9));
        assert_eq!(of_tables(&long, &lens, false).count(), 1);
        assert_eq!(frames(&of_tables(&[], &lens, false)), []);
        let lens = [number(1), number((1 << 28) << 3 | 1)].concat().repeat(9);
        assert_eq!(frames(&of_tables(&[], &lens, true)), []);
    }
}
