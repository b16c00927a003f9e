//! redb, for reference: a copy-on-write B+ tree.
//!
//! A cache of 1 GiB (its default). Rows without durability: 10,000 puts a transaction with
//! `Durability::None`, every hundredth transaction `Immediate`, for redb gives pages back only then
//! (without, a random put of a million records leaves a file of gigabytes). Durable rows: a
//! transaction a put with `Durability::Immediate`.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use engines_workload::{BULK, Bulk, Feed, KEY_LEN, Result, Rival, Shape, Tally};
use redb::{Database, Durability, ReadableDatabase, TableDefinition};

const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("records");
const BATCH: usize = 10_000;
const IMMEDIATE_EVERY: u64 = 100;

struct Redb {
    database: Database,
    transactions: AtomicU64,
}

impl Redb {
    /// Not durable, but for every hundredth.
    fn durability(&self) -> Durability {
        match self.transactions.fetch_add(1, Ordering::Relaxed) % IMMEDIATE_EVERY {
            0 => Durability::Immediate,
            _ => Durability::None,
        }
    }
}

impl Rival for Redb {
    const POLICY: &'static str = "10,000 puts a transaction, 1 of 100 Immediate, the others None";
    const DURABLE: &'static str = "a transaction a put, Immediate";
    const BULK: Bulk = Bulk::Loop;

    fn open(shape: &Shape) -> Result<Self> {
        let database =
            Database::builder().set_cache_size(1 << 30).create(shape.dir.join("casket.redb"))?;
        let transaction = database.begin_write()?;
        transaction.open_table(TABLE)?;
        transaction.commit()?;
        Ok(Self { database, transactions: AtomicU64::new(1) })
    }

    fn put_all(&self, feed: &mut Feed<'_>) -> Result<()> {
        while !feed.is_done() {
            let mut transaction = self.database.begin_write()?;
            transaction.set_durability(self.durability())?;
            let mut table = transaction.open_table(TABLE)?;
            for _ in 0..BATCH {
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
            for _ in 0..BATCH {
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
}

fn main() -> ExitCode {
    engines_workload::main::<Redb>()
}
