//! Starting and stopping the servers.

use std::env;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use todana_bench::{Dialect, Plan, Target, ValueSize};

use crate::{Contestants, Result};

/// How long a server may take to listen; valgrind needs most of it.
const READY_MAX: Duration = Duration::from_secs(30);

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Who {
    Memcached,
    MemcachedNew,
    Todana,
    Before,
    Redis,
    Floor,
    /// The floor by io_uring.
    FloorRing,
    /// The floor for those who speak RESP.
    FloorResp,
}

impl Who {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Memcached => "memcached",
            Self::MemcachedNew => "memcached-new",
            Self::Todana => "todana",
            Self::Before => "before",
            Self::Redis => "redis",
            Self::Floor => "floor",
            Self::FloorRing => "floor-ring",
            Self::FloorResp => "floor-resp",
        }
    }

    /// Whether it is a server that does nothing: there is one for each row.
    pub(crate) const fn is_floor(self) -> bool {
        matches!(self, Self::Floor | Self::FloorRing | Self::FloorResp)
    }

    /// The dialect it speaks where others speak `dialect`, if it can do the same: RESP has nothing
    /// like quiet gets.
    pub(crate) const fn speaks(self, dialect: Dialect) -> Option<Dialect> {
        match (self, dialect) {
            (Self::Redis | Self::FloorResp, Dialect::Text) => Some(Dialect::Resp),
            (Self::Redis | Self::FloorResp, _) => None,
            _ => Some(dialect),
        }
    }
}

impl Contestants {
    /// Those who are there; who is missing is named on stderr.
    pub(crate) fn present(&self) -> Vec<Who> {
        let mut present = Vec::new();
        let wanted = |who: &Who| self.who.is_empty() || self.who.contains(who);
        for who in Who::value_variants().iter().copied().filter(wanted) {
            match self.program(who).map(|path| (find(path), path)) {
                Some((Some(_), _)) => present.push(who),
                Some((None, path)) => eprintln!("no {} at {}: skipped", who.name(), path.display()),
                None => {}
            }
        }
        present.push(Who::Floor);
        match todana_ring::Ring::try_out() {
            Ok(()) => present.push(Who::FloorRing),
            Err(reason) => eprintln!("no floor by io_uring here: {reason}"),
        }
        if present.contains(&Who::Redis) {
            present.push(Who::FloorResp);
        }
        present
    }

    /// Those who are there and keep records.
    pub(crate) fn present_stores(&self) -> Vec<Who> {
        self.present().into_iter().filter(|who| !who.is_floor()).collect()
    }

    /// The program that is to be run, if one was named. The floor is this one.
    fn program(&self, who: Who) -> Option<&Path> {
        match who {
            Who::Memcached => Some(&self.memcached),
            Who::MemcachedNew => self.memcached_new.as_deref(),
            Who::Todana => Some(&self.todana),
            Who::Before => self.before.as_deref(),
            Who::Redis => Some(&self.redis),
            Who::Floor | Who::FloorRing | Who::FloorResp => None,
        }
    }

