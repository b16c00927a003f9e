//! Looking at a store's files without opening it: every checksum, and whether footers say what their
//! frames say. Nothing is changed and nothing is locked, so a store may be in use meanwhile.
//!
//! *Damage* is what neither a crash nor a writer at work leaves: stored bytes are not what was written.
//! *Unfinished* is what opening a store that was not closed cuts away by itself: an end that was never
//! whole, so nothing that was acknowledged as durable.

use crate::Hash;
use crate::index::spread;
use crate::layout::footer::{self, EntryKind, FooterEntry, FooterReader, TRAILER_LEN, Trailer};
use crate::layout::frame::{self, Frame};
use crate::layout::header::{HEADER_LEN, SegmentHeader, SegmentKind};
use crate::layout::identity::Identity;
use crate::layout::record;
use crate::recovery::read_identity;
use crate::segment::{file_name, parse_name};
use crate::writer::IDENTITY;
use std::fmt;
use std::io;
use std::iter::Peekable;
use std::path::Path;
use todana_engine::Error;
use todana_io::{Disk, DiskFile, Open};
use todana_record::{IndexHash, Timestamp};

/// No file of a store is longer: entries and a footer of about half of their bytes.
const FILE_LEN_MAX: u64 = 256 << 20;
/// Bytes that a disk gives or refuses as a whole.
const SECTOR_LEN: usize = 4096;
/// Times that a file is read before it is believed that a writer at work is not the reason.
const LOOKS: u32 = 4;

/// Something in a file that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Name of the file in the store's directory.
    pub file: String,
    /// First byte.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
    /// What is wrong with them.
    pub what: String,
    /// Whether it is damage; else it is unfinished.
    pub is_damage: bool,
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { file, offset, len, what, .. } = self;
        match len {
            0 => write!(out, "{file}: {what}"),
            _ => write!(out, "{file}: {len} bytes from byte {offset} on: {what}"),
        }
    }
}

/// What a check has found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// What is not as it should be, file by file.
    pub findings: Vec<Finding>,
    /// Whether the store had been closed: if not, somebody has it open or a crash ended it.
    pub is_closed: bool,
    /// Files that were read.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Checked {
    /// Whether stored bytes are not what was written.
    pub fn is_damaged(&self) -> bool {
        self.findings.iter().any(|finding| finding.is_damage)
    }
}

/// Called with the bytes that were looked at and those that there are.
pub type OnProgress<'p> = dyn FnMut(u64, u64) + 'p;

impl Hash {
    /// Verifies every checksum of a store's files, and footers against frames.
    ///
    /// # Errors
    /// [`Error::Open`] when there is no store, one of a newer format, or a file cannot be read.
    pub fn check(
        disk: &dyn Disk,
        directory: &Path,
        progress: &mut OnProgress<'_>,
    ) -> Result<Checked, Error> {
        survey(disk, directory, progress).map(|(checked, _)| checked)
    }
}

/// As [`Hash::check`], with the identity where it can be read.
pub(crate) fn survey(
    disk: &dyn Disk,
    directory: &Path,
    progress: &mut OnProgress<'_>,
) -> Result<(Checked, Option<Identity>), Error> {
    let segments = segments(disk, directory)?;
    let mut checked = Checked { files: 1, ..Checked::default() };
    let identity = match read_identity(disk, directory) {
        Ok(Some((identity, len))) => {
            checked.bytes += len;
            Some(identity)
        }
        Ok(None) if segments.is_empty() => {
            return Err(Error::Open(format!("there is no store at {}", directory.display())));
        }
        Ok(None) => {
            checked.findings.push(damage(IDENTITY, 0..0, "the file is missing".to_owned()));
            None
        }
        Err(Error::Corrupt(_)) => {
            let what = "the file is damaged: its checksum or its fields are wrong".to_owned();
            checked.findings.push(damage(IDENTITY, 0..0, what));
            None
        }
        Err(error) => return Err(error),
    };
    checked.is_closed = identity.as_ref().is_some_and(|identity| identity.clean);
    let total = segments.iter().map(|segment| segment.len).sum();
    let mut done = 0;
    let mut ends: Vec<(u64, u64)> = Vec::new();
    for segment in &segments {
        let mut look = Look::default();
        for _ in 0..LOOKS {
            look = match read_file(disk, directory, &segment.name()) {
                // Compaction of whoever has the store open took it away.
                Ok(None) => Look::default(),
                Ok(Some(bytes)) => {
                    let examiner = Examiner { segment, bytes: &bytes, identity: identity.as_ref() };
                    examiner.run(&ends, &mut |at| progress(done + at, total))
                }
                Err(error) => {
                    let what = format!("the file cannot be read: {error}");
                    let findings = vec![damage(&segment.name(), 0..0, what)];
                    Look { findings, ..Look::default() }
                }
            };
            if checked.is_closed || look.findings.is_empty() {
                break;
            }
        }
        done += segment.len;
        checked.files += u64::from(look.bytes > 0);
        checked.bytes += look.bytes;
        checked.findings.append(&mut look.findings);
        ends.extend(look.end.map(|end| (segment.id, end)));
    }
    Ok((checked, identity))
}

