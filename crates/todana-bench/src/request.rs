//! The bytes of a batch of requests, formatted into one buffer.

use crate::keys::Keys;
use crate::parts::{Dialect, ValueSize};
use crate::plan::Plan;
use crate::rng::Rng;

const OPCODE_GET: u8 = 0x00;
const OPCODE_SET: u8 = 0x01;
const OPCODE_NOOP: u8 = 0x0a;
const OPCODE_GETKQ: u8 = 0x0d;

/// One key asked for or written, in the order of the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) key: u64,
    pub(crate) is_set: bool,
}

/// What a batch asked, as far as its replies need it.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Commands; a get of several keys is one.
    pub(crate) requests: usize,
    /// Keys asked for by gets.
    pub(crate) get_keys: usize,
    /// Sets.
    pub(crate) sets: usize,
    /// Every key in order; filled only when misses are refilled.
    pub(crate) slots: Vec<Slot>,
}

impl Batch {
    fn clear(&mut self) {
        self.requests = 0;
        self.get_keys = 0;
        self.sets = 0;
        self.slots.clear();
    }

    /// Index that the next key will have in the batch.
    fn next_index(&self) -> usize {
        self.get_keys + self.sets
    }
}

/// Draws requests by the plan and formats them.
#[derive(Debug)]
pub(crate) struct Composer {
    keys: Keys,
    rng: Rng,
    dialect: Dialect,
    keys_per_get: usize,
    /// A draw of 32 bits below this is a get; 2^32 when all are.
    get_below: u64,
    value_size: ValueSize,
    /// Printable bytes, as many as the largest value.
    value: Vec<u8>,
    /// Whether slots are noted, and quiet meta gets carry their index.
    track_slots: bool,
}

impl Composer {
    /// The composer of thread number `thread`.
    pub(crate) fn new(plan: &Plan, thread: usize) -> Self {
        let mut rng = Rng::new(plan.seed, thread as u64);
        let mut value_rng = Rng::new(plan.seed, u64::MAX);
        let value = (0..plan.value_size.max())
            .map(|_| b'!' + value_rng.below(94).to_le_bytes()[0])
            .collect();
        rng.next_u64();
        #[expect(clippy::cast_possible_truncation, reason = "0 to 2^32 by Plan::check")]
        let get_below = (plan.get_ratio * 4_294_967_296.0).round() as u64;
        Self {
            keys: Keys::new(plan),
            rng,
            dialect: plan.dialect,
            keys_per_get: plan.keys_per_get,
            get_below,
            value_size: plan.value_size.clone(),
            value,
            track_slots: plan.refill,
        }
    }

    /// The keys of the plan, to read them back from replies.
    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Appends `requests` gets and sets by the plan's mix.
    pub(crate) fn mixed(&mut self, requests: usize, batch: &mut Batch, out: &mut Vec<u8>) {
        batch.clear();
        for _ in 0..requests {
            let all_alike = self.get_below == 0 || self.get_below == 1 << 32;
            let draw = if all_alike { 0 } else { self.rng.next_u64() >> 32 };
            if draw < self.get_below {
                self.get(batch, out);
            } else {
                let key = self.keys.draw(&mut self.rng);
                self.set(key, batch, out);
            }
        }
        self.finish(batch, out);
    }

    /// Appends a set of each of these keys.
    pub(crate) fn sets(
        &mut self,
        keys: impl Iterator<Item = u64>,
        batch: &mut Batch,
        out: &mut Vec<u8>,
    ) {
        batch.clear();
        for key in keys {
            self.set(key, batch, out);
        }
        self.finish(batch, out);
    }

    fn finish(&self, batch: &mut Batch, out: &mut Vec<u8>) {
        batch.requests = batch.get_keys / self.keys_per_get + batch.sets;
        match self.dialect {
            Dialect::MetaQuiet => out.extend_from_slice(b"mn\r\n"),
            Dialect::BinaryQuiet => binary_header(OPCODE_NOOP, 0, 0, 0, 0, out),
            _ => {}
        }
    }

