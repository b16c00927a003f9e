//! The file `store` of a directory: what the store is, and what has to be known before its segments
//! are read. Replaced as a whole, by a rename.

use crate::codec::NAME_LEN_MAX;
use crc32c::crc32c;
use todana_record::Reader;

/// Version of the format of a store that this program writes; older ones it reads.
pub const FORMAT: u16 = 1;
const FLAG_WITHOUT_VERSIONS: u8 = 1;
/// No id or sequence is above this: their sums with offsets, and with what is taken ahead, do not overflow.
pub const ID_MAX: u64 = u64::MAX - (1 << 48);
/// Partitions that a store can have.
pub const PARTITIONS_MAX: u16 = 4096;
/// Incarnations that are told apart; older ones count as the oldest of these.
const STARTS_MAX: usize = 256;

/// Which engine a store is for: it begins its identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreKind {
    /// The first bytes of the file.
    pub magic: &'static [u8; 8],
    /// What people call it.
    pub name: &'static str,
}

impl StoreKind {
    /// The hash engine's.
    pub const HASH: StoreKind = StoreKind { magic: b"todana-h", name: "hash" };
    /// The tree engine's.
    pub const TREE: StoreKind = StoreKind { magic: b"todana-t", name: "tree" };
}

/// What the file `store` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Whose store it is.
    pub of: StoreKind,
    /// Random; every segment names it.
    pub store: u64,
    /// Seed of the index hash.
    pub seed: u64,
    /// Partitions, at least 1.
    pub partitions: u16,
    /// Whether records have versions.
    pub versions: bool,
    /// The codec of its frames; empty for none.
    pub codec: String,
    /// No id or sequence at or above this was ever used.
    pub next_id: u64,
    /// The last sequence that was applied when the store was closed: its log may be gone.
    pub applied: u64,
    /// Raised at every unclean open.
    pub incarnation: u32,
    /// Whether the store was closed, and nothing written since.
    pub clean: bool,
    /// First sequence of each incarnation, rising.
    pub starts: Vec<(u32, u64)>,
}

impl Identity {
    /// Begins an incarnation at a sequence.
    pub fn begin_incarnation(&mut self, incarnation: u32, first: u64) {
        self.incarnation = incarnation;
        self.starts.push((incarnation, first));
        if self.starts.len() > STARTS_MAX {
            self.starts.remove(1);
        }
    }

    /// The bytes of the file.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.of.magic.to_vec();
        super::put_u16(&mut out, FORMAT);
        out.push(if self.versions { 0 } else { FLAG_WITHOUT_VERSIONS });
        out.push(u8::from(self.clean));
        super::put_u16(&mut out, self.partitions);
        super::put_u16(&mut out, u16::try_from(self.starts.len()).unwrap_or(u16::MAX));
        super::put_u64(&mut out, self.store);
        super::put_u64(&mut out, self.seed);
        super::put_u64(&mut out, self.next_id);
        super::put_u64(&mut out, self.applied);
        super::put_u32(&mut out, self.incarnation);
        let codec = self.codec.as_bytes();
        super::put_u32(&mut out, super::narrow(codec.len()));
        out.extend_from_slice(codec);
        for &(incarnation, first) in &self.starts {
            super::put_u32(&mut out, incarnation);
            super::put_u64(&mut out, first);
        }
        let sum = crc32c(&out);
        super::put_u32(&mut out, sum);
        out
    }

    /// What is wrong with the bytes, if they are no such file.
    pub fn decode(of: StoreKind, bytes: &[u8]) -> Result<Identity, String> {
        let Some((head, sum)) = bytes.split_last_chunk::<4>() else {
            return Err("it is too short".to_owned());
        };
        if !head.starts_with(of.magic) {
            return Err(format!("it does not begin as the file of a {} store", of.name));
        }
        let mut reader = Reader::new(head.get(of.magic.len()..).unwrap_or_default());
        let format = u16_le(&mut reader).unwrap_or(0);
        if format != FORMAT {
            return Err(format!("it has format {format}, this program knows {FORMAT}"));
        }
        if crc32c(head) != u32::from_le_bytes(*sum) {
            return Err("its checksum does not match".to_owned());
        }
        Identity::read(of, &mut reader)
            .ok_or_else(|| "a field is missing or out of its range".to_owned())
    }

    fn read(of: StoreKind, reader: &mut Reader<'_>) -> Option<Identity> {
        let (flags, clean) = (reader.u8()?, reader.u8()?);
        if flags & !FLAG_WITHOUT_VERSIONS != 0 {
            return None;
        }
        let (partitions, starts_count) = (u16_le(reader)?, u16_le(reader)?);
        let (store, seed) = (reader.u64_le()?, reader.u64_le()?);
        let next_id = reader.u64_le().filter(|&id| id <= ID_MAX)?;
        let applied = reader.u64_le()?;
        let incarnation = reader.u32_le()?;
        let codec_len = usize::try_from(reader.u32_le()?).ok();
        let codec_len = codec_len.filter(|&len| len <= NAME_LEN_MAX)?;
        let codec = String::from_utf8(reader.take(codec_len)?.to_vec()).ok()?;
        let mut starts = Vec::new();
        for _ in 0..starts_count {
            starts.push((reader.u32_le()?, reader.u64_le()?));
        }
        Some(Identity {
            of,
            store,
            seed,
            partitions: Some(partitions).filter(|count| (1..=PARTITIONS_MAX).contains(count))?,
            versions: flags & FLAG_WITHOUT_VERSIONS == 0,
            codec,
            next_id,
            applied,
            incarnation,
            clean: clean == 1,
            starts,
        })
    }
}

