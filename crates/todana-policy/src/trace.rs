//! What a cache is asked for, one request after another, and its text form.

use crate::key_hash::BuildKeyHash;
use std::collections::HashMap;
use std::error::Error;
use std::fmt;

/// Requests that a trace has at most: they are numbered by 32 bits.
pub const REQUESTS_MAX: usize = u32::MAX as usize - 1;

/// A request for an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// Which object.
    pub key: u64,
    /// Bytes that it takes, at least one.
    pub size: u32,
    /// Requests of the trace after which it expires, counted from when it is taken in; 0 for never.
    pub ttl: u32,
}

/// Requests in their order. Keys are numbered from 0 in the order in which they come first, and have the
/// size of their first request.
#[derive(Debug, Clone)]
pub struct Trace {
    name: String,
    requests: Vec<Request>,
    objects: usize,
    bytes: u64,
}

impl Trace {
    /// A trace of such requests.
    ///
    /// # Panics
    /// If they are more than [`REQUESTS_MAX`].
    pub fn new(name: &str, mut requests: Vec<Request>) -> Trace {
        assert!(requests.len() <= REQUESTS_MAX, "a trace of more than {REQUESTS_MAX} requests");
        let mut known: HashMap<u64, (u64, u32), BuildKeyHash> = HashMap::default();
        let mut bytes = 0;
        for request in &mut requests {
            let next = known.len() as u64;
            (request.key, request.size) = *known.entry(request.key).or_insert_with(|| {
                bytes += u64::from(request.size);
                (next, request.size)
            });
        }
        Trace { name: name.to_owned(), requests, objects: known.len(), bytes }
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The requests.
    pub fn requests(&self) -> &[Request] {
        &self.requests
    }

    /// Different keys.
    pub fn objects(&self) -> usize {
        self.objects
    }

    /// Bytes of all objects together: what a cache that never has to evict would hold.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Reads a trace from text, a line at a time.
///
/// A line is a request: `KEY [SIZE [TTL]]`, separated by blanks, tabs or a comma. KEY is any word, SIZE the
/// object's bytes (at least 1, and 1 if it is missing), TTL the number of requests after which it expires (0 or missing for
/// never). What follows a `#` is a comment; empty lines are skipped.
///
/// ```
/// # use todana_policy::TraceReader;
/// let mut reader = TraceReader::default();
/// for line in ["# key size", "user:7 120", "user:9,300", "user:7 120"] {
///     reader.line(line)?;
/// }
/// let trace = reader.finish("day");
/// assert_eq!((trace.requests().len(), trace.objects(), trace.bytes()), (3, 2, 420));
/// # Ok::<(), todana_policy::TraceError>(())
/// ```
#[derive(Debug, Default)]
pub struct TraceReader {
    lines: u64,
    keys: HashMap<String, u64>,
    requests: Vec<Request>,
}

/// A line that is no request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceError {
    /// Its number, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for TraceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

impl Error for TraceError {}

impl TraceReader {
    /// Takes the next line.
    ///
    /// # Errors
    /// That the line is no request, or one too many.
    pub fn line(&mut self, text: &str) -> Result<(), TraceError> {
        self.lines += 1;
        let wrong = |reason| TraceError { line: self.lines, reason };
        let content = text.split('#').next().unwrap_or("");
        let mut words = content.split([' ', '\t', ',', '\r', '\n']).filter(|word| !word.is_empty());
        let Some(key) = words.next() else { return Ok(()) };
        let [size, ttl] = [("size", 1), ("TTL", 0)].map(|(what, least)| match words.next() {
            None => Ok(least),
            Some(word) => word.parse().ok().filter(|&number| number >= least).ok_or_else(|| {
                wrong(format!("{word:?} is no {what}: a number from {least} to {} is", u32::MAX))
            }),
        });
        let (size, ttl) = (size?, ttl?);
        if let Some(more) = words.next() {
            return Err(wrong(format!("{more:?} is too much: a line is KEY [SIZE [TTL]]")));
        }
        if self.requests.len() >= REQUESTS_MAX {
            return Err(wrong(format!("more than {REQUESTS_MAX} requests")));
        }
        let key = match self.keys.get(key) {
            Some(&number) => number,
            None => {
                let number = self.keys.len() as u64;
                self.keys.insert(key.to_owned(), number);
                number
            }
        };
        self.requests.push(Request { key, size, ttl });
        Ok(())
    }

    /// The trace of all lines.
    pub fn finish(self, name: &str) -> Trace {
        Trace::new(name, self.requests)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Trace, TraceError> {
        let mut reader = TraceReader::default();
        text.lines().try_for_each(|line| reader.line(line))?;
        Ok(reader.finish("test"))
    }

    #[test]
    fn lines_are_requests() {
        let trace = read("b 5\n\n# nothing\na,7,100 # comment\nb, 9\t1\na\n").unwrap();
        let requests: Vec<_> =
            trace.requests().iter().map(|one| (one.key, one.size, one.ttl)).collect();
        assert_eq!(requests, [(0, 5, 0), (1, 7, 100), (0, 5, 1), (1, 7, 0)]);
        assert_eq!((trace.objects(), trace.bytes()), (2, 12));
    }

    #[test]
    fn a_wrong_line_is_named() {
        for (text, line, expected) in [
            ("a\nb x", 2, "\"x\" is no size"),
            ("a 0", 1, "\"0\" is no size: a number from 1 to"),
            ("a 1 -1", 1, "\"-1\" is no TTL"),
            ("\n\na 99999999999", 3, "is no size"),
            ("a 1 2 3", 1, "\"3\" is too much"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.line == line && error.reason.contains(expected), "{text:?}: {error}");
        }
    }
}
