//! The meta commands. Every line of the input that does not begin with one is given one, so that
//! nothing is spent on the classic commands; the protocol is found out by the first byte.
#![no_main]

mod shared;

use libfuzzer_sys::fuzz_target;
use todana_protocol::memcached::Protocol;

fuzz_target!(|input: &[u8]| {
    let Some((head, mut rest)) = input.split_at_checked(2) else { return };
    let cuts_len = usize::from(head[1] & 7) * 2;
    let Some((cuts, lines)) = rest.split_at_checked(cuts_len) else { return };
    rest = lines;
    let mut bytes = [head, cuts].concat();
    for line in rest.split_inclusive(|&byte| byte == b'\n') {
        match line {
            [b'm', _, b' ' | b'\r' | b'\n', ..] | [b'\r', b'\n'] => {}
            [first, ..] => {
                let command: [&[u8]; 8] =
                    [b"mg ", b"ms ", b"md ", b"ma ", b"me ", b"mn ", b"", b""];
                bytes.extend_from_slice(command[usize::from(first & 7)]);
            }
            [] => {}
        }
        bytes.extend_from_slice(line);
    }
    if let Some(connection) = shared::Connection::read(&bytes, Protocol::Auto) {
        connection.check();
    }
});