/// A segment's file, by its name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SegmentFile {
    pub(crate) kind: SegmentKind,
    pub(crate) id: u64,
    pub(crate) len: u64,
}

impl SegmentFile {
    pub(crate) fn name(&self) -> String {
        file_name(self.id, self.kind)
    }
}

/// The segments of a directory, packs first, each kind in order of its ids.
pub(crate) fn segments(disk: &dyn Disk, directory: &Path) -> Result<Vec<SegmentFile>, Error> {
    let names = disk.list(directory).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            Error::Open(format!("there is no store at {}", directory.display()))
        }
        _ => Error::Open(format!("{}: {error}", directory.display())),
    })?;
    let mut found: Vec<_> = names.iter().filter_map(|name| parse_name(name)).collect();
    found.sort_unstable_by_key(|&(kind, id)| (kind == SegmentKind::Log, id));
    let file = |(kind, id)| {
        let path = directory.join(file_name(id, kind));
        let len = disk.open(&path, Open::Read).and_then(|file| file.len()).unwrap_or(0);
        SegmentFile { kind, id, len }
    };
    Ok(found.into_iter().map(file).collect())
}

/// The bytes of a file; `None` when it is gone.
pub(crate) fn read_file(
    disk: &dyn Disk,
    directory: &Path,
    name: &str,
) -> io::Result<Option<Vec<u8>>> {
    let file = match disk.open(&directory.join(name), Open::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let len = usize::try_from(file.len()?.min(FILE_LEN_MAX)).unwrap_or(usize::MAX);
    let mut bytes = vec![0; len];
    match file.read_at(0, &mut bytes) {
        // A file that a writer makes shorter meanwhile has fewer.
        Ok(read) => bytes.truncate(read),
        Err(_) => read_in_pieces(&*file, &mut bytes),
    }
    Ok(Some(bytes))
}

/// Reads what a failing disk still gives; the rest stays zeros, which are no frame.
fn read_in_pieces(file: &dyn DiskFile, bytes: &mut [u8]) {
    for (offset, piece) in (0..).step_by(SECTOR_LEN).zip(bytes.chunks_mut(SECTOR_LEN)) {
        if file.read_at(offset, piece).is_err() {
            piece.fill(0);
        }
    }
}

fn damage(file: &str, range: std::ops::Range<usize>, what: String) -> Finding {
    let (offset, len) = (range.start as u64, range.len() as u64);
    Finding { file: file.to_owned(), offset, len, what, is_damage: true }
}

/// A footer as it lies at the end of a file.
pub(crate) enum Footer<'b> {
    None,
    /// The trailer is there, the tables before it are not what they were.
    Damaged(Trailer),
    Whole(Trailer, FooterReader<'b>),
}

impl<'b> Footer<'b> {
    pub(crate) fn of(id: u64, bytes: &'b [u8]) -> Footer<'b> {
        let Some((rest, trailer)) = bytes.split_last_chunk::<TRAILER_LEN>() else {
            return Footer::None;
        };
        let Some(trailer) = Trailer::decode(id, trailer) else { return Footer::None };
        let at = trailer.summary.frames_end;
        let Some(tables) = rest.get(at..).filter(|tables| tables.len() == trailer.tables_len())
        else {
            return Footer::Damaged(trailer);
        };
        match trailer.tables(tables) {
            Some(reader) => Footer::Whole(trailer, reader),
            None => Footer::Damaged(trailer),
        }
    }

    pub(crate) fn trailer(&self) -> Option<&Trailer> {
        match self {
            Footer::None => None,
            Footer::Damaged(trailer) | Footer::Whole(trailer, _) => Some(trailer),
        }
    }
}

/// A stretch of a segment between its header and its footer.
pub(crate) enum Stretch<'b> {
    Intact(Frame, &'b [u8]),
    /// Bytes that are no intact frame, up to where one begins, or to the end.
    Broken(std::ops::Range<usize>),
}

/// Walks a segment frame by frame, past those that are broken.
pub(crate) struct Stretches<'b> {
    id: u64,
    /// Up to where frames can be.
    bytes: &'b [u8],
    at: usize,
    /// The frames that there were, where a footer tells.
    known: Vec<Frame>,
}

impl<'b> Stretches<'b> {
    pub(crate) fn of(id: u64, bytes: &'b [u8], footer: &Footer<'b>) -> Stretches<'b> {
        let end = footer.trailer().map_or(bytes.len(), |trailer| trailer.summary.frames_end);
        let known = match footer {
            Footer::Whole(_, reader) => footer::frames(reader),
            Footer::None | Footer::Damaged(_) => Vec::new(),
        };
        let bytes = bytes.get(..end.min(bytes.len())).unwrap_or_default();
        Stretches { id, bytes, at: HEADER_LEN, known }
    }

    fn frame_at(&self, at: usize) -> Option<(Frame, &'b [u8], bool)> {
        let (frame, sums) = frame::read_header(self.id, at, self.bytes.get(at..)?)?;
        let payload = self.bytes.get(frame.payload_start()..frame.end())?;
        Some((frame, payload, frame::is_intact(payload, sums)))
    }

    /// Where the next frame begins behind one whose header cannot be read.
    fn resume(&self, at: usize) -> usize {
        let known = self.known.iter().find(|frame| frame.start <= at && at < frame.end());
        if let Some(frame) = known {
            return frame.end().min(self.bytes.len());
        }
        let begins = |&start: &usize| {
            // Most places are no header at a glance: the length is never 0, the flags always.
            let glance = self.bytes.get(start + 4..start + 16);
            glance.is_some_and(|head| head[..4] != [0; 4] && head[10..] == [0; 2])
                && self.frame_at(start).is_some_and(|(.., intact)| intact)
        };
        (at + 1..self.bytes.len()).find(begins).unwrap_or(self.bytes.len())
    }
}

