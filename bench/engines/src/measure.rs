//! Rounds, contestants in turn, and the programs that measure.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::cgroup::Cgroup;
use crate::contestant::{self, Contestant};
use crate::floor::Floor;
use crate::row::Row;
use crate::{Result, RunArgs, bounds, table};

/// Keys are `%08d`.
const KEY_LEN: u64 = 8;
/// Data over memory in cold rows.
const COLD_FACTOR: u64 = 4;
/// Memory in cold rows at least; less does not hold a program's own buffers.
const COLD_MEMORY_MIN: u64 = 16 << 20;
/// What a process in a cgroup may take beside: its code, its heap, the orders.
const COLD_EXTRA: u64 = 64 << 20;
/// The row that leaves a store behind for `reopen-killed`.
const FILL_AND_DIE: &str = "fill-and-die";

/// What a program prints of one row.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Sample {
    pub(crate) row: Row,
    pub(crate) operations: u64,
    pub(crate) wall_s: f64,
    /// User and system time of the whole process.
    pub(crate) cpu_s: f64,
    /// CPU time of all others on the machine.
    pub(crate) other_cpu_s: f64,
    pub(crate) loadavg: f64,
    /// Lengths of the files at the end of the row.
    pub(crate) file_bytes: u64,
    /// What the file system has given them.
    pub(crate) file_allocated_bytes: u64,
    pub(crate) rss_bytes: u64,
    pub(crate) rss_anon_bytes: u64,
    pub(crate) rss_file_bytes: u64,
    /// Read from the disk.
    pub(crate) read_bytes: u64,
    /// Made dirty in the page cache.
    pub(crate) written_bytes: u64,
    pub(crate) policy: String,
    pub(crate) bulk: String,
}

impl Sample {
    pub(crate) fn per_cpu_second(&self) -> f64 {
        self.operations as f64 / self.cpu_s.max(1e-9)
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.operations as f64 / self.wall_s.max(1e-9)
    }

    /// Read from the disk and written, an operation.
    pub(crate) fn io_bytes(&self) -> f64 {
        (self.read_bytes + self.written_bytes) as f64 / self.operations as f64
    }
}

/// All measurements of one contestant in one row, round by round.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Series {
    pub(crate) contestant: &'static str,
    pub(crate) is_hash_rival: bool,
    pub(crate) samples: Vec<Sample>,
}

/// A measured row.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Measured {
    pub(crate) row: Row,
    pub(crate) series: Vec<Series>,
}

impl Measured {
    pub(crate) fn of(&self, contestant: &str) -> Option<&Series> {
        self.series.iter().find(|series| series.contestant == contestant)
    }
}

/// A contestant and its program.
struct Ready {
    contestant: &'static Contestant,
    program: PathBuf,
}

/// `todana-engines-side-by-side run`.
pub(crate) fn run(args: &RunArgs) -> Result<()> {
    let rows = Row::groups(args.kind).concat();
    if let Some(row) = args.rows.iter().find(|row| !rows.contains(row)) {
        return Err(format!("{row} is not a row of --kind {}", args.kind).into());
    }
    let ready = build(args);
    // A folder of this run alone inside what may be the user's own.
    let dir = args.dir.join(format!("todana-engines-{}", std::process::id()));
    fs::create_dir_all(&dir)
        .map_err(|error| format!("cannot create {}: {error}", dir.display()))?;
    let measured = measure(args, &ready, &dir);
    fs::remove_dir_all(&dir)?;
    // Stays if anything else is in it.
    let _ = fs::remove_dir(&args.dir);
    let measured = measured?;
    print!("{}", bounds::table(args.kind, &measured, args.records, args.value_len));
    if let Some(path) = &args.json {
        fs::write(path, serde_json::to_string_pretty(&measured)?)
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    Ok(())
}

/// Those whose programs are there; the tables begin with who is missing.
fn build(args: &RunArgs) -> Vec<Ready> {
    let mut ready = Vec::new();
    for contestant in contestant::ALL.iter().filter(|one| one.is_among(&args.only)) {
        eprintln!("building: {}", contestant.name);
        match contestant.build(args.kind) {
            Ok(program) => ready.push(Ready { contestant, program }),
            Err(error) => println!("{}: {error}", contestant.name),
        }
    }
    ready
}

fn measure(args: &RunArgs, ready: &[Ready], dir: &Path) -> Result<Vec<Measured>> {
    println!(
        "{} records, keys of 8 bytes, values of {} bytes, {} rounds. {}",
        args.records,
        args.value_len,
        args.runs,
        table::LEGEND
    );
    let mut all = Vec::new();
    for group in Row::groups(args.kind) {
        let wanted = |row: &&Row| args.rows.is_empty() || args.rows.contains(row);
        let rows: Vec<Row> = group.iter().filter(wanted).copied().collect();
        if rows.is_empty() {
            continue;
        }
        let measured = measure_group(args, ready, &rows, dir)?;
        for measured in &measured {
            print!("{}", table::of(measured, args.records));
        }
        all.extend(measured);
    }
    Ok(all)
}

/// A group of rows that one process measures, all contestants in all rounds.
fn measure_group(
    args: &RunArgs,
    ready: &[Ready],
    rows: &[Row],
    dir: &Path,
) -> Result<Vec<Measured>> {
    let mut measured: Vec<Measured> =
        rows.iter().map(|&row| Measured { row, series: Vec::new() }).collect();
    let floors = Floor::beside(rows);
    let mut failed = Vec::new();
    for round in 0..args.runs {
        for at in order(round as usize, ready.len() + floors.len()) {
            if let Some(ready) = ready.get(at) {
                if failed.contains(&at) {
                    continue;
                }
                let contestant = ready.contestant;
                eprintln!("round {}: {} {}", round + 1, names(rows), contestant.name);
                match run_rows(args, ready, rows, &dir.join(at.to_string()), round) {
                    Ok(samples) => {
                        for sample in samples {
                            add(&mut measured, contestant.name, contestant.is_hash_rival, sample);
                        }
                    }
                    // The others go on.
                    Err(error) => {
                        failed.push(at);
                        println!("\n{} failed at {}: {error}", contestant.name, names(rows));
                    }
                }
            } else if let Some(floor) = floors.get(at - ready.len()) {
                let sample = run_floor(args, rows[0], *floor, &dir.join(at.to_string()))?;
                add(&mut measured, floor.name(), false, sample);
            }
        }
    }
    // In the tables everybody has a fixed place, whoever came first in which round.
    let place = |name: &str| contestant::ALL.iter().position(|one| one.name == name);
    for measured in &mut measured {
        measured.series.sort_by_key(|series| place(series.contestant).unwrap_or(usize::MAX));
    }
    Ok(measured)
}

fn add(measured: &mut [Measured], contestant: &'static str, is_hash_rival: bool, sample: Sample) {
    let Some(measured) = measured.iter_mut().find(|measured| measured.row == sample.row) else {
        return;
    };
    match measured.series.iter_mut().find(|series| series.contestant == contestant) {
        Some(series) => series.samples.push(sample),
        None => {
            measured.series.push(Series { contestant, is_hash_rival, samples: vec![sample] });
        }
    }
}

fn names(rows: &[Row]) -> String {
    rows.iter().map(Row::to_string).collect::<Vec<_>>().join(",")
}

/// Forth and back, and every other pair of rounds begins one further: ABC CBA BCA ACB ...
fn order(round: usize, count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).map(|at| (at + round / 2) % count).collect();
    if round % 2 == 1 {
        order.reverse();
    }
    order
}

