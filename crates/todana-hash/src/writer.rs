//! The one writer's state: everything that is changed under its lock.

use crate::index::{Check, IndexWriter, Place, Seat};
use crate::view::Tables;
use arc_swap::ArcSwap;
use std::collections::HashSet;
use std::io;
use std::sync::{Arc, Weak};
use todana_engine::Error;
use todana_io::disk::replace;
use todana_io::Tail;
use todana_log::layout::footer::EntryKind;
use todana_log::layout::header::{SegmentHeader, SegmentKind};
use todana_log::layout::identity::Identity;
use todana_log::layout::record::{Fields, HEAD_LEN_MAX, Operation};
use todana_log::layout::reference::Reference;
use todana_log::{Blank, Head, Home, IDENTITY, Packing, Segment, is_full, refused};
use todana_record::{Expiry, Timestamp};

/// Ids and sequences that are taken at once: an unclean open begins behind them.
const RESERVE: u64 = 1 << 40;
const SEGMENT_LEN_MAX: u64 = 1 << 26;
/// Parts of the store that a segment should be at most.
const SEGMENTS_WANTED: u64 = 64;
/// Bytes after which somebody should write them to the file.
const WRITE_BEHIND: usize = 1 << 20;

/// What the writer knows of a segment.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Account {
    pub(crate) id: u64,
    /// Bytes of entries that the index points to.
    pub(crate) live: u64,
    /// Bytes of removals, which may be needed or not.
    pub(crate) removals: u64,
    /// Bytes of the file.
    pub(crate) len: u64,
    /// Bytes of its frames.
    pub(crate) data: u64,
    pub(crate) lowest: u64,
    pub(crate) highest: u64,
    pub(crate) is_pack: bool,
    /// Whether its file has a footer.
    pub(crate) complete: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) home: Home,
    pub(crate) identity: Identity,
    pub(crate) packing: Option<Arc<Packing>>,
    pub(crate) index: IndexWriter,
    /// Where changes are appended; none in a store that is read only.
    pub(crate) log: Option<Head>,
    /// Full heads that are not on their way to the disk yet.
    pub(crate) retired: Vec<Head>,
    /// The next log's file, made ahead.
    pub(crate) spare: Option<Blank>,
    /// A file for a pack: on a full disk space is only won by moving what is live.
    pub(crate) pack_spare: Option<Blank>,
    /// The tables as they were published last, unless somebody uses them: saves loading them.
    pub(crate) tables: Option<Arc<Tables>>,
    /// Their state.
    pub(crate) state: u64,
    /// Memory of a segment that is complete, for the next one.
    pub(crate) used: Vec<Arc<Tail>>,
    /// By slot.
    pub(crate) accounts: Vec<Account>,
    /// Blobs that records refer to.
    pub(crate) blobs: HashSet<u64>,
    /// Those that no record refers to any more, from a sequence on.
    pub(crate) dead_blobs: Vec<(u64, u64)>,
    pub(crate) free_slots: Vec<(u16, Weak<()>)>,
    pub(crate) next_id: u64,
    pub(crate) cut: u64,
    pub(crate) flush_due: Expiry,
    /// Whether the last spare could not be made for want of space.
    pub(crate) short: bool,
    pub(crate) since_wanted: usize,
    pub(crate) stored: u64,
    pub(crate) moved: u64,
    pub(crate) expired: u64,
    pub(crate) reclaimed: u64,
    /// Bytes of the smallest segment.
    pub(crate) least_segment_len: u64,
}

/// An entry to be appended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change<'c> {
    pub(crate) fields: Fields,
    /// A version that a client gave, or that stays.
    pub(crate) version: Option<u64>,
    pub(crate) key: &'c [u8],
    pub(crate) value: [&'c [u8]; 2],
    /// The blob that has the value instead.
    pub(crate) blob: Option<Reference>,
    pub(crate) hash: u64,
}

