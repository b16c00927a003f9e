//! What the targets of memcached's dialects share: an input is read as the bytes of a connection and
//! the places where they are cut; the decoder is then held to its promises.
//!
//! Layout of an input:
//!
//! ```text
//! byte 0      bit 0: clients have to say who they are   bit 1: values up to 64 bytes only
//!             bits 2 and 3: how many frames are wanted at once
//! byte 1      bits 0..3: number of cuts, n
//! then        n times where to cut: 16 bits, little-endian, taken modulo the length of the rest
//! the rest    the bytes of the connection
//! ```
//!
//! So a seed that begins with `00` (the digits) is one piece with the usual options.

use todana_protocol::memcached::{
    Authentication, Decoder, DecoderOptions, Form, Frame, KEY_LEN_MAX, LINE_LEN_MAX, Protocol,
    Status, TextForm, encode,
};
use todana_protocol::{Count, Delete, Fault, Get, Item, Lifetimes, Put, Request, Response, Touch};

/// Bytes of a request in front of its value, in every dialect, a line that is whole left aside: a
/// binary header, extras and key are less than this.
const HEAD_LEN_MAX: usize = LINE_LEN_MAX;
/// Frames of one step whose answers are encoded: what comes after looks no different.
const ENCODED_MAX: usize = 64;

/// An input, read.
pub struct Connection<'a> {
    options: DecoderOptions,
    frames_max: usize,
    cuts: Vec<usize>,
    stream: &'a [u8],
}

