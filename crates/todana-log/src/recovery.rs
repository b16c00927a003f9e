//! Opening a log: from the files of a directory to segments that are whole, in their order, whatever a crash
//! has left. What they mean to the engine's records is the engine's to find out; then the log begins.

mod chain;
mod load;

use crate::blocks::FrameCache;
use crate::codec::{NAME_LEN_MAX, Packing, built_in};
use crate::commit::Commit;
use crate::head::Blank;
use crate::home::{Home, corrupt, failed, lock_store, make_directory, read_identity};
use crate::layout::header::{HEADER_LEN, SegmentHeader, SegmentKind};
use crate::layout::identity::{Identity, PARTITIONS_MAX};
use crate::layout::narrow;
use crate::log::Log;
use crate::options::{LogOptions, Mode};
use crate::segment::{Reading, Segment, file_name, parse_name};
use crate::segments::Segments;
use crate::state::LogState;
use crate::writer::{Account, LogWriter};
use arc_swap::ArcSwap;
pub use load::Entries;
use load::Loaded;
use parking_lot::Mutex;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use todana_engine::{Error, StoreClock};
use todana_io::{Disk, Lock, random_seed};
use todana_record::{Expiry, IndexHash};

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

/// The hash of a key as footers keep it; the engine's, since it looks keys up by it.
pub type KeyHash = fn(IndexHash, &[u8]) -> u64;

/// What a segment has, as recovery found it: what an index is built from.
#[derive(Debug)]
pub struct Contents {
    /// Number of the segment in the list.
    pub slot: u16,
    /// Its header.
    pub header: SegmentHeader,
    /// What its footer says, or a scan of it found.
    pub summary: crate::layout::footer::Summary,
    /// Its entries.
    pub entries: Entries,
}

/// A log whose files are whole, and to which nothing was appended yet.
#[derive(Debug)]
pub struct Recovered {
    /// Where the files are.
    pub home: Home,
    /// What the file `store` says, of this life already.
    pub identity: Identity,
    /// The segments.
    pub segments: Segments,
    /// What is known of each.
    pub accounts: Vec<Account>,
    /// Everything at or before this sequence was flushed.
    pub cut: u64,
    /// When a flush of all records is due.
    pub flush_due: Expiry,
    /// The last sequence that was applied: [`LogState::applied`] begins with it.
    pub applied: u64,
    /// What happened.
    pub report: Report,
    /// The store's clock goes on from the latest frame.
    pub clock: StoreClock,
    options: LogOptions,
    reading: Reading,
    lock: Option<Box<dyn Lock>>,
    /// The log that the next one follows, and where it ends.
    previous: Option<(u64, u32)>,
    next_id: u64,
    floor: u64,
}

