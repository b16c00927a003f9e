//! The tree's outline as it lies on disk: every leaf's first key, or less, and where its page is. It is written
//! whole at each checkpoint: a few bytes a leaf.
//!
//! ```text
//! magic "tdto"   sum u32: CRC-32C of all that follows
//! store u64      the store's number
//! sequence u64   pages and outline have every change up to here
//! leaves u64
//! each leaf: bytes shared with the separator before it, bytes that follow, those;
//!            place and length of the page in units of 64 bytes; records (all numbers varints)
//! ```

use crate::block::common_len;
use crate::page::{Place, UNITS_MAX};
use todana_record::{KEY_LEN_MAX, Reader, varint};

const MAGIC: [u8; 4] = *b"tdto";
const HEADER_LEN: usize = 32;

/// What the outline says of a leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// No greater than its keys, and greater than those before it; of the first leaf nothing.
    pub(crate) separator: Vec<u8>,
    pub(crate) place: Place,
    /// Its records.
    pub(crate) count: u64,
}

/// An outline that is being written.
#[derive(Debug)]
pub(crate) struct Outline {
    bytes: Vec<u8>,
    leaves: u64,
    last: Vec<u8>,
}

impl Outline {
    /// One without leaves, of a store as of a sequence.
    pub(crate) fn new(store: u64, sequence: u64) -> Outline {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&store.to_le_bytes());
        bytes.extend_from_slice(&sequence.to_le_bytes());
        bytes.extend_from_slice(&[0; 8]);
        Outline { bytes, leaves: 0, last: Vec::new() }
    }

    /// Adds the next leaf.
    pub(crate) fn push(&mut self, line: &Line) {
        let shared = common_len(&self.last, &line.separator);
        let rest = line.separator.get(shared..).unwrap_or_default();
        varint::encode(shared as u64, &mut self.bytes);
        varint::encode(rest.len() as u64, &mut self.bytes);
        self.bytes.extend_from_slice(rest);
        for number in [line.place.at, line.place.len, line.count] {
            varint::encode(number, &mut self.bytes);
        }
        self.last.clone_from(&line.separator);
        self.leaves += 1;
    }

    /// Its bytes.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        if let Some(leaves) = self.bytes.get_mut(HEADER_LEN - 8..HEADER_LEN) {
            leaves.copy_from_slice(&self.leaves.to_le_bytes());
        }
        let sum = crc32c::crc32c(self.bytes.get(8..).unwrap_or_default());
        if let Some(place) = self.bytes.get_mut(4..8) {
            place.copy_from_slice(&sum.to_le_bytes());
        }
        self.bytes
    }
}

/// The sequence of an outline, and its lines.
///
/// # Errors
/// What is wrong with the bytes.
pub(crate) fn decode(bytes: &[u8], store: u64) -> Result<(u64, Vec<Line>), &'static str> {
    const SHORT: &str = "ends too early";
    const WRONG: &str = "has a line that means nothing";
    let mut reader = Reader::new(bytes);
    if reader.take(4) != Some(&MAGIC) {
        return Err("is no outline");
    }
    let sum = reader.u32_le().ok_or(SHORT)?;
    if bytes.get(8..).map(crc32c::crc32c) != Some(sum) {
        return Err("fails its checksum");
    }
    if reader.u64_le().ok_or(SHORT)? != store {
        return Err("is another store's");
    }
    let sequence = reader.u64_le().ok_or(SHORT)?;
    let leaves = reader.u64_le().ok_or(SHORT)?;
    let mut lines: Vec<Line> = Vec::new();
    let mut last: &[u8] = &[];
    for _ in 0..leaves {
        let mut number = || reader.varint().ok_or(SHORT);
        let (shared, rest_len) = (number()?, number()?);
        let len_of = |len: u64| usize::try_from(len).ok().filter(|len| *len <= KEY_LEN_MAX);
        let rest = reader.take(len_of(rest_len).ok_or(WRONG)?).ok_or(SHORT)?;
        let shared = len_of(shared).and_then(|len| last.get(..len)).ok_or(WRONG)?;
        let separator = [shared, rest].concat();
        let mut number = || reader.varint().ok_or(SHORT);
        let place = Place { at: number()?, len: number()? };
        let count = number()?;
        let in_order = lines.is_empty() || separator > lines.last().map_or(&[][..], |line| &line.separator);
        if !in_order || place.at >> 40 != 0 || !(1..UNITS_MAX).contains(&place.len) {
            return Err(WRONG);
        }
        lines.push(Line { separator, place, count });
        last = lines.last().map_or(&[], |line| &line.separator);
    }
    match reader.rest().is_empty() {
        true => Ok((sequence, lines)),
        false => Err("goes on behind its end"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines() -> Vec<Line> {
        let line = |n: u64| Line {
            separator: if n == 0 { Vec::new() } else { format!("key {:05}", n * 7).into_bytes() },
            place: Place { at: n * 1_000, len: 1 + n % 70 },
            count: n * 3,
        };
        (0..300).map(line).collect()
    }

    #[test]
    fn round_trip_and_damage() {
        let lines = lines();
        let mut outline = Outline::new(7, 99);
        lines.iter().for_each(|line| outline.push(line));
        let mut bytes = outline.finish();
        assert_eq!(decode(&bytes, 7), Ok((99, lines)));
        assert_eq!(decode(&bytes, 8), Err("is another store's"));
        for len in 0..bytes.len() {
            assert!(decode(&bytes[..len], 7).is_err());
        }
        for at in 0..bytes.len() {
            bytes[at] ^= 0x10;
            assert!(decode(&bytes, 7).is_err(), "byte {at}");
            bytes[at] ^= 0x10;
        }
        assert_eq!(decode(&Outline::new(7, 3).finish(), 7), Ok((3, Vec::new())));
    }

    #[test]
    fn lines_out_of_order_are_refused() {
        let mut outline = Outline::new(7, 99);
        for line in lines().iter().rev() {
            outline.push(line);
        }
        assert_eq!(decode(&outline.finish(), 7), Err("has a line that means nothing"));
    }
}
