//! From bytes to lines, and from a line's first word to its command.

use super::{TextForm, Tokens, admin, keys, storage};
use crate::memcached::decoder::{Decoder, State};
use crate::memcached::{Form, Frame, LINE_LEN_MAX, Status, Step, meta};
use crate::{Fault, Lifetime, Request};

/// What a line was.
pub(crate) enum Line {
    /// Whole: frames were added.
    Done,
    /// A data block of so many bytes (with its line end) has to follow the line.
    NeedsData(usize),
    /// Whole, and its line end too, but the rest of the line goes on in another state.
    GoesOn,
    /// The connection is to be closed.
    Close,
}

/// Decodes the request at the start of `input`.
pub(crate) fn decode<'a>(
    decoder: &mut Decoder,
    input: &'a [u8],
    frames: &mut Vec<Frame<'a>>,
    frames_max: usize,
) -> Step {
    let Some(end) = memchr::memchr(b'\n', input) else {
        return without_line_end(decoder, input, frames, frames_max);
    };
    let (line, after) = input.split_at(end);
    let after = after.get(1..).unwrap_or_default();
    let line = match line {
        [head @ .., b'\r'] => head,
        _ => line,
    };
    let line_len = end + 1;
    match command(decoder, line, after, frames) {
        Line::Done => {
            // A storage command's frame borrows its data block, which is consumed with it.
            let data_len = frames.last().map_or(0, data_block_len);
            Step { consumed: line_len + data_len, status: Status::Paused }
        }
        Line::NeedsData(len) => {
            Step { consumed: 0, status: Status::Incomplete { need: line_len + len } }
        }
        Line::GoesOn => Step { consumed: line_len, status: Status::Paused },
        Line::Close => Step { consumed: input.len(), status: Status::Close },
    }
}

/// Bytes after the line that belong to a frame that was just decoded.
fn data_block_len(frame: &Frame<'_>) -> usize {
    match &frame.request {
        Request::Put(put) => put.value.len() + 2,
        Request::Authenticate { token } => token.len() + 2,
        _ => 0,
    }
}

/// No line end yet: wait for more, take a long `get` in pieces, or give the line up.
fn without_line_end<'a>(
    decoder: &mut Decoder,
    input: &'a [u8],
    frames: &mut Vec<Frame<'a>>,
    frames_max: usize,
) -> Step {
    if input.len() <= LINE_LEN_MAX {
        return Step { consumed: 0, status: Status::Incomplete { need: 0 } };
    }
    let open = decoder.options.authentication == super::super::Authentication::Open;
    if let Some((many, head_len)) = keys::begin_many(input).filter(|_| open) {
        decoder.state = State::Keys(many);
        let rest = input.get(head_len..).unwrap_or_default();
        let before = frames.len();
        let step = keys::decode_many_keys(decoder, rest, frames, frames_max);
        for end in frames.iter_mut().skip(before).filter_map(|frame| frame.end.as_mut()) {
            end.consumed += head_len;
        }
        return Step { consumed: head_len + step.consumed, ..step };
    }
    refuse(frames, Fault::LineTooLong, false);
    decoder.state = State::SwallowLine;
    Step { consumed: input.len(), status: Status::Paused }
}

/// Adds a frame that says what is wrong.
pub(crate) fn refuse(frames: &mut Vec<Frame<'_>>, fault: Fault, noreply: bool) {
    push(frames, Request::Refused(fault), noreply);
}

/// Adds a frame that is answered by one line.
pub(crate) fn push<'a>(frames: &mut Vec<Frame<'a>>, request: Request<'a>, noreply: bool) {
    frames.push(Frame::new(request, Form::Text(TextForm::Line { noreply })));
}

fn command<'a>(
    decoder: &mut Decoder,
    line: &'a [u8],
    after: &'a [u8],
    frames: &mut Vec<Frame<'a>>,
) -> Line {
    let mut tokens = Tokens::new(line);
    let name = tokens.next().unwrap_or_default();
    if decoder.options.authentication == super::super::Authentication::Required {
        return storage::authenticate(decoder, name, tokens, after, frames);
    }
    match name {
        b"get" | b"bget" => {
            keys::get(line.len() - tokens.rest().len(), tokens, false, None, frames)
        }
        b"gets" => keys::get(line.len() - tokens.rest().len(), tokens, true, None, frames),
        b"gat" => keys::get_and_touch(line.len(), tokens, false, frames),
        b"gats" => keys::get_and_touch(line.len(), tokens, true, frames),
        b"set" | b"add" | b"replace" | b"append" | b"prepend" | b"cas" => {
            storage::put(decoder, name, tokens, after, frames)
        }
        [b'm', _] => meta::decode(decoder, name, tokens, after, frames),
        b"incr" => storage::count(tokens, false, frames),
        b"decr" => storage::count(tokens, true, frames),
        b"delete" => storage::delete(tokens, frames),
        b"touch" => storage::touch(tokens, frames),
        _ => admin::decode(decoder, name, tokens, frames),
    }
}

/// Reads an expiration time.
pub(super) fn lifetime(token: &[u8]) -> Option<Lifetime> {
    crate::number::signed(token).map(Lifetime::from_exptime)
}
