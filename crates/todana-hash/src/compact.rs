//! Taking space back: what is live in a segment is moved into a pack, then the segment's file goes.
//!
//! A file is removed only when everything that the decision rested on is safe: the pack that took its
//! live records is synced and complete, and so is every change that made the others dead. Removals, and
//! records that have ended, are gathered and settled together (see `removals`). Moved entries keep their
//! positions.

mod choose;

use crate::hash::Hash;
use crate::index::{Place, spread};
use crate::removals::{Kept, Removal, Removals};
use crate::writer::Writer;
use choose::{Need, Peak};
use std::io;
use std::sync::atomic::Ordering;
use todana_engine::{Error, JobProgress};
use todana_log::layout::footer::EntryKind;
use todana_log::layout::header::SegmentKind;
use todana_log::layout::record::{self, Fields, Operation, Record};
use todana_log::{Head, Pins, READ_ONLY, file_name, is_full, new_file_name, refused};
use todana_record::Timestamp;

/// Longest time between two looks, in ms.
const IDLE_MS: u64 = 200;
/// Bytes of a victim that a slice reads.
const SLICE_LEN: usize = 128 * 1024;
/// Entries that are handled together: other writers go on in between.
const GROUP_LEN: usize = 64;
/// What compaction is doing.
#[derive(Debug, Default)]
pub(crate) struct Compactor {
    /// Takes what is moved.
    pub(crate) pack: Option<Head>,
    /// Packs that are full.
    pub(crate) full: Vec<Head>,
    /// The segment that is being read, and its next frame.
    victim: Option<(u16, usize)>,
    /// Segments with nothing live left; their files go when the pack is safe.
    pub(crate) drained: Vec<u16>,
    /// Removals that there were when the victim was begun.
    removals_before: usize,
    /// Segments with frames that cannot be read.
    damaged: Vec<u16>,
    /// Removals of drained segments, not settled yet.
    pub(crate) removals: Removals,
    /// Logs with entries from this sequence on stay: for the stream, and for snapshots.
    stays_from: u64,
    /// Whether it is being found out which removals are needed.
    settles: bool,
    /// Removals that packs had to keep, by slot.
    pub(crate) kept: Kept,
    peak: Peak,
    /// Bytes that may be moved, and when that was reckoned.
    allowance: u64,
    reckoned: Timestamp,
    buffer: Vec<u8>,
}

impl Hash {
    pub(crate) fn compact_job(&self, now: Timestamp) -> JobProgress {
        let idle = JobProgress::IdleUntil(now.plus_ms(IDLE_MS));
        if self.log.check_poison().is_err() || self.writer().log.head.is_none() {
            return idle;
        }
        let mut compactor = self.compactor.lock();
        let need = {
            let writer = self.writer();
            compactor.stays_from = self.log.stays_from(&writer.log);
            compactor.settles = writer.settles(&compactor);
            writer.need(self.options.space_percent, &mut compactor, now)
        };
        if !compactor.may_move(need, self.options.compaction_bytes_per_s, now) {
            return idle;
        }
        match self.compact_slice(&mut compactor, need != Need::None, None, now) {
            Ok(true) => JobProgress::More,
            Ok(false) => idle,
            Err(Error::NoSpace) => {
                // What is drained gives space back; then it is tried again.
                let _ = self.finish_pack(&mut compactor);
                idle
            }
            Err(Error::Corrupt(_)) => JobProgress::More,
            Err(_) => idle,
        }
    }

    /// Moves everything that is live out of segments with garbage, whatever their number.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::NoSpace`], [`Error::Poisoned`].
    pub fn compact(&self) -> Result<(), Error> {
        self.log.check_poison()?;
        self.log.stop_on_poison(self.compact_all())
    }

    fn compact_all(&self) -> Result<(), Error> {
        let now = self.log.clock.now();
        {
            let mut writer = self.writer();
            if writer.log.head.as_ref().is_some_and(|head| !head.is_empty()) {
                writer.log.roll(0, now)?;
            }
        }
        self.log.write_out(self, true)?;
        let mut compactor = self.compactor.lock();
        // What is made meanwhile is not looked at again.
        let below = {
            let writer = self.writer();
            if writer.log.head.is_none() {
                return Err(READ_ONLY);
            }
            writer.log.next_id
        };
        compactor.settles = true;
        while self.compact_slice(&mut compactor, true, Some(below), now)? {}
        Ok(())
    }

