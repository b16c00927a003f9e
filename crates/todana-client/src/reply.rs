//! Frames to outcomes: what a request may be answered with, and what that means.

use crate::error::Error;
use crate::frame::{Frame, number};
use crate::operation::Mode;
use crate::value::{Stored, Value};

/// What came of one operation of a [`Pipeline`](crate::Pipeline).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Of `get`, `gets` and `get_and_touch`: the value, or none.
    Value(Option<Value>),
    /// Of `set`, `add`, `replace`, `append`, `prepend` and `cas`.
    Stored(Stored),
    /// Of `incr` and `decr`: the number that is stored now, or none without an item.
    Number(Option<u64>),
    /// Of `touch`: whether there is such an item.
    Touched(bool),
    /// Of `delete`: whether there was such an item.
    Deleted(bool),
}

/// A reply that is awaited: fed with frames, it tells when it is whole and what it means.
#[derive(Debug, Clone)]
pub(crate) struct Await {
    kind: Kind,
    /// The value of a classic get, whose `END` is still to come.
    value: Option<Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A value; a classic command's is followed by `END`.
    Value {
        classic: bool,
    },
    Stored {
        condition: bool,
    },
    Number,
    Touched,
    Deleted,
}

impl Await {
    const fn new(kind: Kind) -> Self {
        Self { kind, value: None }
    }

    pub(crate) const fn value(classic: bool) -> Self {
        Self::new(Kind::Value { classic })
    }

    pub(crate) const fn stored(mode: Mode) -> Self {
        Self::new(Kind::Stored { condition: matches!(mode, Mode::Cas(_)) })
    }

    pub(crate) const fn number() -> Self {
        Self::new(Kind::Number)
    }

    pub(crate) const fn touched() -> Self {
        Self::new(Kind::Touched)
    }

    pub(crate) const fn deleted() -> Self {
        Self::new(Kind::Deleted)
    }

    /// Takes the next frame; gives the outcome when the reply is whole.
    ///
    /// # Errors
    ///
    /// What the server said, if it said that it will not; [`Error::UnexpectedReply`] for a frame
    /// that does not belong here.
    pub(crate) fn take(&mut self, frame: Frame) -> Result<Option<Outcome>, Error> {
        let (line, data) = match frame {
            Frame::Line(line) => (line, None),
            Frame::Value { line, data } => (line, Some(data)),
        };
        let word = first_word(&line);
        let outcome = match (self.kind, word, data) {
            (Kind::Value { classic: true }, b"VALUE", Some(data)) if self.value.is_none() => {
                self.value = Some(classic_value(&line, data)?.1);
                return Ok(None);
            }
            (Kind::Value { classic: true }, b"END", None) => Outcome::Value(self.value.take()),
            (Kind::Value { classic: false }, b"VA", Some(data)) => {
                Outcome::Value(Some(meta_value(&line, data)?))
            }
            (Kind::Value { classic: false }, b"EN", None) => Outcome::Value(None),
            (Kind::Stored { condition }, word, None) => match word {
                b"STORED" | b"HD" => Outcome::Stored(Stored::Yes),
                b"NOT_STORED" | b"NS" => Outcome::Stored(Stored::No),
                b"EXISTS" | b"EX" => Outcome::Stored(Stored::Changed),
                b"NOT_FOUND" | b"NF" if condition => Outcome::Stored(Stored::Missing),
                b"NOT_FOUND" | b"NF" => Outcome::Stored(Stored::No),
                _ => return Err(refusal(&line)),
            },
            (Kind::Number, b"VA", Some(data)) => {
                Outcome::Number(Some(number(data.trim_ascii()).ok_or(Error::NotNumeric)?))
            }
            (Kind::Number, b"NOT_FOUND" | b"NF", None) => Outcome::Number(None),
            (Kind::Number, word, None) if number(word).is_some() => Outcome::Number(number(word)),
            (Kind::Touched, b"TOUCHED" | b"HD", None) => Outcome::Touched(true),
            (Kind::Touched, b"NOT_FOUND" | b"NF" | b"EN", None) => Outcome::Touched(false),
            (Kind::Deleted, b"DELETED" | b"HD", None) => Outcome::Deleted(true),
            (Kind::Deleted, b"NOT_FOUND" | b"NF", None) => Outcome::Deleted(false),
            _ => return Err(refusal(&line)),
        };
        Ok(Some(outcome))
    }
}

