//! Looking at a store's files without opening it: every checksum, and whether footers say what their
//! frames say. Nothing is changed and nothing is locked, so a store may be in use meanwhile.
//!
//! *Damage* is what neither a crash nor a writer at work leaves: stored bytes are not what was written.
//! *Unfinished* is what opening a store that was not closed cuts away by itself: an end that was never
//! whole, so nothing that was acknowledged as durable.
//!
//! In a store with a codec a frame has two places: findings and walks go by bytes of the *file*, entries
//! and whatever follows them by bytes of the *segment*.

use crate::Hash;
use crate::blob::{BlobReader, parse_blob_name};
use crate::codec::{Codec, DICTIONARY, dictionary_file_len};
use crate::index::spread;
use crate::layout::footer::{self, EntryKind, FooterEntry, FooterReader, TRAILER_LEN, Trailer};
use crate::layout::frame::{self, Frame};
use crate::layout::header::{HEADER_LEN, SegmentHeader, SegmentKind};
use crate::layout::identity::Identity;
use crate::layout::record;
use crate::recovery::read_identity;
use crate::segment::{file_name, parse_name};
use crate::unpack::{Dictionary, Payload, Unpacker};
use crate::writer::IDENTITY;
use std::fmt;
use std::io;
use std::iter::Peekable;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
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
    /// The codec that the frames were packed with, as far as anything says it; empty for none.
    pub codec: String,
    /// Packed frames whose checksums are right, but whose entries could not be looked at because the codec
    /// was not given.
    pub sealed_frames: u64,
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
    /// Verifies every checksum of a store's files, and footers against frames. A codec that is not built in
    /// has to be given; without it checksums are all that is verified of the frames that it packed, and
    /// [`Checked::sealed_frames`] says how many these are.
    ///
    /// # Errors
    /// [`Error::Open`] when there is no store, one of a newer format, or a file cannot be read.
    pub fn check(
        disk: &dyn Disk,
        directory: &Path,
        codec: Option<Arc<dyn Codec>>,
        progress: &mut OnProgress<'_>,
    ) -> Result<Checked, Error> {
        survey(disk, directory, codec, progress).map(|survey| survey.checked)
    }
}

/// What a check has found, and what it has found out on its way.
pub(crate) struct Survey {
    pub(crate) checked: Checked,
    /// Where it can be read.
    pub(crate) identity: Option<Identity>,
    pub(crate) unpacker: Unpacker,
}

/// As [`Hash::check`].
pub(crate) fn survey(
    disk: &dyn Disk,
    directory: &Path,
    codec: Option<Arc<dyn Codec>>,
    progress: &mut OnProgress<'_>,
) -> Result<Survey, Error> {
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
    let mut unpacker = Unpacker::of(disk, directory, &segments, identity.as_ref(), codec);
    let mut undone = 0;
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
                    let (bytes, identity) = (&bytes, identity.as_ref());
                    let examiner = Examiner { segment, bytes, identity, unpacker: &unpacker };
                    examiner.run(&ends, &mut |at| progress(done + at, total))
                }
                Err(error) => {
                    let what = format!("the file cannot be read: {error}");
                    let findings = vec![damage(&segment.name(), 0..0, what)];
                    Look { findings, ..Look::default() }
                }
            };
            if checked.is_closed || (look.findings.is_empty() && look.undone == 0) {
                break;
            }
            unpacker.refresh(disk, directory);
        }
        done += segment.len;
        checked.files += u64::from(look.bytes > 0);
        checked.bytes += look.bytes;
        checked.findings.append(&mut look.findings);
        checked.sealed_frames += look.sealed;
        undone += look.undone;
        ends.extend(look.end.map(|end| (segment.id, end)));
    }
    check_dictionary(&unpacker.dictionary, undone, &mut checked);
    check_blobs(disk, directory, &mut checked)?;
    checked.codec.clone_from(&unpacker.name);
    Ok(Survey { checked, identity, unpacker })
}

