//! Requests that change a record.

use super::{Executor, Flow, Member, fault_of, refuse};
use crate::context::PrefixEvent;
use crate::watch::push_encoded;
use todana_engine::{Applied, Error, Mutation, Progress};
use todana_protocol::memcached::{Form, Frame, encode};
use todana_protocol::{Count, Delete, Fault, Lifetimes, Mode, Put, Response, Touch, WatchKinds};
use todana_store::operation::{
    CountOutcome, Counting, Invalidation, PutMode, PutOutcome, Putting, RemoveOutcome, Removing,
    Retouching, ttl_s,
};

/// An update that was done, or what to do instead.
enum Outcome {
    Applied(Applied),
    Wait(Flow),
    Refused(Error),
}

impl Executor {
    fn update(&self, key: &[u8], member: &mut Member<'_>, mutation: &mut dyn Mutation) -> Outcome {
        match self.context.engine.update(key, self.now, mutation) {
            Ok(Progress::Done(applied)) => {
                self.wait_for(member, key, applied.position);
                Outcome::Applied(applied)
            }
            Ok(Progress::Pending(token)) => Outcome::Wait(Flow::Wait(token)),
            Err(error) => Outcome::Refused(error),
        }
    }

    /// A version to compare with. A binary client of a store without versions sends one all the same,
    /// and memcached takes no notice of it.
    fn compare(&self, frame: &Frame<'_>, compare: Option<u64>) -> Option<u64> {
        let ignored =
            matches!(frame.form, Form::Binary(_)) && !self.context.engine.limits().versions;
        if ignored { None } else { compare }
    }

    pub(super) fn put(
        &mut self,
        frame: &Frame<'_>,
        put: &Put<'_>,
        member: &mut Member<'_>,
        out: &mut Vec<u8>,
    ) -> Flow {
        let mode = match put.mode {
            Mode::Set => PutMode::Set,
            Mode::Add => PutMode::Add,
            Mode::Replace => PutMode::Replace,
            Mode::Append => PutMode::Append,
            Mode::Prepend => PutMode::Prepend,
        };
        let compare = self.compare(frame, put.compare);
        let mut putting = Putting {
            flags: put.flags,
            expiry: put.lifetime.expiry(self.now),
            mode,
            compare,
            version: put.version,
            invalidate: put.invalidate,
            vivify: put.vivify.map(|lifetime| lifetime.expiry(self.now)),
            ..Putting::set(put.value)
        };
        self.counters.cmd_set.add(1);
        let applied = match self.update(&put.key, member, &mut putting) {
            Outcome::Applied(applied) => applied,
            Outcome::Wait(flow) => return flow,
            Outcome::Refused(error) => return self.put_refused(frame, put, member, error, out),
        };
        let (status, response) = match putting.outcome {
            PutOutcome::Stored { value_len } => {
                ("stored", Response::Stored { version: applied.version, value_len })
            }
            PutOutcome::NotStored => ("not_stored", Response::NotStored),
            PutOutcome::Exists => ("exists", Response::Exists),
            PutOutcome::NotFound => ("not_found", Response::NotFound),
        };
        if compare.is_some() {
            match putting.outcome {
                PutOutcome::Stored { .. } => self.counters.cas_hits.add(1),
                PutOutcome::Exists => self.counters.cas_badval.add(1),
                PutOutcome::NotFound | PutOutcome::NotStored => self.counters.cas_misses.add(1),
            }
        }
        self.context.prefixes.count(&put.key, PrefixEvent::Set);
        self.tell_store(member, put, status);
        encode(frame, &response, out);
        Flow::Done
    }

    fn put_refused(
        &mut self,
        frame: &Frame<'_>,
        put: &Put<'_>,
        member: &mut Member<'_>,
        error: Error,
        out: &mut Vec<u8>,
    ) -> Flow {
        let grows = matches!(put.mode, Mode::Append | Mode::Prepend);
        let status = match error {
            Error::ValueTooLarge { .. } => {
                self.counters.store_too_large.add(1);
                "too_large"
            }
            Error::OutOfMemory { .. } => {
                self.counters.store_no_memory.add(1);
                "no_memory"
            }
            _ => "error",
        };
        self.tell_store(member, put, status);
        if grows && matches!(error, Error::ValueTooLarge { .. }) {
            encode(frame, &Response::NotStored, out);
            return Flow::Done;
        }
        let refused = matches!(error, Error::OutOfMemory { .. } | Error::ValueTooLarge { .. });
        if put.mode == Mode::Set && put.compare.is_none() && refused {
            // As memcached: the old value must not be taken for the one that was refused.
            self.discard(&put.key, member);
        }
        refuse(frame, &fault_of(error), out);
        Flow::Done
    }

    fn tell_store(&self, member: &Member<'_>, put: &Put<'_>, status: &str) {
        if !self.context.watch.wants(WatchKinds::MUTATIONS) {
            return;
        }
        let command = match put.mode {
            Mode::Set if put.compare.is_some() => "cas",
            Mode::Set => "set",
            Mode::Add => "add",
            Mode::Replace => "replace",
            Mode::Append => "append",
            Mode::Prepend => "prepend",
        };
        let ttl = ttl_s(put.lifetime.expiry(self.now), self.now).unwrap_or(0);
        let wall_ms = self.context.clock.wall_ms();
        self.context.watch.tell(WatchKinds::MUTATIONS, wall_ms, |out| {
            out.extend_from_slice(b"type=item_store key=");
            push_encoded(&put.key, out);
            let rest = format!(
                " status={status} cmd={command} ttl={ttl} clsid=1 cfd={} size={}",
                member.session.id,
                put.value.len()
            );
            out.extend_from_slice(rest.as_bytes());
        });
    }

