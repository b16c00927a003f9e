//! A leaf's block as it lies on disk.
//!
//! ```text
//! magic "tdtp"   sum u32: CRC-32C of all that follows
//! store u64      the store's number
//! sequence u64   the block has every change up to here
//! place u64      where the page lies, in units of 64 bytes
//! count u32      keys
//! prefix u32     bytes of the prefix
//! len u32        bytes of the block
//! form u32       bit 0: wide offsets
//! the block (see `block`), zeros up to a whole unit
//! ```
//! Numbers are little-endian.

use crate::block::Block;
use todana_record::Reader;

/// Bytes of a unit of the file.
pub(crate) const UNIT_LEN: usize = 64;
/// Most units of a page.
pub(crate) const UNITS_MAX: u64 = 1 << 22;
const HEADER_LEN: usize = 48;
const MAGIC: [u8; 4] = *b"tdtp";
const WIDE: u32 = 1;

/// Where a page lies, in units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Below 2^40.
    pub(crate) at: u64,
    /// Below 2^22.
    pub(crate) len: u64,
}

impl Place {
    /// Byte of the file where it begins.
    pub(crate) fn byte(self) -> u64 {
        self.at * UNIT_LEN as u64
    }

    /// Bytes of it.
    pub(crate) fn byte_len(self) -> usize {
        usize::try_from(self.len).unwrap_or(usize::MAX).saturating_mul(UNIT_LEN)
    }
}

/// Units that a block's page takes.
pub(crate) fn units_of(block: &Block) -> u64 {
    (HEADER_LEN + block.len()).div_ceil(UNIT_LEN) as u64
}

/// Appends a block's page.
pub(crate) fn encode(block: &Block, store: u64, sequence: u64, place: Place, out: &mut Vec<u8>) {
    let start = out.len();
    let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[0; 4]);
    for number in [store, sequence, place.at] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    let form = if block.is_wide() { WIDE } else { 0 };
    for number in [block.count(), block.prefix().len(), block.len(), form as usize] {
        out.extend_from_slice(&narrow(number));
    }
    out.extend_from_slice(block.bytes());
    out.resize(start + place.byte_len(), 0);
    let page = out.get_mut(start..).unwrap_or_default();
    if let Some((head, rest)) = page.split_at_mut_checked(8)
        && let Some(sum) = head.last_chunk_mut()
    {
        *sum = crc32c::crc32c(rest).to_le_bytes();
    }
}

/// The block of a page, and the sequence up to which it has every change.
///
/// # Errors
/// What is wrong with the bytes.
pub(crate) fn decode(bytes: &[u8], store: u64, place: Place) -> Result<(Block, u64), &'static str> {
    const SHORT: &str = "ends too early";
    let mut reader = Reader::new(bytes);
    if reader.take(4) != Some(&MAGIC) {
        return Err("is no page");
    }
    let sum = reader.u32_le().ok_or(SHORT)?;
    if bytes.get(8..).map(crc32c::crc32c) != Some(sum) {
        return Err("fails its checksum");
    }
    let number = |reader: &mut Reader<'_>| reader.u64_le().ok_or(SHORT);
    if number(&mut reader)? != store {
        return Err("is another store's");
    }
    let sequence = number(&mut reader)?;
    if number(&mut reader)? != place.at {
        return Err("belongs somewhere else");
    }
    let mut number = || reader.u32_le().map(|number| number as usize).ok_or(SHORT);
    let (count, prefix_len, len, form) = (number()?, number()?, number()?, number()?);
    let block = reader.take(len).ok_or(SHORT)?;
    let block = Block::from_bytes(block.into(), count, prefix_len, form == WIDE as usize);
    Ok((block.ok_or("has a table that ends too early")?, sequence))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::Builder;

    fn block() -> Block {
        let mut builder = Builder::default();
        (0..100_u8).for_each(|n| builder.push(&[b'k', n], &[], &[n; 20]));
        builder.finish(b"prefix")
    }

    #[test]
    fn round_trip_and_every_bit_counts() {
        let block = block();
        let place = Place { at: 77, len: units_of(&block) };
        let mut bytes = Vec::new();
        encode(&block, 5, 9, place, &mut bytes);
        assert_eq!(bytes.len(), place.byte_len());
        let (again, sequence) = decode(&bytes, 5, place).unwrap();
        assert_eq!((again.bytes(), sequence), (block.bytes(), 9));
        assert_eq!(again.find(b"prefixk\x07"), Ok(7));
        assert_eq!(decode(&bytes, 6, place).unwrap_err(), "is another store's");
        let other = Place { at: 78, ..place };
        assert_eq!(decode(&bytes, 5, other).unwrap_err(), "belongs somewhere else");
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&bytes, 5, place).is_err(), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        for len in 0..bytes.len() {
            assert!(decode(&bytes[..len], 5, place).is_err());
        }
    }
}
