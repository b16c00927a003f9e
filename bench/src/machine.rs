//! What `/proc` says about a process and about the machine.

use std::fs;
use std::process::Command;

use crate::Result;

/// Ticks of `/proc/stat`; 100 a second on every Linux of today (USER_HZ).
const TICKS_PER_SECOND: f64 = 100.0;

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

/// Seconds that all cores together were not idle, steal and interrupts included.
pub(crate) fn busy_seconds() -> Result<f64> {
    let text = fs::read_to_string("/proc/stat")?;
    let line = text.lines().next().unwrap_or_default();
    let ticks: Vec<u64> =
        line.split_whitespace().skip(1).map(|word| word.parse().unwrap_or(0)).collect();
    // user nice system idle iowait irq softirq steal; guest time is within user.
    let busy: u64 = ticks
        .iter()
        .take(8)
        .enumerate()
        .filter(|(at, _)| *at != 3 && *at != 4)
        .map(|(_, t)| t)
        .sum();
    Ok(busy as f64 / TICKS_PER_SECOND)
}

/// Peak and present resident memory of a process, in MiB.
pub(crate) fn resident_mib(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib >> 10)
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
