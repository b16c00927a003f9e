//! What `/proc` says about a process and about the machine.

use std::fs;
use std::process::Command;

use crate::Result;

/// Units of `/proc/stat`; 100 a second on every Linux of today (USER_HZ).
const TICKS_PER_SECOND: f64 = 100.0;

/// Where `/proc/stat` has the time that a core was idle, and idle for a disk.
const IDLE_FIELDS: [usize; 2] = [4, 5];

/// CPU seconds of all threads of a process, from the scheduler's nanosecond count.
pub(crate) fn process_cpu_seconds(pid: u32) -> Result<f64> {
    let mut nanos = 0u64;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end between the listing and the reading.
        let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
        nanos += text.split_whitespace().next().unwrap_or("0").parse::<u64>()?;
    }
    Ok(nanos as f64 / 1e9)
}

/// Seconds that each core was idle, summed up, and the number of cores.
///
/// Idle time is kept to the nanosecond by a kernel that stops its tick when idle; busy time is often
/// only sampled by the tick, which beats with a load that comes in bursts. So what is busy is taken
/// to be what is not idle, steal and interrupts included.
pub(crate) fn idle_seconds() -> Result<(f64, usize)> {
    let text = fs::read_to_string("/proc/stat")?;
    let cores = text.lines().filter(|line| {
        line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    });
    let (mut ticks, mut count) = (0u64, 0);
    for core in cores {
        let words: Vec<&str> = core.split_whitespace().collect();
        for field in IDLE_FIELDS {
            ticks += words.get(field).ok_or("a short line in /proc/stat")?.parse::<u64>()?;
        }
        count += 1;
    }
    Ok((ticks as f64 / TICKS_PER_SECOND, count))
}

/// Resident memory of a process, in MiB.
pub(crate) fn resident_mib(pid: u32) -> Option<u64> {
    resident_kib(pid).map(|kib| kib >> 10)
}

/// Resident memory of a process, in KiB.
pub(crate) fn resident_kib(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// What the processor calls itself.
pub(crate) fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    name.map_or("unknown".to_owned(), |(_, name)| name.trim().to_owned())
}

/// The first line that a command prints.
pub(crate) fn first_line(program: &str, arg: &str) -> String {
    let output = Command::new(program).arg(arg).output().ok().filter(|o| o.status.success());
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.and_then(|text| Some(text.lines().next()?.to_owned())).unwrap_or("unknown".to_owned())
}

/// Keeps this process, and the threads it will start, on one core.
pub(crate) fn pin_myself(core: usize) -> Result<()> {
    let pid = std::process::id().to_string();
    let output = Command::new("taskset").args(["-cp", &core.to_string(), &pid]).output()?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!("cannot pin the client to core {core}: {}", reason.trim()).into());
    }
    Ok(())
}
