//! What an engine may refuse, and why.

/// Why an engine did not do what it was asked. Nothing has changed then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The key is longer than the engine takes.
    #[error("key of {len} bytes, of at most {max}")]
    KeyTooLarge {
        /// Bytes.
        len: u64,
        /// Bytes.
        max: u64,
    },
    /// The value is longer than the engine takes, or than fits its memory.
    #[error("value of {len} bytes, of at most {max}")]
    ValueTooLarge {
        /// Bytes.
        len: u64,
        /// Bytes.
        max: u64,
    },
    /// The memory limit is reached and nothing can be evicted, or the system refuses memory.
    #[error("no memory: the limit of {limit_bytes} bytes is reached, or the system has no more")]
    OutOfMemory {
        /// The limit.
        limit_bytes: u64,
    },
    /// A memory limit that the engine cannot work in.
    #[error("memory limit of {limit_bytes} bytes is less than the {min_bytes} that it needs")]
    LimitTooSmall {
        /// What was asked for.
        limit_bytes: u64,
        /// The least.
        min_bytes: u64,
    },
    /// An effect names a predecessor that this store does not hold.
    #[error("the effect builds on a record that is not here: fetch the whole record")]
    NeedsRecord,
    /// The engine has no such ability.
    #[error("this engine cannot {0}")]
    Unsupported(&'static str),
    /// Space is short; reads and removals go on, writes are taken again once there is space.
    #[error("no space left for writes")]
    NoSpace,
    /// A store could not be opened.
    #[error("{0}")]
    Open(String),
    /// A write or flush failed; the store must be opened anew.
    #[error("the store stopped after a failed write: {0}")]
    Poisoned(String),
    /// Stored bytes are not what was written.
    #[error("corrupt data: {0}")]
    Corrupt(String),
}