    /// Completes what is under way.
    pub(crate) fn finish_compaction(&self, compactor: &mut Compactor) -> Result<(), Error> {
        if compactor.victim.take().is_some() {
            compactor.removals.truncate(compactor.removals_before);
        }
        self.finish_pack(compactor)
    }

    /// A piece of work; `false` when there is no more.
    fn compact_slice(
        &self,
        compactor: &mut Compactor,
        needed: bool,
        below: Option<u64>,
        now: Timestamp,
    ) -> Result<bool, Error> {
        if compactor.victim.is_none() && needed {
            let writer = self.writer();
            compactor.stays_from = self.log.stays_from(&writer.log);
            let victim = writer.victim(compactor, below);
            compactor.victim = victim.map(|slot| (slot, 0));
            compactor.removals_before = compactor.removals.len();
        }
        let Some((slot, frame)) = compactor.victim else {
            let more = !compactor.drained.is_empty();
            self.finish_pack(compactor)?;
            return Ok(more && below.is_some());
        };
        let done = self.log.stop_on_poison(self.drain(compactor, slot, frame, now));
        if let Err(error) = &done {
            // It stays where it is, its removals too; it is begun anew, if at all.
            compactor.victim = None;
            compactor.removals.truncate(compactor.removals_before);
            if let Error::Corrupt(_) = error {
                // Whoever reads what is damaged in it is told.
                compactor.damaged.push(slot);
            }
        }
        if let Some(next) = done? {
            compactor.victim = Some((slot, next));
        } else {
            compactor.victim = None;
            compactor.drained.push(slot);
            if compactor.removals.are_many() || self.writer().is_worth_finishing(compactor) {
                self.finish_pack(compactor)?;
            }
        }
        Ok(true)
    }

    /// Moves the live entries of some frames; gives the frame to go on from.
    fn drain(
        &self,
        compactor: &mut Compactor,
        slot: u16,
        from: usize,
        now: Timestamp,
    ) -> Result<Option<usize>, Error> {
        let segments = self.shared.log.segments.load_full();
        let Some(segment) = segments.get(slot) else { return Ok(None) };
        let (mut at, mut read) = (from, 0);
        while read < SLICE_LEN {
            let pins = Pins::new();
            let Some((frame, payload)) = segment.checked_frame(at, &pins)? else {
                return Ok(None);
            };
            let mut offset = frame.payload_start();
            let mut rest = payload;
            let mut group = Vec::with_capacity(GROUP_LEN);
            loop {
                group.clear();
                while let Some(entry) = record::parse(rest).filter(|_| group.len() < GROUP_LEN) {
                    let place = Place { slot, offset: todana_log::layout::narrow(offset) };
                    offset += entry.len;
                    rest = rest.get(entry.len..).unwrap_or_default();
                    if entry.operation.is_put() || entry.operation == Operation::Remove {
                        let hash = spread(self.hash.of(entry.key));
                        self.shared.index.prefetch(hash);
                        let sequence = entry.sequence(segment.id + u64::from(place.offset));
                        group.push((Removal { hash, place, sequence }, entry));
                    }
                }
                if group.is_empty() {
                    break;
                }
                let mut writer = self.writer();
                for (from, entry) in &group {
                    self.move_entry(&mut writer, compactor, *from, entry, now)?;
                }
            }
            read += payload.len();
            compactor.allowance = compactor.allowance.saturating_sub(payload.len() as u64);
            at += 1;
        }
        Ok(Some(at))
    }

    fn move_entry(
        &self,
        writer: &mut Writer,
        compactor: &mut Compactor,
        from: Removal,
        entry: &Record<'_>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let Removal { hash, place, sequence } = from;
        if sequence <= writer.log.cut {
            return Ok(());
        }
        if entry.operation == Operation::Remove {
            compactor.removals.push(from);
            return Ok(());
        }
        let Some(seat) = writer.index.seat_of(hash, place) else { return Ok(()) };
        if entry.expiry.is_past(now) {
            writer.index.remove(seat);
            writer.expired += 1;
            let applied = self.shared.log.applied.load(Ordering::Relaxed);
            writer.blob_changes(entry.blob(), None, applied);
            // An older value would come back.
            compactor.removals.push(from);
        } else {
            let fields = Fields::moved(entry, sequence);
            let new = self.append_moved(writer, compactor, &fields, entry, hash, sequence, now)?;
            writer.index.set(seat, new.0);
            writer.moved += 1;
            writer.log.account(new.0.slot, |account| account.live += new.1 as u64);
        }
        writer.forget(place, entry.len);
        Ok(())
    }