    pub(super) fn count(
        &mut self,
        frame: &Frame<'_>,
        count: &Count<'_>,
        member: &mut Member<'_>,
        out: &mut Vec<u8>,
    ) -> Flow {
        let now = self.now;
        let mut counting = Counting::by(count.delta, count.down);
        counting.initial = count.initial.map(|(value, lifetime)| (value, lifetime.expiry(now)));
        counting.expiry = count.touch.map(|lifetime| lifetime.expiry(now));
        counting.initial_last = count.initial_last;
        counting.compare = self.compare(frame, count.compare);
        counting.version = count.version;
        let applied = match self.update(&count.key, member, &mut counting) {
            Outcome::Applied(applied) => applied,
            Outcome::Wait(flow) => return flow,
            Outcome::Refused(error) => {
                refuse(frame, &fault_of(error), out);
                return Flow::Done;
            }
        };
        let (hits, misses) = if count.down {
            (&self.counters.decr_hits, &self.counters.decr_misses)
        } else {
            (&self.counters.incr_hits, &self.counters.incr_misses)
        };
        match counting.outcome {
            CountOutcome::Number { value, expiry_before } => {
                hits.add(1);
                let version = applied.version;
                let made = counting.initial.filter(|_| expiry_before.is_none());
                let lifetimes = Lifetimes {
                    before_s: expiry_before.and_then(|expiry| ttl_s(expiry, now)),
                    made_s: made.map(|(_, expiry)| ttl_s(expiry, now)),
                    touched_s: counting.expiry.map(|expiry| ttl_s(expiry, now)),
                };
                let number = Response::Number { value, version, lifetimes };
                encode(frame, &number, out);
            }
            CountOutcome::NotFound => {
                misses.add(1);
                encode(frame, &Response::NotFound, out);
            }
            CountOutcome::Exists => encode(frame, &Response::Exists, out),
            CountOutcome::NonNumeric => refuse(frame, &Fault::NonNumeric, out),
        }
        Flow::Done
    }

    pub(super) fn delete(
        &mut self,
        frame: &Frame<'_>,
        delete: &Delete<'_>,
        member: &mut Member<'_>,
        out: &mut Vec<u8>,
    ) -> Flow {
        let now = self.now;
        let mut removing = Removing {
            compare: self.compare(frame, delete.compare),
            keep: delete.keep.map(|keep| Invalidation {
                stale: keep.stale,
                drop_value: keep.drop_value,
                expiry: keep.touch.map(|lifetime| lifetime.expiry(now)),
                version: keep.version,
            }),
            ..Removing::any()
        };
        match self.update(&delete.key, member, &mut removing) {
            Outcome::Applied(_) => {}
            Outcome::Wait(flow) => return flow,
            Outcome::Refused(error) => {
                refuse(frame, &fault_of(error), out);
                return Flow::Done;
            }
        }
        match removing.outcome {
            RemoveOutcome::Done { .. } => {
                self.counters.delete_hits.add(1);
                self.context.prefixes.count(&delete.key, PrefixEvent::Delete);
                self.tell_delete(frame, member, &delete.key);
                encode(frame, &Response::Deleted, out);
            }
            RemoveOutcome::NotFound => {
                self.counters.delete_misses.add(1);
                encode(frame, &Response::NotFound, out);
            }
            RemoveOutcome::Exists => encode(frame, &Response::Exists, out),
        }
        Flow::Done
    }

    fn tell_delete(&self, frame: &Frame<'_>, member: &Member<'_>, key: &[u8]) {
        if !self.context.watch.wants(WatchKinds::DELETIONS) {
            return;
        }
        let command = if matches!(frame.form, Form::Meta(_)) { "md" } else { "delete" };
        let wall_ms = self.context.clock.wall_ms();
        self.context.watch.tell(WatchKinds::DELETIONS, wall_ms, |out| {
            out.extend_from_slice(b"type=deleted key=");
            push_encoded(key, out);
            let id = member.session.id;
            out.extend_from_slice(format!(" cmd={command} clsid=1 cfd={id}").as_bytes());
        });
    }

    pub(super) fn touch(
        &mut self,
        frame: &Frame<'_>,
        touch: &Touch<'_>,
        member: &mut Member<'_>,
        out: &mut Vec<u8>,
    ) -> Flow {
        let expiry = touch.lifetime.expiry(self.now);
        let mut retouching = Retouching { expiry, outcome: RemoveOutcome::NotFound };
        self.counters.cmd_touch.add(1);
        match self.update(&touch.key, member, &mut retouching) {
            Outcome::Applied(_) => {}
            Outcome::Wait(flow) => return flow,
            Outcome::Refused(error) => {
                refuse(frame, &fault_of(error), out);
                return Flow::Done;
            }
        }
        match retouching.outcome {
            RemoveOutcome::Done { flags, version } => {
                self.counters.touch_hits.add(1);
                encode(frame, &Response::Touched { flags, version }, out);
            }
            RemoveOutcome::NotFound | RemoveOutcome::Exists => {
                self.counters.touch_misses.add(1);
                encode(frame, &Response::NotFound, out);
            }
        }
        Flow::Done
    }

    /// Forgets a record whose new value was refused.
    pub(super) fn discard(&mut self, key: &[u8], member: &mut Member<'_>) -> Flow {
        match self.update(key, member, &mut Removing::any()) {
            Outcome::Wait(flow) => flow,
            // Nobody is answered: the refusal itself is.
            Outcome::Applied(_) | Outcome::Refused(_) => Flow::Done,
        }
    }
}