    fn get(&mut self, batch: &mut Batch, out: &mut Vec<u8>) {
        let first = batch.next_index();
        match self.dialect {
            Dialect::Text => {
                out.extend_from_slice(b"get");
                for _ in 0..self.keys_per_get {
                    out.push(b' ');
                    self.get_key(batch, out);
                }
                out.extend_from_slice(b"\r\n");
            }
            Dialect::Meta => {
                out.extend_from_slice(b"mg ");
                self.get_key(batch, out);
                out.extend_from_slice(b" v\r\n");
            }
            Dialect::MetaQuiet => {
                out.extend_from_slice(b"mg ");
                self.get_key(batch, out);
                out.extend_from_slice(b" v q");
                if self.track_slots {
                    out.extend_from_slice(b" O");
                    push_decimal(first, out);
                }
                out.extend_from_slice(b"\r\n");
            }
            Dialect::Resp => {
                resp_head(
                    1 + self.keys_per_get,
                    if self.keys_per_get == 1 { b"GET" } else { b"MGET" },
                    out,
                );
                for _ in 0..self.keys_per_get {
                    resp_size(self.keys.size(), out);
                    self.get_key(batch, out);
                    out.extend_from_slice(b"\r\n");
                }
            }
            Dialect::Binary | Dialect::BinaryQuiet => {
                let quiet = self.dialect == Dialect::BinaryQuiet;
                let opcode = if quiet { OPCODE_GETKQ } else { OPCODE_GET };
                binary_header(opcode, self.keys.size(), 0, 0, first, out);
                self.get_key(batch, out);
            }
        }
    }

    /// Draws a key to be asked for and appends it.
    fn get_key(&mut self, batch: &mut Batch, out: &mut Vec<u8>) {
        let key = self.keys.draw(&mut self.rng);
        self.keys.write(key, out);
        batch.get_keys += 1;
        if self.track_slots {
            batch.slots.push(Slot { key, is_set: false });
        }
    }

    fn set(&mut self, key: u64, batch: &mut Batch, out: &mut Vec<u8>) {
        let size = self.draw_size();
        match self.dialect {
            Dialect::Text => {
                out.extend_from_slice(b"set ");
                self.keys.write(key, out);
                out.extend_from_slice(b" 0 0 ");
                push_decimal(size, out);
                out.extend_from_slice(b"\r\n");
            }
            Dialect::Meta | Dialect::MetaQuiet => {
                out.extend_from_slice(b"ms ");
                self.keys.write(key, out);
                out.push(b' ');
                push_decimal(size, out);
                let quiet = self.dialect == Dialect::MetaQuiet;
                out.extend_from_slice(if quiet { b" q\r\n" } else { b"\r\n" });
            }
            Dialect::Resp => {
                resp_head(3, b"SET", out);
                resp_size(self.keys.size(), out);
                self.keys.write(key, out);
                out.extend_from_slice(b"\r\n");
                resp_size(size, out);
            }
            Dialect::Binary | Dialect::BinaryQuiet => {
                binary_header(OPCODE_SET, self.keys.size(), 8, size, batch.next_index(), out);
                out.extend_from_slice(&[0; 8]);
                self.keys.write(key, out);
            }
        }
        out.extend_from_slice(&self.value[..size]);
        if !matches!(self.dialect, Dialect::Binary | Dialect::BinaryQuiet) {
            out.extend_from_slice(b"\r\n");
        }
        batch.sets += 1;
        if self.track_slots {
            batch.slots.push(Slot { key, is_set: true });
        }
    }

    fn draw_size(&mut self) -> usize {
        let below = |rng: &mut Rng, bound: usize| {
            usize::try_from(rng.below(bound as u64)).unwrap_or_default()
        };
        match &self.value_size {
            ValueSize::Fixed(size) => *size,
            ValueSize::Range(first, last) => first + below(&mut self.rng, last - first + 1),
            ValueSize::Choice(sizes) => sizes[below(&mut self.rng, sizes.len())],
        }
    }
}

