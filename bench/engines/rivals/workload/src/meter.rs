//! What is measured: time, memory, files.

use std::fs;
use std::path::Path;
use std::time::Instant;

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

use crate::Result;

/// Units of `/proc/stat`; 100 a second on every Linux of today (USER_HZ).
const TICKS_PER_SECOND: f64 = 100.0;

/// Wall and CPU time, the process's and that of everything else, and bytes; may be paused.
#[derive(Default)]
pub(crate) struct Meter {
    pub(crate) wall_s: f64,
    pub(crate) cpu_s: f64,
    pub(crate) other_s: f64,
    pub(crate) io: Io,
}

/// A part of a measurement that is under way.
pub(crate) struct Running {
    wall: Instant,
    cpu: f64,
    idle: f64,
    io: Io,
}

impl Meter {
    pub(crate) fn start() -> Result<Running> {
        Ok(Running { wall: Instant::now(), cpu: cpu_seconds()?, idle: idle_seconds()?.0, io: Io::now()? })
    }

    pub(crate) fn stop(&mut self, running: &Running) -> Result<()> {
        let wall = running.wall.elapsed().as_secs_f64();
        let cpu = cpu_seconds()? - running.cpu;
        let (idle, cores) = idle_seconds()?;
        self.wall_s += wall;
        self.cpu_s += cpu;
        self.other_s += wall * cores - (idle - running.idle) - cpu;
        let io = Io::now()?;
        self.io.read += io.read - running.io.read;
        self.io.written += io.written - running.io.written;
        Ok(())
    }
}

/// Bytes that this process had read from the disk and has made dirty in the page cache, mapped files
/// included (`/proc/self/io`).
#[derive(Default)]
pub(crate) struct Io {
    pub(crate) read: u64,
    pub(crate) written: u64,
}

impl Io {
    fn now() -> Result<Self> {
        let text = fs::read_to_string("/proc/self/io")?;
        let bytes = |name: &str| -> Result<u64> {
            let value = text.lines().find_map(|line| line.strip_prefix(name));
            Ok(value.ok_or_else(|| format!("no {name} in /proc/self/io"))?.trim().parse()?)
        };
        Ok(Self { read: bytes("read_bytes:")?, written: bytes("write_bytes:")? })
    }
}

/// User and system time of all threads, ended ones included.
fn cpu_seconds() -> Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let seconds = |time: TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    Ok(seconds(usage.user_time()) + seconds(usage.system_time()))
}

/// Seconds that all cores together were idle (or waited for a disk), and the number of cores.
fn idle_seconds() -> Result<(f64, f64)> {
    let text = fs::read_to_string("/proc/stat")?;
    let line = text.lines().next().ok_or("/proc/stat is empty")?;
    let ticks: Vec<u64> =
        line.split_whitespace().skip(1).map(str::parse).collect::<std::result::Result<_, _>>()?;
    let [_, _, _, idle, iowait, ..] = ticks[..] else {
        return Err("a short line in /proc/stat".into());
    };
    let cores = text.lines().skip(1).take_while(|line| line.starts_with("cpu")).count();
    Ok(((idle + iowait) as f64 / TICKS_PER_SECOND, cores as f64))
}

/// Resident memory of this process.
#[derive(Default)]
pub(crate) struct Resident {
    pub(crate) all: u64,
    pub(crate) anon: u64,
    pub(crate) file: u64,
}

impl Resident {
    pub(crate) fn now() -> Result<Self> {
        let text = fs::read_to_string("/proc/self/status")?;
        let bytes = |name: &str| -> Result<u64> {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|rest| rest.split_whitespace().next());
            Ok(kib.ok_or_else(|| format!("no {name} in /proc/self/status"))?.parse::<u64>()? << 10)
        };
        Ok(Self { all: bytes("VmRSS:")?, anon: bytes("RssAnon:")?, file: bytes("RssFile:")? })
    }
}

/// Lengths of the files below a directory, and what the file system has given them.
pub(crate) fn directory_bytes(path: &Path) -> Result<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let (mut len, mut allocated) = (0, 0);
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        // A background thread may have removed the file since it was listed.
        let Ok(info) = entry.path().symlink_metadata() else { continue };
        let below = if info.is_dir() {
            directory_bytes(&entry.path())?
        } else {
            (info.len(), info.blocks() * 512)
        };
        len += below.0;
        allocated += below.1;
    }
    Ok((len, allocated))
}

/// Drops the pages of all files below a directory from the page cache, once they are on the disk.
pub(crate) fn forget_pages(path: &Path) -> Result<()> {
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        if path.is_dir() {
            forget_pages(&path)?;
        } else {
            let file = fs::File::open(&path)?;
            file.sync_all()?;
            posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
        }
    }
    Ok(())
}
