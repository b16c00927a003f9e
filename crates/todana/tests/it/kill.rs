//! `kill -9` under load: what was acknowledged is there afterwards, with flags, expiry and version.

use super::todana;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(store: &Path, socket: &Path) -> Running {
    let mut child = todana()
        .args(["serve", "-t", "2", "-s"])
        .arg(socket)
        .arg("--store")
        .arg(store)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let running = Running(child);
    let (mut line, mut all) = (String::new(), String::new());
    while !line.contains("todana listens") {
        line.clear();
        assert!(log.read_line(&mut line).unwrap() > 0, "the server did not start: {all}");
        all.push_str(&line);
    }
    std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    running
}

/// What a client was told of a key: value, flags, version; `None` when it was told that it is gone.
type Told = BTreeMap<u32, Option<(String, u32, u64)>>;

/// One client: sends changes in batches, each of which it waits for, until the server is gone. Gives what
/// it was told, and the keys of the batch that it was not told of.
fn client(socket: &Path, from: u32, mut told: Told) -> (Told, Vec<u32>) {
    let stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    for round in 0_u32.. {
        let keys: Vec<u32> = (0..16).map(|n| from + (round * 7 + n * 13) % 400).collect();
        let mut batch = String::new();
        for (n, key) in keys.iter().enumerate() {
            if n % 5 == 4 {
                batch.push_str(&format!("md k{key}\r\n"));
            } else {
                let value = format!("{key}-{round}-{}", "x".repeat((round % 90) as usize));
                batch.push_str(&format!(
                    "ms k{key} {} c F{round} T5000\r\n{value}\r\n",
                    value.len()
                ));
            }
        }
        let unsure = |told| (told, keys.clone());
        if writer.write_all(batch.as_bytes()).is_err() {
            return unsure(told);
        }
        let mut answers = Vec::new();
        for _ in &keys {
            let mut line = String::new();
            match reader.read_line(&mut line) {
                Ok(len) if len > 0 && line.ends_with('\n') => answers.push(line),
                _ => return unsure(told),
            }
        }
        for ((n, key), answer) in keys.iter().enumerate().zip(answers) {
            let state = (n % 5 != 4).then(|| {
                let version = answer.trim().strip_prefix("HD c").expect("stored").parse().unwrap();
                let value = format!("{key}-{round}-{}", "x".repeat((round % 90) as usize));
                (value, round, version)
            });
            told.insert(*key, state);
        }
    }
    unreachable!("a client ends with its server")
}

fn check(socket: &Path, told: &Told, unsure: &[u32], round: u32) {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut batch = String::new();
    told.keys().for_each(|key| batch.push_str(&format!("mg k{key} v f c t\r\n")));
    batch.push_str("mn\r\n");
    let mut writer = stream.try_clone().unwrap();
    let sender = std::thread::spawn(move || writer.write_all(batch.as_bytes()).unwrap());
    let mut text = Vec::new();
    let mut buffer = [0; 65_536];
    while !text.ends_with(b"MN\r\n") {
        let len = stream.read(&mut buffer).unwrap();
        assert!(len > 0, "the server closed");
        text.extend_from_slice(&buffer[..len]);
    }
    sender.join().unwrap();
    let text = String::from_utf8(text).unwrap();
    let mut lines = text.split("\r\n");
    for (key, told) in told {
        let head = lines.next().unwrap();
        let found = head.strip_prefix("VA ").map(|rest| {
            let fields: Vec<&str> = rest.split(' ').collect();
            let number = |at: usize| fields[at][1..].parse::<u64>().unwrap();
            assert!((4_000..=5_000).contains(&number(3)), "k{key}: expiry {head}");
            (lines.next().unwrap().to_owned(), u32::try_from(number(1)).unwrap(), number(2))
        });
        if !unsure.contains(key) {
            assert_eq!(found, *told, "round {round}, k{key}");
        }
    }
}

#[test]
fn what_was_acknowledged_survives_kill_9_fifty_times() {
    let folder = tempfile::tempdir().unwrap();
    let (store, socket) = (folder.path().join("kill.tdh"), folder.path().join("socket"));
    let mut clients: Vec<(Told, Vec<u32>)> = vec![Default::default(), Default::default()];
    let mut acknowledged = 0;
    for round in 0..50_u32 {
        let mut server = start(&store, &socket);
        for (told, unsure) in &clients {
            check(&socket, told, unsure, round);
        }
        let socket = &socket;
        clients = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..2_u32)
                .zip(&mut clients)
                .map(|(number, (told, unsure))| {
                    let mut told = std::mem::take(told);
                    // What it is not sure of it finds out anew.
                    unsure.iter().for_each(|key| drop(told.remove(key)));
                    scope.spawn(move || client(socket, number * 1_000, told))
                })
                .collect();
            std::thread::sleep(Duration::from_millis(60 + u64::from(round) % 7 * 15));
            server.0.kill().unwrap();
            server.0.wait().unwrap();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        acknowledged += clients.iter().map(|(told, _)| told.len()).sum::<usize>();
        let _ = std::fs::remove_file(socket);
    }
    assert!(acknowledged > 5_000, "{acknowledged}: the clients did too little");
}
