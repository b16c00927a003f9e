//! Tests of the server from outside: transcripts, sessions over engines that wait and lag, and real
//! sockets.

mod in_process;
mod sessions;
mod sockets;
mod transcript;
