//! A log that is open, without its writer's part: watermarks, poison, listeners, and who waits.

use crate::commit::Commit;
use crate::flush::Flusher;
use crate::options::FlushPolicy;
use crate::owner::Owner;
use crate::segment::Reading;
use crate::state::LogState;
use crate::writer::LogWriter;
use parking_lot::{Mutex, RwLock};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use todana_engine::{Error, Level, Listener, StoreClock};
use todana_io::Lock;
use todana_record::{PartitionId, Position};

/// Number of the job that writes and flushes: the first of every engine that has a log.
pub const JOB_FLUSH: usize = 0;

/// A log. What is changed when something is appended is in [`LogWriter`], under the engine's lock.
pub struct Log {
    /// What streams and snapshots share.
    pub state: Arc<LogState>,
    /// The store's clock.
    pub clock: StoreClock,
    pub(crate) reading: Reading,
    pub(crate) policy: FlushPolicy,
    /// Bytes of the stream that are kept although the engine does not need them.
    pub(crate) stream_bytes: u64,
    pub(crate) flusher: Mutex<Flusher>,
    pub(crate) commit: Commit,
    /// Highest sequence that is safe.
    pub(crate) durable: AtomicU64,
    pub(crate) flush_wanted: AtomicBool,
    pub(crate) poison: OnceLock<String>,
    pub(crate) listeners: RwLock<Vec<Arc<dyn Listener>>>,
    pub(crate) lock: Mutex<Option<Box<dyn Lock>>>,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Log").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Log {
    /// The position of a sequence.
    #[inline]
    pub fn position(&self, sequence: u64) -> Position {
        self.state.position(sequence)
    }

    /// Highest sequence that everybody sees.
    #[inline]
    pub fn applied(&self) -> u64 {
        self.state.applied.load(Ordering::Acquire)
    }

    /// Highest sequence that is safe.
    #[inline]
    pub fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    /// How far the log is applied, or durable; under the policy `never` applied counts as durable.
    #[inline]
    pub fn watermark(&self, level: Level) -> Position {
        self.position(match level {
            Level::Durable | Level::Replicated if self.policy != FlushPolicy::Never => {
                self.durable()
            }
            _ => self.applied(),
        })
    }

    /// Shows what was appended up to a sequence. Whoever calls it has the writer's lock, and has made it
    /// possible to find all that.
    #[inline]
    pub fn show(&self, writer: &mut LogWriter, sequence: u64) {
        writer.publish();
        self.state.applied.store(sequence, Ordering::Release);
    }

    /// # Errors
    /// [`Error::Poisoned`] when a write or a sync has failed: nothing is written any more until the log is
    /// opened again (H11).
    #[inline]
    pub fn check_poison(&self) -> Result<(), Error> {
        match self.poison.get() {
            Some(reason) => Err(Error::Poisoned(reason.clone())),
            None => Ok(()),
        }
    }

    /// Stops the log for good; gives the error that tells why, which is that of the first who did.
    pub fn poison(&self, reason: String) -> Error {
        Error::Poisoned(self.poison.get_or_init(|| reason).clone())
    }

    /// Stops the log for good when a result says that it is poisoned.
    ///
    /// # Errors
    /// Those of the result.
    #[inline]
    pub fn stop_on_poison<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        result.inspect_err(|error| {
            if let Error::Poisoned(reason) = error {
                self.poison(reason.clone());
            }
        })
    }

    /// Has `listener` told from now on.
    pub fn subscribe(&self, listener: Arc<dyn Listener>) {
        self.listeners.write().push(listener);
    }

    /// Tells all listeners.
    pub fn tell(&self, call: impl Fn(&dyn Listener)) {
        for listener in self.listeners.read().iter() {
            call(&**listener);
        }
    }

    /// Tells listeners that a watermark has advanced.
    pub(crate) fn tell_advanced(&self) {
        for partition in 0..self.state.partitions {
            self.tell(|listener| listener.advanced(PartitionId(partition)));
        }
    }

    /// Asks the flush job for a sync soon.
    pub fn request_flush(&self) {
        if !self.flush_wanted.swap(true, Ordering::AcqRel) {
            self.tell(|listener| listener.wanted(JOB_FLUSH));
        }
    }

    /// Has what was appended written, when it is much; writes it here when nobody else does. For after an
    /// append, without the writer's lock: whether it [wants writing](LogWriter::wants_writing), and how many
    /// full segments wait.
    ///
    /// # Errors
    /// [`Error::Poisoned`].
    #[inline]
    pub fn after_append<O: Owner>(
        &self,
        owner: &O,
        wants: bool,
        behind: usize,
    ) -> Result<(), Error> {
        if wants {
            if behind >= 2 {
                return self.write_out(owner, false);
            }
            self.tell(|listener| listener.wanted(JOB_FLUSH));
        }
        Ok(())
    }
}
