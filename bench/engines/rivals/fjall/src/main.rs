//! fjall: a log-structured merge tree; beside the hash engines for reference.
//!
//! A block cache of 512 MiB and `expect_point_read_hits` (no filter on the last level), as all keys
//! asked for are there. The journal is on; it is buffered in the process (`manual_journal_persist`,
//! a system call less a put) and synced at the end. In durable rows each put is followed by
//! `persist(SyncData)`.
//!
//! As a tree: half of the memory for the block cache, a batch of 10,000 puts or single inserts, values
//! from 4 KiB on in files of their own.

use std::process::ExitCode;

use engines_workload::{BULK, Bulk, Feed, KEY_LEN, Kind, Result, Rival, Scanned, Shape, Tally};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, PersistMode};

const BATCH_BYTES_MAX: usize = 16 << 20;
const LONG_VALUE_LEN: usize = 4_096;
const MEMTABLE_LEN_MAX: u64 = 64 << 20;

struct Fjall {
    database: Database,
    records: Keyspace,
    /// Puts a batch; 1: each by itself.
    batch: u32,
}

/// As a hash, fjall puts one by one.
fn puts_a_batch(shape: &Shape) -> u32 {
    match shape.kind {
        Kind::Hash => 1,
        Kind::Tree => shape.batch,
    }
}

fn options(shape: &Shape) -> KeyspaceCreateOptions {
    let options = KeyspaceCreateOptions::default()
        .expect_point_read_hits(true)
        .manual_journal_persist(!shape.durable);
    if shape.kind == Kind::Hash {
        return options;
    }
    let long = (shape.value_len >= LONG_VALUE_LEN).then(KvSeparationOptions::default);
    options.with_kv_separation(long).max_memtable_size(MEMTABLE_LEN_MAX.min(shape.memory / 8))
}

impl Rival for Fjall {
    const BULK: Bulk = Bulk::Loop;

    fn policy(shape: &Shape) -> &'static str {
        match puts_a_batch(shape) {
            _ if shape.durable => "persist(SyncData) each put",
            1 => "journal in a buffer, persist(SyncAll) at the end",
            _ => "10,000 puts a batch, journal in a buffer, persist(SyncAll) at the end",
        }
    }

    fn open(shape: &Shape) -> Result<Self> {
        let cache_len = match shape.kind {
            Kind::Hash => 512 << 20,
            Kind::Tree => shape.memory / 2,
        };
        let database = Database::builder(&shape.dir)
            .cache_size(cache_len)
            .manual_journal_persist(!shape.durable)
            .open()?;
        let records = database.keyspace("records", || options(shape))?;
        Ok(Self { database, records, batch: puts_a_batch(shape) })
    }

    fn put_all(&self, feed: &mut Feed<'_>) -> Result<()> {
        if self.batch == 1 {
            while let Some((key, value)) = feed.record() {
                self.records.insert(key, value)?;
            }
            return Ok(());
        }
        while !feed.is_done() {
            let mut batch = self.database.batch();
            let mut batch_len = 0;
            while let Some((key, value)) = feed.record() {
                batch.insert(&self.records, key, value);
                batch_len += value.len();
                // A batch of long values is written sooner: it is in memory.
                if batch.len() == self.batch as usize || batch_len >= BATCH_BYTES_MAX {
                    break;
                }
            }
            batch.commit()?;
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

    /// Read and put again: fjall has no append.
    fn append_all(&self, feed: &mut Feed<'_>) -> Result<()> {
        while let Some((key, value)) = feed.record() {
            let mut joined = self.records.get(key)?.map_or_else(Vec::new, |there| there.to_vec());
            joined.extend_from_slice(value);
            self.records.insert(key, joined)?;
        }
        Ok(())
    }

    fn scan(&self, scanned: &mut Scanned) -> Result<()> {
        for record in self.records.iter() {
            let (key, value) = record.into_inner()?;
            scanned.record(&key, &value);
        }
        Ok(())
    }

    fn get_any(&self, key: &[u8], tally: &mut Tally) -> Result<()> {
        if let Some(value) = self.records.get(key)? {
            tally.found(&value);
        }
        Ok(())
    }

    fn put_any(&self, key: &[u8], value: &[u8]) -> Result<()> {
        Ok(self.records.insert(key, value)?)
    }
}

fn main() -> ExitCode {
    engines_workload::main::<Fjall>()
}
