//! What the tree does as an engine whose keys are in order.

use crate::delta::tag_of;
use crate::tree::Tree;
use crate::walk::Moment;
use std::ops::ControlFlow;
use todana_engine::{Applied, Direction, Error, Found, Look, Ordered, Range, View};
use todana_io::epoch::pin;
use todana_record::{Position, Timestamp};

impl Ordered for Tree {
    fn moment(&self) -> Box<dyn todana_engine::Moment> {
        Box::new(Moment::now(&self.shared))
    }

    fn count(&self, range: &Range<'_>) -> u64 {
        self.shared.count(range)
    }

    fn remove_range(&self, range: &Range<'_>, now: Timestamp) -> Result<Applied, Error> {
        self.flush_if_due(now);
        let mut writer = self.writing.lock();
        if range.is_empty() {
            return Ok(Applied { position: self.position(writer.last), version: 0 });
        }
        let pin = pin();
        let sequence = writer.last + 1;
        writer.remove_range(&self.shared, &pin, range, sequence);
        let position = self.finish(sequence);
        writer.let_go(&self.shared);
        Ok(Applied { position, version: 0 })
    }
}

impl todana_engine::Moment for Moment {
    fn position(&self) -> Position {
        Position { incarnation: 1, sequence: self.sequence }
    }

    fn get(&self, key: &[u8], now: Timestamp, visit: &mut dyn FnMut(Found<'_>) -> Look) {
        let pin = pin();
        let leaf = self.shared.leaf(&pin, key, self.sequence);
        let record = leaf.and_then(|leaf| leaf.find(key, tag_of(key), self.sequence));
        visit(crate::stored::found(key, record, now));
    }

    fn walk(
        &self,
        range: &Range<'_>,
        direction: Direction,
        now: Timestamp,
        visit: &mut dyn FnMut(&View<'_>) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        Moment::walk(self, range, direction, &mut |key, record| match record
            .meta
            .expiry
            .is_past(now)
        {
            true => ControlFlow::Continue(()),
            false => visit(&record.view(key, 1)),
        });
        Ok(())
    }
}
