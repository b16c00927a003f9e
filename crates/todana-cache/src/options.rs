//! How a cache is made.

/// How a cache is made.
#[derive(Debug, Clone)]
pub struct CacheOptions {
    /// Bytes for records and index together; at least [`MEMORY_LIMIT_MIN_BYTES`](crate::MEMORY_LIMIT_MIN_BYTES).
    pub memory_limit_bytes: u64,
    /// Longest value in bytes; held down to what a shard can take.
    pub value_len_max: u64,
    /// Whether records are removed when memory is short; writes are refused otherwise.
    pub evictions: bool,
    /// Whether records have versions (CAS tokens).
    pub versions: bool,
    /// Seed of the index hash; take it at random unless runs have to be alike.
    pub seed: u64,
}

impl Default for CacheOptions {
    fn default() -> CacheOptions {
        CacheOptions {
            memory_limit_bytes: 64 << 20,
            value_len_max: 1 << 20,
            evictions: true,
            versions: true,
            seed: todana_io::random_seed(),
        }
    }
}
