//! Counts against stored ones: what a change may not make dearer unnoticed.
//!
//! Figures are of Todana alone, per request: a multi-get of 50 keys is one. Instructions are counted
//! over epoll, for valgrind knows nothing of io_uring; system calls over both.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::contestant::{Server, Who};
use crate::counts;
use crate::rows::Row;
use crate::{Contestants, CountsArgs, Result, machine};

/// How much a figure may exceed the stored one, as a share of it.
const EXCESS_MAX: f64 = 0.02;
/// valgrind leaves fewer open files than the thousand connections of the other benchmarks need.
const CONNECTIONS_MAX: &str = "-c 500";
const STORE_COMMAND: &str = "cargo xtask counts --store";

/// The file of stored figures.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    counted_on: Machine,
    /// By the name of the row.
    rows: Rows,
}

type Rows = BTreeMap<String, Figures>;

/// What figures may depend on besides the source.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Machine {
    processor: String,
    libc: String,
    valgrind: String,
    compiler: String,
}

/// Figures of a row, each per request.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Figures {
    instructions: f64,
    syscalls_epoll: f64,
    /// None where the system forbids io_uring.
    syscalls_io_uring: Option<f64>,
}

/// What comparing came to, a line each.
#[derive(Debug, Default, PartialEq)]
struct Comparison {
    failures: Vec<String>,
    /// Figures so much lower that the stored ones can be lowered.
    lower: Vec<String>,
}

/// `todana-side-by-side counts` with `--check` or `--store`.
pub(crate) fn run(args: &CountsArgs, folder: &Path) -> Result<()> {
    // Read first: counting takes longer than seeing that the file is not there.
    let before = if args.stored.exists() || args.check { Some(read(&args.stored)?) } else { None };
    let counted = Stored { counted_on: Machine::here(), rows: count(args, folder)? };
    match before {
        Some(before) if args.check => judge(&before, &counted, args.only.is_none()),
        before => store(&args.stored, before, counted),
    }
}

fn count(args: &CountsArgs, folder: &Path) -> Result<Rows> {
    let rows = counts::rows(args);
    let [epoll, io_uring] = ["epoll", "io_uring"].map(|io| with_io(args, io));
    let io_uring = match rows.first() {
        Some(row) if may_use_io_uring(&io_uring, row)? => Some(io_uring),
        _ => None,
    };
    println!("| row, per request | instructions | system calls, epoll | system calls, io_uring |");
    println!("|---|---|---|---|");
    let mut counted = Rows::new();
    for row in &rows {
        eprintln!("counting {}", row.name);
        let requests = row.pipeline as f64;
        let syscalls = |args: &CountsArgs| -> Result<f64> {
            let calls = counts::syscalls_per_batch(args, row, Who::Todana, folder)?;
            Ok(round(calls.values().sum::<f64>(), 1e2) / requests)
        };
        let instructions = counts::instructions_per_batch(&epoll, row, Who::Todana, folder)?;
        let figures = Figures {
            instructions: round(instructions / requests, 1.0),
            syscalls_epoll: syscalls(&epoll)?,
            syscalls_io_uring: io_uring.as_ref().map(syscalls).transpose()?,
        };
        println!("| {} | {figures} |", row.name);
        counted.insert(row.name.clone(), figures);
    }
    Ok(counted)
}

/// To so many parts of one.
fn round(figure: f64, parts: f64) -> f64 {
    (figure * parts).round() / parts
}

/// Keys, batches and the one connection are the defaults, from which `--check` and `--store` let nobody
/// depart. Sets overwrite what was preloaded: the index does not grow, nothing is evicted.
fn with_io(args: &CountsArgs, io: &str) -> CountsArgs {
    let todana_args = format!("{} {CONNECTIONS_MAX} --io {io}", args.contestants.todana_args);
    CountsArgs {
        contestants: Contestants { todana_args, ..args.contestants.clone() },
        ..args.clone()
    }
}

