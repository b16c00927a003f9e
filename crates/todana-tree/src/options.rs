//! How a tree is made.

/// How a tree is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeOptions {
    /// Whether records have versions (CAS tokens); without, each takes a few bytes less.
    pub versions: bool,
    /// Most bytes of memory; 0 for no limit.
    pub memory_limit_bytes: u64,
}

impl Default for TreeOptions {
    fn default() -> TreeOptions {
        TreeOptions { versions: true, memory_limit_bytes: 0 }
    }
}
