//! Opening a store: from the files of a directory to an index, whatever a crash has left.

use crate::hash::Hash;
use crate::head::{Blank, write_footer};
use crate::index::{Check, Doubled, IndexWriter, Place, Probe, spread};
use crate::layout::footer::{
    self, EntryKind, FooterEntry, Summary, Tables as FooterTables, Trailer,
};
use crate::layout::frame::{self, Frame};
use crate::layout::header::{HEADER_LEN, SegmentHeader, SegmentKind};
use crate::layout::identity::Identity;
use crate::layout::record::{self, Operation};
use crate::options::{HashOptions, Mode};
use crate::segment::{Segment, read_footer};
use crate::view::Tables;
use crate::writer::{Account, Home, IDENTITY, Writer, refused};
use arc_swap::ArcSwap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use todana_engine::{Error, StoreClock};
use todana_io::{Disk, DiskFile, Open, random_seed};
use todana_record::{Expiry, IndexHash, Timestamp};

/// What opening a store found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Whether the store had been closed.
    pub clean: bool,
    /// What was cut away, one line each: file, place, bytes.
    pub cut: Vec<String>,
}

/// A segment on its way into the tables.
struct Loaded {
    header: SegmentHeader,
    file: Arc<dyn DiskFile>,
    frames: Vec<Frame>,
    entries: Entries,
    summary: Summary,
    /// Whether the file has a footer that can be trusted.
    complete: bool,
}

enum Entries {
    Footer(Trailer, Vec<u8>),
    Scanned(Vec<FooterEntry>),
}

impl Loaded {
    fn end(&self) -> usize {
        self.frames.last().map_or(HEADER_LEN, Frame::end)
    }

    fn entries(&self) -> Box<dyn Iterator<Item = FooterEntry> + '_> {
        match &self.entries {
            Entries::Footer(trailer, bytes) => {
                Box::new(trailer.tables(bytes).into_iter().flatten())
            }
            Entries::Scanned(entries) => Box::new(entries.iter().copied()),
        }
    }
}

fn corrupt(name: &str, reason: &str) -> Error {
    Error::Corrupt(format!("{name}: {reason}"))
}

fn failed(what: &str) -> impl FnOnce(io::Error) -> Error {
    let what = what.to_owned();
    move |error| match refused(&error) {
        Error::NoSpace => Error::NoSpace,
        _ => Error::Open(format!("{what}: {error}")),
    }
}

/// The name of the file that is locked.
const LOCK: &str = "lock";

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
            let note = format!("process {}", std::process::id());
            let locked = home.disk.lock(&directory.join(LOCK), &note);
            lock = Some(locked.map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => Error::Open(format!("there is no store at {shown}")),
                io::ErrorKind::WouldBlock => Error::Open(format!("{shown} is in use by {error}")),
                _ => Error::Open(format!("cannot lock {shown}: {error}")),
            })?);
        }
        let mut hash = Opening::new(home, options)?.run()?;
        hash.lock = parking_lot::Mutex::new(lock);
        Ok(hash)
    }
}

/// Makes a directory and its parents, so that all of their names survive a crash.
fn make_directory(disk: &dyn Disk, directory: &Path) -> io::Result<()> {
    let is_missing = |path: &Path| match disk.list(path) {
        Err(error) => error.kind() == io::ErrorKind::NotFound,
        Ok(_) => false,
    };
    let ancestors = directory.ancestors().skip(1).filter(|path| !path.as_os_str().is_empty());
    let missing: Vec<&Path> = ancestors.take_while(|path| is_missing(path)).collect();
    disk.create_dir(directory)?;
    // The store's own name each time: who made it may have been ended before this.
    for path in missing.into_iter().chain([directory]) {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        disk.sync_dir(parent.unwrap_or(Path::new(".")))?;
    }
    Ok(())
}

struct Opening {
    home: Home,
    options: HashOptions,
    identity: Identity,
    report: Report,
    is_new: bool,
    /// Files without a header.
    blanks: Vec<(SegmentKind, u64)>,
}

