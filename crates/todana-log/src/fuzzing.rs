//! The decoders of a store's bytes, for the fuzz targets of `fuzz/` alone: no part of the interface.
//!
//! Each function takes any bytes and panics when a promise of a decoder is broken. Checksums keep a fuzzer
//! out, so most of its input goes through the encoder, or gets right sums, before it is decoded.

use crate::layout::footer::{self, EntryKind, FooterEntry, Summary, TRAILER_LEN, Tables, Trailer};
use crate::layout::frame::{self, Frame, PIECE_LEN, header_len};
use crate::layout::header::{HEADER_LEN, SegmentHeader, SegmentKind};
use crate::layout::identity::{Identity, StoreKind};
use crate::layout::record::{self, Fields, Record};
use crc32c::{crc32c, crc32c_append};
use todana_record::{Expiry, Reader, Timestamp};

/// Numbers from a fuzzer's input; zeros when it has ended.
fn number(reader: &mut Reader<'_>, len: usize) -> u64 {
    (0..len).fold(0, |number, _| number << 8 | u64::from(reader.u8().unwrap_or(0)))
}

/// A number of few bytes, so that it can be a length in memory.
fn short(reader: &mut Reader<'_>, len: usize) -> usize {
    usize::try_from(number(reader, len)).unwrap_or(0)
}

fn rest<'r>(reader: &mut Reader<'r>, all: &'r [u8], used: usize) -> &'r [u8] {
    let _ = reader.take(used);
    all.get(used..).unwrap_or_default()
}

/// `bytes` with one bit turned over.
fn flipped(bytes: &[u8], at: u64) -> Vec<u8> {
    let mut flipped = bytes.to_vec();
    let bit = usize::try_from(at).unwrap_or(0) % (8 * bytes.len());
    flipped[bit / 8] ^= 1 << (bit % 8);
    flipped
}

/// A record: its parts are in its bytes, it ends where it says, and encoding it gives it again.
pub fn record(bytes: &[u8]) {
    let Some(record) = record::parse(bytes) else { return };
    assert!(record.len > 0 && record.len <= bytes.len());
    assert!(record.key.len() + record.value.len() < record.len);
    assert_eq!(record::parse(&bytes[..record.len]), Some(record));
    assert_eq!(record::parse(&bytes[..record.len - 1]), None);
    let Record {
        operation, flags, expiry, kind, stale, won, position, version_back, number, ..
    } = record;
    let fields =
        Fields { operation, flags, expiry, kind, stale, won, position, version_back, number };
    let mut again = fields.encode(record.key.len(), record.value.len()).to_vec();
    again.extend_from_slice(record.key);
    again.extend_from_slice(record.value);
    // Fields that are there and empty need not be.
    assert!(again.len() <= record.len);
    assert_eq!(record::parse(&again), Some(Record { len: again.len(), ..record }));
}

/// A frame: as bytes of a file, and as a payload to be written.
pub fn frame(bytes: &[u8]) {
    let mut reader = Reader::new(bytes);
    let (segment, start, at) =
        (number(&mut reader, 8), short(&mut reader, 4), number(&mut reader, 4));
    let bytes = rest(&mut Reader::new(bytes), bytes, 16);
    if let Some((frame, sums)) = frame::read_header(segment, start, bytes) {
        assert_eq!((frame.at, sums.len()), (start, 4 * frame.stored_len.div_ceil(PIECE_LEN)));
        assert!(frame.stored_start() - start <= bytes.len());
        if let Some(stored) = bytes.get(frame.stored_start() - start..frame.stored_end() - start) {
            frame::is_intact(stored, sums);
        }
    }
    if bytes.is_empty() {
        return;
    }
    let frame = Frame::plain(start, bytes.len(), Timestamp::from_ms(at));
    let mut out = Vec::new();
    frame::encode(segment, &frame, bytes, &mut out);
    assert_eq!(out.len(), frame.end() - start);
    assert!(is_frame(segment, &frame, &out));
    assert!(!is_frame(segment, &frame, &flipped(&out, at)), "a flip passed");
    assert!(!is_frame(segment ^ 1 << (at % 64), &frame, &out), "a frame of another segment passed");
    assert!(!is_frame(segment, &frame, &out[..out.len() - 1]), "a torn frame passed");
}

fn is_frame(segment: u64, frame: &Frame, bytes: &[u8]) -> bool {
    let Some((read, sums)) = frame::read_header(segment, frame.start, bytes) else { return false };
    let payload = bytes.get(read.payload_start() - read.start..read.end() - read.start);
    read == *frame && payload.is_some_and(|payload| frame::is_intact(payload, sums))
}

