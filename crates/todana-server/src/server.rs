//! Starting and stopping: the control thread, which accepts connections and hears signals.

use crate::auth::{Credentials, CredentialsError};
use crate::context::{Context, OnVerbosity};
use crate::driver::{Driver, Event, Io, Waker};
use crate::inbox::{Arrival, Inbox};
use crate::jobs;
use crate::limits::ACCEPTS_PER_TURN;
use crate::listen::{self, ListenError, Listener, Stream};
use crate::settings::{Address, Settings};
use crate::udp::Datagrams;
use crate::worker::Worker;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use todana_engine::Engine;
use todana_io::{AdjustableClock, SystemClock};
use todana_protocol::memcached::Protocol;

/// Key of the signals; those of listeners begin at 0.
const SIGNALS: usize = usize::MAX / 2;
/// Longest wait in milliseconds, when nobody has anything to say.
const WAIT_MS: u64 = 60_000;
/// Files that the server needs beside connections and threads.
const FILES_RESERVED: u64 = 64;
/// Files of a worker: its poll and its waker.
const FILES_PER_THREAD: u64 = 2;
/// Milliseconds between looks whether connections may be accepted again.
const RETRY_MS: u64 = 10;

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// A listener could not be opened.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The password file makes no sense.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The operating system does not allow as many files as connections need.
    #[error(
        "{wanted} open files are needed for {connections} connections, and the limit is {limit}: \
         raise it (ulimit -n) or ask for fewer connections (-c)"
    )]
    Files {
        /// Needed.
        wanted: u64,
        /// For so many connections.
        connections: usize,
        /// The limit.
        limit: u64,
    },
    /// A setting is out of bounds.
    #[error("{name} = {value}: {allowed}")]
    Setting {
        /// Which.
        name: &'static str,
        /// What it is.
        value: String,
        /// What it may be.
        allowed: String,
    },
    /// A part of the server failed; the log says which.
    #[error("a part of the server failed and it stopped: see the log, and please report it")]
    Failed,
    /// The operating system failed.
    #[error("cannot {what}: {reason}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why not.
        reason: io::Error,
    },
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> ServerError {
    move |reason| ServerError::System { what, reason }
}

/// A listener, and what has come in by it.
struct Door {
    listener: Listener,
    protocol: Protocol,
    name: Arc<str>,
    /// Connections that the driver has accepted already, or why it could not.
    accepted: VecDeque<io::Result<Stream>>,
}