/// The codec that a store was made with.
fn packing_of(
    home: &Home,
    options: &LogOptions,
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

struct Opening {
    home: Home,
    options: LogOptions,
    key_hash: Option<KeyHash>,
    identity: Identity,
    packing: Option<Arc<Packing>>,
    report: Report,
    is_new: bool,
    /// Files without a header.
    blanks: Vec<(SegmentKind, u64)>,
}

impl Recovered {
    /// Reads what is in a directory, makes it whole and locks it; makes a new store where there is none. Gives
    /// also what each segment has, packs first, each kind in the order of its ids. An engine whose footers keep
    /// no hashes gives no `key_hash`.
    ///
    /// # Errors
    /// [`Error::Open`] with what the disk said, or with who has the store open; [`Error::Corrupt`];
    /// [`Error::NoSpace`].
    pub fn open(
        disk: Arc<dyn Disk>,
        directory: &Path,
        options: LogOptions,
        key_hash: Option<KeyHash>,
    ) -> Result<(Recovered, Vec<Contents>), Error> {
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
        Opening::new(home, options, key_hash)?.run(lock)
    }

    /// Whether anything may be written.
    pub fn writes(&self) -> bool {
        self.options.mode != Mode::ReadOnly
    }

    /// How segments' files are read.
    pub fn reading(&self) -> &Reading {
        &self.reading
    }

    /// Begins a life of the log, unless it is read only: the store is no longer clean from here on, and a new
    /// segment is appended to; none that was there before is (H7). Footers keep `width` bytes of key hashes.
    ///
    /// # Errors
    /// As [`open`](Recovered::open).
    pub fn begin(self, width: usize) -> Result<(Log, LogWriter), Error> {
        let Recovered { home, mut identity, segments, accounts, cut, flush_due, .. } = self;
        let Recovered { applied, clock, options, reading, lock, previous, next_id, floor, .. } =
            self;
        identity.clean = false;
        let state = Arc::new(LogState {
            segments: ArcSwap::from_pointee(segments),
            applied: AtomicU64::new(applied),
            floor: AtomicU64::new(floor),
            starts: identity.starts.clone(),
            versions: identity.versions,
            partitions: identity.partitions,
            home,
            holds: Mutex::default(),
        });
        let mut writer = LogWriter {
            state: state.clone(),
            identity,
            packing: reading.packing.clone(),
            width,
            head: None,
            retired: Vec::new(),
            spare: None,
            pack_spare: None,
            has_packs: options.has_packs,
            accounts,
            next_id,
            cut,
            flush_due,
            short: false,
            least_segment_len: options.least_segment_bytes,
            segments: None,
            segments_state: 0,
            used: Vec::new(),
            free_slots: Vec::new(),
            since_wanted: 0,
        };
        if options.mode != Mode::ReadOnly {
            let blank = begin(&mut writer).map_err(failed("the store"))?;
            let begun = writer.begin_log(blank, previous, clock.now());
            begun.map_err(failed("the store"))?;
        }
        let log = Log {
            state,
            clock,
            reading,
            policy: options.flush,
            stream_bytes: options.stream_bytes,
            flusher: Mutex::default(),
            commit: Commit::default(),
            durable: AtomicU64::new(applied),
            flush_wanted: AtomicBool::new(false),
            poison: std::sync::OnceLock::new(),
            listeners: parking_lot::RwLock::default(),
            lock: Mutex::new(lock),
        };
        Ok((log, writer))
    }
}

/// Marks the store as open, with ids ahead, and makes its first segment.
fn begin(writer: &mut LogWriter) -> io::Result<Blank> {
    // Taking more than there is writes the identity, which is unclean from here on.
    writer.identity.next_id = writer.next_id;
    writer.blank(SegmentKind::Log, 0)
}

impl Opening {
    fn new(home: Home, options: LogOptions, key_hash: Option<KeyHash>) -> Result<Opening, Error> {
        let read = read_identity(options.of, &*home.disk, &home.directory)?;
        let (identity, is_new) = match read {
            Some((identity, _)) => (identity, false),
            None => (Opening::make(&home, &options)?, true),
        };
        let report = Report { clean: identity.clean, cut: Vec::new(), found: 0 };
        let packing = packing_of(&home, &options, &identity)?;
        let blanks = Vec::new();
        Ok(Opening { home, options, key_hash, identity, packing, report, is_new, blanks })
    }

    fn make(home: &Home, options: &LogOptions) -> Result<Identity, Error> {
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
            of: options.of,
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

    fn run(mut self, lock: Option<Box<dyn Lock>>) -> Result<(Recovered, Vec<Contents>), Error> {
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
        self.list(segments, lock)
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

    /// Puts what was loaded into a list.
    fn list(
        self,
        loaded: Vec<Loaded>,
        lock: Option<Box<dyn Lock>>,
    ) -> Result<(Recovered, Vec<Contents>), Error> {
        let Opening { home, options, identity, packing, mut report, .. } = self;
        let cache = Arc::new(FrameCache::new(options.cache_bytes));
        let reading = Reading { packing, cache };
        let cut = loaded.iter().map(|segment| segment.summary.cut).max().unwrap_or(0);
        let last_log = loaded.iter().rev().find(|s| s.header.kind == SegmentKind::Log);
        let flush_due = last_log.map_or(Expiry::NEVER, |log| log.summary.flush_due);
        // With packs alone: no log before it is there, but it is not the first.
        let last = last_log.or(loaded.last());
        let previous = last.map(|last| (last.header.id, narrow(last.end())));
        let highest = loaded.iter().map(|s| s.summary.highest).max().unwrap_or(0).max(cut);
        let (found, applied, next_id) = last_applied(&loaded, &identity, highest, report.clean);
        report.found = found;
        let clock = StoreClock::new();
        for segment in &loaded {
            clock.advance(segment.summary.time.ms());
        }
        let (mut segments, mut accounts) = (Segments::default(), vec![Account::default()]);
        let mut contents = Vec::with_capacity(loaded.len());
        for loaded in loaded {
            let (name, end) = (loaded.name(), loaded.end());
            let slot = u16::try_from(accounts.len()).map_err(|_| Error::NoSpace)?;
            let Loaded { header, file, frames, entries, summary, .. } = loaded;
            let len = file.len().map_err(failed(&name))?;
            let segment = Segment::of_file(slot, &header, file, frames, Arc::default(), &reading);
            segments.by_slot.push(Some(Arc::new(segment.map_err(failed(&name))?)));
            accounts.push(Account {
                id: header.id,
                live: 0,
                removals: 0,
                len,
                data: (end - HEADER_LEN) as u64,
                lowest: summary.lowest,
                highest: summary.highest,
                is_pack: header.kind == SegmentKind::Pack,
                complete: true,
            });
            contents.push(Contents { slot, header, summary, entries });
        }
        let floor = match applied > highest {
            true => applied,
            false => segments.floor().min(applied),
        };
        let recovered = Recovered {
            home,
            identity,
            segments,
            accounts,
            cut,
            flush_due,
            applied,
            report,
            clock,
            options,
            reading,
            lock,
            previous,
            next_id,
            floor,
        };
        Ok((recovered, contents))
    }
}
