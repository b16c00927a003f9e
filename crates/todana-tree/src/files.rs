//! What a store on disk has besides the tree: the log, the file of pages, and what is known of it.

use crate::checkpoint::Checkpointer;
use crate::tree::Tree;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use todana_engine::Error;
use todana_io::DiskFile;
use todana_log::{Log, LogWriter, Owner, READ_ONLY};

/// See the module.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) log: Log,
    pub(crate) pages: Arc<dyn DiskFile>,
    /// The store's number.
    pub(crate) store: u64,
    pub(crate) checkpointer: Mutex<Checkpointer>,
    /// The sequence at which the next checkpoint is due.
    pub(crate) checkpoint_due: AtomicU64,
    /// The sequence of the last one.
    pub(crate) checkpointed: AtomicU64,
}

impl Owner for Tree {
    fn with<R>(&self, work: impl FnOnce(&mut LogWriter) -> R) -> R {
        let mut writer = self.writing.lock();
        match &mut writer.log {
            Some(log) => work(log),
            None => unreachable!("a log is asked for by itself alone, and it has a writer"),
        }
    }
}

impl Tree {
    /// # Errors
    /// [`Error::Poisoned`] when a write or a sync has failed.
    #[inline]
    pub(crate) fn check_poison(&self) -> Result<(), Error> {
        match &self.files {
            Some(files) => files.log.check_poison(),
            None => Ok(()),
        }
    }

    /// Stops the store for good.
    pub(crate) fn poison(&self, reason: String) -> Error {
        match &self.files {
            Some(files) => files.log.poison(reason),
            None => Error::Poisoned(reason),
        }
    }

    #[inline]
    pub(crate) fn stop_on_poison<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        match &self.files {
            Some(files) => files.log.stop_on_poison(result),
            None => result,
        }
    }

    /// # Errors
    /// That it may not be written, unless it is one without files.
    pub(crate) fn must_be_memory(&self) -> Result<(), Error> {
        if self.files.is_some() { Err(READ_ONLY) } else { Ok(()) }
    }
}
