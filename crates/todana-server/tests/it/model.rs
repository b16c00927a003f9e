//! Random pipelines of random commands, delivered in random pieces, against a naive map: every reply is
//! foretold. Time is injected.

use crate::in_process::InProcess;
use crate::transcript::Driver;
use std::collections::BTreeMap;
use std::sync::Arc;
use todana_engine::Engine;
use todana_engine::Level;
use todana_engine::conformance::MapEngine;
use todana_io::Generator;
use todana_server::Settings;
use todana_sim::Delivery;
use todana_store::{Cache, CacheOptions};

#[derive(Debug, Clone)]
struct Entry {
    value: Vec<u8>,
    flags: u32,
    ends: Option<u64>,
}

/// What memcached's document says, written down as plainly as can be.
#[derive(Default)]
struct Model {
    entries: BTreeMap<String, Entry>,
    now_s: u64,
}

impl Model {
    fn live(&mut self, key: &str) -> Option<&mut Entry> {
        let now = self.now_s;
        self.entries.get_mut(key).filter(|entry| entry.ends.is_none_or(|ends| ends > now))
    }

    fn ends(&self, exptime: i64) -> Option<u64> {
        match exptime {
            0 => None,
            1.. => Some(self.now_s + exptime.unsigned_abs()),
            _ => Some(0),
        }
    }

    fn store(&mut self, name: &str, key: &str, entry: Entry) -> &'static str {
        let present = self.live(key).is_some();
        match name {
            "set" => {}
            "add" if !present => {}
            "replace" if present => {}
            "append" | "prepend" if present => {
                if let Some(old) = self.live(key) {
                    old.value = match name {
                        "append" => [&old.value[..], &entry.value].concat(),
                        _ => [&entry.value[..], &old.value].concat(),
                    };
                }
                return "STORED\r\n";
            }
            _ => return "NOT_STORED\r\n",
        }
        self.entries.insert(key.to_owned(), entry);
        "STORED\r\n"
    }

    fn get(&mut self, keys: &[String]) -> Vec<u8> {
        let mut reply = Vec::new();
        for key in keys {
            if let Some(entry) = self.live(key) {
                let head = format!("VALUE {key} {} {}\r\n", entry.flags, entry.value.len());
                reply.extend_from_slice(head.as_bytes());
                reply.extend_from_slice(&entry.value);
                reply.extend_from_slice(b"\r\n");
            }
        }
        reply.extend_from_slice(b"END\r\n");
        reply
    }

    fn count(&mut self, key: &str, delta: u64, down: bool) -> String {
        let Some(entry) = self.live(key) else { return "NOT_FOUND\r\n".into() };
        // White space may stand before the digits, and behind them, with anything after it.
        let text = String::from_utf8_lossy(&entry.value).trim_start().to_owned();
        let digits = text.split(char::is_whitespace).next().unwrap_or_default();
        let Ok(number) = digits.parse::<u64>() else {
            return "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n".into();
        };
        let number = if down { number.saturating_sub(delta) } else { number.wrapping_add(delta) };
        let width = entry.value.len();
        entry.value = format!("{number:<width$}").into_bytes();
        format!("{number}\r\n")
    }
}

/// One command: what is sent and what has to come back.
fn command(random: &mut Generator, model: &mut Model) -> (Vec<u8>, Vec<u8>) {
    let key = format!("key{}", random.below(40));
    let exptime = match random.below(6) {
        0 => i64::try_from(1 + random.below(20)).unwrap(),
        1 if random.one_in(4) => -1,
        _ => 0,
    };
    let noreply = random.one_in(5);
    let word = if noreply { " noreply" } else { "" };
    let (sent, reply): (Vec<u8>, Vec<u8>) = match random.below(12) {
        0..=4 => {
            let names = ["set", "set", "add", "replace", "append", "prepend"];
            let name = names[usize::try_from(random.below(6)).unwrap()];
            let value = match random.below(3) {
                0 => random.below(2_000).to_string().into_bytes(),
                1 => vec![b'\r'; usize::try_from(random.below(40)).unwrap()],
                _ => vec![b'v'; usize::try_from(random.below(3_000)).unwrap()],
            };
            let flags = u32::try_from(random.below(3)).unwrap();
            let mut sent =
                format!("{name} {key} {flags} {exptime} {}{word}\r\n", value.len()).into_bytes();
            sent.extend_from_slice(&value);
            sent.extend_from_slice(b"\r\n");
            let entry = Entry { value, flags, ends: model.ends(exptime) };
            (sent, model.store(name, &key, entry).into())
        }
        5..=7 => {
            let keys: Vec<String> =
                (0..1 + random.below(5)).map(|_| format!("key{}", random.below(40))).collect();
            return (format!("get {}\r\n", keys.join(" ")).into_bytes(), model.get(&keys));
        }
        8 => {
            let down = random.one_in(2);
            let delta = random.below(3_000);
            let name = if down { "decr" } else { "incr" };
            let reply = model.count(&key, delta, down);
            (format!("{name} {key} {delta}{word}\r\n").into(), reply.into())
        }
        9 => {
            let ends = model.ends(exptime);
            let reply = match model.live(&key) {
                Some(entry) => {
                    entry.ends = ends;
                    "TOUCHED\r\n"
                }
                None => "NOT_FOUND\r\n",
            };
            (format!("touch {key} {exptime}{word}\r\n").into(), reply.into())
        }
        10 => {
            let present = model.live(&key).is_some();
            model.entries.remove(&key);
            let reply = if present { "DELETED\r\n" } else { "NOT_FOUND\r\n" };
            (format!("delete {key}{word}\r\n").into(), reply.into())
        }
        _ if random.one_in(30) => {
            model.entries.clear();
            (format!("flush_all{word}\r\n").into(), "OK\r\n".into())
        }
        _ => return (b"nonsense\r\n".to_vec(), b"ERROR\r\n".to_vec()),
    };
    (sent, if noreply { Vec::new() } else { reply })
}

fn walk(engine: Arc<dyn Engine>, seed: u64) {
    let settings = Settings { acknowledge: Level::Applied, ..Settings::default() };
    let mut session = InProcess::over(engine, settings);
    let mut random = Generator::new(seed);
    let mut delivery = Delivery::new(seed);
    let mut model = Model { now_s: 1_000_000, ..Model::default() };
    for turn in 0..400 {
        if random.one_in(3) {
            let seconds = random.below(8);
            session.advance(i64::try_from(seconds).unwrap());
            model.now_s += seconds;
        }
        let (mut sent, mut expected) = (Vec::new(), Vec::new());
        for _ in 0..random.below(40) {
            let (one, reply) = command(&mut random, &mut model);
            sent.extend(one);
            expected.extend(reply);
        }
        let mut got = Vec::new();
        for piece in delivery.cut(&sent) {
            got.extend(session.send(piece));
        }
        let same = got.iter().zip(&expected).take_while(|(one, other)| one == other).count();
        let around = |bytes: &[u8]| {
            let from = same.saturating_sub(60).min(bytes.len());
            String::from_utf8_lossy(&bytes[from..(same + 60).min(bytes.len())]).into_owned()
        };
        assert!(
            got == expected,
            "seed {seed}, turn {turn}: got {:?}, expected {:?}",
            around(&got),
            around(&expected)
        );
    }
}

#[test]
fn every_reply_is_foretold() {
    for seed in 0..8 {
        let options = CacheOptions { seed, ..CacheOptions::default() };
        walk(Arc::new(Cache::new(options).unwrap()), seed);
        walk(Arc::new(MapEngine::new()), seed);
    }
}
