//! Commands that change a record: `set` and its kin, `incr`, `decr`, `delete`, `touch`, and the `set`
//! that stands for a password.

use super::lines::{Line, lifetime, push, refuse};
use super::{TextForm, Tokens, checked_key, key_fault, word_len};
use crate::memcached::decoder::Decoder;
use crate::memcached::{Form, Frame, KEY_LEN_MAX, Resume};
use crate::number::{signed, unsigned, unsigned_32};
use crate::{Count, Delete, Fault, Lifetime, Mode, Put, Request, Touch};
use std::borrow::Cow;

/// Lengths from here on are taken for nonsense, as memcached does.
const DATA_LEN_MAX: i64 = i32::MAX as i64 - 2;
/// Most words that any of these commands has.
const WORDS_MAX: usize = 8;

/// The words after the command: how many there are, and the first ones.
fn words<'a>(tokens: Tokens<'a>) -> (usize, [&'a [u8]; WORDS_MAX]) {
    let mut words: [&[u8]; WORDS_MAX] = [b""; WORDS_MAX];
    let mut count = 0;
    for token in tokens {
        match words.get_mut(count) {
            Some(word) => *word = token,
            None => return (WORDS_MAX + 1, words),
        }
        count += 1;
    }
    (count, words)
}

fn is_noreply(count: usize, words: &[&[u8]; WORDS_MAX]) -> bool {
    count > 0 && words.get(count - 1) == Some(&&b"noreply"[..])
}

/// What stands in the line of a storage command.
#[derive(Debug, PartialEq, Eq)]
struct Head<'a> {
    key: &'a [u8],
    flags: u32,
    lifetime: Lifetime,
    len: usize,
    compare: Option<u64>,
    noreply: bool,
}

/// The words behind a storage command's name, in any form; or what is wrong, and whether it is to be told.
fn head(tokens: Tokens<'_>, is_cas: bool) -> Result<Head<'_>, (Fault, bool)> {
    let (count, words) = words(tokens);
    let [word, flags, exptime, len, cas, ..] = words;
    let least = if is_cas { 5 } else { 4 };
    if count != least && count != least + 1 {
        return Err((Fault::UnknownCommand, false));
    }
    let noreply = is_noreply(count, &words);
    let compare = if is_cas { unsigned(cas).map(Some) } else { Some(None) };
    let len = signed(len).filter(|len| (0..=DATA_LEN_MAX).contains(len));
    let (Some(key), Some(flags), Some(lifetime), Some(len), Some(compare)) =
        (checked_key(word), unsigned_32(flags), lifetime(exptime), len, compare)
    else {
        return Err((key_fault(word), noreply));
    };
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    Ok(Head { key, flags, lifetime, len, compare, noreply })
}

/// A set in the form that nearly all clients send, `set KEY FLAGS EXPTIME BYTES [noreply]` with one space
/// each, plain numbers, and its whole data block, which begins at `start`: adds its frame and gives its
/// end. For anything else it gives none, and leaves it to [`put`].
#[inline]
pub(crate) fn plain_set<'a>(
    decoder: &Decoder,
    input: &'a [u8],
    start: usize,
    frames: &mut Vec<Frame<'a>>,
) -> Option<usize> {
    let rest = input.get(start..)?.strip_prefix(b"set ")?;
    let (key, rest) = rest.split_at_checked(word_len(rest))?;
    if key.is_empty() || key.len() > KEY_LEN_MAX {
        return None;
    }
    let (flags, rest) = plain_number(rest)?;
    let (exptime, rest) = plain_number(rest)?;
    let (len, rest) = plain_number(rest)?;
    let (noreply, rest) = match rest.strip_prefix(b" noreply") {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let rest = rest.strip_prefix(b"\r\n")?;
    if len > decoder.options.value_len_max {
        return None;
    }
    let (value, rest) = rest.split_at_checked(usize::try_from(len).ok()?)?;
    let rest = rest.strip_prefix(b"\r\n")?;
    let put = Put {
        key: Cow::Borrowed(key),
        value,
        flags: u32::try_from(flags).ok()?,
        lifetime: Lifetime::from_exptime(i64::try_from(exptime).ok()?),
        mode: Mode::Set,
        compare: None,
        version: None,
        invalidate: false,
        vivify: None,
    };
    let end = input.len() - rest.len();
    let mut frame = Frame::new(Request::Put(put), Form::Text(TextForm::Line { noreply }));
    frame.end = Some(Resume { consumed: end, keys: None });
    frames.push(frame);
    Some(end)
}

/// A space and up to ten digits, and what follows them.
#[inline]
fn plain_number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let digits = bytes.strip_prefix(b" ")?;
    let mut value = 0;
    for (at, &byte) in digits.iter().enumerate().take(11) {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return (at > 0).then(|| (value, &digits[at..]));
        }
        value = value * 10 + u64::from(digit);
    }
    None
}

