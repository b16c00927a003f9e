//! Closing a log.

use crate::head::Head;
use crate::layout::identity::Identity;
use crate::log::Log;
use crate::owner::Owner;
use crate::writer::LogWriter;
use std::io;
use todana_engine::Error;

impl Log {
    /// Whether it was closed, or is read only.
    pub fn is_closed(&self) -> bool {
        self.lock.lock().is_none()
    }

    /// Makes everything durable, completes the last segment and marks the store as closed, so that the
    /// next open trusts all footers. Nothing can be appended from then on; reads go on. The engine has ended
    /// its own work on segments before.
    ///
    /// # Errors
    /// [`Error::Poisoned`], also when the log was poisoned before.
    pub fn close<O: Owner>(&self, owner: &O) -> Result<(), Error> {
        if self.is_closed() {
            return Ok(());
        }
        // The header of an empty log may be the only one that says what was flushed.
        self.write_out(owner, true)?;
        let empty = owner.with(|writer| self.end(writer));
        self.write_out(owner, true)?;
        let done = owner.with(|writer| {
            if let Some(head) = empty {
                let slot = usize::from(head.segment.slot);
                writer.publish_segments(|segments| segments[slot] = None);
                writer.state.home.remove(&head.segment.name())?;
            }
            self.finish_files(writer)
        });
        done.map_err(|error| self.poison(error.to_string()))?;
        self.lock.lock().take();
        Ok(())
    }

    /// Ends writing; gives the head when nothing is in it that has to be kept.
    fn end(&self, writer: &mut LogWriter) -> Option<Head> {
        let mut head = writer.head.take()?;
        head.close_frame(self.clock.now());
        head.end_with(writer.cut, writer.flush_due);
        // One that names a log which is gone says that there is a gap.
        let segments = self.state.segments.load();
        let is_there = |id| segments.iter().any(|segment| segment.id == id);
        let follows = head.segment.previous.is_none_or(is_there);
        if head.is_empty() && follows && writer.cut == 0 && writer.flush_due.is_never() {
            return Some(head);
        }
        writer.retired.push(head);
        None
    }

    fn finish_files(&self, writer: &mut LogWriter) -> io::Result<()> {
        let spares = [writer.spare.take(), writer.pack_spare.take()];
        for blank in spares.iter().flatten() {
            writer.discard(blank)?;
        }
        writer.state.home.sync_names()?;
        let (applied, next_id) = (self.applied(), writer.next_id);
        let identity = Identity { clean: true, next_id, applied, ..writer.identity.clone() };
        writer.store_identity(identity)
    }
}
