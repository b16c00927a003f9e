//! The operations.

use std::ops::ControlFlow;
use std::time::Duration;

use crate::REPLY_LEN_MAX;
use crate::address::Address;
use crate::connection::Connection;
use crate::error::Error;
use crate::expiry::Expiry;
use crate::frame::Frame;
use crate::many;
use crate::operation::{Mode, Operation};
use crate::options::Options;
use crate::pipeline::Pipeline;
use crate::pool::Pool;
use crate::reply::{Outcome, refusal};
use crate::value::{Stored, Value};
use crate::watch;

/// A client of one server. Share it between threads by reference or in an `Arc`.
///
/// # Errors
///
/// Every operation may fail with [`Error::Connect`] and its kin if a connection has to be opened;
/// with [`Error::Timeout`], [`Error::Broken`] and [`Error::Closed`] while it lasts; with
/// [`Error::Key`] for a key that is empty or too long; with [`Error::Server`] or [`Error::Client`]
/// if the server says so; and with [`Error::UnexpectedReply`] and the errors of its bounds if the
/// server's bytes are no reply. What else there is stands at the operation.
#[derive(Debug)]
pub struct Client {
    pool: Pool,
}

/// Where a reply to [`Client::raw`] ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RawEnd<'a> {
    /// After one line, or one value with its line.
    One,
    /// After the line with this first word, such as `END` or `MN`, or after an error line.
    Word(&'a str),
}

/// Takes the outcome that the operation is known to have.
macro_rules! expect {
    ($outcome:expr, $kind:ident) => {
        match $outcome? {
            Outcome::$kind(inner) => Ok(inner),
            // An `Await` gives outcomes of one kind only.
            other => Err(Error::unexpected(format!("{other:?}").as_bytes())),
        }
    };
}

impl Client {
    /// Connects with default [`Options`] to `host:port`, or to a Unix socket: `/a/path`, `./a/path`
    /// or `unix:path`.
    ///
    /// # Errors
    ///
    /// [`Error::Address`], [`Error::Resolve`], [`Error::Connect`].
    pub fn connect(address: &str) -> Result<Self, Error> {
        Self::connect_with(address, Options::default())
    }

    /// Connects, and says who one is if the options do.
    ///
    /// # Errors
    ///
    /// Those of [`Client::connect`], [`Error::Unauthenticated`], and [`Error::Argument`] for
    /// credentials that cannot be sent.
    pub fn connect_with(address: &str, options: Options) -> Result<Self, Error> {
        let pool = Pool::new(Address::parse(address)?, options);
        let first = pool.open()?;
        pool.keep(first);
        Ok(Self { pool })
    }

    pub(crate) const fn pool(&self) -> &Pool {
        &self.pool
    }

