//! The built program, as its users run it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::disallowed_methods, reason = "these tests wait for processes")]

mod db;
mod db_beside;
mod db_check;
mod idle;
mod kill;
mod limit;
mod sim;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

fn todana() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_todana"));
    command.env_remove("TODANA_SERVER").env_remove("TODANA_CONFIG").env_remove("TODANA_STORE");
    // A server that is told of no store makes one where it is started.
    command.current_dir(env!("CARGO_TARGET_TMPDIR"));
    command
}

/// A server on a Unix socket in a folder of its own; stopped when dropped.
struct Server {
    child: Child,
    socket: PathBuf,
    /// What it logged until it listened.
    log: String,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start(options: &[&str]) -> Server {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let mut child = todana()
            .arg("serve")
            .arg("-s")
            .arg(&socket)
            .args(["-t", "1"])
            .args(if options.contains(&"--store") { &[][..] } else { &["--store", "memory"] })
            .args(options)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut lines = String::new();
        while !lines.contains("todana listens") {
            assert!(log.read_line(&mut lines).unwrap() > 0, "the server did not start: {lines}");
        }
        // Whatever it logs later must find a reader.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Server { child, socket, log: lines, _folder: folder }
    }

    fn run(&self, args: &[&str]) -> (i32, String) {
        self.run_with(args, b"")
    }

    fn run_with(&self, args: &[&str], input: &[u8]) -> (i32, String) {
        let (command, rest) = args.split_first().unwrap();
        let mut child = todana()
            .arg(command)
            .arg("--server")
            .arg(&self.socket)
            .args(rest)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        outcome(&child.wait_with_output().unwrap())
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn outcome(output: &Output) -> (i32, String) {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code().unwrap_or(-1), text)
}

fn errors(args: &[&str]) -> (i32, String) {
    let output = todana().args(args).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap_or(-1), text)
}

#[test]
fn values_go_in_and_out_untouched_and_exit_codes_tell() {
    let server = Server::start(&[]);
    assert_eq!(server.run(&["get", "greeting"]), (1, String::new()));
    assert_eq!(server.run(&["set", "greeting", "hello"]).0, 0);
    assert_eq!(server.run(&["get", "greeting"]), (0, "hello".into()));
    assert_eq!(server.run_with(&["set", "file"], b"two\nlines\n").0, 0);
    assert_eq!(server.run(&["get", "file"]), (0, "two\nlines\n".into()));
    assert_eq!(server.run(&["set", "greeting", "x", "--add"]).0, 1);
    assert_eq!(server.run(&["set", "greeting", " again", "--append"]).0, 0);
    assert_eq!(server.run(&["get", "greeting"]).1, "hello again");
    assert_eq!(server.run(&["incr", "visits"]).0, 1);
    assert_eq!(server.run(&["incr", "visits", "--initial", "41"]).1.trim(), "41");
    assert_eq!(server.run(&["incr", "visits"]).1.trim(), "42");
    assert_eq!(server.run(&["delete", "visits"]).0, 0);
    assert_eq!(server.run(&["delete", "visits"]).0, 1);
    let (code, figures) = server.run(&["stats"]);
    assert!(code == 0 && figures.contains("curr_items"), "{figures}");
    assert_eq!(server.run(&["flush"]).0, 0);
    assert_eq!(server.run(&["get", "greeting"]).0, 1);
}

#[test]
fn without_a_server_the_reason_is_one_line() {
    let (code, text) = errors(&["get", "x", "--server", "/nonexistent/socket"]);
    assert!(code == 2 && text.lines().count() == 1 && text.contains("/nonexistent"), "{text}");
}

#[test]
fn load_is_measured() {
    let server = Server::start(&[]);
    let (code, text) =
        server.run(&["bench", "--json", "-c", "2", "-P", "4", "-n", "100", "--requests", "2000"]);
    assert!(code == 0 && text.contains("\"requests\""), "{text}");
}

#[test]
fn signals_stop_it_with_success_and_leave_nothing_behind() {
    for signal in ["-TERM", "-INT", "-USR1"] {
        let mut server = Server::start(&[]);
        server.signal(signal);
        assert_eq!(server.child.wait().unwrap().code(), Some(0), "{signal}");
        assert!(!server.socket.exists(), "{signal} left the socket");
    }
}

