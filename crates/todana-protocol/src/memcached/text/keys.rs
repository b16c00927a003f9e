//! `get`, `gets`, `gat`, `gats`: any number of keys.
//!
//! A line is answered as a whole: a key that is none turns all of it into an error. A line that has no
//! end within the bound is taken key by key, so that memory stays bounded; its frames are as many as
//! the input has keys.

use super::lines::{Line, lifetime, refuse};
use super::{TextForm, Tokens, checked_key, key_fault, word_len};
use crate::memcached::decoder::{Decoder, State};
use crate::memcached::{Form, Frame, KEY_LEN_MAX, Resume, Status, Step};
use crate::{Fault, Get, Lifetime, Request};
use std::borrow::Cow;

/// The rest of a get's line, being taken in pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ManyKeys {
    cas: bool,
    touch: Option<Lifetime>,
}

fn frame<'a>(key: &'a [u8], touch: Option<Lifetime>, cas: bool, last: bool) -> Frame<'a> {
    let get = Get { key: Cow::Borrowed(key), touch, peek: false, recaching: None };
    Frame::new(Request::Get(get), Form::Text(TextForm::Value { cas, last }))
}

/// The line of a get in the form that nearly all clients send, `get KEY KEY…` with one space each, which
/// begins at `start`: adds its frames and gives its end. For anything else it gives none, and leaves it
/// to [`get`].
#[inline]
pub(crate) fn plain_get<'a>(
    input: &'a [u8],
    start: usize,
    frames: &mut Vec<Frame<'a>>,
) -> Option<usize> {
    const NAME: &[u8] = b"get ";
    if !input.get(start..)?.starts_with(NAME) {
        return None;
    }
    let before = frames.len();
    let end = plain_keys(input, start + NAME.len(), frames);
    if end.is_none() {
        frames.truncate(before);
    }
    end
}

#[inline]
fn plain_keys<'a>(input: &'a [u8], mut at: usize, frames: &mut Vec<Frame<'a>>) -> Option<usize> {
    const MANY: ManyKeys = ManyKeys { cas: false, touch: None };
    loop {
        let rest = input.get(at..)?;
        let (key, rest) = rest.split_at_checked(word_len(rest))?;
        if key.is_empty() || key.len() > KEY_LEN_MAX {
            return None;
        }
        at += key.len();
        let is_last = match rest {
            [b' ', ..] => false,
            [b'\r', b'\n', ..] => true,
            _ => return None,
        };
        let mut frame = frame(key, None, false, is_last);
        frame.end = Some(match is_last {
            true => Resume { consumed: at + 2, keys: None },
            false => Resume { consumed: at, keys: Some(MANY) },
        });
        frames.push(frame);
        if is_last {
            return Some(at + 2);
        }
        at += 1;
    }
}

/// `get KEY…`: `head_len` bytes of the line stand before the words in `tokens`.
pub(super) fn get<'a>(
    head_len: usize,
    tokens: Tokens<'a>,
    cas: bool,
    touch: Option<Lifetime>,
    frames: &mut Vec<Frame<'a>>,
) -> Line {
    let before = frames.len();
    let many = ManyKeys { cas, touch };
    let line_len = tokens.rest().len();
    let mut tokens = tokens;
    while let Some(token) = tokens.next() {
        match checked_key(token) {
            Some(key) => {
                let mut frame = frame(key, touch, cas, false);
                // Whoever finds the reply long enough may go on with the next key later.
                let consumed = head_len + line_len - tokens.rest().len();
                frame.end = Some(Resume { consumed, keys: Some(many) });
                frames.push(frame);
            }
            None => {
                frames.truncate(before);
                refuse(frames, key_fault(token), false);
                return Line::Done;
            }
        }
    }
    if frames.len() == before {
        refuse(frames, Fault::UnknownCommand, false);
    } else if let Some(last) = frames.last_mut() {
        last.form = Form::Text(TextForm::Value { cas, last: true });
    }
    Line::Done
}

/// `gat EXPTIME KEY…`, of a line of `line_len` bytes.
pub(super) fn get_and_touch<'a>(
    line_len: usize,
    mut tokens: Tokens<'a>,
    cas: bool,
    frames: &mut Vec<Frame<'a>>,
) -> Line {
    let Some(exptime) = tokens.next() else {
        refuse(frames, Fault::UnknownCommand, false);
        return Line::Done;
    };
    let Some(touch) = lifetime(exptime) else {
        refuse(frames, Fault::BadExptime, false);
        return Line::Done;
    };
    if tokens.clone().next().is_none() {
        frames.push(Frame::new(Request::Noop, Form::Text(TextForm::End)));
        return Line::Done;
    }
    get(line_len - tokens.rest().len(), tokens, cas, Some(touch), frames)
}

/// Recognises the start of a get whose line end has not come; gives the bytes before its first key.
pub(super) fn begin_many(input: &[u8]) -> Option<(ManyKeys, usize)> {
    let mut tokens = Tokens::new(input);
    let many = match tokens.next()? {
        b"get" => ManyKeys { cas: false, touch: None },
        b"gets" => ManyKeys { cas: true, touch: None },
        b"gat" => ManyKeys { cas: false, touch: Some(lifetime(tokens.next()?)?) },
        b"gats" => ManyKeys { cas: true, touch: Some(lifetime(tokens.next()?)?) },
        _ => return None,
    };
    Some((many, input.len() - tokens.rest().len()))
}

/// Takes keys until the line's end, the end of the input, or enough frames.
pub(crate) fn decode_many_keys<'a>(
    decoder: &mut Decoder,
    input: &'a [u8],
    frames: &mut Vec<Frame<'a>>,
    frames_max: usize,
) -> Step {
    let State::Keys(many) = decoder.state else {
        return Step { consumed: 0, status: Status::Paused };
    };
    let mut at = 0;
    loop {
        let rest = input.get(at..).unwrap_or_default();
        let spaces = rest.iter().take_while(|&&byte| byte == b' ').count();
        let rest = rest.get(spaces..).unwrap_or_default();
        at += spaces;
        let Some(len) = rest.iter().position(|&byte| byte == b' ' || byte == b'\n') else {
            if rest.len() > KEY_LEN_MAX + 1 {
                refuse(frames, Fault::KeyTooLong, false);
                decoder.state = State::SwallowLine;
            }
            return Step { consumed: at, status: Status::Incomplete { need: 0 } };
        };
        let token = rest.get(..len).unwrap_or_default();
        let ends_line = rest.get(len) == Some(&b'\n');
        let token = match token {
            [head @ .., b'\r'] if ends_line => head,
            _ => token,
        };
        if !token.is_empty() {
            if frames.len() >= frames_max {
                return Step { consumed: at, status: Status::Paused };
            }
            let Some(key) = checked_key(token) else {
                refuse(frames, key_fault(token), false);
                decoder.state = State::SwallowLine;
                return Step { consumed: at, status: Status::Paused };
            };
            let mut frame = frame(key, many.touch, many.cas, false);
            frame.end = Some(Resume { consumed: at + len, keys: Some(many) });
            frames.push(frame);
        }
        if ends_line {
            frames.push(Frame::new(Request::Noop, Form::Text(TextForm::End)));
            decoder.state = State::Ready;
            return Step { consumed: at + len + 1, status: Status::Paused };
        }
        at += len;
    }
}
