//! What a log has to know of its engine.

use crate::writer::LogWriter;
use parking_lot::Mutex;
use std::io;

/// The engine that a log belongs to: it holds the lock that guards the writer's part of the log together with
/// the engine's own state.
///
/// A type parameter of the slow calls alone. Appending does not meet it: who appends has the lock already.
pub trait Owner {
    /// Does something with the log under the writer's lock. Called with no other lock than the flusher's
    /// held, and never from within itself.
    fn with<R>(&self, work: impl FnOnce(&mut LogWriter) -> R) -> R;

    /// Called after each sync, when everything up to `durable` is safe: files that only earlier changes
    /// needed may go.
    ///
    /// # Errors
    /// What the disk says: the log is poisoned by it.
    fn synced(&self, durable: u64) -> io::Result<()> {
        let _ = durable;
        Ok(())
    }

    /// Whether a sync is wanted although the policy is [`FlushPolicy::Never`](crate::FlushPolicy::Never).
    fn needs_sync(&self) -> bool {
        false
    }
}

/// An engine that guards nothing else, or guards it otherwise.
impl Owner for Mutex<LogWriter> {
    fn with<R>(&self, work: impl FnOnce(&mut LogWriter) -> R) -> R {
        work(&mut self.lock())
    }
}
