//! A frame: the entries that were written together, with their checksums. The unit of a commit.
//!
//! ```text
//! u32 checksum of the rest of the header, seeded with the segment's id and the frame's place in the file
//! u32 length of the payload
//! u64 low 48 bits: time of the store's clock in ms; bit 48: extended, 49: packed, 50: with dictionary
//! extended: u32 length of what is stored, u32 byte of the segment where the frame begins
//! u32 × ⌈length of what is stored / 16 KiB⌉ checksums of its pieces
//! what is stored: the payload (entries, none of them cut), or the payload packed by the store's codec
//! ```
//!
//! Entries are found by their byte in the *segment*: the log as it would be without packing. Only in a
//! store with a codec, whose frames are extended, does a frame stand elsewhere in the file.

use crc32c::{crc32c, crc32c_append};
use todana_record::{Reader, Timestamp};

/// Bytes that share a checksum.
pub const PIECE_LEN: usize = 16 * 1024;
/// A frame of small entries ends before its payload passes this.
pub const PAYLOAD_LEN: usize = PIECE_LEN;
/// No payload is longer: a segment is at most half of that.
const PAYLOAD_LEN_MAX: usize = 1 << 27;
const FIXED_LEN: usize = 16;
const EXTENSION_LEN: usize = 8;
const TIME_MASK: u64 = (1 << 48) - 1;
const EXTENDED: u64 = 1 << 48;
const PACKED: u64 = 1 << 49;
const WITH_DICTIONARY: u64 = 1 << 50;

/// Bytes of the header of a frame with this payload, in the segment.
#[inline]
pub const fn header_len(payload_len: usize) -> usize {
    FIXED_LEN + 4 * payload_len.div_ceil(PIECE_LEN)
}

/// How a payload is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As it is, in a store without a codec.
    Plain,
    /// As it is: it would not be shorter.
    Loose,
    /// Packed by the store's codec.
    Packed,
    /// Packed with the store's dictionary.
    PackedWithDictionary,
}

impl Form {
    const fn bits(self) -> u64 {
        match self {
            Form::Plain => 0,
            Form::Loose => EXTENDED,
            Form::Packed => EXTENDED | PACKED,
            Form::PackedWithDictionary => EXTENDED | PACKED | WITH_DICTIONARY,
        }
    }

    const fn of(bits: u64) -> Option<Form> {
        const PACKED_WITH_DICTIONARY: u64 = Form::PackedWithDictionary.bits();
        const JUST_PACKED: u64 = Form::Packed.bits();
        match bits {
            0 => Some(Form::Plain),
            EXTENDED => Some(Form::Loose),
            JUST_PACKED => Some(Form::Packed),
            PACKED_WITH_DICTIONARY => Some(Form::PackedWithDictionary),
            _ => None,
        }
    }

    /// As footers have it.
    pub const fn code(self) -> u64 {
        self.bits() >> 48
    }

    /// What a code in a footer means.
    pub const fn of_code(code: u64) -> Option<Form> {
        Form::of(code << 48)
    }

    /// Whether a codec has made it shorter.
    #[inline]
    pub const fn is_packed(self) -> bool {
        matches!(self, Form::Packed | Form::PackedWithDictionary)
    }
}

/// Where a frame lies in its segment and in the file, and when it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Byte of its header in the segment.
    pub start: usize,
    /// Bytes of its entries.
    pub payload_len: usize,
    /// When it was closed, by the store's clock.
    pub time: Timestamp,
    /// How it is stored.
    pub form: Form,
    /// Byte of its header in the file.
    pub at: usize,
    /// Bytes behind the header in the file.
    pub stored_len: usize,
}

impl Frame {
    /// One that stands in the file as in the segment.
    #[inline]
    pub const fn plain(start: usize, payload_len: usize, time: Timestamp) -> Frame {
        Frame { start, payload_len, time, form: Form::Plain, at: start, stored_len: payload_len }
    }

    /// Byte of the segment where its entries begin.
    #[inline]
    pub const fn payload_start(&self) -> usize {
        self.start + header_len(self.payload_len)
    }

    /// Byte of the segment where it ends.
    #[inline]
    pub const fn end(&self) -> usize {
        self.payload_start() + self.payload_len
    }

    /// Byte of the file where what is stored begins.
    #[inline]
    pub const fn stored_start(&self) -> usize {
        let extension = if matches!(self.form, Form::Plain) { 0 } else { EXTENSION_LEN };
        self.at + extension + header_len(self.stored_len)
    }

    /// Byte of the file where it ends.
    #[inline]
    pub const fn stored_end(&self) -> usize {
        self.stored_start() + self.stored_len
    }
}

fn seed(segment: u64, at: usize) -> u32 {
    let seed = crc32c(&segment.to_le_bytes());
    crc32c_append(seed, &(at as u64).to_le_bytes())
}

