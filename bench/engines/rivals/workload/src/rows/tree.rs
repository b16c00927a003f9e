//! The rows for ordered engines alone.

use std::thread;

use super::{Run, SAMPLE};
use crate::feed::{Feed, Order, Rng, Scanned, Tally, write_key, write_value};
use crate::meter::{Meter, Resident, forget_pages};
use crate::{KEY_LEN, Result, Rival, Shape};

/// Long values: one for so many records, but not more than so many, of so many bytes (LuxIO's test).
const RECORDS_A_LONG_VALUE: u32 = 50;
const LONG_VALUES_MAX: u32 = 20_000;
const LONG_LEN: usize = 100_000;
/// Long values looked at again.
const LONG_SAMPLE: u32 = 200;
/// Caches beside long values.
const LONG_MEMORY: u64 = 512 << 20;
/// The huge value: so many bytes a record, but not more than so many; and what is appended to it.
const HUGE_BYTES_A_RECORD: usize = 1_000;
const HUGE_LEN_MAX: usize = 1_000_000_000;
const HUGE_APPEND_LEN: usize = 1_000;
const HUGE_APPENDS: u32 = 8;
/// Cold rows touch one record in so many.
const RECORDS_A_COLD_OPERATION: u32 = 50;
/// Mixed rows: two threads, one put in so many operations, not more than so many operations each.
const MIXED_THREADS: u32 = 2;
const MIXED_PUT_EVERY: u32 = 10;
const MIXED_OPERATIONS_MAX: u32 = 1_000_000;

impl<R: Rival> Run<R> {
    pub(super) fn tree_row(&mut self, row: &str) -> Result<()> {
        match row {
            "put-seq-single" => self.put(row, Order::sequential(self.arguments.records)?, 1),
            "put-random-single" => self.put(row, self.fill_order()?, 1),
            "scan" => self.scan(row),
            "fill-and-die" => self.fill_and_die(),
            "reopen-killed" => self.reopen_killed(row),
            "mixed-2" => self.mixed(row, 1),
            "mixed-2-copies" => self.mixed(row, MIXED_THREADS),
            "append-long" => self.append_long(row),
            "append-huge" => self.append_huge(row),
            "cold-get-random" => self.cold_get(row, 7, R::get_all),
            "cold-get-bulk-32" => self.cold_get(row, 8, R::get_bulk),
            "cold-put-random" => self.cold_put(row),
            unknown => Err(format!("unknown row {unknown}").into()),
        }
    }

    fn scan(&mut self, row: &str) -> Result<()> {
        let rival = self.filled()?;
        let mut scanned = Scanned::default();
        let mut meter = Meter::default();
        let running = Meter::start()?;
        rival.scan(&mut scanned)?;
        meter.stop(&running)?;
        let resident = Resident::now()?;
        let mut expected = Scanned::default();
        let order = Order::sequential(self.arguments.records)?;
        let mut feed = Feed::new(&order, 0, self.arguments.value_len);
        while let Some((key, value)) = feed.record() {
            expected.record(key, value);
        }
        if scanned != expected {
            return Err("what was scanned is not what was put, or not in order".into());
        }
        self.report(row, self.arguments.records.into(), &meter, &resident)?;
        self.rival = Some(rival);
        Ok(())
    }

    /// Everything is flushed and nothing closed: as after a kill.
    fn fill_and_die(&mut self) -> Result<()> {
        let _open = self.filled()?;
        std::process::exit(0);
    }

    /// What `fill-and-die` of a process before this one left; up to the first record read.
    fn reopen_killed(&mut self, row: &str) -> Result<()> {
        let mut meter = Meter::default();
        let running = Meter::start()?;
        let rival = self.open(&self.plain())?;
        self.check_sample(&rival, 1, &[0])?;
        meter.stop(&running)?;
        let resident = Resident::now()?;
        self.check_sample(&rival, SAMPLE, &[0])?;
        self.report(row, 1, &meter, &resident)?;
        rival.close()?;
        self.discard()
    }

