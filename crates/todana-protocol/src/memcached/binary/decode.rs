//! From bytes to requests.

use super::{BinaryForm, HEADER_LEN, MAGIC_REQUEST, opcode};
use crate::memcached::decoder::{Authentication, Decoder};
use crate::memcached::{Form, Frame, KEY_LEN_MAX, Status, Step};
use crate::{Count, Delete, Fault, Get, Lifetime, Mode, Put, Request, Sasl, Touch};
use std::borrow::Cow;
use todana_record::Reader;

/// Expiration that says: do not make a record.
const NO_INITIAL: u32 = u32::MAX;
/// Most bytes that a mechanism may send at once.
const SASL_DATA_LEN_MAX: usize = 2_048;
/// Longest name of a mechanism.
const MECHANISM_LEN_MAX: usize = 32;

/// A request's header, checked for what concerns every command.
#[derive(Debug, Clone, Copy)]
struct Header {
    opcode: u8,
    key_len: usize,
    extras_len: usize,
    body_len: usize,
    opaque: u32,
    cas: u64,
}

/// The parts of a request's body.
#[derive(Debug, Clone, Copy)]
struct Body<'a> {
    extras: &'a [u8],
    key: &'a [u8],
    value: &'a [u8],
}

fn header(input: &[u8]) -> Option<(u8, Header)> {
    let mut reader = Reader::new(input);
    let magic = reader.u8()?;
    let opcode = reader.u8()?;
    let key_len = usize::from(reader.u16_be()?);
    let extras_len = usize::from(reader.u8()?);
    let _data_type = reader.u8()?;
    let _vbucket = reader.u16_be()?;
    let body_len = usize::try_from(reader.u32_be()?).ok()?;
    let opaque = reader.u32_be()?;
    let cas = reader.u64_be()?;
    Some((magic, Header { opcode, key_len, extras_len, body_len, opaque, cas }))
}

fn is_storage(code: u8) -> bool {
    matches!(base(code), opcode::SET..=opcode::REPLACE | opcode::APPEND | opcode::PREPEND)
}

/// The opcode that a quiet one is the quiet form of.
fn base(code: u8) -> u8 {
    match code {
        opcode::GETQ => opcode::GET,
        opcode::GETKQ => opcode::GETK,
        opcode::SETQ..=0x17 => code - opcode::SETQ + opcode::SET,
        opcode::FLUSHQ => opcode::FLUSH,
        opcode::APPENDQ => opcode::APPEND,
        opcode::PREPENDQ => opcode::PREPEND,
        opcode::GATQ => opcode::GAT,
        opcode::GATKQ => opcode::GATK,
        _ => code,
    }
}

/// Decodes the request at the start of `input`.
pub(crate) fn decode<'a>(
    decoder: &mut Decoder,
    input: &'a [u8],
    frames: &mut Vec<Frame<'a>>,
) -> Step {
    if input.first() != Some(&MAGIC_REQUEST) {
        return Step { consumed: input.len(), status: Status::Close };
    }
    let Some((_, header)) = header(input) else {
        return Step { consumed: 0, status: Status::Incomplete { need: HEADER_LEN } };
    };
    let code = base(header.opcode);
    let form = BinaryForm {
        opcode: header.opcode,
        opaque: header.opaque,
        quiet: code != header.opcode,
        with_key: matches!(code, opcode::GETK | opcode::GATK),
    };
    let close = |frames: &mut Vec<Frame<'a>>, fault| {
        frames.push(Frame::new(Request::Refused(fault), Form::Binary(form)));
        Step { consumed: input.len(), status: Status::Close }
    };
    if header.key_len + header.extras_len > header.body_len {
        return close(frames, Fault::Inconsistent);
    }
    let open = matches!(code, opcode::VERSION | opcode::SASL_LIST..=opcode::SASL_STEP);
    if decoder.options.authentication == Authentication::Required && !open {
        return close(frames, Fault::Unauthenticated);
    }
    let value_len = header.body_len - header.key_len - header.extras_len;
    if header.key_len > KEY_LEN_MAX {
        return close(frames, Fault::KeyTooLong);
    }
    if !lengths_fit(code, &header, value_len) {
        return close(frames, Fault::BadLengths);
    }
    let known = is_known(code);
    let whole = HEADER_LEN + header.body_len;
    if value_len as u64 > decoder.options.value_len_max || !known {
        return too_much(decoder, input, &header, form, known, frames);
    }
    let Some(body) = input.get(HEADER_LEN..whole).and_then(|body| split(body, &header)) else {
        return Step { consumed: 0, status: Status::Incomplete { need: whole } };
    };
    let request = request(&header, body);
    frames.push(Frame::new(request, Form::Binary(form)));
    let status = if code == opcode::QUIT { Status::Close } else { Status::Paused };
    Step { consumed: whole, status }
}

/// A value beyond the limit, or an unknown command's body: thrown away as it comes, then refused.
fn too_much<'a>(
    decoder: &mut Decoder,
    input: &'a [u8],
    header: &Header,
    form: BinaryForm,
    known: bool,
    frames: &mut Vec<Frame<'a>>,
) -> Step {
    let mut consumed = HEADER_LEN;
    if known && base(header.opcode) == opcode::SET {
        // The old value must not be taken for the new one.
        consumed += header.extras_len + header.key_len;
        let Some(key) = input.get(HEADER_LEN + header.extras_len..consumed) else {
            return Step { consumed: 0, status: Status::Incomplete { need: consumed } };
        };
        let silent = Form::Text(crate::memcached::TextForm::Line { noreply: true });
        frames.push(Frame::new(Request::Discard { key: Cow::Borrowed(key) }, silent));
    }
    let fault = if known { Fault::TooLarge } else { Fault::UnknownCommand };
    let refused = Frame::new(Request::Refused(fault), Form::Binary(form));
    let left = HEADER_LEN + header.body_len - consumed;
    if left == 0 {
        frames.push(refused);
    } else {
        decoder.swallow(left as u64, Some(refused));
    }
    Step { consumed, status: Status::Paused }
}

