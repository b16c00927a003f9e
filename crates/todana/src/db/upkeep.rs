//! The store as a whole: `create`, `stat`, `check`, `repair`, `compact`, `upgrade`.

use super::StoreArg;
use super::meter::{Meter, watched};
use super::place::Bare;
use crate::outcome::{EXIT_STATUS, Failure, MISS, finish, say};
use clap::Args;
use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use todana_store::Error;
use todana_store::engine::Error as EngineError;

/// Make an empty store.
#[derive(Debug, Args)]
#[command(after_help = format!("\
Fails if there is a store already.

Examples:
  todana db create casket.tdh
  todana db create casket.tdh#cas=off

{EXIT_STATUS}"))]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    store: StoreArg,
}

impl CreateArgs {
    pub(super) fn run(self) -> ExitCode {
        finish(&format!("db create {}", self.store.store), self.create())
    }

    fn create(&self) -> Result<u8, Failure> {
        let place = self.store.place()?;
        place.must_be_new()?;
        place.make()?.close()?;
        Ok(0)
    }
}

/// Print what is known of a store.
#[derive(Debug, Args)]
#[command(after_help = format!("\
One line each: the name, a tab, the value. On a terminal the values stand in a column. Records that
have expired count until their space is taken back. `closed` is no while another process has the store
open, and after one that ended without closing it; every `cut` is something that the store would lose
when it is opened now.

Examples:
  todana db stat casket.tdh

{EXIT_STATUS}"))]
pub(crate) struct StatArgs {
    #[command(flatten)]
    store: StoreArg,
}

impl StatArgs {
    pub(super) fn run(self) -> ExitCode {
        finish(&format!("db stat {}", self.store.store), self.print())
    }

    fn print(&self) -> Result<u8, Failure> {
        let place = self.store.place()?;
        let Bare { store, hash } = place.read()?;
        let engine = store.engine();
        let statistics = engine.statistics(engine.clock().now());
        let answer = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
        let mut lines = vec![
            ("engine", engine.name().to_owned()),
            ("directory", place.directory.display().to_string()),
            ("records", statistics.records.to_string()),
            ("file_bytes", place.file_bytes()?.to_string()),
            ("live_bytes", statistics.live_bytes.to_string()),
            ("index_bytes", statistics.index_bytes.to_string()),
            ("cas", if engine.limits().versions { "on" } else { "off" }.to_owned()),
            ("closed", answer(hash.report().clean)),
        ];
        lines.extend(hash.report().cut.iter().map(|cut| ("cut", cut.clone())));
        let is_terminal = io::stdout().is_terminal();
        let mut out = io::BufWriter::new(io::stdout().lock());
        for (name, value) in lines {
            let written = match is_terminal {
                true => writeln!(out, "{name:<13}{value}"),
                false => writeln!(out, "{name}\t{value}"),
            };
            written.map_err(Failure::of_output)?;
        }
        out.flush().map_err(Failure::of_output)?;
        Ok(0)
    }
}

/// Reads every record; the number of them, or the damage that was met first.
fn read_all(opened: &Bare) -> Result<Result<u64, String>, Failure> {
    let mut meter = Meter::of_records(opened.store.len());
    let mut count = 0;
    let read = opened.store.for_each(|_| {
        count += 1;
        meter.at(count);
        true
    });
    match read {
        Ok(()) => Ok(Ok(count)),
        Err(Error::Engine(EngineError::Corrupt(reason))) => Ok(Err(reason)),
        Err(error) => Err(error.into()),
    }
}

/// Read every record and say whether all are sound.
#[derive(Debug, Args)]
#[command(after_help = format!("\
Changes nothing. The checksums of everything that is read are held against the bytes; the verdict goes
to standard output. A store that another process is writing to may seem unfinished at its end.

Examples:
  todana db check casket.tdh

Exit status: 0 sound, 1 damaged or unfinished, 2 error."))]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    store: StoreArg,
}

impl CheckArgs {
    pub(super) fn run(self) -> ExitCode {
        finish(&format!("db check {}", self.store.store), self.check())
    }