fn first_word(line: &[u8]) -> &[u8] {
    line.split(|&byte| byte == b' ').next().unwrap_or_default()
}

/// Key and value of `VALUE key flags length [cas]`.
pub(crate) fn classic_value(line: &[u8], data: Vec<u8>) -> Result<(&[u8], Value), Error> {
    let unexpected = || Error::unexpected(line);
    let mut words = line.split(|&byte| byte == b' ').skip(1);
    let key = words.next().ok_or_else(unexpected)?;
    let flags = words.next().and_then(number).and_then(|flags| u32::try_from(flags).ok());
    let flags = flags.ok_or_else(unexpected)?;
    let cas = match words.nth(1) {
        Some(token) => Some(number(token).ok_or_else(unexpected)?),
        None => None,
    };
    Ok((key, Value { data, flags, cas }))
}

/// Value of `VA length flag*`, of which `f` and `c` count.
fn meta_value(line: &[u8], data: Vec<u8>) -> Result<Value, Error> {
    let unexpected = || Error::unexpected(line);
    let mut value = Value { data, ..Value::default() };
    for word in line.split(|&byte| byte == b' ').skip(2) {
        match word.split_first() {
            Some((b'f', token)) => {
                let flags = number(token).and_then(|flags| u32::try_from(flags).ok());
                value.flags = flags.ok_or_else(unexpected)?;
            }
            Some((b'c', token)) => value.cas = Some(number(token).ok_or_else(unexpected)?),
            _ => {}
        }
    }
    Ok(value)
}