fn is_known(code: u8) -> bool {
    matches!(
        code,
        opcode::GET..=opcode::STAT
            | opcode::VERBOSITY..=opcode::GAT
            | opcode::SASL_LIST..=opcode::GATK
    )
}

/// Whether extras, key and value have the lengths that the command asks for.
fn lengths_fit(code: u8, header: &Header, value_len: usize) -> bool {
    let (extras, has_key) = (header.extras_len, header.key_len > 0);
    match code {
        opcode::GET | opcode::GETK | opcode::DELETE => extras == 0 && has_key && value_len == 0,
        opcode::SET | opcode::ADD | opcode::REPLACE => extras == 8 && has_key,
        opcode::INCREMENT | opcode::DECREMENT => extras == 20 && has_key && value_len == 0,
        opcode::APPEND | opcode::PREPEND => extras == 0 && has_key,
        opcode::QUIT | opcode::NOOP | opcode::VERSION | opcode::SASL_LIST => header.body_len == 0,
        opcode::FLUSH => matches!(extras, 0 | 4) && !has_key && value_len == 0,
        opcode::VERBOSITY => extras == 4 && !has_key && value_len == 0,
        opcode::STAT => extras == 0 && value_len == 0,
        opcode::TOUCH | opcode::GAT | opcode::GATK => extras == 4 && has_key && value_len == 0,
        opcode::SASL_AUTH | opcode::SASL_STEP => {
            extras == 0 && has_key && value_len <= SASL_DATA_LEN_MAX
        }
        _ => true,
    }
}

fn split<'a>(body: &'a [u8], header: &Header) -> Option<Body<'a>> {
    let mut reader = Reader::new(body);
    let extras = reader.take(header.extras_len)?;
    let key = reader.take(header.key_len)?;
    Some(Body { extras, key, value: reader.rest() })
}

fn request<'a>(header: &Header, body: Body<'a>) -> Request<'a> {
    let key = Cow::Borrowed(body.key);
    let mut extras = Reader::new(body.extras);
    let compare = (header.cas != 0).then_some(header.cas);
    let lifetime =
        |exptime: Option<u32>| Lifetime::from_exptime(i64::from(exptime.unwrap_or_default()));
    match base(header.opcode) {
        opcode::GET | opcode::GETK => {
            Request::Get(Get { key, touch: None, peek: false, recaching: None })
        }
        opcode::GAT | opcode::GATK => {
            let touch = Some(lifetime(extras.u32_be()));
            Request::Get(Get { key, touch, peek: false, recaching: None })
        }
        code if is_storage(code) => {
            let with_extras = !body.extras.is_empty();
            let flags = extras.u32_be().unwrap_or_default();
            let lifetime = if with_extras { lifetime(extras.u32_be()) } else { Lifetime::Forever };
            let mode = match code {
                // As memcached: an add with a CAS token is a set with one.
                opcode::ADD if compare.is_none() => Mode::Add,
                opcode::REPLACE => Mode::Replace,
                opcode::APPEND => Mode::Append,
                opcode::PREPEND => Mode::Prepend,
                _ => Mode::Set,
            };
            Request::Put(Put {
                key,
                value: body.value,
                flags,
                lifetime,
                mode,
                compare,
                version: None,
                invalidate: false,
                vivify: None,
            })
        }
        opcode::DELETE => Request::Delete(Delete { key, compare, keep: None }),
        code @ (opcode::INCREMENT | opcode::DECREMENT) => {
            let delta = extras.u64_be().unwrap_or_default();
            let initial = extras.u64_be().unwrap_or_default();
            let exptime = extras.u32_be().unwrap_or(NO_INITIAL);
            let initial = (exptime != NO_INITIAL).then(|| (initial, lifetime(Some(exptime))));
            let down = code == opcode::DECREMENT;
            Request::Count(Count {
                key,
                delta,
                down,
                initial,
                initial_last: false,
                touch: None,
                compare,
                version: None,
            })
        }
        opcode::TOUCH => Request::Touch(Touch { key, lifetime: lifetime(extras.u32_be()) }),
        opcode::FLUSH => match extras.u32_be() {
            None | Some(0) => Request::FlushAll { after: Lifetime::Gone },
            exptime => Request::FlushAll { after: lifetime(exptime) },
        },
        opcode::STAT => Request::Stats { argument: body.key },
        opcode::VERBOSITY => Request::Verbosity { level: extras.u32_be().unwrap_or_default() },
        opcode::VERSION => Request::Version,
        opcode::NOOP => Request::Noop,
        opcode::QUIT => Request::Quit,
        opcode::SASL_LIST => Request::Sasl(Sasl::List),
        opcode::SASL_AUTH | opcode::SASL_STEP if body.key.len() > MECHANISM_LEN_MAX => {
            Request::Refused(Fault::BadLengths)
        }
        opcode::SASL_AUTH => Request::Sasl(Sasl::Start { mechanism: body.key, data: body.value }),
        opcode::SASL_STEP => Request::Sasl(Sasl::Step { mechanism: body.key, data: body.value }),
        _ => Request::Refused(Fault::UnknownCommand),
    }
}
