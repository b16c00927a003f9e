//! A frame: the entries that were written together, with their checksums. The unit of a commit.
//!
//! ```text
//! u32 checksum of the rest of the header, seeded with the segment's id and the frame's offset
//! u32 length of the payload
//! u64 low 48 bits: time of the store's clock in ms; high 16 bits: flags (0)
//! u32 × ⌈length / 16 KiB⌉ checksums of the payload's pieces
//! payload: entries, none of them cut
//! ```

use crc32c::{crc32c, crc32c_append};
use todana_record::{Reader, Timestamp};

/// Bytes of the payload that share a checksum.
pub(crate) const PIECE_LEN: usize = 16 * 1024;
/// A frame of small entries ends before its payload passes this.
pub(crate) const PAYLOAD_LEN: usize = PIECE_LEN;
const FIXED_LEN: usize = 16;
const TIME_MASK: u64 = (1 << 48) - 1;

/// Bytes of the header of a frame with this payload.
pub(crate) const fn header_len(payload_len: usize) -> usize {
    FIXED_LEN + 4 * payload_len.div_ceil(PIECE_LEN)
}

/// Where a frame lies in its segment, and when it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Byte of its header in the segment.
    pub(crate) start: usize,
    pub(crate) payload_len: usize,
    pub(crate) time: Timestamp,
}

impl Frame {
    pub(crate) const fn payload_start(&self) -> usize {
        self.start + header_len(self.payload_len)
    }

    pub(crate) const fn end(&self) -> usize {
        self.payload_start() + self.payload_len
    }
}

fn seed(segment: u64, start: usize) -> u32 {
    let seed = crc32c(&segment.to_le_bytes());
    crc32c_append(seed, &(start as u64).to_le_bytes())
}

/// Appends header and payload.
pub(crate) fn encode(segment: u64, frame: &Frame, payload: &[u8], out: &mut Vec<u8>) {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    super::put_u32(out, super::narrow(payload.len()));
    super::put_u64(out, frame.time.ms() & TIME_MASK);
    for piece in payload.chunks(PIECE_LEN) {
        super::put_u32(out, crc32c(piece));
    }
    let sum = crc32c_append(seed(segment, frame.start), &out[at + 4..]);
    out[at..at + 4].copy_from_slice(&sum.to_le_bytes());
    out.extend_from_slice(payload);
}

/// Reads and checks the header of the frame at `start`, whose bytes (as far as there are any) are
/// `bytes`; gives the frame and the checksums of its pieces. `None` when it is not one.
pub(crate) fn read_header(segment: u64, start: usize, bytes: &[u8]) -> Option<(Frame, &[u8])> {
    let mut reader = Reader::new(bytes);
    let sum = reader.u32_le()?;
    let payload_len = usize::try_from(reader.u32_le()?).ok()?;
    let time = reader.u64_le()?;
    if payload_len == 0 || time & !TIME_MASK != 0 {
        return None;
    }
    let sums = reader.take(4 * payload_len.div_ceil(PIECE_LEN))?;
    let header = bytes.get(4..header_len(payload_len))?;
    if crc32c_append(seed(segment, start), header) != sum {
        return None;
    }
    Some((Frame { start, payload_len, time: Timestamp::from_ms(time) }, sums))
}

/// Whether a payload is what its checksums say.
pub(crate) fn is_intact(payload: &[u8], sums: &[u8]) -> bool {
    let mut sums = sums.chunks_exact(4);
    let same = |piece: &[u8], sum: Option<&[u8]>| sum == Some(&crc32c(piece).to_le_bytes()[..]);
    payload.chunks(PIECE_LEN).all(|piece| same(piece, sums.next())) && sums.next().is_none()
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "a pattern of bytes")]
mod tests {
    use super::*;

    fn frame_of(payload: &[u8]) -> Vec<u8> {
        let time = Timestamp::from_ms(0x0102_0304_0506);
        let frame = Frame { start: 64, payload_len: payload.len(), time };
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
