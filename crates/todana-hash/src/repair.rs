//! Bringing back a store that is damaged: whatever is intact in its files, in a new store beside it.
//!
//! Frames are taken one by one, past those that are broken, and their changes carried out anew in the
//! order in which they were made. A key whose last change is lost has the one before it, or none. The
//! damaged files are only read.

use crate::Hash;
use crate::blob::BlobReader;
use crate::check::survey;
use crate::open::KIND;
use crate::options::HashOptions;
use std::io;
use std::path::Path;
use std::sync::Arc;
use todana_engine::{
    Edit, Engine, Error, Mutation, NewVersion, Payload, Progress, Put, Staged, View,
};
use todana_io::disk::replace;
use todana_io::{Disk, Lock, Open, random_seed};
use todana_log::check::{
    self, Checked, Finding, Footer, OnProgress, SegmentFile, Stretch, Stretches, Survey, Unpacker,
    read_file, segments,
};
use todana_log::layout::frame::Frame;
use todana_log::layout::header::{HEADER_LEN, SegmentHeader, SegmentKind};
use todana_log::layout::identity::{ID_MAX, Identity};
use todana_log::layout::record::{self, Operation, Record};
use todana_log::layout::reference::Reference;
use todana_log::{
    Blocks, Codec, FlushPolicy, FrameCache, IDENTITY, Mode, lock_store, make_directory,
    read_identity, write_dictionary,
};
use todana_record::{Expiry, Meta, Timestamp};

/// Sequences that are left free behind those that were used, where nothing says how many were.
const RESERVE: u64 = 1 << 40;
/// Bytes of memory for frames that were unpacked: changes come in the order of their sequences, those of
/// packs from anywhere.
const CACHE_BYTES: u64 = 64 << 20;

/// What a repair did.
#[derive(Debug)]
pub enum Repaired {
    /// Nothing is damaged. What opening the store will cut away was copied to these files in its
    /// directory.
    Kept(Checked, Vec<String>),
    /// What was intact is in a new store.
    Rescued(Checked, Rescued),
}

/// A new store with what was intact in a damaged one.
#[derive(Debug)]
pub struct Rescued {
    /// Records that it has.
    pub records: u64,
    /// Holds the damaged store against others, until it was put aside.
    pub lock: Box<dyn Lock>,
}

impl Hash {
    /// Checks a store that nobody has open. Where it is damaged, makes a new one in the directory
    /// `beside` from what is intact; its owner then gives the two directories new names. Where it is not,
    /// keeps copies of what opening it will cut away. A codec that is not built in has to be given.
    ///
    /// # Errors
    /// [`Error::Open`] when there is no store, when it is in use, when it is damaged and its codec was not
    /// given, or when there is something at `beside`; what writing the new store meets: what was written of
    /// it is left then.
    pub fn repair(
        disk: &Arc<dyn Disk>,
        directory: &Path,
        beside: &Path,
        codec: Option<Arc<dyn Codec>>,
        now: Timestamp,
        progress: &mut OnProgress<'_>,
    ) -> Result<Repaired, Error> {
        // Before a lock is left in a directory that is no store.
        let is_store = read_identity(KIND, &**disk, directory) != Ok(None);
        if segments(&**disk, directory)?.is_empty() && !is_store {
            return Err(Error::Open(format!("there is no store at {}", directory.display())));
        }
        let lock = lock_store(&**disk, directory)?;
        let Survey { checked, identity, unpacker } = survey(&**disk, directory, codec, progress)?;
        if !checked.is_damaged() {
            let kept = keep(&**disk, directory, &checked.findings);
            return Ok(Repaired::Kept(checked, kept.map_err(failed("cannot keep a copy"))?));
        }
        if unpacker.lacks_codec() || checked.sealed_frames > 0 {
            let name = match unpacker.name.as_str() {
                "" => "a codec that this program does not have".to_owned(),
                name => format!("the codec `{name}`"),
            };
            let shown = directory.display();
            return Err(Error::Open(format!("{shown} is packed by {name}, which has to be given")));
        }
        let source = Source { disk: &**disk, directory, unpacker: &unpacker };
        let records = rescue(disk, &source, identity, beside, now, progress)?;
        Ok(Repaired::Rescued(checked, Rescued { records, lock }))
    }
}

