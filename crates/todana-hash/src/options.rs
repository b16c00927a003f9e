//! How a store is opened.

use std::sync::Arc;
use todana_log::{Codec, FlushPolicy, Mode};

/// Options of a hash store. Those that say *new* count when a store is made, and are kept in it.
#[derive(Debug, Clone)]
pub struct HashOptions {
    /// Whether to make a store, or to read only.
    pub mode: Mode,
    /// When writes are flushed.
    pub flush: FlushPolicy,
    /// *New:* whether records have versions (CAS).
    pub versions: bool,
    /// *New:* number of partitions, for replication: each has an update stream of its own. At least 1.
    pub partitions: u16,
    /// *New:* packs the store's frames. A store is opened with the codec that made it; for `lz4` and
    /// `zstd` it need not be given.
    pub codec: Option<Arc<dyn Codec>>,
    /// Bytes of memory for frames that cannot be mapped: of a store with a codec, or on a disk without
    /// mappings.
    pub cache_bytes: u64,
    /// Space over live data, in percent, above which compaction works.
    pub space_percent: u32,
    /// Bytes a second that compaction may move while space is within its bound; 0 for no limit.
    pub compaction_bytes_per_s: u64,
    /// Bytes of the smallest segment: less only in tests.
    #[doc(hidden)]
    pub least_segment_bytes: u64,
    /// Bytes of a value that are staged in memory before it gets a file: less only in tests.
    #[doc(hidden)]
    pub staged_bytes: usize,
    /// Bytes of the update stream that compaction leaves.
    pub stream_bytes: u64,
}

impl Default for HashOptions {
    fn default() -> HashOptions {
        HashOptions {
            mode: Mode::Create,
            flush: FlushPolicy::Group,
            versions: true,
            partitions: 1,
            codec: None,
            cache_bytes: 64 << 20,
            space_percent: 150,
            compaction_bytes_per_s: 64 << 20,
            least_segment_bytes: 1 << 20,
            staged_bytes: 4 << 20,
            stream_bytes: 0,
        }
    }
}
