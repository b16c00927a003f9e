//! redb: a copy-on-write B+ tree; beside the hash engines for reference.
//!
//! A cache of 1 GiB (its default), as a tree half of the memory. Rows without durability: 10,000 puts a
//! transaction with `Durability::None`, every hundredth transaction `Immediate`, for redb gives pages
//! back only then (without, a random put of a million records leaves a file of gigabytes); with one put
//! a transaction every 10,000th. Durable rows: a transaction a put with `Durability::Immediate`.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use engines_workload::{BULK, Bulk, Feed, KEY_LEN, Kind, Result, Rival, Scanned, Shape, Tally};
use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};

const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("records");
const IMMEDIATE_EVERY: u64 = 100;
const IMMEDIATE_EVERY_SINGLE: u64 = 10_000;

struct Redb {
    database: Database,
    /// Puts a transaction.
    batch: u32,
    transactions: AtomicU64,
}

impl Redb {
    /// Not durable, but for one now and then.
    fn durability(&self) -> Durability {
        let every = if self.batch == 1 { IMMEDIATE_EVERY_SINGLE } else { IMMEDIATE_EVERY };
        match self.transactions.fetch_add(1, Ordering::Relaxed) % every {
            0 => Durability::Immediate,
            _ => Durability::None,
        }
    }
}

impl Rival for Redb {
    const BULK: Bulk = Bulk::Loop;

    fn policy(shape: &Shape) -> &'static str {
        match shape.batch {
            _ if shape.durable => "a transaction a put, Immediate",
            1 => "a transaction a put, 1 of 10,000 Immediate, the others None",
            _ => "10,000 puts a transaction, 1 of 100 Immediate, the others None",
        }
    }

    fn open(shape: &Shape) -> Result<Self> {
        let cache_len = match shape.kind {
            Kind::Hash => 1 << 30,
            Kind::Tree => usize::try_from(shape.memory / 2)?,
        };
        let database =
            Database::builder().set_cache_size(cache_len).create(shape.dir.join("casket.redb"))?;
        let transaction = database.begin_write()?;
        transaction.open_table(TABLE)?;
        transaction.commit()?;
        Ok(Self { database, batch: shape.batch, transactions: AtomicU64::new(1) })
    }

    fn put_all(&self, feed: &mut Feed<'_>) -> Result<()> {
        while !feed.is_done() {
            let mut transaction = self.database.begin_write()?;
            transaction.set_durability(self.durability())?;
            let mut table = transaction.open_table(TABLE)?;
            for _ in 0..self.batch {
                let Some((key, value)) = feed.record() else { break };
                table.insert(key, value)?;
            }
            drop(table);
            transaction.commit()?;
        }
        Ok(())
    }

    fn get_all(&self, feed: &mut Feed<'_>, tally: &mut Tally) -> Result<()> {
        let table = self.database.begin_read()?.open_table(TABLE)?;
        while let Some(key) = feed.key() {
            if let Some(value) = table.get(key)? {
                tally.found(value.value());
            }
        }
        Ok(())
    }

    fn get_bulk(&self, feed: &mut Feed<'_>, tally: &mut Tally) -> Result<()> {
        let table = self.database.begin_read()?.open_table(TABLE)?;
        let mut keys = [[0; KEY_LEN]; BULK];
        loop {
            let count = feed.keys(&mut keys);
            if count == 0 {
                return Ok(());
            }
            for key in &keys[..count] {
                if let Some(value) = table.get(key.as_slice())? {
                    tally.found(value.value());
                }
            }
        }
    }

    fn remove_all(&self, feed: &mut Feed<'_>) -> Result<u64> {
        let mut removed = 0;
        while !feed.is_done() {
            let mut transaction = self.database.begin_write()?;
            transaction.set_durability(self.durability())?;
            let mut table = transaction.open_table(TABLE)?;
            for _ in 0..self.batch {
                let Some(key) = feed.key() else { break };
                removed += u64::from(table.remove(key)?.is_some());
            }
            drop(table);
            transaction.commit()?;
        }
        Ok(removed)
    }

    fn sync(&self) -> Result<()> {
        Ok(self.database.begin_write()?.commit()?)
    }

    fn close(self) -> Result<()> {
        drop(self.database);
        Ok(())
    }

    fn put_durable(&self, key: &[u8], value: &[u8]) -> Result<()> {
        let transaction = self.database.begin_write()?;
        transaction.open_table(TABLE)?.insert(key, value)?;
        Ok(transaction.commit()?)
    }

    /// Read and put again: redb has no append.
    fn append_all(&self, feed: &mut Feed<'_>) -> Result<()> {
        let mut joined = Vec::new();
        while !feed.is_done() {
            let mut transaction = self.database.begin_write()?;
            transaction.set_durability(self.durability())?;
            let mut table = transaction.open_table(TABLE)?;
            for _ in 0..self.batch {
                let Some((key, value)) = feed.record() else { break };
                joined.clear();
                if let Some(there) = table.get(key)? {
                    joined.extend_from_slice(there.value());
                }
                joined.extend_from_slice(value);
                table.insert(key, joined.as_slice())?;
            }
            drop(table);
            transaction.commit()?;
        }
        Ok(())
    }

    fn scan(&self, scanned: &mut Scanned) -> Result<()> {
        for record in self.database.begin_read()?.open_table(TABLE)?.iter()? {
            let (key, value) = record?;
            scanned.record(key.value(), value.value());
        }
        Ok(())
    }

    fn get_any(&self, key: &[u8], tally: &mut Tally) -> Result<()> {
        if let Some(value) = self.database.begin_read()?.open_table(TABLE)?.get(key)? {
            tally.found(value.value());
        }
        Ok(())
    }

    fn put_any(&self, key: &[u8], value: &[u8]) -> Result<()> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(self.durability())?;
        transaction.open_table(TABLE)?.insert(key, value)?;
        Ok(transaction.commit()?)
    }
}

fn main() -> ExitCode {
    engines_workload::main::<Redb>()
}
