//! Giving segments up: which the stream and snapshots still need, and how files go.

use crate::layout::header::SegmentKind;
use crate::log::Log;
use crate::owner::Owner;
use crate::writer::LogWriter;
use std::io;
use std::sync::atomic::Ordering;
use todana_engine::Error;

impl Log {
    /// The first sequence that is to stay in the logs: for the bytes of the stream that are kept, and for
    /// snapshots that are being read. A segment with a lower highest sequence may go when its engine does not
    /// need it.
    pub fn stays_from(&self, writer: &LogWriter) -> u64 {
        let held = self.state.holds.lock().iter().min().copied().unwrap_or(u64::MAX);
        let mut from = u64::MAX;
        if self.stream_bytes > 0 {
            let logs = writer.accounts.iter().filter(|account| account.id > 0 && !account.is_pack);
            let mut logs: Vec<_> = logs.map(|account| (account.id, account.len)).collect();
            logs.sort_unstable_by_key(|&(id, _)| std::cmp::Reverse(id));
            let mut len = 0;
            for (id, its) in logs {
                if len >= self.stream_bytes {
                    break;
                }
                (from, len) = (id, len + its);
            }
        }
        from.min(held.saturating_add(1))
    }

    /// Gives up complete logs from the old end on whose changes are all at or before a sequence, as far as the
    /// stream and snapshots do not need them; gives how many. For an engine with checkpoints, which has all
    /// up to that sequence safe elsewhere, and has synced the log up to it. One thread at a time calls it.
    ///
    /// The log with that sequence stays, though all of it may be elsewhere: it is what says, after a crash, that
    /// nothing is missing. The one behind it may have no header yet, or no change for a long time.
    ///
    /// # Errors
    /// [`Error::Poisoned`].
    pub fn give_up_to<O: Owner>(&self, owner: &O, sequence: u64) -> Result<usize, Error> {
        self.check_poison()?;
        let slots = owner.with(|writer| {
            let stays_from = self.stays_from(writer);
            let mut logs: Vec<(u16, &crate::Account)> = (0..)
                .zip(&writer.accounts)
                .filter(|(_, account)| account.id > 0 && !account.is_pack)
                .collect();
            logs.sort_unstable_by_key(|(_, account)| account.id);
            // From the old end, and without a gap: what is left is a chain, and begins at or before the sequence.
            let may_go = |log: &crate::Account, next: &crate::Account| {
                log.complete && next.id <= sequence && log.highest < stays_from
            };
            let old = logs.windows(2).map_while(|pair| match pair {
                [(slot, log), (_, next)] if may_go(log, next) => Some(*slot),
                _ => None,
            });
            old.collect::<Vec<u16>>()
        });
        if slots.is_empty() {
            return Ok(0);
        }
        let removed = self.remove(owner, &slots);
        removed.map_err(|error| self.poison(error.to_string()))
    }

    /// Removes complete segments, for good when this returns; gives how many there were. The engine answers
    /// for it that nothing in them is needed (H8).
    ///
    /// # Errors
    /// What the disk says.
    pub fn remove<O: Owner>(&self, owner: &O, slots: &[u16]) -> io::Result<usize> {
        let home = &self.state.home;
        let list = self.state.segments.load_full();
        let segments: Vec<_> = slots.iter().filter_map(|slot| list.get(*slot)).collect();
        for segment in segments.iter().filter(|segment| segment.kind == SegmentKind::Log) {
            let slot = usize::from(segment.slot);
            let last = owner.with(|writer| writer.accounts.get(slot).map(|log| log.highest));
            // Before it leaves the list: a stream looks at them in the other order.
            self.state.floor.fetch_max(last.unwrap_or(0), Ordering::AcqRel);
        }
        for segment in &segments {
            home.remove(&segment.name())?;
        }
        // Until their names are gone for good they count as there (H9).
        home.sync_names()?;
        owner.with(|writer| {
            writer.publish_segments(|table| {
                for segment in &segments {
                    if let Some(place) = table.get_mut(usize::from(segment.slot)) {
                        *place = None;
                    }
                }
            });
            segments.iter().for_each(|segment| writer.free_slot(segment));
        });
        Ok(segments.len())
    }
}
