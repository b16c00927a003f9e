//! The memory limit, as the kernel sees the process: `-m`, and memory that the system refuses.

use super::{Server, errors, todana};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Duration;

/// A connection that speaks text.
pub(super) struct Client {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
}

impl Client {
    pub(super) fn new(server: &Server) -> Client {
        let writer = UnixStream::connect(&server.socket).unwrap();
        writer.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Client { reader: BufReader::new(writer.try_clone().unwrap()), writer }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.reader.read_line(&mut line).unwrap() > 0, "the server closed");
        line.trim_end().to_owned()
    }

    /// Sends something that is answered by one line.
    fn ask(&mut self, request: &[u8]) -> String {
        self.writer.write_all(request).unwrap();
        self.line()
    }

    pub(super) fn set(&mut self, key: &str, value: &[u8]) -> String {
        let head = format!("set {key} 0 0 {}\r\n", value.len());
        self.ask(&[head.as_bytes(), value, b"\r\n"].concat())
    }

    /// Stores many records of 100 bytes and a lifetime, and hears of none but by a figure at the end.
    fn fill(&mut self, numbers: std::ops::Range<u32>, lifetime_s: u32) -> u64 {
        let mut batch = Vec::new();
        for number in numbers {
            write!(batch, "set key{number:08} 0 {lifetime_s} 100 noreply\r\n").unwrap();
            batch.extend_from_slice(&[b'x'; 100]);
            batch.extend_from_slice(b"\r\n");
            if batch.len() > 100_000 {
                self.writer.write_all(&batch).unwrap();
                batch.clear();
            }
        }
        self.writer.write_all(&batch).unwrap();
        self.figure("evictions")
    }

    pub(super) fn figure(&mut self, name: &str) -> u64 {
        self.writer.write_all(b"stats\r\n").unwrap();
        let mut figure = None;
        loop {
            let line = self.line();
            if line == "END" {
                return figure.unwrap();
            }
            if let Some(rest) = line.strip_prefix(&format!("STAT {name} ")) {
                figure = Some(rest.parse().unwrap());
            }
        }
    }

    fn is_there(&mut self, key: &str) -> bool {
        match self.ask(format!("mg {key}\r\n").as_bytes()).as_str() {
            "HD" => true,
            "EN" => false,
            other => panic!("{other}"),
        }
    }
}

/// A figure that the kernel keeps of the server's process, in bytes.
pub(super) fn status_bytes(server: &Server, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// Stores new records until a million were evicted: the process stays within 5 % and 16 MiB of `-m`.
fn run_over(limit_mib: u64) {
    let server = Server::start(&["-m", &limit_mib.to_string(), "-t", "4"]);
    let mut client = Client::new(&server);
    let max = limit_mib * (1 << 20) / 100 * 105 + (16 << 20);
    let (mut stored, mut evictions) = (0, 0);
    while evictions < 1_000_000 {
        evictions = client.fill(stored..stored + 250_000, 0);
        stored += 250_000;
        let resident = status_bytes(&server, "VmRSS:");
        assert!(resident <= max, "{resident} bytes after {stored} records, of {max}");
    }
    let resident = status_bytes(&server, "VmRSS:");
    println!("-m {limit_mib}: {resident} bytes of {max}, {stored} stored, {evictions} evicted");
}

#[test]
fn after_a_million_evictions_64_mib_are_64_mib() {
    run_over(64);
}

#[test]
#[ignore = "half a minute long"]
fn after_a_million_evictions_256_mib_are_256_mib() {
    run_over(256);
}

#[test]
fn memory_of_ended_records_comes_back_without_a_get() {
    let server = Server::start(&["-m", "64"]);
    let mut client = Client::new(&server);
    client.fill(0..200_000, 2);
    let before = status_bytes(&server, "VmRSS:");
    let mut after = before;
    let fell = (0..300).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        after = status_bytes(&server, "VmRSS:");
        after + (16 << 20) < before
    });
    assert!(fell, "{before} bytes, then {after}");
    println!("{before} bytes, then {after}");
}

