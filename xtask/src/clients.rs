//! `clients`: other people's clients against our server.
//!
//! memccapable (libmemcached) walks through the text and the binary protocol; pymemcache, through
//! `xtask/clients/pymemcache_check.py`, is used the way an application uses it, over TCP and over a
//! Unix socket. Both were first run against memcached 1.6.18, which passes everything.

mod memccapable;
mod server;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::args::Args;
use crate::shell::{self, Shell};
use server::{Server, Where};

/// The version of pymemcache that the script was written for.
const PYMEMCACHE: &str = "4.0.0";
/// The longest value that our server takes by default, as its documentation says.
const OUR_VALUE_MAX_BYTES: u64 = 1 << 20;
/// The longest value that any server of the kind takes: memcached counts the item's header too.
const ANY_VALUE_MAX_BYTES: u64 = (1 << 20) - 1024;
/// How long the Python script may take.
const SCRIPT_TIME_MAX: Duration = Duration::from_secs(120);

/// What `clients` was asked for.
#[derive(Debug, Default)]
pub(crate) struct Options {
    /// A server that runs already; our own is built and started when there is none.
    server: Option<(String, u16)>,
    unix: Option<PathBuf>,
    value_max_bytes: Option<u64>,
}

impl Options {
    /// Reads the options of `clients`.
    pub(crate) fn parse(mut args: Args) -> Result<Self, String> {
        let server = match args.option("--server")? {
            None => None,
            Some(text) => {
                let parts = text.rsplit_once(':');
                let parsed = parts.and_then(|(host, port)| Some((host, port.parse().ok()?)));
                let (host, port) =
                    parsed.ok_or_else(|| format!("`--server` needs HOST:PORT, not `{text}`"))?;
                Some((host.to_owned(), port))
            }
        };
        let unix = args.option("--unix")?.map(PathBuf::from);
        let value_max_bytes = args.number("--value-max-bytes")?;
        if server.is_none() && (unix.is_some() || value_max_bytes.is_some()) {
            return Err("`--unix` and `--value-max-bytes` go with `--server`".to_owned());
        }
        args.finish()?;
        Ok(Self { server, unix, value_max_bytes })
    }

    /// Runs all clients; every one runs even when one before it failed.
    pub(crate) fn run(&self, shell: &Shell) -> Result<(), String> {
        let work = shell.target.join("clients");
        shell::make_dir(&work)?;
        install_memccapable(shell)?;
        let python = install_pymemcache(shell, &work)?;
        let mut tally = Tally { shell, work: &work, python: &python, passed: 0, failed: 0 };
        match &self.server {
            Some((host, port)) => {
                let value_max = self.value_max_bytes.unwrap_or(ANY_VALUE_MAX_BYTES);
                let tcp = Where::Tcp { host: host.clone(), port: *port };
                tally.memccapable(host, *port)?;
                tally.pymemcache(&tcp, value_max)?;
                if let Some(path) = &self.unix {
                    tally.pymemcache(&Where::Unix(path.clone()), value_max)?;
                }
            }
            None => {
                let binary = shell::build_server(shell)?;
                tally.ours(&binary)?;
            }
        }
        println!("clients: {} passed, {} failed", tally.passed, tally.failed);
        match tally.failed {
            0 => Ok(()),
            failed => Err(format!("{failed} tests of other clients failed")),
        }
    }
}

/// Runs clients and adds up what they say.
struct Tally<'a> {
    shell: &'a Shell,
    work: &'a Path,
    python: &'a Path,
    passed: usize,
    failed: usize,
}

