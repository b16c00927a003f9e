//! Reading one segment: by its footer where that can be trusted, else frame by frame.

use super::Opening;
use crate::layout::footer::{self, EntryKind, FooterEntry, Summary, Trailer};
use crate::layout::frame::{self, Frame};
use crate::layout::header::{HEADER_LEN, SegmentHeader, SegmentKind};
use crate::layout::identity::ID_MAX;
use crate::layout::record::{self, Operation};
use crate::layout::used;
use crate::{corrupt, failed, file_name, read_footer};
use std::sync::Arc;
use todana_engine::Error;
use todana_io::{DiskFile, Open};
use todana_record::{Expiry, IndexHash, Timestamp};

/// Bytes of hash that a scan has of each entry: all.
const WIDTH: usize = 8;

/// A segment on its way into the tables.
pub(super) struct Loaded {
    pub(super) header: SegmentHeader,
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) frames: Vec<Frame>,
    pub(super) entries: Entries,
    pub(super) summary: Summary,
    /// Whether the file has a footer that can be trusted.
    pub(super) complete: bool,
}

/// What an index needs of a segment, from where it could be had.
#[derive(Debug)]
pub enum Entries {
    /// Its footer.
    Footer(Trailer, Vec<u8>),
    /// Its frames.
    Scanned(Vec<FooterEntry>),
}

impl Entries {
    /// All of them, in order.
    pub fn iter(&self) -> Box<dyn Iterator<Item = FooterEntry> + '_> {
        match self {
            Entries::Footer(trailer, bytes) => {
                Box::new(trailer.tables(bytes).into_iter().flatten())
            }
            Entries::Scanned(entries) => Box::new(entries.iter().copied()),
        }
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        match self {
            Entries::Footer(trailer, _) => u64::from(trailer.summary.count),
            Entries::Scanned(entries) => entries.len() as u64,
        }
    }
}

impl Loaded {
    pub(super) fn name(&self) -> String {
        file_name(self.header.id, self.header.kind)
    }

    pub(super) fn end(&self) -> usize {
        self.frames.last().map_or(HEADER_LEN, Frame::end)
    }
}

/// Whether anything stands behind a segment's header: it was written whole then.
fn is_begun(file: &dyn DiskFile) -> std::io::Result<bool> {
    let mut bytes = [0; 4 << 10];
    let read = file.read_at(HEADER_LEN as u64, &mut bytes)?;
    Ok(used(bytes.get(..read).unwrap_or_default()) > 0)
}

impl Opening {
    pub(super) fn load(&mut self, kind: SegmentKind, id: u64) -> Result<Option<Loaded>, Error> {
        let name = file_name(id, kind);
        let path = self.home.path(&name);
        let how = if self.writes() { Open::Write } else { Open::Read };
        let file: Arc<dyn DiskFile> =
            self.home.disk.open(&path, how).map_err(failed(&name))?.into();
        let mut bytes = [0; HEADER_LEN];
        let read = file.read_at(0, &mut bytes).map_err(failed(&name))?;
        let header = SegmentHeader::decode(bytes.get(..read).unwrap_or_default());
        let Some(header) = header.filter(|header| header.id == id && header.kind == kind) else {
            let was_closed_or_torn = self.report.clean || used(&bytes) > 0;
            if was_closed_or_torn && is_begun(&*file).map_err(failed(&name))? {
                return Err(corrupt(&name, "its header is damaged"));
            }
            // A blank that was never begun, or whose header was not written whole: nothing safe is in it,
            // nor in a log that follows it.
            self.blanks.push((kind, id));
            return Ok(None);
        };
        if id > ID_MAX {
            return Err(corrupt(&name, "its id is higher than any"));
        }
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
            width: if self.key_hash.is_some() { WIDTH } else { 0 },
        };
        let (mut frames, mut entries) = (Vec::new(), Vec::new());
        let (mut at, mut end) = (HEADER_LEN, HEADER_LEN);
        while let Some((frame, sums)) =
            frame::read_header(header.id, at, bytes.get(at..).unwrap_or_default())
        {
            let stored = bytes.get(frame.stored_start()..frame.stored_end()).unwrap_or_default();
            if !frame::is_intact(stored, sums) || frame.start != end {
                break;
            }
            let unpacked;
            let payload = match &self.packing {
                _ if !frame.form.is_packed() => stored,
                None => return Err(corrupt(name, "it is packed, but the store has no codec")),
                Some(packing) => {
                    let done = packing.unpack(frame.form, stored, frame.payload_len);
                    unpacked = done.map_err(|reason| corrupt(name, &reason))?;
                    &unpacked
                }
            };
            let mut offset = frame.payload_start();
            let mut left = payload;
            while let Some(entry) = record::parse(left) {
                let kind = EntryKind::of(entry.operation);
                let hash = match self.key_hash {
                    Some(key_hash) if kind != EntryKind::Other => key_hash(hash, entry.key),
                    _ => 0,
                };
                entries.push(FooterEntry { offset, len: entry.len, kind, hash });
                let sequence = header.id + offset as u64;
                summary.lowest = summary.lowest.min(sequence);
                summary.highest = summary.highest.max(sequence);
                match entry.operation {
                    Operation::Flush => {
                        (summary.cut, summary.flush_due) = (entry.number, Expiry::NEVER);
                    }
                    Operation::FlushDue => summary.flush_due = entry.expiry,
                    Operation::Put
                    | Operation::PutBlob
                    | Operation::Remove
                    | Operation::Unit
                    | Operation::Own => {}
                }
                offset += entry.len;
                left = left.get(entry.len..).unwrap_or_default();
            }
            if !left.is_empty() {
                let (len, kind) = (left.len(), EntryKind::Other);
                entries.push(FooterEntry { offset, len, kind, hash: 0 });
            }
            summary.time = summary.time.max(frame.time);
            (at, end) = (frame.stored_end(), frame.end());
            summary.frames_end = at;
            frames.push(frame);
        }
        let rest = bytes.get(at..).unwrap_or_default();
        let torn = used(rest);
        // Beyond a whole log is its footer, which cannot be trusted alone; it says whether this is whole.
        let footer = read_footer(&*file, header.id).map_err(failed(name))?;
        let is_whole = footer.is_some_and(|(trailer, _)| trailer.summary.frames_end <= at);
        if torn > 0 && !is_whole {
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
}
