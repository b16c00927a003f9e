//! What a server says of the records it holds.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use todana_bench::Target;

use crate::Result;
use crate::contestant::{Server, Who};

const TIMEOUT: Duration = Duration::from_secs(10);

/// Counts of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Records {
    /// Held now.
    pub(crate) held: u64,
    /// Removed for want of memory since the start.
    pub(crate) evicted: u64,
}

/// Asks a server for its counts.
pub(crate) fn records(server: &Server) -> Result<Records> {
    let name = server.who.name();
    let (question, held, evicted) = match server.who {
        Who::Redis => ("DBSIZE\r\nINFO stats\r\nQUIT\r\n", ":", "evicted_keys:"),
        _ => ("stats\r\nquit\r\n", "STAT curr_items ", "STAT evictions "),
    };
    let said = ask(&server.target, question).map_err(|error| format!("asking {name}: {error}"))?;
    let figure = |label: &str| {
        figure(&said, label).ok_or_else(|| format!("{name} says nothing of {:?}", label.trim()))
    };
    Ok(Records { held: figure(held)?, evicted: figure(evicted)? })
}

/// All that comes until the server closes, as the last command of the question tells it to.
fn ask(target: &Target, question: &str) -> std::io::Result<String> {
    let mut said = String::new();
    match target {
        Target::Tcp(address) => {
            let mut stream = TcpStream::connect(address)?;
            stream.set_read_timeout(Some(TIMEOUT))?;
            stream.write_all(question.as_bytes())?;
            stream.read_to_string(&mut said)?;
        }
        Target::Unix(path) => {
            let mut stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(TIMEOUT))?;
            stream.write_all(question.as_bytes())?;
            stream.read_to_string(&mut said)?;
        }
    }
    Ok(said)
}

/// The number of the line that begins with this label.
fn figure(said: &str, label: &str) -> Option<u64> {
    said.lines().find_map(|line| line.strip_prefix(label)?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_in_either_language() {
        let memcached = "STAT curr_items 12\r\nSTAT evictions 3\r\nEND\r\n";
        assert_eq!(figure(memcached, "STAT curr_items "), Some(12));
        let redis = ":7\r\n$24\r\n# Stats\r\nevicted_keys:5\r\n\r\n+OK\r\n";
        assert_eq!((figure(redis, ":"), figure(redis, "evicted_keys:")), (Some(7), Some(5)));
        assert_eq!(figure(redis, "STAT evictions "), None);
    }
}
