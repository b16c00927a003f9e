//! Opening a store: the log is made whole, and its entries become an index.

use crate::blob::parse_blob_name;
use crate::build::{Build, Built};
use crate::compact::Compactor;
use crate::hash::Hash;
use crate::index::spread;
use crate::options::HashOptions;
use crate::shared::Shared;
use crate::writer::Writer;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use todana_engine::Error;
use todana_io::Disk;
use todana_log::layout::identity::StoreKind;
use todana_log::{Home, LogOptions, Recovered, failed};
use todana_record::IndexHash;

/// What the identity of a store of this engine says.
pub(crate) const KIND: StoreKind = StoreKind::HASH;

impl Hash {
    /// Opens a store in a directory.
    ///
    /// # Errors
    /// [`Error::Open`] with what the disk said, or with who has the store open; [`Error::Corrupt`];
    /// [`Error::NoSpace`].
    pub fn open(
        disk: Arc<dyn Disk>,
        directory: &Path,
        options: HashOptions,
    ) -> Result<Hash, Error> {
        let opened = Recovered::open(disk, directory, log_options(&options), Some(key_hash));
        let (mut recovered, contents) = opened?;
        let hash = IndexHash::new(recovered.identity.seed);
        let records = contents.iter().map(|segment| segment.entries.count()).sum();
        let mut build = Build::new(records, hash, &mut recovered)?;
        for segment in contents {
            build.add(segment)?;
        }
        let Built { index, blobs } = build.finish()?;
        if recovered.writes() {
            remove_orphans(&recovered.home, &blobs)?;
        }
        let (report, due_ms) = (recovered.report.clone(), recovered.flush_due.ms());
        let width = index.index().bits() / 8;
        let (log, writer) = recovered.begin(width as usize)?;
        let shared = Shared { log: log.state.clone(), index: index.index().clone() };
        let writer = Writer {
            log: writer,
            index,
            blobs,
            dead_blobs: Vec::new(),
            stored: 0,
            moved: 0,
            expired: 0,
            reclaimed: 0,
        };
        Ok(Hash {
            options,
            log,
            hash,
            shared,
            writing: Mutex::new(writer),
            compactor: Mutex::new(Compactor::default()),
            units: AtomicU64::new(0),
            due_ms: AtomicU64::new(due_ms),
            owes_cut: AtomicBool::new(false),
            report,
        })
    }
}

fn log_options(options: &HashOptions) -> LogOptions {
    LogOptions {
        of: KIND,
        mode: options.mode,
        flush: options.flush,
        versions: options.versions,
        partitions: options.partitions,
        codec: options.codec.clone(),
        cache_bytes: options.cache_bytes,
        least_segment_bytes: options.least_segment_bytes,
        stream_bytes: options.stream_bytes,
        has_packs: true,
    }
}

/// The hash of a key as the index has it, and footers.
pub(crate) fn key_hash(hash: IndexHash, key: &[u8]) -> u64 {
    spread(hash.of(key))
}

/// Removes blobs that no record refers to: of changes that a crash took back, or whose records are gone.
fn remove_orphans(home: &Home, blobs: &HashSet<u64>) -> Result<(), Error> {
    let shown = home.directory.display().to_string();
    let names = home.disk.list(&home.directory).map_err(failed(&shown))?;
    for name in names {
        if parse_blob_name(&name).is_some_and(|id| !blobs.contains(&id)) {
            home.remove(&name).map_err(failed(&name))?;
        }
    }
    Ok(())
}
