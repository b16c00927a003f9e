//! One or some records: `get`, `put`, `delete`, `incr`, `list`.

use super::key::{KeyForm, shown};
use super::{StoreArg, tsv};
use crate::meter::Meter;
use crate::outcome::{EXIT_STATUS, Failure, MISS, complain, finish, say, standard_input};
use crate::put_mode::{PutModeArgs, finish_put, refusal};
use clap::Args;
use clap::builder::RangedI64ValueParser;
use std::borrow::Cow;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStringExt as _;
use std::process::ExitCode;
use todana_engine::{Mutation, Progress, View};
use todana_io::{Clock as _, SystemClock};
use todana_record::{Expiry, Timestamp};
use todana_store::operation::{CountOutcome, Counting, PutOutcome, Putting};
use todana_store::{Error, Store, bytes_of};

/// Print the value of a key.
#[derive(Debug, Args)]
#[command(after_help = format!("\
The value goes to standard output as it is, with nothing around it.

Examples:
  todana db get casket.tdh user:7
  todana db get casket.tdh photo > photo.jpg

{EXIT_STATUS}"))]
pub(crate) struct GetArgs {
    #[command(flatten)]
    store: StoreArg,
    /// Key, of any bytes.
    #[arg(value_name = "KEY")]
    key: OsString,
    #[command(flatten)]
    form: KeyForm,
}

impl GetArgs {
    pub(super) fn run(self) -> ExitCode {
        finish(&format!("db get {}", shown(&self.key)), self.print())
    }

    fn print(&self) -> Result<u8, Failure> {
        let key = self.form.bytes(&self.key)?;
        let opened = self.store.place()?.read()?;
        let Some(record) = opened.store.get(&key)? else { return Ok(MISS) };
        let mut out = io::stdout().lock();
        out.write_all(&record.value).and_then(|()| out.flush()).map_err(Failure::of_output)?;
        Ok(0)
    }
}

/// The moment by the store's clock.
fn now(store: &Store) -> Timestamp {
    store.engine().clock().advance(SystemClock::new().wall_ms())
}

/// A record that ended at once would be no record.
fn lifetime() -> RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..)
}

fn expiry_in(store: &Store, ttl_s: Option<u32>) -> Expiry {
    let after = |ttl_s| Expiry::at(now(store).plus_ms(u64::from(ttl_s) * 1_000));
    ttl_s.map_or(Expiry::NEVER, after)
}

fn update(store: &Store, key: &[u8], mutation: &mut dyn Mutation) -> Result<(), Failure> {
    match store.engine().update(key, now(store), mutation).map_err(Failure::because)? {
        Progress::Done(_) => Ok(()),
        Progress::Pending(_) => Err(Error::WouldWait.into()),
    }
}

/// Store a value.
#[derive(Debug, Args)]
#[command(
    group = clap::ArgGroup::new("condition").multiple(false),
    after_help = format!("\
Examples:
  todana db put casket.tdh user:7 Ada --ttl 3600
  todana db put casket.tdh photo --flags 1 < photo.jpg
  todana db put casket.tdh user:7 Grace --replace

{EXIT_STATUS}")
)]
pub(crate) struct PutArgs {
    #[command(flatten)]
    store: StoreArg,
    /// Key, of any bytes.
    #[arg(value_name = "KEY")]
    key: OsString,
    #[command(flatten)]
    form: KeyForm,
    /// Value; standard input up to its end if it is missing.
    #[arg(value_name = "VALUE", allow_negative_numbers = true)]
    value: Option<OsString>,
    /// Let the record expire after so many seconds, at least 1; it stays without.
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, value_parser = lifetime())]
    ttl: Option<u32>,
    /// Number to be stored with the value.
    #[arg(long, value_name = "N", default_value_t = 0)]
    flags: u32,
    #[command(flatten)]
    condition: PutModeArgs,
}

impl PutArgs {
    pub(super) fn run(self) -> ExitCode {
        let what = format!("db put {}", shown(&self.key));
        finish_put(&what, self.put())
    }

    /// Stores the value, or says which condition does not hold.
    fn put(self) -> Result<Option<&'static str>, Failure> {
        let mode = self.condition.mode();
        let key = self.form.bytes(&self.key)?;
        // Before standard input is read, so that a store that is not there shows at once.
        let store = self.store.place()?.change()?;
        let value = match self.value {
            Some(value) => value.into_vec(),
            None => standard_input(store.engine().limits().value_len_max)?,
        };
        let expiry = expiry_in(&store, self.ttl);
        let mut putting = Putting { flags: self.flags, expiry, mode, ..Putting::set(&value) };
        update(&store, &key, &mut putting)?;
        let outcome = putting.outcome;
        store.close()?;
        Ok(match outcome {
            PutOutcome::Stored { .. } => None,
            _ => Some(refusal(mode)),
        })
    }
}

/// Remove keys.
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  todana db delete casket.tdh user:7 user:8

{EXIT_STATUS} With several keys, one that is missing makes it 1."))]
pub(crate) struct DeleteArgs {
    #[command(flatten)]
    store: StoreArg,
    /// Keys, of any bytes.
    #[arg(required = true, value_name = "KEY")]
    keys: Vec<OsString>,
    #[command(flatten)]
    form: KeyForm,
}

impl DeleteArgs {
    pub(super) fn run(self) -> ExitCode {
        let what = match self.keys.as_slice() {
            [key] => format!("db delete {}", shown(key)),
            keys => format!("db delete {} keys", keys.len()),
        };
        finish(&what, self.delete())
    }

