//! Gets: many at once where they change nothing, one by one where they do.

use super::{Executor, Flow, Member, ReadFailure, bytes_of, fault_of, recycle, refuse};
use crate::context::PrefixEvent;
use crate::counters::Counters;
use crate::watch::push_encoded;
use std::ops::Range;
use todana_engine::{Absence, Found, Look as Remember, Progress, View};
use todana_protocol::memcached::{Form, Frame, encode};
use todana_protocol::{Get, Item, Lifetimes, Recaching, Request, Response, WatchKinds};
use todana_record::{Expiry, Timestamp};
use todana_store::operation::{Look, Marks, Recache, ttl_s};

fn recache_of(recaching: &Recaching, now: Timestamp) -> Recache {
    Recache {
        vivify: recaching.vivify.map(|lifetime| lifetime.expiry(now)),
        below_s: recaching.recache_s,
        after_touch: recaching.recache_after_touch,
        vivify_last: recaching.vivify_last,
        version: recaching.version,
    }
}

/// A record as it is answered.
fn item<'v>(
    view: &View<'v>,
    value: &'v [u8],
    marks: Marks,
    touched: Option<Expiry>,
    now: Timestamp,
) -> Item<'v> {
    Item {
        key: view.key,
        value,
        flags: view.meta.flags,
        version: view.meta.version,
        lifetimes: Lifetimes {
            before_s: ttl_s(view.meta.expiry, now),
            made_s: None,
            touched_s: touched.map(|expiry| ttl_s(expiry, now)),
        },
        hit_before: view.access.hit_before,
        idle_s: view.access.idle_s,
        won: marks.won,
        stale: marks.stale,
        sent: marks.sent,
    }
}

/// An empty record that a get has just made.
fn made(key: &[u8], version: u64, lifetimes: Lifetimes) -> Item<'_> {
    Item {
        key,
        value: b"",
        flags: 0,
        version,
        lifetimes,
        hit_before: false,
        idle_s: 0,
        won: true,
        stale: false,
        sent: false,
    }
}

/// Why look-ups ended before the last one.
enum Ended {
    /// This frame needs an update.
    NeedsUpdate(usize),
    /// Everything of this member from the frame on is put off.
    No,
}

/// What look-ups are counted as, until all of a group are done.
#[derive(Default)]
struct Tally {
    hits: u64,
    misses: u64,
    expired: u64,
    meta: u64,
}

impl Tally {
    #[inline]
    fn hit(&mut self, frame: &Frame<'_>) {
        self.hits += 1;
        self.meta += u64::from(matches!(frame.form, Form::Meta(_)));
    }

    #[inline]
    fn miss(&mut self, frame: &Frame<'_>, absence: Absence) {
        self.misses += 1;
        self.expired += u64::from(absence == Absence::Expired);
        self.meta += u64::from(matches!(frame.form, Form::Meta(_)));
    }

    fn add_to(&self, counters: &Counters) {
        counters.cmd_get.add(self.hits + self.misses);
        counters.get_hits.add(self.hits);
        counters.get_misses.add(self.misses);
        counters.get_expired.add(self.expired);
        counters.cmd_meta.add(self.meta);
    }
}

