//! Carrying requests out.
//!
//! Requests of many connections are carried out in one go. Look-ups that follow each other, across
//! connections too, are handed to the engine together, which is where it can overlap their cache
//! misses; everything else goes one by one. Answers are encoded straight from the engine's memory into
//! one buffer, in order, so that each connection's share of it is one piece.

mod admin;
mod change;
mod lookup;

use crate::context::Context;
use crate::counters::Counters;
use crate::limits::{
    CHANGES_TOGETHER, GROUP_OUTPUT_LEN, LOOKUPS_TOGETHER, OUTPUT_PAUSE_LEN, TURN_OUTPUT_LEN,
};
use crate::session::Session;
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;
use todana_engine::{Level, Progress, ReadValue, Token, Value};
use todana_protocol::memcached::{Form, Frame, Resume, Status, encode, udp};
use todana_protocol::{Fault, Request, Response};
use todana_record::{PartitionId, Position, Timestamp};

/// A session's share of a turn.
pub(crate) struct Member<'s> {
    pub(crate) session: &'s mut Session,
    /// Its frames.
    pub(crate) frames: Range<usize>,
    /// Its answers that may leave at once.
    pub(crate) out: Range<usize>,
    /// Where decoding stopped before its time, if it did: go on after this frame's end.
    pub(crate) stopped: Option<Option<Resume>>,
    /// Positions that its answers have to wait for.
    until: Vec<(PartitionId, Position)>,
    /// Some of its answers are in the session's queue already.
    queued: bool,
}

impl<'s> Member<'s> {
    pub(crate) fn new(session: &'s mut Session, frames: Range<usize>) -> Member<'s> {
        Member { session, frames, out: 0..0, stopped: None, until: Vec::new(), queued: false }
    }
}

/// What became of a request.
enum Flow {
    /// It was answered.
    Done,
    /// It has to be asked again when the token completes.
    Wait(Token),
}

/// Carries requests out for one worker.
pub struct Executor {
    pub(crate) context: Arc<Context>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) now: Timestamp,
    lags: bool,
    level: Level,
    /// Empty between turns; kept for its memory.
    keys: Vec<&'static [u8]>,
}

/// Empties a vector and takes its memory over for elements of the same layout: those of another lifetime.
pub(crate) fn recycle<A, B>(mut used: Vec<A>) -> Vec<B> {
    used.clear();
    used.into_iter().map_while(|_| None).collect()
}

impl Executor {
    /// An executor for the worker with this number.
    pub fn new(context: Arc<Context>, worker: usize) -> Executor {
        let counters = context.workers.get(worker).cloned().unwrap_or_default();
        let level = context.settings.acknowledge;
        Executor {
            counters,
            now: context.now(),
            lags: context.engine.limits().lags && level > Level::Applied,
            level,
            keys: Vec::new(),
            context,
        }
    }

    /// Looks at the clock: once a turn.
    pub fn tick(&mut self) {
        self.now = self.context.now();
    }

    /// Decodes and carries out what `input` holds for one session, appends what may leave to `out`, and
    /// leaves in `input` what is not a whole request yet. For datagrams and for tests.
    pub fn run_one(&mut self, session: &mut Session, input: &mut Vec<u8>, out: &mut Vec<u8>) {
        self.release(session, out);
        while session.takes_input() && !input.is_empty() {
            let mut frames = Vec::new();
            let step = session.decode(input, &mut frames, crate::limits::REQUESTS_PER_TURN);
            let mut answers = Vec::new();
            let mut member = Member::new(session, 0..frames.len());
            self.run(&frames, std::slice::from_mut(&mut member), &mut answers);
            let (ready, stopped) = (member.out.clone(), member.stopped);
            let carried_out = frames.len();
            drop(frames);
            out.extend_from_slice(&answers[ready]);
            let consumed = finish_decoding(session, step.consumed, step.status, stopped);
            input.drain(..consumed);
            self.release(session, out);
            if !session.stream && out.len() > self.datagram_output_len() {
                // More than datagrams are good for: as if it had been lost.
                out.clear();
                input.clear();
                return;
            }
            if carried_out == 0 && consumed == 0 {
                break;
            }
        }
        if session.closing {
            input.clear();
        }
    }

    /// Bytes of a response over UDP: a value of the largest size and some more.
    fn datagram_output_len(&self) -> usize {
        let value_len = usize::try_from(self.context.settings.value_len_max).unwrap_or(usize::MAX);
        value_len.saturating_add(TURN_OUTPUT_LEN).min(udp::RESPONSE_LEN_MAX)
    }