/// `set add replace append prepend KEY FLAGS EXPTIME BYTES [noreply]`, `cas` with one word more.
pub(super) fn put<'a>(
    decoder: &mut Decoder,
    name: &[u8],
    tokens: Tokens<'a>,
    after: &'a [u8],
    frames: &mut Vec<Frame<'a>>,
) -> Line {
    let is_cas = name == b"cas";
    let head = match head(tokens, is_cas) {
        Ok(head) => head,
        Err((fault, noreply)) => {
            refuse(frames, fault, noreply);
            return Line::Done;
        }
    };
    let Head { key, flags, lifetime, len, compare, noreply } = head;
    let mode = match name {
        b"add" => Mode::Add,
        b"replace" => Mode::Replace,
        b"append" => Mode::Append,
        b"prepend" => Mode::Prepend,
        _ => Mode::Set,
    };
    if len as u64 > decoder.options.value_len_max {
        if mode == Mode::Set && !is_cas {
            push(frames, Request::Discard { key: Cow::Borrowed(key) }, true);
        }
        let form = Form::Text(TextForm::Line { noreply });
        let refused = Frame::new(Request::Refused(Fault::TooLarge), form);
        decoder.swallow(len as u64 + 2, Some(refused));
        return Line::GoesOn;
    }
    let value = match data_block(after, len) {
        Ok(value) => value,
        Err(Block::Missing) => return Line::NeedsData(len + 2),
        Err(Block::Bad) => {
            refuse(frames, Fault::BadDataChunk, noreply);
            decoder.swallow(len as u64 + 2, None);
            return Line::GoesOn;
        }
    };
    let put = Put {
        key: Cow::Borrowed(key),
        value,
        flags,
        lifetime,
        mode,
        compare,
        version: None,
        invalidate: false,
        vivify: None,
    };
    push(frames, Request::Put(put), noreply);
    Line::Done
}

/// Why there is no data block.
pub(crate) enum Block {
    /// It has not come yet.
    Missing,
    /// It does not end with a line end.
    Bad,
}

/// The data block at the start of `after`.
pub(crate) fn data_block(after: &[u8], len: usize) -> Result<&[u8], Block> {
    match after.split_at_checked(len) {
        Some((value, [b'\r', b'\n', ..])) => Ok(value),
        Some((_, [_, _, ..])) => Err(Block::Bad),
        _ => Err(Block::Missing),
    }
}

/// `set ANYTHING ANYTHING ANYTHING BYTES` with `USER PASSWORD` as its data, while the client is not
/// known; anything else is refused.
pub(super) fn authenticate<'a>(
    decoder: &mut Decoder,
    name: &[u8],
    tokens: Tokens<'a>,
    after: &'a [u8],
    frames: &mut Vec<Frame<'a>>,
) -> Line {
    let (count, [_, _, _, len, ..]) = words(tokens);
    let len = unsigned(len).filter(|_| name == b"set" && count >= 4);
    let Some(len) = len.and_then(|len| usize::try_from(len).ok()) else {
        refuse(frames, Fault::Unauthenticated, false);
        return Line::Done;
    };
    /// Longest user and password together, in bytes.
    const TOKEN_LEN_MAX: usize = 2_048;
    if len > TOKEN_LEN_MAX {
        let form = Form::Text(TextForm::LINE);
        let refused = Frame::new(Request::Refused(Fault::AuthFormat), form);
        decoder.swallow((len as u64).saturating_add(2), Some(refused));
        return Line::GoesOn;
    }
    match data_block(after, len) {
        Ok(token) => push(frames, Request::Authenticate { token }, false),
        Err(Block::Missing) => return Line::NeedsData(len + 2),
        Err(Block::Bad) => {
            refuse(frames, Fault::AuthTermination, false);
            decoder.swallow(len as u64 + 2, None);
            return Line::GoesOn;
        }
    }
    Line::Done
}

/// `incr KEY DELTA [noreply]`, `decr` likewise.
pub(super) fn count<'a>(tokens: Tokens<'a>, down: bool, frames: &mut Vec<Frame<'a>>) -> Line {
    let (count, words) = words(tokens);
    let [key, delta, ..] = words;
    if !(2..=3).contains(&count) {
        refuse(frames, Fault::UnknownCommand, false);
        return Line::Done;
    }
    let noreply = is_noreply(count, &words);
    match (checked_key(key), unsigned(delta)) {
        (None, _) => refuse(frames, key_fault(key), noreply),
        (_, None) => refuse(frames, Fault::BadDelta, noreply),
        (Some(key), Some(delta)) => {
            let request = Request::Count(Count {
                key: Cow::Borrowed(key),
                delta,
                down,
                initial: None,
                initial_last: false,
                touch: None,
                compare: None,
                version: None,
            });
            push(frames, request, noreply);
        }
    }
    Line::Done
}

/// `delete KEY [0] [noreply]`.
pub(super) fn delete<'a>(tokens: Tokens<'a>, frames: &mut Vec<Frame<'a>>) -> Line {
    let (count, words) = words(tokens);
    let [key, second, ..] = words;
    if !(1..=3).contains(&count) {
        refuse(frames, Fault::UnknownCommand, false);
        return Line::Done;
    }
    let noreply = count > 1 && is_noreply(count, &words);
    let usable = match count {
        1 => true,
        2 => noreply || second == b"0",
        _ => noreply && second == b"0",
    };
    match checked_key(key) {
        _ if !usable => refuse(frames, Fault::DeleteUsage, noreply),
        None => refuse(frames, key_fault(key), noreply),
        Some(key) => {
            let delete = Delete { key: Cow::Borrowed(key), compare: None, keep: None };
            push(frames, Request::Delete(delete), noreply);
        }
    }
    Line::Done
}

/// `touch KEY EXPTIME [noreply]`.
pub(super) fn touch<'a>(tokens: Tokens<'a>, frames: &mut Vec<Frame<'a>>) -> Line {
    let (count, words) = words(tokens);
    let [key, exptime, ..] = words;
    if !(2..=3).contains(&count) {
        refuse(frames, Fault::UnknownCommand, false);
        return Line::Done;
    }
    let noreply = is_noreply(count, &words);
    match (checked_key(key), lifetime(exptime)) {
        (None, _) => refuse(frames, key_fault(key), noreply),
        (_, None) => refuse(frames, Fault::BadExptime, noreply),
        (Some(key), Some(lifetime)) => {
            push(frames, Request::Touch(Touch { key: Cow::Borrowed(key), lifetime }), noreply);
        }
    }
    Line::Done
}
