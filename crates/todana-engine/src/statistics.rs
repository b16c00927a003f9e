//! Figures that every engine gives.

/// What an engine tells of itself. Counters start at zero when it is opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Records now, ended ones that were not reclaimed yet included.
    pub records: u64,
    /// Records stored since the engine was opened.
    pub records_stored: u64,
    /// Bytes of keys, values and record headers of the records that are there now.
    pub live_bytes: u64,
    /// Bytes that the engine holds for records and index together.
    pub memory_bytes: u64,
    /// Limit on them; 0 when there is none.
    pub memory_limit_bytes: u64,
    /// Bytes of the index.
    pub index_bytes: u64,
    /// Index buckets.
    pub index_buckets: u64,
    /// Unended records removed because memory was short.
    pub evictions: u64,
    /// Those among them that were never fetched.
    pub evicted_unfetched: u64,
    /// Those among them that were fetched since the last time somebody thought of removing them.
    pub evicted_active: u64,
    /// Ended records whose memory was taken back.
    pub expired: u64,
    /// Those among them that were never fetched.
    pub expired_unfetched: u64,
    /// Writes refused for want of memory.
    pub out_of_memory: u64,
    /// Records moved to keep them while their segment was reclaimed.
    pub records_moved: u64,
    /// Segments reclaimed.
    pub segments_reclaimed: u64,
    /// Figures by class of record size.
    pub classes: Vec<ClassStatistics>,
}

/// Figures of the records in one kind of segment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClassStatistics {
    /// Number of the class, from 1.
    pub class: u32,
    /// Largest record of the class in bytes.
    pub record_len_max: u64,
    /// Segments.
    pub segments: u64,
    /// Bytes of the segments.
    pub bytes: u64,
    /// Bytes in use by records that are there now.
    pub live_bytes: u64,
    /// Those records.
    pub records: u64,
    /// Age of the oldest segment in seconds.
    pub age_s: u64,
    /// As in [`Statistics`].
    pub evictions: u64,
    /// Evicted records that had an expiry.
    pub evicted_with_expiry: u64,
    /// As in [`Statistics`].
    pub evicted_unfetched: u64,
    /// Seconds since the last access of the record that was evicted last.
    pub evicted_idle_s: u64,
    /// As in [`Statistics`].
    pub expired: u64,
    /// As in [`Statistics`].
    pub expired_unfetched: u64,
    /// As in [`Statistics`].
    pub out_of_memory: u64,
}
