//! Connections that do nothing: what they cost in memory, and that nobody else pays for them. By both
//! ways to the kernel, where there are two.

use super::Server;
use super::limit::{Client, status_bytes};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Mutex;
use std::time::Duration;

const WAYS: [&str; 2] = ["epoll", "auto"];
/// Idle connections of a test, if the system allows so many files.
const IDLE: u64 = 10_000;
/// Files that this process, all of its tests and the server need beside them.
const FILES: u64 = 500;
/// These tests take turns: each takes most of the files that there are.
static TURN: Mutex<()> = Mutex::new(());
/// Connections before any is measured: more than a ring has buffers, so that all of these have been used.
const FIRST: u64 = 150;
/// User memory that an idle connection may cost.
const CONNECTION_BYTES: u64 = 1_024;

/// As many idle connections as the system allows.
fn idle_count() -> u64 {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let wanted = hard.min(IDLE + FILES);
    if soft < wanted {
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).unwrap();
    }
    IDLE.min(wanted.max(soft) - FILES)
}

fn start(way: &str, options: &[&str]) -> Server {
    let limit = (idle_count() + 2 * FIRST).to_string();
    Server::start(&[&["--io", way, "-c", &limit], options].concat())
}

fn connect(server: &Server) -> UnixStream {
    let stream = UnixStream::connect(&server.socket).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream
}

/// Opens connections that do something, and then nothing any more.
fn idle(server: &Server, count: u64, used: impl Fn(&mut [UnixStream])) -> Vec<UnixStream> {
    let mut idle: Vec<UnixStream> = (0..count).map(|_| connect(server)).collect();
    used(&mut idle);
    idle
}

fn ask(stream: &mut UnixStream, request: &[u8], reply: &[u8]) {
    stream.write_all(request).unwrap();
    hear(stream, reply);
}

/// All of them ask before the first is answered.
fn ask_together(streams: &mut [UnixStream], request: &[u8], reply: &[u8]) {
    streams.iter_mut().for_each(|stream| stream.write_all(request).unwrap());
    streams.iter_mut().for_each(|stream| hear(stream, reply));
}

fn hear(stream: &mut UnixStream, reply: &[u8]) {
    let mut got = vec![0; reply.len()];
    stream.read_exact(&mut got).unwrap();
    assert_eq!(String::from_utf8_lossy(&got), String::from_utf8_lossy(reply));
}

/// Holds the memory of so many connections that were used like this against the bound.
fn check_memory(what: &str, options: &[&str], count: u64, used: impl Fn(&mut [UnixStream])) {
    let _turn = TURN.lock().unwrap_or_else(|failed| failed.into_inner());
    let count = count.min(idle_count());
    for way in WAYS {
        let server = start(way, options);
        let mut client = Client::new(&server);
        client.set("large", &[b'l'; 300_000]);
        // Whatever the server needs once, however many there are.
        let first = idle(&server, FIRST, &used);
        // In two halves: what the server needs once meanwhile (a page of two megabytes for the next segment of
        // a log would be 200 bytes a connection) is in one of them alone.
        let half = count / 2;
        let halves = [(); 2].map(|()| {
            let before = status_bytes(&server, "RssAnon:");
            let rest = idle(&server, half, &used);
            // By now it has read all that was sent.
            assert!(client.figure("curr_connections") > half);
            (status_bytes(&server, "RssAnon:").saturating_sub(before) / half, rest)
        });
        let each = halves.iter().map(|(each, _)| *each).min().unwrap();
        println!("{what}, {way}: {each} bytes each of {count}");
        assert!(each <= CONNECTION_BYTES, "{what}, {way}: {each} bytes each of {count}");
        drop((first, halves));
    }
}

#[test]
fn an_idle_connection_costs_at_most_a_kibibyte() {
    check_memory("after a request", &["-m", "64"], IDLE, |streams| {
        ask_together(streams, b"mn\r\n", b"MN\r\n");
    });
}