impl<'b> Iterator for Stretches<'b> {
    type Item = Stretch<'b>;

    fn next(&mut self) -> Option<Stretch<'b>> {
        let start = self.at;
        if start >= self.bytes.len() {
            return None;
        }
        let (end, stretch) = match self.frame_at(start) {
            Some((frame, payload, true)) => (frame.end(), Stretch::Intact(frame, payload)),
            Some((frame, _, false)) => (frame.end(), Stretch::Broken(start..frame.end())),
            None => {
                let end = self.resume(start);
                (end, Stretch::Broken(start..end))
            }
        };
        self.at = end;
        Some(stretch)
    }
}

/// What one look at a file has shown.
#[derive(Default)]
struct Look {
    findings: Vec<Finding>,
    /// Where its last frame ends; `None` of no segment.
    end: Option<u64>,
    bytes: u64,
}

struct Examiner<'a> {
    segment: &'a SegmentFile,
    bytes: &'a [u8],
    identity: Option<&'a Identity>,
}

impl Examiner<'_> {
    fn is_closed(&self) -> bool {
        self.identity.is_none_or(|identity| identity.clean)
    }

    fn damage(&self, range: std::ops::Range<usize>, what: impl Into<String>) -> Finding {
        damage(&self.segment.name(), range, what.into())
    }

    /// Unfinished in the store's last log, damage where everything had been finished.
    fn unfinished(&self, range: std::ops::Range<usize>, what: impl Into<String>) -> Finding {
        let may_be = !self.is_closed() && self.segment.kind == SegmentKind::Log;
        Finding { is_damage: !may_be, ..self.damage(range, what) }
    }

    fn run(&self, ends: &[(u64, u64)], at: &mut dyn FnMut(u64)) -> Look {
        let mut look = Look { bytes: self.bytes.len() as u64, ..Look::default() };
        let header = self.bytes.get(..HEADER_LEN).and_then(SegmentHeader::decode);
        let SegmentFile { id, kind, .. } = *self.segment;
        let header = header.filter(|header| header.id == id && header.kind == kind);
        if header.is_none() && used(self.bytes) == 0 {
            // A file that was made ahead has another name, or is removed, when it is not used.
            if self.is_closed() || kind == SegmentKind::Pack {
                look.findings.push(self.damage(0..self.bytes.len(), "nothing but zeros is there"));
            }
            look.end = Some(HEADER_LEN as u64);
            return look;
        }
        let head = 0..HEADER_LEN.min(self.bytes.len());
        match (&header, self.identity) {
            (None, _) => look.findings.push(self.damage(head, "the header fails its checksum")),
            (Some(header), Some(identity)) if header.store != identity.store => {
                look.findings.push(self.damage(head, "it belongs to another store"));
                return look;
            }
            (Some(header), _) => {
                let wrong = |&(id, end)| {
                    ends.iter().any(|&(other, its)| other == id && its != u64::from(end))
                };
                if header.previous.as_ref().is_some_and(wrong) {
                    let what = "the log before it ends too early for it to follow";
                    look.findings.push(self.unfinished(0..used(self.bytes), what));
                }
            }
        }
        self.frames(&mut look, at);
        look
    }

    fn frames(&self, look: &mut Look, progress: &mut dyn FnMut(u64)) {
        let footer = Footer::of(self.segment.id, self.bytes);
        let mut told = Told::of(&footer, self.identity);
        let mut end = HEADER_LEN;
        // Broken stretches, and the intact frame that ended before each.
        let mut broken: Vec<(std::ops::Range<usize>, u64)> = Vec::new();
        let mut lengths = Vec::new();
        for stretch in Stretches::of(self.segment.id, self.bytes, &footer) {
            match stretch {
                Stretch::Intact(frame, payload) => {
                    end = frame.end();
                    lengths.push(frame.payload_len);
                    if !told.compare(self.segment, &frame, payload) {
                        let range = frame.start..frame.end();
                        look.findings.push(self.damage(range, "an entry cannot be read"));
                    }
                    progress(end as u64);
                }
                Stretch::Broken(range) => {
                    let entries = told.skip(range.end);
                    broken.push((range, entries));
                }
            }
        }
        look.end = Some(end as u64);
        if footer.trailer().is_none() {
            self.unfinished_end(look, &mut broken, end);
        }
        for (range, entries) in &broken {
            let of = if *entries == 1 { "change" } else { "changes" };
            let what = match entries {
                0 if footer.trailer().is_none() && !self.is_closed() => {
                    "no frame there is intact, but whole ones follow: damage, or torn by a power cut"
                        .to_owned()
                }
                0 => "no frame there is intact".to_owned(),
                _ => format!("the frame fails its checksum; {entries} {of} in it"),
            };
            look.findings.push(self.damage(range.clone(), what));
        }
        match footer {
            Footer::None => {}
            Footer::Damaged(_) => {
                let range = end.min(self.bytes.len())..self.bytes.len();
                look.findings.push(self.damage(range, "the footer fails its checksum"));
            }
            Footer::Whole(trailer, reader) if broken.is_empty() => {
                let known = footer::frames(&reader);
                let same = known.iter().map(|frame| frame.payload_len).eq(lengths);
                if !same || !told.agrees(&trailer) {
                    let range = end.min(self.bytes.len())..self.bytes.len();
                    let what = "the footer does not say what the frames say";
                    look.findings.push(self.damage(range, what));
                }
            }
            Footer::Whole(..) => {}
        }
    }

    /// Of a segment without a footer: what stands behind the last intact frame was never finished, or
    /// is a footer that was damaged.
    fn unfinished_end(
        &self,
        look: &mut Look,
        broken: &mut Vec<(std::ops::Range<usize>, u64)>,
        end: usize,
    ) {
        broken.retain(|(range, _)| range.start < end);
        let rest = end..end.max(used(self.bytes));
        if !rest.is_empty() {
            let what = "they are neither a whole frame nor a footer";
            look.findings.push(self.unfinished(rest, what));
        } else if self.is_closed() || self.segment.kind == SegmentKind::Pack {
            look.findings.push(self.damage(0..0, "it has no footer"));
        }
    }
}

