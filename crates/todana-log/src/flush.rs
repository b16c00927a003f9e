//! From memory to the disk: writing what was appended, making it safe, completing segments.
//!
//! One thread at a time does it, under the flusher's lock; writers append meanwhile. The order is what the
//! crash argument rests on: frames of older segments before those of younger ones; a footer that says
//! *synced* only after a sync of all frames of its segment.

use crate::head::{Blank, Head, Output};
use crate::home::is_full;
use crate::layout::header::SegmentKind;
use crate::log::Log;
use crate::options::FlushPolicy;
use crate::owner::Owner;
use crate::segment::Segment;
use crate::writer::LogWriter;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use todana_engine::{Error, JobProgress};
use todana_io::DiskFile;
use todana_record::Timestamp;

/// Longest time between two looks of the job, in ms.
const IDLE_MS: u64 = 100;

/// Full segments that may wait for a sync.
const INCOMPLETE_MAX: usize = 4;

/// What is under way to the disk.
#[derive(Debug, Default)]
pub(crate) struct Flusher {
    /// Full segments that are written but have no footer yet.
    incomplete: Vec<Head>,
    /// The file of the log that has writes which were not synced.
    unsynced: Option<Arc<dyn DiskFile>>,
    /// Files of segments that have a footer but were not synced: only under the policy `never`.
    loose: Vec<Arc<dyn DiskFile>>,
    buffer: Vec<u8>,
    last_sync: Timestamp,
}

impl Log {
    /// Writes everything appended so far; with `sync` makes it safe too.
    ///
    /// # Errors
    /// [`Error::Poisoned`]; nothing is known then of what was not safe before.
    pub fn write_out<O: Owner>(&self, owner: &O, sync: bool) -> Result<(), Error> {
        let mut flusher = self.flusher.lock();
        self.write_under(owner, &mut flusher, sync)
    }

    fn write_under<O: Owner>(
        &self,
        owner: &O,
        flusher: &mut Flusher,
        sync: bool,
    ) -> Result<(), Error> {
        self.check_poison()?;
        self.flush_wanted.store(false, Ordering::Release);
        let now = self.clock.now();
        // Full segments are in memory until they are synced and have their footers.
        let are_many = flusher.incomplete.len() >= INCOMPLETE_MAX;
        let sync = sync || (are_many && self.policy != FlushPolicy::Never);
        let (outputs, applied) = owner.with(|writer| {
            let last = writer.head.as_mut().and_then(|head| {
                head.close_frame(now);
                head.take_output()
            });
            let mut retired = std::mem::take(&mut writer.retired);
            let mut outputs: Vec<Output> =
                retired.iter_mut().filter_map(Head::take_output).collect();
            outputs.extend(last);
            flusher.incomplete.append(&mut retired);
            (outputs, self.applied())
        });
        let done = self.write_and_sync(flusher, &outputs, sync, applied);
        done.map_err(|error| self.poison(error.to_string()))?;
        if sync {
            flusher.last_sync = now;
            self.commit.wake();
            self.tell_advanced();
            owner.synced(self.durable()).map_err(|error| self.poison(error.to_string()))?;
        }
        if sync || self.policy == FlushPolicy::Never {
            let done = self.complete_all(owner, flusher, sync);
            done.map_err(|error| self.poison(error.to_string()))?;
        }
        self.make_spare(owner)
    }

    fn write_and_sync(
        &self,
        flusher: &mut Flusher,
        outputs: &[Output],
        sync: bool,
        applied: u64,
    ) -> io::Result<()> {
        for output in outputs {
            output.write(&mut flusher.buffer)?;
            output.teach(&self.state.home)?;
        }
        if let Some(last) = outputs.last() {
            flusher.unsynced = Some(last.file.clone());
        }
        if sync {
            for file in flusher.loose.drain(..) {
                file.sync()?;
            }
            for head in &flusher.incomplete {
                head.file.sync()?;
            }
            if let Some(file) = flusher.unsynced.take() {
                file.sync()?;
            }
            self.durable.fetch_max(applied, Ordering::AcqRel);
        }
        Ok(())
    }

