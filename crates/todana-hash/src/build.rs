//! The index of a store that is being opened.

use crate::index::{Check, IndexWriter, Place, new_index, spread};
use crate::view::{Find, Hit};
use std::collections::HashSet;
use todana_engine::Error;
use todana_log::layout::footer::{EntryKind, FooterEntry, Summary};
use todana_log::layout::header::{SegmentHeader, SegmentKind};
use todana_log::layout::narrow;
use todana_log::{Account, Contents, Pins, Recovered, Segments, failed};
use todana_record::IndexHash;

/// Entries that are added together.
const GROUP_LEN: usize = 64;

/// An index that is being built.
pub(crate) struct Build<'r> {
    hash: IndexHash,
    cut: u64,
    index: IndexWriter,
    segments: &'r Segments,
    accounts: &'r mut [Account],
    removed: Vec<(u64, Place)>,
    blobs: Vec<(u64, Place)>,
}

/// What an index was built to.
pub(crate) struct Built {
    pub(crate) index: IndexWriter,
    /// The blobs that records refer to.
    pub(crate) blobs: HashSet<u64>,
}

impl<'r> Build<'r> {
    pub(crate) fn new(
        records: u64,
        hash: IndexHash,
        recovered: &'r mut Recovered,
    ) -> Result<Build<'r>, Error> {
        let index = new_index(records).map_err(failed("the index"))?;
        let Recovered { segments, accounts, cut, .. } = recovered;
        Ok(Build {
            hash,
            cut: *cut,
            index,
            segments,
            accounts,
            removed: Vec::new(),
            blobs: Vec::new(),
        })
    }

    /// Adds what a segment has; of two entries of a key the one with the higher sequence counts.
    pub(crate) fn add(&mut self, contents: Contents) -> Result<(), Error> {
        let Contents { slot, header, summary, entries } = contents;
        if summary.highest <= self.cut {
            return Ok(());
        }
        let mut wanted = entries.iter().filter(|entry| entry.kind != EntryKind::Other);
        let mut group = Vec::with_capacity(GROUP_LEN);
        loop {
            group.clear();
            let mut taken = 0;
            for entry in wanted.by_ref().take(GROUP_LEN) {
                taken += 1;
                let place = Place { slot, offset: narrow(entry.offset) };
                if self.is_cut(&header, &summary, place)? {
                    continue;
                }
                let hash = match summary.width * 8 >= self.index.index().bits() as usize {
                    true => entry.hash,
                    false => self.hash_at(place)?,
                };
                // All lines of a group are on their way before the first is looked at.
                self.index.index().prefetch(hash);
                group.push((hash, place, entry));
            }
            if taken == 0 {
                return Ok(());
            }
            for (hash, place, entry) in &group {
                if entry.kind == EntryKind::Remove
                    && let Some(account) = self.accounts.get_mut(usize::from(slot))
                {
                    account.removals += entry.len as u64;
                }
                self.add_entry(*hash, *place, entry)?;
            }
        }
    }

    /// Whether a flush of all records came after an entry.
    fn is_cut(
        &self,
        header: &SegmentHeader,
        summary: &Summary,
        place: Place,
    ) -> Result<bool, Error> {
        Ok(match header.kind {
            SegmentKind::Log => header.id.saturating_add(u64::from(place.offset)) <= self.cut,
            SegmentKind::Pack => summary.lowest <= self.cut && self.sequence(place)? <= self.cut,
        })
    }

    fn entry<'b>(&'b self, place: Place, pins: &'b Pins) -> Result<Hit<'b>, Error> {
        let missing = || Error::Corrupt(format!("no entry at {place:?}, where a footer has one"));
        self.segments.entry(place, pins)?.ok_or_else(missing)
    }

    fn sequence(&self, place: Place) -> Result<u64, Error> {
        Ok(self.entry(place, &Pins::new())?.sequence())
    }

    fn hash_at(&self, place: Place) -> Result<u64, Error> {
        Ok(spread(self.hash.of(self.entry(place, &Pins::new())?.record.key)))
    }

    fn add_entry(&mut self, hash: u64, place: Place, entry: &FooterEntry) -> Result<(), Error> {
        let mut failure = None;
        let mut own = None;
        let (pins, others) = (Pins::new(), Pins::new());
        let (seat, found) = self.index.seek(hash, |other| {
            let key = match own {
                Some(key) => key,
                None => match self.entry(place, &pins) {
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
            match self.entry(other, &others) {
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
        if let Some((other, sequence, len)) = found {
            if self.sequence(place)? < sequence {
                return Ok(());
            }
            self.index.set(seat, place);
            self.count(other, |live| live.saturating_sub(len as u64));
        } else {
            self.index.insert(seat, place).map_err(failed("the index"))?;
        }
        match entry.kind {
            EntryKind::Remove => self.removed.push((hash, place)),
            EntryKind::Blob => self.blobs.push((hash, place)),
            EntryKind::Put | EntryKind::Other => {}
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
    pub(crate) fn finish(mut self) -> Result<Built, Error> {
        for (hash, place) in std::mem::take(&mut self.removed) {
            if let Some(seat) = self.index.seat_of(hash, place) {
                self.index.remove(seat);
                let len = self.entry(place, &Pins::new())?.record.len as u64;
                self.count(place, |live| live.saturating_sub(len));
            }
        }
        let mut blobs = HashSet::new();
        for (hash, place) in std::mem::take(&mut self.blobs) {
            if self.index.seat_of(hash, place).is_some() {
                blobs.extend(self.entry(place, &Pins::new())?.record.blob().map(|blob| blob.id));
            }
        }
        Ok(Built { index: self.index, blobs })
    }
}
