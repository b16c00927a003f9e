//! A complete state to start from: a walk through the index, with the logs after its beginning kept.

use crate::index::Place;
use crate::look_up::{ASTRAY, RELOADS_MAX};
use crate::shared::Shared;
use crate::view::Find;
use todana_engine::{Error, Snapshot, StreamError, View};
use todana_log::{Hold, Pins};
use todana_record::{PartitionId, Position};

/// A walk through the records of a partition.
pub(crate) struct IndexWalk {
    shared: Shared,
    partition: PartitionId,
    /// Keeps the logs after its position.
    hold: Hold,
    next: Option<u64>,
}

impl IndexWalk {
    pub(crate) fn new(shared: Shared, partition: PartitionId) -> IndexWalk {
        let hold = shared.log.hold();
        IndexWalk { shared, partition, hold, next: Some(0) }
    }
}

impl Snapshot for IndexWalk {
    fn position(&self) -> Position {
        self.shared.log.position(self.hold.sequence())
    }

    fn next(
        &mut self,
        count: usize,
        visit: &mut dyn FnMut(&View<'_>),
    ) -> Result<bool, StreamError> {
        let Some(from) = self.next else { return Ok(false) };
        let (shared, partition) = (&self.shared, self.partition);
        self.next = shared.walk(from, count, &mut |view| {
            if shared.log.partition_of(view.key) == partition {
                visit(view);
            }
        })?;
        Ok(self.next.is_some())
    }
}

impl Shared {
    /// Visits about `count` records, ended ones included, from a place of the index on; gives the place
    /// to go on from.
    pub(crate) fn walk(
        &self,
        from: u64,
        count: usize,
        visit: &mut dyn FnMut(&View<'_>),
    ) -> Result<Option<u64>, Error> {
        // No slot gets another meaning while the list is held that was there before the walk; what
        // is in none of their segments is in one of those afterwards.
        let mut places = Vec::new();
        let mut turns = 0;
        let (before, next, after) = loop {
            turns += 1;
            if turns > RELOADS_MAX {
                return Err(Error::Corrupt(ASTRAY.to_owned()));
            }
            places.clear();
            let before = self.log.segments.load_full();
            let next = self.index.walk(from, count.max(1), &mut |place| places.push(place));
            let after = self.log.segments.load_full();
            let is_known =
                |place: &Place| before.get(place.slot).is_some() || after.get(place.slot).is_some();
            // Begun and removed again in between: its records are elsewhere now.
            if places.iter().all(is_known) {
                break (before, next, after);
            }
        };
        for place in places {
            let pins = Pins::new();
            let hit = match before.entry(place, &pins)? {
                Some(hit) => Some(hit),
                None => after.entry(place, &pins)?,
            };
            if let Some(view) = hit.map(|hit| self.view(&hit, &pins)).transpose()?.flatten() {
                visit(&view);
            }
        }
        Ok(next)
    }
}