impl Change<'_> {
    /// One that concerns no key.
    pub(crate) const fn of_store(fields: Fields) -> Change<'static> {
        Change { fields, version: None, key: &[], value: [&[], &[]], blob: None, hash: 0 }
    }

    /// No fewer bytes than it takes.
    #[inline]
    pub(crate) fn len_max(&self) -> usize {
        let value_len = match self.blob {
            None => self.value[0].len() + self.value[1].len(),
            Some(_) => Reference::LEN,
        };
        HEAD_LEN_MAX + self.key.len() + value_len
    }
}

/// Where an entry was appended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Appended {
    pub(crate) place: Place,
    pub(crate) sequence: u64,
    pub(crate) len: usize,
}

pub(crate) const READ_ONLY: Error = Error::Unsupported("write: it was opened to be read only");

impl Writer {
    /// Bytes of all files, those under way included.
    pub(crate) fn total_len(&self) -> u64 {
        let log = self.log.as_ref().map_or(0, |log| log.file_len() as u64);
        self.accounts.iter().map(|account| account.len).sum::<u64>() + log
    }

    /// Bytes of entries that the index points to.
    pub(crate) fn live_len(&self) -> u64 {
        self.accounts.iter().map(|account| account.live).sum()
    }

    /// Bytes that the next segment should have at most.
    fn segment_len(&self) -> u64 {
        (self.total_len() / SEGMENTS_WANTED).clamp(self.least_segment_len, SEGMENT_LEN_MAX)
    }

    /// Takes ids and sequences; those that were ever taken are never taken again.
    pub(crate) fn take_id(&mut self, len: u64) -> io::Result<u64> {
        let id = self.next_id;
        if id + len > self.identity.next_id {
            let next_id = id + len + RESERVE;
            self.store_identity(Identity { next_id, ..self.identity.clone() })?;
        }
        self.next_id = id + len;
        Ok(id)
    }

    pub(crate) fn store_identity(&mut self, identity: Identity) -> io::Result<()> {
        replace(&*self.home.disk, &self.home.directory, IDENTITY, &identity.encode())?;
        self.identity = identity;
        Ok(())
    }

    /// Makes a file for a segment of at least `least_len` bytes.
    pub(crate) fn blank(&mut self, kind: SegmentKind, least_len: usize) -> io::Result<Blank> {
        let len = self.segment_len().max(least_len as u64);
        let id = self.take_id(len)?;
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        Blank::create(&*self.home.disk, &self.home.directory, id, kind, len, &mut self.used)
    }

    /// A free number for a segment.
    pub(crate) fn take_slot(&mut self) -> io::Result<u16> {
        let free = self.free_slots.iter().position(|(_, token)| token.strong_count() == 0);
        if let Some(at) = free {
            return Ok(self.free_slots.swap_remove(at).0);
        }
        let slot = u16::try_from(self.accounts.len())
            .map_err(|_| io::Error::from(io::ErrorKind::StorageFull))?;
        self.accounts.push(Account::default());
        Ok(slot)
    }

    /// Makes a segment's number free once no reader can have it any more.
    pub(crate) fn free_slot(&mut self, segment: &Arc<Segment>) {
        if let Some(account) = self.accounts.get_mut(usize::from(segment.slot)) {
            *account = Account::default();
        }
        self.free_slots.push((segment.slot, Arc::downgrade(&segment.token)));
    }

    /// Publishes the tables with a change to the segments.
    pub(crate) fn publish(
        &mut self,
        tables: &ArcSwap<Tables>,
        change: impl FnOnce(&mut Vec<Option<Arc<Segment>>>),
    ) {
        let old = tables.load();
        let mut segments = old.segments.clone();
        segments.resize(self.accounts.len(), None);
        change(&mut segments);
        self.state = old.state + 1;
        self.tables = None;
        drop(old);
        tables.store(Arc::new(Tables {
            state: self.state,
            index: self.index.index().clone(),
            segments,
        }));
    }