fn failed(what: &str) -> impl FnOnce(io::Error) -> Error {
    move |error| match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::NoSpace,
        _ => Error::Open(format!("{what}: {error}")),
    }
}

/// Copies bytes that recovery would cut away into files of their own.
fn keep(disk: &dyn Disk, directory: &Path, findings: &[Finding]) -> io::Result<Vec<String>> {
    let mut kept = Vec::new();
    for finding in findings.iter().filter(|finding| finding.len > 0) {
        let Some(bytes) = read_file(disk, directory, &finding.file)? else { continue };
        let from = usize::try_from(finding.offset).unwrap_or(usize::MAX);
        let len = usize::try_from(finding.len).unwrap_or(usize::MAX);
        let rest = bytes.get(from..).unwrap_or_default();
        let name = format!("{}.{from}.cut", finding.file);
        replace(disk, directory, &name, rest.get(..len).unwrap_or(rest))?;
        kept.push(name);
    }
    Ok(kept)
}

/// The damaged store.
struct Source<'s> {
    disk: &'s dyn Disk,
    directory: &'s Path,
    unpacker: &'s Unpacker,
}

/// A change, where it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Change {
    sequence: u64,
    /// Number of the file.
    file: u32,
    /// Byte of the segment.
    offset: u32,
    len: u32,
}

/// What could be read of a store.
#[derive(Debug, Default)]
struct Salvage {
    files: Vec<SegmentFile>,
    /// The frames of each that can be used, rising.
    frames: Vec<Vec<Frame>>,
    changes: Vec<Change>,
    /// Everything at or before this sequence was flushed.
    cut: u64,
    /// When a flush was due, and the sequence of whatever said so.
    flush_due: (u64, Expiry),
    time: Timestamp,
    /// Above every sequence that was met.
    end: u64,
}

impl Salvage {
    fn read(source: &Source<'_>) -> Result<Salvage, Error> {
        let files = segments(source.disk, source.directory)?;
        let mut salvage = Salvage { files: files.clone(), ..Salvage::default() };
        for (file, segment) in (0..).zip(&files) {
            salvage.frames.push(Vec::new());
            let name = segment.name();
            // What cannot be read is lost, and among the findings.
            if let Ok(Some(bytes)) = read_file(source.disk, source.directory, &name) {
                // A file of any name may lie there.
                if segment.id <= ID_MAX {
                    salvage.end = salvage.end.max(segment.id + bytes.len() as u64);
                }
                salvage.add(source, file, segment, &bytes);
            }
        }
        let cut = salvage.cut;
        salvage.changes.retain(|change| change.sequence > cut);
        salvage.changes.sort_unstable();
        Ok(salvage)
    }

    fn due(&mut self, sequence: u64, due: Expiry) {
        if sequence >= self.flush_due.0 {
            self.flush_due = (sequence, due);
        }
    }

    fn add(&mut self, source: &Source<'_>, file: u32, segment: &SegmentFile, bytes: &[u8]) {
        let footer = Footer::of(segment.id, bytes);
        let header = bytes.get(..HEADER_LEN).and_then(SegmentHeader::decode);
        // The sums of frames name their segment: a header that is lost takes nothing with it.
        if let Some(header) = header.filter(|header| header.id == segment.id) {
            self.cut = self.cut.max(header.cut);
            if segment.kind == SegmentKind::Log {
                self.due(segment.id, header.flush_due);
            }
        }
        let mut frames = Vec::new();
        let mut end = HEADER_LEN;
        for stretch in Stretches::of(segment.id, bytes, &footer) {
            let Stretch::Intact(frame, stored) = stretch else { continue };
            self.end = self.end.max(segment.id.saturating_add(frame.end() as u64));
            // Frames are found by their byte: one that is out of order would hide others.
            let check::Payload::Known(payload) = source.unpacker.payload(&frame, stored) else {
                continue;
            };
            if frame.start < end {
                continue;
            }
            end = frame.end();
            frames.push(frame);
            self.time = self.time.max(frame.time);
            let mut at = 0;
            while let Some(entry) = record::parse(payload.get(at..).unwrap_or_default()) {
                self.entry(file, segment, frame.payload_start() + at, &entry);
                at += entry.len;
            }
        }
        if let Some(of_file) = self.frames.last_mut() {
            *of_file = frames;
        }
        if let Some(trailer) = footer.trailer() {
            self.cut = self.cut.max(trailer.summary.cut);
            if segment.kind == SegmentKind::Log {
                self.due(trailer.summary.highest, trailer.summary.flush_due);
            }
        }
    }

