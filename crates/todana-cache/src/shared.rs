//! What all shards of a cache use.

use crate::options::CacheOptions;
use parking_lot::RwLock;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use todana_engine::{Error, Listener, View};
use todana_record::IndexHash;

/// What all shards use.
pub(crate) struct Shared {
    pub(crate) hash: IndexHash,
    pub(crate) versions: bool,
    pub(crate) evicts: bool,
    pub(crate) segment_len: usize,
    value_len_max: u64,
    limit_bytes: AtomicU64,
    next_version: AtomicU64,
    listeners: RwLock<Vec<Arc<dyn Listener>>>,
}

impl Shared {
    pub(crate) fn new(options: &CacheOptions, segment_len: usize, value_len_max: u64) -> Shared {
        Shared {
            hash: IndexHash::new(options.seed),
            versions: options.versions,
            evicts: options.evictions,
            segment_len,
            value_len_max,
            limit_bytes: AtomicU64::new(options.memory_limit_bytes),
            next_version: AtomicU64::new(1),
            listeners: RwLock::new(Vec::new()),
        }
    }

    /// Takes `count` versions that nobody else gets.
    pub(crate) fn next_versions(&self, count: u64) -> u64 {
        self.next_version.fetch_add(count, Ordering::Relaxed)
    }

    pub(crate) fn limit_bytes(&self) -> u64 {
        self.limit_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn set_limit_bytes(&self, bytes: u64) {
        self.limit_bytes.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn value_len_max(&self) -> u64 {
        self.value_len_max
    }

    pub(crate) fn subscribe(&self, listener: Arc<dyn Listener>) {
        self.listeners.write().push(listener);
    }

    pub(crate) fn check_value_len(&self, len: u64) -> Result<(), Error> {
        if len > self.value_len_max {
            return Err(Error::ValueTooLarge { len, max: self.value_len_max });
        }
        Ok(())
    }

    pub(crate) fn tell_evicted(&self, record: &View<'_>) {
        for listener in self.listeners.read().iter().filter(|listener| listener.wants_evictions()) {
            listener.evicted(record);
        }
    }
}
