//! Todana's engines, opened by name, as a program that embeds them would: the suffix says which.
//!
//! No tuning: there is none. Rows without durability: `flush=never` and one `sync` at the end.
//! Durable rows: `flush=group`, where a set returns once it is on the disk.
//!
//! The tree is not there yet. What it takes here, once it is: units of `shape.batch` puts in `put_all`,
//! `shape.memory` as its budget, and `scan`; then `TODANA_KINDS` of the harness names it.

use engines_workload::{BULK, Bulk, Feed, KEY_LEN, Kind, Result, Rival, Shape, Tally};
use todana_store::Store;

pub(crate) struct Todana {
    store: Store,
}

impl Rival for Todana {
    const BULK: Bulk = Bulk::Native;

    fn policy(shape: &Shape) -> &'static str {
        if shape.durable { "flush=group" } else { "flush=never, sync at the end" }
    }

    fn open(shape: &Shape) -> Result<Self> {
        let flush = if shape.durable { "group" } else { "never" };
        let path = shape.dir.join(match shape.kind {
            Kind::Hash => "casket.tdh",
            Kind::Tree => "casket.tdt",
        });
        let store = todana_store::open(&format!("{}#flush={flush}", path.display()))?;
        Ok(Self { store })
    }

    fn put_all(&self, feed: &mut Feed<'_>) -> Result<()> {
        while let Some((key, value)) = feed.record() {
            self.store.set(key, value)?;
        }
        Ok(())
    }

    fn get_all(&self, feed: &mut Feed<'_>, tally: &mut Tally) -> Result<()> {
        while let Some(key) = feed.key() {
            self.store.get_with(key, |value, _meta| tally.found(value))?;
        }
        Ok(())
    }

    fn get_bulk(&self, feed: &mut Feed<'_>, tally: &mut Tally) -> Result<()> {
        let mut bytes = [[0; KEY_LEN]; BULK];
        loop {
            let count = feed.keys(&mut bytes);
            if count == 0 {
                return Ok(());
            }
            let mut keys: [&[u8]; BULK] = [&[]; BULK];
            for (key, bytes) in keys.iter_mut().zip(&bytes) {
                *key = bytes;
            }
            self.store.get_many(&keys[..count], |_index, value: Option<&[u8]>| {
                if let Some(value) = value {
                    tally.found(value);
                }
            })?;
        }
    }

    fn remove_all(&self, feed: &mut Feed<'_>) -> Result<u64> {
        let mut removed = 0;
        while let Some(key) = feed.key() {
            removed += u64::from(self.store.delete(key)?);
        }
        Ok(removed)
    }

    fn sync(&self) -> Result<()> {
        Ok(self.store.sync()?)
    }

    fn close(self) -> Result<()> {
        Ok(self.store.close()?)
    }

    fn put_durable(&self, key: &[u8], value: &[u8]) -> Result<()> {
        self.put_any(key, value)
    }

    fn append_all(&self, feed: &mut Feed<'_>) -> Result<()> {
        while let Some((key, value)) = feed.record() {
            self.store.append(key, value)?;
        }
        Ok(())
    }

    fn get_any(&self, key: &[u8], tally: &mut Tally) -> Result<()> {
        self.store.get_with(key, |value, _meta| tally.found(value))?;
        Ok(())
    }

    fn put_any(&self, key: &[u8], value: &[u8]) -> Result<()> {
        self.store.set(key, value)?;
        Ok(())
    }
}
