//! Opening a store: from the files of a directory to an index, whatever a crash has left.

mod build;
mod chain;
mod load;

use crate::blob::parse_blob_name;
use crate::hash::Hash;
use crate::options::{HashOptions, Mode};
use crate::shared::Shared;
use crate::writer::Writer;
use arc_swap::ArcSwap;
use build::{Build, Built};
use load::Loaded;
use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use todana_engine::{Error, StoreClock};
use todana_io::{Disk, random_seed};
use todana_log::layout::header::SegmentKind;
use todana_log::layout::identity::{Identity, PARTITIONS_MAX, StoreKind};
use todana_log::layout::narrow;
use todana_log::{
    Blank, FrameCache, Home, NAME_LEN_MAX, Packing, Reading, built_in, corrupt, failed, file_name,
    lock_store, make_directory, parse_name, read_identity,
};
use todana_record::{Expiry, IndexHash};

/// What the identity of a store of this engine says.
pub(crate) const KIND: StoreKind = StoreKind::HASH;

/// What opening a store found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Whether the store had been closed.
    pub clean: bool,
    /// What was cut away, one line each: file, place, bytes.
    pub cut: Vec<String>,
    /// Every change up to this sequence was found, and none after it.
    pub found: u64,
}

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
        let home = Home { disk, directory: directory.to_owned() };
        let shown = directory.display();
        let mut lock = None;
        if options.mode == Mode::Create {
            let made = make_directory(&*home.disk, directory);
            made.map_err(failed(&format!("cannot make {shown}")))?;
        }
        if options.mode != Mode::ReadOnly {
            lock = Some(lock_store(&*home.disk, directory)?);
        }
        let mut hash = Opening::new(home, options)?.run()?;
        hash.lock = parking_lot::Mutex::new(lock);
        Ok(hash)
    }
}

/// The codec that a store was made with.
fn packing_of(
    home: &Home,
    options: &HashOptions,
    identity: &Identity,
) -> Result<Option<Arc<Packing>>, Error> {
    let name = &identity.codec;
    let given = options.codec.clone();
    let codec = match given.filter(|codec| codec.name() == name) {
        None if name.is_empty() => return Ok(None),
        None => built_in(name),
        given => given,
    };
    let codec = codec.ok_or_else(|| {
        let shown = home.directory.display();
        Error::Open(format!("{shown} is packed by the codec `{name}`, which has to be given"))
    })?;
    let packing = Packing::open(codec, &*home.disk, &home.directory)?;
    Ok(Some(Arc::new(packing)))
}