#[test]
fn in_the_background_it_returns_when_it_listens() {
    let folder = tempfile::tempdir().unwrap();
    let (socket, pid) = (folder.path().join("socket"), folder.path().join("pid"));
    let arguments = |socket: &Path| {
        let socket = socket.display().to_string();
        ["-d", "-s", &socket, "-t", "1", "--store", "memory"].map(str::to_owned).to_vec()
    };
    let status = todana()
        .args(arguments(&socket))
        .arg("-P")
        .arg(&pid)
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0));
    let id = std::fs::read_to_string(&pid).unwrap().trim().to_owned();
    let set = todana().args(["set", "a", "b", "--server"]).arg(&socket).status().unwrap();
    assert_eq!(set.code(), Some(0), "it listened before it returned");
    // A second one on the same socket fails, and says so to whoever started it.
    let output = todana().args(arguments(&socket)).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot listen"));
    assert!(Command::new("kill").arg(&id).status().unwrap().success());
    let gone = (0..500).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        !pid.exists()
    });
    assert!(gone && !socket.exists(), "it did not clean up");
}

#[test]
fn configurations_are_printed_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("todana.toml");
    let (code, text) = outcome(&todana().args(["config", "default"]).output().unwrap());
    assert_eq!(code, 0);
    std::fs::write(&file, &text).unwrap();
    let path = file.display().to_string();
    assert_eq!(outcome(&todana().args(["config", "check", &path]).output().unwrap()).0, 0);
    std::fs::write(&file, text.replace("threads = 4", "threads = \"many\"")).unwrap();
    let (code, text) = errors(&["config", "check", &path]);
    assert!(code == 1 && text.lines().count() == 1 && text.contains(":4:11"), "{text}");
}

#[test]
fn a_wrong_option_is_one_clear_line() {
    for (args, expected) in [
        (&["serve", "-m", "x"][..], "-m (--memory-limit)"),
        (&["serve", "--store", "memory", "-I", "2g"], "1k to 1024m"),
        (&["serve", "--store", "memory", "-I", "512m"], "need a memory limit (-m) of 2GiB"),
        (&["serve", "-I", "64m"], "1k to 32m on a hash store"),
        (&["serve", "-p", "0"], "nothing is left to listen on"),
        (&["serve", "-o", "nonsense"], "is not known"),
        (&["serve", "--store", "x#flush=often"], "it takes group, never or interval="),
        (&["serve", "-Y", "/nonexistent"], "/nonexistent"),
        (&["serve", "-S", "-p", "-1"], "SASL needs a file"),
        (&["serve", "--config", "/nonexistent.toml"], "/nonexistent.toml"),
        (&["serve", "-m", "64", "-u", "no-such-user", "-p", "-1"], "no-such-user"),
    ] {
        if args.contains(&"-u") && !nix::unistd::geteuid().is_root() {
            continue;
        }
        let (code, text) = errors(args);
        let last = text.lines().last().unwrap_or_default();
        assert!(code == 1 && last.contains(expected), "{args:?}: {text}");
    }
    assert_eq!(errors(&["serve", "--nonsense"]).0, 2);
}

#[test]
fn completions_and_the_manual_are_there() {
    for args in [&["completions", "bash"][..], &["man"], &["--help"], &["bench", "--help"]] {
        let (code, text) = outcome(&todana().args(args).output().unwrap());
        assert!(code == 0 && text.contains("todana"), "{args:?}");
    }
    let (code, page) = outcome(&todana().args(["man", "db", "import"]).output().unwrap());
    assert!(code == 0 && page.contains(".TH todana-db-import") && page.contains("from\\-tokyo"));
    let (_, pages) = outcome(&todana().arg("man").output().unwrap());
    assert!(pages.contains(&page) && !pages.contains("todana-help"), "the page is among all");
    assert_eq!(errors(&["man", "db", "nonsense"]).0, 2);
    for shell in ["bash", "zsh", "fish"] {
        let (_, script) = outcome(&todana().args(["completions", shell]).output().unwrap());
        assert!(script.contains("from-tokyo"), "{shell} knows nothing of the commands of db");
    }
    let (code, text) = outcome(&todana().arg("-V").output().unwrap());
    assert_eq!((code, text.trim()), (0, concat!("todana ", env!("CARGO_PKG_VERSION"))));
}
