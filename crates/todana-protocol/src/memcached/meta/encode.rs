//! Answers of the meta commands: a code, then the flags that ask for something, in the order in which
//! they came, then what the server has to say (`W X Z`).

use super::{MetaCommand, MetaForm};
use crate::memcached::text::Tokens;
use crate::number::push_decimal;
use crate::{Item, Lifetimes, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Appends the answer.
pub(crate) fn encode(form: &MetaForm<'_>, response: &Response<'_>, out: &mut Vec<u8>) {
    match (form.command, response) {
        (MetaCommand::Noop, Response::Done) => out.extend_from_slice(b"MN\r\n"),
        (MetaCommand::Debug, Response::Inspected { item, class, size }) => {
            inspected(form, item, *class, *size, out);
        }
        (_, Response::Item(item)) => hit(form, item, out),
        (MetaCommand::Debug, Response::Miss) => out.extend_from_slice(b"EN\r\n"),
        (_, Response::Miss) => code_with_echo(b"EN", form, form.quiet, out),
        (_, Response::Stored { version, value_len }) if !form.quiet => {
            out.extend_from_slice(b"HD");
            stored_flags(form, *version, *value_len, out);
        }
        (_, Response::Stored { .. }) => {}
        (_, Response::NotStored) => failed(b"NS", form, out),
        (_, Response::Exists) => failed(b"EX", form, out),
        // Quiet deletes and counts do not tell of a miss.
        (MetaCommand::Set, Response::NotFound) => failed(b"NF", form, out),
        (_, Response::NotFound) => code_with_echo(b"NF", form, form.quiet, out),
        (_, Response::Deleted) => code_with_echo(b"HD", form, form.quiet, out),
        // A number that had to be made is told even when quiet.
        (_, Response::Number { value, version, lifetimes })
            if !form.quiet || lifetimes.made_s.is_some() =>
        {
            number(form, *value, *version, lifetimes, out);
        }
        (_, Response::Number { .. }) => {}
        (_, Response::Fault(fault)) => {
            out.extend_from_slice(fault.line().as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        (_, Response::Raw(bytes)) => out.extend_from_slice(bytes),
        (_, Response::Done) if !form.quiet => out.extend_from_slice(b"HD\r\n"),
        _ => {}
    }
}

fn code_with_echo(code: &[u8], form: &MetaForm<'_>, silent: bool, out: &mut Vec<u8>) {
    if !silent {
        out.extend_from_slice(code);
        echo_flags(form, out);
        out.extend_from_slice(b"\r\n");
    }
}

/// Opaque and key, which every answer carries back.
fn echo_flags(form: &MetaForm<'_>, out: &mut Vec<u8>) {
    for word in Tokens::new(form.flags) {
        echo(word, form, out);
    }
}

/// Answers a flag that asks for nothing but itself; false for the others.
fn echo(word: &[u8], form: &MetaForm<'_>, out: &mut Vec<u8>) -> bool {
    match word.first() {
        Some(b'O') => {
            out.push(b' ');
            out.extend_from_slice(word);
        }
        Some(b'k') => {
            out.extend_from_slice(b" k");
            out.extend_from_slice(form.key);
            if form.base64 {
                out.extend_from_slice(b" b");
            }
        }
        _ => return false,
    }
    true
}

fn flag(name: u8, value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(&[b' ', name]);
    push_decimal(value, out);
}

fn ttl(seconds: Option<u64>, out: &mut Vec<u8>) {
    match seconds {
        Some(seconds) => flag(b't', seconds, out),
        None => out.extend_from_slice(b" t-1"),
    }
}

/// What is left after a flag that changes it.
fn changed_by(flag: u8, lifetimes: &Lifetimes) -> Option<Option<u64>> {
    match flag {
        b'N' => lifetimes.made_s,
        b'T' => lifetimes.touched_s,
        _ => None,
    }
}

fn hit(form: &MetaForm<'_>, item: &Item<'_>, out: &mut Vec<u8>) {
    if form.value {
        out.extend_from_slice(b"VA ");
        push_decimal(item.value.len() as u64, out);
    } else {
        out.extend_from_slice(b"HD");
    }
    let mut left = item.lifetimes.before_s;
    for word in Tokens::new(form.flags) {
        match word.first() {
            _ if echo(word, form, out) => {}
            Some(b's') => flag(b's', item.value.len() as u64, out),
            Some(b'c') => flag(b'c', item.version, out),
            Some(b'f') => flag(b'f', u64::from(item.flags), out),
            Some(b'h') => flag(b'h', u64::from(item.hit_before), out),
            Some(b'l') => flag(b'l', u64::from(item.idle_s), out),
            Some(b't') => ttl(left, out),
            // A lifetime that the request gives is seen by what stands behind it.
            Some(&name) => left = changed_by(name, &item.lifetimes).unwrap_or(left),
            None => {}
        }
    }
    if item.sent {
        out.extend_from_slice(b" Z");
    }
    if item.stale {
        out.extend_from_slice(b" X");
    }
    if item.won {
        out.extend_from_slice(b" W");
    }
    out.extend_from_slice(b"\r\n");
    if form.value {
        out.extend_from_slice(item.value);
        out.extend_from_slice(b"\r\n");
    }
}

fn stored_flags(form: &MetaForm<'_>, version: u64, value_len: u64, out: &mut Vec<u8>) {
    for word in Tokens::new(form.flags) {
        match word.first() {
            _ if echo(word, form, out) => {}
            Some(b'c') => flag(b'c', version, out),
            Some(b's') => flag(b's', value_len, out),
            _ => {}
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// A store that was not done: told even when quiet.
fn failed(code: &[u8], form: &MetaForm<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(code);
    for word in Tokens::new(form.flags) {
        if !echo(word, form, out) && word.first() == Some(&b'c') && form.command == MetaCommand::Set
        {
            out.extend_from_slice(b" c0");
        }
    }
    out.extend_from_slice(b"\r\n");
}

fn number(form: &MetaForm<'_>, value: u64, version: u64, lifetimes: &Lifetimes, out: &mut Vec<u8>) {
    let mut digits = Vec::with_capacity(20);
    push_decimal(value, &mut digits);
    if form.value {
        out.extend_from_slice(b"VA ");
        push_decimal(digits.len() as u64, out);
    } else {
        out.extend_from_slice(b"HD");
    }
    let mut left = lifetimes.before_s;
    for word in Tokens::new(form.flags) {
        match word.first() {
            _ if echo(word, form, out) => {}
            Some(b'c') => flag(b'c', version, out),
            Some(b't') => ttl(left, out),
            Some(&name) => left = changed_by(name, lifetimes).unwrap_or(left),
            None => {}
        }
    }
    out.extend_from_slice(b"\r\n");
    if form.value {
        out.extend_from_slice(&digits);
        out.extend_from_slice(b"\r\n");
    }
}

fn inspected(form: &MetaForm<'_>, item: &Item<'_>, class: u32, size: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"ME ");
    out.extend_from_slice(form.key);
    out.extend_from_slice(b" exp=");
    match item.lifetimes.before_s {
        Some(seconds) => push_decimal(seconds, out),
        None => out.extend_from_slice(b"-1"),
    }
    out.extend_from_slice(b" la=");
    push_decimal(u64::from(item.idle_s), out);
    out.extend_from_slice(b" cas=");
    push_decimal(item.version, out);
    out.extend_from_slice(b" fetch=");
    out.extend_from_slice(if item.hit_before { b"yes" } else { b"no" });
    out.extend_from_slice(b" cls=");
    push_decimal(u64::from(class), out);
    out.extend_from_slice(b" size=");
    push_decimal(size, out);
    out.extend_from_slice(b"\r\n");
}

/// Appends a key as a meta command can name it: as it is, or as base64 with the flag that says so.
pub fn encode_dump_key(key: &[u8], out: &mut Vec<u8>) {
    if crate::memcached::text::checked_key(key).is_some() {
        out.extend_from_slice(key);
    } else {
        out.extend_from_slice(STANDARD.encode(key).as_bytes());
        out.extend_from_slice(b" b");
    }
}
