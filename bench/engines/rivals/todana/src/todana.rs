//! Todana's engines, opened by name, as a program that embeds them would: the suffix says which.
//!
//! No tuning: there is none. Rows without durability: `flush=never` and one `sync` at the end.
//! Durable rows: `flush=group`, where a set returns once it is on the disk.
//! A tree puts units of as many records as others have in a transaction, and has its share of the memory as its
//! cache.

use engines_workload::{BULK, Bulk, Feed, KEY_LEN, Kind, Result, Rival, Scanned, Shape, Tally};
use todana_store::{Direction, Range, Store};

pub(crate) struct Todana {
    store: Store,
    /// Puts a unit; 1 for none.
    batch: u32,
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
        let (more, batch) = match shape.kind {
            Kind::Hash => (String::new(), 1),
            // The other half of the memory is the kernel's.
            Kind::Tree => (format!("#cache={}", shape.memory / 2), shape.batch),
        };
        let store = todana_store::open(&format!("{}#flush={flush}{more}", path.display()))?;
        Ok(Self { store, batch })
    }

    fn put_all(&self, feed: &mut Feed<'_>) -> Result<()> {
        if self.batch > 1 {
            return self.put_units(feed);
        }
        while let Some((key, value)) = feed.record() {
            self.store.set(key, value)?;
        }
        Ok(())
    }

    fn scan(&self, scanned: &mut Scanned) -> Result<()> {
        self.store.for_each_in(&Range::ALL, Direction::Forward, |view| {
            if let Some(value) = view.value.as_bytes() {
                scanned.record(view.key, value);
            }
            true
        })?;
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

impl Todana {
    fn put_units(&self, feed: &mut Feed<'_>) -> Result<()> {
        let batch = usize::try_from(self.batch)?;
        let mut bytes: Vec<u8> = Vec::new();
        let mut ends = Vec::with_capacity(batch);
        loop {
            bytes.clear();
            ends.clear();
            while ends.len() < batch
                && let Some((key, value)) = feed.record()
            {
                bytes.extend_from_slice(key);
                bytes.extend_from_slice(value);
                ends.push((bytes.len() - value.len(), bytes.len()));
            }
            if ends.is_empty() {
                return Ok(());
            }
            let mut start = 0;
            let mut records: Vec<(&[u8], &[u8])> = Vec::with_capacity(ends.len());
            for &(key_end, end) in &ends {
                records.push((&bytes[start..key_end], &bytes[key_end..end]));
                start = end;
            }
            self.store.set_all(&records)?;
        }
    }
}
