//! Requests about the server and the connection.

use super::{Executor, Member, queue_answers, refuse};
use crate::context::VERSION;
use crate::dump::{Records, Sizes};
use crate::figures::{self, Figures};
use todana_protocol::memcached::{BinaryForm, Form, Frame, TextForm, encode};
use todana_protocol::{
    Clock, Dump, Fault, Lifetime, Request, Response, Sasl, WatchKinds, parse_unsigned,
};

/// Classes that clients may name, as memcached's.
const CLASSES_MAX: u64 = 64;
/// The only mechanism of authentication.
const MECHANISM: &str = "PLAIN";

impl Executor {
    pub(super) fn administer(
        &mut self,
        frame: &Frame<'_>,
        member: &mut Member<'_>,
        out: &mut Vec<u8>,
    ) {
        match &frame.request {
            Request::Noop | Request::Accepted => encode(frame, &Response::Done, out),
            Request::Version => encode(frame, &Response::Version(VERSION), out),
            Request::Refused(fault) => {
                self.counters.lines_too_long.add(u64::from(*fault == Fault::LineTooLong));
                self.counters.keys_too_long.add(u64::from(*fault == Fault::KeyTooLong));
                self.counters.store_too_large.add(u64::from(*fault == Fault::TooLarge));
                refuse(frame, fault, out);
            }
            Request::Quit => {
                if matches!(frame.form, Form::Binary(_)) {
                    encode(frame, &Response::Done, out);
                }
                member.session.closing |= member.session.stream;
            }
            Request::FlushAll { after } => self.flush(frame, *after, out),
            Request::Stats { argument } => self.stats(frame, argument, member, out),
            Request::Verbosity { level } => {
                self.context.set_verbosity(*level);
                encode(frame, &Response::Done, out);
            }
            Request::Shutdown { graceful } => {
                if self.context.settings.shutdown_enabled {
                    member.session.closing = true;
                    self.context.stop.order(*graceful);
                } else {
                    refuse(frame, &Fault::Line("ERROR: shutdown not enabled"), out);
                }
            }
            Request::MemoryLimit { megabytes } => self.memory_limit(frame, *megabytes, out),
            Request::Dump(dump) => self.dump(frame, *dump, member, out),
            Request::Crawl(_) => {
                let engine = &self.context.engine;
                let expire = engine.jobs().iter().position(|job| *job == "expire");
                if let Some(job) = expire {
                    engine.run_job(job, self.now);
                }
                encode(frame, &Response::Done, out);
            }
            Request::Watch(kinds) => self.watch(frame, *kinds, member, out),
            Request::Authenticate { token } => self.authenticate(frame, token, member, out),
            Request::Sasl(sasl) => self.sasl(frame, sasl, member, out),
            Request::Clock(clock) => {
                if let Some(test_clock) = &self.context.test_clock {
                    match clock {
                        Clock::Pause => test_clock.pause(),
                        Clock::Resume => test_clock.resume(),
                        Clock::Advance(seconds) => {
                            test_clock.advance_ms(seconds.saturating_mul(1_000));
                        }
                    }
                }
                self.tick();
                encode(frame, &Response::Done, out);
            }
            // Carried out elsewhere.
            Request::Get(_)
            | Request::Put(_)
            | Request::Count(_)
            | Request::Delete(_)
            | Request::Touch(_)
            | Request::Inspect { .. }
            | Request::Discard { .. } => {}
        }
    }

    fn flush(&mut self, frame: &Frame<'_>, after: Lifetime, out: &mut Vec<u8>) {
        self.counters.cmd_flush.add(1);
        if !self.context.settings.flush_enabled {
            refuse(frame, &Fault::NotAllowed("flush_all not allowed"), out);
            return;
        }
        let due = match after {
            Lifetime::Forever | Lifetime::Gone => None,
            Lifetime::Seconds(seconds) => Some(self.now.plus_ms(u64::from(seconds) * 1_000)),
            Lifetime::Until(second) if second <= self.now.seconds() => {
                // As memcached: a moment that has passed cuts nothing off.
                encode(frame, &Response::Done, out);
                return;
            }
            Lifetime::Until(_) => {
                Some(todana_record::Timestamp::from_ms(after.expiry(self.now).ms()))
            }
        };
        match self.context.engine.flush(due, self.now) {
            Ok(_) => encode(frame, &Response::Done, out),
            Err(error) => refuse(frame, &super::fault_of(error), out),
        }
    }