    /// Begins a new log segment.
    pub(crate) fn roll(
        &mut self,
        tables: &ArcSwap<Tables>,
        least_len: usize,
        now: Timestamp,
    ) -> Result<(), Error> {
        let fits = |blank: &Blank| blank.len >= least_len;
        let blank = match self.spare.take() {
            Some(blank) if fits(&blank) => blank,
            other => {
                // Logs are in the order of their ids: one that is not used is not kept for later.
                if let Some(blank) = other {
                    self.discard(&blank).map_err(|error| refused(&error))?;
                }
                self.blank(SegmentKind::Log, least_len).map_err(|error| {
                    self.short |= is_full(&error);
                    refused(&error)
                })?
            }
        };
        self.begin_log(tables, blank, None, now).map_err(|error| refused(&error))
    }

    /// Removes the file of a segment that was not begun.
    pub(crate) fn discard(&self, blank: &Blank) -> io::Result<()> {
        self.home.remove(&blank.name)
    }

    /// Makes a blank the log, and the log before it (or `previous`, at open) its predecessor.
    pub(crate) fn begin_log(
        &mut self,
        tables: &ArcSwap<Tables>,
        blank: Blank,
        previous: Option<(u64, u32)>,
        now: Timestamp,
    ) -> io::Result<()> {
        let slot = self.take_slot()?;
        let mut previous = previous;
        if let Some(mut log) = self.log.take() {
            log.close_frame(now);
            let end = log.frames_end();
            previous = Some((log.header.id, todana_log::layout::narrow(end)));
            log.end_with(self.cut, self.flush_due);
            if let Some(account) = self.accounts.get_mut(usize::from(log.segment.slot)) {
                account.len = log.file_len() as u64;
            }
            self.retired.push(log);
        }
        let header = SegmentHeader {
            kind: SegmentKind::Log,
            incarnation: self.identity.incarnation,
            store: self.identity.store,
            id: blank.id,
            previous,
            cut: self.cut,
            flush_due: self.flush_due,
        };
        let log = Head::new(blank, header, slot, self.width(), self.packing.clone());
        self.accounts[usize::from(slot)] =
            Account { id: header.id, lowest: header.id, highest: u64::MAX, ..Account::default() };
        let segment = log.segment.clone();
        self.log = Some(log);
        self.publish(tables, |segments| segments[usize::from(slot)] = Some(segment));
        Ok(())
    }

    /// Bytes of hash that footers keep.
    pub(crate) fn width(&self) -> usize {
        (self.index.index().bits() / 8) as usize
    }

    /// Makes room for changes of `len_max` bytes together, in a new segment if need be.
    #[inline]
    pub(crate) fn reserve(
        &mut self,
        tables: &ArcSwap<Tables>,
        len_max: usize,
        count: usize,
        now: Timestamp,
    ) -> Result<(), Error> {
        let Some(log) = &mut self.log else { return Err(READ_ONLY) };
        if log.reserve(len_max, count, now) {
            return Ok(());
        }
        let least_len = Head::least_len(len_max, count);
        if least_len as u64 > SEGMENT_LEN_MAX {
            return Err(Error::ValueTooLarge { len: len_max as u64, max: SEGMENT_LEN_MAX / 2 });
        }
        self.roll(tables, least_len, now)?;
        match self.log.as_mut().is_some_and(|log| log.reserve(len_max, count, now)) {
            true => Ok(()),
            false => Err(Error::NoSpace),
        }
    }

    /// Appends a change for which room was reserved. Readers do not see it yet.
    #[inline]
    pub(crate) fn append(&mut self, change: &Change<'_>) -> Result<Appended, Error> {
        let Some(log) = &mut self.log else { return Err(READ_ONLY) };
        let sequence = log.header.id + log.end() as u64;
        let mut fields = change.fields;
        if let Some(version) = change.version {
            fields.version_back = sequence.wrapping_sub(version);
        }
        let reference = change.blob.map(Reference::encode);
        let value = match &reference {
            None => change.value,
            Some(reference) => [&reference[..], &[]],
        };
        let value_len = value[0].len() + value[1].len();
        let head = fields.encode(change.key.len(), value_len);
        let parts = [&head[..], change.key, value[0], value[1]];
        let kind = EntryKind::of(fields.operation);
        let offset = log.append(parts, kind, change.hash, None);
        let len = head.len() + change.key.len() + value_len;
        self.since_wanted += len;
        Ok(Appended { place: Place { slot: log.segment.slot, offset }, sequence, len })
    }