/// The error that a line stands for which is no proper answer.
pub(crate) fn refusal(line: &[u8]) -> Error {
    let after = |prefix: &[u8]| {
        let rest = line.strip_prefix(prefix).unwrap_or_default();
        String::from_utf8_lossy(rest.trim_ascii()).into_owned()
    };
    match first_word(line) {
        b"ERROR" if line == b"ERROR" => Error::UnknownCommand,
        b"ERROR" => Error::Client { line: after(b"ERROR") },
        b"SERVER_ERROR" => Error::Server { line: after(b"SERVER_ERROR") },
        b"CLIENT_ERROR" => match line.get(b"CLIENT_ERROR ".len()..).unwrap_or_default() {
            why if why.starts_with(b"unauthenticated") || why.starts_with(b"authentication") => {
                Error::Unauthenticated { line: after(b"CLIENT_ERROR") }
            }
            b"cannot increment or decrement non-numeric value" => Error::NotNumeric,
            _ => Error::Client { line: after(b"CLIENT_ERROR") },
        },
        _ => Error::unexpected(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::FrameParser;

    /// Feeds a reply byte by byte; it has to be whole with its last byte.
    fn reply(mut awaited: Await, text: &str) -> Result<Outcome, Error> {
        let mut parser = FrameParser::new(1_000);
        let mut outcome = None;
        for byte in text.bytes() {
            assert_eq!(outcome, None, "whole too early: {text:?}");
            parser.feed(&[byte]);
            while let Some(frame) = parser.next()? {
                outcome = awaited.take(frame)?;
            }
        }
        assert!(parser.is_empty());
        Ok(outcome.expect("the reply is whole"))
    }

    fn check(awaited: Await, text: &str, want: Outcome) {
        assert_eq!(reply(awaited, text).unwrap(), want, "{text:?}");
    }

    fn found(data: &str, flags: u32, cas: Option<u64>) -> Outcome {
        Outcome::Value(Some(Value { data: data.into(), flags, cas }))
    }

    #[test]
    fn values() {
        check(Await::value(true), "END\r\n", Outcome::Value(None));
        check(Await::value(true), "VALUE k 7 2\r\nab\r\nEND\r\n", found("ab", 7, None));
        check(Await::value(true), "VALUE k 7 0 9\r\n\r\nEND\r\n", found("", 7, Some(9)));
        check(Await::value(true), "VALUE k 0 5\r\nEND\r\n\r\nEND\r\n", found("END\r\n", 0, None));
        check(Await::value(false), "EN\r\n", Outcome::Value(None));
        check(Await::value(false), "VA 2 f7 c9 b\r\nab\r\n", found("ab", 7, Some(9)));
    }

    #[test]
    fn writes() {
        let set = || Await::stored(Mode::Set);
        let cas = || Await::stored(Mode::Cas(1));
        for text in ["STORED\r\n", "HD\r\n", "HD \r\n"] {
            check(set(), text, Outcome::Stored(Stored::Yes));
        }
        for text in ["NOT_STORED\r\n", "NS\r\n", "NF\r\n"] {
            check(set(), text, Outcome::Stored(Stored::No));
        }
        check(cas(), "EXISTS\r\n", Outcome::Stored(Stored::Changed));
        check(cas(), "EX\r\n", Outcome::Stored(Stored::Changed));
        check(cas(), "NOT_FOUND\r\n", Outcome::Stored(Stored::Missing));
        check(Await::number(), "12  \r\n", Outcome::Number(Some(12)));
        check(Await::number(), "VA 2\r\n12\r\n", Outcome::Number(Some(12)));
        check(Await::number(), "NF\r\n", Outcome::Number(None));
        check(Await::touched(), "TOUCHED\r\n", Outcome::Touched(true));
        check(Await::touched(), "EN\r\n", Outcome::Touched(false));
        check(Await::deleted(), "DELETED\r\n", Outcome::Deleted(true));
        check(Await::deleted(), "NOT_FOUND\r\n", Outcome::Deleted(false));
    }

    #[test]
    fn refusals() {
        let refused = |text: &str| reply(Await::number(), text).unwrap_err();
        assert!(matches!(refused("ERROR\r\n"), Error::UnknownCommand));
        let text = "ERROR Too many open connections\r\n";
        assert!(matches!(refused(text), Error::Client { line } if line.starts_with("Too")));
        assert!(
            matches!(refused("SERVER_ERROR out of memory\r\n"), Error::Server { line } if line == "out of memory")
        );
        assert!(matches!(refused("CLIENT_ERROR bad\r\n"), Error::Client { line } if line == "bad"));
        let text = "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n";
        assert!(matches!(refused(text), Error::NotNumeric));
        let text = "CLIENT_ERROR unauthenticated\r\n";
        assert!(matches!(refused(text), Error::Unauthenticated { .. }));
    }

    #[test]
    fn replies_to_something_else() {
        for (awaited, text) in [
            (Await::value(true), "STORED\r\n"),
            (Await::value(true), "EN\r\n"),
            (Await::value(true), "VALUE k x 2\r\nab\r\n"),
            (Await::value(true), "VALUE k 4294967296 2\r\nab\r\n"),
            (Await::value(true), "VALUE k 0 1\r\na\r\nVALUE k 0 1\r\na\r\n"),
            (Await::value(false), "VA 1 fx\r\na\r\n"),
            (Await::stored(Mode::Set), "DELETED\r\n"),
            (Await::number(), "-1\r\n"),
            (Await::deleted(), "HTTP/1.1 400 Bad Request\r\n"),
        ] {
            let error = reply(awaited, text).unwrap_err();
            assert!(matches!(error, Error::UnexpectedReply { .. }), "{text:?}: {error}");
        }
    }
}
