//! A state to start a replica from.

use crate::walk::Moment;
use std::ops::{Bound, ControlFlow};
use todana_engine::{Direction, Range, Snapshot, StreamError, View};
use todana_log::Hold;
use todana_record::Position;

/// All records as of a moment; what follows stays in the log while it lives.
#[derive(Debug)]
pub(crate) struct TreeSnapshot {
    pub(crate) moment: Moment,
    pub(crate) position: Position,
    /// Where it goes on; `None` at the end.
    pub(crate) from: Option<Vec<u8>>,
    pub(crate) _hold: Hold,
}

impl Snapshot for TreeSnapshot {
    fn position(&self) -> Position {
        self.position
    }

    fn next(
        &mut self,
        count: usize,
        visit: &mut dyn FnMut(&View<'_>),
    ) -> Result<bool, StreamError> {
        let Some(from) = self.from.take() else { return Ok(false) };
        let range = Range { from: Bound::Included(&from), to: Bound::Unbounded };
        let (mut left, mut next) = (count.max(1), None);
        let incarnation = self.position.incarnation;
        self.moment.walk(&range, Direction::Forward, &mut |key, record| {
            if left == 0 {
                next = Some(key.to_vec());
                return ControlFlow::Break(());
            }
            visit(&record.view(key, incarnation));
            left -= 1;
            ControlFlow::Continue(())
        })?;
        self.from = next;
        Ok(self.from.is_some())
    }
}
