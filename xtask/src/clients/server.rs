//! Our server as a child process that never outlives us.

use std::fmt;
use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::shell::{self, Shell};

/// How long the server may take until it accepts a connection.
const START_TIME_MAX: Duration = Duration::from_secs(10);
/// How long it may take to end after SIGTERM.
const STOP_TIME_MAX: Duration = Duration::from_secs(10);

/// Where a server listens.
#[derive(Debug, Clone)]
pub(super) enum Where {
    /// A host and its port.
    Tcp { host: String, port: u16 },
    /// A socket in the file system.
    Unix(PathBuf),
}

impl fmt::Display for Where {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

/// A running server; dropping it kills it.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    place: Where,
    log: PathBuf,
}

/// A loopback port that was free a moment ago.
pub(super) fn free_port() -> Result<u16, String> {
    TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| format!("find a free port: {error}"))
}

impl Server {
    /// Starts the server and waits until it accepts connections.
    pub(super) fn start(
        shell: &Shell,
        binary: &Path,
        place: &Where,
        log: &Path,
    ) -> Result<Self, String> {
        let fail = |error| format!("start {}: {error}", binary.display());
        let file = File::create(log).map_err(fail)?;
        let mut command = shell.command(binary);
        command
            .args(["serve", "--store", "memory"])
            .stdout(file.try_clone().map_err(fail)?)
            .stderr(file);
        match place {
            Where::Tcp { host, port } => command.args(["-p", &port.to_string(), "-l", host]),
            Where::Unix(path) => command.arg("-s").arg(path),
        };
        let child = command.stdin(Stdio::null()).spawn().map_err(fail)?;
        let mut server = Self { child, place: place.clone(), log: log.to_owned() };
        server.wait_until_ready()?;
        Ok(server)
    }

    /// Where it listens.
    pub(super) fn place(&self) -> &Where {
        &self.place
    }

    fn wait_until_ready(&mut self) -> Result<(), String> {
        let end = Instant::now() + START_TIME_MAX;
        loop {
            let error = match &self.place {
                Where::Tcp { host, port } => TcpStream::connect((host.as_str(), *port)).err(),
                Where::Unix(path) => UnixStream::connect(path).err(),
            };
            let Some(error) = error else { return Ok(()) };
            let pause = Duration::from_millis(20);
            let ended = shell::wait(&mut self.child, pause).map_err(|e| e.to_string())?;
            if let Some(status) = ended {
                return Err(self.failure(&format!("ended at once ({status})")));
            }
            if Instant::now() >= end {
                return Err(self.failure(&format!("accepted no connection: {error}")));
            }
        }
    }

    /// Ends the server by SIGTERM, as a service manager would.
    ///
    /// # Errors
    ///
    /// When it ended before, does not end in time, or ends with a status other than 0.
    pub(super) fn stop(mut self) -> Result<(), String> {
        if let Ok(Some(status)) = self.child.try_wait() {
            return Err(self.failure(&format!("ended before it was told to ({status})")));
        }
        shell::run(std::process::Command::new("kill").arg(self.child.id().to_string()))?;
        match shell::wait(&mut self.child, STOP_TIME_MAX) {
            Ok(Some(status)) if status.success() => Ok(()),
            Ok(Some(status)) => Err(self.failure(&format!("ended with {status} after SIGTERM"))),
            Ok(None) => Err(self.failure("went on after SIGTERM")),
            Err(error) => Err(self.failure(&error.to_string())),
        }
    }

    fn failure(&self, why: &str) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        print!("{}", shell::tail(&log, 20));
        format!("the server at {} {why}", self.place)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended long ago; either way nothing is left to do about an error.
        drop(self.child.kill());
        drop(self.child.wait());
        if let Where::Unix(path) = &self.place {
            drop(std::fs::remove_file(path));
        }
    }
}
