//! The log under its writer's lock: everything that appending changes.
//!
//! The lock is the engine's, since a change of its records and the entry of it are one critical section; the
//! log reaches it through [`Owner`](crate::Owner).

use crate::change::{Appended, Change};
use crate::codec::Packing;
use crate::head::{Blank, Head};
use crate::home::{Home, IDENTITY, is_full, refused};
use crate::layout::footer::EntryKind;
use crate::layout::header::{SegmentHeader, SegmentKind};
use crate::layout::identity::Identity;
use crate::layout::narrow;
use crate::layout::reference::Reference;
use crate::segment::Segment;
use crate::segments::Segments;
use crate::state::LogState;
use std::io;
use std::sync::{Arc, Weak};
use todana_engine::Error;
use todana_io::Tail;
use todana_io::disk::replace;
use todana_record::{Expiry, Timestamp};

/// Ids and sequences that are taken at once: an unclean open begins behind them.
const RESERVE: u64 = 1 << 40;
const SEGMENT_LEN_MAX: u64 = 1 << 26;
/// Parts of the store that a segment should be at most.
const SEGMENTS_WANTED: u64 = 64;
/// Bytes after which somebody should write them to the file.
const WRITE_BEHIND: usize = 1 << 20;
/// Bytes of a log that are left to removals and flushes when there is no space for another.
const SHORT_LEN: usize = 64 << 10;

/// What is said to somebody who writes to a log that is read only.
pub const READ_ONLY: Error = Error::Unsupported("write: it was opened to be read only");

/// What the writer knows of a segment.
#[derive(Debug, Clone, Copy, Default)]
pub struct Account {
    /// Its id; 0 where there is no segment.
    pub id: u64,
    /// Bytes of entries that the engine needs, as far as it counts them.
    pub live: u64,
    /// Bytes of removals, which may be needed or not.
    pub removals: u64,
    /// Bytes of the file.
    pub len: u64,
    /// Bytes of its frames.
    pub data: u64,
    /// Lowest sequence of its entries.
    pub lowest: u64,
    /// Highest; of a log that is appended to, the highest that there is.
    pub highest: u64,
    /// Whether it is a pack.
    pub is_pack: bool,
    /// Whether its file has a footer.
    pub complete: bool,
}

/// See the module.
#[derive(Debug)]
pub struct LogWriter {
    /// What readers see.
    pub state: Arc<LogState>,
    /// What the file `store` says.
    pub identity: Identity,
    /// The codec of frames.
    pub packing: Option<Arc<Packing>>,
    /// Bytes of key hash that footers keep.
    pub width: usize,
    /// Where entries are appended; none in a store that is read only, or closed.
    pub head: Option<Head>,
    /// Full heads that are not on their way to the disk yet.
    pub retired: Vec<Head>,
    /// The next log's file, made ahead.
    pub spare: Option<Blank>,
    /// A file for a pack: on a full disk space is only won by moving what is live.
    pub pack_spare: Option<Blank>,
    /// Whether one is to be made.
    pub(crate) has_packs: bool,
    /// By slot.
    pub accounts: Vec<Account>,
    /// No segment has an id at or above it.
    pub next_id: u64,
    /// Everything at or before this sequence was flushed.
    pub cut: u64,
    /// When a flush of all records is due.
    pub flush_due: Expiry,
    /// Whether the last spare could not be made for want of space.
    pub short: bool,
    /// Bytes of the smallest segment.
    pub least_segment_len: u64,
    /// The list as it was published last, unless somebody uses it: saves loading it.
    pub(crate) segments: Option<Arc<Segments>>,
    /// Its state.
    pub(crate) segments_state: u64,
    /// Memory of a segment that is complete, for the next one.
    pub(crate) used: Vec<Arc<Tail>>,
    pub(crate) free_slots: Vec<(u16, Weak<()>)>,
    pub(crate) since_wanted: usize,
}

impl LogWriter {
    fn home(&self) -> &Home {
        &self.state.home
    }

    /// Bytes of all files, those under way included.
    pub fn total_len(&self) -> u64 {
        let head = self.head.as_ref().map_or(0, |head| head.file_len() as u64);
        self.accounts.iter().map(|account| account.len).sum::<u64>() + head
    }

    /// Bytes of entries that the engine needs.
    pub fn live_len(&self) -> u64 {
        self.accounts.iter().map(|account| account.live).sum()
    }

    /// Bytes that the next segment should have at most.
    fn segment_len(&self) -> u64 {
        (self.total_len() / SEGMENTS_WANTED).clamp(self.least_segment_len, SEGMENT_LEN_MAX)
    }