#[test]
fn a_limit_that_is_too_small_is_refused_with_the_least() {
    for (args, expected) in [
        (&["-m", "0"][..], "at least 1MiB"),
        (&["-m", "1023k", "-I", "1k"], "at least 1MiB"),
        (&["-m", "1"], "items of 1MiB need a memory limit (-m) of 4MiB; raise that, or lower -I"),
        (&["-m", "3"], "of 4MiB"),
    ] {
        let (code, text) = errors(&[&["serve", "-p", "-1", "-s", "unused"], args].concat());
        let is_one_line = text.lines().count() == 1;
        assert!(code == 1 && is_one_line && text.contains(expected), "{args:?}: {text}");
    }
    for args in [&["-m", "4"][..], &["-m", "1", "-I", "256k"]] {
        let server = Server::start(args);
        let mut client = Client::new(&server);
        assert!(client.fill(0..60_000, 0) > 0, "{args:?}");
        assert_eq!(client.set("key", b"value"), "STORED");
        assert!(client.is_there("key"));
    }
}

#[test]
fn addresses_that_the_system_refuses_are_told_in_one_line() {
    let output = Command::new("sh")
        .args(["-c", "ulimit -v 300000; exec \"$0\" serve -m 64 -t 1 -s unused"])
        .arg(env!("CARGO_BIN_EXE_todana"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    let last = text.lines().last().unwrap_or_default();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(last.starts_with("todana: cannot open memory of 64MiB: "), "{text}");
    assert!(last.contains("Cannot allocate memory") && last.contains("ulimit -v"), "{text}");
}

/// Allows a server so many more bytes of addresses.
fn confine(server: &Server, more_bytes: u64) {
    let limit_bytes = status_bytes(server, "VmSize:") + more_bytes;
    let status = Command::new("prlimit")
        .args(["--pid", &server.child.id().to_string(), &format!("--as={limit_bytes}:")])
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn memory_that_is_refused_later_costs_writes_only() {
    let mut server = Server::start(&["-m", "64"]);
    let mut client = Client::new(&server);
    let large = vec![b'l'; 900_000];
    assert_eq!(client.set("small", b"value"), "STORED");
    assert_eq!(client.set("large", &large), "STORED");
    confine(&server, 8 << 20);
    let refused = (0..64).find(|n| {
        let told = client.set(&format!("large{n}"), &large);
        assert!(told == "STORED" || told == "SERVER_ERROR out of memory storing object", "{told}");
        told != "STORED"
    });
    assert!(refused.is_some(), "nothing was refused");
    assert!(client.is_there("small") && client.is_there("large"), "gets go on");
    assert!(!client.is_there(&format!("large{}", refused.unwrap())));
    assert_eq!(client.set("small", b"another"), "STORED");
    client.fill(0..100_000, 0);
    assert!(client.is_there("key00099999"), "what has memory is stored");
    assert!(client.figure("store_no_memory") > 0);
    confine(&server, 4 << 30);
    assert_eq!(client.set("large", &large), "STORED");
    assert!(server.child.try_wait().unwrap().is_none(), "it lives");
}

#[test]
fn without_huge_pages_it_says_so_and_works() {
    // Children keep what is set here, beyond their start; the memory of this process does not matter.
    nix::sys::prctl::set_thp_disable(true).unwrap();
    let server = Server::start(&["-m", "64"]);
    nix::sys::prctl::set_thp_disable(false).unwrap();
    let lines: Vec<&str> = server.log.lines().filter(|line| line.contains("huge")).collect();
    assert!(lines.len() == 1 && lines[0].contains("INFO"), "{}", server.log);
    assert!(lines[0].contains("no huge pages: ") && lines[0].contains("switched off"), "{lines:?}");
    let mut client = Client::new(&server);
    client.fill(0..10_000, 0);
    assert!(client.is_there("key00009999"));
}

#[test]
fn locked_memory_is_locked_when_it_is_used() {
    let mut child = todana()
        .args(["serve", "--store", "memory", "-m", "64", "-t", "1", "-k", "-s", "locked"])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut lines = String::new();
    while !lines.contains("todana listens") && log.read_line(&mut lines).unwrap() > 0 {}
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let _ = child.kill();
    child.wait().unwrap();
    let _ = std::fs::remove_file(std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("locked"));
    if lines.contains("cannot lock memory (-k)") {
        // Not allowed to whoever runs this: nothing to see.
        return;
    }
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kib < 64 << 10, "{kib} KiB of an empty store; {lines}");
}
