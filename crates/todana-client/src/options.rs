//! How a client behaves.

use std::fmt;
use std::time::Duration;

/// How a [`Client`](crate::Client) behaves. Make one with `Options { .., ..Options::default() }`.
#[derive(Debug, Clone)]
pub struct Options {
    /// Longest wait for a connection to open, per address of the host. `None`: as the system has
    /// it. Default 3 s. Unix sockets open at once or not at all.
    pub connect_timeout: Option<Duration>,
    /// Longest wait for bytes of a reply. `None`: for ever. Default 10 s.
    pub read_timeout: Option<Duration>,
    /// Longest wait for the server to take bytes of a request. `None`: for ever. Default 10 s.
    pub write_timeout: Option<Duration>,
    /// Connections that are kept open while nobody uses them; 0 opens one for every operation.
    /// There are as many besides as operations under way. Default 8.
    pub idle_max: usize,
    /// Most bytes of a received value; a longer one is an error. Default 1 GiB, which is the
    /// largest item of memcached.
    pub value_len_max: usize,
    /// Who to be, for a server that asks (memcached's `-Y`). Default nobody.
    pub credentials: Option<Credentials>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_timeout: Some(Duration::from_secs(3)),
            read_timeout: Some(Duration::from_secs(10)),
            write_timeout: Some(Duration::from_secs(10)),
            idle_max: 8,
            value_len_max: 1 << 30,
            credentials: None,
        }
    }
}

/// A user and a password. `Debug` does not show the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Name of the user: no spaces, no line ends.
    pub user: String,
    /// Their password: no line ends. It travels unencrypted.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}