    /// Takes ids and sequences; those that were ever taken are never taken again (H1).
    fn take_id(&mut self, len: u64) -> io::Result<u64> {
        let id = self.next_id;
        if id + len > self.identity.next_id {
            let next_id = id + len + RESERVE;
            self.store_identity(Identity { next_id, ..self.identity.clone() })?;
        }
        self.next_id = id + len;
        Ok(id)
    }

    pub(crate) fn store_identity(&mut self, identity: Identity) -> io::Result<()> {
        let home = self.home();
        replace(&*home.disk, &home.directory, IDENTITY, &identity.encode())?;
        self.identity = identity;
        Ok(())
    }

    /// Makes a file for a segment of at least `least_len` bytes.
    ///
    /// # Errors
    /// What the disk says; `StorageFull` when there is no space, and nothing was harmed.
    pub fn blank(&mut self, kind: SegmentKind, least_len: usize) -> io::Result<Blank> {
        let len = self.segment_len().max(least_len as u64);
        let id = self.take_id(len)?;
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let Home { disk, directory } = &self.state.home;
        Blank::create(&**disk, directory, id, kind, len, &mut self.used)
    }

    /// A free number for a segment.
    ///
    /// # Errors
    /// `StorageFull` when all are taken.
    pub fn take_slot(&mut self) -> io::Result<u16> {
        let free = self.free_slots.iter().position(|(_, token)| token.strong_count() == 0);
        if let Some(at) = free {
            return Ok(self.free_slots.swap_remove(at).0);
        }
        let slot = u16::try_from(self.accounts.len())
            .map_err(|_| io::Error::from(io::ErrorKind::StorageFull))?;
        self.accounts.push(Account::default());
        Ok(slot)
    }

    /// Makes a segment's number free once no reader can have it any more (H6).
    pub(crate) fn free_slot(&mut self, segment: &Arc<Segment>) {
        self.account(segment.slot, |account| *account = Account::default());
        self.free_slots.push((segment.slot, Arc::downgrade(&segment.token)));
    }

    /// Changes what is known of a segment.
    #[inline]
    pub fn account(&mut self, slot: u16, change: impl FnOnce(&mut Account)) {
        if let Some(account) = self.accounts.get_mut(usize::from(slot)) {
            change(account);
        }
    }

    /// Publishes the list with a change to the segments.
    pub fn publish_segments(&mut self, change: impl FnOnce(&mut Vec<Option<Arc<Segment>>>)) {
        let old = self.state.segments.load();
        let mut by_slot = old.by_slot.clone();
        by_slot.resize(self.accounts.len(), None);
        change(&mut by_slot);
        self.segments_state = old.state + 1;
        self.segments = None;
        drop(old);
        self.state.segments.store(Arc::new(Segments { state: self.segments_state, by_slot }));
    }

    /// The list as it is, to be kept when it has been used.
    #[inline]
    pub fn segments(&mut self) -> Arc<Segments> {
        self.segments.take().unwrap_or_else(|| self.state.segments.load_full())
    }

    /// Keeps a list for the next who needs it: loading it costs two locked operations.
    #[inline]
    pub fn keep_segments(&mut self, segments: Arc<Segments>) {
        if segments.state == self.segments_state {
            self.segments = Some(segments);
        }
    }

    /// Ends the log that is appended to and begins another, with room for an entry of `least_len` bytes.
    ///
    /// # Errors
    /// [`Error::NoSpace`], and the log is what it was; [`Error::Poisoned`].
    pub fn roll(&mut self, least_len: usize, now: Timestamp) -> Result<(), Error> {
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
        self.begin_log(blank, None, now).map_err(|error| refused(&error))
    }

    /// Removes the file of a segment that was not begun.
    ///
    /// # Errors
    /// What the disk says.
    pub fn discard(&self, blank: &Blank) -> io::Result<()> {
        self.home().remove(&blank.name)
    }

    /// The header of a segment that begins now.
    fn header(&self, kind: SegmentKind, id: u64, previous: Option<(u64, u32)>) -> SegmentHeader {
        SegmentHeader {
            kind,
            incarnation: self.identity.incarnation,
            store: self.identity.store,
            id,
            previous,
            cut: self.cut,
            flush_due: self.flush_due,
        }
    }

