//! The two hashes of a key: the slot, which says whose the key is, and the index hash, which says
//! where an engine looks.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Number of slots, as in Redis Cluster.
pub const SLOT_COUNT: u16 = 16_384;

/// The slot of a key: CRC16 (XMODEM polynomial) of the part between the first `{` and the next
/// `}` if that part is not empty, else of the whole key, modulo [`SLOT_COUNT`].
///
/// Source: Redis Cluster specification, "Key distribution model" and "Hash tags".
pub fn slot_of(key: &[u8]) -> u16 {
    crc16(hash_tag(key).unwrap_or(key)) % SLOT_COUNT
}

fn hash_tag(key: &[u8]) -> Option<&[u8]> {
    let open = key.iter().position(|&byte| byte == b'{')?;
    let after = key.get(open + 1..)?;
    let len = after.iter().position(|&byte| byte == b'}')?;
    if len == 0 { None } else { after.get(..len) }
}

fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, &byte| {
        let index = usize::from((crc >> 8) as u8 ^ byte);
        (crc << 8) ^ CRC16_TABLE[index]
    })
}

const CRC16_TABLE: [u16; 256] = {
    let mut table = [0u16; 256];
    let mut index = 0u16;
    while index < 256 {
        let mut crc = index << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 != 0 { (crc << 1) ^ 0x1021 } else { crc << 1 };
            bit += 1;
        }
        table[index as usize] = crc;
        index += 1;
    }
    table
};

/// The index hash: XXH3-64 of the whole key with a seed of the store, so that nobody outside can
/// prepare keys that collide.
#[derive(Debug, Clone, Copy)]
pub struct IndexHash {
    seed: u64,
}

impl IndexHash {
    /// The hash of the store that has this seed.
    pub const fn new(seed: u64) -> IndexHash {
        IndexHash { seed }
    }

    /// The hash of a key.
    #[inline]
    pub fn of(self, key: &[u8]) -> u64 {
        xxh3_64_with_seed(key, self.seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(slot_of(b"foo"), 12_182);
        assert_eq!(slot_of(b"{user1000}.following"), slot_of(b"{user1000}.followers"));
        assert_eq!(slot_of(b"foo{}{bar}"), crc16(b"foo{}{bar}") % SLOT_COUNT);
        assert_eq!(slot_of(b"foo{{bar}}zap"), crc16(b"{bar") % SLOT_COUNT);
        assert_eq!(slot_of(b"foo{bar}{zap}"), crc16(b"bar") % SLOT_COUNT);
        assert_eq!(slot_of(b""), 0);
    }

    #[test]
    fn seed_changes_the_hash() {
        assert_ne!(IndexHash::new(1).of(b"key"), IndexHash::new(2).of(b"key"));
    }
}
