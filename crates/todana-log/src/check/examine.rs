//! What is wrong with one segment's file: its header, its frames, and whether the footer says what they say.

use super::Finding;
use super::files::SegmentFile;
use super::unpack::{Payload, Unpacker};
use super::walk::{Footer, Stretch, Stretches};
use crate::layout::footer::{self, EntryKind, FooterEntry, FooterReader, Trailer};
use crate::layout::frame::Frame;
use crate::layout::header::{HEADER_LEN, SegmentHeader, SegmentKind};
use crate::layout::identity::Identity;
use crate::layout::record;
use crate::layout::used;
use crate::recovery::KeyHash;
use std::iter::Peekable;
use std::ops::Range;
use todana_record::{IndexHash, Timestamp};

/// What one look at a file has shown.
#[derive(Default)]
pub(super) struct Look {
    pub(super) findings: Vec<Finding>,
    /// Byte of the segment where its last frame ends; `None` of no segment.
    pub(super) end: Option<u64>,
    pub(super) bytes: u64,
    /// Frames that could not be unpacked for want of the codec.
    pub(super) sealed: u64,
    /// And for want of the dictionary.
    pub(super) undone: u64,
}

pub(super) struct Examiner<'a> {
    pub(super) segment: &'a SegmentFile,
    pub(super) bytes: &'a [u8],
    pub(super) identity: Option<&'a Identity>,
    pub(super) unpacker: &'a Unpacker,
    pub(super) key_hash: Option<KeyHash>,
}

impl Examiner<'_> {
    fn is_closed(&self) -> bool {
        self.identity.is_none_or(|identity| identity.clean)
    }

    fn damage(&self, range: Range<usize>, what: impl Into<String>) -> Finding {
        Finding::damage(&self.segment.name(), range, what.into())
    }

    /// Unfinished in the store's last log, damage where everything had been finished.
    fn unfinished(&self, range: Range<usize>, what: impl Into<String>) -> Finding {
        let may_be = !self.is_closed() && self.segment.kind == SegmentKind::Log;
        Finding { is_damage: !may_be, ..self.damage(range, what) }
    }

    pub(super) fn run(&self, ends: &[(u64, u64)], at: &mut dyn FnMut(u64)) -> Look {
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
        let mut told = Told::of(&footer, self.identity, self.key_hash);
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

/// What a footer tells of the entries, held against the entries.
struct Told<'b> {
    reader: Option<Peekable<FooterReader<'b>>>,
    hash: Option<IndexHash>,
    key_hash: Option<KeyHash>,
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
    fn of(footer: &Footer<'b>, identity: Option<&Identity>, key_hash: Option<KeyHash>) -> Told<'b> {
        let (reader, width) = match footer {
            Footer::Whole(trailer, reader) => (Some(reader.clone()), trailer.summary.width),
            Footer::None | Footer::Damaged(_) => (None, 0),
        };
        Told {
            reader: reader.map(Iterator::peekable),
            hash: identity.map(|identity| IndexHash::new(identity.seed)),
            key_hash,
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
                // A footer without hashes has 0 for them.
                (_, Some(hash)) => {
                    Some(self.key_hash.map_or(0, |of| of(*hash, entry.key)) & self.mask)
                }
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
