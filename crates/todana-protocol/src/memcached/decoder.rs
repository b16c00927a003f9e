//! Cutting a connection's bytes into frames.
//!
//! The decoder keeps only what it must between calls: which protocol the connection speaks, whether
//! its client is known, and whether it is in the middle of something that need not be kept in memory
//! (bytes to be swallowed, a line that is too long, a `get` of very many keys).

use super::{Frame, binary, text};

/// Tells a connection's protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// By its first byte, as memcached does.
    #[default]
    Auto,
    /// Text and meta commands.
    Text,
    /// Binary.
    Binary,
}

/// Whether clients have to say who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Authentication {
    /// They need not, or have done so.
    #[default]
    Open,
    /// They must, and have not.
    Required,
}

/// How a decoder is made.
#[derive(Debug, Clone, Copy)]
pub struct DecoderOptions {
    /// The protocol of the connection.
    pub protocol: Protocol,
    /// Largest value in bytes.
    pub value_len_max: u64,
    /// Whether clients have to say who they are.
    pub authentication: Authentication,
    /// Whether `debugtime` is known.
    pub test_clock: bool,
}

impl Default for DecoderOptions {
    fn default() -> DecoderOptions {
        DecoderOptions {
            protocol: Protocol::Auto,
            value_len_max: 1 << 20,
            authentication: Authentication::Open,
            test_clock: false,
        }
    }
}

/// What a call of [`Decoder::decode`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Bytes of the input that need not be shown again.
    pub consumed: usize,
    /// Why it stopped.
    pub status: Status,
}

/// Why a decoder stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The rest of the input is no whole request.
    Incomplete {
        /// Bytes that the request will have in all, from the end of what was consumed; 0 while that is
        /// not known. Never more than a value's limit and a line.
        need: usize,
    },
    /// As many frames as were wanted, or one that has to be carried out before the next can be
    /// understood: call again.
    Paused,
    /// Carry out the frames, then close the connection.
    Close,
}

/// A place in the input that decoding can go on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resume {
    /// Bytes of the input before it.
    pub consumed: usize,
    /// Inside the line of a get.
    pub(super) keys: Option<text::ManyKeys>,
}

/// What the decoder is in the middle of.
#[derive(Debug, Clone)]
pub(super) enum State {
    /// Between requests.
    Ready,
    /// Throwing away a data block; then this frame follows.
    Swallow { left: u64, then: Option<Box<Frame<'static>>> },
    /// Throwing away a line that was too long.
    SwallowLine,
    /// Inside the line of a get with more keys than are taken at once.
    Keys(text::ManyKeys),
}

/// Cuts the bytes of one connection (or one datagram) into frames. A clone goes on from the same place.
#[derive(Debug, Clone)]
pub struct Decoder {
    pub(super) options: DecoderOptions,
    pub(super) state: State,
}

impl Decoder {
    /// A decoder at the beginning of a connection.
    pub fn new(options: DecoderOptions) -> Decoder {
        Decoder { options, state: State::Ready }
    }

    /// The protocol of the connection; [`Protocol::Auto`] until its first byte was seen.
    pub fn protocol(&self) -> Protocol {
        self.options.protocol
    }

    /// Tells the decoder whether the client is known from here on.
    pub fn set_authentication(&mut self, authentication: Authentication) {
        self.options.authentication = authentication;
    }

    /// Goes back to where a frame ended; show it the input from there.
    pub fn resume(&mut self, at: Resume) {
        self.state = at.keys.map_or(State::Ready, State::Keys);
    }

    /// Appends the frames of `input` to `frames`, until that holds about `frames_max`.
    ///
    /// Show the input again from `consumed` on, with more bytes behind it; after
    /// [`Status::Incomplete`] it makes no sense before `need` bytes are there.
    pub fn decode<'a>(
        &mut self,
        input: &'a [u8],
        frames: &mut Vec<Frame<'a>>,
        frames_max: usize,
    ) -> Step {
        let mut at = 0;
        let first = frames.len();
        loop {
            let rest = input.get(at..).unwrap_or_default();
            if rest.is_empty() {
                return Step { consumed: at, status: Status::Incomplete { need: 0 } };
            }
            if frames.len() >= frames_max {
                return Step { consumed: at, status: Status::Paused };
            }
            if let Some(end) = self.decode_plain(input, at, frames) {
                at = end;
                continue;
            }
            let before = frames.len();
            let step = self.decode_one(rest, frames, frames_max);
            for end in frames.iter_mut().skip(before).filter_map(|frame| frame.end.as_mut()) {
                end.consumed += at;
            }
            at += step.consumed;
            self.note_end(at, frames.get_mut(first..).unwrap_or_default());
            match step.status {
                Status::Paused if step.consumed > 0 && !self.must_pause(frames) => {}
                status => return Step { consumed: at, status },
            }
        }
    }

