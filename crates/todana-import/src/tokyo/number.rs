//! Numbers of variable length, as records and pages have them.
//!
//! Seven bits a byte, least significant first. The last byte has them as they are; those before it
//! have all eight bits turned over, which also sets their highest bit. Their order does not depend on
//! the order of bytes of the file.

use todana_record::Reader;

/// The longest form of a length, in bytes: the library keeps lengths as signed 32 bits.
pub(super) const LENGTH_LEN_MAX: usize = 5;
/// The longest form of a page's id, in bytes: ids have 63 bits at most.
const ID_LEN_MAX: usize = 9;

/// Why there is no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The bytes end within it.
    Short,
    /// It does not end, or is larger than its kind can be.
    TooLarge,
}

/// A length, up to 2 GiB − 1.
pub(super) fn length(reader: &mut Reader<'_>) -> Result<u32, Fault> {
    let value = decode(reader, LENGTH_LEN_MAX)?;
    i32::try_from(value).map(i32::unsigned_abs).map_err(|_| Fault::TooLarge)
}

/// The id of a page, below 2^63.
pub(super) fn id(reader: &mut Reader<'_>) -> Result<u64, Fault> {
    decode(reader, ID_LEN_MAX)
}

/// `len_max` is at most 9, so that no bit is shifted out.
fn decode(reader: &mut Reader<'_>, len_max: usize) -> Result<u64, Fault> {
    let mut value: u64 = 0;
    for index in 0..len_max {
        let byte = reader.u8().ok_or(Fault::Short)?;
        let is_last = byte < 0x80;
        let bits = if is_last { byte } else { !byte };
        value |= u64::from(bits) << (7 * index);
        if is_last {
            return Ok(value);
        }
    }
    Err(Fault::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_seven_bits_a_byte() {
        let check = |bytes: &[u8], expected| assert_eq!(length(&mut Reader::new(bytes)), expected);
        check(&[0x7f], Ok(127));
        check(&[0xff, 0x01], Ok(128));
        check(&[0x80, 0x01], Ok(255));
        check(&[0x80, 0x80, 0x80, 0x80, 0x07], Ok(i32::MAX.unsigned_abs()));
        check(&[0xff, 0xff, 0xff, 0xff, 0x08], Err(Fault::TooLarge));
        check(&[0xff, 0xff, 0xff, 0xff, 0xff, 0], Err(Fault::TooLarge));
        check(&[0xff], Err(Fault::Short));
    }

    #[test]
    fn ids_have_up_to_nine_bytes() {
        let check = |bytes: &[u8], expected| assert_eq!(id(&mut Reader::new(bytes)), expected);
        // The first inner page, as tcbmgr wrote it: 2^48 + 2.
        check(&[0xfd, 0xff, 0xff, 0xff, 0xff, 0xff, 0x40], Ok((1 << 48) + 2));
        check(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x7f], Ok(u64::MAX >> 1));
        check(&[0xff; 10], Err(Fault::TooLarge));
    }
}