    /// Threads that get and put at random, on one store or each on its own.
    fn mixed(&mut self, row: &str, stores: u32) -> Result<()> {
        self.discard()?;
        let stores = (0..stores).map(|at| self.store_of_all(at)).collect::<Result<Vec<R>>>()?;
        let run = &*self;
        let mut meter = Meter::default();
        let running = Meter::start()?;
        let tallies = thread::scope(|scope| -> Result<Vec<Tally>> {
            let start = |(at, store)| scope.spawn(move || run.mix_operations(store, at));
            let threads: Vec<_> = (0..MIXED_THREADS).zip(stores.iter().cycle()).map(start).collect();
            let join = |thread: thread::ScopedJoinHandle<'_, std::result::Result<_, String>>| {
                Ok(thread.join().map_err(|_| "a thread panicked")??)
            };
            threads.into_iter().map(join).collect()
        })?;
        meter.stop(&running)?;
        let resident = Resident::now()?;
        for (at, tally) in (0..MIXED_THREADS).zip(tallies) {
            if tally != self.mixed_expected(at) {
                return Err("what was found is not what was put".into());
            }
        }
        stores.iter().try_for_each(R::sync)?;
        let operations = MIXED_THREADS * self.mixed_operations();
        self.report(row, operations.into(), &meter, &resident)?;
        stores.into_iter().try_for_each(R::close)?;
        self.discard()
    }

    fn store_of_all(&mut self, at: u32) -> Result<R> {
        let shape = self.plain();
        let rival = self.open(&Shape { dir: shape.dir.join(format!("copy{at}")), ..shape })?;
        let order = self.fill_order()?;
        rival.put_all(&mut Feed::new(&order, 0, self.arguments.value_len))?;
        rival.sync()?;
        Ok(rival)
    }

    fn mix_operations(&self, store: &R, thread: u32) -> std::result::Result<Tally, String> {
        let said = |error: Box<dyn std::error::Error>| error.to_string();
        let mut tally = Tally::default();
        let (mut key, mut value) = ([0; KEY_LEN], vec![0; self.arguments.value_len]);
        for (is_put, number) in self.mixed_numbers(thread) {
            write_key(number, &mut key);
            if is_put {
                write_value(number, 0, &mut value);
                store.put_any(&key, &value).map_err(said)?;
            } else {
                store.get_any(&key, &mut tally).map_err(said)?;
            }
        }
        Ok(tally)
    }

    fn mixed_expected(&self, thread: u32) -> Tally {
        let mut tally = Tally::default();
        let mut value = vec![0; self.arguments.value_len];
        for (_, number) in self.mixed_numbers(thread).filter(|(is_put, _)| !is_put) {
            write_value(number, 0, &mut value);
            tally.found(&value);
        }
        tally
    }

    /// Whether it is a put, and of which record.
    fn mixed_numbers(&self, thread: u32) -> impl Iterator<Item = (bool, u32)> + use<R> {
        let records = self.arguments.records;
        let mut rng = Rng((self.arguments.seed + 9 + u64::from(thread)) << 32);
        (0..self.mixed_operations())
            .map(move |at| (at % MIXED_PUT_EVERY == 0, rng.below(records)))
    }

    fn mixed_operations(&self) -> u32 {
        self.arguments.records.min(MIXED_OPERATIONS_MAX)
    }

    /// Long values put at random, then as much again appended to each.
    fn append_long(&mut self, row: &str) -> Result<()> {
        self.discard()?;
        let records = (self.arguments.records / RECORDS_A_LONG_VALUE).clamp(1, LONG_VALUES_MAX);
        let shape = Shape { records, value_len: LONG_LEN, memory: LONG_MEMORY, ..self.plain() };
        let puts = Order::permutation(records, self.arguments.seed + 1)?;
        let appends = Order::permutation(records, self.arguments.seed + 6)?;
        let mut first = Feed::stamped(&puts, 0, LONG_LEN);
        let mut second = Feed::stamped(&appends, 1, LONG_LEN);
        let mut meter = Meter::default();
        let running = Meter::start()?;
        let rival = self.open(&shape)?;
        rival.put_all(&mut first)?;
        rival.append_all(&mut second)?;
        rival.sync()?;
        meter.stop(&running)?;
        let resident = Resident::now()?;
        let running = Meter::start()?;
        rival.close()?;
        meter.stop(&running)?;
        self.report(row, u64::from(records) * 2, &meter, &resident)?;
        let rival = self.open(&shape)?;
        for number in 0..records.min(LONG_SAMPLE) {
            let mut joined = stamped(number, 0, LONG_LEN)?;
            joined.extend(stamped(number, 1, LONG_LEN)?);
            check_joined(&rival, number, &joined)?;
        }
        rival.close()?;
        self.discard()
    }

    /// A few short appends to one huge value, from opening to closing; the value is not in memory
    /// before.
    fn append_huge(&mut self, row: &str) -> Result<()> {
        self.discard()?;
        let value_len = (self.arguments.records as usize * HUGE_BYTES_A_RECORD).min(HUGE_LEN_MAX);
        let shape = Shape { records: 1, value_len, memory: LONG_MEMORY, ..self.plain() };
        let rival = self.open(&shape)?;
        rival.put_all(&mut Feed::stamped(&Order::single(0)?, 0, value_len))?;
        rival.sync()?;
        self.close_and_forget(rival)?;
        let pieces = Order::repeated(0, HUGE_APPENDS)?;
        let mut feed = Feed::stamped(&pieces, 1, HUGE_APPEND_LEN);
        let mut meter = Meter::default();
        let running = Meter::start()?;
        let rival = self.open(&shape)?;
        rival.append_all(&mut feed)?;
        rival.sync()?;
        rival.close()?;
        meter.stop(&running)?;
        self.report(row, HUGE_APPENDS.into(), &meter, &Resident::now()?)?;
        let mut joined = stamped(0, 0, value_len)?;
        for _ in 0..HUGE_APPENDS {
            joined.extend(stamped(0, 1, HUGE_APPEND_LEN)?);
        }
        let rival = self.open(&shape)?;
        check_joined(&rival, 0, &joined)?;
        rival.close()?;
        self.discard()
    }

    fn cold_get(
        &mut self,
        row: &str,
        seed: u64,
        get: fn(&R, &mut Feed<'_>, &mut Tally) -> Result<()>,
    ) -> Result<()> {
        let rival = self.opened_cold()?;
        let (order, count) = self.cold_order(seed)?;
        let mut tally = Tally::default();
        let mut meter = Meter::default();
        let running = Meter::start()?;
        get(&rival, &mut Feed::new(&order, 0, 0), &mut tally)?;
        meter.stop(&running)?;
        let mut expected = Tally::default();
        let mut feed = Feed::new(&order, 0, self.arguments.value_len);
        while let Some((_, value)) = feed.record() {
            expected.found(value);
        }
        if tally != expected {
            return Err("what was found is not what was put".into());
        }
        self.report(row, count, &meter, &Resident::now()?)?;
        self.rival = Some(rival);
        Ok(())
    }

    fn cold_put(&mut self, row: &str) -> Result<()> {
        let rival = self.opened_cold()?;
        let (order, count) = self.cold_order(10)?;
        let mut meter = Meter::default();
        let running = Meter::start()?;
        rival.put_all(&mut Feed::new(&order, 1, self.arguments.value_len))?;
        rival.sync()?;
        meter.stop(&running)?;
        self.check_sample(&rival, SAMPLE, &[0, 1])?;
        self.report(row, count, &meter, &Resident::now()?)?;
        rival.close()?;
        self.discard()
    }

    fn cold_order(&self, seed: u64) -> Result<(Order, u64)> {
        let records = self.arguments.records;
        let count = (records / RECORDS_A_COLD_OPERATION).max(1);
        Ok((Order::draws(count, records, self.arguments.seed + seed)?, count.into()))
    }

    /// A full store, filled in order, with little memory and nothing of it in the page cache.
    fn opened_cold(&mut self) -> Result<R> {
        let shape = Shape { memory: self.arguments.memory, ..self.plain() };
        if !self.cold_filled {
            self.discard()?;
            let rival = self.open(&shape)?;
            let order = Order::sequential(self.arguments.records)?;
            rival.put_all(&mut Feed::new(&order, 0, self.arguments.value_len))?;
            rival.sync()?;
            self.rival = Some(rival);
            self.cold_filled = true;
        }
        if let Some(rival) = self.rival.take() {
            self.close_and_forget(rival)?;
        }
        self.open(&shape)
    }

    fn close_and_forget(&self, rival: R) -> Result<()> {
        rival.close()?;
        forget_pages(&self.arguments.dir)
    }
}

/// A long value as [`Feed::stamped`] makes it.
fn stamped(number: u32, generation: u64, len: usize) -> Result<Vec<u8>> {
    let order = Order::single(number)?;
    let mut feed = Feed::stamped(&order, generation, len);
    let (_, value) = feed.record().ok_or("an empty order")?;
    Ok(value.to_vec())
}

fn check_joined<R: Rival>(rival: &R, number: u32, joined: &[u8]) -> Result<()> {
    let (mut found, mut expected) = (Tally::default(), Tally::default());
    let order = Order::single(number)?;
    rival.get_all(&mut Feed::new(&order, 0, 0), &mut found)?;
    expected.found(joined);
    if found != expected {
        return Err(format!("value {number} is not what was put and appended").into());
    }
    Ok(())
}