    fn delete(&self) -> Result<u8, Failure> {
        let keys = self.keys.iter().map(|key| self.form.bytes(key));
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        let store = self.store.place()?.change()?;
        let mut status = 0;
        for (key, bytes) in self.keys.iter().zip(&keys) {
            if !store.delete(bytes)? {
                complain(&format!("db delete {}", shown(key)), "no such key");
                status = MISS;
            }
        }
        store.close()?;
        Ok(status)
    }
}

/// Count a number up or down and print it.
#[derive(Debug, Args)]
#[command(after_help = format!("\
Counting down stops at 0; counting up wraps at 2^64.

Examples:
  todana db incr casket.tdh visits
  todana db incr casket.tdh stock -3
  todana db incr casket.tdh visits --initial 1

{EXIT_STATUS}"))]
pub(crate) struct IncrArgs {
    #[command(flatten)]
    store: StoreArg,
    /// Key, of any bytes.
    #[arg(value_name = "KEY")]
    key: OsString,
    #[command(flatten)]
    form: KeyForm,
    /// How much to add; negative to subtract [default: 1].
    #[arg(value_name = "N", conflicts_with = "by", allow_negative_numbers = true)]
    n: Option<i128>,
    /// The same as an option.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    by: Option<i128>,
    /// Subtract instead of adding.
    #[arg(long)]
    decr: bool,
    /// Without such a record, store this number and print it.
    #[arg(long, value_name = "N")]
    initial: Option<u64>,
    /// Let a record that --initial creates expire after so many seconds.
    #[arg(
        long,
        value_name = "SECONDS",
        requires = "initial",
        allow_negative_numbers = true,
        value_parser = lifetime()
    )]
    ttl: Option<u32>,
}

impl IncrArgs {
    pub(super) fn run(self) -> ExitCode {
        let what = format!("db incr {}", shown(&self.key));
        let done = self.count().and_then(|number| match number {
            Some(number) => say(number).map(|()| 0),
            None => {
                complain(&what, "no such key; --initial creates one");
                Ok(MISS)
            }
        });
        finish(&what, done)
    }

    fn count(&self) -> Result<Option<u64>, Failure> {
        let by = self.n.or(self.by).unwrap_or(1);
        let down = self.decr != (by < 0);
        let delta = u64::try_from(by.unsigned_abs());
        let delta = delta.map_err(|_| Failure::because("N is a number below 2^64"))?;
        let key = self.form.bytes(&self.key)?;
        let store = self.store.place()?.change()?;
        let mut counting = Counting::by(delta, down);
        counting.initial = self.initial.map(|number| (number, expiry_in(&store, self.ttl)));
        update(&store, &key, &mut counting)?;
        let number = match counting.outcome {
            CountOutcome::Number { value, .. } => Some(value),
            CountOutcome::NotFound | CountOutcome::Exists => None,
            CountOutcome::NonNumeric => return Err(Error::NonNumeric.into()),
        };
        store.close()?;
        Ok(number)
    }
}

/// Print keys.
#[derive(Debug, Args)]
#[command(after_help = format!("\
One key a line, in no order, with --values a tab and the value behind it. Backslashes, tabs, ends
of lines, control characters and bytes that are not UTF-8 are written \\\\ \\t \\n \\r and \\xNN, as by
`todana db export --format tsv`; --escaped takes such keys back.

Examples:
  todana db list casket.tdh --prefix user: --limit 10
  todana db list casket.tdh --values

{EXIT_STATUS}"))]
pub(crate) struct ListArgs {
    #[command(flatten)]
    store: StoreArg,
    /// Only keys that begin with this.
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<OsString>,
    /// At most so many.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    limit: Option<u64>,
    /// Print values as well.
    #[arg(long)]
    values: bool,
    /// PREFIX is written as keys are printed: \\ \t \n \r and \xNN stand for bytes.
    #[arg(short, long)]
    escaped: bool,
}

impl ListArgs {
    pub(super) fn run(self) -> ExitCode {
        finish(&format!("db list {}", self.store.store), self.print())
    }

    fn print(&self) -> Result<u8, Failure> {
        let opened = self.store.place()?.read()?;
        let form = KeyForm { escaped: self.escaped };
        let prefix = self.prefix.as_ref().map(|prefix| form.bytes(prefix)).transpose()?;
        let prefix = prefix.unwrap_or_default();
        let mut left = self.limit.unwrap_or(u64::MAX);
        let mut out = io::BufWriter::with_capacity(64 << 10, io::stdout().lock());
        let mut line = Vec::new();
        let mut print = |view: &View<'_>| -> Result<(), Failure> {
            line.clear();
            match self.values {
                true => tsv::encode(view.key, &value_of(view)?, &mut line),
                false => {
                    tsv::escape(view.key, &mut line);
                    line.push(b'\n');
                }
            }
            out.write_all(&line).map_err(Failure::of_output)
        };
        let mut done = Ok(());
        let mut meter = Meter::of_records(opened.store.len()).beside_data();
        let mut seen = 0;
        opened.store.for_each(|view| {
            seen += 1;
            meter.at(seen);
            if left > 0 && view.key.starts_with(&prefix) {
                left -= 1;
                done = print(view);
            }
            done.is_ok() && left > 0
        })?;
        done?;
        out.flush().map_err(Failure::of_output)?;
        Ok(0)
    }
}

/// The value of a record that is at hand.
pub(super) fn value_of<'v>(view: &View<'v>) -> Result<Cow<'v, [u8]>, Failure> {
    Ok(bytes_of(&view.value)?)
}
