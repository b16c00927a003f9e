//! UDP over real sockets: who gets which answer, in how many datagrams, and what gets none.
#![expect(clippy::disallowed_methods, reason = "these tests are clients")]

use super::sockets::{Running, connect, expect, start, start_over, tcp};
use std::io::Write;
use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration;
use todana_engine::Level;
use todana_engine::conformance::MapEngine;
use todana_protocol::memcached::Protocol;
use todana_server::Settings;
use todana_server::settings::{Address, Listen};

/// A server that listens at TCP, and by UDP at an address.
fn start_udp(address: &str) -> Running {
    let address = Address::Udp(address.parse().unwrap());
    let udp = Listen { address, protocol: Protocol::Auto };
    start(Settings { listen: vec![tcp(), udp], ..Settings::default() })
}

/// The same over an engine whose changes are safe only later, and whose reads have to wait.
fn start_udp_over_a_disk() -> Running {
    let address = Address::Udp("127.0.0.1:0".parse().unwrap());
    let listen = vec![tcp(), Listen { address, protocol: Protocol::Auto }];
    let settings = Settings { listen, acknowledge: Level::Durable, ..Settings::default() };
    start_over(Arc::new(MapEngine::with_cold_reads()), settings)
}

/// A client's socket at a local address, for this server alone.
fn client(server: &Running, address: &str) -> UdpSocket {
    let socket = UdpSocket::bind(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket.connect(server.all[1].trim_start_matches("udp:")).unwrap();
    socket
}

fn send(socket: &UdpSocket, id: u16, payload: &[u8]) {
    let mut datagram = id.to_be_bytes().to_vec();
    datagram.extend_from_slice(&[0, 0, 0, 1, 0, 0]);
    datagram.extend_from_slice(payload);
    socket.send(&datagram).unwrap();
}

/// The next response: its id and payload. Its datagrams come in order.
fn receive(socket: &UdpSocket) -> (u16, Vec<u8>) {
    let (mut payload, mut buffer, mut expected) = (Vec::new(), [0; 2_000], 0);
    loop {
        let len = socket.recv(&mut buffer).unwrap();
        let [id, number, count, reserved] =
            [0, 2, 4, 6].map(|at| u16::from_be_bytes([buffer[at], buffer[at + 1]]));
        assert_eq!((number, reserved), (expected, 0));
        assert!(len == 1_400 || len < 1_400 && number + 1 == count);
        payload.extend_from_slice(&buffer[8..len]);
        expected += 1;
        if expected == count {
            return (id, payload);
        }
    }
}

/// Stores a value over TCP.
fn set(server: &Running, key: &str, value: &[u8]) {
    let mut stream = connect(server);
    write!(stream, "set {key} 0 0 {}\r\n", value.len()).unwrap();
    stream.write_all(value).unwrap();
    stream.write_all(b"\r\n").unwrap();
    expect(&mut stream, b"STORED\r\n");
}

#[test]
fn a_burst_from_many_clients_is_answered_to_the_right_ones() {
    let server = start_udp("127.0.0.1:0");
    let clients: Vec<_> = (0..4).map(|_| client(&server, "127.0.0.1:0")).collect();
    for number in 0..25 {
        for (at, socket) in clients.iter().enumerate() {
            let request = match number % 3 {
                0 => format!("set k{at} 0 0 2\r\n{number:02}\r\nget k{at}\r\n"),
                1 => format!("mn\r\nmg k{at} v\r\n"),
                _ => format!("get k{at} none\r\n"),
            };
            send(socket, number, request.as_bytes());
        }
    }
    for number in 0..25 {
        let value = number / 3 * 3;
        for (at, socket) in clients.iter().enumerate() {
            let expected = match number % 3 {
                0 => format!("STORED\r\nVALUE k{at} 0 2\r\n{value:02}\r\nEND\r\n"),
                1 => format!("MN\r\nVA 2\r\n{value:02}\r\n"),
                _ => format!("VALUE k{at} 0 2\r\n{value:02}\r\nEND\r\n"),
            };
            assert_eq!(receive(socket), (number, expected.into_bytes()));
        }
    }
}

#[test]
fn a_large_value_arrives_whole_and_in_order() {
    let value: Vec<u8> = (0..100_000u32).map(|at| (at % 251).to_be_bytes()[3]).collect();
    let expected = [b"VALUE large 0 100000\r\n", &value[..], b"\r\nEND\r\n"].concat();
    for address in ["127.0.0.1:0", "[::1]:0"] {
        if UdpSocket::bind(address).is_err() {
            // A machine without IPv6.
            continue;
        }
        let server = start_udp(address);
        set(&server, "large", &value);
        let socket = client(&server, address);
        send(&socket, 1, b"get large\r\n");
        let (id, response) = receive(&socket);
        assert!(id == 1 && response == expected);
    }
}

#[test]
fn what_makes_no_sense_is_dropped_or_refused_and_the_others_are_answered() {
    let server = start_udp("127.0.0.1:0");
    let socket = client(&server, "127.0.0.1:0");
    send(&socket, 1, b"mn\r\n");
    send(&socket, 2, b"set cut 0 0 10\r\nabc");
    send(&socket, 3, b"");
    socket.send(b"short").unwrap();
    socket.send(b"").unwrap();
    socket.send(b"\0\x04\0\0\0\x02\0\0mn\r\n").unwrap();
    send(&socket, 5, b"watch\r\n");
    send(&socket, 6, &[&[0x80, 0x0a][..], &[0; 22]].concat());
    send(&socket, 7, b"mn\r\n");
    assert_eq!(receive(&socket), (1, b"MN\r\n".to_vec()));
    let refused = b"CLIENT_ERROR watching needs a connection\r\n".to_vec();
    assert_eq!(receive(&socket), (5, refused));
    assert_eq!(receive(&socket).1[..2], [0x81, 0x0a]);
    assert_eq!(receive(&socket), (7, b"MN\r\n".to_vec()));
}

#[test]
fn a_datagram_has_as_many_requests_as_fit() {
    let server = start_udp("127.0.0.1:0");
    let socket = client(&server, "127.0.0.1:0");
    send(&socket, 1, &b"mn\r\n".repeat(5_000));
    send(&socket, 2, b"mn\r\n");
    let mut responses = [receive(&socket), receive(&socket)];
    responses.sort();
    assert!(responses[0] == (1, b"MN\r\n".repeat(5_000)));
    assert_eq!(responses[1], (2, b"MN\r\n".to_vec()));
}

#[test]
fn a_datagram_cannot_ask_for_more_than_datagrams_are_good_for() {
    let server = start_udp("127.0.0.1:0");
    set(&server, "k", &[b'v'; 1_000_000]);
    let socket = client(&server, "127.0.0.1:0");
    send(&socket, 1, &[b"get", &b" k".repeat(20_000)[..], b"\r\n"].concat());
    send(&socket, 2, b"mn\r\n");
    assert_eq!(receive(&socket), (2, b"MN\r\n".to_vec()));
}

#[test]
fn answers_come_when_they_are_safe() {
    let server = start_udp_over_a_disk();
    let clients: Vec<_> = (0..3).map(|_| client(&server, "127.0.0.1:0")).collect();
    for round in 0..5u16 {
        for (at, socket) in clients.iter().enumerate() {
            let request = format!("set k{at} 0 0 1\r\n{round}\r\nget k{at}\r\nget none\r\n");
            send(socket, round, request.as_bytes());
        }
        for (at, socket) in clients.iter().enumerate() {
            let answers = format!("STORED\r\nVALUE k{at} 0 1\r\n{round}\r\nEND\r\nEND\r\n");
            assert_eq!(receive(socket), (round, answers.into_bytes()));
        }
    }
}