impl Opening {
    fn new(home: Home, options: HashOptions) -> Result<Opening, Error> {
        let path = home.directory.join(IDENTITY);
        let (identity, is_new) = match home.disk.open(&path, Open::Read) {
            Ok(file) => {
                let read = || {
                    let len = usize::try_from(file.len()?.min(1 << 20)).unwrap_or(0);
                    let mut bytes = vec![0; len];
                    file.read_exact_at(0, &mut bytes)?;
                    Ok(bytes)
                };
                let bytes = read().map_err(failed(&path.display().to_string()))?;
                let identity = Identity::decode(&bytes);
                let name = path.display().to_string();
                (identity.map_err(|reason| corrupt(&name, &reason))?, false)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                (Opening::make(&home, &options)?, true)
            }
            Err(error) => return Err(failed(&path.display().to_string())(error)),
        };
        let report = Report { clean: identity.clean, cut: Vec::new() };
        Ok(Opening { home, options, identity, report, is_new, blanks: Vec::new() })
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
        let mut identity = Identity {
            store: random_seed(),
            seed: random_seed(),
            partitions: 1,
            versions: options.versions,
            codec: String::new(),
            next_id: 1,
            stream_floor: 0,
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
                self.remove(&crate::segment::file_name(id, kind))?;
            }
        }
        if !self.report.clean {
            let (incarnation, first) = (self.identity.incarnation + 1, self.identity.next_id);
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
            true => self.home.disk.remove(&self.home.directory.join(name)).map_err(failed(name)),
            false => Ok(()),
        }
    }

    fn load(&mut self, kind: SegmentKind, id: u64) -> Result<Option<Loaded>, Error> {
        let name = crate::segment::file_name(id, kind);
        let path = self.home.directory.join(&name);
        let how = if self.writes() { Open::Write } else { Open::Read };
        let file: Arc<dyn DiskFile> =
            self.home.disk.open(&path, how).map_err(failed(&name))?.into();
        let mut bytes = [0; HEADER_LEN];
        let read = file.read_at(0, &mut bytes).map_err(failed(&name))?;
        let header = SegmentHeader::decode(bytes.get(..read).unwrap_or_default());
        let Some(header) = header.filter(|header| header.id == id && header.kind == kind) else {
            if bytes.iter().any(|&byte| byte != 0) {
                return Err(corrupt(&name, "its header is damaged"));
            }
            // A blank that was never begun, or whose header did not survive: nothing safe is in it, nor
            // in a log that follows it.
            self.blanks.push((kind, id));
            return Ok(None);
        };
        if header.store != self.identity.store {
            return Err(corrupt(&name, "it belongs to another store"));
        }
        let footer = read_footer(&*file, id).map_err(failed(&name))?;
        if let Some((trailer, tables)) = footer {
            let reader = trailer.tables(&tables).ok_or_else(|| corrupt(&name, "its footer"))?;
            let frames = footer::frames(&reader);
            let (summary, trusted) = (trailer.summary, trailer.summary.synced || self.report.clean);
            if trusted {
                let entries = Entries::Footer(trailer, tables);
                let complete = summary.synced || !self.writes();
                return Ok(Some(Loaded { header, file, frames, entries, summary, complete }));
            }
        }
        if kind == SegmentKind::Pack {
            return Err(corrupt(&name, "its footer is damaged"));
        }
        self.scan(header, file, &name).map(Some)
    }

    /// Reads a log without a footer, up to the first frame that is not intact.
    fn scan(
        &mut self,
        header: SegmentHeader,
        file: Arc<dyn DiskFile>,
        name: &str,
    ) -> Result<Loaded, Error> {
        let len = usize::try_from(file.len().map_err(failed(name))?).unwrap_or(0);
        let mut bytes = vec![0; len];
        file.read_exact_at(0, &mut bytes).map_err(failed(name))?;
        let hash = IndexHash::new(self.identity.seed);
        let mut summary = Summary {
            frames_end: HEADER_LEN,
            count: 0,
            lowest: u64::MAX,
            highest: 0,
            cut: header.cut,
            flush_due: header.flush_due,
            time: Timestamp::from_ms(0),
            synced: false,
            width: 8,
        };
        let (mut frames, mut entries) = (Vec::new(), Vec::new());
        let mut at = HEADER_LEN;
        while let Some((frame, sums)) =
            frame::read_header(header.id, at, bytes.get(at..).unwrap_or_default())
        {
            let Some(payload) = bytes.get(frame.payload_start()..frame.end()) else { break };
            if !frame::is_intact(payload, sums) {
                break;
            }
            let mut offset = frame.payload_start();
            while let Some(entry) =
                record::parse(bytes.get(offset..frame.end()).unwrap_or_default())
            {
                let kind = EntryKind::of(entry.operation);
                let hash = if kind == EntryKind::Other { 0 } else { spread(hash.of(entry.key)) };
                entries.push(FooterEntry { offset, len: entry.len, kind, hash });
                let sequence = header.id + offset as u64;
                summary.lowest = summary.lowest.min(sequence);
                summary.highest = summary.highest.max(sequence);
                match entry.operation {
                    Operation::Flush => {
                        (summary.cut, summary.flush_due) = (entry.number, Expiry::NEVER);
                    }
                    Operation::FlushDue => summary.flush_due = entry.expiry,
                    Operation::Put | Operation::Remove | Operation::Unit => {}
                }
                offset += entry.len;
            }
            if offset < frame.end() {
                let len = frame.end() - offset;
                entries.push(FooterEntry { offset, len, kind: EntryKind::Other, hash: 0 });
            }
            summary.time = summary.time.max(frame.time);
            at = frame.end();
            summary.frames_end = at;
            frames.push(frame);
        }
        let rest = bytes.get(at..).unwrap_or_default();
        let torn = rest.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        // Beyond a whole log is its footer, which cannot be trusted alone.
        if torn > 0 && read_footer(&*file, header.id).map_err(failed(name))?.is_none() {
            self.report.cut.push(format!("{name}: {torn} bytes from byte {at} on"));
        }
        Ok(Loaded {
            header,
            file,
            frames,
            entries: Entries::Scanned(entries),
            summary,
            complete: false,
        })
    }

    /// Drops the logs that do not follow what is left of the one before them.
    fn drop_orphans(&mut self, segments: &mut Vec<Loaded>) -> Result<(), Error> {
        let empty = crate::layout::narrow(HEADER_LEN);
        let mut ends: Vec<(u64, u32)> = self.blanks.iter().map(|&(_, id)| (id, empty)).collect();
        let mut lost: Option<usize> = None;
        for (at, segment) in segments.iter().enumerate() {
            if segment.header.kind != SegmentKind::Log {
                continue;
            }
            let follows = segment
                .header
                .previous
                .is_none_or(|(id, end)| ends.iter().all(|&(other, its)| other != id || its == end));
            if !follows {
                lost = Some(at);
                break;
            }
            ends.push((segment.header.id, crate::layout::narrow(segment.end())));
        }
        let Some(first) = lost else { return Ok(()) };
        for orphan in segments.drain(first..) {
            let name = crate::segment::file_name(orphan.header.id, SegmentKind::Log);
            let bytes = orphan.end();
            self.report.cut.push(format!("{name}: all of its {bytes} bytes, kept as {name}.cut"));
            if self.writes() {
                let path = self.home.directory.join(&name);
                let aside = self.home.directory.join(format!("{name}.cut"));
                self.home.disk.rename(&path, &aside).map_err(failed(&name))?;
            }
        }
        match self.writes() {
            true => {
                let synced = self.home.disk.sync_dir(&self.home.directory);
                synced.map_err(failed("the directory"))
            }
            false => Ok(()),
        }
    }

    /// Gives every log a footer, so that nothing is ever appended to one that a crash has cut.
    fn complete(&mut self, segments: &mut [Loaded]) -> Result<(), Error> {
        for segment in segments.iter_mut().filter(|segment| !segment.complete) {
            let name = crate::segment::file_name(segment.header.id, segment.header.kind);
            let mut tables = FooterTables::default();
            segment.frames.iter().for_each(|frame| tables.add_frame(frame.payload_len));
            let width = 8;
            let entries: Vec<FooterEntry> = segment.entries().collect();
            for entry in &entries {
                tables.add_entry(entry.len, entry.kind, entry.hash, width);
            }
            let width = match &segment.entries {
                Entries::Footer(trailer, _) => trailer.summary.width,
                Entries::Scanned(_) => width,
            };
            let summary = Summary { synced: true, width, ..segment.summary };
            let done = (|| {
                segment.file.sync()?;
                match &segment.entries {
                    Entries::Footer(..) => Ok(()),
                    Entries::Scanned(_) => {
                        write_footer(&*segment.file, segment.header.id, &tables, &summary)?;
                        segment.file.sync()
                    }
                }
            })();
            done.map_err(failed(&name))?;
            segment.complete = true;
        }
        Ok(())
    }

    fn build(self, segments: Vec<Loaded>) -> Result<Hash, Error> {
        let Opening { home, options, mut identity, report, .. } = self;
        let count: u64 = segments
            .iter()
            .map(|segment| match &segment.entries {
                Entries::Footer(trailer, _) => u64::from(trailer.summary.count),
                Entries::Scanned(entries) => entries.len() as u64,
            })
            .sum();
        let cut = segments.iter().map(|segment| segment.summary.cut).max().unwrap_or(0);
        let last_log = segments.iter().rev().find(|s| s.header.kind == SegmentKind::Log);
        let flush_due = last_log.map_or(Expiry::NEVER, |log| log.summary.flush_due);
        let previous = last_log.map(|log| (log.header.id, crate::layout::narrow(log.end())));
        let applied = segments.iter().map(|s| s.summary.highest).max().unwrap_or(0).max(cut);
        let clock = StoreClock::new();
        for segment in &segments {
            clock.advance(segment.summary.time.ms());
        }
        let hash = IndexHash::new(identity.seed);
        let mut build = Build::new(count, hash, cut)?;
        for segment in segments {
            build.add(segment)?;
        }
        let (index, tables, accounts) = build.finish()?;
        let next_id = identity.next_id;
        identity.clean = false;
        let mut writer = Writer {
            home,
            stream_floor: identity.stream_floor,
            identity: identity.clone(),
            index,
            log: None,
            retired: Vec::new(),
            spare: None,
            spare_pack: None,
            accounts,
            free_slots: Vec::new(),
            next_id,
            cut,
            flush_due,
            short: false,
            scratch: Vec::new(),
            since_wanted: 0,
            stored: 0,
            moved: 0,
            expired: 0,
            reclaimed: 0,
            least_segment_len: options.least_segment_bytes,
        };
        let tables = ArcSwap::from_pointee(tables);
        if options.mode != Mode::ReadOnly {
            let blank = begin(&mut writer).map_err(failed("the store"))?;
            let begun = writer.begin_log(&tables, blank, previous, clock.now());
            begun.map_err(failed("the store"))?;
        }
        Ok(Hash {
            options,
            clock,
            hash,
            versions: identity.versions,
            starts: identity.starts.clone(),
            tables,
            due_ms: AtomicU64::new(flush_due.ms()),
            writer: parking_lot::Mutex::new(writer),
            flusher: parking_lot::Mutex::default(),
            compactor: parking_lot::Mutex::default(),
            applied: AtomicU64::new(applied),
            durable: AtomicU64::new(applied),
            units: AtomicU64::new(0),
            flush_wanted: AtomicBool::new(false),
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

fn parse_name(name: &str) -> Option<(SegmentKind, u64)> {
    let (id, extension) = name.split_once('.')?;
    let kind = match extension {
        "log" => SegmentKind::Log,
        "pack" => SegmentKind::Pack,
        _ => return None,
    };
    (id.len() == 16).then(|| u64::from_str_radix(id, 16).ok()).flatten().map(|id| (kind, id))
}

/// An index that is being built.
struct Build {
    hash: IndexHash,
    cut: u64,
    index: IndexWriter,
    tables: Tables,
    accounts: Vec<Account>,
    removed: Vec<(u64, Place)>,
}

impl Build {
    fn new(records: u64, hash: IndexHash, cut: u64) -> Result<Build, Error> {
        let index = IndexWriter::new(records).map_err(failed("the index"))?;
        let tables = Tables {
            index: index.index().clone(),
            directory: index.directory().clone(),
            segments: vec![None],
        };
        let accounts = vec![Account::default()];
        Ok(Build { hash, cut, index, tables, accounts, removed: Vec::new() })
    }

    fn add(&mut self, loaded: Loaded) -> Result<(), Error> {
        let name = crate::segment::file_name(loaded.header.id, loaded.header.kind);
        let slot = u16::try_from(self.accounts.len()).map_err(|_| Error::NoSpace)?;
        let Loaded { header, file, frames, entries, summary, .. } = loaded;
        let len = file.len().map_err(failed(&name))?;
        let segment = Segment::of_file(slot, header.id, header.kind, file, frames, Arc::default());
        self.tables.segments.push(Some(Arc::new(segment.map_err(failed(&name))?)));
        self.accounts.push(Account {
            id: header.id,
            live: 0,
            len,
            data: (summary.frames_end - HEADER_LEN) as u64,
            lowest: summary.lowest,
            highest: summary.highest,
            is_pack: header.kind == SegmentKind::Pack,
            complete: true,
        });
        if summary.highest <= self.cut {
            return Ok(());
        }
        let loaded_entries: Box<dyn Iterator<Item = FooterEntry>> = match &entries {
            Entries::Footer(trailer, bytes) => {
                Box::new(trailer.tables(bytes).into_iter().flatten())
            }
            Entries::Scanned(entries) => Box::new(entries.iter().copied()),
        };
        let width = match &entries {
            Entries::Footer(trailer, _) => trailer.summary.width * 8,
            Entries::Scanned(_) => 64,
        };
        for entry in loaded_entries.filter(|entry| entry.kind != EntryKind::Other) {
            let place = Place { slot, offset: crate::layout::narrow(entry.offset) };
            let is_cut = match header.kind {
                SegmentKind::Log => header.id + entry.offset as u64 <= self.cut,
                SegmentKind::Pack => {
                    summary.lowest <= self.cut && self.sequence(place)? <= self.cut
                }
            };
            if !is_cut {
                let hash = match width >= self.index.index().bits() as usize {
                    true => entry.hash,
                    false => self.hash_at(place)?,
                };
                self.add_entry(hash, place, &entry)?;
            }
        }
        Ok(())
    }

    fn entry(&self, place: Place) -> Result<crate::view::Hit<'_>, Error> {
        let missing = || Error::Corrupt(format!("no entry at {place:?}, where a footer has one"));
        self.tables.entry(place)?.ok_or_else(missing)
    }

    fn sequence(&self, place: Place) -> Result<u64, Error> {
        Ok(self.entry(place)?.sequence())
    }

    fn hash_at(&self, place: Place) -> Result<u64, Error> {
        Ok(spread(self.hash.of(self.entry(place)?.record.key)))
    }

    fn add_entry(&mut self, hash: u64, place: Place, entry: &FooterEntry) -> Result<(), Error> {
        let mut failure = None;
        let mut own = None;
        let tables = &self.tables;
        let probe = self.index.index().probe(&tables.directory, hash, |other| {
            let key = match own {
                Some(key) => key,
                None => match self.entry(place) {
                    Ok(hit) => {
                        own = Some(hit.record.key);
                        hit.record.key
                    }
                    Err(error) => {
                        failure = Some(error);
                        return Check::IsNot;
                    }
                },
            };
            match self.entry(other) {
                Ok(hit) if hit.record.key == key => {
                    Check::Is((other, hit.sequence(), hit.record.len))
                }
                Ok(_) => Check::IsNot,
                Err(error) => {
                    failure = Some(error);
                    Check::IsNot
                }
            }
        });
        if let Some(error) = failure {
            return Err(error);
        }
        if let Probe::Found((other, sequence, len)) = probe {
            if self.sequence(place)? < sequence {
                return Ok(());
            }
            self.index.replace(hash, other, place);
            self.count(other, |live| live.saturating_sub(len as u64));
        } else {
            let Doubled(doubled) = self.index.insert(hash, place).map_err(failed("the index"))?;
            if doubled {
                self.tables.directory = self.index.directory().clone();
            }
        }
        if entry.kind == EntryKind::Remove {
            self.removed.push((hash, place));
        }
        self.count(place, |live| live + entry.len as u64);
        Ok(())
    }

    fn count(&mut self, place: Place, change: impl FnOnce(u64) -> u64) {
        if let Some(account) = self.accounts.get_mut(usize::from(place.slot)) {
            account.live = change(account.live);
        }
    }

    /// The index without the keys whose last change was a removal.
    fn finish(mut self) -> Result<(IndexWriter, Tables, Vec<Account>), Error> {
        for (hash, place) in std::mem::take(&mut self.removed) {
            if self.index.remove(hash, place) {
                let len = self.entry(place)?.record.len as u64;
                self.count(place, |live| live.saturating_sub(len));
            }
        }
        Ok((self.index, self.tables, self.accounts))
    }
}