    fn entry(&mut self, file: u32, segment: &SegmentFile, offset: usize, entry: &Record<'_>) {
        let sequence = entry.sequence(segment.id.saturating_add(offset as u64));
        self.end = self.end.max(sequence.saturating_add(1));
        match entry.operation {
            Operation::Flush => {
                self.cut = self.cut.max(entry.number);
                self.due(sequence, Expiry::NEVER);
            }
            Operation::FlushDue => self.due(sequence, entry.expiry),
            Operation::Unit | Operation::Own => {}
            Operation::Put | Operation::PutBlob | Operation::Remove => {
                let (offset, len) = (u32::try_from(offset), u32::try_from(entry.len));
                if let (Ok(offset), Ok(len)) = (offset, len) {
                    self.changes.push(Change { sequence, file, offset, len });
                }
            }
        }
    }
}

/// Makes the new store; gives the number of its records.
fn rescue(
    disk: &Arc<dyn Disk>,
    source: &Source<'_>,
    identity: Option<Identity>,
    to: &Path,
    now: Timestamp,
    progress: &mut OnProgress<'_>,
) -> Result<u64, Error> {
    let shown = to.display().to_string();
    if disk.list(to).is_ok() {
        return Err(Error::Open(format!("{shown} is in the way: move it elsewhere")));
    }
    let salvage = Salvage::read(source)?;
    let versions = identity.as_ref().is_none_or(|identity| identity.versions);
    make_directory(&**disk, to).map_err(failed(&format!("cannot make {shown}")))?;
    let unpacker = source.unpacker;
    let heir = heir(identity, &unpacker.name, salvage.end);
    // What is packed from the first frame on, as it was.
    let dictionary = unpacker.dictionary.bytes();
    let written = dictionary.map_or(Ok(()), |bytes| write_dictionary(&**disk, to, bytes));
    let written = written.and_then(|()| replace(&**disk, to, IDENTITY, &heir.encode()));
    written.map_err(failed(&format!("cannot write to {shown}")))?;
    let options = HashOptions {
        mode: Mode::Existing,
        flush: FlushPolicy::Never,
        codec: unpacker.codec().cloned(),
        ..HashOptions::default()
    };
    let hash = Hash::open(disk.clone(), to, options)?;
    let now = hash.clock().advance(now.ms().max(salvage.time.ms()));
    let replay = Replay { source, salvage: &salvage, versions };
    replay.run(&hash, now, progress)?;
    let due = salvage.flush_due.1;
    if !due.is_never() {
        hash.flush(Some(Timestamp::from_ms(due.ms())), now)?;
    }
    let records = hash.statistics(now).records;
    hash.close()?;
    Ok(records)
}

/// A store that goes on behind another: what was a version or a position there is never given again.
fn heir(identity: Option<Identity>, codec: &str, end: u64) -> Identity {
    let fallback = Identity {
        of: KIND,
        store: 0,
        seed: 0,
        partitions: 1,
        versions: true,
        codec: codec.to_owned(),
        next_id: end.saturating_add(RESERVE),
        applied: 0,
        incarnation: 0,
        clean: true,
        starts: Vec::new(),
    };
    let mut heir = identity.unwrap_or(fallback);
    (heir.store, heir.seed, heir.clean) = (random_seed(), random_seed(), true);
    heir.next_id = heir.next_id.max(end).min(ID_MAX);
    heir.applied = heir.next_id.saturating_sub(1);
    heir.begin_incarnation(heir.incarnation.saturating_add(1), heir.next_id);
    heir
}

struct Replay<'r> {
    source: &'r Source<'r>,
    salvage: &'r Salvage,
    versions: bool,
}

