//! A worker: one thread, one loop over its connections' readiness.
//!
//! A turn of the loop: wait; look at the clock; take new connections; then, group by group, read from
//! each connection that is ready (once), decode all of it, carry everything out together, send each
//! connection its answers (once). Reads go into one buffer that all connections share, so that an idle
//! connection has none; only what is not a whole request yet is kept with its connection. No turn looks
//! at a connection that has nothing to do: who waits for the engine or for its client stands in a set.

use crate::connection::{Connection, ReadOutcome, Wire};
use crate::context::{ConnectionInfo, Context, Peer};
use crate::driver::{Driver, Event};
use crate::execute::{Executor, Member, finish_decoding, recycle};
use crate::inbox::{Arrival, Inbox, Message};
use crate::limits::{DRAIN_MS, GROUP_CONNECTIONS, GROUP_INPUT_LEN, OUTPUT_STALL_MS, READ_LEN};
use crate::session::Session;
use crate::sparse_set::SparseSet;
use crate::udp::{Datagrams, Headers};
use crate::watch::Wake;
use std::collections::HashSet;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use todana_engine::Token;
use todana_protocol::WatchKinds;
use todana_protocol::memcached::{Frame, Resume, Status, Step};

/// Keys of datagram sockets begin here, those of connections at 0.
const DATAGRAMS: usize = usize::MAX / 2;
/// Bytes of pending input below which they are copied, so that its memory need not grow for a read.
const COPIED_LEN: usize = READ_LEN / 2;
/// Milliseconds between looks at connections that are idle or stalled.
const HOUSEKEEPING_MS: u64 = 1_000;
/// Milliseconds between looks whether all connections of a stopping server have ended.
const STOPPING_WAIT_MS: u64 = 50;

/// Input of a connection in a turn.
enum Input {
    /// In the shared buffer.
    Shared(Range<usize>),
    /// With what was pending.
    Own(Vec<u8>),
}

/// A connection in a turn.
struct Participant {
    number: usize,
    connection: Box<Connection>,
    input: Input,
    frames: Range<usize>,
    step: Step,
}

/// A worker's loop. See the module.
pub(crate) struct Worker {
    context: Arc<Context>,
    executor: Executor,
    driver: Driver,
    inbox: Arc<Inbox>,
    connections: Vec<Option<Box<Connection>>>,
    free: Vec<usize>,
    /// Connections that an advance or a completion may let go on.
    waiting: SparseSet,
    /// Connections with unsent output.
    unsent: SparseSet,
    datagrams: Vec<Datagrams>,
    /// Those who have their turn next.
    ready: Vec<usize>,
    shared: Vec<u8>,
    /// Empty between groups, like the three behind it; kept for their memory.
    participants: Vec<Participant>,
    frames: Vec<Frame<'static>>,
    members: Vec<Member<'static>>,
    outcomes: Vec<(Range<usize>, Option<Option<Resume>>)>,
    out: Vec<u8>,
    now_ms: u64,
    next_housekeeping_ms: u64,
    /// Nobody can have been idle for too long before.
    next_idle_ms: u64,
    stop_by_ms: Option<u64>,
    next_id: Arc<AtomicU64>,
}

impl Worker {
    pub(crate) fn new(
        context: Arc<Context>,
        number: usize,
        datagrams: Vec<Datagrams>,
        next_id: Arc<AtomicU64>,
    ) -> io::Result<(Worker, Arc<Inbox>)> {
        let (driver, waker) = Driver::new(context.settings.io)?;
        let inbox = Arc::new(Inbox::new(waker));
        let limits = context.engine.limits();
        if limits.waits || limits.lags {
            context.engine.subscribe(inbox.clone());
        }
        let on_stop = inbox.clone();
        context.stop.on_stop(Arc::new(move || on_stop.push(Message::Stop)));
        let mut worker = Worker {
            executor: Executor::new(context.clone(), number),
            context,
            driver,
            inbox: inbox.clone(),
            connections: Vec::new(),
            free: Vec::new(),
            waiting: SparseSet::default(),
            unsent: SparseSet::default(),
            datagrams,
            ready: Vec::new(),
            shared: vec![0; GROUP_INPUT_LEN + READ_LEN],
            participants: Vec::new(),
            frames: Vec::new(),
            members: Vec::new(),
            outcomes: Vec::new(),
            out: Vec::new(),
            now_ms: 0,
            next_housekeeping_ms: 0,
            next_idle_ms: 0,
            stop_by_ms: None,
            next_id,
        };
        for (at, datagrams) in worker.datagrams.iter_mut().enumerate() {
            worker.driver.watch(&mut datagrams.socket, DATAGRAMS + at)?;
        }
        Ok((worker, inbox))
    }

