//! The commands of the binary that talk to a running server: `get`, `set`, `delete`, `incr`,
//! `stats`, `watch`, `flush`.
//!
//! They leave with 0 for a hit or a thing done, 1 for a miss or a condition that does not hold, and
//! 2 for an error, which they report on standard error as `todana: verb object: reason`. Standard
//! output carries data and nothing else; when its reader goes away they end quietly.

use crate::outcome::{EXIT_STATUS, Failure, MISS, complain, finish, standard_input};
use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Write as _};
use std::ops::ControlFlow;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use crate::put_mode::{PutModeArgs, finish_put, refusal};
use clap::Args;
use todana_client::{Client, Credentials, Expiry, Options, Stored, VALUE_SENT_LEN_MAX, Value};
use todana_store::operation::PutMode;

/// How to reach the server.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct ConnectArgs {
    /// Server: HOST:PORT, or the path of a Unix socket.
    #[arg(
        short,
        long,
        value_name = "ADDRESS",
        env = "TODANA_SERVER",
        default_value = "127.0.0.1:11211"
    )]
    server: String,
    /// Longest wait for the connection, and for every piece of a reply, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    timeout: Duration,
    /// User to log in as, where the server asks for one.
    #[arg(long, value_name = "NAME", requires = "password_file")]
    user: Option<String>,
    /// File with the password of the user, in its first line.
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
}

impl ConnectArgs {
    fn connect(&self) -> Result<Client, Failure> {
        let options = Options {
            connect_timeout: Some(self.timeout),
            read_timeout: Some(self.timeout),
            write_timeout: Some(self.timeout),
            credentials: self.credentials()?,
            ..Options::default()
        };
        Ok(Client::connect_with(&self.server, options)?)
    }

    #[expect(clippy::disallowed_methods, reason = "a file that the user names")]
    fn credentials(&self) -> Result<Option<Credentials>, Failure> {
        let (Some(user), Some(file)) = (&self.user, &self.password_file) else { return Ok(None) };
        let text = std::fs::read_to_string(file).map_err(|error| {
            let file = file.display();
            Failure::Because(format!("cannot read the password file {file}: {error}"))
        })?;
        let password = text.lines().next().unwrap_or_default().to_owned();
        Ok(Some(Credentials { user: user.clone(), password }))
    }
}

/// Reads seconds with a fraction, above zero and at most a day.
fn seconds(text: &str) -> Result<Duration, String> {
    let number = text.strip_suffix('s').unwrap_or(text).parse::<f64>().ok();
    let number = number.filter(|number| (0.001..=86_400.0).contains(number));
    number.map(Duration::from_secs_f64).ok_or_else(|| "seconds from 0.001 to 86400".to_owned())
}

/// Print the values of keys.
#[derive(Debug, Args)]
#[command(after_help = format!("\
One key: its value goes to standard output as it is, with nothing around it.
Several keys: each value that exists is followed by a newline, in the order of the keys.

Examples:
  todana get user:7
  todana get --with-keys user:7 user:8
  todana get photo > photo.jpg

{EXIT_STATUS} With several keys, one that is missing makes it 1."))]
pub(crate) struct GetArgs {
    /// Keys, of any bytes.
    #[arg(required = true, value_name = "KEY")]
    keys: Vec<OsString>,
    /// Print the token of every value to standard error, for `set --cas`.
    #[arg(long)]
    cas: bool,
    /// Put nothing between several values.
    #[arg(long)]
    raw: bool,
    /// Begin every value with its key and a tab.
    #[arg(long)]
    with_keys: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

impl GetArgs {
    /// Runs the command.
    pub(crate) fn run(self) -> ExitCode {
        let what = match self.keys.as_slice() {
            [key] => format!("get {}", key.to_string_lossy()),
            keys => format!("get {} keys", keys.len()),
        };
        finish(&what, self.print())
    }

    fn print(&self) -> Result<u8, Failure> {
        /// Keys asked for at a time, so that not all values are in memory at once.
        const KEYS_AT_A_TIME: usize = 64;
        let client = self.connect.connect()?;
        let newline = self.keys.len() > 1 && !self.raw;
        let mut out = io::BufWriter::with_capacity(64 << 10, io::stdout().lock());
        let mut status = 0;
        for keys in self.keys.chunks(KEYS_AT_A_TIME) {
            let bytes: Vec<&[u8]> = keys.iter().map(|key| key.as_bytes()).collect();
            let values = match self.cas {
                true => client.gets_many(&bytes)?,
                false => client.get_many(&bytes)?,
            };
            for (key, value) in keys.iter().zip(values) {
                match value {
                    Some(value) => {
                        self.print_one(key, &value, newline, &mut out)
                            .map_err(Failure::of_output)?;
                    }
                    None => status = MISS,
                }
            }
        }
        out.flush().map_err(Failure::of_output)?;
        Ok(status)
    }