    /// A new pipeline for many operations at once.
    #[must_use]
    pub const fn pipeline(&self) -> Pipeline<'_> {
        Pipeline::new(self)
    }

    /// The value of a key.
    ///
    /// # Errors
    ///
    /// See [`Client`].
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Value>, Error> {
        expect!(self.run(Operation::Get { key: key.as_ref(), cas: false }), Value)
    }

    /// The value of a key with the token of its version.
    ///
    /// # Errors
    ///
    /// See [`Client`].
    pub fn gets(&self, key: impl AsRef<[u8]>) -> Result<Option<Value>, Error> {
        expect!(self.run(Operation::Get { key: key.as_ref(), cas: true }), Value)
    }

    /// The values of many keys, in the order of the keys. Keys are asked for in bounded batches, so
    /// there may be any number; they are not read at one moment.
    ///
    /// # Errors
    ///
    /// See [`Client`]; all or nothing.
    pub fn get_many<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<Vec<Option<Value>>, Error> {
        self.pool.with(true, |connection| many::get_many(connection, keys, false))
    }

    /// As [`Client::get_many`], with the tokens of the versions.
    ///
    /// # Errors
    ///
    /// See [`Client`]; all or nothing.
    pub fn gets_many<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<Vec<Option<Value>>, Error> {
        self.pool.with(true, |connection| many::get_many(connection, keys, true))
    }

    /// The value of a key, whose expiry is set.
    ///
    /// # Errors
    ///
    /// See [`Client`].
    pub fn get_and_touch(
        &self,
        key: impl AsRef<[u8]>,
        expiry: Expiry,
    ) -> Result<Option<Value>, Error> {
        expect!(self.run(Operation::GetAndTouch { key: key.as_ref(), expiry }), Value)
    }

    /// Stores a value whatever is there.
    ///
    /// # Errors
    ///
    /// See [`Client`]; a value that is too large for the server is [`Error::Server`].
    pub fn set(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        flags: u32,
        expiry: Expiry,
    ) -> Result<(), Error> {
        match self.store(Mode::Set, key.as_ref(), value.as_ref(), flags, expiry)? {
            Stored::Yes => Ok(()),
            _ => Err(Error::unexpected(b"NOT_STORED")),
        }
    }

    /// Stores a value if there is none; says whether it did.
    ///
    /// # Errors
    ///
    /// As [`Client::set`].
    pub fn add(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        flags: u32,
        expiry: Expiry,
    ) -> Result<bool, Error> {
        Ok(self.store(Mode::Add, key.as_ref(), value.as_ref(), flags, expiry)?.is_yes())
    }

    /// Stores a value if there is one; says whether it did.
    ///
    /// # Errors
    ///
    /// As [`Client::set`].
    pub fn replace(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        flags: u32,
        expiry: Expiry,
    ) -> Result<bool, Error> {
        Ok(self.store(Mode::Replace, key.as_ref(), value.as_ref(), flags, expiry)?.is_yes())
    }

    /// Puts bytes behind a value if there is one; says whether it did. Flags and expiry stay.
    ///
    /// # Errors
    ///
    /// As [`Client::set`].
    pub fn append(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<bool, Error> {
        Ok(self.store(Mode::Append, key.as_ref(), value.as_ref(), 0, Expiry::Never)?.is_yes())
    }

    /// Puts bytes before a value if there is one; says whether it did. Flags and expiry stay.
    ///
    /// # Errors
    ///
    /// As [`Client::set`].
    pub fn prepend(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<bool, Error> {
        Ok(self.store(Mode::Prepend, key.as_ref(), value.as_ref(), 0, Expiry::Never)?.is_yes())
    }

    /// Stores a value if the item is still the one that `token` was taken of
    /// ([`Value::cas`](crate::Value::cas), by [`Client::gets`]).
    ///
    /// # Errors
    ///
    /// As [`Client::set`].
    pub fn cas(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        flags: u32,
        expiry: Expiry,
        token: u64,
    ) -> Result<Stored, Error> {
        self.store(Mode::Cas(token), key.as_ref(), value.as_ref(), flags, expiry)
    }

    /// Adds to a decimal number, wrapping at 2^64, and gives the sum; `None` without an item.
    ///
    /// # Errors
    ///
    /// See [`Client`]; [`Error::NotNumeric`].
    pub fn incr(&self, key: impl AsRef<[u8]>, delta: u64) -> Result<Option<u64>, Error> {
        self.count(key.as_ref(), false, delta, None)
    }

    /// Subtracts from a decimal number, not below 0, and gives the difference; `None` without an
    /// item.
    ///
    /// # Errors
    ///
    /// See [`Client`]; [`Error::NotNumeric`].
    pub fn decr(&self, key: impl AsRef<[u8]>, delta: u64) -> Result<Option<u64>, Error> {
        self.count(key.as_ref(), true, delta, None)
    }

    /// As [`Client::incr`], but without an item stores `initial`, with the expiry, and gives that.
    ///
    /// # Errors
    ///
    /// See [`Client`]; [`Error::NotNumeric`]; [`Error::UnknownCommand`] by servers without meta
    /// commands.
    pub fn incr_or(
        &self,
        key: impl AsRef<[u8]>,
        delta: u64,
        initial: u64,
        expiry: Expiry,
    ) -> Result<u64, Error> {
        self.count_or(key.as_ref(), false, delta, initial, expiry)
    }

    /// As [`Client::decr`], but without an item stores `initial`, with the expiry, and gives that.
    ///
    /// # Errors
    ///
    /// As [`Client::incr_or`].
    pub fn decr_or(
        &self,
        key: impl AsRef<[u8]>,
        delta: u64,
        initial: u64,
        expiry: Expiry,
    ) -> Result<u64, Error> {
        self.count_or(key.as_ref(), true, delta, initial, expiry)
    }

    /// Sets the expiry; says whether there is such an item.
    ///
    /// # Errors
    ///
    /// See [`Client`].
    pub fn touch(&self, key: impl AsRef<[u8]>, expiry: Expiry) -> Result<bool, Error> {
        expect!(self.run(Operation::Touch { key: key.as_ref(), expiry }), Touched)
    }

    /// Removes an item; says whether there was one.
    ///
    /// # Errors
    ///
    /// See [`Client`].
    pub fn delete(&self, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        expect!(self.run(Operation::Delete { key: key.as_ref() }), Deleted)
    }

    /// Removes every item that was written before `delay` is over, which is counted in whole seconds
    /// and rounded up; zero is now.
    ///
    /// # Errors
    ///
    /// See [`Client`]; [`Error::Argument`] for a delay over 30 days, [`Error::Client`] where the
    /// command is disabled.
    pub fn flush_all(&self, delay: Duration) -> Result<(), Error> {
        /// The server would take more for a moment.
        const DELAY_MAX_S: u64 = 60 * 60 * 24 * 30;
        let delay_s = delay.as_secs().saturating_add(u64::from(delay.subsec_nanos() > 0));
        if delay_s > DELAY_MAX_S {
            let (got, want) = (format!("{delay_s} s"), "2592000 s (30 days) at most");
            return Err(Error::Argument { name: "delay", got, want });
        }
        let request = match delay_s {
            0 => "flush_all\r\n".to_owned(),
            seconds => format!("flush_all {seconds}\r\n"),
        };
        self.pool.with(false, |connection| {
            connection.send(request.as_bytes())?;
            match connection.line()?.as_slice() {
                b"OK" => Ok(()),
                line => Err(refusal(line)),
            }
        })
    }

    /// Statistics, as the server orders them: the general ones for an empty argument, else those of
    /// `items`, `slabs`, `settings` and so on. Arguments that do something (`reset`, `detail on`)
    /// give an empty list.
    ///
    /// # Errors
    ///
    /// See [`Client`]; [`Error::Argument`] for line ends in the argument, [`Error::ReplyTooLong`].
    pub fn stats(&self, argument: &str) -> Result<Vec<(String, String)>, Error> {
        if argument.len() > 1_000 || argument.bytes().any(|byte| byte.is_ascii_control()) {
            let (got, want) = (format!("{argument:?}"), "a few printable words");
            return Err(Error::Argument { name: "argument", got, want });
        }
        let space = if argument.is_empty() { "" } else { " " };
        let request = format!("stats{space}{argument}\r\n");
        // `stats reset` changes something, so nothing is sent twice.
        self.pool.with(argument.is_empty(), |connection| {
            connection.unfinished = true;
            connection.send(request.as_bytes())?;
            let statistics = statistics(connection)?;
            connection.unfinished = false;
            Ok(statistics)
        })
    }

    /// The version of the server, such as `1.6.18`.
    ///
    /// # Errors
    ///
    /// See [`Client`].
    pub fn version(&self) -> Result<String, Error> {
        self.pool.with(true, |connection| {
            connection.send(b"version\r\n")?;
            let line = connection.line()?;
            match line.strip_prefix(b"VERSION ") {
                Some(version) => Ok(String::from_utf8_lossy(version).into_owned()),
                None => Err(refusal(&line)),
            }
        })
    }

    /// Streams the server's log of these kinds (`fetchers`, `mutations`, `evictions`,
    /// `connevents`, `deletions`; the server's choice if there are none) line by line to `callback`,
    /// without the line ends.
    ///
    /// Takes a connection of its own and blocks, without a timeout, until the server closes the
    /// connection or the callback breaks, which it can do only when a line comes.
    ///
    /// # Errors
    ///
    /// See [`Client`]; [`Error::Argument`] for a kind that is not one word; [`Error::Client`] if the
    /// server does not know it.
    pub fn watch(
        &self,
        kinds: &[&str],
        callback: impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        watch::watch(&mut self.pool.open()?, kinds, callback)
    }

    /// Sends bytes as they are and gives the reply as it came, with every line end as `\r\n`: for
    /// commands that have no method here. `request` has to hold exactly one request with its line
    /// end, without `noreply` or quiet flags. A reply that is an error line is a reply.
    ///
    /// # Errors
    ///
    /// See [`Client`]; [`Error::ReplyTooLong`].
    pub fn raw(&self, request: &[u8], end: RawEnd<'_>) -> Result<Vec<u8>, Error> {
        self.pool.with(false, |connection| {
            connection.unfinished = true;
            connection.send(request)?;
            let (reply, is_error) = raw_reply(connection, end)?;
            // After an error who knows what the server took for what.
            connection.unfinished = is_error;
            Ok(reply)
        })
    }

    fn run(&self, operation: Operation<'_>) -> Result<Outcome, Error> {
        self.pool.with(operation.only_reads(), |connection| connection.run(operation))
    }

    fn store(
        &self,
        mode: Mode,
        key: &[u8],
        value: &[u8],
        flags: u32,
        expiry: Expiry,
    ) -> Result<Stored, Error> {
        expect!(self.run(Operation::Store { mode, key, value, flags, expiry }), Stored)
    }

    fn count(
        &self,
        key: &[u8],
        down: bool,
        delta: u64,
        initial: Option<(u64, Expiry)>,
    ) -> Result<Option<u64>, Error> {
        expect!(self.run(Operation::Count { key, down, delta, initial }), Number)
    }

    fn count_or(
        &self,
        key: &[u8],
        down: bool,
        delta: u64,
        initial: u64,
        expiry: Expiry,
    ) -> Result<u64, Error> {
        let number = self.count(key, down, delta, Some((initial, expiry)))?;
        number.ok_or_else(|| Error::unexpected(b"NF"))
    }
}

/// Reads `STAT name value` lines and their kin up to the end of the reply.
fn statistics(connection: &mut Connection) -> Result<Vec<(String, String)>, Error> {
    let mut statistics = Vec::new();
    let mut reply_len = 0;
    loop {
        let line = connection.line()?;
        bounded(&mut reply_len, line.len())?;
        let text = String::from_utf8_lossy(&line);
        let (word, rest) = text.split_once(' ').unwrap_or((&text, ""));
        match word {
            "STAT" | "ITEM" | "PREFIX" => {
                let (name, value) = rest.split_once(' ').unwrap_or((rest, ""));
                statistics.push((name.to_owned(), value.to_owned()));
            }
            "END" | "RESET" | "OK" => return Ok(statistics),
            _ => return Err(refusal(&line)),
        }
    }
}

/// Reads a reply as it is; says too whether it is or ends in an error.
fn raw_reply(connection: &mut Connection, end: RawEnd<'_>) -> Result<(Vec<u8>, bool), Error> {
    let (mut reply, mut reply_len) = (Vec::new(), 0);
    loop {
        let (line, data) = match connection.frame()? {
            Frame::Line(line) => (line, None),
            Frame::Value { line, data } => (line, Some(data)),
        };
        bounded(&mut reply_len, line.len() + data.as_ref().map_or(0, Vec::len))?;
        for part in [Some(&line), data.as_ref()].into_iter().flatten() {
            reply.extend_from_slice(part);
            reply.extend_from_slice(b"\r\n");
        }
        let word = line.split(|&byte| byte == b' ').next().unwrap_or_default();
        let is_error = matches!(word, b"ERROR" | b"CLIENT_ERROR" | b"SERVER_ERROR");
        let is_end = match end {
            RawEnd::One => true,
            RawEnd::Word(last) => word == last.as_bytes(),
        };
        if is_error || is_end {
            return Ok((reply, is_error));
        }
    }
}

/// Counts bytes of a reply that is collected as a whole.
fn bounded(reply_len: &mut usize, more: usize) -> Result<(), Error> {
    *reply_len = reply_len.saturating_add(more + 2);
    match *reply_len > REPLY_LEN_MAX {
        true => Err(Error::ReplyTooLong { max: REPLY_LEN_MAX }),
        false => Ok(()),
    }
}
