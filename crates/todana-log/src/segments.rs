//! The list of segments: what readers load once and then use without a lock.

use crate::layout::header::SegmentKind;
use crate::segment::Segment;
use std::sync::Arc;

/// A state of the list. Segments live as long as a list that has them, and a slot is not given to another
/// segment meanwhile (H6).
#[derive(Debug, Clone)]
pub struct Segments {
    /// Rises with each state.
    pub state: u64,
    /// By slot; slot 0 is none.
    pub by_slot: Vec<Option<Arc<Segment>>>,
}

impl Default for Segments {
    fn default() -> Segments {
        Segments { state: 0, by_slot: vec![None] }
    }
}

impl Segments {
    /// The segment with a number.
    #[inline]
    pub fn get(&self, slot: u16) -> Option<&Arc<Segment>> {
        self.by_slot.get(usize::from(slot))?.as_ref()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Segment>> {
        self.by_slot.iter().flatten()
    }

    /// The logs that end after a sequence, in order.
    pub fn logs_from(&self, sequence: u64) -> Vec<&Arc<Segment>> {
        let is_log = |segment: &&Arc<Segment>| segment.kind == SegmentKind::Log;
        let all = self.iter().filter(is_log);
        let mut logs: Vec<_> = all.filter(|log| log.id + log.end() as u64 > sequence).collect();
        logs.sort_unstable_by_key(|log| log.id);
        logs
    }

    /// The oldest log from which each follows the one before it.
    pub fn first_of_chain(&self) -> Option<&Arc<Segment>> {
        let logs = self.logs_from(0);
        let mut first: Option<&Arc<Segment>> = None;
        for log in logs.into_iter().rev() {
            if first.is_some_and(|first| first.previous != Some(log.id)) {
                break;
            }
            first = Some(log);
        }
        first
    }

    /// The sequence after which these logs have every change.
    pub fn floor(&self) -> u64 {
        match self.first_of_chain() {
            Some(log) if log.previous.is_none() => 0,
            Some(log) => log.id - 1,
            None => u64::MAX,
        }
    }
}
