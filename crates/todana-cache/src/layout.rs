//! Bytes of a record in a segment. They never change while the record can be found.
//!
//! Most records have no flags, expiry, kind, marks or version of their own. They begin with their lengths:
//!
//! | field | bytes | |
//! |---|---|---|
//! | key length | 1 | 0 to 127 |
//! | value length | 1–5, varint | |
//! | key, value | | |
//!
//! Others have only the fields that they use:
//!
//! | field | bytes | when |
//! |---|---|---|
//! | head | 1 | 0x80, and bit 0 flags, 1 expiry, 2 version, 3 kind follow; 4 stale; 5 won |
//! | key length | 1–3, varint | always |
//! | value length | 1–5, varint | always |
//! | flags | 1–5, varint | not 0 |
//! | expiry | 6, little-endian milliseconds since the epoch | not never |
//! | version | 1–10, varint | touched, moved, or given by a client: how far it is behind the one that its place implies |
//! | kind | 1 | not plain bytes |
//! | key, value | | always |
//!
//! A plain record of a 26-byte key and a 64-byte value takes 2 bytes beyond them.

use todana_record::{Expiry, Kind, Meta, Reader, ShortBytes};

const EXTENDED: u8 = 1 << 7;
const HAS_FLAGS: u8 = 1 << 0;
const HAS_EXPIRY: u8 = 1 << 1;
const HAS_VERSION: u8 = 1 << 2;
const HAS_KIND: u8 = 1 << 3;
const STALE: u8 = 1 << 4;
const WON: u8 = 1 << 5;

const EXPIRY_LEN: usize = 6;
const EXPIRY_MS_MAX: u64 = (1 << 48) - 1;

/// Most bytes of a record beside its key and value.
pub(crate) const HEAD_LEN_MAX: usize = 1 + 3 + 5 + 5 + EXPIRY_LEN + 10 + 1;

/// Where the version of a record is to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// Its place implies it, or rather one that is so much higher.
    Behind(u64),
    /// Its metadata has it.
    Own,
}

/// A record as it lies in memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stored<'s> {
    pub(crate) key: &'s [u8],
    pub(crate) value: &'s [u8],
    pub(crate) meta: Meta,
    pub(crate) version: Version,
    /// Whole length in bytes.
    pub(crate) len: usize,
}

/// Reads the record at the start of `bytes`. `None` only when the bytes are not a record's.
#[inline]
pub(crate) fn decode(bytes: &[u8]) -> Option<Stored<'_>> {
    if let &[key_len @ 0..0x80, value_len @ 0..0x80, ref rest @ ..] = bytes {
        let (key_len, value_len) = (usize::from(key_len), usize::from(value_len));
        let (key, rest) = rest.split_at_checked(key_len)?;
        let value = rest.get(..value_len)?;
        let len = 2 + key_len + value_len;
        let (meta, version) = (Meta::default(), Version::Behind(0));
        return Some(Stored { key, value, meta, version, len });
    }
    decode_any(bytes)
}

fn decode_any(bytes: &[u8]) -> Option<Stored<'_>> {
    let mut reader = Reader::new(bytes);
    let first = reader.u8()?;
    let (head, key_len) = match first < EXTENDED {
        true => (0, usize::from(first)),
        false => (first, usize::try_from(reader.varint()?).ok()?),
    };
    let value_len = usize::try_from(reader.varint()?).ok()?;
    let mut meta = Meta { stale: head & STALE != 0, won: head & WON != 0, ..Meta::default() };
    if head & HAS_FLAGS != 0 {
        meta.flags = u32::try_from(reader.varint()?).ok()?;
    }
    if head & HAS_EXPIRY != 0 {
        let mut expiry = [0u8; 8];
        expiry[..EXPIRY_LEN].copy_from_slice(reader.take(EXPIRY_LEN)?);
        meta.expiry = Expiry::at_ms(u64::from_le_bytes(expiry));
    }
    let mut behind = 0;
    if head & HAS_VERSION != 0 {
        behind = reader.varint()?;
    }
    if head & HAS_KIND != 0 {
        meta.kind = Kind(reader.u8()?);
    }
    let key = reader.take(key_len)?;
    let value = reader.take(value_len)?;
    let len = bytes.len() - reader.rest().len();
    Some(Stored { key, value, meta, version: Version::Behind(behind), len })
}

