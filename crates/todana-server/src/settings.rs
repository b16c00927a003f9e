//! What a server is told when it starts.

use crate::driver::Io;
use crate::limits::THREADS_MAX;
use crate::server::ServerError;
use std::net::SocketAddr;
use std::path::PathBuf;
use todana_engine::Level;
use todana_protocol::memcached::Protocol;

/// Where and how clients come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// TCP.
    Tcp(SocketAddr),
    /// UDP, with memcached's frame around datagrams.
    Udp(SocketAddr),
    /// A Unix socket and its permission bits.
    Unix(PathBuf, u32),
}

/// A listener: an address and the dialect spoken there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// Where.
    pub address: Address,
    /// Which of memcached's protocols.
    pub protocol: Protocol,
}

/// Everything a server is told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where clients come in.
    pub listen: Vec<Listen>,
    /// Which way to the kernel the server takes.
    pub io: Io,
    /// Worker threads, at least 1.
    pub threads: usize,
    /// Connections at a time.
    pub connections_max: usize,
    /// Whether connections beyond that are refused at once instead of left waiting.
    pub refuse_at_once: bool,
    /// Requests of one connection before others have their turn.
    pub requests_per_turn: usize,
    /// Connections that wait to be accepted.
    pub backlog: u32,
    /// Largest value in bytes.
    pub value_len_max: u64,
    /// Milliseconds after which an idle connection is closed; 0: never.
    pub idle_ms: u64,
    /// Whether small replies are sent at once.
    pub no_delay: bool,
    /// Socket buffer sizes in bytes; 0: the system's.
    pub send_buffer_len: usize,
    /// As above.
    pub receive_buffer_len: usize,
    /// Lines of `user:password`; with them the text dialect wants its clients to say who they are.
    pub auth_file: Option<PathBuf>,
    /// Whether the binary dialect wants SASL.
    pub sasl: bool,
    /// Whether `shutdown` works.
    pub shutdown_enabled: bool,
    /// Whether `flush_all` works.
    pub flush_enabled: bool,
    /// Whether listings of records work.
    pub dump_enabled: bool,
    /// Whether `watch` works.
    pub watch_enabled: bool,
    /// Whether time can be moved by clients (tests only).
    pub test_clock: bool,
    /// What separates a key's prefix for `stats detail`.
    pub prefix_delimiter: u8,
    /// How much is logged, as memcached counts it.
    pub verbosity: u32,
    /// How safe a change is when it is acknowledged.
    pub acknowledge: Level,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            listen: Vec::new(),
            io: Io::Auto,
            threads: 4,
            connections_max: 1_024,
            refuse_at_once: true,
            requests_per_turn: crate::limits::REQUESTS_PER_TURN,
            backlog: 1_024,
            value_len_max: 1 << 20,
            idle_ms: 0,
            no_delay: true,
            send_buffer_len: 0,
            receive_buffer_len: 0,
            auth_file: None,
            sasl: false,
            shutdown_enabled: false,
            flush_enabled: true,
            dump_enabled: true,
            watch_enabled: true,
            test_clock: false,
            prefix_delimiter: b':',
            verbosity: 0,
            acknowledge: Level::Durable,
        }
    }
}

impl Settings {
    /// Looks for settings that are out of bounds or contradict each other.
    ///
    /// # Errors
    /// [`ServerError::Setting`], with what is allowed.
    pub fn check(&self) -> Result<(), ServerError> {
        let settings = self;
        let wrong = |name, value: String, allowed: &str| {
            Err(ServerError::Setting { name, value, allowed: allowed.into() })
        };
        if settings.listen.is_empty() {
            return wrong("listen", "nothing".into(), "at least one address");
        }
        if !(1..=THREADS_MAX).contains(&settings.threads) {
            return wrong("threads", settings.threads.to_string(), "1 to 256");
        }
        if settings.connections_max == 0 {
            return wrong("connections", "0".into(), "at least 1");
        }
        if settings.requests_per_turn == 0 {
            return wrong("requests per event", "0".into(), "at least 1");
        }
        let udp = settings.listen.iter().any(|one| matches!(one.address, Address::Udp(_)));
        if udp && settings.auth_file.is_some() {
            let allowed = "datagrams cannot say who sent them: switch one of the two off";
            return wrong("udp with authentication", "on".into(), allowed);
        }
        if settings.sasl && settings.auth_file.is_none() {
            let allowed = "SASL needs a file of user:password lines (-Y FILE)";
            return wrong("sasl", "on".into(), allowed);
        }
        Ok(())
    }
}
