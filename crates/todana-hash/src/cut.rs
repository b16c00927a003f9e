//! Flushing all records, now or when it is due: one entry of the log, the cut, and an index that is emptied.
//!
//! An order for later is an entry too. What has fallen due is carried out by whoever looks next, logged if
//! that is possible, else in memory alone: then it is logged before the next change is.

use crate::hash::Hash;
use crate::writer::Writer;
use std::sync::atomic::Ordering;
use todana_engine::{Effect, Error, applying};
use todana_log::Change;
use todana_log::layout::record::{Fields, Operation};
use todana_record::{Expiry, PartitionId, Timestamp};

impl Hash {
    /// Carries out a flush that has become due, for somebody who reads.
    #[inline]
    pub(crate) fn flush_if_due(&self, now: Timestamp) {
        let due = self.due_ms.load(Ordering::Acquire);
        if due != 0 && due <= now.ms() && !self.owes_cut.load(Ordering::Acquire) {
            self.clear_due(now);
        }
    }

    /// Carries out a flush that has become due, and logs it: before anything else is.
    #[inline]
    pub(crate) fn log_if_due(&self, now: Timestamp) -> Result<(), Error> {
        let due = self.due_ms.load(Ordering::Acquire);
        match due != 0 && due <= now.ms() {
            true => self.cut_due(now),
            false => Ok(()),
        }
    }

    /// Logs it, or, where that is not possible, forgets everything: the log has it that this was to come,
    /// and is told before the next change that it has.
    #[cold]
    fn clear_due(&self, now: Timestamp) {
        let mut writer = self.writer();
        if !writer.log.flush_due.is_past(now) || self.owes_cut.load(Ordering::Acquire) {
            return;
        }
        let is_logged = self.log.check_poison().is_ok()
            && self.log.stop_on_poison(self.cut(&mut writer, now)).is_ok();
        let applied = self.shared.log.applied.load(Ordering::Relaxed);
        if !is_logged && self.forget_all(&mut writer, applied).is_ok() {
            self.owes_cut.store(true, Ordering::Release);
        }
    }

    #[cold]
    fn cut_due(&self, now: Timestamp) -> Result<(), Error> {
        let mut writer = self.writer();
        match writer.log.flush_due.is_past(now) {
            true => self.log.stop_on_poison(self.cut(&mut writer, now)).map(|_| ()),
            false => Ok(()),
        }
    }

    fn forget_all(&self, writer: &mut Writer, sequence: u64) -> Result<(), Error> {
        let cleared = writer.index.clear();
        cleared.map_err(|error| self.log.poison(format!("the index: {error}")))?;
        writer.log.accounts.iter_mut().for_each(|account| account.live = 0);
        let blobs = std::mem::take(&mut writer.blobs);
        writer.dead_blobs.extend(blobs.into_iter().map(|id| (sequence, id)));
        Ok(())
    }

    /// Logs that a flush is to come at a moment, or, at `NEVER`, that none is.
    fn order(&self, writer: &mut Writer, due: Expiry, now: Timestamp) -> Result<u64, Error> {
        writer.log.reserve(64, 1, now)?;
        let fields = Fields { expiry: due, ..Fields::of(Operation::FlushDue) };
        let appended = writer.log.append(&Change::of_store(fields))?;
        writer.log.flush_due = due;
        self.due_ms.store(due.ms(), Ordering::Release);
        self.finish(writer, appended.sequence);
        Ok(appended.sequence)
    }

    /// Forgets a flush that was to come.
    pub(crate) fn flush_not_due(&self, now: Timestamp) -> Result<(), Error> {
        self.log.check_poison()?;
        self.log_if_due(now)?;
        let mut writer = self.writer();
        self.log.stop_on_poison(self.order(&mut writer, Expiry::NEVER, now)).map(drop)
    }

    /// Removes the records of a partition, one by one: a cut would take those of the others too.
    pub(crate) fn flush_partition(
        &self,
        partition: PartitionId,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut next = Some(0);
        let mut keys: Vec<Vec<u8>> = Vec::new();
        while let Some(from) = next {
            next = self.walk(from, 1_000, &mut |view| {
                if self.shared.log.partition_of(view.key) == partition {
                    keys.push(view.key.to_vec());
                }
            })?;
            for key in keys.drain(..) {
                applying::apply(self, &Effect::Remove { key: &key }, now)?;
            }
        }
        Ok(())
    }

    /// Removes everything stored before.
    fn cut(&self, writer: &mut Writer, now: Timestamp) -> Result<u64, Error> {
        writer.log.reserve(64, 1, now)?;
        let sequence = writer.log.next_sequence();
        let fields = Fields { number: sequence, ..Fields::of(Operation::Flush) };
        let change = Change::of_store(fields);
        writer.log.append(&change)?;
        self.forget_all(writer, sequence)?;
        (writer.log.cut, writer.log.flush_due) = (sequence, Expiry::NEVER);
        self.due_ms.store(0, Ordering::Release);
        self.owes_cut.store(false, Ordering::Release);
        self.finish(writer, sequence);
        Ok(sequence)
    }

    pub(crate) fn flush_all(&self, due: Option<Timestamp>, now: Timestamp) -> Result<u64, Error> {
        self.log_if_due(now)?;
        let mut writer = self.writer();
        match due.filter(|due| *due > now) {
            Some(due) => self.order(&mut writer, Expiry::at(due), now),
            None => self.cut(&mut writer, now),
        }
    }

    /// Says in the log what was flushed, when nothing else is in it: its header alone, damaged, could not
    /// be told from one that was never written whole.
    pub(crate) fn repeat_cut(&self) -> Result<(), Error> {
        let mut writer = self.writer();
        if writer.log.cut == 0 || writer.log.head.as_ref().is_none_or(|head| !head.is_empty()) {
            return Ok(());
        }
        writer.log.reserve(64, 1, self.log.clock.now())?;
        let number = writer.log.cut;
        let flush = Change::of_store(Fields { number, ..Fields::of(Operation::Flush) });
        writer.log.append(&flush)?;
        if !writer.log.flush_due.is_never() {
            let expiry = writer.log.flush_due;
            // The flags tell it from one that is new.
            let fields = Fields { expiry, flags: 1, ..Fields::of(Operation::FlushDue) };
            writer.log.append(&Change::of_store(fields))?;
        }
        // Nothing has changed: what is applied is what was.
        writer.log.publish();
        Ok(())
    }
}
