//! What a log shares with streams and snapshots, which outlive a borrow of the engine.

use crate::home::Home;
use crate::segments::Segments;
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use todana_record::{PartitionId, Position, SLOT_COUNT, slot_of};

/// See the module.
#[derive(Debug)]
pub struct LogState {
    /// The segments, for readers.
    pub segments: ArcSwap<Segments>,
    /// Highest sequence that everybody sees. The engine raises it when readers can find all up to it.
    pub applied: AtomicU64,
    /// Every change after this sequence is in the logs that are there.
    pub floor: AtomicU64,
    /// Sequences at which incarnations begin.
    pub starts: Vec<(u32, u64)>,
    /// Whether records have versions.
    pub versions: bool,
    /// Number of partitions.
    pub partitions: u16,
    /// Where the files are.
    pub home: Home,
    /// Sequences after which logs stay, for snapshots that are being read.
    pub(crate) holds: Mutex<Vec<u64>>,
}

impl LogState {
    /// The position of a sequence.
    #[inline]
    pub fn position(&self, sequence: u64) -> Position {
        match self.starts.last() {
            Some(&(incarnation, first)) if first <= sequence => Position { incarnation, sequence },
            _ => self.old_position(sequence),
        }
    }

    #[cold]
    fn old_position(&self, sequence: u64) -> Position {
        let at = self.starts.partition_point(|(_, first)| *first <= sequence).saturating_sub(1);
        let incarnation = self.starts.get(at).map_or(0, |(incarnation, _)| *incarnation);
        Position { incarnation, sequence }
    }

    /// Whose a key is: slots are shared out evenly, in order.
    pub fn partition_of(&self, key: &[u8]) -> PartitionId {
        if self.partitions == 1 {
            return PartitionId(0);
        }
        let share = u32::from(slot_of(key)) * u32::from(self.partitions) / u32::from(SLOT_COUNT);
        PartitionId(u16::try_from(share).unwrap_or(0))
    }

    /// Keeps the logs with what comes after now: for a snapshot, whose reader goes on with the stream.
    pub fn hold(self: &Arc<LogState>) -> Hold {
        let mut holds = self.holds.lock();
        // Under the lock: no log that is still needed is chosen between these two.
        let sequence = self.applied.load(Ordering::Acquire);
        holds.push(sequence);
        drop(holds);
        Hold { state: self.clone(), sequence }
    }
}

/// Keeps the logs after a sequence until it is dropped.
#[derive(Debug)]
pub struct Hold {
    state: Arc<LogState>,
    sequence: u64,
}

impl Hold {
    /// What was applied when it was taken.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut holds = self.state.holds.lock();
        if let Some(at) = holds.iter().position(|held| *held == self.sequence) {
            holds.swap_remove(at);
        }
    }
}
