//! The rows for every kind of engine.

mod tree;

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use serde::Serialize;

use crate::feed::{Feed, Order, Rng, Tally, write_key, write_value};
use crate::meter::{Meter, Resident, directory_bytes};
use crate::{Arguments, BATCH, Bulk, KEY_LEN, Kind, MEMORY_AMPLE, Result, Rival, Shape};

/// Records looked at again, untimed, after a row that changes them.
const SAMPLE: u32 = 1_000;

pub(crate) fn run<R: Rival>(arguments: Arguments) -> Result<()> {
    let mut run =
        Run::<R> { rival: None, clean: false, cold_filled: false, policy: "", arguments };
    for row in run.arguments.rows.clone() {
        match row.as_str() {
            "put-seq" => run.put(&row, Order::sequential(run.arguments.records)?, BATCH)?,
            "put-random" => run.put(&row, run.fill_order()?, BATCH)?,
            "get-random" => run.get(&row, 2, R::get_all)?,
            "get-bulk-32" => run.get(&row, 3, R::get_bulk)?,
            "delete" => run.remove(&row)?,
            "overwrite" => run.overwrite(&row)?,
            "reopen" => run.reopen(&row)?,
            "put-durable-1" => run.put_durable(&row, 1)?,
            "put-durable-64" => run.put_durable(&row, 64)?,
            _ if run.arguments.kind == Kind::Tree => run.tree_row(&row)?,
            unknown => return Err(format!("unknown row {unknown}").into()),
        }
    }
    run.discard()
}

/// What is printed of a row.
#[derive(Serialize)]
struct Report<'a> {
    row: &'a str,
    operations: u64,
    wall_s: f64,
    cpu_s: f64,
    other_cpu_s: f64,
    loadavg: f64,
    file_bytes: u64,
    file_allocated_bytes: u64,
    rss_bytes: u64,
    rss_anon_bytes: u64,
    rss_file_bytes: u64,
    read_bytes: u64,
    written_bytes: u64,
    policy: &'static str,
    bulk: &'static str,
}

struct Run<R> {
    arguments: Arguments,
    rival: Option<R>,
    /// Whether the open store holds every record as first written.
    clean: bool,
    /// Whether the directory holds the store of the cold rows.
    cold_filled: bool,
    /// Of the store that was opened last.
    policy: &'static str,
}

impl<R: Rival> Run<R> {
    fn fill_order(&self) -> Result<Order> {
        Order::permutation(self.arguments.records, self.arguments.seed + 1)
    }

    fn put(&mut self, row: &str, order: Order, batch: u32) -> Result<()> {
        self.discard()?;
        let shape = Shape { batch, ..self.plain() };
        let mut meter = Meter::default();
        let running = Meter::start()?;
        let rival = self.open(&shape)?;
        rival.put_all(&mut Feed::new(&order, 0, self.arguments.value_len))?;
        rival.sync()?;
        meter.stop(&running)?;
        drop(order);
        let resident = Resident::now()?;
        let running = Meter::start()?;
        rival.close()?;
        meter.stop(&running)?;
        self.report(row, self.arguments.records.into(), &meter, &resident)?;
        let rival = self.open(&self.plain())?;
        self.check_sample(&rival, SAMPLE, &[0])?;
        rival.close()?;
        self.discard()
    }

