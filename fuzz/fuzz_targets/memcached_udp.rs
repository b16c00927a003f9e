//! Datagrams: taken apart, decoded as connections of their own, answered, and put together again.
//!
//! An input is a sequence of datagrams, each behind its length (16 bits, little-endian, taken modulo
//! what is left).
#![no_main]

#[expect(dead_code, reason = "a datagram is not cut")]
mod shared;

use libfuzzer_sys::fuzz_target;
use todana_protocol::memcached::udp::{self, DATAGRAM_LEN_MAX, FRAME_LEN, RESPONSE_LEN_MAX};
use todana_protocol::memcached::{Decoder, DecoderOptions, encode};
use todana_protocol::{Item, Lifetimes, Response};

fuzz_target!(|input: &[u8]| {
    let mut rest = input;
    while let Some((len, after)) = rest.split_first_chunk::<2>() {
        let len = usize::from(u16::from_le_bytes(*len)) % (after.len() + 1);
        let (datagram, after) = after.split_at(len);
        check(datagram);
        rest = after;
    }
});

fn check(datagram: &[u8]) {
    let Some((id, payload)) = udp::decode(datagram) else { return };
    assert!(!payload.is_empty() && payload.len() + FRAME_LEN == datagram.len());
    assert_eq!(id.to_be_bytes(), datagram[..2]);
    let mut decoder = Decoder::new(DecoderOptions::default());
    let (mut at, mut frames) = (0, Vec::new());
    shared::feed(&mut decoder, payload, &mut at, 100, &mut frames);
    let item = Item {
        key: b"key",
        value: payload,
        flags: 0,
        version: 1,
        lifetimes: Lifetimes::default(),
        hit_before: false,
        idle_s: 0,
        won: false,
        stale: false,
        sent: false,
    };
    // Every get answers with all that was sent: a small request with many keys has a large response.
    let mut response = Vec::new();
    for frame in frames.iter().take(100) {
        encode(frame, &Response::Item(item), &mut response);
    }
    check_response(id, &response);
}

/// The datagrams of a response are in bounds, numbered, and carry it as it is.
fn check_response(id: u16, response: &[u8]) {
    let (mut joined, mut sent, mut announced) = (Vec::new(), 0u16, 0);
    let mut datagrams = Vec::new();
    udp::encode(id, response, &mut datagrams);
    for datagram in datagrams.chunks(DATAGRAM_LEN_MAX) {
        assert!(datagram.len() > FRAME_LEN);
        let field = |at: usize| u16::from_be_bytes([datagram[at], datagram[at + 1]]);
        assert_eq!((field(0), field(2), field(6)), (id, sent, 0));
        announced = field(4);
        sent += 1;
        joined.extend_from_slice(&datagram[FRAME_LEN..]);
    }
    assert_eq!(sent, announced);
    if response.len() <= RESPONSE_LEN_MAX {
        assert!(joined == response);
    } else {
        assert!(joined.is_empty());
    }
}