/// Why bytes that begin as this file cannot be read by this program, if a newer one may have written them.
pub fn of_newer_format(of: StoreKind, bytes: &[u8]) -> Option<String> {
    let format = bytes.strip_prefix(of.magic).and_then(|rest| rest.first_chunk::<2>())?;
    let format = u16::from_le_bytes(*format);
    let (head, sum) = bytes.split_last_chunk::<4>()?;
    let doubt = match crc32c(head) == u32::from_le_bytes(*sum) {
        true => "",
        false => ", unless the file is damaged",
    };
    (format > FORMAT).then(|| {
        format!(
            "the store has format {format} and this program knows formats up to {FORMAT}: a newer \
             one opens it{doubt}"
        )
    })
}

fn u16_le(reader: &mut Reader<'_>) -> Option<u16> {
    Some(u16::from_le_bytes([reader.u8()?, reader.u8()?]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_format_is_told_from_damage() {
        let mut bytes = b"todana-h\x07\x00whatever it will be".to_vec();
        let reason = of_newer_format(StoreKind::HASH, &bytes).unwrap();
        assert!(reason.contains("format 7") && reason.contains("unless"), "{reason}");
        let sum = crc32c(&bytes);
        super::super::put_u32(&mut bytes, sum);
        assert!(
            of_newer_format(StoreKind::HASH, &bytes).unwrap().ends_with("a newer one opens it")
        );
        for bytes in [&b"todana-h\x01\x00"[..], b"todana-h\x00\x00xxxx", b"todana-h", b"x"] {
            assert_eq!(of_newer_format(StoreKind::HASH, bytes), None);
        }
    }

    fn identity() -> Identity {
        Identity {
            of: StoreKind::HASH,
            store: 1,
            seed: 2,
            partitions: 3,
            versions: true,
            codec: "lz4".to_owned(),
            next_id: 4,
            applied: 5,
            incarnation: 6,
            clean: true,
            starts: vec![(5, 1), (6, 9)],
        }
    }

    #[test]
    fn fields_out_of_their_range_are_refused() {
        let refused = |bytes: &[u8]| {
            let decoded = Identity::decode(StoreKind::HASH, bytes);
            assert_eq!(decoded, Err("a field is missing or out of its range".to_owned()));
        };
        for partitions in [0, PARTITIONS_MAX + 1, u16::MAX] {
            refused(&Identity { partitions, ..identity() }.encode());
        }
        refused(&Identity { next_id: ID_MAX + 1, ..identity() }.encode());
        refused(&Identity { codec: "x".repeat(NAME_LEN_MAX + 1), ..identity() }.encode());
        let most_id = Identity { next_id: ID_MAX, ..identity() };
        assert_eq!(Identity::decode(StoreKind::HASH, &most_id.encode()), Ok(most_id));
        let most =
            Identity { partitions: PARTITIONS_MAX, codec: "x".repeat(NAME_LEN_MAX), ..identity() };
        assert_eq!(Identity::decode(StoreKind::HASH, &most.encode()), Ok(most));
        for bit in 1..8 {
            let mut bytes = identity().encode();
            bytes[10] |= 1 << bit;
            bytes.truncate(bytes.len() - 4);
            let sum = crc32c(&bytes);
            super::super::put_u32(&mut bytes, sum);
            refused(&bytes);
        }
    }

    #[test]
    fn golden_bytes() {
        let identity = identity();
        let bytes = identity.encode();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let golden = "746f64616e612d68010000010300020001000000000000000200000000000000\
                      04000000000000000500000000000000060000000300000\
                      06c7a3405000000010000000000000006000000090000000000000072b1e3bc";
        assert_eq!(hex, golden);
        assert_eq!(Identity::decode(StoreKind::HASH, &bytes), Ok(identity));
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            assert!(Identity::decode(StoreKind::HASH, &flipped).is_err());
            assert!(Identity::decode(StoreKind::HASH, &bytes[..at]).is_err());
        }
    }
}