/// A segment's header: as bytes of a file, and as one to be written.
pub fn header(bytes: &[u8]) {
    if let Some(header) = SegmentHeader::decode(bytes) {
        let again = header.encode();
        assert_eq!(again.len(), HEADER_LEN);
        assert_eq!(SegmentHeader::decode(&again), Some(header));
    }
    let mut reader = Reader::new(bytes);
    let (at, previous) = (number(&mut reader, 2), number(&mut reader, 8));
    let end = u32::try_from(number(&mut reader, 4)).unwrap_or(0);
    let header = SegmentHeader {
        kind: if at.is_multiple_of(2) { SegmentKind::Log } else { SegmentKind::Pack },
        incarnation: u32::try_from(number(&mut reader, 4)).unwrap_or(0),
        store: number(&mut reader, 8),
        id: number(&mut reader, 8),
        previous: (previous != 0).then_some((previous, end)),
        cut: number(&mut reader, 8),
        flush_due: Expiry::at_ms(number(&mut reader, 8)),
    };
    let out = header.encode();
    assert_eq!(SegmentHeader::decode(&out), Some(header));
    assert_eq!(SegmentHeader::decode(&flipped(&out, at)), None, "a flip passed");
    assert_eq!(SegmentHeader::decode(&out[..HEADER_LEN - 1]), None);
}

/// A footer: tables to be written, and any bytes as tables whose checksums are right.
pub fn footer(bytes: &[u8]) {
    let mut reader = Reader::new(bytes);
    let (segment, at) = (number(&mut reader, 8), number(&mut reader, 8));
    let bytes = rest(&mut Reader::new(bytes), bytes, 16);
    written_footer(segment, at, bytes);
    read_footer(segment, bytes);
    read_footer(segment, &with_right_sums(segment, bytes));
}

fn written_footer(segment: u64, at: u64, bytes: &[u8]) {
    let mut reader = Reader::new(bytes);
    let width = short(&mut reader, 1) % 9;
    let mut tables = Tables::default();
    let (mut frames, mut entries, mut offset) = (Vec::new(), Vec::new(), HEADER_LEN);
    while let Some(count) = reader.u8() {
        let mut payload = Vec::new();
        for _ in 0..=count % 4 {
            let len = short(&mut reader, 2) + 1;
            let kind = [EntryKind::Put, EntryKind::Remove, EntryKind::Other][len % 3];
            let hash = number(&mut reader, 8);
            payload.push((len, kind, hash));
        }
        let len = payload.iter().map(|(len, ..)| len).sum();
        tables.add_frame();
        frames.push(Frame::plain(offset, len, Timestamp::from_ms(0)));
        offset += header_len(len);
        for (len, kind, hash) in payload {
            tables.add_entry(len, kind, hash, width);
            let mask = if width == 0 { 0 } else { u64::MAX << (64 - 8 * width) };
            let hash = if kind == EntryKind::Other { 0 } else { hash & mask };
            entries.push(FooterEntry { offset, len, kind, hash });
            offset += len;
        }
    }
    let summary = Summary {
        frames_end: offset,
        count: u32::try_from(entries.len()).unwrap_or(0),
        lowest: at,
        highest: at ^ segment,
        cut: segment,
        flush_due: Expiry::at_ms(at),
        time: Timestamp::from_ms(at >> 16),
        synced: at.is_multiple_of(2),
        width,
    };
    let out = footer::encode(segment, &tables, &frames, &summary);
    assert!(out.len() <= tables.footer_len_max());
    assert_eq!(read_footer(segment, &out), Some((summary, entries)));
    assert_eq!(read_footer(segment, &flipped(&out, at)), None, "a flip passed");
}

/// What a file that ends with these bytes says.
fn read_footer(segment: u64, bytes: &[u8]) -> Option<(Summary, Vec<FooterEntry>)> {
    let (tables, trailer) = bytes.split_last_chunk::<TRAILER_LEN>()?;
    let trailer = Trailer::decode(segment, trailer)?;
    let tables = tables.get(tables.len().checked_sub(trailer.tables_len())?..)?;
    let reader = trailer.tables(tables)?;
    let mut at = HEADER_LEN;
    for frame in footer::frames(&reader) {
        assert_eq!(frame.start, at);
        at = frame.end();
    }
    let entries: Vec<FooterEntry> = reader.collect();
    assert!(entries.len() <= tables.len());
    for pair in entries.windows(2) {
        assert!(pair[0].offset + pair[0].len <= pair[1].offset, "entries overlap");
    }
    Some((trailer.summary, entries))
}

const MAGIC_LEN: usize = 8;

