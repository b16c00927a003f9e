//! What the log asks of this engine: its lock, and that files go when what they were needed for is safe.

use crate::blob::blob_name;
use crate::hash::Hash;
use std::io;
use todana_log::{LogWriter, Owner};

impl Owner for Hash {
    /// With an index that has everything: what a deferred entry points to is in memory until then.
    fn with<R>(&self, work: impl FnOnce(&mut LogWriter) -> R) -> R {
        work(&mut self.writer().log)
    }

    /// Removes blobs that were replaced or removed, once that is safe (H12). Readers that have one open keep it.
    fn synced(&self, durable: u64) -> io::Result<()> {
        let dead: Vec<u64> = {
            let mut writer = self.writer();
            let is_safe = |&mut (sequence, _): &mut (u64, u64)| sequence <= durable;
            writer.dead_blobs.extract_if(.., is_safe).map(|(_, id)| id).collect()
        };
        for id in dead {
            match self.shared.log.home.remove(&blob_name(id)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Files of long values that are dead go only when that is safe.
    fn needs_sync(&self) -> bool {
        !self.writer().dead_blobs.is_empty()
    }
}