#[test]
fn a_connection_that_waited_for_a_disk_costs_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("idle.tdh").display().to_string();
    check_memory("after a durable set", &["--store", &store], IDLE, |streams| {
        ask_together(streams, b"set a 0 0 1\r\nx\r\n", b"STORED\r\n");
    });
}

#[test]
fn a_connection_in_the_middle_of_a_request_costs_no_more() {
    check_memory("in a request", &["-m", "64"], IDLE, |streams| {
        ask_together(streams, b"mn\r\nge", b"MN\r\n");
        // The server reads once more, and it is still no request.
        streams.iter_mut().for_each(|stream| stream.write_all(b"t").unwrap());
    });
}

#[test]
fn a_connection_that_was_slow_to_read_costs_no_more() {
    check_memory("after a reply that waited", &["-m", "64"], IDLE / 4, |streams| {
        let mut rest = vec![0; 300_000 + b"\r\nEND\r\n".len()];
        for stream in streams {
            // More than the socket takes.
            ask(stream, b"get large\r\n", b"VALUE large 0 300000\r\n");
            stream.read_exact(&mut rest).unwrap();
        }
    });
}

/// Processor time of a server, all of its threads, in ticks of 10 ms.
fn cpu_ticks(server: &Server) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.child.id())).unwrap();
    // Behind the name, which may have anything in it: user and system time are the 12th and 13th.
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    fields.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
}

/// Work of a server for requests that come one by one.
#[derive(Debug)]
struct Work {
    cycles: u64,
    reads: u64,
    writes: u64,
    ticks: u64,
}

fn work(server: &Server, request: &[u8], reply: &str, count: u64) -> Work {
    let mut client = Client::new(server);
    let mut figures = || ["cycles", "read_calls", "write_calls"].map(|name| client.figure(name));
    let before = figures();
    let ticks = cpu_ticks(server);
    let mut stream = connect(server);
    (0..count).for_each(|_| ask(&mut stream, request, reply.as_bytes()));
    let ticks = cpu_ticks(server) - ticks;
    let after = figures();
    let [cycles, reads, writes] = [0, 1, 2].map(|at| after[at] - before[at]);
    Work { cycles, reads, writes, ticks }
}

/// Requests cost the same with idle connections around.
fn check_work(options: &[&str], request: &[u8], reply: &str, count: u64) {
    let _turn = TURN.lock().unwrap_or_else(|failed| failed.into_inner());
    for way in WAYS {
        let server = start(way, options);
        let alone = work(&server, request, reply, count);
        let idle = idle(&server, idle_count(), |streams| {
            ask_together(streams, b"mn\r\n", b"MN\r\n");
        });
        // Others use the machine as well: generous, and not the first time that they are busy.
        let ticks_max = 2 * alone.ticks + 10;
        let mut beside = work(&server, request, reply, count);
        for _ in 0..2 {
            if beside.ticks > ticks_max {
                beside = work(&server, request, reply, count);
            }
        }
        let more = |of: fn(&Work) -> u64| of(&beside).saturating_sub(of(&alone));
        // A look at the clock every second, and some for the figures.
        let same = more(|work| work.reads) <= count / 10 && more(|work| work.writes) <= count / 10;
        // A flush may be told of in a cycle of its own.
        let alike = more(|work| work.cycles) <= alone.cycles / 4;
        assert!(same && alike && beside.ticks <= ticks_max, "{way}: {alone:?}, {beside:?}");
        drop(idle);
    }
}

#[test]
fn gets_cost_the_same_beside_idle_connections() {
    check_work(&["-m", "64"], b"mg a\r\n", "EN\r\n", 10_000);
}

#[test]
fn durable_sets_cost_the_same_beside_idle_connections() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("idle.tdh").display().to_string();
    check_work(&["--store", &store], b"set a 0 0 1\r\nx\r\n", "STORED\r\n", 2_000);
}