    /// Moves queued answers that may leave now to `out`.
    pub(crate) fn release(&self, session: &mut Session, out: &mut Vec<u8>) {
        if !session.replies.is_empty() {
            let engine = &*self.context.engine;
            session.replies.release(engine, self.level, out, OUTPUT_PAUSE_LEN);
        }
    }

    /// Carries out the frames of all members, which follow each other without gaps.
    pub(crate) fn run(
        &mut self,
        frames: &[Frame<'_>],
        members: &mut [Member<'_>],
        out: &mut Vec<u8>,
    ) {
        let mut number = 0;
        let mut one_by_one = None;
        // The engine knows of changes up to here.
        let mut expected = 0;
        if let Some(first) = members.first_mut() {
            first.out.start = out.len();
        }
        let mut at = members.first().map_or(0, |member| member.frames.start);
        while number < members.len() {
            if at >= members[number].frames.end {
                self.finish(&mut members[number], out);
                number += 1;
                if let Some(next) = members.get_mut(number) {
                    next.out.start = out.len();
                    at = next.frames.start;
                }
                continue;
            }
            let listed = members[number].session.replies.has_listing()
                && at > members[number].frames.start
                && frames[at - 1].end.is_some();
            if listed || self.turn_is_over(&members[number], frames, at, out.len()) {
                at = self.stop(&mut members[number], frames, at, None);
                continue;
            }
            let end = match one_by_one {
                Some(frame) if frame == at => at,
                _ => self.lookups_from(frames, at, members[number].frames.end),
            };
            if end > at {
                (number, at, one_by_one) = self.look_up(frames, at..end, members, number, out);
                continue;
            }
            if at >= expected {
                expected = self.expect(frames, at);
            }
            let member = &mut members[number];
            match self.carry_out(&frames[at], member, out) {
                Flow::Done => at += 1,
                Flow::Wait(token) => at = self.stop(member, frames, at, Some(token)),
            }
            if member.session.closing || member.session.is_watching() {
                at = member.frames.end;
            }
        }
    }

    /// Tells the engine of the changes among the next frames, if there are several; gives the frame up to
    /// which it knows.
    fn expect(&self, frames: &[Frame<'_>], at: usize) -> usize {
        let end = frames.len().min(at + CHANGES_TOGETHER);
        let mut keys: [&[u8]; CHANGES_TOGETHER] = [&[]; CHANGES_TOGETHER];
        let mut count = 0;
        for frame in &frames[at..end] {
            if let Some(key) = changed_key(&frame.request) {
                keys[count] = key;
                count += 1;
            }
        }
        if count > 1 {
            self.context.engine.expect(&keys[..count]);
        }
        end
    }

    /// Ends of the look-ups that begin at a frame: those that need no update.
    fn lookups_from(&self, frames: &[Frame<'_>], at: usize, member_end: usize) -> usize {
        // Between two members the engine may have to be asked how safe the first one's answers are,
        // which cannot be done in the middle of look-ups (C2).
        let end = if self.lags { member_end } else { frames.len() };
        let rest = frames[at..end].iter().take(LOOKUPS_TOGETHER);
        at + rest
            .take_while(|frame| match &frame.request {
                Request::Get(get) => get.touch.is_none() && !get.peek,
                _ => false,
            })
            .count()
    }

    /// Whether a member has had its share of the output, at a frame where it can be stopped.
    fn turn_is_over(
        &self,
        member: &Member<'_>,
        frames: &[Frame<'_>],
        at: usize,
        out_len: usize,
    ) -> bool {
        let enough = out_len - member.out.start > TURN_OUTPUT_LEN || out_len > GROUP_OUTPUT_LEN;
        enough && at > member.frames.start && frames[at - 1].end.is_some()
    }

    /// Stops a member before a frame; gives the frame to go on with, which is another member's.
    fn stop(
        &self,
        member: &mut Member<'_>,
        frames: &[Frame<'_>],
        at: usize,
        waits_for: Option<Token>,
    ) -> usize {
        let end = if at > member.frames.start { frames[at - 1].end } else { None };
        member.stopped = Some(end);
        member.session.blocked = waits_for;
        member.frames.end
    }

    /// Decides whether a member's answers may leave at once.
    fn finish(&self, member: &mut Member<'_>, out: &mut Vec<u8>) {
        if self.lags {
            let engine = &self.context.engine;
            member.until.retain(|(partition, position)| {
                engine.watermark(*partition, self.level) < *position
            });
            for (partition, _) in &member.until {
                engine.request_flush(*partition);
            }
        }
        if member.queued || !member.until.is_empty() || !member.session.replies.is_empty() {
            queue_answers(member, out);
        }
        member.out.end = out.len();
    }

    /// Remembers that a member's answers tell of this position.
    #[inline]
    fn wait_for(&self, member: &mut Member<'_>, key: &[u8], position: Position) {
        if !self.lags {
            return;
        }
        let partition = self.context.engine.partition_of(key);
        match member.until.iter_mut().find(|(other, _)| *other == partition) {
            Some((_, latest)) => *latest = position.max(*latest),
            None => member.until.push((partition, position)),
        }
    }

    /// Carries out one request.
    fn carry_out(&mut self, frame: &Frame<'_>, member: &mut Member<'_>, out: &mut Vec<u8>) -> Flow {
        if matches!(frame.form, Form::Meta(_)) {
            self.counters.cmd_meta.add(1);
        }
        match &frame.request {
            Request::Get(get) => self.look(frame, get, member, out),
            Request::Put(put) => self.put(frame, put, member, out),
            Request::Count(count) => self.count(frame, count, member, out),
            Request::Delete(delete) => self.delete(frame, delete, member, out),
            Request::Touch(touch) => self.touch(frame, touch, member, out),
            Request::Inspect { key } => self.inspect(frame, key, member, out),
            Request::Discard { key } => self.discard(key, member),
            _ => {
                self.administer(frame, member, out);
                Flow::Done
            }
        }
    }
}

/// The key that a request changes, if it does.
fn changed_key<'r>(request: &'r Request<'_>) -> Option<&'r [u8]> {
    match request {
        Request::Put(put) => Some(&put.key),
        Request::Count(count) => Some(&count.key),
        Request::Delete(delete) => Some(&delete.key),
        Request::Touch(touch) => Some(&touch.key),
        _ => None,
    }
}

/// Settles where a session's decoding stands after a turn; gives the bytes that are done with.
pub(crate) fn finish_decoding(
    session: &mut Session,
    consumed: usize,
    status: Status,
    stopped: Option<Option<Resume>>,
) -> usize {
    match stopped {
        Some(after) => {
            session.put_off(after);
            after.map_or(0, |resume| resume.consumed)
        }
        None => {
            session.closing |= status == Status::Close;
            consumed
        }
    }
}

/// Moves a member's answers so far into its session's queue.
fn queue_answers(member: &mut Member<'_>, out: &mut Vec<u8>) {
    let start = member.out.start;
    if out.len() > start {
        member.session.replies.push(&out[start..], &member.until);
        out.truncate(start);
    }
    member.queued = true;
}

/// Encodes a fault.
fn refuse(frame: &Frame<'_>, fault: &Fault, out: &mut Vec<u8>) {
    encode(frame, &Response::Fault(fault), out);
}

/// What an engine's refusal is to a client.
fn fault_of(error: todana_engine::Error) -> Fault {
    use todana_engine::Error;
    match error {
        Error::ValueTooLarge { .. } => Fault::TooLarge,
        Error::OutOfMemory { .. } => Fault::OutOfMemory,
        Error::KeyTooLarge { .. } => Fault::BadLine,
        other => Fault::Server(other.to_string()),
    }
}

/// The bytes of a value, read together if they are in pieces.
#[inline]
fn bytes_of<'v>(value: &Value<'v>) -> Result<Cow<'v, [u8]>, ReadFailure> {
    match value {
        Value::Bytes(bytes) => Ok(Cow::Borrowed(bytes)),
        Value::Reader(reader) => read_all(*reader).map(Cow::Owned),
    }
}

enum ReadFailure {
    Wait(Token),
    Fault(Fault),
}

#[cold]
fn read_all(reader: &dyn ReadValue) -> Result<Vec<u8>, ReadFailure> {
    let len = usize::try_from(reader.len()).unwrap_or(usize::MAX);
    let mut bytes = vec![0; len];
    let mut at = 0;
    while at < len {
        match reader.read_at(at as u64, &mut bytes[at..]) {
            Ok(Progress::Done(0)) => {
                return Err(ReadFailure::Fault(Fault::Server("value ends too soon".into())));
            }
            Ok(Progress::Done(read)) => at += read,
            Ok(Progress::Pending(token)) => return Err(ReadFailure::Wait(token)),
            Err(error) => return Err(ReadFailure::Fault(fault_of(error))),
        }
    }
    Ok(bytes)
}
