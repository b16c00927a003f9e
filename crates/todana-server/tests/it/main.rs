//! Tests of the server from outside: transcripts, sessions over engines that wait and lag, and real
//! sockets.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod datagrams;
mod in_process;
mod model;
mod sessions;
mod sockets;
mod transcript;
