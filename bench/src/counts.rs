//! Counts that do not jitter: system calls and instructions per key.
//!
//! Both are differences of a run with N and one with 2 N batches, so that starting, connecting and
//! preloading cancel, and both are of the thread that differs most: that is the worker. Others tick
//! with time.

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
use crate::{Contestants, CountsArgs, Result, gate, machine, write_json};

/// Nothing is answered quickly under valgrind.
const TIMEOUT_MS: u64 = 120_000;

/// What threads do that wait for the clock, or for each other. On a slow machine some do more of it than
/// a worker does calls.
const WAITS: [&str; 3] = ["clock_nanosleep", "futex", "restart_syscall"];

/// A count of each thread, by its number.
type Threads<T> = BTreeMap<String, T>;

#[derive(Debug, Serialize)]
struct Counted {
    row: String,
    contestant: &'static str,
    syscalls_per_batch: BTreeMap<String, f64>,
    syscalls_per_key: f64,
    instructions_per_key: f64,
}

/// `todana-side-by-side counts`.
pub(crate) fn run(args: &CountsArgs) -> Result<()> {
    machine::pin_myself(args.contestants.client_core)?;
    let folder = std::env::temp_dir().join(format!("todana-counts-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let done = if args.check || args.store {
        gate::run(args, &folder)
    } else {
        count_all(args, &folder).and_then(|all| write_json(args.json.as_deref(), &all))
    };
    fs::remove_dir_all(&folder)?;
    done
}

/// The rows that are counted.
pub(crate) fn rows(args: &CountsArgs) -> Vec<Row> {
    let mut rows = rows::all(false);
    rows.retain(|row| {
        row.value_size == 64
            && (row.get_ratio == 0.0 || row.get_ratio == 1.0)
            && args.only.as_ref().is_none_or(|only| row.name.contains(only.as_str()))
    });
    rows
}

fn count_all(args: &CountsArgs, folder: &Path) -> Result<Vec<Counted>> {
    println!("| row | contestant | instructions/key | system calls/key | of them per batch |");
    println!("|---|---|---|---|---|");
    let mut all = Vec::new();
    let present = args.contestants.present();
    for row in rows(args) {
        for who in present.iter().copied().filter(|who| who.speaks(row.dialect).is_some()) {
            eprintln!("counting {}: {}", who.name(), row.name);
            let counted = count(args, &row, who, folder)?;
            let calls: Vec<String> = counted
                .syscalls_per_batch
                .iter()
                .map(|(name, calls)| format!("{name} {calls:.2}"))
                .collect();
            println!(
                "| {} | {} | {:.0} | {:.3} | {} |",
                row.name,
                who.name(),
                counted.instructions_per_key,
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
    let syscalls_per_batch = syscalls_per_batch(args, row, who, folder)?;
    Ok(Counted {
        row: row.name.clone(),
        contestant: who.name(),
        syscalls_per_key: syscalls_per_batch.values().sum::<f64>() / keys_per_batch,
        syscalls_per_batch,
        instructions_per_key: instructions_per_batch(args, row, who, folder)? / keys_per_batch,
    })
}

/// System calls of the worker by name.
pub(crate) fn syscalls_per_batch(
    args: &CountsArgs,
    row: &Row,
    who: Who,
    folder: &Path,
) -> Result<BTreeMap<String, f64>> {
    let [once, twice] = [1, 2].map(|times| syscalls(args, row, who, folder, times));
    let (once, twice) = (busiest(once?), busiest(twice?));
    let mut per_batch = BTreeMap::new();
    for (name, calls) in twice {
        let before = once.get(&name).copied().unwrap_or(0);
        let each = (calls as f64 - before as f64) / args.batches as f64;
        // The loop wakes by the clock too, less than once in a hundred batches.
        if each >= 0.01 {
            per_batch.insert(name, each);
        }
    }
    if per_batch.is_empty() {
        return Err("strace has counted nothing".into());
    }
    Ok(per_batch)
}

/// The calls of the worker: threads of two processes have different numbers.
fn busiest(threads: Threads<BTreeMap<String, u64>>) -> BTreeMap<String, u64> {
    let work = |calls: &BTreeMap<String, u64>| -> u64 {
        calls.iter().filter(|(name, _)| !WAITS.contains(&name.as_str())).map(|(_, n)| n).sum()
    };
    threads.into_values().max_by_key(work).unwrap_or_default()
}

/// Instructions of the worker.
pub(crate) fn instructions_per_batch(
    args: &CountsArgs,
    row: &Row,
    who: Who,
    folder: &Path,
) -> Result<f64> {
    let [once, twice] = [1, 2].map(|times| instructions(args, row, who, folder, times));
    let (once, twice) = (once?, twice?);
    let worker = twice
        .iter()
        .map(|(thread, count)| count.saturating_sub(once.get(thread).copied().unwrap_or(0)))
        .max()
        .filter(|count| *count > 0);
    Ok(worker.ok_or("valgrind has counted nothing")? as f64 / args.batches as f64)
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

/// System calls of every thread by name, for `times` times the batches.
fn syscalls(
    args: &CountsArgs,
    row: &Row,
    who: Who,
    folder: &Path,
    times: u64,
) -> Result<Threads<BTreeMap<String, u64>>> {
    let (server, plan) = start(args, row, who, &[])?;
    let file = folder.join("strace.txt");
    let mut tracer = Command::new("strace")
        .args(["-f", "-s", "0", "-o"])
        .arg(&file)
        .args(["-p", &server.pid().to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("cannot start strace: {error}"))?;
    let traced =
        wait_until_traced(&server, &mut tracer).and_then(|()| drive(&plan, args.batches * times));
    // On an interrupt strace lets go of the server.
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

/// The lines `THREAD call(...) = result` of `strace -f`. A call that another thread's line cuts in two
/// begins as `call(... <unfinished ...>` and goes on as `<... call resumed>...`.
fn parse_strace(text: &str) -> Threads<BTreeMap<String, u64>> {
    let mut threads = Threads::<BTreeMap<String, u64>>::new();
    for line in text.lines() {
        let Some((thread, event)) = line.split_once(' ') else { continue };
        let Some((name, _)) = event.trim_start().split_once('(') else { continue };
        if !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            *threads.entry(thread.to_owned()).or_default().entry(name.to_owned()).or_default() += 1;
        }
    }
    threads
}

/// Instructions of every thread by its number, for `times` times the batches.
fn instructions(
    args: &CountsArgs,
    row: &Row,
    who: Who,
    folder: &Path,
    times: u64,
) -> Result<Threads<u64>> {
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
    fn calls_are_counted_once_a_thread() {
        let text = "71    epoll_wait(4,  <unfinished ...>\n\
                    72    futex(0x7f0d7b5fe5e0, FUTEX_WAIT_PRIVATE, 1, NULL) = -1 ETIMEDOUT (...)\n\
                    71    <... epoll_wait resumed>[{events=EPOLLIN}], 64, -1) = 1\n\
                    71    recvfrom(9, \"\"..., 16384, 0, NULL, NULL) = 35\n\
                    71    epoll_wait(4, [], 64, 0) = 0\n\
                    71    --- SIGSTOP {si_signo=SIGSTOP} ---\n\
                    71    +++ exited with 0 (core) +++\n";
        let threads = parse_strace(text);
        assert_eq!(threads.len(), 2);
        assert_eq!((threads["71"]["epoll_wait"], threads["71"]["recvfrom"]), (2, 1));
        assert_eq!((threads["71"].len(), threads["72"]["futex"]), (2, 1));
    }

    #[test]
    fn who_waits_more_often_is_not_the_worker() {
        let text = "72 futex(1) = 0\n72 futex(1) = 0\n71 futex(1) = 0\n71 recvfrom(9) = 35\n";
        let calls = BTreeMap::from([("futex".to_owned(), 1), ("recvfrom".to_owned(), 1)]);
        assert_eq!(busiest(parse_strace(text)), calls);
    }
}
