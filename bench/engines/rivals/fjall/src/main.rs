//! fjall, for reference: a log-structured merge tree.
//!
//! A block cache of 512 MiB and `expect_point_read_hits` (no filter on the last level), as all keys
//! asked for are there. The journal is on; it is buffered in the process (`manual_journal_persist`,
//! a system call less a put) and synced at the end. In durable rows each put is followed by
//! `persist(SyncData)`.

use std::process::ExitCode;

use engines_workload::{BULK, Bulk, Feed, KEY_LEN, Result, Rival, Shape, Tally};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

struct Fjall {
    database: Database,
    records: Keyspace,
}

impl Rival for Fjall {
    const POLICY: &'static str = "journal in a buffer, persist(SyncAll) at the end";
    const DURABLE: &'static str = "persist(SyncData) each put";
    const BULK: Bulk = Bulk::Loop;

    fn open(shape: &Shape) -> Result<Self> {
        let database = Database::builder(&shape.dir)
            .cache_size(512 << 20)
            .manual_journal_persist(!shape.durable)
            .open()?;
        let options = || {
            KeyspaceCreateOptions::default()
                .expect_point_read_hits(true)
                .manual_journal_persist(!shape.durable)
        };
        let records = database.keyspace("records", options)?;
        Ok(Self { database, records })
    }

    fn put_all(&self, feed: &mut Feed<'_>) -> Result<()> {
        while let Some((key, value)) = feed.record() {
            self.records.insert(key, value)?;
        }
        Ok(())
    }

    fn get_all(&self, feed: &mut Feed<'_>, tally: &mut Tally) -> Result<()> {
        while let Some(key) = feed.key() {
            if let Some(value) = self.records.get(key)? {
                tally.found(&value);
            }
        }
        Ok(())
    }

    fn get_bulk(&self, feed: &mut Feed<'_>, tally: &mut Tally) -> Result<()> {
        let mut keys = [[0; KEY_LEN]; BULK];
        loop {
            let count = feed.keys(&mut keys);
            if count == 0 {
                return Ok(());
            }
            for key in &keys[..count] {
                if let Some(value) = self.records.get(key)? {
                    tally.found(&value);
                }
            }
        }
    }

    /// fjall does not say whether the key was there; the workload only deletes what is.
    fn remove_all(&self, feed: &mut Feed<'_>) -> Result<u64> {
        let mut removed = 0;
        while let Some(key) = feed.key() {
            self.records.remove(key)?;
            removed += 1;
        }
        Ok(removed)
    }

    fn sync(&self) -> Result<()> {
        Ok(self.database.persist(PersistMode::SyncAll)?)
    }

    fn close(self) -> Result<()> {
        drop(self.records);
        drop(self.database);
        Ok(())
    }

    fn put_durable(&self, key: &[u8], value: &[u8]) -> Result<()> {
        self.records.insert(key, value)?;
        Ok(self.database.persist(PersistMode::SyncData)?)
    }
}

fn main() -> ExitCode {
    engines_workload::main::<Fjall>()
}
