//! What the tree does as an engine whose keys are in order.

use crate::tree::Tree;
use crate::walk::Moment;
use std::ops::{Bound, ControlFlow};
use todana_engine::{Applied, Direction, Error, Found, Look, Ordered, Range, View};
use todana_io::epoch::pin;
use todana_record::{Position, Timestamp};

impl Ordered for Tree {
    fn moment(&self) -> Box<dyn todana_engine::Moment> {
        Box::new(self.present())
    }

    fn count(&self, range: &Range<'_>) -> Result<u64, Error> {
        self.count_range(range)
    }

    fn remove_range(&self, range: &Range<'_>, now: Timestamp) -> Result<Applied, Error> {
        self.check_poison()?;
        self.flush_if_due(now)?;
        if range.is_empty() {
            return Ok(Applied { position: self.position(self.shared.applied()), version: 0 });
        }
        let pin = pin();
        let mut writer = self.writing.lock();
        // The leaves at its ends are what may have to be read; what cannot be read is refused before it is logged,
        // or no open could carry it out.
        for bound in [range.from, range.to] {
            if let Bound::Included(key) | Bound::Excluded(key) = bound {
                writer.seek(&self.shared, &pin, key)?;
            }
        }
        let sequence = self.log_range(&mut writer, range, now)?;
        let removed = writer.remove_range(&self.shared, &pin, range, sequence);
        // What is logged and half done is done when the store is opened again.
        removed.map_err(|error| self.poison(error.to_string()))?;
        self.done(writer, sequence, 0)
    }
}

impl todana_engine::Moment for Moment {
    fn position(&self) -> Position {
        Position { incarnation: self.incarnation, sequence: self.sequence }
    }

    fn get(&self, key: &[u8], now: Timestamp, visit: &mut dyn FnMut(Found<'_>) -> Look) {
        let shown = Moment::get(self, key, |record| {
            visit(crate::stored::found(key, Ok(record), now));
        });
        if let Err(error) = shown {
            visit(Found::Failed(error));
        }
    }

    fn walk(
        &self,
        range: &Range<'_>,
        direction: Direction,
        now: Timestamp,
        visit: &mut dyn FnMut(&View<'_>) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let incarnation = self.incarnation;
        Moment::walk(self, range, direction, &mut |key, record| match record
            .meta
            .expiry
            .is_past(now)
        {
            true => ControlFlow::Continue(()),
            false => visit(&record.view(key, incarnation)),
        })
    }
}
