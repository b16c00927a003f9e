//! `todana serve`: assembly of a server, and what is done to its process.

use crate::config::{Config, Transport};
use crate::options::{ProcessOptions, ServeArgs};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use todana_server::{OnVerbosity, Server};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::prelude::*;

/// Set in the environment of the process that goes to the background.
const IN_BACKGROUND: &str = "TODANA_IN_BACKGROUND";
/// What that process writes when it listens.
const LISTENING: &str = "todana listens\n";

/// A message for whoever started the program.
type Failure = Box<dyn std::error::Error>;

/// Runs the server until it is told to stop.
pub(crate) fn run(args: &ServeArgs) -> ExitCode {
    let in_background = std::env::var_os(IN_BACKGROUND).is_some();
    let outcome = if args.daemon && !in_background {
        go_to_background()
    } else {
        serve(args, in_background).map(|()| ExitCode::SUCCESS)
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("todana: {error}");
        ExitCode::FAILURE
    })
}

fn serve(args: &ServeArgs, in_background: bool) -> Result<(), Failure> {
    let (config, process) = args.configuration()?;
    let settings = config.settings().map_err(|error| args.with_file(error))?;
    let on_verbosity = start_log(&config);
    for option in &process.without_effect {
        tracing::warn!(option, "accepted, without effect here");
    }
    if in_background {
        nix::unistd::setsid()?;
    }
    prepare(&process)?;
    let name = config.name()?;
    let shown = shown(&config)?;
    let engine = name.open_engine().map_err(|error| format!("cannot open {shown}: {error}"))?;
    if let Some(reason) = todana_io::huge_page_refusal() {
        tracing::info!(reason, "no huge pages: look-ups in a large store take longer");
    }
    let mut server = Server::start(settings, engine, Some(on_verbosity))?;
    server.hear_signals()?;
    if let Some(path) = &config.pid_file {
        write_pid_file(path)?;
    }
    if let Some(user) = &config.user {
        change_user(user, &config)?;
    } else if nix::unistd::geteuid().is_root() {
        tracing::warn!("running as root: -u USER gives that up once the ports are open");
    }
    announce(&server, &config, &shown);
    if in_background {
        // Whoever waits for this goes away once they have read it.
        let mut out = std::io::stdout();
        let _ = out.write_all(LISTENING.as_bytes()).and_then(|()| out.flush());
        let_go_of_output(config.log.verbosity > 0)?;
    }
    let outcome = server.run();
    if let Some(path) = &config.pid_file {
        remove_pid_file(path);
    }
    Ok(outcome?)
}

/// The store as a log line shows it.
fn shown(config: &Config) -> Result<String, Failure> {
    let store = config.the_store()?;
    Ok(match store.engine.as_str() {
        "memory" => format!("memory of {}", crate::units::show(Config::sizes(store)?.0)),
        _ => store.path.display().to_string(),
    })
}

fn announce(server: &Server, config: &Config, store: &str) {
    let addresses = server.listens_on();
    let local = addresses.iter().all(|address| {
        address.starts_with("unix:") || address.contains(":127.") || address.contains(":[::1]")
    });
    let reach =
        if local { "this machine only; -l 0.0.0.0 opens it to the network" } else { "network" };
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        listen = addresses.join(" "),
        reach,
        store,
        threads = config.threads,
        io = server.io().name(),
        connections = config.connections,
        "todana listens"
    );
    if !local && config.auth_file.is_none() {
        tracing::warn!("anybody who reaches these addresses can read and write: see -Y");
    }
}

/// Writes the process id, while still root if that is how it was started.
fn write_pid_file(path: &Path) -> Result<(), Failure> {
    if let Some(other) = process_of(path)
        && other != std::process::id()
        && is_running(other)
    {
        let file = path.display();
        tracing::warn!(%file, other, "the file names a process that runs; it is overwritten");
    }
    todana_io::files::write_small(path, &format!("{}\n", std::process::id()))
        .map_err(|error| format!("cannot write {}: {error}", path.display()).into())
}

/// Removes the file again, unless it has become another process's meanwhile.
fn remove_pid_file(path: &Path) {
    if process_of(path) == Some(std::process::id())
        && let Err(error) = todana_io::files::remove(path)
    {
        tracing::debug!(file = %path.display(), %error, "cannot remove the file");
    }
}