    /// Shows readers of the log's memory what was appended.
    #[inline]
    pub(crate) fn publish_log(&mut self) {
        if let Some(log) = &mut self.log {
            log.publish();
        }
    }

    /// Whether enough was appended that somebody should write it.
    #[inline]
    pub(crate) fn wants_writing(&mut self) -> bool {
        let wants = self.since_wanted >= WRITE_BEHIND;
        if wants {
            self.since_wanted = 0;
        }
        wants
    }

    /// Points the index to an entry that was appended, instead of `old` (place and length), whose seat
    /// it takes.
    #[inline]
    pub(crate) fn point(
        &mut self,
        seat: Seat,
        operation: Operation,
        appended: Appended,
        old: Option<(Place, usize)>,
    ) -> Result<(), Error> {
        match (old, operation.is_put()) {
            (None, true) => self.insert(seat, appended.place, appended.len as u64)?,
            (None, false) => {}
            (Some((place, len)), true) => {
                self.index.set(seat, appended.place);
                self.forget(place, len);
                self.is_stored(appended.place, appended.len as u64);
            }
            (Some((place, len)), false) => {
                self.index.remove(seat);
                self.forget(place, len);
            }
        }
        Ok(())
    }

    /// Adds a new record of `len` bytes to the index.
    ///
    /// # Errors
    /// [`Error::Poisoned`] when there is no memory.
    #[inline]
    pub(crate) fn insert(&mut self, seat: Seat, place: Place, len: u64) -> Result<(), Error> {
        let inserted = self.index.insert(seat, place);
        inserted.map_err(|error| Error::Poisoned(format!("the index: {error}")))?;
        self.is_stored(place, len);
        Ok(())
    }

    /// Counts a record that was stored.
    #[inline]
    fn is_stored(&mut self, place: Place, len: u64) {
        self.stored += 1;
        self.account(place.slot, |account| account.live += len);
    }

    /// Where the entry of a hash at a place stands; without a place, where a new one would.
    pub(crate) fn seat(&self, hash: u64, place: Option<Place>) -> Seat {
        let is_it = |at| if Some(at) == place { Check::Is(()) } else { Check::IsNot };
        self.index.seek(hash, is_it).0
    }

    #[inline]
    pub(crate) fn account(&mut self, slot: u16, change: impl FnOnce(&mut Account)) {
        if let Some(account) = self.accounts.get_mut(usize::from(slot)) {
            change(account);
        }
    }

    /// Notes that a change which was refused had a blob, unless the record has it.
    #[cold]
    pub(crate) fn blob_is_unused(&mut self, blob: Option<Reference>, records: Option<Reference>) {
        if let Some(blob) = blob.filter(|blob| records.is_none_or(|its| its.id != blob.id)) {
            self.dead_blobs.push((0, blob.id));
        }
    }

    /// Notes what blob a change at a sequence took, if any, and which it left.
    #[inline]
    pub(crate) fn blob_changes(
        &mut self,
        old: Option<Reference>,
        next: Option<Reference>,
        sequence: u64,
    ) {
        if old.is_some() || next.is_some() {
            self.change_blobs(old, next, sequence);
        }
    }

    #[cold]
    fn change_blobs(&mut self, old: Option<Reference>, next: Option<Reference>, sequence: u64) {
        if let Some(next) = next {
            self.blobs.insert(next.id);
        }
        if let Some(old) = old.filter(|old| next.is_none_or(|next| next.id != old.id)) {
            self.blobs.remove(&old.id);
            self.dead_blobs.push((sequence, old.id));
        }
    }

    /// Counts an entry as dead.
    #[inline]
    pub(crate) fn forget(&mut self, place: Place, len: usize) {
        self.account(place.slot, |account| account.live = account.live.saturating_sub(len as u64));
    }
}
