//! The metadata of a record as bytes: a byte of bits that says which fields are used, and those.

use todana_record::{Expiry, Kind, Meta, ShortBytes, varint};

const FLAGS: u8 = 1;
const EXPIRY: u8 = 2;
const VERSION: u8 = 4;
const MARKS: u8 = 8;

const STALE: u8 = 1;
const WON: u8 = 2;

/// Longest metadata, in bytes.
const LEN_MAX: usize = 1 + 5 + 10 + 10 + 2;

/// Metadata as bytes; none where no field is used.
pub(crate) type FieldBytes = ShortBytes<LEN_MAX>;

/// The bytes of metadata.
#[inline]
pub(crate) fn encode(meta: &Meta) -> FieldBytes {
    let mut bytes = FieldBytes::new();
    let Meta { flags, expiry, version, kind, stale, won } = *meta;
    let bit = |is_set, bit| if is_set { bit } else { 0 };
    let marks = bit(stale, STALE) | bit(won, WON);
    let used = bit(flags != 0, FLAGS)
        | bit(!expiry.is_never(), EXPIRY)
        | bit(version != 0, VERSION)
        | bit(marks != 0 || kind != Kind::BYTES, MARKS);
    if used == 0 {
        return bytes;
    }
    bytes.push(used);
    if used & FLAGS != 0 {
        bytes.varint(u64::from(flags));
    }
    if used & EXPIRY != 0 {
        bytes.varint(expiry.ms());
    }
    if used & VERSION != 0 {
        bytes.varint(version);
    }
    if used & MARKS != 0 {
        bytes.push(marks);
        bytes.push(kind.0);
    }
    bytes
}

/// The metadata at the start of bytes, and its length; `None` when they are none.
pub(crate) fn decode(bytes: &[u8]) -> Option<(Meta, usize)> {
    let used = *bytes.first()?;
    if used == 0 || used & !(FLAGS | EXPIRY | VERSION | MARKS) != 0 {
        return None;
    }
    let mut at = 1;
    let mut number = |field| {
        if used & field == 0 {
            return Some(0);
        }
        let (number, len) = varint::decode(bytes.get(at..)?)?;
        at += len;
        Some(number)
    };
    let flags = u32::try_from(number(FLAGS)?).ok()?;
    let expiry = Expiry::at_ms(number(EXPIRY)?);
    let version = number(VERSION)?;
    let mut meta = Meta { flags, expiry, version, ..Meta::default() };
    if used & MARKS != 0 {
        let &[marks, kind] = bytes.get(at..at + 2)? else { return None };
        (meta.stale, meta.won) = (marks & STALE != 0, marks & WON != 0);
        meta.kind = Kind(kind);
        at += 2;
    }
    Some((meta, at))
}

/// A length as a varint of at most five bytes, and where it ends.
#[inline]
pub(crate) fn length(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let first = *bytes.get(at)?;
    if first < 0x80 {
        return Some((usize::from(first), at + 1));
    }
    let (len, taken) = varint::decode(bytes.get(at..)?)?;
    Some((usize::try_from(len).ok()?, at + taken))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn round_trip(flags: u32, ms: u64, version: u64, kind: u8, stale: bool, won: bool, used: u8) {
            let on = |bit: u8| used & bit != 0;
            let meta = Meta {
                flags: if on(1) { flags } else { 0 },
                expiry: Expiry::at_ms(if on(2) { ms } else { 0 }),
                version: if on(4) { version } else { 0 },
                kind: Kind(if on(8) { kind } else { 0 }),
                stale: on(16) && stale,
                won: on(32) && won,
            };
            let bytes = encode(&meta);
            if bytes.is_empty() {
                prop_assert_eq!(meta, Meta::default());
            } else {
                prop_assert_eq!(decode(&bytes), Some((meta, bytes.len())));
                prop_assert_eq!(decode(&bytes[..bytes.len() - 1]), None);
            }
        }
    }
}
