//! Counts that do not jitter: system calls and instructions per key.
//!
//! Both are differences of a run with N and one with 2 N batches, so that starting, connecting and
//! preloading cancel.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use todana_bench::{Amount, Plan, preload};

use crate::contestant::{Server, Who};
use crate::rows::{self, Row};
use crate::{Contestants, CountsArgs, Result, machine, write_json};

/// Nothing is answered quickly under valgrind.
const TIMEOUT_MS: u64 = 120_000;

#[derive(Debug, Serialize)]
struct Counted {
    row: String,
    contestant: &'static str,
    syscalls_per_batch: BTreeMap<String, f64>,
    syscalls_per_key: f64,
    instructions_per_key: Option<f64>,
}

/// `todana-side-by-side counts`.
pub(crate) fn run(args: &CountsArgs) -> Result<()> {
    machine::pin_myself(args.contestants.client_core)?;
    let folder = std::env::temp_dir().join(format!("todana-counts-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let done = count_all(args, &folder);
    fs::remove_dir_all(&folder)?;
    write_json(args.json.as_deref(), &done?)
}

fn count_all(args: &CountsArgs, folder: &Path) -> Result<Vec<Counted>> {
    let rows = rows::all(false).into_iter().filter(|row| {
        row.value_size == 64
            && (row.get_ratio == 0.0 || row.get_ratio == 1.0)
            && args.only.as_ref().is_none_or(|only| row.name.contains(only.as_str()))
    });
    println!("| row | contestant | instructions/key | system calls/key | of them per batch |");
    println!("|---|---|---|---|---|");
    let mut all = Vec::new();
    let present = args.contestants.present();
    for row in rows {
        for who in present.iter().copied().filter(|who| who.speaks(row.dialect).is_some()) {
            eprintln!("counting {}: {}", who.name(), row.name);
            let counted = count(args, &row, who, folder)?;
            let calls: Vec<String> = counted
                .syscalls_per_batch
                .iter()
                .map(|(name, calls)| format!("{name} {calls:.2}"))
                .collect();
            println!(
                "| {} | {} | {} | {:.3} | {} |",
                row.name,
                who.name(),
                counted
                    .instructions_per_key
                    .map_or("–".to_owned(), |count| format!("{count:.0}")),
                counted.syscalls_per_key,
                calls.join(", "),
            );
            all.push(counted);
        }
    }
    Ok(all)
}

fn count(args: &CountsArgs, row: &Row, who: Who, folder: &Path) -> Result<Counted> {
    let keys_per_batch = row.keys_per_batch() as f64;
    let [once, twice] = [1, 2].map(|times| syscalls(args, row, who, folder, times));
    let (once, twice) = (once?, twice?);
    let mut syscalls_per_batch = BTreeMap::new();
    for (name, calls) in &twice {
        let before = once.get(name).copied().unwrap_or(0);
        let each = (*calls as f64 - before as f64) / args.batches as f64;
        // Background threads sleep by the clock, not by the request; so do timers of the loop, which
        // are less than one in a hundred batches.
        if each >= 0.01 && name != "clock_nanosleep" {
            syscalls_per_batch.insert(name.clone(), each);
        }
    }
    let syscalls_per_key = syscalls_per_batch.values().sum::<f64>() / keys_per_batch;
    let [once, twice] = [1, 2].map(|times| instructions(args, row, who, folder, times));
    let (once, twice) = (once?, twice?);
    // Threads other than the worker tick with time; the worker is where the difference is.
    let worker = twice
        .iter()
        .map(|(thread, count)| count.saturating_sub(once.get(thread).copied().unwrap_or(0)))
        .max();
    let instructions_per_key =
        worker.map(|count| count as f64 / args.batches as f64 / keys_per_batch);
    Ok(Counted {
        row: row.name.clone(),
        contestant: who.name(),
        syscalls_per_batch,
        syscalls_per_key,
        instructions_per_key,
    })
}

/// Starts a server with every key set.
fn start(args: &CountsArgs, row: &Row, who: Who, wrapper: &[String]) -> Result<(Server, Plan)> {
    let plan = Contestants::quiet_plan(row, args.keys, args.connections);
    let server = Server::start(&args.contestants, who, &plan, wrapper, false)?;
    let plan = Plan { timeout_ms: TIMEOUT_MS, ..server.plan(&plan) };
    if !who.is_floor() {
        preload(&plan, |_| ControlFlow::Continue(()))?;
    }
    Ok((server, plan))
}

fn drive(plan: &Plan, batches: u64) -> Result<()> {
    let amount = Amount::Requests(batches * plan.pipeline as u64);
    todana_bench::run(&Plan { amount, ..plan.clone() }, |_| ControlFlow::Continue(()))?;
    Ok(())
}

/// System calls of all threads by name, for `times` times the batches.
fn syscalls(
    args: &CountsArgs,
    row: &Row,
    who: Who,
    folder: &Path,
    times: u64,
) -> Result<BTreeMap<String, u64>> {
    let (server, plan) = start(args, row, who, &[])?;
    let file = folder.join("strace.txt");
    let mut tracer = Command::new("strace")
        .args(["-f", "-c", "-o"])
        .arg(&file)
        .args(["-p", &server.pid().to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("cannot start strace: {error}"))?;
    let traced =
        wait_until_traced(&server, &mut tracer).and_then(|()| drive(&plan, args.batches * times));
    // On an interrupt strace lets go of the server and writes its summary.
    Command::new("kill").args(["-INT", &tracer.id().to_string()]).status()?;
    tracer.wait()?;
    traced?;
    Ok(parse_strace(&fs::read_to_string(&file)?))
}

/// Waits until every thread of the server has the tracer.
fn wait_until_traced(server: &Server, tracer: &mut Child) -> Result<()> {
    let begun = Instant::now();
    let wanted = format!("TracerPid:\t{}", tracer.id());
    while begun.elapsed() < Duration::from_secs(10) {
        let mut all = true;
        for task in fs::read_dir(format!("/proc/{}/task", server.pid()))? {
            all &= fs::read_to_string(task?.path().join("status"))?.contains(&wanted);
        }
        if all {
            return Ok(());
        }
        if tracer.try_wait()?.is_some() {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    Err("strace cannot attach to the server; may this user trace it?".into())
}

/// The lines `% time, seconds, usecs/call, calls, [errors,] name` of `strace -c`.
fn parse_strace(text: &str) -> BTreeMap<String, u64> {
    text.lines()
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let name = words.last().filter(|name| **name != "total")?;
            words.first()?.parse::<f64>().ok()?;
            Some(((*name).to_owned(), words.get(3)?.parse().ok()?))
        })
        .collect()
}

/// Instructions of every thread by its number, for `times` times the batches.
fn instructions(
    args: &CountsArgs,
    row: &Row,
    who: Who,
    folder: &Path,
    times: u64,
) -> Result<BTreeMap<String, u64>> {
    let prefix = format!("callgrind-{times}");
    for old in outputs(folder, &prefix)? {
        fs::remove_file(old)?;
    }
    let file = folder.join(&prefix).display().to_string();
    // memcached sets its limit of open files to its -c, which valgrind takes only as it found it.
    let wrapper = [
        "prlimit",
        "--nofile=1024:2048",
        "valgrind",
        "--tool=callgrind",
        "--separate-threads=yes",
        "--quiet",
        &format!("--callgrind-out-file={file}"),
    ]
    .map(str::to_owned);
    let (server, plan) = start(args, row, who, &wrapper)?;
    drive(&plan, args.batches * times)?;
    server.terminate()?;
    let mut threads = BTreeMap::new();
    for path in outputs(folder, &prefix)? {
        let text = fs::read_to_string(&path)?;
        let total = text
            .lines()
            .filter_map(|line| line.strip_prefix("totals: ").or(line.strip_prefix("summary: ")))
            .filter_map(|count| count.trim().parse::<u64>().ok())
            .max();
        let name = path.display().to_string();
        let thread = name.rsplit('-').next().unwrap_or_default().to_owned();
        threads.insert(thread, total.unwrap_or(0));
    }
    Ok(threads)
}

fn outputs(folder: &Path, prefix: &str) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            paths.push(entry.path());
        }
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_of_strace_is_read() {
        let text = "% time     seconds  usecs/call     calls    errors syscall\n\
                    ------ ----------- ----------- --------- --------- ----------------\n\
                    58.11    0.012345          12      1000       999 read\n\
                    41.89    0.008900           8      1001           sendmsg\n\
                    ------ ----------- ----------- --------- --------- ----------------\n\
                    100.00    0.021245          10      2001       999 total\n";
        let calls = parse_strace(text);
        assert_eq!(calls.len(), 2);
        assert_eq!((calls["read"], calls["sendmsg"]), (1000, 1001));
    }
}
