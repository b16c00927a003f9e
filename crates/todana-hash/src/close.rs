//! Closing a store.

use crate::hash::Hash;
use std::io;
use std::sync::atomic::Ordering;
use todana_engine::Error;
use todana_log::Head;
use todana_log::layout::identity::Identity;

impl Hash {
    /// Makes everything durable, completes the last segment and marks the store as closed, so that the
    /// next open reads no records. Writes are refused from then on, reads go on. Dropping does it too,
    /// but cannot say whether it failed.
    ///
    /// # Errors
    /// [`Error::Poisoned`], also when the store was poisoned before.
    pub fn close(&self) -> Result<(), Error> {
        if self.lock.lock().is_none() {
            return Ok(());
        }
        // To the end: nobody compacts a store that is closed.
        let mut compactor = self.compactor.lock();
        match self.finish_compaction(&mut compactor) {
            // What was moved is still where it was: the packs have no name yet that counts.
            Ok(()) | Err(Error::NoSpace | Error::Corrupt(_)) => {}
            Err(error) => return Err(error),
        }
        // The header of an empty log may be the only one that says what was flushed.
        self.write_out(true)?;
        let empty = self.end_log();
        self.write_out(true)?;
        if let Some(log) = empty {
            let mut writer = self.writer();
            let slot = usize::from(log.segment.slot);
            writer.publish(&self.shared.tables, |segments| segments[slot] = None);
            let removed = writer.home.remove(&log.segment.name());
            removed.map_err(|error| self.poison(error.to_string()))?;
        }
        let done = self.finish_files();
        done.map_err(|error| self.poison(error.to_string()))?;
        self.lock.lock().take();
        Ok(())
    }

    /// Ends writing; gives the log when nothing is in it that has to be kept.
    fn end_log(&self) -> Option<Head> {
        let mut writer = self.writer();
        let mut log = writer.log.take()?;
        log.close_frame(self.clock.now());
        log.end_with(writer.cut, writer.flush_due);
        // One that names a log which is gone says that there is a gap.
        let tables = self.shared.tables.load();
        let mut there = tables.segments.iter().flatten().map(|segment| segment.id);
        let is_named = |id| there.any(|other| other == id);
        let follows = log.segment.previous.is_none_or(is_named);
        if log.is_empty() && follows && writer.cut == 0 && writer.flush_due.is_never() {
            return Some(log);
        }
        writer.retired.push(log);
        None
    }

    fn finish_files(&self) -> io::Result<()> {
        let mut writer = self.writer();
        let spares = [writer.spare.take(), writer.pack_spare.take()];
        for blank in spares.iter().flatten() {
            writer.discard(blank)?;
        }
        writer.home.sync_names()?;
        let applied = self.shared.applied.load(Ordering::Acquire);
        let next_id = writer.next_id;
        let identity = Identity { clean: true, next_id, applied, ..writer.identity.clone() };
        writer.store_identity(identity)
    }
}

impl Drop for Hash {
    fn drop(&mut self) {
        // Nobody is left to be told; the next open recovers.
        let _ = self.close();
    }
}