    fn print_one(
        &self,
        key: &OsString,
        value: &Value,
        newline: bool,
        out: &mut impl io::Write,
    ) -> io::Result<()> {
        if let Some(token) = value.cas {
            match self.keys.len() {
                1 => writeln!(io::stderr(), "{token}")?,
                _ => writeln!(io::stderr(), "{}\t{token}", key.to_string_lossy())?,
            }
        }
        if self.with_keys {
            out.write_all(key.as_bytes())?;
            out.write_all(b"\t")?;
        }
        out.write_all(&value.data)?;
        out.write_all(if newline { b"\n" } else { b"" })
    }
}

/// Store a value.
#[derive(Debug, Args)]
#[command(
    group = clap::ArgGroup::new("condition").multiple(false),
    after_help = format!("\
Examples:
  todana set user:7 Ada --ttl 3600
  todana set photo --flags 1 < photo.jpg
  todana set lock me --add --ttl 30
  todana set user:7 Grace --cas 42

{EXIT_STATUS}")
)]
pub(crate) struct SetArgs {
    /// Key, of any bytes.
    #[arg(value_name = "KEY")]
    key: OsString,
    /// Value; standard input up to its end if it is missing.
    #[arg(value_name = "VALUE", allow_negative_numbers = true)]
    value: Option<OsString>,
    /// Let the item expire after so many seconds; it stays without.
    #[arg(long, value_name = "SECONDS")]
    ttl: Option<u32>,
    /// Number to be stored with the value.
    #[arg(long, value_name = "N", default_value_t = 0)]
    flags: u32,
    #[command(flatten)]
    condition: PutModeArgs,
    /// Only if the item has not changed since `get --cas` printed this token.
    #[arg(long, value_name = "TOKEN", group = "condition")]
    cas: Option<u64>,
    #[command(flatten)]
    connect: ConnectArgs,
}

impl SetArgs {
    /// Runs the command.
    pub(crate) fn run(self) -> ExitCode {
        let what = format!("set {}", self.key.to_string_lossy());
        finish_put(&what, self.store())
    }

    /// Stores the value, or says which condition does not hold.
    fn store(self) -> Result<Option<&'static str>, Failure> {
        let key = self.key.as_bytes();
        // Before standard input is read, so that a server that is not there shows at once.
        let client = self.connect.connect()?;
        let value = match self.value {
            Some(value) => value.into_vec(),
            None => standard_input(VALUE_SENT_LEN_MAX as u64)?,
        };
        let expiry = match self.ttl {
            Some(ttl) => Expiry::In(Duration::from_secs(ttl.into())),
            None => Expiry::Never,
        };
        if let Some(token) = self.cas {
            return Ok(match client.cas(key, value, self.flags, expiry, token)? {
                Stored::Yes => None,
                Stored::Missing => Some("not stored: no such key"),
                Stored::Changed | Stored::No => Some("not stored: the item has changed"),
            });
        }
        let mode = self.condition.mode();
        let stored = match mode {
            PutMode::Add => client.add(key, value, self.flags, expiry)?,
            PutMode::Replace => client.replace(key, value, self.flags, expiry)?,
            PutMode::Append => client.append(key, value)?,
            PutMode::Prepend => client.prepend(key, value)?,
            PutMode::Set => client.set(key, value, self.flags, expiry).map(|_| true)?,
        };
        Ok((!stored).then(|| refusal(mode)))
    }
}

/// Remove keys.
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  todana delete user:7 user:8

{EXIT_STATUS} With several keys, one that is missing makes it 1."))]
pub(crate) struct DeleteArgs {
    /// Keys, of any bytes.
    #[arg(required = true, value_name = "KEY")]
    keys: Vec<OsString>,
    #[command(flatten)]
    connect: ConnectArgs,
}

impl DeleteArgs {
    /// Runs the command.
    pub(crate) fn run(self) -> ExitCode {
        let what = match self.keys.as_slice() {
            [key] => format!("delete {}", key.to_string_lossy()),
            keys => format!("delete {} keys", keys.len()),
        };
        finish(&what, self.delete())
    }

    fn delete(&self) -> Result<u8, Failure> {
        let client = self.connect.connect()?;
        let mut pipeline = client.pipeline();
        for key in &self.keys {
            pipeline.delete(key.as_bytes());
        }
        let mut status = 0;
        for (key, outcome) in self.keys.iter().zip(pipeline.run()?) {
            if outcome? == todana_client::Outcome::Deleted(false) {
                complain(&format!("delete {}", key.to_string_lossy()), "no such key");
                status = MISS;
            }
        }
        Ok(status)
    }
}

/// Count a number up or down and print it.
#[derive(Debug, Args)]
#[command(after_help = format!("\
Counting down stops at 0; counting up wraps at 2^64.

Examples:
  todana incr visits
  todana incr visits 10
  todana incr stock --by -3
  todana incr visits --initial 1

{EXIT_STATUS}"))]
pub(crate) struct IncrArgs {
    /// Key, of any bytes.
    #[arg(value_name = "KEY")]
    key: OsString,
    /// How much to add; negative to subtract [default: 1].
    #[arg(value_name = "N", conflicts_with = "by", allow_negative_numbers = true)]
    n: Option<i128>,
    /// The same as an option.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    by: Option<i128>,
    /// Subtract instead of adding.
    #[arg(long)]
    decr: bool,
    /// Without such an item, store this number and print it.
    #[arg(long, value_name = "N")]
    initial: Option<u64>,
    /// Let an item that --initial creates expire after so many seconds.
    #[arg(long, value_name = "SECONDS", requires = "initial")]
    ttl: Option<u32>,
    #[command(flatten)]
    connect: ConnectArgs,
}

