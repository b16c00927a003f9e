//! Datagrams: requests in, their responses out; nothing is kept but what waits for the engine.
//!
//! A turn receives what has come with one system call, decodes all of it, carries it out together, so
//! that look-ups of many clients are grouped, and sends all responses with one more call.

mod receive;
mod send;

use crate::execute::{Executor, Member, finish_decoding};
use crate::limits::{
    DATAGRAM_READ_LEN, DATAGRAMS_HELD, DATAGRAMS_PER_TURN, GROUP_OUTPUT_LEN, MESSAGES_PER_SEND,
    REQUESTS_PER_TURN, TURN_OUTPUT_LEN,
};
use crate::session::Session;
use crate::watch::Wake;
use mio::net::UdpSocket;
use nix::errno::Errno;
use nix::sys::socket::{MultiHeaders, SockaddrStorage};
use receive::Receiver;
use send::Sender;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use todana_protocol::memcached::{Protocol, Status, Step, udp};

/// A UDP socket of a worker.
pub(crate) struct Datagrams {
    pub(crate) socket: UdpSocket,
    pub(crate) protocol: Protocol,
    /// There may be something to read.
    pub(crate) readable: bool,
    receiver: Receiver,
    sender: Sender,
    out: Vec<u8>,
    held: VecDeque<Held>,
    no_wake: Wake,
}

/// A datagram whose answers the engine does not let go yet, or that it has to be asked again for.
struct Held {
    peer: SockaddrStorage,
    id: u16,
    session: Session,
    rest: Vec<u8>,
    response: Vec<u8>,
}

impl Held {
    /// Goes as far as it can: to the sender, or to those who wait.
    fn settle(
        mut self,
        waiting: &mut VecDeque<Held>,
        sender: &mut Sender,
        executor: &mut Executor,
    ) {
        self.session.unblock();
        executor.run_one(&mut self.session, &mut self.rest, &mut self.response);
        if self.session.waits_for().is_none() && self.session.replies().is_empty() {
            sender.push(self.id, &self.response, self.peer);
        } else if waiting.len() < DATAGRAMS_HELD {
            waiting.push_back(self);
        } else {
            executor.counters.datagrams_lost.add(1);
        }
    }
}

/// What the kernel is told about many messages at once, for all UDP sockets of a worker. It holds
/// pointers, so that it stays with the thread that has made it.
pub(crate) struct Headers {
    receive: MultiHeaders<SockaddrStorage>,
    send: MultiHeaders<SockaddrStorage>,
}

impl Headers {
    pub(crate) fn new() -> Headers {
        Headers {
            receive: MultiHeaders::preallocate(DATAGRAMS_PER_TURN, None),
            send: MultiHeaders::preallocate(MESSAGES_PER_SEND, None),
        }
    }
}

/// A datagram in a turn.
struct Participant<'b> {
    peer: SockaddrStorage,
    id: u16,
    payload: &'b [u8],
    session: Session,
    frames: Range<usize>,
    step: Step,
}

impl Datagrams {
    pub(crate) fn new(socket: UdpSocket, protocol: Protocol) -> Datagrams {
        Datagrams {
            receiver: Receiver::new(DATAGRAMS_PER_TURN, DATAGRAM_READ_LEN),
            sender: Sender::new(&socket),
            socket,
            protocol,
            readable: false,
            out: Vec::new(),
            held: VecDeque::new(),
            no_wake: Arc::new(|| {}),
        }
    }

    /// Answers what has come, up to a bound.
    pub(crate) fn turn(&mut self, executor: &mut Executor, headers: &mut Headers) {
        executor.counters.reads.add(1);
        match self.receiver.receive(&self.socket, &mut headers.receive) {
            // Less than was asked for has emptied the socket: what comes later is a new event.
            Ok(count) => self.readable = count == DATAGRAMS_PER_TURN,
            // Errors of earlier sends come back here; they say nothing about this socket.
            Err(error) => {
                self.readable = error != Errno::EAGAIN;
                return;
            }
        }
        self.answer(executor, &mut headers.send);
        self.sender.send(&self.socket, &mut headers.send, &executor.counters);
    }

    /// Answers those that have waited for the engine, which has gone on.
    pub(crate) fn go_on(&mut self, executor: &mut Executor, headers: &mut Headers) {
        for _ in 0..self.held.len() {
            let Some(held) = self.held.pop_front() else { break };
            held.settle(&mut self.held, &mut self.sender, executor);
        }
        self.sender.send(&self.socket, &mut headers.send, &executor.counters);
    }

    /// Decodes what was received, carries it out, and hands the responses to the sender.
    fn answer(&mut self, executor: &mut Executor, headers: &mut MultiHeaders<SockaddrStorage>) {
        let mut participants = Vec::with_capacity(DATAGRAMS_PER_TURN);
        for (peer, datagram) in self.receiver.received() {
            executor.counters.bytes_read.add(datagram.len() as u64);
            let Some((id, payload)) = udp::decode(datagram) else { continue };
            let wake = self.no_wake.clone();
            let session = Session::for_datagram(&executor.context, self.protocol, wake);
            let step = Step { consumed: 0, status: Status::Incomplete { need: 0 } };
            participants.push(Participant { peer, id, payload, session, frames: 0..0, step });
        }
        let mut frames = Vec::with_capacity(participants.len());
        let mut members = Vec::with_capacity(participants.len());
        for participant in &mut participants {
            let start = frames.len();
            let session = &mut participant.session;
            participant.step = session.decode(participant.payload, &mut frames, REQUESTS_PER_TURN);
            participant.frames = start..frames.len();
            members.push(Member::new(session, participant.frames.clone()));
        }
        executor.run(&frames, &mut members, &mut self.out);
        let results: Vec<_> =
            members.iter().map(|member| (member.out.clone(), member.stopped)).collect();
        drop(members);

        for (participant, (range, stopped)) in participants.into_iter().zip(results) {
            let Participant { peer, id, payload, mut session, step, .. } = participant;
            let consumed = finish_decoding(&mut session, step.consumed, step.status, stopped);
            let rest = payload.get(consumed..).unwrap_or_default();
            if rest.is_empty() && session.replies().is_empty() {
                self.sender.push(id, &self.out[range], peer);
            } else {
                // More than a turn carries out, or not whole, or it waits for the engine.
                let (rest, response) = (rest.to_vec(), self.out[range].to_vec());
                let held = Held { peer, id, session, rest, response };
                held.settle(&mut self.held, &mut self.sender, executor);
            }
            executor.counters.datagrams.add(1);
            if self.sender.unsent_len() > GROUP_OUTPUT_LEN {
                self.sender.send(&self.socket, headers, &executor.counters);
            }
        }
        self.out.clear();
        self.out.shrink_to(TURN_OUTPUT_LEN);
    }
}