    /// Appends to the pack, to a new one when it is full; gives place and length.
    #[expect(clippy::too_many_arguments, reason = "one entry with all that is known of it")]
    pub(crate) fn append_moved(
        &self,
        writer: &mut Writer,
        compactor: &mut Compactor,
        fields: &Fields,
        entry: &Record<'_>,
        hash: u64,
        sequence: u64,
        now: Timestamp,
    ) -> Result<(Place, usize), Error> {
        let value = if fields.operation.is_put() { entry.value } else { &[] };
        let head = fields.encode(entry.key.len(), value.len());
        let len = head.len() + entry.key.len() + value.len();
        if !compactor.pack.as_mut().is_some_and(|pack| pack.reserve(len, 1, now)) {
            let begun = begin_pack(writer, len);
            let mut pack = begun.map_err(|error| refused(&error))?;
            pack.reserve(len, 1, now);
            compactor.full.extend(compactor.pack.replace(pack));
        }
        let Some(pack) = &mut compactor.pack else { return Err(Error::NoSpace) };
        let parts = [&head[..], entry.key, value, &[]];
        let offset = pack.append(parts, EntryKind::of(fields.operation), hash, Some(sequence));
        pack.publish();
        Ok((Place { slot: pack.segment.slot, offset }, len))
    }

    /// Makes the packs safe and removes the files that they replace.
    fn finish_pack(&self, compactor: &mut Compactor) -> Result<(), Error> {
        self.log.check_poison()?;
        self.log.stop_on_poison(self.settle(compactor))?;
        let full = std::mem::take(&mut compactor.full);
        let packs: Vec<Head> = full.into_iter().chain(compactor.pack.take()).collect();
        if packs.is_empty() && compactor.drained.is_empty() {
            return Ok(());
        }
        self.log.stop_on_poison(self.repeat_cut())?;
        // What made entries dead has to be as safe as what is removed for it.
        // Without condition: the header of the log says what was flushed.
        self.log.write_out(self, true)?;
        for mut pack in packs {
            let done = self.complete_pack(&mut pack, &mut compactor.buffer);
            done.map_err(|error| self.log.poison(error.to_string()))?;
        }
        let done = self.remove_files(&compactor.drained);
        done.map_err(|error| self.log.poison(error.to_string()))?;
        for slot in std::mem::take(&mut compactor.drained) {
            compactor.kept.file_is_gone(slot);
        }
        Ok(())
    }

    fn complete_pack(&self, pack: &mut Head, buffer: &mut Vec<u8>) -> io::Result<()> {
        pack.close_frame(self.log.clock.now());
        if let Some(output) = pack.take_output() {
            output.write(buffer)?;
        }
        pack.file.sync()?;
        self.log.complete(self, pack, true)?;
        // From here on it is relied on: without its footer it would be damage, not a leftover.
        let home = &self.shared.log.home;
        let (id, kind) = (pack.header.id, pack.header.kind);
        let from = home.path(&new_file_name(id, kind));
        home.disk.rename(&from, &home.path(&file_name(id, kind)))?;
        home.sync_names()
    }

    fn remove_files(&self, slots: &[u16]) -> io::Result<()> {
        let removed = self.log.remove(self, slots)?;
        self.writer().reclaimed += removed as u64;
        Ok(())
    }
}

/// A pack for an entry of so many bytes.
fn begin_pack(writer: &mut Writer, payload_len: usize) -> io::Result<Head> {
    let least_len = Head::least_len(payload_len, 1);
    let blank = match writer.log.blank(SegmentKind::Pack, least_len) {
        Ok(blank) => blank,
        // On a full disk there is the one that was kept for that.
        Err(error) => match writer.log.pack_spare.take_if(|spare| spare.len >= least_len) {
            Some(spare) if is_full(&error) => spare,
            _ => return Err(error),
        },
    };
    writer.log.begin_pack(blank)
}

impl Compactor {
    /// Whether the bandwidth allows another slice.
    fn may_move(&mut self, need: Need, bytes_per_s: u64, now: Timestamp) -> bool {
        if need == Need::Much || bytes_per_s == 0 {
            return true;
        }
        let since_ms = now.ms().saturating_sub(self.reckoned.ms()).min(1_000);
        self.reckoned = now;
        self.allowance = (self.allowance + bytes_per_s * since_ms / 1_000).min(bytes_per_s);
        self.allowance > 0
    }
}