impl Door {
    /// The next connection.
    fn next(&mut self, accepts: bool) -> io::Result<Stream> {
        match self.accepted.pop_front() {
            Some(accepted) => accepted,
            None if accepts => self.listener.accept(),
            None => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

/// A server that listens, and its threads.
pub struct Server {
    context: Arc<Context>,
    driver: Driver,
    doors: Vec<Door>,
    signals: Option<mio::net::UnixStream>,
    /// Set by the signal that asks for a graceful stop.
    graceful: Arc<AtomicBool>,
    inboxes: Vec<Arc<Inbox>>,
    threads: Vec<JoinHandle<()>>,
    accepting: bool,
    paused_since_ns: u64,
}

impl Server {
    /// Opens all listeners and starts the workers; requests are answered from here on, though nobody
    /// is accepted before [`run`](Server::run).
    ///
    /// # Errors
    /// When a setting, a listener or a limit of the system forbids it; nothing is left running then.
    pub fn start(
        settings: Settings,
        engine: Arc<dyn Engine>,
        on_verbosity: Option<OnVerbosity>,
    ) -> Result<Server, ServerError> {
        settings.check()?;
        raise_file_limit(settings.connections_max, settings.threads)?;
        let credentials = settings.auth_file.as_deref().map(Credentials::read).transpose()?;
        let test_clock = settings.test_clock.then(|| Arc::new(AdjustableClock::new()));

        let settings = Settings { io: settings.io.decide()?, ..settings };
        let io = settings.io;
        let mut doors = Vec::new();
        let mut udp = Vec::new();
        let mut described = Vec::new();
        for one in &settings.listen {
            if matches!(one.address, Address::Udp(_)) {
                let socket = listen::open_udp(one)?;
                described.push(describe_udp(&socket));
                udp.push(Datagrams::new(socket, one.protocol));
            } else {
                let listener = listen::open(one, &settings)?;
                let name = describe_listener(&listener);
                described.push(name.clone());
                let name = name.into();
                let accepted = VecDeque::new();
                doors.push(Door { listener, protocol: one.protocol, name, accepted });
            }
        }

        let clock = Arc::new(SystemClock::new());
        let threads = settings.threads;
        let context = Context::new(settings, engine, clock, test_clock, credentials, on_verbosity);
        *context.connections.listeners.lock() = described;
        let (driver, waker) = Driver::new(io).map_err(system("wait for sockets"))?;
        let mut server = Server {
            context,
            driver,
            doors,
            signals: None,
            graceful: Arc::default(),
            inboxes: Vec::new(),
            threads: Vec::new(),
            accepting: true,
            paused_since_ns: 0,
        };
        server.open_doors(waker)?;
        server.start_threads(threads, udp)?;
        Ok(server)
    }

    /// Where it listens, as `tcp:127.0.0.1:11211`.
    pub fn listens_on(&self) -> Vec<String> {
        self.context.connections.listeners.lock().clone()
    }

    /// Which way to the kernel it takes.
    pub fn io(&self) -> Io {
        self.context.settings.io
    }

    /// What all workers share.
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// A handle that stops the server from another thread.
    pub fn stopper(&self) -> impl Fn(bool) + Send + Sync + 'static {
        let context = self.context.clone();
        move |graceful| context.stop.order(graceful)
    }

    fn open_doors(&mut self, waker: Waker) -> Result<(), ServerError> {
        for (at, door) in self.doors.iter_mut().enumerate() {
            let opened = self.driver.listen(&mut door.listener, at);
            opened.map_err(system("watch a listener"))?;
        }
        self.context.stop.on_stop(Arc::new(move || drop(waker.wake())));
        Ok(())
    }

    fn start_threads(&mut self, count: usize, udp: Vec<Datagrams>) -> Result<(), ServerError> {
        let next_id = Arc::new(AtomicU64::new(0));
        let mut shares: Vec<Vec<Datagrams>> = (0..count).map(|_| Vec::new()).collect();
        for (at, datagrams) in udp.into_iter().enumerate() {
            shares[at % count].push(datagrams);
        }
        for (number, share) in shares.into_iter().enumerate() {
            let (worker, inbox) = Worker::new(self.context.clone(), number, share, next_id.clone())
                .map_err(system("start a worker"))?;
            self.inboxes.push(inbox);
            self.spawn(format!("worker-{number}"), move || worker.run())?;
        }
        for (job, name) in self.context.engine.jobs().iter().enumerate() {
            let context = self.context.clone();
            self.spawn((*name).to_owned(), move || jobs::run(&context, job))?;
        }
        Ok(())
    }

    fn spawn(
        &mut self,
        name: String,
        run: impl FnOnce() + Send + 'static,
    ) -> Result<(), ServerError> {
        let context = self.context.clone();
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            // A thread that fails takes the server with it: better stopped than half alive.
            let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err();
            if failed {
                tracing::error!("a thread of the server failed: stopping");
                context.stop.fail();
            }
        });
        self.threads.push(thread.map_err(system("start a thread"))?);
        Ok(())
    }

