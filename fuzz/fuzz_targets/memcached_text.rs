//! The classic text commands: lines and data blocks.
#![no_main]

mod shared;

use libfuzzer_sys::fuzz_target;
use todana_protocol::memcached::Protocol;

fuzz_target!(|input: &[u8]| {
    if let Some(connection) = shared::Connection::read(input, Protocol::Text) {
        connection.check();
    }
});