fn run_rows(
    args: &RunArgs,
    ready: &Ready,
    rows: &[Row],
    dir: &Path,
    round: u32,
) -> Result<Vec<Sample>> {
    // What a round before this one left behind, had it failed.
    let _ = fs::remove_dir_all(dir);
    let mut program = Command::new(&ready.program);
    let mut bounded_by = String::new();
    if rows.iter().any(|row| row.is_cold()) {
        bounded_by = format!("; {} MiB", cold_memory(args) >> 20);
        if let Some(cgroup) = &args.cgroup {
            let limit = cold_memory(args) + COLD_EXTRA;
            program = Cgroup::limited(cgroup, limit)?.command(&ready.program);
            bounded_by = format!("; {} MiB of cgroup", limit >> 20);
        }
    }
    if rows == [Row::ReopenKilled] {
        run_program(args, Command::new(&ready.program), FILL_AND_DIE, dir, round)?;
    }
    let mut samples = run_program(args, program, &names(rows), dir, round)?;
    samples.iter_mut().for_each(|sample| sample.policy.push_str(&bounded_by));
    Ok(samples)
}

/// What the caches may take in cold rows.
fn cold_memory(args: &RunArgs) -> u64 {
    let data = u64::from(args.records) * (KEY_LEN + u64::from(args.value_len));
    (data / COLD_FACTOR).max(COLD_MEMORY_MIN)
}

fn run_program(
    args: &RunArgs,
    mut program: Command,
    rows: &str,
    dir: &Path,
    round: u32,
) -> Result<Vec<Sample>> {
    let output = program
        .arg("--dir")
        .arg(dir)
        .args(["--kind", &args.kind.to_string()])
        .args(["--records", &args.records.to_string()])
        .args(["--value-len", &args.value_len.to_string()])
        .args(["--rows", rows])
        // Orders of one round are the same for all, of the next one others.
        .args(["--seed", &(args.seed + 100 * u64::from(round)).to_string()])
        .args(["--seconds", &args.seconds.to_string()])
        .args(["--memory", &cold_memory(args).to_string()])
        .output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let line = said.lines().last().unwrap_or("it said nothing");
        return Err(format!("{} ({line})", output.status).into());
    }
    String::from_utf8(output.stdout)?
        .lines()
        .map(|line| serde_json::from_str(line).map_err(|error| format!("{error}: {line}").into()))
        .collect()
}

fn run_floor(args: &RunArgs, row: Row, floor: Floor, dir: &Path) -> Result<Sample> {
    eprintln!("{}", floor.name());
    let seconds = Duration::from_secs_f64(args.seconds);
    let (operations, elapsed) = floor.run(dir, seconds, args.records)?;
    let loadavg = fs::read_to_string("/proc/loadavg")?;
    Ok(Sample {
        row,
        operations,
        wall_s: elapsed.as_secs_f64(),
        cpu_s: f64::NAN,
        other_cpu_s: f64::NAN,
        loadavg: loadavg.split_whitespace().next().unwrap_or_default().parse()?,
        file_bytes: 0,
        file_allocated_bytes: 0,
        rss_bytes: 0,
        rss_anon_bytes: 0,
        rss_file_bytes: 0,
        read_bytes: 0,
        written_bytes: 0,
        policy: floor.policy().to_owned(),
        bulk: String::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_contestant_has_every_place_equally_often() {
        for count in [2, 3, 8] {
            let mut places = vec![vec![0; count]; count];
            for round in 0..2 * count {
                for (place, at) in order(round, count).into_iter().enumerate() {
                    places[at][place] += 1;
                }
            }
            assert!(places.iter().flatten().all(|&times| times == 2), "{places:?}");
        }
    }
}