impl Replay<'_> {
    fn run(&self, hash: &Hash, now: Timestamp, progress: &mut OnProgress<'_>) -> Result<(), Error> {
        let mut open: Vec<Option<Blocks>> = Vec::new();
        open.resize_with(self.salvage.files.len(), || None);
        let cache = Arc::new(FrameCache::new(CACHE_BYTES));
        let total = self.salvage.changes.iter().map(|change| u64::from(change.len)).sum();
        let mut done = 0;
        for change in &self.salvage.changes {
            let at = usize::try_from(change.file).unwrap_or(usize::MAX);
            let (Some(segment), Some(slot)) = (self.salvage.files.get(at), open.get_mut(at)) else {
                continue;
            };
            let name = segment.name();
            let blocks = match slot {
                Some(blocks) => blocks,
                None => {
                    let path = self.source.directory.join(&name);
                    let opened = self.source.disk.open(&path, Open::Read);
                    let file = opened.map_err(failed(&name))?.into();
                    let packing = self.source.unpacker.packing().cloned();
                    slot.insert(Blocks { file, packing, cache: cache.clone() })
                }
            };
            let frames = self.salvage.frames.get(at).map_or(&[][..], |frames| frames);
            let bytes = read_change(blocks, segment.id, frames, change);
            let bytes = bytes.map_err(|reason| Error::Open(format!("{name}: {reason}")))?;
            if let Some(record) = record::parse(&bytes) {
                let meta =
                    record.meta(segment.id.saturating_add(u64::from(change.offset)), self.versions);
                self.apply(hash, &record, meta, now)?;
            }
            done += u64::from(change.len);
            progress(done, total);
        }
        Ok(())
    }

    /// A long value, taken over piece by piece; `None` when not all of it is intact.
    fn staged(&self, hash: &Hash, blob: Reference) -> Result<Option<Staged>, Error> {
        let directory = self.source.directory.to_owned();
        let Ok(reader) = BlobReader::open_in(self.source.disk, &directory, blob) else {
            return Ok(None);
        };
        let mut staged = hash.stage();
        let mut written = Ok(());
        let read = reader.each_piece(|piece| {
            if written.is_ok() {
                written = staged.write(piece);
            }
        });
        written?;
        staged.finish()?;
        Ok(read.is_ok().then_some(staged))
    }

    fn apply(
        &self,
        hash: &Hash,
        record: &Record<'_>,
        meta: Meta,
        now: Timestamp,
    ) -> Result<(), Error> {
        // One that has ended still hides the one before it.
        let puts = record.operation.is_put() && !meta.expiry.is_past(now);
        let put = match record.blob().filter(|_| puts) {
            // Where it is lost there is no record: an older value would be wrong too.
            Some(blob) => self.staged(hash, blob)?.map(Payload::Staged),
            None => puts.then_some(Payload::Bytes(record.value)),
        };
        let mut again = Again { put, meta, versions: self.versions };
        match hash.update(record.key, now, &mut again)? {
            Progress::Done(_) => Ok(()),
            Progress::Pending(_) => Err(Error::Unsupported("wait for a disk in a repair")),
        }
    }
}

/// The bytes of a change.
fn read_change(
    blocks: &Blocks,
    id: u64,
    frames: &[Frame],
    change: &Change,
) -> Result<Vec<u8>, String> {
    let (offset, len) = (change.offset as usize, change.len as usize);
    let number = frames.partition_point(|frame| frame.end() <= offset);
    let Some(frame) = frames.get(number) else { return Ok(Vec::new()) };
    let Some(from) = offset.checked_sub(frame.payload_start()) else { return Ok(Vec::new()) };
    if frame.form.is_packed() {
        let payload = blocks.get(id, number, frame)?;
        let bytes = payload.get(from..).and_then(|rest| rest.get(..len));
        return Ok(bytes.unwrap_or_default().to_vec());
    }
    let mut bytes = vec![0; len];
    let read = blocks.file.read_exact_at((frame.stored_start() + from) as u64, &mut bytes);
    read.map_err(|error| error.to_string())?;
    Ok(bytes)
}

/// A change that is carried out as it was.
struct Again<'r> {
    /// The value; `None` removes.
    put: Option<Payload<'r>>,
    meta: Meta,
    versions: bool,
}

impl Mutation for Again<'_> {
    fn evaluate<'s>(&'s mut self, current: Option<&'s View<'s>>) -> Edit<'s> {
        let Meta { flags, expiry, version, kind, stale, won } = self.meta;
        let given = if self.versions { NewVersion::Given(version) } else { NewVersion::Next };
        match (self.put.take(), current) {
            (Some(value), _) => {
                Edit::Put(Put { value, flags, expiry, kind, version: given, stale, won })
            }
            (None, Some(_)) => Edit::Remove,
            (None, None) => Edit::Keep,
        }
    }
}
