//! Gets of many keys: few lines, few system calls, bounded bytes in flight.

use crate::connection::Connection;
use crate::error::Error;
use crate::frame::Frame;
use crate::key::Key;
use crate::operation::Operation;
use crate::pipeline::UNANSWERED_BYTES_MAX;
use crate::reply::{Outcome, classic_value, refusal};
use crate::value::Value;

/// Keys in one line.
const LINE_KEYS_MAX: usize = 100;

/// A part of a batch that has a reply of its own.
enum Part<K> {
    /// One line with plain keys, with their places in the result.
    Line(Vec<(usize, K)>),
    /// One key in a meta command, with its place.
    Coded(usize, crate::reply::Await),
}

/// Values of the keys in their order.
pub(crate) fn get_many<K: AsRef<[u8]>>(
    connection: &mut Connection,
    keys: &[K],
    cas: bool,
) -> Result<Vec<Option<Value>>, Error> {
    // Nothing is sent if one of them will not do.
    for key in keys {
        Key::new(key.as_ref())?;
    }
    let mut values = Vec::new();
    values.resize_with(keys.len(), || None);
    let mut at = 0;
    connection.unfinished = !keys.is_empty();
    while at < keys.len() {
        let mut out = Vec::new();
        let parts = batch(keys, &mut at, cas, &mut out)?;
        connection.send(&out)?;
        for part in parts {
            match part {
                Part::Line(asked) => read_line(connection, asked, &mut values)?,
                Part::Coded(place, awaited) => {
                    if let Outcome::Value(value) = connection.outcome(awaited)? {
                        set(&mut values, place, value);
                    }
                }
            }
        }
    }
    connection.unfinished = false;
    Ok(values)
}

fn set(values: &mut [Option<Value>], place: usize, value: Option<Value>) {
    if let Some(slot) = values.get_mut(place) {
        *slot = value;
    }
}

/// Puts requests for keys from `at` on together, up to [`UNANSWERED_BYTES_MAX`].
fn batch<'k, K: AsRef<[u8]>>(
    keys: &'k [K],
    at: &mut usize,
    cas: bool,
    out: &mut Vec<u8>,
) -> Result<Vec<Part<&'k [u8]>>, Error> {
    /// The longest key with the words around it.
    const REQUEST_LEN_MAX: usize = 300;
    let mut parts = Vec::new();
    let mut line: Vec<(usize, &[u8])> = Vec::new();
    let verb = if cas { &b"gets"[..] } else { b"get" };
    while let Some(bytes) = keys.get(*at).map(AsRef::as_ref) {
        if out.len() + REQUEST_LEN_MAX > UNANSWERED_BYTES_MAX {
            break;
        }
        let key = Key::new(bytes)?;
        if !line.is_empty() && (key.is_coded || line.len() == LINE_KEYS_MAX) {
            out.extend_from_slice(b"\r\n");
            parts.push(Part::Line(std::mem::take(&mut line)));
        }
        if key.is_coded {
            let awaited = Operation::Get { key: bytes, cas }.encode(out)?;
            parts.push(Part::Coded(*at, awaited));
        } else {
            if line.is_empty() {
                out.extend_from_slice(verb);
            }
            out.push(b' ');
            out.extend_from_slice(bytes);
            line.push((*at, bytes));
        }
        *at += 1;
    }
    if !line.is_empty() {
        out.extend_from_slice(b"\r\n");
        parts.push(Part::Line(line));
    }
    Ok(parts)
}

/// Reads the reply to one line: values of some of its keys, then `END`. Servers give them in the
/// order of the line; proxies in front of several may not.
fn read_line(
    connection: &mut Connection,
    mut asked: Vec<(usize, &[u8])>,
    values: &mut [Option<Value>],
) -> Result<(), Error> {
    // The next key comes from the end.
    asked.reverse();
    loop {
        match connection.frame()? {
            Frame::Value { line, data } => {
                let (key, value) = classic_value(&line, data)?;
                let found = asked.iter().rposition(|(_, wanted)| *wanted == key);
                let Some(found) = found else { return Err(Error::unexpected(&line)) };
                let (place, _) = asked.remove(found);
                set(values, place, Some(value));
            }
            Frame::Line(line) if line == b"END" => return Ok(()),
            Frame::Line(line) => return Err(refusal(&line)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_at_other_keys_and_at_their_bound() {
        let mut keys: Vec<&str> = vec!["a", "b", "c d", "e"];
        keys.extend(["x"; LINE_KEYS_MAX]);
        let (mut out, mut at) = (Vec::new(), 0);
        let parts = batch(&keys, &mut at, false, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = text.split_terminator("\r\n").collect();
        assert_eq!(lines.first().copied(), Some("get a b"));
        assert_eq!(lines.get(1).copied(), Some("mg YyBk v f b"));
        assert!(lines.get(2).is_some_and(|line| line.starts_with("get e x x")));
        assert_eq!((lines.len(), parts.len(), at), (4, 4, keys.len()));
    }

    #[test]
    fn batches_are_bounded() {
        let keys = vec!["k".repeat(250); 1_000];
        let mut at = 0;
        while at < keys.len() {
            let (mut out, before) = (Vec::new(), at);
            batch(&keys, &mut at, true, &mut out).unwrap();
            assert!(out.len() <= UNANSWERED_BYTES_MAX && at > before);
        }
    }
}