fn process_of(path: &Path) -> Option<u32> {
    todana_io::files::read_small(path).ok()?.trim().parse().ok()
}

fn is_running(process: u32) -> bool {
    i32::try_from(process).is_ok_and(|process| {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(process), None).is_ok()
    })
}

/// Lets whoever started the program have their output to themselves again; as memcached, a server that
/// was asked to log more goes on logging where it did.
fn let_go_of_output(keep_log: bool) -> Result<(), Failure> {
    let null = todana_io::files::open_null()?;
    nix::unistd::dup2_stdout(&null)?;
    if !keep_log {
        nix::unistd::dup2_stderr(&null)?;
    }
    Ok(())
}

/// Starts logging; gives the hand that changes how much.
fn start_log(config: &Config) -> OnVerbosity {
    let (filter, handle) = tracing_subscriber::reload::Layer::new(level_of(config.log.verbosity));
    let registry = tracing_subscriber::registry().with(filter);
    let ansi = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let layer = tracing_subscriber::fmt::layer().with_target(false).with_writer(std::io::stderr);
    let started = match config.log.format {
        crate::config::LogFormat::Text => registry.with(layer.with_ansi(ansi)).try_init(),
        crate::config::LogFormat::Json => registry.with(layer.json()).try_init(),
    };
    if let Err(error) = started {
        eprintln!("todana: no log: {error}");
    }
    Arc::new(move |verbosity| {
        let _ = handle.reload(level_of(verbosity));
    })
}

fn level_of(verbosity: u32) -> LevelFilter {
    match verbosity {
        0 => LevelFilter::INFO,
        1 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    }
}

/// What memcached's `-k` and `-r` do to the process.
fn prepare(process: &ProcessOptions) -> Result<(), Failure> {
    if process.core_files {
        use nix::sys::resource::{Resource, getrlimit, setrlimit};
        let (_, hard) = getrlimit(Resource::RLIMIT_CORE)?;
        setrlimit(Resource::RLIMIT_CORE, hard, hard)
            .map_err(|error| format!("cannot allow core files (-r): {error}"))?;
    }
    if process.lock_memory {
        use nix::sys::mman::{MlockAllFlags, mlockall};
        // Each page when it is first used: a store takes addresses for far more than its limit.
        let on_fault = MlockAllFlags::from_bits_retain(nix::libc::MCL_ONFAULT);
        let all = MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE | on_fault;
        mlockall(all).map_err(|error| {
            format!("cannot lock memory (-k): {error}; raise the limit (ulimit -l)")
        })?;
    }
    Ok(())
}

/// Gives up root; Unix sockets become the user's.
fn change_user(name: &str, config: &Config) -> Result<(), Failure> {
    use nix::unistd::{Uid, User, chown, geteuid};
    if !geteuid().is_root() {
        tracing::debug!(user = name, "not root: -u has no effect");
        return Ok(());
    }
    let user = User::from_name(name)?.ok_or_else(|| format!("there is no user {name:?} (-u)"))?;
    if user.uid == Uid::from_raw(0) {
        return Ok(());
    }
    for listen in config.listen.iter().filter(|one| one.transport == Transport::Unix) {
        chown(listen.address.as_str(), Some(user.uid), Some(user.gid))
            .map_err(|error| format!("cannot give {} to {name:?}: {error}", listen.address))?;
    }
    let c_name = std::ffi::CString::new(name)?;
    nix::unistd::initgroups(&c_name, user.gid)?;
    nix::unistd::setgid(user.gid)?;
    nix::unistd::setuid(user.uid)
        .map_err(|error| format!("cannot become {name:?} (-u): {error}").into())
}

/// Starts this program again in the background, and waits until it listens or fails.
fn go_to_background() -> Result<ExitCode, Failure> {
    let program = std::env::current_exe()?;
    let mut child = Command::new(program)
        .args(std::env::args_os().skip(1))
        .env(IN_BACKGROUND, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()?;
    let mut told = String::new();
    if let Some(mut out) = child.stdout.take() {
        let mut byte = [0; 1];
        while !told.ends_with(LISTENING) && out.read(&mut byte)? == 1 {
            told.push(char::from(byte[0]));
        }
    }
    if told.ends_with(LISTENING) {
        return Ok(ExitCode::SUCCESS);
    }
    let status = child.wait()?;
    Ok(status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .map_or(ExitCode::FAILURE, ExitCode::from))
}
