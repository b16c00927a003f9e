//! A connection without its socket.
//!
//! # Life of a session
//! ```text
//!   open ──decode, carry out──▶ open
//!   open ──a page, an answer──▶ blocked ──its token completes──▶ open
//!   open ──`watch`────────────▶ watching
//!   any  ──quit, bad magic────▶ closing ──replies are out──▶ gone
//! ```
//! **(S1)** Replies leave in the order of the requests, whatever they wait for (see `replies`).
//! **(S2)** A request that the engine answers with *pending* has not been carried out: decoding goes back
//! to its first byte, and it is decoded again when the token completes. No request is kept in another
//! form than its bytes.
//! **(S3)** What a session keeps is bounded: input by a value's limit and a line, replies by
//! [`OUTPUT_PAUSE_LEN`] and one turn's output, since nothing is decoded above that.

use crate::context::Context;
use crate::limits::OUTPUT_PAUSE_LEN;
use crate::replies::Replies;
use crate::watch::{Wake, Watcher};
use std::sync::Arc;
use todana_engine::Token;
use todana_protocol::memcached::{
    Authentication, Decoder, DecoderOptions, Frame, Protocol, Resume, Status, Step,
};

/// A connection without its socket. See the module.
pub struct Session {
    decoder: Decoder,
    /// The decoder before the present turn, where the engine may answer *pending*.
    before: Option<Decoder>,
    waits: bool,
    pub(crate) replies: Replies,
    pub(crate) closing: bool,
    pub(crate) blocked: Option<Token>,
    pub(crate) watcher: Option<Arc<Watcher>>,
    pub(crate) wake: Wake,
    /// Number that watchers know the connection by.
    pub(crate) id: u64,
    /// Whether listings and watching make sense here: not over datagrams.
    pub(crate) stream: bool,
    /// The client was asked to go on with its authentication.
    pub(crate) sasl_begun: bool,
}

impl Session {
    /// A session at the beginning of a connection. `wake` is called, from any thread, when there are
    /// lines for it as a watcher.
    pub fn new(context: &Context, protocol: Protocol, id: u64, wake: Wake) -> Session {
        let settings = &context.settings;
        // Passwords in a text file bind clients to the text dialect, SASL to the binary one.
        let protocol = match (settings.auth_file.is_some(), settings.sasl) {
            (_, true) => Protocol::Binary,
            (true, false) => Protocol::Text,
            (false, false) => protocol,
        };
        let known = context.credentials.is_none();
        let options = DecoderOptions {
            protocol,
            value_len_max: settings.value_len_max,
            authentication: if known { Authentication::Open } else { Authentication::Required },
            test_clock: context.test_clock.is_some(),
        };
        Session {
            decoder: Decoder::new(options),
            before: None,
            waits: context.engine.limits().waits,
            replies: Replies::default(),
            closing: false,
            blocked: None,
            watcher: None,
            wake,
            id,
            stream: true,
            sasl_begun: false,
        }
    }

    /// A session of one datagram.
    pub(crate) fn for_datagram(context: &Context, protocol: Protocol, wake: Wake) -> Session {
        Session { stream: false, ..Session::new(context, protocol, 0, wake) }
    }

    /// Whether the next request may be decoded now.
    pub fn takes_input(&self) -> bool {
        !self.closing
            && self.blocked.is_none()
            && !self.replies.has_listing()
            && self.replies.queued_len() < OUTPUT_PAUSE_LEN
    }

    /// Whether the session is over as soon as its replies are out.
    pub fn is_closing(&self) -> bool {
        self.closing
    }

    /// Whether the connection has become a watcher, whose input means nothing.
    pub fn is_watching(&self) -> bool {
        self.watcher.is_some()
    }

    /// Replies that wait: for whoever fills in answers from elsewhere.
    pub fn replies(&mut self) -> &mut Replies {
        &mut self.replies
    }

    /// What the session waits for before it can go on, if it does.
    pub fn waits_for(&self) -> Option<Token> {
        self.blocked
    }

    /// Lets the session go on after what it waited for has come.
    pub fn unblock(&mut self) {
        self.blocked = None;
    }

    /// Decodes what there is of `input`, for one turn.
    pub(crate) fn decode<'a>(
        &mut self,
        input: &'a [u8],
        frames: &mut Vec<Frame<'a>>,
        frames_max: usize,
    ) -> Step {
        if self.is_watching() {
            return Step { consumed: input.len(), status: Status::Incomplete { need: 0 } };
        }
        if self.waits {
            self.before = Some(self.decoder.clone());
        }
        // An engine that may have to wait is asked one request at a time, so that one that has to be
        // put off puts nothing else off that was done already.
        let frames_max = if self.waits { 1 } else { frames_max };
        self.decoder.decode(input, frames, frames.len() + frames_max)
    }

    /// Takes back the decoding of everything after a frame's end; of everything, for `None`.
    pub(crate) fn put_off(&mut self, after: Option<Resume>) {
        match (after, self.before.take()) {
            (Some(resume), _) => self.decoder.resume(resume),
            (None, Some(before)) => self.decoder = before,
            (None, None) => {}
        }
    }

    /// Lets the client in, or out again.
    pub(crate) fn set_known(&mut self, known: bool) {
        let authentication = if known { Authentication::Open } else { Authentication::Required };
        self.decoder.set_authentication(authentication);
    }
}