/// Checks the files of long values.
fn check_blobs(disk: &dyn Disk, directory: &Path, checked: &mut Checked) -> Result<(), Error> {
    let listed = disk.list(directory);
    let names = listed.map_err(|error| Error::Open(format!("{}: {error}", directory.display())))?;
    for (name, id) in names.iter().filter_map(|name| Some((name, parse_blob_name(name)?))) {
        match BlobReader::check(disk, directory, id) {
            Ok(len) => {
                checked.files += 1;
                checked.bytes += len;
            }
            // Of a store that is in use, or was not closed, it may be one that nobody refers to yet.
            Err(error) => {
                let finding = damage(name, 0..0, error.to_string());
                checked.findings.push(Finding { is_damage: checked.is_closed, ..finding });
            }
        }
    }
    Ok(())
}

/// Says what is wrong with a dictionary without which so many frames cannot be unpacked.
fn check_dictionary(dictionary: &Dictionary, undone: u64, checked: &mut Checked) {
    let what = match dictionary {
        Dictionary::Whole(bytes) => {
            checked.files += 1;
            checked.bytes += dictionary_file_len(bytes.len());
            return;
        }
        Dictionary::None if undone == 0 => return,
        Dictionary::None => "the file is missing".to_owned(),
        Dictionary::Damaged(reason) => format!("the file is damaged: {reason}"),
    };
    let frames = if undone == 1 { "frame" } else { "frames" };
    let what = match undone {
        0 => what,
        _ => format!("{what}; {undone} {frames} cannot be unpacked without it"),
    };
    checked.findings.push(damage(DICTIONARY, 0..0, what));
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

fn damage(file: &str, range: Range<usize>, what: String) -> Finding {
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

/// A stretch of a segment's file between its header and its footer.
pub(crate) enum Stretch<'b> {
    /// A frame, and what is stored of it.
    Intact(Frame, &'b [u8]),
    /// Bytes of the file that are no intact frame, up to where one begins, or to the end; and the byte of
    /// the segment that they reach to, as far as it is known.
    Broken(Range<usize>, usize),
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
        let stored = self.bytes.get(frame.stored_start()..frame.stored_end())?;
        Some((frame, stored, frame::is_intact(stored, sums)))
    }

    /// Where the next frame begins behind one whose header cannot be read.
    fn resume(&self, at: usize) -> usize {
        let known = self.known.iter().find(|frame| frame.at <= at && at < frame.stored_end());
        if let Some(frame) = known {
            return frame.stored_end().min(self.bytes.len());
        }
        let begins = |&start: &usize| {
            // Most places are no header at a glance: the length is never 0, of the last 2 bytes one has at
            // most the 3 bits of its form, the other is 0.
            let glance = self.bytes.get(start + 4..start + 16);
            glance.is_some_and(|head| head[..4] != [0; 4] && head[10] <= 7 && head[11] == 0)
                && self.frame_at(start).is_some_and(|(.., intact)| intact)
        };
        (at + 1..self.bytes.len()).find(begins).unwrap_or(self.bytes.len())
    }

    /// The byte of the segment where what ends at a byte of the file ends, where a footer tells.
    fn logical_end(&self, at: usize) -> usize {
        let before = self.known.partition_point(|frame| frame.at < at);
        let last = before.checked_sub(1).and_then(|last| self.known.get(last));
        last.map_or(HEADER_LEN, Frame::end)
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
            Some((frame, stored, true)) => (frame.stored_end(), Stretch::Intact(frame, stored)),
            Some((frame, _, false)) => {
                let end = frame.stored_end();
                (end, Stretch::Broken(start..end, frame.end()))
            }
            None => {
                let end = self.resume(start);
                (end, Stretch::Broken(start..end, self.logical_end(end)))
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
    /// Byte of the segment where its last frame ends; `None` of no segment.
    end: Option<u64>,
    bytes: u64,
    /// Frames that could not be unpacked for want of the codec.
    sealed: u64,
    /// And for want of the dictionary.
    undone: u64,
}

struct Examiner<'a> {
    segment: &'a SegmentFile,
    bytes: &'a [u8],
    identity: Option<&'a Identity>,
    unpacker: &'a Unpacker,
}

impl Examiner<'_> {
    fn is_closed(&self) -> bool {
        self.identity.is_none_or(|identity| identity.clean)
    }

    fn damage(&self, range: Range<usize>, what: impl Into<String>) -> Finding {
        damage(&self.segment.name(), range, what.into())
    }

    /// Unfinished in the store's last log, damage where everything had been finished.
    fn unfinished(&self, range: Range<usize>, what: impl Into<String>) -> Finding {
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
            (None, _) if used(self.bytes) <= HEADER_LEN => {
                let what = "the header was not written whole";
                look.findings.push(self.unfinished(head, what));
                look.end = Some(HEADER_LEN as u64);
                return look;
            }
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
        // Bytes of the file and of the segment.
        let (mut end, mut logical_end) = (HEADER_LEN, HEADER_LEN);
        // Broken stretches, and the entries that there were in each.
        let mut broken: Vec<(Range<usize>, u64)> = Vec::new();
        let mut frames = Vec::new();
        for stretch in Stretches::of(self.segment.id, self.bytes, &footer) {
            match stretch {
                Stretch::Intact(frame, stored) => {
                    let follows = match frame.at == end {
                        true => frame.start == logical_end,
                        // How much was lost before it only a footer knows.
                        false => frame.start >= logical_end,
                    };
                    let wrong = match follows {
                        true => self.payload(look, &mut told, &frame, stored),
                        false => Some("it does not follow the frame before it".to_owned()),
                    };
                    let range = frame.at..frame.stored_end();
                    look.findings.extend(wrong.map(|what| self.damage(range, what)));
                    (end, logical_end) = (frame.stored_end(), frame.end());
                    frames.push(Frame { time: Timestamp::from_ms(0), ..frame });
                    progress(end as u64);
                }
                Stretch::Broken(range, reaches_to) => {
                    let entries = told.skip(reaches_to);
                    broken.push((range, entries));
                }
            }
        }
        look.end = Some(logical_end as u64);
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
                if footer::frames(&reader) != frames || !told.agrees(&trailer) {
                    let range = end.min(self.bytes.len())..self.bytes.len();
                    let what = "the footer does not say what the frames say";
                    look.findings.push(self.damage(range, what));
                }
            }
            Footer::Whole(..) => {}
        }
    }

    /// Looks at what is in a frame whose sums are right; says what is wrong with it.
    fn payload(
        &self,
        look: &mut Look,
        told: &mut Told<'_>,
        frame: &Frame,
        stored: &[u8],
    ) -> Option<String> {
        match self.unpacker.payload(frame, stored) {
            Payload::Known(payload) => {
                let is_read = told.compare(self.segment, frame, &payload);
                return (!is_read).then(|| "an entry cannot be read".to_owned());
            }
            Payload::NoCodec if self.identity.is_some() && self.unpacker.name.is_empty() => {
                told.pass(frame);
                return Some("the frame is packed, but the store has no codec".to_owned());
            }
            Payload::Wrong(reason) => {
                told.pass(frame);
                return Some(format!("the frame cannot be unpacked: {reason}"));
            }
            Payload::NoCodec => look.sealed += 1,
            Payload::NoDictionary => look.undone += 1,
        }
        told.pass(frame);
        None
    }

    /// Of a segment without a footer: what stands behind the last intact frame was never finished, or
    /// is a footer that was damaged.
    fn unfinished_end(&self, look: &mut Look, broken: &mut Vec<(Range<usize>, u64)>, end: usize) {
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
pub(crate) fn used(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1)
}

/// What a footer tells of the entries, held against the entries.
struct Told<'b> {
    reader: Option<Peekable<FooterReader<'b>>>,
    hash: Option<IndexHash>,
    /// The bits of a hash that the footer has.
    mask: u64,
    differs: bool,
    /// Whether entries were passed over that could not be looked at.
    passed: bool,
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
            passed: false,
            count: 0,
            lowest: u64::MAX,
            highest: 0,
            time: Timestamp::from_ms(0),
        }
    }

    /// Passes over the entries before a byte of the segment; gives their number.
    fn skip(&mut self, end: usize) -> u64 {
        let Some(reader) = &mut self.reader else { return 0 };
        let mut count = 0;
        while reader.next_if(|entry| entry.offset < end).is_some() {
            count += 1;
        }
        count
    }

    /// Passes over the entries of a frame that cannot be unpacked.
    fn pass(&mut self, frame: &Frame) {
        self.time = self.time.max(frame.time);
        let count = self.skip(frame.end());
        self.count = self.count.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
        self.passed = true;
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
        self.count = self.count.saturating_add(1);
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
            && (self.passed || (summary.lowest, summary.highest) == (self.lowest, self.highest))
            && summary.time == self.time
    }
}