    fn check(&self) -> Result<u8, Failure> {
        let name = &self.store.store;
        let damaged = |reason: &str| say(format!("{name}: damaged: {reason}")).map(|()| MISS);
        let opened = match self.store.place()?.try_read()? {
            Ok(opened) => opened,
            Err(reason) => return damaged(&reason),
        };
        let count = match read_all(&opened)? {
            Ok(count) => count,
            Err(reason) => return damaged(&reason),
        };
        let cut = &opened.hash.report().cut;
        if cut.is_empty() {
            say(format!("{name}: sound: {}", records(count)))?;
            return Ok(0);
        }
        for cut in cut {
            say(format!("{name}: unfinished: {cut}"))?;
        }
        let sound = records(count);
        say(format!(
            "{name}: unfinished: {sound} are sound, `todana db repair` cuts off the rest"
        ))?;
        Ok(MISS)
    }
}

fn records(count: u64) -> String {
    if count == 1 { "1 record".to_owned() } else { format!("{count} records") }
}

/// Bring a store back that was not closed, and say what was lost.
#[derive(Debug, Args)]
#[command(after_help = format!("\
Opening a store recovers it, by a server too: this does nothing else, prints what had to be cut off
and reads every record. Nothing that was acknowledged as durable is cut off unless the disk lost it.

Examples:
  todana db repair casket.tdh

Exit status: 0 sound now, 1 damage that cannot be repaired, 2 error."))]
pub(crate) struct RepairArgs {
    #[command(flatten)]
    store: StoreArg,
}

impl RepairArgs {
    pub(super) fn run(self) -> ExitCode {
        finish(&format!("db repair {}", self.store.store), self.repair())
    }

    fn repair(&self) -> Result<u8, Failure> {
        let name = &self.store.store;
        let opened = self.store.place()?.recover()?;
        let report = opened.hash.report().clone();
        for cut in &report.cut {
            say(format!("{name}: cut: {cut}"))?;
        }
        let read = read_all(&opened)?;
        let Bare { store, hash } = opened;
        store.close()?;
        drop(hash);
        match read {
            Ok(count) => {
                let done = if report.clean { "nothing to repair" } else { "repaired" };
                say(format!("{name}: {done}: {}", records(count)))?;
                Ok(0)
            }
            Err(reason) => {
                say(format!("{name}: damaged: {reason}"))?;
                Ok(MISS)
            }
        }
    }
}

/// Take back the space of what was replaced or removed.
#[derive(Debug, Args)]
#[command(after_help = format!("\
Stores do this by themselves while they are open; this does all of it now, and prints the bytes of the
store's files before and after.

Examples:
  todana db compact casket.tdh

{EXIT_STATUS}"))]
pub(crate) struct CompactArgs {
    #[command(flatten)]
    store: StoreArg,
}

impl CompactArgs {
    pub(super) fn run(self) -> ExitCode {
        finish(&format!("db compact {}", self.store.store), self.compact())
    }

    fn compact(&self) -> Result<u8, Failure> {
        let place = self.store.place()?;
        let store = place.change()?;
        // Closed first, so that room taken ahead does not count.
        store.close()?;
        let before = place.file_bytes()?;
        let store = place.change()?;
        watched("compacting", || store.compact())?;
        store.close()?;
        let after = place.file_bytes()?;
        say(format!("{}: {before} bytes before, {after} bytes after", self.store.store))?;
        Ok(0)
    }
}

/// Bring a store to the format of this version.
#[derive(Debug, Args)]
#[command(after_help = format!("\
There is one format so far.

Examples:
  todana db upgrade casket.tdh

{EXIT_STATUS}"))]
pub(crate) struct UpgradeArgs {
    #[command(flatten)]
    store: StoreArg,
}

impl UpgradeArgs {
    pub(super) fn run(self) -> ExitCode {
        finish(&format!("db upgrade {}", self.store.store), self.upgrade())
    }

    fn upgrade(&self) -> Result<u8, Failure> {
        // A store of another version does not open.
        self.store.place()?.read()?;
        say(format!("{}: the format is current, nothing to do", self.store.store))?;
        Ok(0)
    }
}