impl Tally<'_> {
    /// Everything against two starts of our own server: on TCP, then on a Unix socket.
    fn ours(&mut self, binary: &Path) -> Result<(), String> {
        let port = server::free_port()?;
        let tcp = Where::Tcp { host: "127.0.0.1".to_owned(), port };
        let server = Server::start(self.shell, binary, &tcp, &self.work.join("tcp.log"))?;
        self.memccapable("127.0.0.1", port)?;
        self.pymemcache(&tcp, OUR_VALUE_MAX_BYTES - 1)?;
        self.stop(server);
        let name = format!("todana-clients-{}.sock", std::process::id());
        // The target folder may be too deep for the name of a socket (108 bytes).
        let unix = Where::Unix(std::env::temp_dir().join(name));
        let server = Server::start(self.shell, binary, &unix, &self.work.join("unix.log"))?;
        self.pymemcache(&unix, OUR_VALUE_MAX_BYTES - 1)?;
        self.stop(server);
        Ok(())
    }

    fn stop(&mut self, server: Server) {
        let name = format!("stop on SIGTERM ({})", server.place());
        match server.stop() {
            Ok(()) => self.add(&name, 1, &[]),
            Err(why) => self.add(&name, 0, &[why]),
        }
    }

    fn memccapable(&mut self, host: &str, port: u16) -> Result<(), String> {
        for protocol in memccapable::PROTOCOLS {
            let verdict = memccapable::run(self.shell, self.work, protocol, host, port)?;
            self.add(&format!("memccapable {}", protocol.name), verdict.passed, &verdict.failed);
        }
        Ok(())
    }

    fn pymemcache(&mut self, place: &Where, value_max_bytes: u64) -> Result<(), String> {
        let script = self.shell.root.join("xtask/clients/pymemcache_check.py");
        let mut command = self.shell.command(self.python);
        command.arg("-B").arg(script).arg("--address").arg(place.to_string());
        command.arg("--value-max-bytes").arg(value_max_bytes.to_string());
        let log = self.work.join("pymemcache.log");
        let finished = shell::run_logged(&mut command, &log, SCRIPT_TIME_MAX)?;
        let (passed, mut failed) = count(&finished.output);
        if failed.is_empty() && (!finished.success || passed == 0) {
            print!("{}", shell::tail(&finished.output, 20));
            failed.push(format!("the script ended early: {}", finished.how));
        }
        self.add(&format!("pymemcache ({place})"), passed, &failed);
        Ok(())
    }

    fn add(&mut self, name: &str, passed: usize, failed: &[String]) {
        for failure in failed {
            println!("clients: {name}: FAILED: {failure}");
        }
        println!("clients: {name}: {passed} passed, {} failed", failed.len());
        self.passed += passed;
        self.failed += failed.len();
    }
}

/// What the script's lines `ok NAME` and `FAILED NAME: WHY` say.
fn count(output: &str) -> (usize, Vec<String>) {
    let passed = output.lines().filter(|line| line.starts_with("ok ")).count();
    let failed = output.lines().filter_map(|line| line.strip_prefix("FAILED "));
    (passed, failed.map(str::to_owned).collect())
}

fn install_memccapable(shell: &Shell) -> Result<(), String> {
    shell::install_program(shell, "memccapable", &["libmemcached-tools"])
}

fn install_pymemcache(shell: &Shell, work: &Path) -> Result<PathBuf, String> {
    let venv = work.join("venv");
    let python = venv.join("bin/python");
    let have = format!(
        "from importlib.metadata import version; assert version('pymemcache') == '{PYMEMCACHE}'"
    );
    if python.exists() && shell::succeeds(shell.command(&python).args(["-c", &have])) {
        return Ok(python);
    }
    if !shell::succeeds(shell.command("python3").args(["-c", "import ensurepip, venv"])) {
        shell::apt_install(shell, &["python3-venv"])?;
    }
    shell::run(shell.command("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
    let package = format!("pymemcache=={PYMEMCACHE}");
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", &package];
    shell::run(shell.command(&python).args(install))?;
    Ok(python)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_lines_of_the_script() {
        let output = "ok set\nnoise\nFAILED get: was 1\nok add\n2 passed, 1 failed\n";
        assert_eq!(count(output), (2, vec!["get: was 1".to_owned()]));
    }
}
