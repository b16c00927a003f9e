//! Where a server is.

use std::fmt;
use std::path::PathBuf;

use crate::error::Error;

/// Address of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    /// `host:port`; the host a name or an address, IPv6 in brackets.
    Tcp(String),
    /// Path of a Unix socket.
    Unix(PathBuf),
}

impl Address {
    /// Reads `host:port`, `unix:path`, or a path, which has a slash.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            return Ok(Self::Unix(PathBuf::from(path)));
        }
        if text.contains('/') {
            return Ok(Self::Unix(PathBuf::from(text)));
        }
        let (host, port) = text.rsplit_once(':').unwrap_or_default();
        // An IPv6 address without brackets would lose its last group to the port.
        let host_ok = !host.is_empty() && (!host.contains(':') || host.starts_with('['));
        if !host_ok || port.parse::<u16>().is_err() {
            return Err(Error::Address { text: text.to_owned() });
        }
        Ok(Self::Tcp(text.to_owned()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(text) => f.write_str(text),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for text in ["127.0.0.1:11211", "[::1]:1", "cache.example:65535"] {
            assert_eq!(Address::parse(text).unwrap(), Address::Tcp(text.to_owned()));
        }
        for (text, path) in [("unix:/run/x", "/run/x"), ("unix:x", "x"), ("./x:1", "./x:1")] {
            assert_eq!(Address::parse(text).unwrap(), Address::Unix(path.into()));
        }
        for text in ["", "localhost", ":11211", "a:65536", "a:", "::1:11211", "unix:"] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }
}