/// Appends a request header of the binary protocol; the opaque field is the index in the batch.
fn binary_header(
    opcode: u8,
    key_size: usize,
    extras_size: u8,
    value_size: usize,
    opaque: usize,
    out: &mut Vec<u8>,
) {
    let body = key_size + usize::from(extras_size) + value_size;
    let word = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes();
    let [_, _, key_high, key_low] = word(key_size);
    out.extend_from_slice(&[0x80, opcode, key_high, key_low, extras_size, 0, 0, 0]);
    out.extend_from_slice(&word(body));
    out.extend_from_slice(&word(opaque));
    out.extend_from_slice(&[0; 8]);
}

/// Appends the head of a RESP request of so many words, and the first, its command.
fn resp_head(words: usize, command: &[u8], out: &mut Vec<u8>) {
    out.push(b'*');
    push_decimal(words, out);
    out.extend_from_slice(b"\r\n");
    resp_size(command.len(), out);
    out.extend_from_slice(command);
    out.extend_from_slice(b"\r\n");
}

/// Appends the line before a RESP word, which says its size.
fn resp_size(size: usize, out: &mut Vec<u8>) {
    out.push(b'$');
    push_decimal(size, out);
    out.extend_from_slice(b"\r\n");
}

fn push_decimal(number: usize, out: &mut Vec<u8>) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = number;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10).to_le_bytes()[0];
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(plan: Plan, expected: &[u8]) {
        let plan = Plan { keys: 1, key_size_bytes: 5, ..plan };
        let (mut batch, mut out) = (Batch::default(), Vec::new());
        Composer::new(&plan, 0).mixed(2, &mut batch, &mut out);
        assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(expected));
        assert_eq!(batch.requests, 2);
    }

    #[test]
    fn requests_are_what_the_protocol_says() {
        let get = Plan { get_ratio: 1.0, ..Plan::default() };
        check(get.clone(), b"get key:0\r\nget key:0\r\n");
        check(Plan { keys_per_get: 2, ..get.clone() }, b"get key:0 key:0\r\nget key:0 key:0\r\n");
        check(Plan { dialect: Dialect::Meta, ..get.clone() }, b"mg key:0 v\r\nmg key:0 v\r\n");
        check(
            Plan { dialect: Dialect::MetaQuiet, refill: true, ..get.clone() },
            b"mg key:0 v q O0\r\nmg key:0 v q O1\r\nmn\r\n",
        );
        let resp = Plan { dialect: Dialect::Resp, ..get.clone() };
        let one = b"*2\r\n$3\r\nGET\r\n$5\r\nkey:0\r\n";
        check(resp.clone(), &one.repeat(2));
        let two = b"*3\r\n$4\r\nMGET\r\n$5\r\nkey:0\r\n$5\r\nkey:0\r\n";
        check(Plan { keys_per_get: 2, ..resp.clone() }, &two.repeat(2));
        let set = b"*3\r\n$3\r\nSET\r\n$5\r\nkey:0\r\n$0\r\n\r\n";
        check(Plan { get_ratio: 0.0, value_size: ValueSize::Fixed(0), ..resp }, &set.repeat(2));
        check(
            Plan { dialect: Dialect::BinaryQuiet, ..get },
            b"\x80\x0d\0\x05\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\0\0\0\0\0key:0\
              \x80\x0d\0\x05\0\0\0\0\0\0\0\x05\0\0\0\x01\0\0\0\0\0\0\0\0key:0\
              \x80\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        );
        let set = Plan { get_ratio: 0.0, value_size: ValueSize::Fixed(0), ..Plan::default() };
        check(set.clone(), b"set key:0 0 0 0\r\n\r\nset key:0 0 0 0\r\n\r\n");
        check(
            Plan { dialect: Dialect::MetaQuiet, ..set },
            b"ms key:0 0 q\r\n\r\nms key:0 0 q\r\n\r\nmn\r\n",
        );
    }
}
