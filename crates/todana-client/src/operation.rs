//! Requests to bytes.

use std::io::Write as _;
use std::time::SystemTime;

use crate::error::Error;
use crate::expiry::Expiry;
use crate::key::Key;
use crate::reply::Await;

/// Most bytes of a value that is sent. memcached reads the length as a signed 32-bit number with
/// room for the line end, and would take the bytes of a longer value for commands.
pub const VALUE_SENT_LEN_MAX: usize = i32::MAX as usize - 2;

/// Which items a write may meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Set,
    Add,
    Replace,
    Append,
    Prepend,
    Cas(u64),
}

/// One operation on one key.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Operation<'a> {
    Get { key: &'a [u8], cas: bool },
    GetAndTouch { key: &'a [u8], expiry: Expiry },
    Store { mode: Mode, key: &'a [u8], value: &'a [u8], flags: u32, expiry: Expiry },
    Count { key: &'a [u8], down: bool, delta: u64, initial: Option<(u64, Expiry)> },
    Touch { key: &'a [u8], expiry: Expiry },
    Delete { key: &'a [u8] },
}

impl Operation<'_> {
    /// Appends the request's bytes and says what to await. Nothing is appended on an error.
    ///
    /// Classic commands carry what they can; meta commands carry base64 keys and numbers to start
    /// counting from.
    ///
    /// # Errors
    ///
    /// [`Error::Key`] and [`Error::Argument`].
    pub(crate) fn encode(self, out: &mut Vec<u8>) -> Result<Await, Error> {
        // Writing to a Vec cannot fail, so results of write! are dropped below.
        match self {
            Operation::Get { key, cas } => get(&Key::new(key)?, cas, out),
            Operation::GetAndTouch { key, expiry } => {
                get_and_touch(&Key::new(key)?, exptime(expiry)?, out)
            }
            Operation::Store { mode, key, value, flags, expiry } => {
                if value.len() > VALUE_SENT_LEN_MAX {
                    let got = format!("{} bytes", value.len());
                    return Err(Error::Argument { name: "value", got, want: "2147483645 at most" });
                }
                store(mode, &Key::new(key)?, value, flags, exptime(expiry)?, out)
            }
            Operation::Count { key, down, delta, initial } => {
                let initial = match initial {
                    Some((number, expiry)) => Some((number, exptime(expiry)?)),
                    None => None,
                };
                count(&Key::new(key)?, down, delta, initial, out)
            }
            Operation::Touch { key, expiry } => touch(&Key::new(key)?, exptime(expiry)?, out),
            Operation::Delete { key } => {
                let key = Key::new(key)?;
                out.extend_from_slice(if key.is_coded { b"md " } else { b"delete " });
                out.extend_from_slice(&key.token);
                end(&key, out);
                Ok(Await::deleted())
            }
        }
    }

    /// Whether it changes nothing, so that it may be sent twice.
    pub(crate) const fn only_reads(&self) -> bool {
        matches!(self, Operation::Get { .. })
    }

    /// Whether the reply may hold a value rather than be a short line.
    pub(crate) const fn has_long_reply(&self) -> bool {
        matches!(self, Operation::Get { .. } | Operation::GetAndTouch { .. })
    }
}

/// memcached's number for an expiry. It reads 32 bits of it with a sign, so a moment beyond January
/// 2038 would wrap: the item would be "stored" and be gone at once. That is refused here.
#[expect(clippy::disallowed_methods, reason = "long expiry times are sent as moments")]
fn exptime(expiry: Expiry) -> Result<i64, Error> {
    let exptime = expiry.exptime(SystemTime::now);
    if exptime > i64::from(i32::MAX) {
        let want = "a moment before 2038-01-19, where memcached's clock ends, or Expiry::Never";
        return Err(Error::Argument { name: "expiry", got: format!("Unix time {exptime}"), want });
    }
    Ok(exptime)
}

/// The end of a line, with the flag of a base64 key before it.
fn end(key: &Key<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(if key.is_coded { b" b\r\n" } else { b"\r\n" });
}

fn get(key: &Key<'_>, cas: bool, out: &mut Vec<u8>) -> Result<Await, Error> {
    out.extend_from_slice(match (key.is_coded, cas) {
        (false, false) => b"get ",
        (false, true) => b"gets ",
        (true, _) => b"mg ",
    });
    out.extend_from_slice(&key.token);
    match (key.is_coded, cas) {
        (true, false) => out.extend_from_slice(b" v f"),
        (true, true) => out.extend_from_slice(b" v f c"),
        (false, _) => {}
    }
    end(key, out);
    Ok(Await::value(!key.is_coded))
}

fn get_and_touch(key: &Key<'_>, exptime: i64, out: &mut Vec<u8>) -> Result<Await, Error> {
    let meta = key.is_coded;
    if meta {
        out.extend_from_slice(b"mg ");
        out.extend_from_slice(&key.token);
        let _ = write!(out, " v f T{exptime}");
    } else {
        let _ = write!(out, "gat {exptime} ");
        out.extend_from_slice(&key.token);
    }
    end(key, out);
    Ok(Await::value(!meta))
}

fn store(
    mode: Mode,
    key: &Key<'_>,
    value: &[u8],
    flags: u32,
    exptime: i64,
    out: &mut Vec<u8>,
) -> Result<Await, Error> {
    let (verb, letter) = match mode {
        Mode::Set => ("set ", ""),
        Mode::Add => ("add ", " ME"),
        Mode::Replace => ("replace ", " MR"),
        Mode::Append => ("append ", " MA"),
        Mode::Prepend => ("prepend ", " MP"),
        Mode::Cas(_) => ("cas ", ""),
    };
    let cas = match mode {
        Mode::Cas(token) => Some(token),
        _ => None,
    };
    let len = value.len();
    if key.is_coded {
        out.extend_from_slice(b"ms ");
        out.extend_from_slice(&key.token);
        let _ = write!(out, " {len} F{flags} T{exptime}{letter}");
        if let Some(token) = cas {
            let _ = write!(out, " C{token}");
        }
    } else {
        out.extend_from_slice(verb.as_bytes());
        out.extend_from_slice(&key.token);
        let _ = write!(out, " {flags} {exptime} {len}");
        if let Some(token) = cas {
            let _ = write!(out, " {token}");
        }
    }
    end(key, out);
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
    Ok(Await::stored(mode))
}

fn count(
    key: &Key<'_>,
    down: bool,
    delta: u64,
    initial: Option<(u64, i64)>,
    out: &mut Vec<u8>,
) -> Result<Await, Error> {
    let meta = key.is_coded || initial.is_some();
    out.extend_from_slice(match (meta, down) {
        (true, _) => b"ma ",
        (false, false) => b"incr ",
        (false, true) => b"decr ",
    });
    out.extend_from_slice(&key.token);
    if meta {
        let _ = write!(out, " v{} D{delta}", if down { " MD" } else { "" });
        if let Some((number, exptime)) = initial {
            let _ = write!(out, " J{number} N{exptime}");
        }
    } else {
        let _ = write!(out, " {delta}");
    }
    end(key, out);
    Ok(Await::number())
}

fn touch(key: &Key<'_>, exptime: i64, out: &mut Vec<u8>) -> Result<Await, Error> {
    let meta = key.is_coded;
    out.extend_from_slice(if meta { b"mg " } else { b"touch " });
    out.extend_from_slice(&key.token);
    let _ = write!(out, " {}{exptime}", if meta { "T" } else { "" });
    end(key, out);
    Ok(Await::touched())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn check(operation: Operation<'_>, want: &str) {
        let mut out = Vec::new();
        operation.encode(&mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), want);
    }

    #[test]
    fn classic_commands_for_plain_keys() {
        let (key, expiry) = (&b"k"[..], Expiry::In(Duration::from_secs(9)));
        check(Operation::Get { key, cas: false }, "get k\r\n");
        check(Operation::Get { key, cas: true }, "gets k\r\n");
        check(Operation::GetAndTouch { key, expiry }, "gat 9 k\r\n");
        check(Operation::Touch { key, expiry }, "touch k 9\r\n");
        check(Operation::Delete { key }, "delete k\r\n");
        let count = |down, initial| Operation::Count { key, down, delta: 3, initial };
        check(count(false, None), "incr k 3\r\n");
        check(count(true, None), "decr k 3\r\n");
        check(count(true, Some((5, expiry))), "ma k v MD D3 J5 N9\r\n");
        let store = |mode| Operation::Store { mode, key, value: b"ab", flags: 7, expiry };
        check(store(Mode::Set), "set k 7 9 2\r\nab\r\n");
        check(store(Mode::Prepend), "prepend k 7 9 2\r\nab\r\n");
        check(store(Mode::Cas(4)), "cas k 7 9 2 4\r\nab\r\n");
    }

    #[test]
    fn meta_commands_for_any_other_key() {
        let (key, expiry) = (&b"a b"[..], Expiry::Never);
        check(Operation::Get { key, cas: false }, "mg YSBi v f b\r\n");
        check(Operation::Get { key, cas: true }, "mg YSBi v f c b\r\n");
        check(Operation::GetAndTouch { key, expiry }, "mg YSBi v f T0 b\r\n");
        check(Operation::Touch { key, expiry }, "mg YSBi T0 b\r\n");
        check(Operation::Delete { key }, "md YSBi b\r\n");
        let count = Operation::Count { key, down: false, delta: 3, initial: None };
        check(count, "ma YSBi v D3 b\r\n");
        let store = |mode| Operation::Store { mode, key, value: b"ab", flags: 7, expiry };
        check(store(Mode::Set), "ms YSBi 2 F7 T0 b\r\nab\r\n");
        check(store(Mode::Append), "ms YSBi 2 F7 T0 MA b\r\nab\r\n");
        check(store(Mode::Cas(4)), "ms YSBi 2 F7 T0 C4 b\r\nab\r\n");
    }

    #[test]
    fn moments_that_memcached_would_take_for_the_past() {
        let mut out = Vec::new();
        let mut encode = |seconds| {
            let expiry = Expiry::At(UNIX_EPOCH + Duration::from_secs(seconds));
            Operation::Touch { key: b"k", expiry }.encode(&mut out).map(|_| ())
        };
        assert!(encode((1 << 31) - 1).is_ok());
        assert!(matches!(encode(1 << 31), Err(Error::Argument { name: "expiry", .. })));
        assert_eq!(out, b"touch k 2147483647\r\n");
    }

    #[test]
    fn nothing_is_sent_for_a_bad_key() {
        let mut out = Vec::new();
        assert!(Operation::Delete { key: b"" }.encode(&mut out).is_err());
        assert!(out.is_empty());
    }
}
