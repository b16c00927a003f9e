//! From a line to a request.

use super::flags::{self, Flags};
use super::{MetaCommand, MetaForm};
use crate::memcached::decoder::Decoder;
use crate::memcached::text::lines::{Line, refuse};
use crate::memcached::text::storage::{Block, data_block};
use crate::memcached::text::{TextForm, Tokens, checked_key, key_fault};
use crate::memcached::{Form, Frame, KEY_LEN_MAX};
use crate::number::unsigned;
use crate::request::Recaching;
use crate::{Count, Delete, Fault, Get, Invalidate, Lifetime, Mode, Put, Request};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Cow;

/// Most words of a line, the command and the line end counted, as memcached counts them.
const WORDS_MAX: usize = 20;
/// Longest data block that a length may claim.
const DATA_LEN_MAX: u64 = i32::MAX as u64 - 2;

pub(crate) fn decode<'a>(
    decoder: &mut Decoder,
    name: &[u8],
    mut tokens: Tokens<'a>,
    after: &'a [u8],
    frames: &mut Vec<Frame<'a>>,
) -> Line {
    let command = match name {
        b"mg" => MetaCommand::Get,
        b"ms" => MetaCommand::Set,
        b"md" => MetaCommand::Delete,
        b"ma" => MetaCommand::Arithmetic,
        b"me" => MetaCommand::Debug,
        b"mn" => {
            let form = form(MetaCommand::Noop, b"", b"", Flags::default());
            frames.push(Frame::new(Request::Noop, form));
            return Line::Done;
        }
        _ => return refused(frames, Fault::UnknownCommand),
    };
    let Some(key) = tokens.next() else {
        let debug = command == MetaCommand::Debug;
        let fault = if debug { Fault::BadLine } else { Fault::UnknownCommand };
        return refused(frames, fault);
    };
    if checked_key(key).is_none() {
        return refused(frames, key_fault(key));
    }
    match command {
        MetaCommand::Set => set(decoder, key, tokens, after, frames),
        MetaCommand::Debug => debug(key, tokens, frames),
        _ => simple(command, key, tokens.rest(), frames),
    }
}

fn refused(frames: &mut Vec<Frame<'_>>, fault: Fault) -> Line {
    refuse(frames, fault, false);
    Line::Done
}

fn form<'a>(command: MetaCommand, key: &'a [u8], words: &'a [u8], flags: Flags) -> Form<'a> {
    Form::Meta(MetaForm {
        command,
        key,
        flags: words,
        quiet: flags.quiet,
        value: flags.value,
        base64: flags.base64,
    })
}

/// The key itself: what stands in the line, or what that is the base64 of.
fn decode_key(key: &[u8], base64: bool) -> Result<Cow<'_, [u8]>, Fault> {
    if !base64 {
        return Ok(Cow::Borrowed(key));
    }
    let bytes = STANDARD.decode(key).map_err(|_| Fault::Client("error decoding key"))?;
    if bytes.is_empty() || bytes.len() > KEY_LEN_MAX {
        return Err(Fault::Client("error decoding key"));
    }
    Ok(Cow::Owned(bytes))
}

fn too_many_words(words: &[u8], before: usize) -> bool {
    // The command, the key and the line end count, and what else stands before the flags.
    let most = WORDS_MAX - 3 - before;
    // A word and a space take two bytes.
    words.len() > 2 * most && Tokens::new(words).count() > most
}

fn debug<'a>(key: &'a [u8], mut tokens: Tokens<'a>, frames: &mut Vec<Frame<'a>>) -> Line {
    let base64 = tokens.next() == Some(&b"b"[..]);
    match decode_key(key, base64) {
        Ok(decoded) => {
            let flags = Flags { base64, ..Flags::default() };
            let form = form(MetaCommand::Debug, key, b"", flags);
            frames.push(Frame::new(Request::Inspect { key: decoded }, form));
            Line::Done
        }
        Err(fault) => refused(frames, fault),
    }
}

/// `mg`, `md`, `ma`: a key and flags.
fn simple<'a>(
    command: MetaCommand,
    key: &'a [u8],
    words: &'a [u8],
    frames: &mut Vec<Frame<'a>>,
) -> Line {
    let is_get = command == MetaCommand::Get;
    if too_many_words(words, 0) {
        let text = if is_get { "options flags are too long" } else { "options flags too long" };
        return refused(frames, Fault::Client(text));
    }
    let decoded = flags::read(words).and_then(|flags| Ok((flags, decode_key(key, flags.base64)?)));
    let (flags, decoded) = match decoded {
        Ok(decoded) => decoded,
        Err(fault) if is_get || fault == flags::OPAQUE_TOO_LONG => return refused(frames, fault),
        Err(_) => return refused(frames, Fault::Client("invalid or duplicate flag")),
    };
    let request = match command {
        MetaCommand::Get => Request::Get(get(decoded, flags)),
        MetaCommand::Delete => Request::Delete(delete(decoded, flags)),
        _ => match arithmetic(decoded, flags) {
            Ok(count) => Request::Count(count),
            Err(fault) => return refused(frames, fault),
        },
    };
    frames.push(Frame::new(request, form(command, key, words, flags)));
    Line::Done
}

