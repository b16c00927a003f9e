//! How a tree is made.

use todana_log::{FlushPolicy, Mode};

/// How a tree is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeOptions {
    /// Whether records have versions (CAS tokens); without, each takes a few bytes less. On disk it counts when a store
    /// is made.
    pub versions: bool,
    /// Most bytes of memory of a store without files, which refuses more; 0 for no limit.
    pub memory_limit_bytes: u64,
    /// Bytes of leaves that a store on disk keeps in memory; what was changed since the last checkpoint comes
    /// on top. 0 for all.
    pub cache_bytes: u64,
    /// When changes are made safe.
    pub flush: FlushPolicy,
    /// Whether to make a store, or to read only.
    pub mode: Mode,
    /// Bytes of log after which a checkpoint is due, at least; a quarter of the pages if that is more.
    pub checkpoint_bytes: u64,
    /// Bytes of the update stream that are kept although no checkpoint needs them.
    pub stream_bytes: u64,
    /// Bytes of the smallest segment of the log: less only in tests.
    #[doc(hidden)]
    pub least_segment_bytes: u64,
}

impl Default for TreeOptions {
    fn default() -> TreeOptions {
        TreeOptions {
            versions: true,
            memory_limit_bytes: 0,
            cache_bytes: 256 << 20,
            flush: FlushPolicy::Group,
            mode: Mode::Create,
            checkpoint_bytes: 64 << 20,
            stream_bytes: 0,
            least_segment_bytes: 1 << 20,
        }
    }
}