impl Executor {
    /// Looks up the keys of frames that follow each other, over several members. Gives the member and
    /// frame to go on with, and the frame that has to be carried out by an update, if that is it.
    pub(super) fn look_up(
        &mut self,
        frames: &[Frame<'_>],
        range: Range<usize>,
        members: &mut [Member<'_>],
        first: usize,
        out: &mut Vec<u8>,
    ) -> (usize, usize, Option<usize>) {
        let mut keys: Vec<&[u8]> = recycle(std::mem::take(&mut self.keys));
        keys.extend(frames[range.clone()].iter().map(|frame| frame.request.key()));
        let engine = self.context.engine.clone();
        let now = self.now;
        let mut number = first;
        let mut skip_to = range.start;
        let mut ended = Ended::No;
        let mut tally = Tally::default();
        let is_watched = self.watches_lookups();
        engine.get_many(&keys, now, &mut |index, found| {
            let at = range.start + index;
            if at < skip_to || matches!(ended, Ended::NeedsUpdate(_)) {
                return Remember::Peeked;
            }
            while at >= members[number].frames.end {
                self.finish(&mut members[number], out);
                number += 1;
                members[number].out.start = out.len();
            }
            let member = &mut members[number];
            if self.turn_is_over(member, frames, at, out.len()) {
                skip_to = self.stop(member, frames, at, None);
                return Remember::Peeked;
            }
            let frame = &frames[at];
            let Request::Get(get) = &frame.request else { return Remember::Peeked };
            let recache = get.recaching.as_ref().map(|recaching| recache_of(recaching, now));
            match found {
                Found::Pending(token) => {
                    skip_to = self.stop(member, frames, at, Some(token));
                }
                Found::Failed(error) => refuse(frame, &fault_of(error), out),
                Found::Record(ref view) if !Look::is_plain(view, None, recache.as_ref(), now) => {
                    ended = Ended::NeedsUpdate(at);
                }
                Found::Absent(_) if recache.is_some_and(|recache| recache.vivify.is_some()) => {
                    ended = Ended::NeedsUpdate(at);
                }
                Found::Record(ref view) => match bytes_of(&view.value) {
                    Ok(value) => {
                        tally.hit(frame);
                        if is_watched {
                            self.tell_lookup(frame, member, Some(view), Absence::Unknown);
                        }
                        self.wait_for(member, view.key, view.position);
                        let marks = match recache {
                            Some(_) => Look::plain_marks(view),
                            None => Marks::default(),
                        };
                        let item = item(view, &value, marks, None, now);
                        encode(frame, &Response::Item(item), out);
                        return Remember::Fetched;
                    }
                    Err(ReadFailure::Wait(token)) => {
                        skip_to = self.stop(member, frames, at, Some(token));
                    }
                    Err(ReadFailure::Fault(fault)) => refuse(frame, &fault, out),
                },
                Found::Absent(absence) => {
                    tally.miss(frame, absence);
                    if is_watched {
                        self.tell_lookup(frame, member, None, absence);
                    }
                    encode(frame, &Response::Miss, out);
                }
            }
            Remember::Peeked
        });
        tally.add_to(&self.counters);
        self.keys = recycle(keys);
        match ended {
            Ended::NeedsUpdate(at) => (number, at, Some(at)),
            Ended::No => (number, range.end.max(skip_to), None),
        }
    }

    /// Counts a look-up, and tells those who watch.
    fn note_lookup(
        &self,
        frame: &Frame<'_>,
        member: &Member<'_>,
        view: Option<&View<'_>>,
        absence: Absence,
    ) {
        let mut tally = Tally::default();
        match view {
            Some(_) => tally.hit(frame),
            None => tally.miss(frame, absence),
        }
        tally.add_to(&self.counters);
        if self.watches_lookups() {
            self.tell_lookup(frame, member, view, absence);
        }
    }

    /// Whether anybody wants to be told of look-ups one by one.
    fn watches_lookups(&self) -> bool {
        self.context.prefixes.is_enabled() || self.context.watch.wants(WatchKinds::FETCHERS)
    }

    /// Tells those who watch of a look-up.
    #[cold]
    fn tell_lookup(
        &self,
        frame: &Frame<'_>,
        member: &Member<'_>,
        view: Option<&View<'_>>,
        absence: Absence,
    ) {
        let key = frame.request.key();
        let event = if view.is_some() { PrefixEvent::Hit } else { PrefixEvent::Miss };
        self.context.prefixes.count(key, event);
        if self.context.watch.wants(WatchKinds::FETCHERS) {
            let status = match (view, absence) {
                (Some(_), _) => "found",
                (None, Absence::Expired) => "expired",
                (None, Absence::Unknown) => "not_found",
            };
            let size = view.map_or(0, |view| view.value.len());
            self.tell_fetch(member, key, status, size);
        }
    }

    pub(super) fn tell_fetch(&self, member: &Member<'_>, key: &[u8], status: &str, size: u64) {
        let wall_ms = self.context.clock.wall_ms();
        self.context.watch.tell(WatchKinds::FETCHERS, wall_ms, |out| {
            out.extend_from_slice(b"type=item_get key=");
            push_encoded(key, out);
            let class = u8::from(size > 0 || status == "found");
            let id = member.session.id;
            let rest = format!(" status={status} clsid={class} cfd={id} size={size}");
            out.extend_from_slice(rest.as_bytes());
        });
    }

    /// A get that may change what it looks at.
    pub(super) fn look(
        &mut self,
        frame: &Frame<'_>,
        get: &Get<'_>,
        member: &mut Member<'_>,
        out: &mut Vec<u8>,
    ) -> Flow {
        let now = self.now;
        let before = out.len();
        let recache = get.recaching.as_ref().map(|recaching| recache_of(recaching, now));
        if get.peek
            && get.touch.is_none()
            && let Some(flow) = self.peek(frame, get, member, recache.as_ref(), out)
        {
            return flow;
        }
        let mut hit = false;
        let mut size = 0;
        let mut was_made = false;
        let touched = get.touch.map(|lifetime| lifetime.expiry(now));
        let mut see = |view: Option<&View<'_>>, marks: Marks| match view {
            Some(view) => {
                hit = true;
                size = view.value.len();
                let value = view.value.as_bytes().unwrap_or_default();
                let item = item(view, value, marks, touched, now);
                encode(frame, &Response::Item(item), out);
            }
            None if marks.won => was_made = true,
            None => encode(frame, &Response::Miss, out),
        };
        let mut look = Look { expiry: touched, recache, peek: get.peek, now, see: &mut see };
        let applied = match self.context.engine.update(&get.key, now, &mut look) {
            Ok(Progress::Done(applied)) => applied,
            Ok(Progress::Pending(token)) => {
                out.truncate(before);
                return Flow::Wait(token);
            }
            Err(error) => {
                out.truncate(before);
                refuse(frame, &fault_of(error), out);
                return Flow::Done;
            }
        };
        if was_made {
            let vivify = recache.and_then(|recache| recache.vivify);
            let lifetimes = Lifetimes {
                before_s: None,
                made_s: vivify.map(|expiry| ttl_s(expiry, now)),
                touched_s: touched.map(|expiry| ttl_s(expiry, now)),
            };
            encode(frame, &Response::Item(made(&get.key, applied.version, lifetimes)), out);
        }
        self.wait_for(member, &get.key, applied.position);
        self.counters.cmd_get.add(1);
        if hit {
            self.counters.get_hits.add(1);
        } else {
            self.counters.get_misses.add(1);
        }
        if get.touch.is_some() {
            self.counters.cmd_touch.add(1);
            let counter = if hit { &self.counters.touch_hits } else { &self.counters.touch_misses };
            counter.add(1);
        }
        let event = if hit { PrefixEvent::Hit } else { PrefixEvent::Miss };
        self.context.prefixes.count(&get.key, event);
        if self.context.watch.wants(WatchKinds::FETCHERS) {
            self.tell_fetch(member, &get.key, if hit { "found" } else { "not_found" }, size);
        }
        Flow::Done
    }

    /// A get that leaves no trace; `None` when the record has to be won or made, which an update does.
    fn peek(
        &mut self,
        frame: &Frame<'_>,
        get: &Get<'_>,
        member: &mut Member<'_>,
        recache: Option<&Recache>,
        out: &mut Vec<u8>,
    ) -> Option<Flow> {
        let now = self.now;
        let engine = self.context.engine.clone();
        let mut flow = Some(Flow::Done);
        engine.get(&get.key, now, &mut |found| {
            match found {
                Found::Record(view) if !Look::is_plain(&view, None, recache, now) => flow = None,
                Found::Absent(_) if recache.is_some_and(|r| r.vivify.is_some()) => flow = None,
                Found::Record(view) => match bytes_of(&view.value) {
                    Ok(value) => {
                        self.note_lookup(frame, member, Some(&view), Absence::Unknown);
                        self.wait_for(member, view.key, view.position);
                        let marks = Look::plain_marks(&view);
                        let item = item(&view, &value, marks, None, now);
                        encode(frame, &Response::Item(item), out);
                    }
                    Err(ReadFailure::Wait(token)) => flow = Some(Flow::Wait(token)),
                    Err(ReadFailure::Fault(fault)) => refuse(frame, &fault, out),
                },
                Found::Absent(absence) => {
                    self.note_lookup(frame, member, None, absence);
                    encode(frame, &Response::Miss, out);
                }
                Found::Pending(token) => flow = Some(Flow::Wait(token)),
                Found::Failed(error) => refuse(frame, &fault_of(error), out),
            }
            Remember::Peeked
        });
        flow
    }

    /// Metadata of a record for debugging.
    pub(super) fn inspect(
        &mut self,
        frame: &Frame<'_>,
        key: &[u8],
        member: &mut Member<'_>,
        out: &mut Vec<u8>,
    ) -> Flow {
        let now = self.now;
        let engine = self.context.engine.clone();
        let mut flow = Flow::Done;
        engine.get(key, now, &mut |found| {
            match found {
                Found::Record(view) => {
                    self.wait_for(member, view.key, view.position);
                    let size = view.key.len() as u64 + view.value.len();
                    let item = item(&view, b"", Marks::default(), None, now);
                    encode(frame, &Response::Inspected { item, class: 1, size }, out);
                }
                Found::Absent(_) => encode(frame, &Response::Miss, out),
                Found::Pending(token) => flow = Flow::Wait(token),
                Found::Failed(error) => refuse(frame, &fault_of(error), out),
            }
            Remember::Peeked
        });
        flow
    }
}