    fn memory_limit(&mut self, frame: &Frame<'_>, megabytes: u64, out: &mut Vec<u8>) {
        let fault = if megabytes < 8 {
            Fault::Line("MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m")
        } else {
            let bytes = megabytes.saturating_mul(1 << 20);
            match self.context.engine.set_memory_limit(bytes) {
                Ok(()) => {
                    encode(frame, &Response::Done, out);
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, megabytes, "memory limit not changed");
                    Fault::Line("MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust")
                }
            }
        };
        refuse(frame, &fault, out);
    }

    fn dump(&mut self, frame: &Frame<'_>, dump: Dump, member: &mut Member<'_>, out: &mut Vec<u8>) {
        if !self.context.settings.dump_enabled {
            let fault = match dump {
                Dump::Cache { .. } => Fault::NotAllowed("stats cachedump not allowed"),
                Dump::Metadata | Dump::Commands => Fault::Line("ERROR metadump not allowed"),
            };
            refuse(frame, &fault, out);
        } else if member.session.stream {
            queue_answers(member, out);
            member.session.replies.push_listing(Box::new(Records::new(dump)));
        } else {
            refuse(frame, &Fault::Client("listings need a connection"), out);
        }
    }

    fn watch(
        &mut self,
        frame: &Frame<'_>,
        kinds: WatchKinds,
        member: &mut Member<'_>,
        out: &mut Vec<u8>,
    ) {
        if !self.context.settings.watch_enabled {
            refuse(frame, &Fault::NotAllowed("watch commands not allowed"), out);
            return;
        }
        if !member.session.stream {
            refuse(frame, &Fault::Client("watching needs a connection"), out);
            return;
        }
        // A connection watches once: what it asks for last.
        if let Some(watcher) = member.session.watcher.take() {
            self.context.watch.leave(&watcher);
        }
        match self.context.watch.join(kinds, member.session.wake.clone()) {
            Some(watcher) => {
                encode(frame, &Response::Done, out);
                member.session.watcher = Some(watcher);
            }
            None => {
                let fault = Fault::Line("WATCHER_TOO_MANY log watcher limit reached");
                refuse(frame, &fault, out);
            }
        }
    }

    /// `user password`, by the text dialect.
    fn authenticate(
        &mut self,
        frame: &Frame<'_>,
        token: &[u8],
        member: &mut Member<'_>,
        out: &mut Vec<u8>,
    ) {
        let mut words = token.splitn(2, |&byte| byte == b' ');
        let (Some(user), Some(password)) = (words.next(), words.next()) else {
            refuse(frame, &Fault::AuthFormat, out);
            return;
        };
        let known = self
            .context
            .credentials
            .as_ref()
            .is_some_and(|credentials| credentials.check(user, password));
        self.note_authentication(member, known);
        if known {
            encode(frame, &Response::Authenticated, out);
        } else {
            refuse(frame, &Fault::AuthFailed, out);
        }
    }

    fn note_authentication(&self, member: &mut Member<'_>, known: bool) {
        self.counters.auth_cmds.add(1);
        self.counters.auth_errors.add(u64::from(!known));
        if !known {
            tracing::info!(connection = member.session.id, "a client could not say who it is");
        }
        member.session.set_known(known);
    }

    fn sasl(
        &mut self,
        frame: &Frame<'_>,
        sasl: &Sasl<'_>,
        member: &mut Member<'_>,
        out: &mut Vec<u8>,
    ) {
        let credentials = match &self.context.credentials {
            Some(credentials) if self.context.settings.sasl => credentials,
            _ => {
                refuse(frame, &Fault::UnknownCommand, out);
                return;
            }
        };
        let (mechanism, data) = match sasl {
            Sasl::List => {
                encode(frame, &Response::Mechanisms(MECHANISM), out);
                return;
            }
            Sasl::Start { mechanism, data } | Sasl::Step { mechanism, data } => (mechanism, data),
        };
        let begun = std::mem::replace(&mut member.session.sasl_begun, false);
        let out_of_turn = matches!(sasl, Sasl::Step { .. }) && !begun;
        if out_of_turn || !mechanism.eq_ignore_ascii_case(MECHANISM.as_bytes()) {
            self.note_authentication(member, false);
            refuse(frame, &Fault::AuthFailed, out);
        } else if data.is_empty() && matches!(sasl, Sasl::Start { .. }) {
            member.session.sasl_begun = true;
            encode(frame, &Response::Challenge(b""), out);
        } else {
            let known = credentials.check_plain(data);
            self.note_authentication(member, known);
            if known {
                encode(frame, &Response::Authenticated, out);
            } else {
                refuse(frame, &Fault::AuthFailed, out);
            }
        }
    }

    fn stats(
        &mut self,
        frame: &Frame<'_>,
        argument: &[u8],
        member: &mut Member<'_>,
        out: &mut Vec<u8>,
    ) {
        let words: Vec<&[u8]> =
            argument.split(|&byte| byte == b' ').filter(|word| !word.is_empty()).collect();
        let context = &self.context;
        let figures: Figures = match words.as_slice() {
            [] => figures::general(context),
            [b"settings"] => figures::settings(context),
            [b"items"] => figures::items(context),
            [b"slabs"] => figures::slabs(context),
            [b"conns"] => figures::connections(context),
            [b"sizes"] => {
                let form = listing_form(frame);
                let sizes = Frame::new(Request::Accepted, form);
                if member.session.stream {
                    queue_answers(member, out);
                    member.session.replies.push_listing(Box::new(Sizes::new(sizes)));
                } else {
                    refuse(frame, &Fault::Client("listings need a connection"), out);
                }
                return;
            }
            [b"sizes_enable" | b"sizes_disable"] => {
                vec![("sizes_status".into(), "enabled".into())]
            }
            [b"reset"] => {
                self.context.reset_statistics();
                return self.stats_word(frame, b"RESET\r\n", out);
            }
            [b"detail", rest @ ..] => {
                let (words, dump) = match rest {
                    [b"on"] => (Some(true), false),
                    [b"off"] => (Some(false), false),
                    [b"dump"] => (None, true),
                    _ => {
                        let usage = Fault::Client("usage: stats detail on|off|dump");
                        return self.stats_refused(frame, &usage, out);
                    }
                };
                if dump {
                    let text = self.context.prefixes.dump();
                    return self.detail_dump(frame, &text, out);
                }
                self.context.prefixes.enable(words == Some(true));
                return self.stats_word(frame, b"OK\r\n", out);
            }
            [b"cachedump", ..]
                if matches!(frame.form, Form::Text(_)) && !context.settings.dump_enabled =>
            {
                return refuse(frame, &Fault::NotAllowed("stats cachedump not allowed"), out);
            }
            [b"cachedump", class, limit] if matches!(frame.form, Form::Text(_)) => {
                let (Some(class), Some(limit)) = (parse_unsigned(class), parse_unsigned(limit))
                else {
                    return refuse(frame, &Fault::BadLine, out);
                };
                if class >= CLASSES_MAX {
                    return refuse(frame, &Fault::Client("Illegal slab id"), out);
                }
                if class != 1 {
                    // All records are listed under the first class, so that who asks for one class
                    // after the other sees each of them once.
                    return encode(frame, &Response::End, out);
                }
                let limit = u32::try_from(limit).unwrap_or(u32::MAX);
                return self.dump(frame, Dump::Cache { limit }, member, out);
            }
            [b"cachedump", ..] if matches!(frame.form, Form::Text(_)) => {
                return refuse(frame, &Fault::Client("bad command line"), out);
            }
            _ => return self.stats_refused(frame, &Fault::UnknownCommand, out),
        };
        for (name, value) in &figures {
            encode(frame, &Response::Stat { name, value }, out);
        }
        encode(frame, &Response::End, out);
    }

    /// An answer that is a word in the text dialect, and nothing but the end in the binary one.
    fn stats_word(&self, frame: &Frame<'_>, word: &[u8], out: &mut Vec<u8>) {
        match frame.form {
            Form::Binary(_) => encode(frame, &Response::End, out),
            _ => encode(frame, &Response::Raw(word), out),
        }
    }

    fn detail_dump(&self, frame: &Frame<'_>, text: &[u8], out: &mut Vec<u8>) {
        match frame.form {
            Form::Binary(_) => {
                let text = String::from_utf8_lossy(text);
                encode(frame, &Response::Stat { name: "detailed", value: &text }, out);
                encode(frame, &Response::End, out);
            }
            _ => encode(frame, &Response::Raw(text), out),
        }
    }

    /// Figures that there are none of.
    fn stats_refused(&self, frame: &Frame<'_>, fault: &Fault, out: &mut Vec<u8>) {
        match frame.form {
            Form::Binary(_) => encode(frame, &Response::NotFound, out),
            _ => refuse(frame, fault, out),
        }
    }
}

/// The form of a reply that outlives its request's bytes.
fn listing_form(frame: &Frame<'_>) -> Form<'static> {
    match &frame.form {
        Form::Binary(BinaryForm { opcode, opaque, quiet, with_key }) => Form::Binary(BinaryForm {
            opcode: *opcode,
            opaque: *opaque,
            quiet: *quiet,
            with_key: *with_key,
        }),
        Form::Text(form) => Form::Text(*form),
        Form::Meta(_) => Form::Text(TextForm::LINE),
    }
}
