//! Where the tree is, and child processes: run, run and read, run with a limit of time.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How often a child that runs under a limit of time is looked at.
const POLL: Duration = Duration::from_millis(20);

/// The tree that the chores work on.
#[derive(Debug)]
pub(crate) struct Shell {
    /// The folder of the workspace's manifest.
    pub(crate) root: PathBuf,
    /// Cargo's target folder of the workspace.
    pub(crate) target: PathBuf,
}

impl Shell {
    /// Finds the root above the folder of xtask's manifest, and the target folder.
    pub(crate) fn new() -> Result<Self, String> {
        let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = match manifest.parent() {
            Some(root) if root.join("Cargo.toml").is_file() => root.to_owned(),
            _ => {
                return Err(format!(
                    "find the workspace above {}: no Cargo.toml",
                    manifest.display()
                ));
            }
        };
        let target = match std::env::var_os("CARGO_TARGET_DIR") {
            Some(dir) => root.join(dir),
            None => root.join("target"),
        };
        Ok(Self { root, target })
    }

    /// `cargo` of the toolchain in use, started in the root.
    pub(crate) fn cargo(&self) -> Command {
        self.command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
    }

    /// A program started in the root.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root).stdin(Stdio::null());
        command
    }
}

/// The command as one would type it, without its environment.
fn typed(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(command.get_program());
    let mut line = name.to_string_lossy().into_owned();
    for arg in command.get_args() {
        line.push(' ');
        line.push_str(&arg.to_string_lossy());
    }
    line
}

/// Runs a command whose output goes to the terminal.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    flush();
    let line = typed(command);
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{line}` failed ({status})")),
        Err(error) => Err(format!("run `{line}`: {error}")),
    }
}

/// Runs a command and gives what it printed to its standard output.
pub(crate) fn read(command: &mut Command) -> Result<String, String> {
    flush();
    let line = typed(command);
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("run `{line}`: {error}"))?;
    if !output.status.success() {
        return Err(format!("`{line}` failed ({})", output.status));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("`{line}` printed what is not UTF-8"))
}

/// Whether a command can be started and succeeds; it prints nothing.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// What a command under a limit of time came to.
#[derive(Debug)]
pub(crate) struct Finished {
    /// Whether it ended by itself with status 0.
    pub(crate) success: bool,
    /// How it ended, in words.
    pub(crate) how: String,
    /// Its standard output and error in the order in which they were written.
    pub(crate) output: String,
}

/// Runs a command with both outputs going to the file `log`, and kills it after `limit`.
pub(crate) fn run_logged(
    command: &mut Command,
    log: &Path,
    limit: Duration,
) -> Result<Finished, String> {
    let line = typed(command);
    let fail = |error| format!("run `{line}`: {error}");
    let file = File::create(log).map_err(fail)?;
    command.stdout(file.try_clone().map_err(fail)?).stderr(file);
    let mut child = command.spawn().map_err(fail)?;
    let status = wait(&mut child, limit).map_err(fail)?;
    if status.is_none() {
        child.kill().and_then(|()| child.wait()).map_err(fail)?;
    }
    let output = String::from_utf8_lossy(&fs::read(log).map_err(fail)?).into_owned();
    Ok(match status {
        Some(status) => Finished { success: status.success(), how: status.to_string(), output },
        None => Finished { success: false, how: format!("still running after {limit:?}"), output },
    })
}

/// Waits for a child at most `limit`; none when it still runs.
pub(crate) fn wait(
    child: &mut Child,
    limit: Duration,
) -> std::io::Result<Option<std::process::ExitStatus>> {
    let end = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= end {
            return Ok(None);
        }
        std::thread::sleep(POLL);
    }
}

/// Builds the release binary of the server and gives its path.
pub(crate) fn build_server(shell: &Shell) -> Result<PathBuf, String> {
    let build = ["build", "--release", "--package", "todana", "--bin", "todana"];
    run(shell.cargo().args(build))?;
    Ok(shell.target.join("release/todana"))
}

/// Installs packages of Debian when `program` is not in a folder of `PATH`.
pub(crate) fn install_program(
    shell: &Shell,
    program: &str,
    packages: &[&str],
) -> Result<(), String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    match std::env::split_paths(&path).any(|folder| folder.join(program).is_file()) {
        true => Ok(()),
        false => apt_install(shell, packages),
    }
}

/// Installs packages of Debian.
pub(crate) fn apt_install(shell: &Shell, packages: &[&str]) -> Result<(), String> {
    let apt = |args: &[&str]| -> Command {
        let mut command = shell.command("apt-get");
        command.args(args).env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    let mut install = apt(&["install", "-qq", "-y", "--no-install-recommends"]);
    run(&mut apt(&["update", "-qq"]))
        .and_then(|()| run(install.args(packages)))
        .map_err(|why| format!("{why}; install {} by hand", packages.join(" and ")))
}

/// Makes a folder and those above it.
pub(crate) fn make_dir(path: &Path) -> Result<(), String> {
    fs::create_dir_all(path).map_err(|error| format!("make {}: {error}", path.display()))
}

/// The last lines of a text, indented, to be shown after a failure.
pub(crate) fn tail(text: &str, lines_max: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(lines_max);
    lines[from..].iter().map(|line| format!("    {line}\n")).collect()
}

/// Lets what we printed appear before what a child prints.
fn flush() {
    // A closed terminal shows itself at the next print.
    drop(std::io::stdout().flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(script: &str, limit: Duration, expected: (bool, &str)) {
        let log =
            std::env::temp_dir().join(format!("xtask-{}-{}", std::process::id(), script.len()));
        let mut command = Command::new("sh");
        let finished = run_logged(command.args(["-c", script]), &log, limit).unwrap();
        fs::remove_file(&log).unwrap();
        assert_eq!((finished.success, finished.output.as_str()), expected, "{}", finished.how);
    }

    #[test]
    fn both_outputs_are_logged_in_order() {
        let limit = Duration::from_secs(30);
        check("echo a; echo b >&2; echo c", limit, (true, "a\nb\nc\n"));
        check("echo a; exit 3", limit, (false, "a\n"));
    }

    #[test]
    fn what_takes_too_long_is_killed() {
        check("echo a; exec sleep 60", Duration::from_millis(300), (false, "a\n"));
    }

    #[test]
    fn the_tail_is_the_last_lines() {
        assert_eq!(tail("a\nb\nc\n", 2), "    b\n    c\n");
        assert_eq!(tail("", 2), "");
    }
}