    /// Decodes a request that begins at `at`, if it is of the few kinds that make up nearly all traffic, in
    /// their usual form; gives its end.
    #[inline]
    fn decode_plain<'a>(
        &self,
        input: &'a [u8],
        at: usize,
        frames: &mut Vec<Frame<'a>>,
    ) -> Option<usize> {
        let is_usual = self.options.protocol == Protocol::Text
            && self.options.authentication == Authentication::Open
            && matches!(self.state, State::Ready);
        if !is_usual {
            return None;
        }
        match input.get(at)? {
            b'g' => text::plain_get(input, at, frames),
            b's' => text::plain_set(self, input, at, frames),
            _ => None,
        }
    }

    /// Notes where the last of the frames decoded so far ends, if it does.
    fn note_end(&self, consumed: usize, frames: &mut [Frame<'_>]) {
        let keys = match self.state {
            State::Ready => None,
            State::Keys(many) => Some(many),
            State::Swallow { .. } | State::SwallowLine => return,
        };
        if let Some(frame) = frames.last_mut() {
            frame.end = Some(Resume { consumed, keys });
        }
    }

    /// Whether the frame just decoded has to be carried out before the next can be understood.
    fn must_pause(&self, frames: &[Frame<'_>]) -> bool {
        use crate::Request;
        matches!(
            frames.last().map(|frame| &frame.request),
            Some(Request::Authenticate { .. } | Request::Sasl(_))
        )
    }

    fn decode_one<'a>(
        &mut self,
        input: &'a [u8],
        frames: &mut Vec<Frame<'a>>,
        frames_max: usize,
    ) -> Step {
        match &mut self.state {
            State::Ready => {}
            State::Swallow { left, then } => {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                *left -= taken as u64;
                if *left > 0 {
                    return Step { consumed: taken, status: Status::Incomplete { need: 0 } };
                }
                frames.extend(then.take().map(|frame| *frame));
                self.state = State::Ready;
                return Step { consumed: taken, status: Status::Paused };
            }
            State::SwallowLine => {
                let end = memchr::memchr(b'\n', input);
                let consumed = end.map_or(input.len(), |end| end + 1);
                if end.is_none() {
                    return Step { consumed, status: Status::Incomplete { need: 0 } };
                }
                self.state = State::Ready;
                return Step { consumed, status: Status::Paused };
            }
            State::Keys(_) => return text::decode_many_keys(self, input, frames, frames_max),
        }
        if self.options.protocol == Protocol::Auto {
            self.options.protocol = match input.first() {
                Some(&binary::MAGIC_REQUEST) => Protocol::Binary,
                _ => Protocol::Text,
            };
        }
        match self.options.protocol {
            Protocol::Binary => binary::decode(self, input, frames),
            Protocol::Text | Protocol::Auto => text::decode(self, input, frames, frames_max),
        }
    }

    /// Throws away `len` bytes, then gives `then`.
    pub(super) fn swallow(&mut self, len: u64, then: Option<Frame<'static>>) {
        self.state = State::Swallow { left: len, then: then.map(Box::new) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text_decoder(value_len_max: u64) -> Decoder {
        let protocol = Protocol::Text;
        Decoder::new(DecoderOptions { protocol, value_len_max, ..DecoderOptions::default() })
    }

    /// Where a request ends, and its frames.
    type Short<'a> = (usize, Vec<Frame<'a>>);

    /// Frames and end of the request at the start of `input`, by the way for all and by the short one.
    fn both(input: &[u8]) -> (Step, Vec<Frame<'_>>, Option<Short<'_>>) {
        let mut decoder = text_decoder(9);
        let mut short = Vec::new();
        let end = decoder.decode_plain(input, 0, &mut short);
        let mut long = Vec::new();
        let step = decoder.decode_one(input, &mut long, 100);
        decoder.note_end(step.consumed, &mut long);
        assert!(end.is_some() || short.is_empty());
        (step, long, end.map(|end| (end, short)))
    }

    #[test]
    fn usual_requests_take_the_short_way() {
        for usual in
            ["get a\r\n", "get a b\r\nx", "set k 1 60 2\r\nvv\r\n", "set k 0 0 0 noreply\r\n\r\n"]
        {
            let (step, long, short) = both(usual.as_bytes());
            assert_eq!(short, Some((step.consumed, long)), "{usual}");
        }
        for other in [
            "get a",
            "get a\n",
            "get  a\r\n",
            "set k 0 -1 1\r\nv\r\n",
            "set k 0 0 10\r\n0123456789\r\n",
        ] {
            assert_eq!(both(other.as_bytes()).2, None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn the_short_way_leads_where_the_long_one_does(
            line in "(get|gets|set|sets)( {1,2}[a-c\\x00\\r]{0,3}){0,3}( [0-9+-]{0,11}){0,3}( noreply)?\r?\n[v\r\n]{0,9}\r?\n?",
            key_len in prop_oneof![Just(0usize), 240..260usize],
        ) {
            let line = line.replacen('a', &"a".repeat(key_len.max(1)), 1);
            let (step, long, short) = both(line.as_bytes());
            if let Some((end, frames)) = short {
                prop_assert_eq!((end, frames), (step.consumed, long));
            }
        }
    }
}