    /// Makes a blank the log, and the log before it (or `previous`, at open) its predecessor.
    pub(crate) fn begin_log(
        &mut self,
        blank: Blank,
        previous: Option<(u64, u32)>,
        now: Timestamp,
    ) -> io::Result<()> {
        let slot = self.take_slot()?;
        let mut previous = previous;
        if let Some(mut head) = self.head.take() {
            head.close_frame(now);
            let end = head.frames_end();
            previous = Some((head.header.id, narrow(end)));
            head.end_with(self.cut, self.flush_due);
            self.account(head.segment.slot, |account| account.len = head.file_len() as u64);
            self.retired.push(head);
        }
        let header = self.header(SegmentKind::Log, blank.id, previous);
        let head = Head::new(blank, header, slot, self.width, self.packing.clone());
        self.account(slot, |account| {
            let (lowest, highest) = (header.id, u64::MAX);
            *account = Account { id: header.id, lowest, highest, ..Account::default() };
        });
        let segment = head.segment.clone();
        self.head = Some(head);
        self.publish_segments(|segments| segments[usize::from(slot)] = Some(segment));
        Ok(())
    }

    /// Begins a pack in a blank. It is no link of the chain, and nothing relies on it before it has its name.
    ///
    /// # Errors
    /// `StorageFull` when all numbers of segments are taken.
    pub fn begin_pack(&mut self, blank: Blank) -> io::Result<Head> {
        let slot = self.take_slot()?;
        let header = self.header(SegmentKind::Pack, blank.id, None);
        let pack = Head::new(blank, header, slot, self.width, self.packing.clone());
        self.account(slot, |account| {
            *account =
                Account { id: header.id, lowest: u64::MAX, is_pack: true, ..Account::default() };
        });
        let segment = pack.segment.clone();
        self.publish_segments(|segments| segments[usize::from(slot)] = Some(segment));
        Ok(pack)
    }

    /// Refuses a change of at most `len_max` bytes that takes space, while there is no space for another
    /// log: removals and flushes go on in what is left.
    ///
    /// # Errors
    /// [`Error::NoSpace`].
    #[cold]
    pub fn refuse_when_short(&self, len_max: usize) -> Result<(), Error> {
        let room = self.head.as_ref().map_or(0, Head::room);
        match self.short && room < len_max + SHORT_LEN {
            true => Err(Error::NoSpace),
            false => Ok(()),
        }
    }

    /// Makes room for `count` entries of at most `len_max` bytes together, which will stand in one frame: in
    /// a new segment if need be.
    ///
    /// # Errors
    /// [`Error::NoSpace`]; [`Error::ValueTooLarge`] for what no segment takes; [`Error::Poisoned`].
    #[inline]
    pub fn reserve(&mut self, len_max: usize, count: usize, now: Timestamp) -> Result<(), Error> {
        let Some(head) = &mut self.head else { return Err(READ_ONLY) };
        if head.reserve(len_max, count, now) {
            return Ok(());
        }
        self.reserve_in_next(len_max, count, now)
    }

    #[cold]
    fn reserve_in_next(
        &mut self,
        len_max: usize,
        count: usize,
        now: Timestamp,
    ) -> Result<(), Error> {
        let least_len = Head::least_len(len_max, count);
        if least_len as u64 > SEGMENT_LEN_MAX {
            return Err(Error::ValueTooLarge { len: len_max as u64, max: SEGMENT_LEN_MAX / 2 });
        }
        self.roll(least_len, now)?;
        match self.head.as_mut().is_some_and(|head| head.reserve(len_max, count, now)) {
            true => Ok(()),
            false => Err(Error::NoSpace),
        }
    }

    /// The sequence that the next entry gets, once room was reserved for it; 0 where nothing is written.
    pub fn next_sequence(&self) -> u64 {
        self.head.as_ref().map_or(0, |head| head.header.id + head.end() as u64)
    }

    /// Appends an entry for which room was reserved. Readers do not see it yet.
    ///
    /// # Errors
    /// When it is read only.
    #[inline]
    pub fn append(&mut self, change: &Change<'_>) -> Result<Appended, Error> {
        let Some(head) = &mut self.head else { return Err(READ_ONLY) };
        let sequence = head.header.id + head.end() as u64;
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
        let bytes = fields.encode(change.key.len(), value_len);
        let parts = [&bytes[..], change.key, value[0], value[1]];
        let kind = EntryKind::of(fields.operation);
        let offset = head.append(parts, kind, change.hash, None);
        let len = bytes.len() + change.key.len() + value_len;
        self.since_wanted += len;
        Ok(Appended { slot: head.segment.slot, offset, sequence, len })
    }

    /// Shows readers of the log's memory what was appended. Nothing may be appended to these bytes, nor
    /// changed in them, afterwards (H2).
    #[inline]
    pub fn publish(&mut self) {
        if let Some(head) = &mut self.head {
            head.publish();
        }
    }

    /// Whether enough was appended that somebody should write it.
    #[inline]
    pub fn wants_writing(&mut self) -> bool {
        let wants = self.since_wanted >= WRITE_BEHIND;
        if wants {
            self.since_wanted = 0;
        }
        wants
    }
}
