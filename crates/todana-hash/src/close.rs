//! Closing a store.

use crate::hash::Hash;
use todana_engine::Error;

impl Hash {
    /// Makes everything durable, completes the last segment and marks the store as closed, so that the
    /// next open reads no records. Writes are refused from then on, reads go on. Dropping does it too,
    /// but cannot say whether it failed.
    ///
    /// # Errors
    /// [`Error::Poisoned`], also when the store was poisoned before.
    pub fn close(&self) -> Result<(), Error> {
        if self.log.is_closed() {
            return Ok(());
        }
        // To the end: nobody compacts a store that is closed.
        let mut compactor = self.compactor.lock();
        match self.finish_compaction(&mut compactor) {
            // What was moved is still where it was: the packs have no name yet that counts.
            Ok(()) | Err(Error::NoSpace | Error::Corrupt(_)) => {}
            Err(error) => return Err(error),
        }
        self.log.close(self)
    }
}

impl Drop for Hash {
    fn drop(&mut self) {
        // Nobody is left to be told; the next open recovers.
        let _ = self.close();
    }
}
