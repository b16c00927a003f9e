//! Datagrams: a request in, its response out, nothing kept in between.

use crate::execute::Executor;
use crate::limits::{DATAGRAM_READ_LEN, DATAGRAMS_PER_TURN};
use crate::session::Session;
use crate::watch::Wake;
use mio::net::UdpSocket;
use std::io::ErrorKind;
use std::sync::Arc;
use todana_protocol::memcached::{Protocol, udp};

/// A UDP socket of a worker.
pub(crate) struct Datagrams {
    pub(crate) socket: UdpSocket,
    pub(crate) protocol: Protocol,
    /// There may be something to read.
    pub(crate) readable: bool,
    buffer: Vec<u8>,
    no_wake: Wake,
}

impl Datagrams {
    pub(crate) fn new(socket: UdpSocket, protocol: Protocol) -> Datagrams {
        Datagrams {
            socket,
            protocol,
            readable: false,
            buffer: vec![0; DATAGRAM_READ_LEN],
            no_wake: Arc::new(|| {}),
        }
    }

    /// Answers what has come, up to a bound.
    pub(crate) fn turn(&mut self, executor: &mut Executor) {
        let mut answer = Vec::new();
        for _ in 0..DATAGRAMS_PER_TURN {
            executor.counters.reads.add(1);
            let (len, peer) = match self.socket.recv_from(&mut self.buffer) {
                Ok(received) => received,
                Err(error) => {
                    // Errors of earlier sends come back here; they say nothing about this socket.
                    self.readable = error.kind() != ErrorKind::WouldBlock;
                    return;
                }
            };
            executor.counters.bytes_read.add(len as u64);
            let Some((id, payload)) = udp::decode(&self.buffer[..len]) else { continue };
            let mut session =
                Session::for_datagram(&executor.context, self.protocol, self.no_wake.clone());
            let mut input = payload.to_vec();
            answer.clear();
            executor.run_one(&mut session, &mut input, &mut answer);
            executor.counters.datagrams.add(1);
            let socket = &self.socket;
            let counters = &executor.counters;
            udp::encode(id, &answer, |datagram| {
                counters.writes.add(1);
                // A datagram that cannot be sent is lost, as datagrams may be.
                if socket.send_to(datagram, peer).is_ok() {
                    counters.bytes_written.add(datagram.len() as u64);
                }
            });
        }
    }
}
