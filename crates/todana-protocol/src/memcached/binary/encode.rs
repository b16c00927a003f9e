//! Answers.

use super::{BinaryForm, MAGIC_RESPONSE, opcode};
use crate::{Item, Response};

/// A response before it has bytes.
#[derive(Default)]
struct Packet<'p> {
    status: u16,
    extras: &'p [u8],
    key: &'p [u8],
    value: &'p [u8],
    cas: u64,
}

impl Packet<'_> {
    fn push(&self, form: &BinaryForm, out: &mut Vec<u8>) {
        let extras_len = self.extras.len();
        let key_len = self.key.len();
        let body_len = extras_len + key_len + self.value.len();
        out.extend_from_slice(&[MAGIC_RESPONSE, form.opcode]);
        out.extend_from_slice(&u16::try_from(key_len).unwrap_or(u16::MAX).to_be_bytes());
        out.push(u8::try_from(extras_len).unwrap_or(u8::MAX));
        out.push(0);
        out.extend_from_slice(&self.status.to_be_bytes());
        out.extend_from_slice(&u32::try_from(body_len).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(&form.opaque.to_be_bytes());
        out.extend_from_slice(&self.cas.to_be_bytes());
        out.extend_from_slice(self.extras);
        out.extend_from_slice(self.key);
        out.extend_from_slice(self.value);
    }
}

fn status<'p>(status: u16, text: &'p str) -> Packet<'p> {
    Packet { status, value: text.as_bytes(), ..Packet::default() }
}

/// Appends the answer to a request about `key`.
pub(crate) fn encode(form: &BinaryForm, key: &[u8], response: &Response<'_>, out: &mut Vec<u8>) {
    let of_get = matches!(
        form.opcode,
        opcode::GET
            | opcode::GETQ
            | opcode::GETK
            | opcode::GETKQ
            | opcode::GAT
            | opcode::GATQ
            | opcode::GATK
            | opcode::GATKQ
    );
    let flags;
    let number;
    let packet = match response {
        Response::Item(item) => {
            flags = item.flags.to_be_bytes();
            item_packet(form, item, &flags)
        }
        Response::Miss if form.quiet => return,
        Response::Miss if form.with_key => Packet { status: 0x0001, key, ..Packet::default() },
        Response::Miss | Response::NotFound => status(0x0001, "Not found"),
        Response::Exists => status(0x0002, "Data exists for key."),
        Response::NotStored => match form.opcode {
            // Said of the record that is there, or is not.
            opcode::ADD | 0x12 => status(0x0002, "Data exists for key."),
            opcode::REPLACE | 0x13 => status(0x0001, "Not found"),
            _ => status(0x0005, "Not stored."),
        },
        Response::Fault(fault) => {
            let (code, text) = fault.status();
            status(code, text)
        }
        Response::Challenge(data) => Packet { status: 0x0021, value: data, ..Packet::default() },
        // Everything from here on is success.
        _ if form.quiet && !of_get => return,
        Response::Stored { version, .. } => Packet { cas: *version, ..Packet::default() },
        Response::Number { value, version, .. } => {
            number = value.to_be_bytes();
            Packet { value: &number, cas: *version, ..Packet::default() }
        }
        Response::Touched { flags: item_flags, version } => {
            flags = item_flags.to_be_bytes();
            Packet { extras: &flags, cas: *version, ..Packet::default() }
        }
        Response::Version(version) => status(0, version),
        Response::Stat { name, value } => {
            Packet { key: name.as_bytes(), value: value.as_bytes(), ..Packet::default() }
        }
        Response::Raw(bytes) => Packet { value: bytes, ..Packet::default() },
        Response::Mechanisms(names) => status(0, names),
        Response::Authenticated => status(0, "Authenticated"),
        Response::Deleted | Response::Done | Response::End | Response::Inspected { .. } => {
            Packet::default()
        }
    };
    packet.push(form, out);
}

fn item_packet<'p>(form: &BinaryForm, item: &Item<'p>, flags: &'p [u8]) -> Packet<'p> {
    Packet {
        status: 0,
        extras: flags,
        key: if form.with_key { item.key } else { b"" },
        value: item.value,
        cas: item.version,
    }
}