    /// Runs until the server stops.
    pub(crate) fn run(mut self) {
        let mut events = Vec::new();
        let mut headers = Headers::new();
        loop {
            let busy = !self.ready.is_empty() || self.datagrams.iter().any(|d| d.readable);
            let wait_ms = match (busy, self.stop_by_ms) {
                (true, _) => 0,
                (false, Some(_)) => STOPPING_WAIT_MS,
                (false, None) => HOUSEKEEPING_MS,
            };
            if let Err(error) = self.driver.wait(Duration::from_millis(wait_ms), &mut events) {
                tracing::error!(%error, "a worker cannot wait for its sockets: stopping");
                self.context.stop.fail();
                self.close_all();
                return;
            }
            self.executor.tick();
            self.executor.counters.cycles.add(1);
            self.now_ms = self.context.clock.monotonic_ms();
            let mut woken = false;
            for event in events.drain(..) {
                match event {
                    Event::Woken => woken = true,
                    event => self.note(event),
                }
            }
            // Last, so that an order to stop meets what has come before it.
            if woken && self.read_inbox() {
                for datagrams in &mut self.datagrams {
                    datagrams.go_on(&mut self.executor, &mut headers);
                }
            }
            for datagrams in self.datagrams.iter_mut().filter(|datagrams| datagrams.readable) {
                datagrams.turn(&mut self.executor, &mut headers);
            }
            self.take_turns();
            if self.now_ms >= self.next_housekeeping_ms {
                self.keep_house();
            }
            if self.stop_by_ms.is_some_and(|by| self.now_ms >= by || self.is_empty()) {
                self.close_all();
                return;
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.connections.len() == self.free.len()
    }

    fn note(&mut self, event: Event) {
        let number = match event {
            Event::Readable { key, .. } if key >= DATAGRAMS => {
                if let Some(datagrams) = self.datagrams.get_mut(key - DATAGRAMS) {
                    datagrams.readable = true;
                }
                return;
            }
            Event::Readable { key, .. } => key,
            Event::Writable(key) | Event::Unsent(key, _) | Event::Broken(key) => key,
            Event::Woken | Event::Accepted(..) => return,
        };
        let Some(Some(connection)) = self.connections.get_mut(number) else { return };
        let (counters, now_ms) = (&*self.executor.counters, self.now_ms);
        let mut wire = Wire { driver: &mut self.driver, counters, now_ms };
        match event {
            Event::Readable { end_is_near, .. } => {
                connection.readable = true;
                connection.end_is_near |= end_is_near;
            }
            Event::Writable(_) => connection.flush(&mut wire),
            Event::Unsent(_, bytes) => connection.take_back(bytes, &wire),
            _ => connection.broken = true,
        }
        self.list(number);
    }

    /// Gives a connection its turn, if it has none coming.
    fn list(&mut self, number: usize) {
        if let Some(Some(connection)) = self.connections.get_mut(number)
            && !connection.listed
        {
            connection.listed = true;
            self.ready.push(number);
        }
    }

    /// Takes messages from other threads; tells whether the engine has gone on.
    fn read_inbox(&mut self) -> bool {
        let mut advanced = false;
        let mut completed = HashSet::new();
        for message in self.inbox.take() {
            match message {
                Message::Arrival(arrival) => self.welcome(arrival),
                Message::Watched(number) => self.list(number),
                Message::Advanced => advanced = true,
                Message::Completed(token) => drop(completed.insert(token)),
                Message::Stop => self.begin_stop(),
            }
        }
        let goes_on = advanced || !completed.is_empty();
        if goes_on {
            self.go_on(advanced, &completed);
        }
        goes_on
    }

    /// Lists those who have waited for an advance of a watermark, or for one of these tokens.
    fn go_on(&mut self, advanced: bool, completed: &HashSet<Token>) {
        for at in 0..self.waiting.members().len() {
            let number = self.waiting.members()[at];
            let Some(Some(connection)) = self.connections.get_mut(number) else { continue };
            let session = &mut connection.session;
            let unblocked = session.waits_for().is_some_and(|token| completed.contains(&token));
            if unblocked {
                session.unblock();
            }
            if unblocked || (advanced && !session.replies.is_empty()) {
                self.list(number);
            }
        }
    }

    fn welcome(&mut self, arrival: Arrival) {
        let number = self.free.pop().unwrap_or_else(|| {
            self.connections.push(None);
            self.connections.len() - 1
        });
        let id = self.next_id.fetch_add(1, Ordering::Relaxed) + 1;
        let inbox = self.inbox.clone();
        let wake: Wake = Arc::new(move || inbox.push(Message::Watched(number)));
        let session = Session::new(&self.context, arrival.protocol, id, wake);
        arrival.stream.configure(&self.context.settings);
        let info = Arc::new(ConnectionInfo {
            peer: arrival.peer,
            listener: arrival.listener,
            last_command_s: AtomicU64::new(self.executor.now.seconds()),
        });
        let link = match self.driver.add(arrival.stream, number) {
            Ok(link) => link,
            Err(error) => {
                tracing::warn!(%error, peer = %info, "cannot serve a connection");
                self.free.push(number);
                self.context.connections.open.fetch_sub(1, Ordering::Relaxed);
                return;
            }
        };
        let connection = Box::new(Connection::new(link, session, info.clone(), self.now_ms));
        self.context.connections.infos.lock().insert(id, info);
        self.executor.counters.connections.add(1);
        self.tell_connection(&connection, "conn_new", None);
        tracing::debug!(peer = %connection.info, id, "connection");
        self.connections[number] = Some(connection);
        if self.stop_by_ms.is_none() {
            self.list(number);
        }
    }

    fn tell_connection(&self, connection: &Connection, kind: &str, reason: Option<&str>) {
        if !self.context.watch.wants(WatchKinds::CONNECTIONS) {
            return;
        }
        let (transport, address) = match connection.info.peer {
            Peer::Tcp(address) => ("tcp", address),
            Peer::Unix => ("unix", None),
        };
        let ip = address.map_or("-".to_owned(), |address| address.ip().to_string());
        let port = address.map_or(0, |address| address.port());
        let id = connection.session.id;
        let reason = reason.map_or(String::new(), |reason| format!(" reason={reason}"));
        let wall_ms = self.context.clock.wall_ms();
        self.context.watch.tell(WatchKinds::CONNECTIONS, wall_ms, |out| {
            let line =
                format!("type={kind} rip={ip} rport={port} transport={transport}{reason} cfd={id}");
            out.extend_from_slice(line.as_bytes());
        });
    }

    /// Gives everybody who is listed a turn.
    fn take_turns(&mut self) {
        let mut listed = std::mem::take(&mut self.ready);
        let mut rest = listed.as_slice();
        while !rest.is_empty() {
            rest = self.take_group(rest);
        }
        listed.clear();
        // Those who were listed again meanwhile come after; the memory is kept for them.
        if self.ready.is_empty() {
            self.ready = listed;
        }
    }

    /// Reads, decodes, carries out and sends for the first few of `listed`; gives the others.
    fn take_group<'l>(&mut self, listed: &'l [usize]) -> &'l [usize] {
        let mut participants = std::mem::take(&mut self.participants);
        let mut used = 0;
        let mut taken = 0;
        for &number in listed {
            if participants.len() >= GROUP_CONNECTIONS || used >= GROUP_INPUT_LEN {
                break;
            }
            taken += 1;
            let Some(mut connection) = self.connections.get_mut(number).and_then(Option::take)
            else {
                continue;
            };
            connection.listed = false;
            let input = self.read(&mut connection, &mut used);
            let step = Step { consumed: 0, status: Status::Incomplete { need: 0 } };
            participants.push(Participant { number, connection, input, frames: 0..0, step });
        }

        let mut out = std::mem::take(&mut self.out);
        out.clear();
        let mut frames: Vec<Frame<'_>> = recycle(std::mem::take(&mut self.frames));
        let mut members: Vec<Member<'_>> = recycle(std::mem::take(&mut self.members));
        let frames_max = self.context.settings.requests_per_turn;
        for participant in &mut participants {
            let bytes = match &participant.input {
                Input::Shared(range) => &self.shared[range.clone()],
                Input::Own(bytes) => bytes.as_slice(),
            };
            let start = frames.len();
            let connection = &mut participant.connection;
            if !bytes.is_empty() && connection.takes_input() && bytes.len() >= connection.need {
                participant.step = connection.session.decode(bytes, &mut frames, frames_max);
                if participant.step.status == Status::Paused {
                    self.executor.counters.conn_yields.add(1);
                }
            } else {
                participant.step.status = Status::Incomplete { need: connection.need };
            }
            participant.frames = start..frames.len();
            members.push(Member::new(&mut connection.session, participant.frames.clone()));
        }
        self.executor.run(&frames, &mut members, &mut out);
        let mut outcomes = std::mem::take(&mut self.outcomes);
        outcomes.extend(members.iter().map(|member| (member.out.clone(), member.stopped)));
        self.members = recycle(members);
        self.frames = recycle(frames);

        for (participant, (range, stopped)) in participants.drain(..).zip(outcomes.drain(..)) {
            let Participant { number, mut connection, input, frames, step } = participant;
            if !frames.is_empty() {
                let now_s = self.executor.now.seconds();
                connection.info.last_command_s.store(now_s, Ordering::Relaxed);
            }
            let consumed =
                finish_decoding(&mut connection.session, step.consumed, step.status, stopped);
            let need = match step.status {
                _ if stopped.is_some() => 1,
                Status::Incomplete { need } => need,
                Status::Paused => 1,
                Status::Close => 0,
            };
            self.keep_rest(&mut connection, input, consumed, need);
            if !range.is_empty() {
                connection.send(&out[range], &mut self.wire());
            }
            self.end_turn(number, connection);
        }
        self.participants = participants;
        self.outcomes = outcomes;
        out.clear();
        out.shrink_to(1 << 20);
        self.out = out;
        &listed[taken..]
    }

