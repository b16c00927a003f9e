//! Requests that were not carried out, and how each dialect says so.

use std::borrow::Cow;

/// Why a request was not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// No such command, or not with so many words.
    UnknownCommand,
    /// A number or a key in the line is not one.
    BadLine,
    /// The key is longer than keys may be.
    KeyTooLong,
    /// The line passes every bound.
    LineTooLong,
    /// The data block does not end where the line said.
    BadDataChunk,
    /// An expiration time is no number.
    BadExptime,
    /// What to add is no number.
    BadDelta,
    /// Words after the key of a delete.
    DeleteUsage,
    /// The present value is no number.
    NonNumeric,
    /// The value is larger than items may be.
    TooLarge,
    /// No memory for it.
    OutOfMemory,
    /// Lengths of a binary request contradict its command.
    BadLengths,
    /// Lengths of a binary request contradict each other.
    Inconsistent,
    /// Who they are is not known, and has to be.
    Unauthenticated,
    /// They are not who they say.
    AuthFailed,
    /// Credentials without a space.
    AuthFormat,
    /// Credentials that do not end in a line end.
    AuthTermination,
    /// A command that an option has switched off.
    NotAllowed(&'static str),
    /// Words for the client.
    Client(&'static str),
    /// A line of its own kind.
    Line(&'static str),
    /// The server could not, for a reason of its own.
    Server(String),
}

impl Fault {
    /// The line of the text dialects, without its end.
    pub fn line(&self) -> Cow<'_, str> {
        let line = match self {
            Fault::UnknownCommand => "ERROR",
            Fault::BadLine | Fault::KeyTooLong => "CLIENT_ERROR bad command line format",
            Fault::LineTooLong => "CLIENT_ERROR line too long",
            Fault::BadDataChunk => "CLIENT_ERROR bad data chunk",
            Fault::BadExptime => "CLIENT_ERROR invalid exptime argument",
            Fault::BadDelta => "CLIENT_ERROR invalid numeric delta argument",
            Fault::DeleteUsage => {
                "CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]"
            }
            Fault::NonNumeric => "CLIENT_ERROR cannot increment or decrement non-numeric value",
            Fault::TooLarge => "SERVER_ERROR object too large for cache",
            Fault::OutOfMemory => "SERVER_ERROR out of memory storing object",
            Fault::BadLengths | Fault::Inconsistent => "CLIENT_ERROR bad lengths",
            Fault::Unauthenticated => "CLIENT_ERROR unauthenticated",
            Fault::AuthFailed => "CLIENT_ERROR authentication failure",
            Fault::AuthFormat => "CLIENT_ERROR bad authentication token format",
            Fault::AuthTermination => "CLIENT_ERROR bad command line termination",
            Fault::Client(text) | Fault::NotAllowed(text) => {
                return Cow::Owned(format!("CLIENT_ERROR {text}"));
            }
            Fault::Line(line) => line,
            Fault::Server(text) => return Cow::Owned(format!("SERVER_ERROR {text}")),
        };
        Cow::Borrowed(line)
    }

    /// Status and body of the binary dialect.
    pub fn status(&self) -> (u16, &str) {
        match self {
            Fault::TooLarge => (0x0003, "Too large."),
            Fault::NonNumeric => (0x0006, "Non-numeric server-side value for incr or decr"),
            Fault::Unauthenticated
            | Fault::AuthFailed
            | Fault::AuthFormat
            | Fault::AuthTermination
            | Fault::NotAllowed(_) => (0x0020, "Auth failure."),
            Fault::UnknownCommand | Fault::Inconsistent => (0x0081, "Unknown command"),
            Fault::OutOfMemory => (0x0082, "Out of memory allocating item"),
            Fault::Server(text) => (0x0084, text),
            _ => (0x0004, "Invalid arguments"),
        }
    }
}