/// Bytes up to the last that is not 0.
fn used(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1)
}

/// What a footer tells of the entries, held against the entries.
struct Told<'b> {
    reader: Option<Peekable<FooterReader<'b>>>,
    hash: Option<IndexHash>,
    /// The bits of a hash that the footer has.
    mask: u64,
    differs: bool,
    count: u32,
    lowest: u64,
    highest: u64,
    time: Timestamp,
}

impl<'b> Told<'b> {
    fn of(footer: &Footer<'b>, identity: Option<&Identity>) -> Told<'b> {
        let (reader, width) = match footer {
            Footer::Whole(trailer, reader) => (Some(reader.clone()), trailer.summary.width),
            Footer::None | Footer::Damaged(_) => (None, 0),
        };
        Told {
            reader: reader.map(Iterator::peekable),
            hash: identity.map(|identity| IndexHash::new(identity.seed)),
            mask: u64::MAX.checked_shl(64 - 8 * u32::try_from(width).unwrap_or(8)).unwrap_or(0),
            differs: false,
            count: 0,
            lowest: u64::MAX,
            highest: 0,
            time: Timestamp::from_ms(0),
        }
    }

    /// Passes over the entries before a byte; gives their number.
    fn skip(&mut self, end: usize) -> u64 {
        let Some(reader) = &mut self.reader else { return 0 };
        let mut count = 0;
        while reader.next_if(|entry| entry.offset < end).is_some() {
            count += 1;
        }
        count
    }

    /// Compares the entries of a frame; `false` when one of them cannot be read.
    fn compare(&mut self, segment: &SegmentFile, frame: &Frame, payload: &[u8]) -> bool {
        self.time = self.time.max(frame.time);
        let mut at = 0;
        let mut rest = payload;
        while let Some(entry) = record::parse(rest) {
            let offset = frame.payload_start() + at;
            let kind = EntryKind::of(entry.operation);
            let sequence = match segment.kind {
                SegmentKind::Log => segment.id.saturating_add(offset as u64),
                SegmentKind::Pack => entry.sequence(segment.id.saturating_add(offset as u64)),
            };
            self.lowest = self.lowest.min(sequence);
            self.highest = self.highest.max(sequence);
            let hash = match (kind, &self.hash) {
                (EntryKind::Other, _) => Some(0),
                (_, None) => None,
                (_, Some(hash)) => Some(spread(hash.of(entry.key)) & self.mask),
            };
            self.expect(offset, entry.len, kind, hash);
            at += entry.len;
            rest = payload.get(at..).unwrap_or_default();
        }
        if !rest.is_empty() {
            self.expect(frame.payload_start() + at, rest.len(), EntryKind::Other, Some(0));
        }
        used(rest) == 0
    }

    fn expect(&mut self, offset: usize, len: usize, kind: EntryKind, hash: Option<u64>) {
        self.count += 1;
        let Some(reader) = &mut self.reader else { return };
        self.differs |= match reader.next() {
            Some(told) => {
                let hash = hash.unwrap_or(told.hash);
                told != FooterEntry { offset, len, kind, hash }
            }
            None => true,
        };
    }

    fn agrees(&mut self, trailer: &Trailer) -> bool {
        let summary = &trailer.summary;
        let ended = self.reader.as_mut().is_none_or(|reader| reader.next().is_none());
        ended
            && !self.differs
            && summary.count == self.count
            && (summary.lowest, summary.highest) == (self.lowest, self.highest)
            && summary.time == self.time
    }
}
