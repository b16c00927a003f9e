//! Changes given back in order, and states to start from.

use crate::{Effect, Error, View};
use todana_record::{Position, Timestamp};

/// Why a stream cannot be read from a position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// The store keeps no update stream.
    #[error("this store keeps no update stream")]
    Off,
    /// The changes from that position on are no longer kept: take a snapshot.
    #[error("changes before {oldest} are no longer kept: start from a snapshot")]
    TooOld {
        /// The oldest position that a stream can follow.
        oldest: Position,
    },
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] Error),
}

/// Effects of one partition in their order.
pub trait UpdateStream: Send {
    /// Visits up to `count` effects after those visited before: position, the store's time when it
    /// was made, effect. Gives how many; 0 means that there are none *now*.
    ///
    /// # Errors
    /// [`StreamError::TooOld`] when the reader was too slow for what is kept.
    fn next(
        &mut self,
        count: usize,
        visit: &mut dyn FnMut(Position, Timestamp, &Effect<'_>),
    ) -> Result<usize, StreamError>;
}

/// The records of one partition, complete up to a position. The stream after that position, applied
/// on top, gives every later state; effects that the snapshot already shows change nothing.
pub trait Snapshot: Send {
    /// Complete up to here.
    fn position(&self) -> Position;

    /// Visits up to `count` further records; false when all were visited.
    ///
    /// # Errors
    /// What the engine meets while it reads.
    fn next(&mut self, count: usize, visit: &mut dyn FnMut(&View<'_>))
    -> Result<bool, StreamError>;
}
