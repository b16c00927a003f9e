use super::*;
use crate::plan::Plan;
use crate::request::Slot;

/// `G` asks for the next of keys 0, 1, .. (as often as a get has keys), `S` sets it.
fn batch(requests: &str, keys_per_get: usize) -> Batch {
    let mut batch = Batch { requests: requests.len(), ..Batch::default() };
    for request in requests.bytes() {
        let is_set = request == b'S';
        let slots = if is_set { 1 } else { keys_per_get };
        for _ in 0..slots {
            batch.slots.push(Slot { key: batch.slots.len() as u64, is_set });
        }
        batch.get_keys += if is_set { 0 } else { keys_per_get };
        batch.sets += usize::from(is_set);
    }
    batch
}

struct Expected<'a> {
    tally: [u64; 4],
    missed: &'a [u64],
    error: Option<&'a str>,
}

/// The replies whole, byte by byte, and cut in two at every place give the same count.
fn check(
    dialect: Dialect,
    per_get: usize,
    requests: &str,
    replies: &[u8],
    expected: &Expected<'_>,
) {
    let keys = Keys::new(&Plan { key_size_bytes: 12, ..Plan::default() });
    let batch = batch(requests, per_get);
    let mut cuts: Vec<Vec<usize>> = (0..=replies.len()).map(|cut| vec![cut]).collect();
    cuts.push((0..replies.len()).collect());
    for cuts in cuts {
        let mut counter = Replies::new(dialect, per_get);
        counter.expect(&batch);
        let (mut taken, mut ends) = (0, cuts);
        ends.push(replies.len());
        for end in ends {
            assert!(!counter.is_done() || taken == replies.len(), "done too early");
            taken += counter.feed(&replies[taken..end], &batch, &keys).unwrap();
        }
        assert!(counter.is_done() && taken == replies.len());
        let tally = counter.tally;
        assert_eq!([tally.hits, tally.misses, tally.stored, tally.errors], expected.tally);
        assert_eq!(counter.missed, expected.missed);
        assert_eq!(counter.first_error.as_deref(), expected.error);
        assert!(counter.feed(b"END\r\n", &batch, &keys).is_err(), "one reply too many");
    }
}

#[test]
fn text() {
    let hit = b"VALUE key:00000000 0 5\r\nEND\r\n\r\nEND\r\n";
    let found = Expected { tally: [1, 0, 0, 0], missed: &[], error: None };
    check(Dialect::Text, 1, "G", hit, &found);
    check(
        Dialect::Text,
        1,
        "GSGS",
        b"END\r\nSTORED\r\nSERVER_ERROR busy\r\nSERVER_ERROR out of memory\r\n",
        &Expected { tally: [0, 1, 1, 2], missed: &[0], error: Some("SERVER_ERROR busy") },
    );
    check(
        Dialect::Text,
        3,
        "GSG",
        b"VALUE key:00000001 0 0\r\n\r\nEND\r\nSTORED\r\n\
          VALUE key:00000004 0 2\r\n\r\n\r\nVALUE key:00000005 0 1\r\nx\r\nEND\r\n",
        &Expected { tally: [3, 3, 1, 0], missed: &[0, 2, 6], error: None },
    );
}

#[test]
fn meta() {
    check(
        Dialect::Meta,
        1,
        "GGSS",
        b"VA 2\r\nEN\r\nEN\r\nHD\r\nNS\r\n",
        &Expected { tally: [1, 1, 1, 1], missed: &[1], error: Some("NS") },
    );
    check(
        Dialect::MetaQuiet,
        1,
        "GGGSG",
        b"VA 2 O1\r\nMN\r\nVA 0 O4\r\n\r\nMN\r\n",
        &Expected { tally: [2, 2, 1, 0], missed: &[0, 2], error: None },
    );
}

#[test]
fn resp() {
    check(
        Dialect::Resp,
        1,
        "GGSSG",
        b"$5\r\n$-1\r\n\r\n$-1\r\n+OK\r\n-OOM command not allowed\r\n$0\r\n\r\n",
        &Expected { tally: [2, 1, 1, 1], missed: &[1], error: Some("-OOM command not allowed") },
    );
    check(
        Dialect::Resp,
        3,
        "GSG",
        b"*3\r\n$-1\r\n$1\r\nx\r\n$-1\r\n+OK\r\n*3\r\n$2\r\n\r\n\r\n$1\r\nx\r\n$-1\r\n",
        &Expected { tally: [3, 3, 1, 0], missed: &[0, 2, 6], error: None },
    );
}

fn binary(opcode: u8, status: u8, opaque: u8, body: &[u8]) -> Vec<u8> {
    let mut reply = vec![0x81, opcode, 0, 0, 0, 0, 0, status, 0, 0, 0];
    reply.push(u8::try_from(body.len()).unwrap());
    reply.extend_from_slice(&[0, 0, 0, opaque, 0, 0, 0, 0, 0, 0, 0, 0]);
    reply.extend_from_slice(body);
    reply
}

#[test]
fn binary_dialects() {
    let replies = [
        binary(0, 0, 0, b"\0\0\0\0hello"),
        binary(0, 1, 1, b"Not found"),
        binary(1, 0, 2, b""),
        binary(1, 0x82, 3, b"Out of memory"),
    ];
    check(
        Dialect::Binary,
        1,
        "GGSS",
        &replies.concat(),
        &Expected { tally: [1, 1, 1, 1], missed: &[1], error: Some("binary status 0x0082") },
    );
    let replies =
        [binary(0x0d, 0, 1, b"\0\0\0\0key"), binary(1, 0, 2, b""), binary(0x0a, 0, 0, b"")];
    check(
        Dialect::BinaryQuiet,
        1,
        "GGSG",
        &replies.concat(),
        &Expected { tally: [1, 2, 1, 0], missed: &[0, 3], error: None },
    );
}

#[test]
fn what_is_no_reply_is_refused() {
    let keys = Keys::new(&Plan::default());
    let refused = |dialect, bytes: &[u8]| {
        let batch = batch("G", 1);
        let mut counter = Replies::new(dialect, 1);
        counter.expect(&batch);
        counter.feed(bytes, &batch, &keys).is_err()
    };
    assert!(refused(Dialect::Text, b"VALUE key many\r\n"));
    assert!(refused(Dialect::Text, &[b'x'; 3000]));
    assert!(refused(Dialect::Meta, b"VA \r\n"));
    assert!(refused(Dialect::Resp, b"$x\r\n"));
    assert!(refused(Dialect::Resp, b":1\r\n"));
    assert!(refused(Dialect::Binary, &[0x80; 24]));
}