/// Appends header and what is stored.
pub fn encode(segment: u64, frame: &Frame, stored: &[u8], out: &mut Vec<u8>) {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    super::put_u32(out, super::narrow(frame.payload_len));
    super::put_u64(out, frame.time.ms() & TIME_MASK | frame.form.bits());
    if frame.form != Form::Plain {
        super::put_u32(out, super::narrow(stored.len()));
        super::put_u32(out, super::narrow(frame.start));
    }
    for piece in stored.chunks(PIECE_LEN) {
        super::put_u32(out, crc32c(piece));
    }
    let sum = crc32c_append(seed(segment, frame.at), &out[at + 4..]);
    out[at..at + 4].copy_from_slice(&sum.to_le_bytes());
    out.extend_from_slice(stored);
}

/// Reads and checks the header of the frame at byte `at` of the file, whose bytes (as far as there are
/// any) are `bytes`; gives the frame and the checksums of its pieces. `None` when it is not one.
pub fn read_header(segment: u64, at: usize, bytes: &[u8]) -> Option<(Frame, &[u8])> {
    let mut reader = Reader::new(bytes);
    let sum = reader.u32_le()?;
    let payload_len = usize::try_from(reader.u32_le()?).ok()?;
    let time = reader.u64_le()?;
    let form = Form::of(time & !TIME_MASK)?;
    if payload_len == 0 || payload_len > PAYLOAD_LEN_MAX {
        return None;
    }
    let (mut stored_len, mut start) = (payload_len, at);
    if form != Form::Plain {
        stored_len = usize::try_from(reader.u32_le()?).ok()?;
        start = usize::try_from(reader.u32_le()?).ok()?;
        let fits =
            if form.is_packed() { stored_len < payload_len } else { stored_len == payload_len };
        if !fits || start > PAYLOAD_LEN_MAX {
            return None;
        }
    }
    let sums = reader.take(4 * stored_len.div_ceil(PIECE_LEN))?;
    let time = Timestamp::from_ms(time & TIME_MASK);
    let frame = Frame { start, payload_len, time, form, at, stored_len };
    let header = bytes.get(4..frame.stored_start() - at)?;
    (crc32c_append(seed(segment, at), header) == sum).then_some((frame, sums))
}

/// Whether what is stored is what its checksums say.
pub fn is_intact(stored: &[u8], sums: &[u8]) -> bool {
    let mut sums = sums.chunks_exact(4);
    let same = |piece: &[u8], sum: Option<&[u8]>| sum == Some(&crc32c(piece).to_le_bytes()[..]);
    stored.chunks(PIECE_LEN).all(|piece| same(piece, sums.next())) && sums.next().is_none()
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "a pattern of bytes")]
mod tests {
    use super::*;

    fn frame_of(payload: &[u8]) -> Vec<u8> {
        let time = Timestamp::from_ms(0x0102_0304_0506);
        let frame = Frame::plain(64, payload.len(), time);
        let mut out = Vec::new();
        encode(9, &frame, payload, &mut out);
        assert_eq!(out.len(), frame.end() - frame.start);
        out
    }

    #[test]
    fn golden_bytes() {
        let bytes = frame_of(b"\x01\x01\x01kv");
        let golden = "de3c171a0500000006050403020100009ddc317b0101016b76";
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, golden);
    }

    #[test]
    fn golden_bytes_of_a_packed_frame() {
        let frame = Frame {
            form: Form::PackedWithDictionary,
            at: 70,
            stored_len: 3,
            ..Frame::plain(100, 50, Timestamp::from_ms(1))
        };
        let mut bytes = Vec::new();
        encode(9, &frame, b"abc", &mut bytes);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "39e3244d3200000001000000000007000300000064000000b73f4b36616263");
        let (read, sums) = read_header(9, 70, &bytes).unwrap();
        assert_eq!((read, bytes.len()), (frame, frame.stored_end() - 70));
        assert!(is_intact(&bytes[frame.stored_start() - 70..], sums));
        assert_eq!(frame.end(), 100 + 20 + 50);
    }

    #[test]
    fn a_flip_anywhere_is_seen() {
        for len in [1, 5, PIECE_LEN, PIECE_LEN + 1, 3 * PIECE_LEN + 5] {
            let payload: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
            let bytes = frame_of(&payload);
            let (frame, sums) = read_header(9, 64, &bytes).unwrap();
            assert_eq!(frame.payload_len, len);
            assert!(is_intact(&bytes[frame.payload_start() - 64..], sums));
            assert!(read_header(9, 65, &bytes).is_none(), "at another place");
            assert!(read_header(8, 64, &bytes).is_none(), "in another segment");
            for at in (0..bytes.len()).step_by(if len > 100 { 997 } else { 1 }) {
                let mut flipped = bytes.clone();
                flipped[at] ^= 4;
                let intact = read_header(9, 64, &flipped)
                    .is_some_and(|(f, sums)| is_intact(&flipped[f.payload_start() - 64..], sums));
                assert!(!intact, "a flip at {at} of {len} passed");
            }
        }
    }
}