    /// Has SIGTERM, SIGINT and SIGHUP stop the server, SIGUSR1 gracefully.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn hear_signals(&mut self) -> Result<(), ServerError> {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
        let pair = || -> io::Result<_> {
            let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
            ours.set_nonblocking(true)?;
            let graceful = Arc::new(AtomicBool::new(false));
            signal_hook::flag::register(SIGUSR1, graceful.clone())?;
            for signal in [SIGTERM, SIGINT, SIGHUP, SIGUSR1] {
                signal_hook::low_level::pipe::register(signal, theirs.try_clone()?)?;
            }
            Ok((mio::net::UnixStream::from_std(ours), graceful))
        };
        let (mut signals, graceful) = pair().map_err(system("hear signals"))?;
        self.driver.watch(&mut signals, SIGNALS).map_err(system("hear signals"))?;
        self.signals = Some(signals);
        self.graceful = graceful;
        Ok(())
    }

    /// Accepts connections until the server is stopped; then waits for its threads.
    ///
    /// # Errors
    /// When the system fails underneath.
    pub fn run(mut self) -> Result<(), ServerError> {
        self.context.connections.accepting.store(true, Ordering::Relaxed);
        let mut events = Vec::new();
        let mut pending: Vec<usize> = Vec::new();
        while !self.context.stop.is_ordered() {
            let wait_ms = if pending.is_empty() { WAIT_MS } else { RETRY_MS };
            if let Err(reason) = self.driver.wait(Duration::from_millis(wait_ms), &mut events) {
                self.context.stop.order(false);
                return Err(ServerError::System { what: "wait", reason });
            }
            for event in events.drain(..) {
                let at = match event {
                    Event::Readable { key: SIGNALS, .. } => {
                        self.signal();
                        continue;
                    }
                    Event::Readable { key, .. } => key,
                    Event::Accepted(key, accepted) => {
                        if let Some(door) = self.doors.get_mut(key) {
                            door.accepted.push_back(accepted);
                        }
                        key
                    }
                    _ => continue,
                };
                if !pending.contains(&at) {
                    pending.push(at);
                }
            }
            pending.retain(|&at| self.accept(at));
        }
        // Dropping it waits for its threads.
        if self.context.stop.has_failed() { Err(ServerError::Failed) } else { Ok(()) }
    }

    fn signal(&mut self) {
        let mut bytes = [0; 16];
        if let Some(signals) = &mut self.signals {
            let _ = signals.read(&mut bytes);
        }
        let graceful = self.graceful.load(Ordering::Relaxed);
        tracing::info!(graceful, "told to stop");
        self.context.stop.order(graceful);
    }

    /// Takes what a listener has; true when there may be more.
    fn accept(&mut self, at: usize) -> bool {
        let context = self.context.clone();
        let table = &context.connections;
        let accepts = matches!(self.driver, Driver::Readiness(_));
        for _ in 0..ACCEPTS_PER_TURN {
            let full = table.open.load(Ordering::Acquire) >= self.context.settings.connections_max;
            if full && !self.context.settings.refuse_at_once {
                if self.accepting {
                    self.accepting = false;
                    self.driver.pause_listeners(true);
                    self.paused_since_ns = self.context.clock.monotonic_ns();
                    table.accepting.store(false, Ordering::Relaxed);
                    table.disabled_count.fetch_add(1, Ordering::Relaxed);
                }
                return true;
            }
            if !self.accepting {
                self.accepting = true;
                self.driver.pause_listeners(false);
                let paused_ns = self.context.clock.monotonic_ns() - self.paused_since_ns;
                table.disabled_us.fetch_add(paused_ns / 1_000, Ordering::Relaxed);
                table.accepting.store(true, Ordering::Relaxed);
            }
            let Some(door) = self.doors.get_mut(at) else { return false };
            let mut stream = match door.next(accepts) {
                Ok(stream) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted
                    ) =>
                {
                    continue;
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    // Out of files or memory: others may close.
                    return true;
                }
            };
            if full {
                table.rejected.fetch_add(1, Ordering::Relaxed);
                let _ = stream.write(b"ERROR Too many open connections\r\n");
                continue;
            }
            table.open.fetch_add(1, Ordering::Relaxed);
            table.total.fetch_add(1, Ordering::Relaxed);
            let least = (0..self.inboxes.len())
                .min_by_key(|&worker| self.context.workers[worker].connections.get());
            let next = usize::try_from(table.total.load(Ordering::Relaxed)).unwrap_or(0)
                % self.inboxes.len().max(1);
            // Counters lag behind arrivals under way: in turn, unless one worker has clearly less.
            let worker = match least {
                Some(least) if self.is_much_less(least, next) => least,
                _ => next,
            };
            let Some(door) = self.doors.get(at) else { return false };
            let peer = stream.peer();
            let (protocol, listener) = (door.protocol, door.name.clone());
            let arrival = Arrival { stream, protocol, peer, listener };
            self.inboxes[worker].hand_over(arrival);
        }
        true
    }

    fn is_much_less(&self, least: usize, next: usize) -> bool {
        let count = |worker: usize| self.context.workers[worker].connections.get();
        count(least) + 8 < count(next)
    }

    fn finish(&mut self) {
        self.driver.stop_listening();
        for door in self.doors.drain(..) {
            if let Listener::Unix(unix, path) = door.listener {
                // While it is still ours: a successor may bind the path as soon as it is gone.
                listen::remove_socket(&path);
                drop(unix);
            }
        }
        if self.threads.is_empty() {
            return;
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        if let Err(error) = self.context.engine.close() {
            tracing::error!(%error, "the store could not be closed; its next open recovers");
        }
        tracing::info!("stopped");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !self.context.stop.is_ordered() {
            self.context.stop.order(false);
        }
        self.finish();
    }
}

fn describe_listener(listener: &Listener) -> String {
    match listener {
        Listener::Tcp(tcp) => match tcp.local_addr() {
            Ok(address) => format!("tcp:{address}"),
            Err(_) => "tcp:?".into(),
        },
        Listener::Unix(_, path) => format!("unix:{}", path.display()),
    }
}

fn describe_udp(socket: &mio::net::UdpSocket) -> String {
    socket.local_addr().map_or("udp:?".into(), |address| format!("udp:{address}"))
}

/// Makes sure that there are files enough for all connections.
fn raise_file_limit(connections_max: usize, threads: usize) -> Result<(), ServerError> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let wanted = connections_max as u64 + FILES_PER_THREAD * threads as u64 + FILES_RESERVED;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)
        .map_err(|error| system("read the limit of open files")(error.into()))?;
    if soft >= wanted {
        return Ok(());
    }
    if setrlimit(Resource::RLIMIT_NOFILE, wanted, hard.max(wanted)).is_ok()
        || (hard >= wanted && setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).is_ok())
    {
        return Ok(());
    }
    Err(ServerError::Files { wanted, connections: connections_max, limit: hard })
}
