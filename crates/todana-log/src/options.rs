//! How a log is opened.

use crate::codec::Codec;
use crate::layout::identity::StoreKind;
use std::sync::Arc;
use std::time::Duration;

/// When what was written is made safe against a loss of power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlushPolicy {
    /// When the system likes, and when somebody asks.
    Never,
    /// At least this often.
    Interval(Duration),
    /// As soon as the disk takes it: everything that waits goes together.
    Group,
}

/// What to do when there is no store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Make one.
    Create,
    /// Fail.
    Existing,
    /// Fail; change nothing in the directory, and take no lock: what was durable is seen.
    ReadOnly,
}

/// Options of a log. Those that say *new* count when a store is made, and are kept in it.
#[derive(Debug, Clone)]
pub struct LogOptions {
    /// Whose it is.
    pub of: StoreKind,
    /// Whether to make a store, or to read only.
    pub mode: Mode,
    /// When writes are flushed.
    pub flush: FlushPolicy,
    /// *New:* whether records have versions (CAS).
    pub versions: bool,
    /// *New:* number of partitions, at least 1: each has an update stream of its own.
    pub partitions: u16,
    /// *New:* packs frames. For `lz4` and `zstd` it need not be given when the store is opened again.
    pub codec: Option<Arc<dyn Codec>>,
    /// Bytes of memory for frames that cannot be mapped.
    pub cache_bytes: u64,
    /// Bytes of the smallest segment.
    pub least_segment_bytes: u64,
    /// Bytes of the update stream that are kept although the engine does not need them.
    pub stream_bytes: u64,
    /// Whether the engine makes packs, so that a blank is kept for one: on a full disk space is only won by
    /// moving what is live.
    pub has_packs: bool,
}

impl LogOptions {
    /// Those that most want, for an engine's store.
    pub const fn of(of: StoreKind) -> LogOptions {
        LogOptions {
            of,
            mode: Mode::Create,
            flush: FlushPolicy::Group,
            versions: true,
            partitions: 1,
            codec: None,
            cache_bytes: 64 << 20,
            least_segment_bytes: 1 << 20,
            stream_bytes: 0,
            has_packs: false,
        }
    }
}