    /// Writes the footers of full segments and has readers use their files.
    fn complete_all<O: Owner>(
        &self,
        owner: &O,
        flusher: &mut Flusher,
        synced: bool,
    ) -> io::Result<()> {
        for head in std::mem::take(&mut flusher.incomplete) {
            self.complete(owner, &head, synced)?;
            if !synced {
                flusher.loose.push(head.file.clone());
            }
            // One is enough: the next blank takes it.
            owner.with(|writer| writer.used = vec![head.into_memory()]);
        }
        Ok(())
    }

    /// Writes the footer of a segment whose frames are all in its file, and has readers use the file.
    /// `synced` says that the frames are safe: only after a sync of all of them (H5).
    ///
    /// # Errors
    /// What the disk says.
    pub fn complete<O: Owner>(&self, owner: &O, head: &Head, synced: bool) -> io::Result<()> {
        let len = head.write_footer(synced)?;
        if synced {
            head.file.sync()?;
        }
        let tail = &head.segment;
        let frames = head.frames();
        let (file, token) = (head.file.clone(), tail.token.clone());
        let segment =
            Segment::of_file(tail.slot, &head.header, file, frames, token, &self.reading)?;
        let (lowest, highest) = head.range();
        owner.with(|writer| {
            writer.account(tail.slot, |account| {
                account.len = len as u64;
                account.data = head.data_len();
                account.removals = head.removals_len();
                (account.lowest, account.highest) = (lowest, highest);
                account.is_pack = tail.kind == SegmentKind::Pack;
                account.complete = true;
            });
            let slot = usize::from(tail.slot);
            writer.publish_segments(|segments| segments[slot] = Some(Arc::new(segment)));
        });
        Ok(())
    }

    /// Takes space ahead, so that a full disk refuses writes before they are attempted, and can be
    /// compacted.
    fn make_spare<O: Owner>(&self, owner: &O) -> Result<(), Error> {
        owner.with(|writer| {
            let Some(head) = &writer.head else { return Ok(()) };
            if writer.spare.is_none() && (head.is_half_full() || writer.short) {
                let made = self.spare(writer, SegmentKind::Log)?;
                writer.short = made.is_none();
                writer.spare = made;
            }
            let wants_pack =
                writer.has_packs && writer.accounts.iter().any(|account| account.complete);
            if writer.pack_spare.is_none() && wants_pack && !writer.short {
                writer.pack_spare = self.spare(writer, SegmentKind::Pack)?;
            }
            Ok(())
        })
    }

    /// A file with its space taken; none on a full disk.
    fn spare(&self, writer: &mut LogWriter, kind: SegmentKind) -> Result<Option<Blank>, Error> {
        match writer.blank(kind, 0) {
            Ok(blank) => Ok(Some(blank)),
            Err(error) if is_full(&error) => Ok(None),
            Err(error) => Err(self.poison(error.to_string())),
        }
    }

    /// The job that writes and flushes, by the policy: see [`JOB_FLUSH`](crate::JOB_FLUSH).
    pub fn flush_job<O: Owner>(&self, owner: &O, now: Timestamp) -> JobProgress {
        let wanted = self.flush_wanted.load(Ordering::Acquire);
        let behind = self.durable() < self.applied();
        let idle_ms = match self.policy {
            FlushPolicy::Interval(interval) => {
                u64::try_from(interval.as_millis()).unwrap_or(u64::MAX).clamp(1, IDLE_MS)
            }
            FlushPolicy::Never | FlushPolicy::Group => IDLE_MS,
        };
        let due = match self.policy {
            FlushPolicy::Never => behind && owner.needs_sync(),
            FlushPolicy::Group => behind,
            FlushPolicy::Interval(interval) => {
                let since = now.ms().saturating_sub(self.flusher.lock().last_sync.ms());
                behind && u128::from(since) >= interval.as_millis()
            }
        };
        // A failure has poisoned the store: whoever writes next is told.
        let _ = self.write_out(owner, wanted || due);
        JobProgress::IdleUntil(now.plus_ms(idle_ms))
    }
}