/// Up to where every change was found, what was applied last, and the id to go on with. The log of the last
/// change may be gone, when compaction has moved what it had: a close has told then. After a crash the
/// first sequence of the new incarnation stands for it: positions never go back, and nobody follows a
/// change that he cannot see.
fn last_applied(
    segments: &[Loaded],
    identity: &Identity,
    highest: u64,
    was_closed: bool,
) -> (u64, u64, u64) {
    let next_id = identity.next_id;
    if was_closed {
        let applied = highest.max(identity.applied);
        return (applied, applied, next_id);
    }
    let is_there = |id| segments.iter().any(|segment| segment.header.id == id);
    let previous = segments.iter().filter_map(|segment| segment.header.previous);
    let gone = previous.filter(|(id, _)| !is_there(*id));
    let end = gone.map(|(id, end)| id.saturating_add(u64::from(end))).max().unwrap_or(0);
    match end > highest {
        true => (end, next_id, next_id + 1),
        false => (highest, highest, next_id),
    }
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

struct Opening {
    home: Home,
    options: HashOptions,
    identity: Identity,
    packing: Option<Arc<Packing>>,
    report: Report,
    is_new: bool,
    /// Files without a header.
    blanks: Vec<(SegmentKind, u64)>,
}

impl Opening {
    fn new(home: Home, options: HashOptions) -> Result<Opening, Error> {
        let (identity, is_new) = match read_identity(KIND, &*home.disk, &home.directory)? {
            Some((identity, _)) => (identity, false),
            None => (Opening::make(&home, &options)?, true),
        };
        let report = Report { clean: identity.clean, cut: Vec::new(), found: 0 };
        let packing = packing_of(&home, &options, &identity)?;
        Ok(Opening { home, options, identity, packing, report, is_new, blanks: Vec::new() })
    }

    fn make(home: &Home, options: &HashOptions) -> Result<Identity, Error> {
        let shown = home.directory.display();
        if options.mode != Mode::Create {
            return Err(Error::Open(format!("there is no store at {shown}")));
        }
        let names = home.disk.list(&home.directory).map_err(failed(&shown.to_string()))?;
        if names.iter().any(|name| parse_name(name).is_some()) {
            return Err(corrupt(&shown.to_string(), "the file `store` is missing"));
        }
        let codec = options.codec.as_ref().map_or(String::new(), |codec| codec.name().to_owned());
        // What could not be read again.
        if codec.len() > NAME_LEN_MAX {
            return Err(Error::Open(format!("a codec's name has at most {NAME_LEN_MAX} bytes")));
        }
        if options.partitions > PARTITIONS_MAX {
            return Err(Error::Open(format!("a store has at most {PARTITIONS_MAX} partitions")));
        }
        let mut identity = Identity {
            of: KIND,
            store: random_seed(),
            seed: random_seed(),
            partitions: options.partitions.max(1),
            versions: options.versions,
            codec,
            next_id: 1,
            applied: 0,
            incarnation: 0,
            clean: true,
            starts: Vec::new(),
        };
        identity.begin_incarnation(1, 0);
        Ok(identity)
    }

    fn writes(&self) -> bool {
        self.options.mode != Mode::ReadOnly
    }

    fn run(mut self) -> Result<Hash, Error> {
        let mut segments = if self.is_new { Vec::new() } else { self.load_all()? };
        self.drop_orphans(&mut segments)?;
        if self.writes() {
            self.complete(&mut segments)?;
            // Only now: a log that followed one of them must not be taken for whole.
            for (kind, id) in std::mem::take(&mut self.blanks) {
                self.remove(&file_name(id, kind))?;
            }
        }
        if !self.report.clean {
            let (incarnation, first) =
                (self.identity.incarnation.saturating_add(1), self.identity.next_id);
            self.identity.begin_incarnation(incarnation, first);
        }
        self.build(segments)
    }

    /// Reads every segment of the directory, packs first, each kind in order of its ids.
    fn load_all(&mut self) -> Result<Vec<Loaded>, Error> {
        let shown = self.home.directory.display().to_string();
        let names = self.home.disk.list(&self.home.directory).map_err(failed(&shown))?;
        let mut found: Vec<_> = names.iter().filter_map(|name| parse_name(name)).collect();
        for name in names.iter().filter(|name| name.ends_with(".pack.new")) {
            // Its records are still where they were moved from.
            self.remove(name)?;
        }
        found.sort_unstable_by_key(|&(kind, id)| (kind == SegmentKind::Log, id));
        let mut segments = Vec::new();
        for (kind, id) in found {
            segments.extend(self.load(kind, id)?);
        }
        Ok(segments)
    }

    fn remove(&self, name: &str) -> Result<(), Error> {
        match self.writes() {
            true => self.home.remove(name).map_err(failed(name)),
            false => Ok(()),
        }
    }

    fn build(self, segments: Vec<Loaded>) -> Result<Hash, Error> {
        let Opening { home, options, mut identity, packing, mut report, .. } = self;
        let cache = Arc::new(FrameCache::new(options.cache_bytes));
        let reading = Reading { packing: packing.clone(), cache };
        let count = segments.iter().map(|segment| segment.entries.count()).sum();
        let cut = segments.iter().map(|segment| segment.summary.cut).max().unwrap_or(0);
        let last_log = segments.iter().rev().find(|s| s.header.kind == SegmentKind::Log);
        let flush_due = last_log.map_or(Expiry::NEVER, |log| log.summary.flush_due);
        // With packs alone: no log before it is there, but it is not the first.
        let last = last_log.or(segments.last());
        let previous = last.map(|last| (last.header.id, narrow(last.end())));
        let highest = segments.iter().map(|s| s.summary.highest).max().unwrap_or(0).max(cut);
        let (found, applied, next_id) = last_applied(&segments, &identity, highest, report.clean);
        report.found = found;
        let clock = StoreClock::new();
        for segment in &segments {
            clock.advance(segment.summary.time.ms());
        }
        let hash = IndexHash::new(identity.seed);
        let mut build = Build::new(count, hash, cut, reading.clone())?;
        for segment in segments {
            build.add(segment)?;
        }
        let Built { index, tables, accounts, blobs } = build.finish()?;
        if options.mode != Mode::ReadOnly {
            remove_orphans(&home, &blobs)?;
        }
        identity.clean = false;
        let mut writer = Writer {
            home: home.clone(),
            identity: identity.clone(),
            packing,
            index,
            log: None,
            retired: Vec::new(),
            spare: None,
            pack_spare: None,
            tables: None,
            state: 0,
            used: Vec::new(),
            accounts,
            blobs,
            dead_blobs: Vec::new(),
            free_slots: Vec::new(),
            next_id,
            cut,
            flush_due,
            short: false,
            since_wanted: 0,
            stored: 0,
            moved: 0,
            expired: 0,
            reclaimed: 0,
            least_segment_len: options.least_segment_bytes,
        };
        let index = tables.index.clone();
        let shared = Arc::new(Shared {
            floor: AtomicU64::new(match applied > highest {
                true => applied,
                false => Shared::floor_of(&tables).min(applied),
            }),
            tables: ArcSwap::from_pointee(tables),
            index,
            applied: AtomicU64::new(applied),
            starts: identity.starts.clone(),
            versions: identity.versions,
            partitions: identity.partitions,
            pins: parking_lot::Mutex::default(),
            home,
        });
        if options.mode != Mode::ReadOnly {
            let blank = begin(&mut writer).map_err(failed("the store"))?;
            let begun = writer.begin_log(&shared.tables, blank, previous, clock.now());
            begun.map_err(failed("the store"))?;
        }
        Ok(Hash {
            options,
            reading,
            clock,
            hash,
            shared,
            due_ms: AtomicU64::new(flush_due.ms()),
            writing: parking_lot::Mutex::new(writer),
            flusher: parking_lot::Mutex::default(),
            commit: crate::commit::Commit::default(),
            compactor: parking_lot::Mutex::default(),
            durable: AtomicU64::new(applied),
            units: AtomicU64::new(0),
            flush_wanted: AtomicBool::new(false),
            owes_cut: AtomicBool::new(false),
            poison: std::sync::OnceLock::new(),
            listeners: parking_lot::RwLock::default(),
            lock: parking_lot::Mutex::new(None),
            report,
        })
    }
}

/// Marks the store as open, with ids ahead, and makes its first segment.
fn begin(writer: &mut Writer) -> io::Result<Blank> {
    // Taking more than there is writes the identity, which is unclean from here on.
    writer.identity.next_id = writer.next_id;
    writer.blank(SegmentKind::Log, 0)
}