    /// The command line of a server at `target`. The floor needs the plan to know the shape.
    fn command_line(&self, who: Who, target: &Target, plan: &Plan) -> Result<Vec<String>> {
        let place = match target {
            Target::Tcp(address) => {
                let port = address.rsplit(':').next().unwrap_or_default();
                vec!["-p".to_owned(), port.to_owned()]
            }
            Target::Unix(path) => vec!["-s".to_owned(), path.display().to_string()],
        };
        let program = match self.program(who) {
            Some(path) => find(path).ok_or_else(|| format!("no program at {}", path.display()))?,
            None => env::current_exe()?,
        };
        let mut line = vec![program.display().to_string()];
        let common = format!("-t 1 -m {} -c 1024", self.memory_mib);
        match who {
            Who::Memcached | Who::MemcachedNew => {
                line.extend(place);
                line.extend(words(&common));
                line.extend(words("-u root"));
                if matches!(target, Target::Tcp(_)) {
                    line.extend(words("-U 0 -l 127.0.0.1"));
                }
                line.extend(words(&self.memcached_args));
            }
            Who::Todana | Who::Before => {
                line.push("serve".to_owned());
                if !self.todana_args.contains("--store") {
                    line.extend(words("--store memory"));
                }
                line.extend(place);
                line.extend(words(&common));
                line.extend(words(&self.todana_args));
            }
            Who::Redis => {
                match target {
                    Target::Tcp(_) => line.extend(words("--bind 127.0.0.1 --port")),
                    Target::Unix(_) => line.extend(words("--port 0 --unixsocket")),
                }
                line.extend([place[1].clone(), "--save".to_owned(), String::new()]);
                line.extend(words(&format!(
                    "--appendonly no --io-threads 1 --maxclients 1024 --maxmemory {}mb \
                     --maxmemory-policy allkeys-lru",
                    self.memory_mib,
                )));
            }
            Who::Floor | Who::FloorRing | Who::FloorResp => {
                line.push("floor".to_owned());
                if who == Who::FloorRing {
                    line.push("--completion".to_owned());
                }
                match target {
                    Target::Tcp(_) => line.extend(["--port".to_owned(), place[1].clone()]),
                    Target::Unix(_) => line.extend(["--unix".to_owned(), place[1].clone()]),
                }
                let ValueSize::Fixed(value) = plan.value_size else {
                    return Err("the floor needs values of one size".into());
                };
                line.extend(words(&format!(
                    "--dialect {} --keys-per-get {} --key-size {} --value-size {value}",
                    who.speaks(plan.dialect).unwrap_or(plan.dialect),
                    plan.keys_per_get,
                    plan.key_size_bytes,
                )));
            }
        }
        Ok(line)
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// The program, looked up in PATH if it is a bare name.
fn find(program: &Path) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return program.is_file().then(|| program.to_owned());
    }
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// A running server, killed when dropped.
pub(crate) struct Server {
    pub(crate) who: Who,
    pub(crate) target: Target,
    child: Child,
    /// What it says on stderr, shown when it does not start.
    log: PathBuf,
}

impl Server {
    /// Starts a server on its core and waits until it listens. `wrapper` goes before the server's
    /// own command line (valgrind). `unix` asks for a Unix socket.
    pub(crate) fn start(
        contestants: &Contestants,
        who: Who,
        plan: &Plan,
        wrapper: &[String],
        unix: bool,
    ) -> Result<Self> {
        let target = if unix {
            let name = format!("todana-bench-{}-{}.sock", std::process::id(), who.name());
            let path = env::temp_dir().join(name);
            let _ = fs::remove_file(&path);
            Target::Unix(path)
        } else {
            Target::Tcp(format!("127.0.0.1:{}", free_port(contestants.port)?))
        };
        let line = contestants.command_line(who, &target, plan)?;
        let log =
            env::temp_dir().join(format!("todana-bench-{}-{}.log", std::process::id(), who.name()));
        // setpriv sees to it that no server outlives a benchmark that is killed. It, taskset and
        // every wrapper become what they run, so the child is the server.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "taskset", "-c"])
            .arg(contestants.server_core.to_string())
            .args(wrapper)
            .args(&line)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log)?)
            .spawn()
            .map_err(|error| {
                format!("cannot start setpriv and taskset for {}: {error}", who.name())
            })?;
        let mut server = Self { who, target, child, log };
        server.wait_until_ready(&line.join(" "))?;
        Ok(server)
    }

    fn wait_until_ready(&mut self, line: &str) -> Result<()> {
        let begun = Instant::now();
        loop {
            let listens = match &self.target {
                Target::Tcp(address) => TcpStream::connect(address).is_ok(),
                Target::Unix(path) => UnixStream::connect(path).is_ok(),
            };
            if listens {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                let said = fs::read_to_string(&self.log).unwrap_or_default();
                let said = said.lines().last().unwrap_or("it said nothing").to_owned();
                let name = self.who.name();
                return Err(format!("{name} ended at once ({status}, {said}): {line}").into());
            }
            if begun.elapsed() > READY_MAX {
                return Err(format!("{} does not listen: {line}", self.who.name()).into());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// `plan` for this server: its address, and its dialect.
    pub(crate) fn plan(&self, plan: &Plan) -> Plan {
        let dialect = self.who.speaks(plan.dialect).unwrap_or(plan.dialect);
        Plan { target: self.target.clone(), dialect, ..plan.clone() }
    }

    /// The server's process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends the server in good order and waits for it.
    pub(crate) fn terminate(mut self) -> Result<()> {
        Command::new("kill").args(["-TERM", &self.pid().to_string()]).status()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.log);
        if let Target::Unix(path) = &self.target {
            let _ = fs::remove_file(path);
        }
    }
}

fn free_port(first: u16) -> Result<u16> {
    (first..first.saturating_add(500))
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .ok_or_else(|| format!("no free port from {first} on").into())
}
