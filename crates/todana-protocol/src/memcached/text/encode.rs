//! Answers of the classic commands.

use super::TextForm;
use crate::number::push_decimal;
use crate::{Item, Response};

/// Appends the answer.
#[inline]
pub(crate) fn encode(form: &TextForm, response: &Response<'_>, out: &mut Vec<u8>) {
    match (form, response) {
        (TextForm::Line { noreply: true }, _) => {}
        (TextForm::Value { cas, last }, Response::Item(item)) => {
            value(item, *cas, out);
            out.extend_from_slice(if *last { b"\r\nEND\r\n" } else { b"\r\n" });
        }
        (TextForm::Value { last, .. }, Response::Miss) => {
            if *last {
                out.extend_from_slice(b"END\r\n");
            }
        }
        (TextForm::End, Response::Done) => out.extend_from_slice(b"END\r\n"),
        (_, response) => line(response, out),
    }
}

/// Bytes of a `VALUE` block and its `END` beside key and value, at most.
const HEAD_LEN_MAX: usize = 80;

/// A `VALUE` block up to the end of the value.
#[inline]
fn value(item: &Item<'_>, cas: bool, out: &mut Vec<u8>) {
    out.reserve(HEAD_LEN_MAX + item.key.len() + item.value.len());
    out.extend_from_slice(b"VALUE ");
    out.extend_from_slice(item.key);
    if item.flags == 0 {
        out.extend_from_slice(b" 0 ");
    } else {
        out.push(b' ');
        push_decimal(u64::from(item.flags), out);
        out.push(b' ');
    }
    push_decimal(item.value.len() as u64, out);
    if cas {
        out.push(b' ');
        push_decimal(item.version, out);
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(item.value);
}

fn line(response: &Response<'_>, out: &mut Vec<u8>) {
    match response {
        Response::Stored { .. } => out.extend_from_slice(b"STORED\r\n"),
        Response::NotStored => out.extend_from_slice(b"NOT_STORED\r\n"),
        Response::Exists => out.extend_from_slice(b"EXISTS\r\n"),
        Response::NotFound | Response::Miss => out.extend_from_slice(b"NOT_FOUND\r\n"),
        Response::Deleted => out.extend_from_slice(b"DELETED\r\n"),
        Response::Touched { .. } => out.extend_from_slice(b"TOUCHED\r\n"),
        Response::Number { value, .. } => {
            push_decimal(*value, out);
            out.extend_from_slice(b"\r\n");
        }
        Response::Done => out.extend_from_slice(b"OK\r\n"),
        Response::Authenticated => out.extend_from_slice(b"STORED\r\n"),
        Response::Version(version) => {
            out.extend_from_slice(b"VERSION ");
            out.extend_from_slice(version.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        Response::Stat { name, value } => {
            out.extend_from_slice(b"STAT ");
            out.extend_from_slice(name.as_bytes());
            out.push(b' ');
            out.extend_from_slice(value.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        Response::End => out.extend_from_slice(b"END\r\n"),
        Response::Raw(bytes) => out.extend_from_slice(bytes),
        Response::Mechanisms(text) => out.extend_from_slice(text.as_bytes()),
        Response::Challenge(bytes) => out.extend_from_slice(bytes),
        Response::Fault(fault) => {
            out.extend_from_slice(fault.line().as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        Response::Item(item) | Response::Inspected { item, .. } => {
            value(item, true, out);
            out.extend_from_slice(b"\r\n");
        }
    }
}