/// Whether the system lets a server use io_uring; says so when it does not.
fn may_use_io_uring(args: &CountsArgs, row: &Row) -> Result<bool> {
    match Server::start(&args.contestants, Who::Todana, &row.plan(args.keys), &[], false) {
        Ok(_) => Ok(true),
        // What the server says when the trial of a ring failed.
        Err(error) if error.to_string().contains("use io_uring") => {
            eprintln!("no system calls of io_uring counted, it cannot be used here: {error}");
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Fails where a figure exceeds the stored one.
fn judge(before: &Stored, now: &Stored, all_rows: bool) -> Result<()> {
    let Comparison { failures, lower } = compare(&before.rows, &now.rows, all_rows);
    for line in &lower {
        println!("lower than stored: {line}; `{STORE_COMMAND}` takes it over");
    }
    if failures.is_empty() {
        println!("counts: no figure exceeds the stored one by more than {:.0} %", EXCESS_MAX * 1e2);
        return Ok(());
    }
    for line in &failures {
        println!("FAILED: {line}");
    }
    println!("stored on:  {}\ncounted on: {}", before.counted_on, now.counted_on);
    if before.counted_on != now.counted_on {
        println!("These differ: see whether the commit before passes here.");
    }
    Err(format!(
        "{} counts do not fit the stored ones; if they are meant to change, run `{STORE_COMMAND}` and \
         commit what it writes with the change",
        failures.len()
    )
    .into())
}

/// Holds every figure against the stored one. With `all_rows`, a stored row must have been counted.
fn compare(stored: &Rows, counted: &Rows, all_rows: bool) -> Comparison {
    let mut comparison = Comparison::default();
    let names: BTreeSet<&String> = match all_rows {
        true => stored.keys().chain(counted.keys()).collect(),
        false => counted.keys().collect(),
    };
    for name in names {
        match (stored.get(name), counted.get(name)) {
            (Some(stored), Some(counted)) => comparison.add(name, stored, counted),
            (None, _) => {
                comparison.failures.push(format!("{name}: nothing is stored for this row"))
            }
            (_, None) => {
                comparison.failures.push(format!("{name}: stored, but no such row is counted"))
            }
        }
    }
    comparison
}

impl Comparison {
    fn add(&mut self, row: &str, stored: &Figures, counted: &Figures) {
        self.add_figure(row, "instructions", Some(stored.instructions), counted.instructions);
        let epoll = "system calls by epoll";
        self.add_figure(row, epoll, Some(stored.syscalls_epoll), counted.syscalls_epoll);
        if let Some(calls) = counted.syscalls_io_uring {
            self.add_figure(row, "system calls by io_uring", stored.syscalls_io_uring, calls);
        }
    }

    fn add_figure(&mut self, row: &str, figure: &str, stored: Option<f64>, counted: f64) {
        let Some(stored) = stored else {
            self.failures.push(format!("{row}: {figure}: nothing is stored for this figure"));
            return;
        };
        let percent = (counted / stored - 1.0) * 100.0;
        let line = format!("{row}: {figure}: {counted}, stored {stored}: {percent:+.1} %");
        if counted > stored * (1.0 + EXCESS_MAX) {
            self.failures.push(line);
        } else if counted < stored * (1.0 - EXCESS_MAX) {
            self.lower.push(line);
        }
    }
}

fn read(path: &Path) -> Result<Stored> {
    let text = fs::read_to_string(path).map_err(|error| {
        format!("cannot read {}: {error}; `{STORE_COMMAND}` makes it", path.display())
    })?;
    serde_json::from_str(&text)
        .map_err(|error| format!("{} is damaged: {error}", path.display()).into())
}

/// Writes what was counted. What could not be counted here stays as it was.
fn store(path: &Path, before: Option<Stored>, mut now: Stored) -> Result<()> {
    let before = before.map(|before| before.rows).unwrap_or_default();
    for (name, figures) in &mut now.rows {
        let kept = before.get(name).and_then(|figures| figures.syscalls_io_uring);
        figures.syscalls_io_uring = figures.syscalls_io_uring.or(kept);
    }
    let text = serde_json::to_string_pretty(&now)? + "\n";
    fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    println!("stored in {}", path.display());
    Ok(())
}

impl Machine {
    fn here() -> Self {
        Self {
            processor: machine::processor(),
            libc: machine::first_line("getconf", "GNU_LIBC_VERSION"),
            valgrind: machine::first_line("valgrind", "--version"),
            compiler: machine::first_line("rustc", "--version"),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}, {}, {}", self.processor, self.libc, self.valgrind, self.compiler)
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} | {} | ", self.instructions, self.syscalls_epoll)?;
        match self.syscalls_io_uring {
            Some(calls) => calls.fmt(f),
            None => f.write_str("–"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORED: [f64; 3] = [1000.0, 3.0, 1.0];

    fn rows(name: &str, [instructions, syscalls_epoll, io_uring]: [f64; 3]) -> Rows {
        let syscalls_io_uring = Some(io_uring);
        let figures = Figures { instructions, syscalls_epoll, syscalls_io_uring };
        Rows::from([(name.to_owned(), figures)])
    }

    fn check(counted: [f64; 3], failures: &[&str], lower: &[&str]) {
        let comparison = compare(&rows("get", STORED), &rows("get", counted), true);
        assert_eq!(comparison.failures, failures);
        assert_eq!(comparison.lower, lower);
    }

    #[test]
    fn a_figure_may_exceed_the_stored_one_by_two_percent() {
        check(STORED, &[], &[]);
        check([1010.0, 3.03, 1.01], &[], &[]);
        check([1020.0, 3.06, 1.02], &[], &[]);
        check([1030.0, 3.0, 1.0], &["get: instructions: 1030, stored 1000: +3.0 %"], &[]);
        check([1000.0, 3.09, 1.0], &["get: system calls by epoll: 3.09, stored 3: +3.0 %"], &[]);
        check([1000.0, 3.0, 2.0], &["get: system calls by io_uring: 2, stored 1: +100.0 %"], &[]);
    }

    #[test]
    fn what_is_lower_is_said_and_no_failure() {
        check([990.0, 2.97, 0.99], &[], &[]);
        check([970.0, 3.0, 1.0], &[], &["get: instructions: 970, stored 1000: -3.0 %"]);
    }

    #[test]
    fn a_row_that_is_missing_is_a_failure() {
        let (get, set) = (rows("get", STORED), rows("set", STORED));
        let failures = |stored, counted, all| compare(stored, counted, all).failures;
        let not_stored = "set: nothing is stored for this row".to_owned();
        let not_counted = "get: stored, but no such row is counted".to_owned();
        assert_eq!(failures(&get, &set, true), [not_counted, not_stored.clone()]);
        assert_eq!(failures(&get, &set, false), [not_stored]);
    }

    #[test]
    fn io_uring_counts_where_it_was_counted() {
        let without = |mut rows: Rows| {
            rows.values_mut().for_each(|figures| figures.syscalls_io_uring = None);
            rows
        };
        let (all, fewer) = (rows("get", STORED), without(rows("get", STORED)));
        assert_eq!(compare(&all, &fewer, true), Comparison::default());
        let failures = compare(&fewer, &all, true).failures;
        assert_eq!(failures, ["get: system calls by io_uring: nothing is stored for this figure"]);
    }

    #[test]
    fn failing_names_the_command_that_stores() {
        let stored = |figures| Stored { counted_on: Machine::here(), rows: rows("get", figures) };
        let judged = judge(&stored(STORED), &stored([1030.0, 3.0, 1.0]), true);
        let said = judged.map_err(|error| error.to_string()).unwrap_err();
        assert!(said.contains(STORE_COMMAND), "{said}");
        assert!(judge(&stored(STORED), &stored([1010.0, 3.0, 1.0]), true).is_ok());
    }

    #[test]
    fn the_stored_file_has_every_row() {
        let stored = read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/counts.json"))).unwrap();
        let rows = crate::rows::all(false);
        for name in stored.rows.keys() {
            assert!(rows.iter().any(|row| row.name == *name), "{name}");
        }
    }
}