impl IncrArgs {
    /// Runs the command.
    pub(crate) fn run(self) -> ExitCode {
        let what = format!("incr {}", self.key.to_string_lossy());
        let done = self.count().and_then(|number| match number {
            Some(number) => {
                let written = writeln!(io::stdout(), "{number}");
                written.map(|()| 0).map_err(Failure::of_output)
            }
            None => {
                complain(&what, "no such key; --initial creates one");
                Ok(MISS)
            }
        });
        finish(&what, done)
    }

    fn count(&self) -> Result<Option<u64>, Failure> {
        let key = self.key.as_bytes();
        let by = self.n.or(self.by).unwrap_or(1);
        let down = self.decr != (by < 0);
        let delta = u64::try_from(by.unsigned_abs());
        let delta = delta.map_err(|_| Failure::because("N is a number below 2^64"))?;
        let client = self.connect.connect()?;
        let expiry = match self.ttl {
            Some(ttl) => Expiry::In(Duration::from_secs(ttl.into())),
            None => Expiry::Never,
        };
        Ok(match (self.initial, down) {
            (Some(initial), false) => Some(client.incr_or(key, delta, initial, expiry)?),
            (Some(initial), true) => Some(client.decr_or(key, delta, initial, expiry)?),
            (None, false) => client.incr(key, delta)?,
            (None, true) => client.decr(key, delta)?,
        })
    }
}

/// Print statistics of the server.
#[derive(Debug, Args)]
#[command(after_help = format!("\
One line each: the name, a tab, the value. On a terminal the values stand in a column.

Examples:
  todana stats
  todana stats settings
  todana stats items

{EXIT_STATUS}"))]
pub(crate) struct StatsArgs {
    /// Which ones, such as settings, items, slabs, conns; the general ones if it is missing.
    #[arg(value_name = "ARGUMENT")]
    argument: Vec<String>,
    #[command(flatten)]
    connect: ConnectArgs,
}

impl StatsArgs {
    /// Runs the command.
    pub(crate) fn run(self) -> ExitCode {
        let argument = self.argument.join(" ");
        finish(format!("stats {argument}").trim_end(), self.print(&argument))
    }

    fn print(&self, argument: &str) -> Result<u8, Failure> {
        let statistics = self.connect.connect()?.stats(argument)?;
        let stdout = io::stdout().lock();
        let longest = || statistics.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let column = if stdout.is_terminal() { Some(longest() + 2) } else { None };
        let mut out = io::BufWriter::new(stdout);
        for (name, value) in &statistics {
            let written = match column {
                Some(width) => writeln!(out, "{name:<width$}{value}"),
                None => writeln!(out, "{name}\t{value}"),
            };
            written.map_err(Failure::of_output)?;
        }
        out.flush().map_err(Failure::of_output)?;
        Ok(0)
    }
}

/// Print the server's log as it happens.
#[derive(Debug, Args)]
#[command(after_help = format!("\
Ends when the server closes the connection, or when nobody reads the output any more.

Kinds: fetchers, mutations, evictions, connevents, deletions, as far as the server
knows them.

Examples:
  todana watch
  todana watch mutations evictions | grep user:

{EXIT_STATUS}"))]
pub(crate) struct WatchArgs {
    /// What to watch [default: the server's choice, fetchers by memcached].
    #[arg(value_name = "KIND")]
    kinds: Vec<String>,
    #[command(flatten)]
    connect: ConnectArgs,
}

impl WatchArgs {
    /// Runs the command.
    pub(crate) fn run(self) -> ExitCode {
        let what = format!("watch {}", self.kinds.join(" "));
        finish(what.trim_end(), self.print())
    }

    fn print(&self) -> Result<u8, Failure> {
        let client = self.connect.connect()?;
        let kinds: Vec<&str> = self.kinds.iter().map(String::as_str).collect();
        let mut out = io::stdout().lock();
        let mut failed = None;
        client.watch(&kinds, |line| {
            let whole = [line, b"\n"].concat();
            match out.write_all(&whole).and_then(|()| out.flush()) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failed = Some(Failure::of_output(error));
                    ControlFlow::Break(())
                }
            }
        })?;
        failed.map_or(Ok(0), Err)
    }
}

/// Remove all items.
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  todana flush
  todana flush --delay 60

{EXIT_STATUS}"))]
pub(crate) struct FlushArgs {
    /// Do it after so many seconds; what is written until then goes as well.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    delay: u32,
    #[command(flatten)]
    connect: ConnectArgs,
}

impl FlushArgs {
    /// Runs the command.
    pub(crate) fn run(self) -> ExitCode {
        let delay = Duration::from_secs(self.delay.into());
        let flushed = self.connect.connect().and_then(|client| Ok(client.flush_all(delay)?));
        finish(&format!("flush {}", self.connect.server), flushed.map(|()| 0))
    }
}
