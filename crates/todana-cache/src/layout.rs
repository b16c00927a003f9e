//! Bytes of a record in a segment. Only the fields that a record uses are there:
//!
//! | field | bytes | when |
//! |---|---|---|
//! | head | 1 | always: bit 0 flags, 1 expiry, 2 version, 3 kind follow; 4 stale; 5 won |
//! | key length | 1–3, varint | always |
//! | value length | 1–5, varint | always |
//! | flags | 1–5, varint | not 0 |
//! | expiry | 6, little-endian milliseconds since the epoch | not never |
//! | version | 8, little-endian | touched into a new place, moved, or given by a client |
//! | kind | 1 | not plain bytes |
//! | key, value | | always |
//!
//! A plain record of a 26-byte key and a 64-byte value takes 3 bytes beyond them.

use todana_record::{Expiry, Kind, Meta, Reader, varint};

const HAS_FLAGS: u8 = 1 << 0;
const HAS_EXPIRY: u8 = 1 << 1;
const HAS_VERSION: u8 = 1 << 2;
const HAS_KIND: u8 = 1 << 3;
const STALE: u8 = 1 << 4;
const WON: u8 = 1 << 5;

/// Most bytes of a record beside its key and value.
pub(crate) const HEAD_LEN_MAX: usize = 1 + 3 + 5 + 5 + EXPIRY_LEN + 8 + 1;

/// Bytes of a version that is written out.
pub(crate) const VERSION_LEN: usize = 8;

const EXPIRY_LEN: usize = 6;
const EXPIRY_MS_MAX: u64 = (1 << 48) - 1;

/// A record as it lies in a segment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stored<'s> {
    pub(crate) key: &'s [u8],
    pub(crate) value: &'s [u8],
    /// The version is 0 where it is implicit.
    pub(crate) meta: Meta,
    pub(crate) explicit_version: bool,
    /// Whole length in bytes.
    pub(crate) len: usize,
}

/// Reads the record at the start of `bytes`. `None` only when the bytes are not a record's, which
/// for an engine's own memory is a defect.
#[inline]
pub(crate) fn decode(bytes: &[u8]) -> Option<Stored<'_>> {
    let mut reader = Reader::new(bytes);
    let head = reader.u8()?;
    let key_len = usize::try_from(reader.varint()?).ok()?;
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
    if head & HAS_VERSION != 0 {
        meta.version = reader.u64_le()?;
    }
    if head & HAS_KIND != 0 {
        meta.kind = Kind(reader.u8()?);
    }
    let key = reader.take(key_len)?;
    let value = reader.take(value_len)?;
    let len = bytes.len() - reader.rest().len();
    Some(Stored { key, value, meta, explicit_version: head & HAS_VERSION != 0, len })
}

/// Appends the head of a record; key and value follow. The version is written when `explicit`.
pub(crate) fn encode_head(
    out: &mut Vec<u8>,
    meta: &Meta,
    explicit: bool,
    key_len: usize,
    value_len: u64,
) {
    let mut head = 0;
    if meta.flags != 0 {
        head |= HAS_FLAGS;
    }
    if !meta.expiry.is_never() {
        head |= HAS_EXPIRY;
    }
    if explicit {
        head |= HAS_VERSION;
    }
    if meta.kind != Kind::BYTES {
        head |= HAS_KIND;
    }
    if meta.stale {
        head |= STALE;
    }
    if meta.won {
        head |= WON;
    }
    out.push(head);
    varint::encode(key_len as u64, out);
    varint::encode(value_len, out);
    if meta.flags != 0 {
        varint::encode(u64::from(meta.flags), out);
    }
    if !meta.expiry.is_never() {
        out.extend_from_slice(&expiry_bytes(meta.expiry));
    }
    if explicit {
        out.extend_from_slice(&meta.version.to_le_bytes());
    }
    if meta.kind != Kind::BYTES {
        out.push(meta.kind.0);
    }
}

fn expiry_bytes(expiry: Expiry) -> [u8; EXPIRY_LEN] {
    let [a, b, c, d, e, f, ..] = expiry.ms().min(EXPIRY_MS_MAX).to_le_bytes();
    [a, b, c, d, e, f]
}

/// Changes metadata where it lies, if the record has the room: marks always, expiry and version when
/// their fields are there. `bytes` starts at the record. False when nothing was changed.
pub(crate) fn overwrite_meta(bytes: &mut [u8], meta: &Meta, version_changes: bool) -> bool {
    let Some(stored) = decode(bytes) else { return false };
    let old = stored.meta;
    let expiry_fits = old.expiry.is_never() == meta.expiry.is_never();
    if !expiry_fits || (version_changes && !stored.explicit_version) {
        return false;
    }
    let body_len = stored.key.len() + stored.value.len();
    let mut end_of_head = stored.len - body_len;
    let explicit = stored.explicit_version;
    if old.kind != Kind::BYTES {
        end_of_head -= 1;
    }
    if explicit {
        end_of_head -= 8;
        bytes[end_of_head..end_of_head + 8].copy_from_slice(&meta.version.to_le_bytes());
    }
    if !old.expiry.is_never() {
        end_of_head -= EXPIRY_LEN;
        let field = &mut bytes[end_of_head..end_of_head + EXPIRY_LEN];
        field.copy_from_slice(&expiry_bytes(meta.expiry));
    }
    let mut head = bytes[0] & !(STALE | WON);
    if meta.stale {
        head |= STALE;
    }
    if meta.won {
        head |= WON;
    }
    bytes[0] = head;
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn meta_strategy() -> impl Strategy<Value = (Meta, bool)> {
        let expiry = prop_oneof![Just(0u64), 1..EXPIRY_MS_MAX];
        (any::<u32>(), expiry, any::<u64>(), 0..2u8, any::<bool>(), any::<bool>(), any::<bool>())
            .prop_map(|(flags, expiry, version, kind, stale, won, explicit)| {
                let version = if explicit { version } else { 0 };
                let expiry = Expiry::at_ms(expiry);
                (Meta { flags, expiry, version, kind: Kind(kind), stale, won }, explicit)
            })
    }

    proptest! {
        #[test]
        fn round_trip_and_in_place(
            (meta, explicit) in meta_strategy(),
            (other, _) in meta_strategy(),
            key: Vec<u8>,
            value: Vec<u8>,
        ) {
            let mut bytes = Vec::new();
            encode_head(&mut bytes, &meta, explicit, key.len(), value.len() as u64);
            bytes.extend_from_slice(&key);
            bytes.extend_from_slice(&value);
            let len = bytes.len();
            bytes.extend_from_slice(b"the next record");
            let stored = decode(&bytes).unwrap();
            prop_assert_eq!(stored.meta, meta);
            prop_assert_eq!((stored.key, stored.value, stored.len), (&key[..], &value[..], len));

            let wanted = Meta { flags: meta.flags, kind: meta.kind, ..other };
            let wanted = Meta { version: if explicit { wanted.version } else { 0 }, ..wanted };
            if overwrite_meta(&mut bytes, &wanted, explicit) {
                let stored = decode(&bytes).unwrap();
                prop_assert_eq!(stored.meta, wanted);
                prop_assert_eq!((stored.key, stored.value), (&key[..], &value[..]));
            } else {
                prop_assert!(meta.expiry.is_never() != wanted.expiry.is_never());
            }
        }
    }

    #[test]
    fn plain_record_costs_three_bytes() {
        let mut bytes = Vec::new();
        encode_head(&mut bytes, &Meta::default(), false, 26, 64);
        assert_eq!(bytes.len(), 3);
    }
}