/// The end of a segment's file with the lengths and sums of a footer over all of its bytes.
fn with_right_sums(segment: u64, bytes: &[u8]) -> Vec<u8> {
    let mut out = bytes.to_vec();
    let Some((tables, trailer)) = out.split_last_chunk_mut::<TRAILER_LEN>() else { return out };
    let of_none = Summary {
        frames_end: 0,
        count: 0,
        lowest: 0,
        highest: 0,
        cut: 0,
        flush_due: Expiry::NEVER,
        time: Timestamp::from_ms(0),
        synced: false,
        width: 0,
    };
    let magic = footer::encode(segment, &Tables::default(), &[], &of_none);
    trailer[..MAGIC_LEN].copy_from_slice(&magic[..MAGIC_LEN]);
    trailer[MAGIC_LEN] |= 64;
    let given = u32::from_le_bytes([trailer[12], trailer[13], 0, 0]);
    let len = u32::try_from(tables.len()).unwrap_or(0);
    let entries_len = given % (len + 1);
    trailer[12..16].copy_from_slice(&entries_len.to_le_bytes());
    trailer[16..20].copy_from_slice(&(len - entries_len).to_le_bytes());
    let count = u32::from_le_bytes([trailer[20], trailer[21], 0, 0]) % (entries_len + 1);
    trailer[20..24].copy_from_slice(&count.to_le_bytes());
    trailer[TRAILER_LEN - 9] %= 9;
    trailer[TRAILER_LEN - 8..TRAILER_LEN - 4].copy_from_slice(&crc32c(tables).to_le_bytes());
    seal_trailer(segment, trailer);
    out
}

fn seal_trailer(segment: u64, trailer: &mut [u8; TRAILER_LEN]) {
    let (head, sum) = trailer.split_at_mut(TRAILER_LEN - 4);
    sum.copy_from_slice(&crc32c_append(crc32c(&segment.to_le_bytes()), head).to_le_bytes());
}

/// The file `store`: as it is, and with a right checksum.
pub fn identity(bytes: &[u8]) {
    let mut sealed = bytes.to_vec();
    sealed.extend_from_slice(&crc32c(bytes).to_le_bytes());
    for bytes in [bytes, &sealed] {
        let Ok(identity) = Identity::decode(StoreKind::HASH, bytes) else { continue };
        let again = identity.encode();
        assert_eq!(Identity::decode(StoreKind::HASH, &again), Ok(identity));
        let at = u64::from(crc32c(bytes));
        assert!(Identity::decode(StoreKind::HASH, &flipped(&again, at)).is_err(), "a flip passed");
        assert!(Identity::decode(StoreKind::HASH, &again[..again.len() - 1]).is_err());
    }
}

/// The file `store` of an empty store that is the same each time.
pub fn empty_store() -> Vec<u8> {
    let mut identity = Identity {
        of: StoreKind::HASH,
        store: 1,
        seed: 2,
        partitions: 1,
        versions: true,
        codec: String::new(),
        next_id: 1,
        applied: 0,
        incarnation: 0,
        clean: true,
        starts: Vec::new(),
    };
    identity.begin_incarnation(1, 0);
    identity.encode()
}

/// Gives the frames and the footer of a segment's file right checksums, as far as their lengths lead.
pub fn repair(segment: u64, file: &mut [u8]) {
    let mut at = HEADER_LEN;
    while let Some(len) = file.get(at + 4..at + 8).and_then(|len| Reader::new(len).u32_le()) {
        let payload_len = usize::try_from(len).unwrap_or(0);
        let end = at + header_len(payload_len) + payload_len;
        if payload_len == 0 || end > file.len() {
            break;
        }
        let payload = file[end - payload_len..end].to_vec();
        let time = file[at + 8..at + 14].iter().rev();
        let time = time.fold(0, |time, &byte| time << 8 | u64::from(byte));
        let frame = Frame::plain(at, payload_len, Timestamp::from_ms(time));
        let mut out = Vec::new();
        frame::encode(segment, &frame, &payload, &mut out);
        file[at..end].copy_from_slice(&out);
        at = end;
    }
    if let Some((tables, trailer)) = file.split_last_chunk_mut::<TRAILER_LEN>()
        && let Some(tables) = tables.get(at..)
    {
        trailer[TRAILER_LEN - 8..TRAILER_LEN - 4].copy_from_slice(&crc32c(tables).to_le_bytes());
        seal_trailer(segment, trailer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn right_sums_are_taken() {
        let summary = read_footer(7, &with_right_sums(7, &[3; 200]));
        assert!(summary.is_some());
        assert!(Identity::decode(StoreKind::HASH, &empty_store()).is_ok());
        let frame = Frame::plain(HEADER_LEN, 5, Timestamp::from_ms(9));
        let mut file = vec![0; HEADER_LEN];
        frame::encode(7, &frame, b"hello", &mut file);
        file[HEADER_LEN + 20] = b'H';
        assert!(!is_frame(7, &frame, &file[HEADER_LEN..]));
        repair(7, &mut file);
        assert!(is_frame(7, &frame, &file[HEADER_LEN..]));
    }

    #[test]
    fn any_bytes_are_taken() {
        for seed in 0..200 {
            let mut random = todana_io::Generator::new(seed);
            let bytes: Vec<u8> =
                (0..random.below(400)).map(|_| random.next_u64().to_le_bytes()[0]).collect();
            for target in [record, frame, header, identity] {
                target(&bytes);
            }
        }
    }
}