    /// What connections read from and write to.
    fn wire(&mut self) -> Wire<'_> {
        let (counters, now_ms) = (&*self.executor.counters, self.now_ms);
        Wire { driver: &mut self.driver, counters, now_ms }
    }

    /// Reads once from a connection, if it may.
    fn read(&mut self, connection: &mut Connection, used: &mut usize) -> Input {
        let (counters, now_ms) = (&*self.executor.counters, self.now_ms);
        let mut wire = Wire { driver: &mut self.driver, counters, now_ms };
        let reads =
            connection.readable && self.stop_by_ms.is_none_or(|_| self.context.stop.is_graceful());
        let buffer = &mut self.shared[*used..*used + READ_LEN];
        if connection.session.is_watching() {
            // Input means nothing; only its end does.
            if reads {
                connection.read(buffer, &mut wire);
            }
            return Input::Shared(0..0);
        }
        // What is pending is decoded before more is read: a client cannot pile up input.
        let pending_len = connection.pending.len();
        let enough = connection.need > 0 && pending_len >= connection.need;
        if !reads || !connection.takes_input() || enough {
            return Input::Own(std::mem::take(&mut connection.pending));
        }
        if pending_len >= COPIED_LEN {
            connection.read_pending(&mut wire);
            return Input::Own(std::mem::take(&mut connection.pending));
        }
        // The little that is pending goes before what is read: its connection needs no room for a read.
        let (pending, room) = buffer.split_at_mut(pending_len);
        match connection.read(room, &mut wire) {
            ReadOutcome::Bytes(len) => {
                pending.copy_from_slice(&std::mem::take(&mut connection.pending));
                let start = *used;
                *used += pending_len + len;
                Input::Shared(start..*used)
            }
            ReadOutcome::Nothing => Input::Own(std::mem::take(&mut connection.pending)),
        }
    }

    /// Keeps what was not consumed with the connection.
    fn keep_rest(&self, connection: &mut Connection, input: Input, consumed: usize, need: usize) {
        if connection.session.is_watching() {
            connection.keep_pending(Vec::new(), 0);
            return;
        }
        match input {
            Input::Shared(range) => {
                let rest = self.shared[range].get(consumed..).unwrap_or_default();
                connection.keep_pending(rest.to_vec(), need);
            }
            Input::Own(mut bytes) => {
                bytes.drain(..consumed.min(bytes.len()));
                connection.keep_pending(bytes, need);
            }
        }
    }

    /// Sends what has become free, and decides whether the connection goes on.
    fn end_turn(&mut self, number: usize, mut connection: Box<Connection>) {
        if !connection.session.replies.is_empty()
            && connection.unsent_len() < crate::limits::OUTPUT_PAUSE_LEN
        {
            let mut released = Vec::new();
            self.executor.release(&mut connection.session, &mut released);
            if !released.is_empty() {
                connection.send(&released, &mut self.wire());
            }
        }
        connection.take_watched();
        connection.flush(&mut self.wire());
        let over = connection.is_over();
        // What it was sent last may come back.
        let sending = over && !connection.broken && self.driver.is_sending(&connection.link);
        if over && !sending {
            self.close(number, *connection, "normal");
            return;
        }
        self.waiting.set(number, connection.waits_for_engine());
        self.unsent.set(number, connection.unsent_len() > 0);
        let again = sending || (connection.wants_turn() && !self.is_stopping());
        self.connections[number] = Some(connection);
        if again {
            self.list(number);
        }
    }

    fn is_stopping(&self) -> bool {
        self.stop_by_ms.is_some() && !self.context.stop.is_graceful()
    }

    fn close(&mut self, number: usize, mut connection: Connection, reason: &str) {
        if let Some(watcher) = connection.session.watcher.take() {
            self.context.watch.leave(&watcher);
        }
        self.tell_connection(&connection, "conn_close", Some(reason));
        self.context.connections.infos.lock().remove(&connection.session.id);
        self.context.connections.open.fetch_sub(1, Ordering::Release);
        self.executor.counters.connections.subtract(1);
        tracing::debug!(peer = %connection.info, reason, "connection closed");
        self.driver.close(connection.link);
        self.waiting.set(number, false);
        self.unsent.set(number, false);
        self.free.push(number);
    }

    /// Once in a while: connections that are idle or do not read. No others are looked at.
    fn keep_house(&mut self) {
        self.next_housekeeping_ms = self.now_ms + HOUSEKEEPING_MS;
        self.drop_stalled();
        if self.context.settings.idle_ms > 0 && self.now_ms >= self.next_idle_ms {
            self.drop_idle(self.context.settings.idle_ms);
        }
    }

    fn drop_stalled(&mut self) {
        // From the end, since one that is removed has the last take its place.
        for at in (0..self.unsent.members().len()).rev() {
            let number = self.unsent.members()[at];
            let is_stalled = |connection: &Connection| {
                self.now_ms.saturating_sub(connection.last_sent_ms) > OUTPUT_STALL_MS
            };
            if self.connections[number].as_deref().is_some_and(is_stalled)
                && let Some(connection) = self.connections[number].take()
            {
                self.executor.counters.output_dropped.add(1);
                self.close(number, *connection, "error");
            }
        }
    }

    fn drop_idle(&mut self, idle_ms: u64) {
        // Who comes from now on cannot be idle for too long before that.
        self.next_idle_ms = self.now_ms.saturating_add(idle_ms);
        for number in 0..self.connections.len() {
            let Some(connection) = &self.connections[number] else { continue };
            if connection.session.is_watching() {
                continue;
            }
            let quiet_since_ms = connection.last_read_ms.max(connection.last_sent_ms);
            if self.now_ms.saturating_sub(quiet_since_ms) <= idle_ms {
                self.next_idle_ms = self.next_idle_ms.min(quiet_since_ms + idle_ms + 1);
            } else if let Some(connection) = self.connections[number].take() {
                self.executor.counters.idle_kicks.add(1);
                self.close(number, *connection, "idle_timeout");
            }
        }
    }

    /// Finishes what was begun: answers leave, then connections close.
    fn begin_stop(&mut self) {
        if self.stop_by_ms.is_some() {
            return;
        }
        self.stop_by_ms = Some(self.now_ms + DRAIN_MS);
        for number in 0..self.connections.len() {
            let Some(mut connection) = self.connections[number].take() else { continue };
            let graceful = self.context.stop.is_graceful();
            let answered = connection.unsent_len() == 0 && connection.session.replies.is_empty();
            connection.session.closing |= !graceful;
            let in_request = connection.readable || !connection.pending.is_empty();
            if answered && !(graceful && in_request) {
                self.close(number, *connection, "shutdown");
            } else {
                self.connections[number] = Some(connection);
            }
        }
    }

    fn close_all(&mut self) {
        for number in 0..self.connections.len() {
            if let Some(connection) = self.connections[number].take() {
                self.close(number, *connection, "shutdown");
            }
        }
    }
}
