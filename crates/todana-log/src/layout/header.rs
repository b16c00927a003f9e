//! The header of a segment: the first bytes of its file.

use crc32c::crc32c;
use todana_record::{Expiry, Reader};

/// Bytes of a segment's header.
pub const HEADER_LEN: usize = 64;
const MAGIC: &[u8; 8] = b"todanaSG";
/// Version of the segment format.
pub const FORMAT: u16 = 1;

/// What a segment holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SegmentKind {
    /// Changes in the order in which they were made: the update stream.
    Log,
    /// Records that compaction moved.
    Pack,
}

impl SegmentKind {
    /// The end of its files' names.
    pub const fn extension(self) -> &'static str {
        match self {
            SegmentKind::Log => "log",
            SegmentKind::Pack => "pack",
        }
    }
}

/// The header of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentHeader {
    /// What the segment holds.
    pub kind: SegmentKind,
    /// In which it was begun.
    pub incarnation: u32,
    /// The store that it belongs to.
    pub store: u64,
    /// Its name; the sequence of the entry at byte `n` of a log is `id + n`.
    pub id: u64,
    /// Of a log: the log before it and the byte where its last frame ended.
    pub previous: Option<(u64, u32)>,
    /// Everything at or before this sequence was flushed before the segment was begun.
    pub cut: u64,
    /// When a flush was due then.
    pub flush_due: Expiry,
}

impl SegmentHeader {
    /// The bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_LEN);
        out.extend_from_slice(MAGIC);
        super::put_u16(&mut out, FORMAT);
        out.push(if self.kind == SegmentKind::Log { 1 } else { 2 });
        out.push(0);
        super::put_u32(&mut out, self.incarnation);
        super::put_u64(&mut out, self.store);
        super::put_u64(&mut out, self.id);
        let (previous, end) = self.previous.unwrap_or((0, 0));
        super::put_u64(&mut out, previous);
        super::put_u64(&mut out, self.cut);
        super::put_u64(&mut out, self.flush_due.ms());
        super::put_u32(&mut out, end);
        let sum = crc32c(&out);
        super::put_u32(&mut out, sum);
        out
    }

    /// `None` when the bytes are no header of this format.
    pub fn decode(bytes: &[u8]) -> Option<SegmentHeader> {
        let bytes = bytes.get(..HEADER_LEN)?;
        let (head, sum) = bytes.split_last_chunk::<4>()?;
        if crc32c(head) != u32::from_le_bytes(*sum) || !head.starts_with(MAGIC) {
            return None;
        }
        let mut reader = Reader::new(head.get(MAGIC.len()..)?);
        let kind = match reader.take(4)? {
            [1, 0, 1, 0] => SegmentKind::Log,
            [1, 0, 2, 0] => SegmentKind::Pack,
            _ => return None,
        };
        let incarnation = reader.u32_le()?;
        let (store, id, previous) = (reader.u64_le()?, reader.u64_le()?, reader.u64_le()?);
        let (cut, due, end) = (reader.u64_le()?, reader.u64_le()?, reader.u32_le()?);
        Some(SegmentHeader {
            kind,
            incarnation,
            store,
            id,
            previous: (previous != 0).then_some((previous, end)),
            cut,
            flush_due: Expiry::at_ms(due),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        let header = SegmentHeader {
            kind: SegmentKind::Log,
            incarnation: 2,
            store: 3,
            id: 0x1000,
            previous: Some((0x800, 77)),
            cut: 5,
            flush_due: Expiry::at_ms(6),
        };
        let bytes = header.encode();
        let golden = "746f64616e615347010001000200000003000000000000000010000000000000\
                      000800000000000005000000000000000600000000000000\
                      4d000000f5a87392";
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, golden);
        assert_eq!(SegmentHeader::decode(&bytes), Some(header));
        for at in 0..HEADER_LEN {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            assert_eq!(SegmentHeader::decode(&flipped), None);
        }
        let pack = SegmentHeader { kind: SegmentKind::Pack, previous: None, ..header };
        assert_eq!(SegmentHeader::decode(&pack.encode()), Some(pack));
        assert_eq!(SegmentHeader::decode(&[0; HEADER_LEN]), None);
    }
}
