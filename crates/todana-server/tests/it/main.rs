//! Tests of the server from outside: transcripts, sessions over engines that wait and lag, and real
//! sockets.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod in_process;
mod model;
mod sessions;
/// The tests over sockets, by readiness.
#[path = "."]
mod by_readiness {
    pub(crate) const IO: todana_server::Io = todana_server::Io::Readiness;
    mod datagrams;
    mod sockets;
}
/// The same by completion, where the system has it.
#[path = "."]
mod by_completion {
    pub(crate) const IO: todana_server::Io = todana_server::Io::Auto;
    #[expect(clippy::duplicate_mod, reason = "the same tests over the other way to the kernel")]
    mod datagrams;
    #[expect(clippy::duplicate_mod, reason = "the same tests over the other way to the kernel")]
    mod sockets;
}
mod transcript;
