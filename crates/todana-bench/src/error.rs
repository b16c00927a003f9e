//! What can go wrong in a run.

use std::io;
use std::time::Duration;

/// Why a plan could not be made, or a run could not be finished.
///
/// Replies such as `SERVER_ERROR out of memory` are not errors of the run: they are counted in
/// [`Report::errors`](crate::Report::errors). Only [`preload`](crate::preload) insists.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A field of the plan, or its text form, makes no sense.
    #[error("{field}: {got:?} will not do; {want}")]
    Plan {
        /// Name of the field of [`Plan`](crate::Plan).
        field: &'static str,
        /// What was given.
        got: String,
        /// What is wanted instead.
        want: String,
    },
    /// A connection could not be opened.
    #[error("cannot connect to {target}: {}; {}", plain(source), advice(source))]
    Connect {
        /// The target as the plan names it.
        target: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The name of the host has no address.
    #[error("cannot find an address for {target}: {source}; check the host name")]
    Resolve {
        /// The target as the plan names it.
        target: String,
        /// The resolver's reason.
        source: io::Error,
    },
    /// A connection broke while it was in use.
    #[error("connection {connection} broke while {doing}: {source}; see the server's log")]
    Broken {
        /// Which connection of the run, from 0.
        connection: usize,
        /// "reading replies" or "sending requests".
        doing: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// The server closed a connection.
    #[error(
        "the server closed connection {connection} with {awaited} replies still to come; does it \
         allow that many connections and speak this dialect?"
    )]
    Closed {
        /// Which connection of the run, from 0.
        connection: usize,
        /// Replies that were still awaited.
        awaited: usize,
    },
    /// Bytes came that are no reply of the dialect, or more replies than requests.
    #[error("connection {connection}: unexpected reply {got:?}; does the server speak {dialect}?")]
    UnexpectedReply {
        /// Which connection of the run, from 0.
        connection: usize,
        /// The first bytes of what came.
        got: String,
        /// The dialect of the plan.
        dialect: &'static str,
    },
    /// Requests were outstanding and nothing came for the plan's timeout.
    #[error(
        "no reply from {target} for {} ms with {outstanding} connections waiting; \
         is the server stuck or the timeout too short?",
        waited.as_millis()
    )]
    Silent {
        /// The target as the plan names it.
        target: String,
        /// How long nothing came.
        waited: Duration,
        /// Connections with a batch outstanding.
        outstanding: usize,
    },
    /// The server refused to store some keys of the preload.
    #[error(
        "preload: {refused} of {keys} keys were refused, first with {sample:?}; \
             what the server says names the remedy: more memory, larger items, or a user"
    )]
    PreloadRefused {
        /// Keys refused.
        refused: u64,
        /// Keys of the plan.
        keys: u64,
        /// The first refusal.
        sample: String,
    },
    /// The progress callback asked to stop before there was anything to report.
    #[error("stopped before anything was measured")]
    Interrupted,
    /// The readiness facility of the system failed.
    #[error("cannot wait for sockets: {source}")]
    Poll {
        /// The system's reason.
        #[from]
        source: io::Error,
    },
}

/// The system's reason without "(os error 111)", first letter small.
fn plain(source: &io::Error) -> String {
    let text = source.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |c| c.to_lowercase().chain(chars).collect())
}

/// What to do about a connection that could not be opened.
fn advice(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::ConnectionRefused => "is the server running?",
        io::ErrorKind::NotFound => "is the server running with this socket path?",
        io::ErrorKind::PermissionDenied => "check the permissions of the socket",
        io::ErrorKind::TimedOut => "check the address and the firewall",
        _ => "check the address, and `ulimit -n` for many connections",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_connection_says_what_to_do() {
        let error = Error::Connect {
            target: "127.0.0.1:11211".to_owned(),
            source: io::Error::from_raw_os_error(111),
        };
        assert_eq!(
            error.to_string(),
            "cannot connect to 127.0.0.1:11211: connection refused; is the server running?"
        );
    }
}
