//! One connection: requests out, frames in.

use std::io::{ErrorKind, Read as _, Write as _};
use std::sync::Arc;

use crate::address::Address;
use crate::error::Error;
use crate::frame::{Frame, FrameParser};
use crate::operation::Operation;
use crate::options::{Credentials, Options};
use crate::reply::{Await, Outcome, refusal};
use crate::stream::Stream;

/// Bytes asked of the socket at a time.
const READ_LEN: usize = 32 << 10;

/// An open connection, authenticated where that is wanted. Whoever gets an error from it that does
/// not keep the connection (see [`Error::keeps_connection`]) drops it.
#[derive(Debug)]
pub(crate) struct Connection {
    address: Arc<Address>,
    stream: Stream,
    parser: FrameParser,
    /// Requests are put together here.
    out: Vec<u8>,
    /// Bytes of the socket land here.
    read: Box<[u8]>,
    /// Whether anything came since the last request; if not, a failure may be that of an idle
    /// connection.
    pub(crate) heard: bool,
    /// Whether somebody is in the middle of reading replies that `awaited` does not know of.
    pub(crate) unfinished: bool,
}

impl Connection {
    pub(crate) fn open(address: &Arc<Address>, options: &Options) -> Result<Self, Error> {
        let mut connection = Self {
            address: Arc::clone(address),
            stream: Stream::connect(address, options)?,
            parser: FrameParser::new(options.value_len_max),
            out: Vec::new(),
            read: vec![0; READ_LEN].into_boxed_slice(),
            heard: false,
            unfinished: false,
        };
        if let Some(credentials) = &options.credentials {
            connection.authenticate(credentials)?;
        }
        Ok(connection)
    }

    /// As memcached's `-Y` wants it: a set, of any key, whose data is user, space, password.
    fn authenticate(&mut self, credentials: &Credentials) -> Result<(), Error> {
        let Credentials { user, password } = credentials;
        if user.is_empty() || user.contains([' ', '\r', '\n', '\0']) {
            let want = "a name without spaces and line ends";
            return Err(Error::Argument { name: "user", got: format!("{user:?}"), want });
        }
        if password.contains(['\r', '\n', '\0']) {
            let (got, want) = ("the password".to_owned(), "one line");
            return Err(Error::Argument { name: "password", got, want });
        }
        let len = user.len() + 1 + password.len();
        let request = format!("set auth 0 0 {len}\r\n{user} {password}\r\n");
        self.send(request.as_bytes())?;
        match self.line()?.as_slice() {
            b"STORED" => Ok(()),
            line => Err(refusal(line)),
        }
    }

    /// Whether a request may be sent: nothing is left over from the last one, and the server has
    /// not hung up.
    pub(crate) fn is_ready(&mut self) -> bool {
        self.is_clean() && self.stream.is_quiet()
    }

    /// Whether every reply was taken to its end.
    pub(crate) fn is_clean(&self) -> bool {
        !self.unfinished && self.parser.is_empty()
    }

    /// Sends one request and awaits its outcome.
    pub(crate) fn run(&mut self, operation: Operation<'_>) -> Result<Outcome, Error> {
        /// A buffer larger than this is given back to the system.
        const KEPT_LEN_MAX: usize = 64 << 10;
        let mut out = std::mem::take(&mut self.out);
        out.clear();
        let awaited = operation.encode(&mut out)?;
        self.send(&out)?;
        if out.capacity() <= KEPT_LEN_MAX {
            self.out = out;
        }
        self.outcome(awaited)
    }

    /// Reads the reply that is awaited.
    pub(crate) fn outcome(&mut self, mut awaited: Await) -> Result<Outcome, Error> {
        loop {
            let frame = self.frame()?;
            if let Some(outcome) = awaited.take(frame)? {
                return Ok(outcome);
            }
        }
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.heard = false;
        let sent = self.stream.write_all(bytes);
        sent.map_err(|source| Error::socket(&self.address, "sending", source))
    }

    /// The next frame.
    pub(crate) fn frame(&mut self) -> Result<Frame, Error> {
        loop {
            if let Some(frame) = self.parser.next()? {
                return Ok(frame);
            }
            if !self.fill()? {
                return Err(Error::Closed { address: self.address.to_string() });
            }
        }
    }

    /// The next line, which announces no value.
    pub(crate) fn line(&mut self) -> Result<Vec<u8>, Error> {
        match self.frame()? {
            Frame::Line(line) => Ok(line),
            Frame::Value { line, .. } => Err(Error::unexpected(&line)),
        }
    }

    /// The next line whatever it says; `None` if the server closed the connection before it.
    pub(crate) fn any_line(&mut self) -> Result<Option<Vec<u8>>, Error> {
        loop {
            if let Some(line) = self.parser.line()? {
                return Ok(Some(line));
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// Waits for lines as long as they take.
    pub(crate) fn wait_for_ever(&self) -> Result<(), Error> {
        let set = self.stream.set_read_timeout(None);
        set.map_err(|source| Error::socket(&self.address, "waiting for a reply", source))
    }

    /// Reads once; false at the end.
    fn fill(&mut self) -> Result<bool, Error> {
        loop {
            match self.stream.read(&mut self.read) {
                Ok(0) => return Ok(false),
                Ok(count) => {
                    self.heard = true;
                    self.parser.feed(self.read.get(..count).unwrap_or_default());
                    return Ok(true);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(source) => {
                    return Err(Error::socket(&self.address, "waiting for a reply", source));
                }
            }
        }
    }
}