/// The bytes of a record before its key.
pub(crate) type Head = ShortBytes<HEAD_LEN_MAX>;

/// The head of a record whose version is so much behind the one that its place implies.
#[inline]
pub(crate) fn head(meta: &Meta, behind: u64, key_len: usize, value_len: usize) -> Head {
    let mut out = Head::new();
    let mut head = 0;
    let mut set = |bit, wanted: bool| head |= if wanted { bit } else { 0 };
    set(HAS_FLAGS, meta.flags != 0);
    set(HAS_EXPIRY, !meta.expiry.is_never());
    set(HAS_VERSION, behind != 0);
    set(HAS_KIND, meta.kind != Kind::BYTES);
    set(STALE, meta.stale);
    set(WON, meta.won);
    match u8::try_from(key_len) {
        Ok(key_len @ 0..EXTENDED) if head == 0 => out.push(key_len),
        _ => {
            out.push(EXTENDED | head);
            out.varint(key_len as u64);
        }
    }
    out.varint(value_len as u64);
    if head == 0 {
        return out;
    }
    if meta.flags != 0 {
        out.varint(u64::from(meta.flags));
    }
    if !meta.expiry.is_never() {
        let bytes = meta.expiry.ms().min(EXPIRY_MS_MAX).to_le_bytes();
        bytes.iter().take(EXPIRY_LEN).for_each(|byte| out.push(*byte));
    }
    if behind != 0 {
        out.varint(behind);
    }
    if meta.kind != Kind::BYTES {
        out.push(meta.kind.0);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn meta_strategy() -> impl Strategy<Value = (Meta, u64)> {
        let expiry = prop_oneof![Just(0u64), 1..EXPIRY_MS_MAX];
        let behind = prop_oneof![Just(0u64), any::<u64>()];
        (any::<u32>(), expiry, behind, 0..2u8, any::<bool>(), any::<bool>()).prop_map(
            |(flags, expiry, behind, kind, stale, won)| {
                let expiry = Expiry::at_ms(expiry);
                (Meta { flags, expiry, version: 0, kind: Kind(kind), stale, won }, behind)
            },
        )
    }

    fn bytes_of(meta: &Meta, behind: u64, key: &[u8], value: &[u8]) -> Vec<u8> {
        let head = head(meta, behind, key.len(), value.len());
        [&head[..], key, value].concat()
    }

    proptest! {
        #[test]
        fn round_trip((meta, behind) in meta_strategy(), plain: bool, key: Vec<u8>, value: Vec<u8>) {
            let (meta, behind) = if plain { (Meta::default(), 0) } else { (meta, behind) };
            let mut bytes = bytes_of(&meta, behind, &key, &value);
            let len = bytes.len();
            bytes.extend_from_slice(b"the next record");
            let stored = decode(&bytes).unwrap();
            prop_assert_eq!(stored.meta, meta);
            prop_assert_eq!(stored.version, Version::Behind(behind));
            prop_assert_eq!((stored.key, stored.value, stored.len), (&key[..], &value[..], len));
            prop_assert!(decode(&bytes[..len - 1]).is_none());
        }
    }

    #[test]
    fn a_plain_record_costs_two_bytes() {
        assert_eq!(head(&Meta::default(), 0, 26, 64).len(), 2);
        assert_eq!(head(&Meta::default(), 0, 127, 127).len(), 2);
        assert_eq!(head(&Meta::default(), 0, 128, 128).len(), 5);
    }
}