    fn get(
        &mut self,
        row: &str,
        seed: u64,
        get: fn(&R, &mut Feed<'_>, &mut Tally) -> Result<()>,
    ) -> Result<()> {
        let rival = self.filled()?;
        let order = Order::permutation(self.arguments.records, self.arguments.seed + seed)?;
        let mut tally = Tally::default();
        let mut meter = Meter::default();
        let running = Meter::start()?;
        get(&rival, &mut Feed::new(&order, 0, 0), &mut tally)?;
        meter.stop(&running)?;
        drop(order);
        self.report(row, self.arguments.records.into(), &meter, &Resident::now()?)?;
        self.rival = Some(rival);
        let mut expected = Tally::default();
        let order = Order::sequential(self.arguments.records)?;
        let mut feed = Feed::new(&order, 0, self.arguments.value_len);
        while let Some((_, value)) = feed.record() {
            expected.found(value);
        }
        if tally != expected {
            return Err("what was found is not what was put".into());
        }
        Ok(())
    }

    fn remove(&mut self, row: &str) -> Result<()> {
        let rival = self.filled()?;
        self.clean = false;
        let order = Order::permutation(self.arguments.records, self.arguments.seed + 5)?;
        let mut meter = Meter::default();
        let running = Meter::start()?;
        let removed = rival.remove_all(&mut Feed::new(&order, 0, 0))?;
        rival.sync()?;
        meter.stop(&running)?;
        drop(order);
        if removed != u64::from(self.arguments.records) {
            return Err("not every record was there to be deleted".into());
        }
        let order = Order::sequential(self.arguments.records.min(SAMPLE))?;
        let mut tally = Tally::default();
        rival.get_all(&mut Feed::new(&order, 0, 0), &mut tally)?;
        if tally != Tally::default() {
            return Err("a deleted record is there".into());
        }
        drop(order);
        self.report(row, removed, &meter, &Resident::now()?)?;
        self.rival = Some(rival);
        Ok(())
    }

    fn overwrite(&mut self, row: &str) -> Result<()> {
        let rival = self.filled()?;
        self.clean = false;
        let order = Order::draws(self.arguments.records, self.arguments.records, self.arguments.seed + 4)?;
        let mut meter = Meter::default();
        let running = Meter::start()?;
        rival.put_all(&mut Feed::new(&order, 1, self.arguments.value_len))?;
        rival.sync()?;
        meter.stop(&running)?;
        drop(order);
        self.report(row, self.arguments.records.into(), &meter, &Resident::now()?)?;
        self.check_sample(&rival, SAMPLE, &[0, 1])?;
        self.rival = Some(rival);
        Ok(())
    }

    /// Up to the first record read, so that nobody puts the work off.
    fn reopen(&mut self, row: &str) -> Result<()> {
        self.filled()?.close()?;
        let mut meter = Meter::default();
        let running = Meter::start()?;
        let rival = self.open(&self.plain())?;
        self.check_sample(&rival, 1, &[0])?;
        meter.stop(&running)?;
        let resident = Resident::now()?;
        self.check_sample(&rival, SAMPLE, &[0])?;
        rival.close()?;
        self.report(row, 1, &meter, &resident)?;
        self.discard()
    }

    fn put_durable(&mut self, row: &str, threads: u64) -> Result<()> {
        self.discard()?;
        let rival = self.open(&Shape { durable: true, ..self.plain() })?;
        let (begun, over) = (AtomicBool::new(false), AtomicBool::new(false));
        let acknowledged = AtomicU64::new(0);
        let write = |seed: u64| -> std::result::Result<(), String> {
            let mut rng = Rng(seed << 32);
            let (mut key, mut value) = ([0; KEY_LEN], vec![0; self.arguments.value_len]);
            while !begun.load(Ordering::Acquire) {
                thread::yield_now();
            }
            while !over.load(Ordering::Relaxed) {
                let number = rng.below(100_000_000);
                write_key(number, &mut key);
                write_value(number, 0, &mut value);
                rival.put_durable(&key, &value).map_err(|error| error.to_string())?;
                acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        };
        let mut meter = Meter::default();
        thread::scope(|scope| -> Result<()> {
            let write = &write;
            let seeds = self.arguments.seed..self.arguments.seed + threads;
            let writers: Vec<_> = seeds.map(|seed| scope.spawn(move || write(seed))).collect();
            let running = Meter::start()?;
            begun.store(true, Ordering::Release);
            thread::sleep(Duration::from_secs_f64(self.arguments.seconds));
            over.store(true, Ordering::Relaxed);
            for writer in writers {
                writer.join().map_err(|_| "a writer panicked")??;
            }
            meter.stop(&running)
        })?;
        let resident = Resident::now()?;
        rival.close()?;
        self.report(row, acknowledged.into_inner(), &meter, &resident)?;
        self.discard()
    }

    /// An open store with every record as first written; filling it is not timed. Whoever takes it
    /// puts it back.
    fn filled(&mut self) -> Result<R> {
        if let Some(rival) = self.rival.take_if(|_| self.clean) {
            return Ok(rival);
        }
        self.discard()?;
        let rival = self.open(&self.plain())?;
        let order = self.fill_order()?;
        rival.put_all(&mut Feed::new(&order, 0, self.arguments.value_len))?;
        rival.sync()?;
        self.clean = true;
        Ok(rival)
    }

    /// The store of most rows.
    fn plain(&self) -> Shape {
        Shape {
            dir: self.arguments.dir.clone(),
            records: self.arguments.records,
            value_len: self.arguments.value_len,
            durable: false,
            kind: self.arguments.kind,
            batch: BATCH,
            memory: MEMORY_AMPLE,
        }
    }

    fn open(&mut self, shape: &Shape) -> Result<R> {
        fs::create_dir_all(&shape.dir)?;
        self.policy = R::policy(shape);
        R::open(shape)
    }

    /// Closes the store and removes its files.
    fn discard(&mut self) -> Result<()> {
        if let Some(rival) = self.rival.take() {
            rival.close()?;
        }
        self.clean = false;
        self.cold_filled = false;
        if self.arguments.dir.exists() {
            fs::remove_dir_all(&self.arguments.dir)?;
        }
        Ok(())
    }

    /// The first records are of one of these generations.
    fn check_sample(&self, rival: &R, count: u32, generations: &[u64]) -> Result<()> {
        for number in 0..count.min(self.arguments.records) {
            let mut found = Tally::default();
            let order = Order::single(number)?;
            rival.get_all(&mut Feed::new(&order, 0, 0), &mut found)?;
            let fits = generations.iter().any(|generation| {
                let mut value = vec![0; self.arguments.value_len];
                write_value(number, *generation, &mut value);
                let mut expected = Tally::default();
                expected.found(&value);
                expected == found
            });
            if !fits {
                return Err(format!("record {number} is not what was put").into());
            }
        }
        Ok(())
    }

    fn report(
        &self,
        row: &str,
        operations: u64,
        meter: &Meter,
        resident: &Resident,
    ) -> Result<()> {
        let (file_bytes, file_allocated_bytes) = directory_bytes(&self.arguments.dir)?;
        let report = Report {
            row,
            operations,
            wall_s: micros(meter.wall_s),
            cpu_s: micros(meter.cpu_s),
            other_cpu_s: micros(meter.other_s.max(0.0)),
            loadavg: loadavg()?,
            file_bytes,
            file_allocated_bytes,
            rss_bytes: resident.all,
            rss_anon_bytes: resident.anon,
            rss_file_bytes: resident.file,
            read_bytes: meter.io.read,
            written_bytes: meter.io.written,
            policy: self.policy,
            bulk: match R::BULK {
                Bulk::Native => "native",
                Bulk::Loop => "loop",
            },
        };
        println!("{}", serde_json::to_string(&report)?);
        Ok(())
    }
}

fn loadavg() -> Result<f64> {
    let text = fs::read_to_string("/proc/loadavg")?;
    Ok(text.split_whitespace().next().ok_or("an empty load average")?.parse()?)
}

/// Rounded to what the clocks are good for.
fn micros(seconds: f64) -> f64 {
    (seconds * 1e6).round() / 1e6
}