impl<'a> Connection<'a> {
    /// Reads an input; `None` when it is too short to be one.
    pub fn read(input: &'a [u8], protocol: Protocol) -> Option<Connection<'a>> {
        let (&[settings, count], mut rest) = input.split_first_chunk::<2>()?;
        let mut cuts = Vec::new();
        for _ in 0..count & 7 {
            let (cut, after) = rest.split_first_chunk::<2>()?;
            cuts.push(usize::from(u16::from_le_bytes(*cut)));
            rest = after;
        }
        for cut in &mut cuts {
            *cut %= rest.len() + 1;
        }
        cuts.push(rest.len());
        cuts.sort_unstable();
        let required = settings & 1 != 0;
        let options = DecoderOptions {
            protocol,
            value_len_max: if settings & 2 == 0 { 1 << 20 } else { 64 },
            authentication: if required { Authentication::Required } else { Authentication::Open },
            test_clock: settings & 4 != 0,
        };
        let frames_max = [100, 1, 7, 1_000][usize::from(settings >> 2 & 3)];
        Some(Connection { options, frames_max, cuts, stream: rest })
    }

    /// Decodes the bytes as they come, all at once, and with going back to where a frame ended; then
    /// compares.
    pub fn check(&self) {
        let all = [self.stream.len()];
        let at_once = plain(self.run(&all, 100, feed));
        let interrupted = plain(self.run(&all, self.frames_max.max(2), feed_interrupted));
        assert!(interrupted == at_once, "interrupted: {interrupted:#?}\nat once: {at_once:#?}");
        let in_pieces = plain(self.run(&self.cuts, self.frames_max, feed));
        // A line beyond the bound is refused as soon as it is seen to be; one that is there as a whole
        // before that is carried out. Which of the two happens depends on how it comes.
        if longest_line(self.stream) <= LINE_LEN_MAX {
            assert!(in_pieces == at_once, "in pieces: {in_pieces:#?}\nat once: {at_once:#?}");
        }
    }

    /// Shows the decoder the bytes up to each cut in turn; gives all frames.
    fn run(&self, cuts: &[usize], frames_max: usize, feed: Feed<'a>) -> Vec<Frame<'a>> {
        let mut decoder = Decoder::new(self.options);
        let (mut at, mut all) = (0, Vec::new());
        for &end in cuts {
            let closed = feed(&mut decoder, &self.stream[..end], &mut at, frames_max, &mut all);
            if closed {
                break;
            }
        }
        for frame in &all {
            check_frame(frame, self.options.value_len_max);
        }
        all
    }
}

/// Decodes what is there from a place on, and moves it; true when the connection is to be closed.
type Feed<'a> = fn(&mut Decoder, &'a [u8], &mut usize, usize, &mut Vec<Frame<'a>>) -> bool;

/// What frames ask for, however it was cut: without the places where they end, and with the end of a
/// get's line as a frame of its own.
fn plain(frames: Vec<Frame<'_>>) -> Vec<Frame<'_>> {
    let mut all = Vec::with_capacity(frames.len());
    for mut frame in frames {
        frame.end = None;
        let last = matches!(&frame.form, Form::Text(TextForm::Value { last: true, .. }));
        if let Form::Text(TextForm::Value { last, .. }) = &mut frame.form {
            *last = false;
        }
        all.push(frame);
        if last {
            all.push(Frame::new(Request::Noop, Form::Text(TextForm::End)));
        }
    }
    all
}

/// As [`feed`], but carries out only the first half of the frames of every step, as a server does whose
/// replies have grown long enough.
fn feed_interrupted<'a>(
    decoder: &mut Decoder,
    stream: &'a [u8],
    at: &mut usize,
    frames_max: usize,
    all: &mut Vec<Frame<'a>>,
) -> bool {
    loop {
        let mut frames = Vec::new();
        let step = decoder.decode(&stream[*at..], &mut frames, frames_max);
        let half = frames.len().div_ceil(2);
        let resume = frames.iter().take(half).rposition(|frame| frame.end.is_some());
        let end = resume.and_then(|last| Some((last, frames[last].end?)));
        let whole = frames.len();
        match end {
            Some((last, resume)) if last + 1 < whole => {
                assert!((1..=step.consumed).contains(&resume.consumed), "{resume:?} of {step:?}");
                decoder.resume(resume);
                *at += resume.consumed;
                all.extend(frames.drain(..=last));
            }
            _ => {
                answer_authentication(decoder, &frames);
                *at += step.consumed;
                all.append(&mut frames);
                match step.status {
                    Status::Close => return true,
                    Status::Incomplete { .. } => return false,
                    Status::Paused => {}
                }
            }
        }
    }
}

/// Decodes what is there from `at` on; true when the connection is to be closed.
pub fn feed<'a>(
    decoder: &mut Decoder,
    stream: &'a [u8],
    at: &mut usize,
    frames_max: usize,
    all: &mut Vec<Frame<'a>>,
) -> bool {
    loop {
        let input = &stream[*at..];
        let mut frames = Vec::new();
        let step = decoder.decode(input, &mut frames, frames_max);
        assert!(step.consumed <= input.len(), "{step:?} of {} bytes", input.len());
        // A line has one key in two bytes at most; what a refusal adds are two frames more.
        let bound = frames_max + longest_line(input) / 2 + 2;
        assert!(frames.len() <= bound, "{} frames, wanted {frames_max}", frames.len());
        let mut out = Vec::new();
        for frame in frames.iter().take(ENCODED_MAX) {
            check_answers(frame, &mut out);
        }
        *at += step.consumed;
        let produced = !frames.is_empty();
        answer_authentication(decoder, &frames);
        all.append(&mut frames);
        match step.status {
            Status::Close => return true,
            Status::Incomplete { need } => {
                let rest = &stream[*at..];
                assert!(need == 0 || need > rest.len(), "{step:?}, but {} are there", rest.len());
                let line_len = rest.iter().position(|&byte| byte == b'\n').map_or(0, |end| end + 1);
                let bound = line_len.max(HEAD_LEN_MAX) + VALUE_LEN_MAX + 2;
                assert!(need <= bound, "{step:?} is more than {bound}");
                return false;
            }
            Status::Paused => {
                assert!(produced || step.consumed > 0, "{step:?} without progress");
            }
        }
    }
}

/// Most bytes of a value that any of the options allows.
const VALUE_LEN_MAX: usize = 1 << 20;

/// Lets in whoever says something of even length, as a server would after looking at it.
fn answer_authentication(decoder: &mut Decoder, frames: &[Frame<'_>]) {
    if let Some(Frame { request: Request::Authenticate { token }, .. }) = frames.last()
        && token.len() % 2 == 0
    {
        decoder.set_authentication(Authentication::Open);
    }
}

/// Length of the longest run of bytes without a line end, in bytes.
fn longest_line(bytes: &[u8]) -> usize {
    bytes.split(|&byte| byte == b'\n').map(<[u8]>::len).max().unwrap_or(0)
}

/// Keys and values are within their bounds.
fn check_frame(frame: &Frame<'_>, value_len_max: u64) {
    if let Request::Get(Get { key, .. })
    | Request::Put(Put { key, .. })
    | Request::Count(Count { key, .. })
    | Request::Delete(Delete { key, .. })
    | Request::Touch(Touch { key, .. })
    | Request::Inspect { key }
    | Request::Discard { key } = &frame.request
    {
        assert!((1..=KEY_LEN_MAX).contains(&key.len()), "{frame:?}");
    }
    if let Request::Put(put) = &frame.request {
        assert!(put.value.len() as u64 <= value_len_max, "{frame:?}");
    }
}

/// Every response can be encoded for the frame, and looks like one of its dialect.
fn check_answers(frame: &Frame<'_>, out: &mut Vec<u8>) {
    for response in responses() {
        out.clear();
        encode(frame, &response, out);
        match &frame.form {
            Form::Binary(_) => check_packets(out),
            Form::Text(_) | Form::Meta(_) => {
                let as_it_stands = matches!(
                    response,
                    Response::Raw(_) | Response::Mechanisms(_) | Response::Challenge(_)
                );
                let ends = out.is_empty() || as_it_stands || out.ends_with(b"\r\n");
                assert!(ends, "{frame:?} {response:?}: {:?}", out.escape_ascii().to_string());
            }
        }
    }
}

/// The bytes are whole response packets.
fn check_packets(mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let header = bytes.first_chunk::<24>().expect("a header");
        assert_eq!(header[0], 0x81);
        let key_len = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let body = u32::from_be_bytes([header[8], header[9], header[10], header[11]]);
        let body = usize::try_from(body).expect("64 bits");
        assert!(key_len + usize::from(header[4]) <= body);
        bytes = bytes.get(24 + body..).expect("a whole body");
    }
}

static FAULTS: &[Fault] = &[
    Fault::UnknownCommand,
    Fault::BadLine,
    Fault::LineTooLong,
    Fault::BadDataChunk,
    Fault::BadExptime,
    Fault::BadDelta,
    Fault::DeleteUsage,
    Fault::NonNumeric,
    Fault::TooLarge,
    Fault::OutOfMemory,
    Fault::BadLengths,
    Fault::Inconsistent,
    Fault::Unauthenticated,
    Fault::AuthFailed,
    Fault::AuthFormat,
    Fault::AuthTermination,
    Fault::Client("words"),
    Fault::Line("LINE"),
    Fault::Server(String::new()),
];

/// Every response, some of them in more than one shape.
fn responses() -> impl Iterator<Item = Response<'static>> {
    let plain = Item {
        key: b"key",
        value: b"va\0lue",
        flags: 7,
        version: 1,
        lifetimes: Lifetimes { before_s: Some(9), made_s: None, touched_s: Some(None) },
        hit_before: false,
        idle_s: 0,
        won: false,
        stale: false,
        sent: false,
    };
    let odd = Item {
        key: b"\x00\r\n",
        value: b"",
        flags: u32::MAX,
        version: u64::MAX,
        lifetimes: Lifetimes { before_s: None, made_s: Some(Some(u64::MAX)), touched_s: None },
        hit_before: true,
        idle_s: u32::MAX,
        won: true,
        stale: true,
        sent: true,
    };
    let number = |value, before_s| Response::Number {
        value,
        version: value,
        lifetimes: Lifetimes { before_s, made_s: None, touched_s: Some(before_s) },
    };
    let several = [
        Response::Item(plain),
        Response::Item(odd),
        Response::Miss,
        Response::Stored { version: u64::MAX, value_len: u64::MAX },
        Response::NotStored,
        Response::Exists,
        Response::NotFound,
        Response::Deleted,
        Response::Touched { flags: u32::MAX, version: u64::MAX },
        number(0, None),
        number(u64::MAX, Some(u64::MAX)),
        Response::Inspected { item: plain, class: 1, size: 0 },
        Response::Inspected { item: odd, class: u32::MAX, size: u64::MAX },
        Response::Done,
        Response::Version("1"),
        Response::Stat { name: "name", value: "value" },
        Response::Stat { name: "", value: "" },
        Response::End,
        Response::Raw(b"raw"),
        Response::Mechanisms("PLAIN"),
        Response::Challenge(b""),
        Response::Authenticated,
    ];
    several.into_iter().chain(FAULTS.iter().map(Response::Fault))
}
