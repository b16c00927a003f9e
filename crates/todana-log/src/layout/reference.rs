//! What stands in a record for a long value, which its engine keeps in a file of its own.

/// Names a long value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference {
    /// Its id: the file's name.
    pub id: u64,
    /// Its length in bytes.
    pub len: u64,
}

impl Reference {
    /// Bytes of a reference.
    pub const LEN: usize = 16;

    /// The bytes in the record.
    #[inline]
    pub fn encode(self) -> [u8; Reference::LEN] {
        let mut out = [0; Reference::LEN];
        out[..8].copy_from_slice(&self.id.to_le_bytes());
        out[8..].copy_from_slice(&self.len.to_le_bytes());
        out
    }

    /// `None` when the bytes are none.
    #[inline]
    pub fn decode(bytes: &[u8]) -> Option<Reference> {
        let (id, len) = bytes.split_first_chunk::<8>()?;
        let len = u64::from_le_bytes(len.try_into().ok()?);
        Some(Reference { id: u64::from_le_bytes(*id), len })
    }
}
