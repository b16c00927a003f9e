//! What can go wrong.

use std::io;

/// Why an operation failed. A miss, or a condition that does not hold, is no error.
///
/// After any error but [`Key`](Error::Key), [`Argument`](Error::Argument),
/// [`NotNumeric`](Error::NotNumeric) and [`Server`](Error::Server) the connection is discarded and
/// the next operation opens another.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address is none.
    #[error("{text:?} is no address; write host:port, or the path of a Unix socket")]
    Address {
        /// What was given.
        text: String,
    },
    /// The name of the host has no address.
    #[error("cannot find an address for {address}: {source}; check the host name")]
    Resolve {
        /// The server as it was named.
        address: String,
        /// The resolver's reason.
        source: io::Error,
    },
    /// A connection could not be opened.
    #[error("cannot connect to {address}: {}; {}", reason(source), advice(source))]
    Connect {
        /// The server as it was named.
        address: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The server wants a user and a password, or others than were given.
    #[error("the server refused access: {line}; check user and password")]
    Unauthenticated {
        /// The server's line.
        line: String,
    },
    /// Nothing came, or nothing was taken, for the timeout. Whether a write was carried out is not
    /// known.
    #[error(
        "{address} did not answer in time while {doing}; is the server stuck or the timeout too short?"
    )]
    Timeout {
        /// The server as it was named.
        address: String,
        /// "sending" or "waiting for a reply".
        doing: &'static str,
    },
    /// The connection broke. Whether a write was carried out is not known.
    #[error(
        "connection to {address} broke while {doing}: {}; see the server's log",
        reason(source)
    )]
    Broken {
        /// The server as it was named.
        address: String,
        /// "sending" or "waiting for a reply".
        doing: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// The server closed the connection before its reply was whole. Whether a write was carried out
    /// is not known.
    #[error("{address} closed the connection before the reply was whole; see the server's log")]
    Closed {
        /// The server as it was named.
        address: String,
    },
    /// The key is empty or too long. Nothing was sent.
    #[error("key of {len} bytes; a key has 1 to {max} bytes (base64 counted, where it needs that)")]
    Key {
        /// Bytes of the key.
        len: usize,
        /// Most bytes of a key of its kind.
        max: usize,
    },
    /// An argument cannot be sent. Nothing was sent.
    #[error("{name}: {got} will not do; {want}")]
    Argument {
        /// Name of the argument.
        name: &'static str,
        /// What was given.
        got: String,
        /// What is wanted instead.
        want: &'static str,
    },
    /// The value to be counted up or down is no number.
    #[error("the value is no decimal number below 2^64, so it cannot be counted up or down")]
    NotNumeric,
    /// The server says that it does not know the command (`ERROR`).
    #[error("the server does not know the command; is it too old, or the command disabled?")]
    UnknownCommand,
    /// The server says that the request is wrong (`CLIENT_ERROR`, or `ERROR` with a reason).
    #[error("the server refused the request: {line}")]
    Client {
        /// The server's words.
        line: String,
    },
    /// The server says that it could not carry the request out (`SERVER_ERROR`).
    #[error("the server failed: {line}")]
    Server {
        /// The server's words.
        line: String,
    },
    /// The reply is none that belongs to the request.
    #[error("unexpected reply {got:?}; does the server speak memcached's text protocol?")]
    UnexpectedReply {
        /// The first bytes of it.
        got: String,
    },
    /// A line of a reply does not end.
    #[error(
        "reply with a line of over {max} bytes; does the server speak memcached's text protocol?"
    )]
    LineTooLong {
        /// Most bytes of a line.
        max: usize,
    },
    /// The server is about to send a value that is too long.
    #[error("the server sends a value of {claimed} bytes; value_len_max allows {max}")]
    ValueTooLong {
        /// Bytes, as the server says.
        claimed: u64,
        /// [`Options::value_len_max`](crate::Options::value_len_max).
        max: usize,
    },
    /// A reply of many lines is too long.
    #[error("reply of over {max} bytes; ask for less at a time")]
    ReplyTooLong {
        /// Most bytes of such a reply.
        max: usize,
    },
    /// An earlier operation of the same pipeline failed and took the connection with it. Whether
    /// this one was carried out is not known.
    #[error("no reply, for an earlier operation of the pipeline broke the connection")]
    Unanswered,
}

impl Error {
    /// Whether the connection that it happened on can be used again.
    pub(crate) fn keeps_connection(&self) -> bool {
        use Error::{Argument, Key, NotNumeric, Server};
        matches!(self, Key { .. } | Argument { .. } | NotNumeric | Server { .. })
    }

    /// Whether a connection that had been idle turned out to be dead.
    pub(crate) fn is_stale(&self) -> bool {
        matches!(self, Self::Broken { .. } | Self::Closed { .. })
    }

    pub(crate) fn unexpected(got: &[u8]) -> Self {
        /// Bytes of a reply that an error shows.
        const SHOWN_MAX: usize = 60;
        let shown = got.get(..SHOWN_MAX).unwrap_or(got);
        Self::UnexpectedReply { got: String::from_utf8_lossy(shown).into_owned() }
    }

    pub(crate) fn socket(address: impl ToString, doing: &'static str, source: io::Error) -> Self {
        let address = address.to_string();
        match source.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::Timeout { address, doing },
            _ => Self::Broken { address, doing, source },
        }
    }
}

/// The system's words without its number, in lower case as a part of a sentence.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "is the server running?",
        io::ErrorKind::NotFound => "is the path right and the server running?",
        io::ErrorKind::PermissionDenied => "may this user open the socket?",
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
            "is the host up and its firewall open?"
        }
        _ => "check the address and the network",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_a_user_can_act_on() {
        let refused = Error::Connect {
            address: "127.0.0.1:11211".to_owned(),
            source: io::Error::from_raw_os_error(111),
        };
        let want = "cannot connect to 127.0.0.1:11211: connection refused; is the server running?";
        assert_eq!(refused.to_string(), want);
        let long = Error::unexpected(&[b'x'; 1_000]);
        assert!(long.to_string().len() < 150, "{long}");
    }
}