fn get(key: Cow<'_, [u8]>, flags: Flags) -> Get<'_> {
    Get {
        key,
        touch: flags.touch,
        peek: flags.no_bump,
        recaching: Some(Recaching {
            vivify: flags.vivify,
            recache_s: flags.recache_s,
            recache_after_touch: flags.recache_after_touch,
            vivify_last: flags.vivify_after_touch,
            version: flags.version,
        }),
    }
}

fn delete(key: Cow<'_, [u8]>, flags: Flags) -> Delete<'_> {
    let keep = (flags.invalidate || flags.drop_value).then_some(Invalidate {
        stale: flags.invalidate,
        drop_value: flags.drop_value,
        touch: flags.touch,
        version: flags.version,
    });
    Delete { key, compare: flags.compare, keep }
}

fn arithmetic(key: Cow<'_, [u8]>, flags: Flags) -> Result<Count<'_>, Fault> {
    let down = match flags.mode {
        None | Some(b'I' | b'i' | b'+') => false,
        Some(b'D' | b'd' | b'-') => true,
        Some(_) => return Err(Fault::Client("invalid mode for ma M token")),
    };
    Ok(Count {
        key,
        delta: flags.delta.unwrap_or(1),
        down,
        initial: flags.vivify.map(|lifetime| (flags.initial.unwrap_or(0), lifetime)),
        initial_last: flags.vivify_after_touch,
        touch: flags.touch,
        // As memcached: here 0 stands for no comparison.
        compare: flags.compare.filter(|&version| version != 0),
        version: flags.version,
    })
}

/// `ms KEY BYTES FLAGS…` and a data block.
fn set<'a>(
    decoder: &mut Decoder,
    key: &'a [u8],
    mut tokens: Tokens<'a>,
    after: &'a [u8],
    frames: &mut Vec<Frame<'a>>,
) -> Line {
    let len = tokens.next().and_then(unsigned).filter(|&len| len <= DATA_LEN_MAX);
    let Some(len) = len else { return refused(frames, Fault::BadLine) };
    let words = tokens.rest();
    if too_many_words(words, 1) {
        return refused(frames, Fault::Client("options flags too long"));
    }
    let decoded = flags::read(words).and_then(|flags| {
        let mode = set_mode(flags.mode)?;
        Ok((flags, mode, decode_key(key, flags.base64)?))
    });
    // From here on the length is known: whatever else is wrong, the data block goes with it.
    let (flags, mode, decoded) = match decoded {
        Ok(decoded) => decoded,
        Err(fault) => {
            let form = Form::Text(TextForm::LINE);
            decoder.swallow(len + 2, Some(Frame::new(Request::Refused(fault), form)));
            return Line::GoesOn;
        }
    };
    if len > decoder.options.value_len_max {
        let form = Form::Text(TextForm::Line { noreply: true });
        frames.push(Frame::new(Request::Discard { key: decoded }, form));
        let form = Form::Text(TextForm::LINE);
        let refused = Frame::new(Request::Refused(Fault::TooLarge), form);
        decoder.swallow(len + 2, Some(refused));
        return Line::GoesOn;
    }
    let block_len = usize::try_from(len).unwrap_or(usize::MAX);
    let value = match data_block(after, block_len) {
        Ok(value) => value,
        Err(Block::Missing) => return Line::NeedsData(block_len + 2),
        Err(Block::Bad) => {
            refuse(frames, Fault::BadDataChunk, false);
            decoder.swallow(len + 2, None);
            return Line::GoesOn;
        }
    };
    let put = Put {
        key: decoded,
        value,
        flags: flags.client_flags.unwrap_or(0),
        lifetime: flags.touch.unwrap_or(Lifetime::Forever),
        mode,
        // As memcached: an add does not compare.
        compare: flags.compare.filter(|_| mode != Mode::Add),
        version: flags.version,
        invalidate: flags.invalidate,
        vivify: flags.vivify,
    };
    frames.push(Frame::new(Request::Put(put), form(MetaCommand::Set, key, words, flags)));
    Line::Done
}

fn set_mode(mode: Option<u8>) -> Result<Mode, Fault> {
    match mode {
        None | Some(b'S' | b's') => Ok(Mode::Set),
        Some(b'E' | b'e') => Ok(Mode::Add),
        Some(b'A' | b'a') => Ok(Mode::Append),
        Some(b'P' | b'p') => Ok(Mode::Prepend),
        Some(b'R' | b'r') => Ok(Mode::Replace),
        Some(_) => Err(Fault::Client("invalid mode for ms M token")),
    }
}
