//! The store as a whole: `create`, `stat`, `check`, `repair`, `compact`, `upgrade`.

use super::StoreArg;
use super::place::{Bare, Place};
use crate::meter::{Meter, watched};
use crate::outcome::{EXIT_STATUS, Failure, MISS, counted, finish, say};
use clap::Args;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use todana_io::{Clock as _, Disk, SystemClock, SystemDisk, exchange};
use todana_record::Timestamp;
use todana_store::{Checked, HASH_FORMAT, Hash, OnProgress, Repaired, Rescued};

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
have expired count until their space is taken back. `closed` is no while another process has the
store open, and after one that ended without closing it; every `cut` is something that was never
finished and goes when the store is opened.

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
            ("format", HASH_FORMAT.to_string()),
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

/// The number of records that a store has when it is read as it is; or why it cannot be.
fn readable(place: &Place) -> Result<Result<u64, String>, Failure> {
    Ok(place.try_read()?.map(|opened| opened.store.len()))
}

/// Verify every checksum and say whether all is sound.
#[derive(Debug, Args)]
#[command(after_help = format!("\
Changes nothing; the store may be in use. Reads every file of the store, compares every checksum
with its bytes and the tables at the ends of files with the records before them, and prints what
is wrong with its file and place, then the verdict.

A store that is open, or was not closed, may end in bytes that were never finished. They are
named, and are no damage: opening the store cuts them away, and nothing that was acknowledged as
durable is among them.

Of a store that another program has packed with a codec of its own only the checksums are compared;
how many frames that concerns is printed.

Examples:
  todana db check casket.tdh && todana db copy casket.tdh backup.tdh

Exit status: 0 sound, 1 damaged, 2 error."))]
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
        let place = self.store.place()?;
        let checked = place.check()?;
        for finding in &checked.findings {
            let kind = if finding.is_damage { "damaged" } else { "unfinished" };
            say(format!("{name}: {kind}: {finding}"))?;
        }
        if checked.is_damaged() {
            let places = checked.findings.iter().filter(|finding| finding.is_damage).count();
            let places = counted(places as u64, "place");
            say(format!("{name}: damaged in {places}; `todana db repair` saves what is intact"))?;
            return Ok(MISS);
        }
        if checked.sealed_frames > 0 {
            let frames = counted(checked.sealed_frames, "frame");
            let (bytes, codec) = (checked.bytes, &checked.codec);
            say(format!(
                "{name}: {bytes} bytes verified; {frames} could not be unpacked for want of codec `{codec}`"
            ))?;
            return Ok(0);
        }
        match readable(&place)? {
            Ok(records) => {
                let closed = if checked.is_closed { "" } else { ", not closed" };
                let (records, files) = (counted(records, "record"), counted(checked.files, "file"));
                let bytes = checked.bytes;
                say(format!(
                    "{name}: sound{closed}: {records}; {bytes} bytes in {files} verified"
                ))?;
                Ok(0)
            }
            Err(reason) => {
                say(format!("{name}: damaged: {reason}"))?;
                Ok(MISS)
            }
        }
    }
}

/// Bring back a store that is damaged or was not closed.
#[derive(Debug, Args)]
#[command(after_help = format!("\
Checks the store first, as `todana db check` does. Nothing may have it open.

Not damaged: opens and closes it. That is all that a store needs after a crash; a server that
starts does it as well. What has to be cut away is kept in the store's directory, as
FILE.PLACE.cut or FILE.cut.

Damaged: makes a new store of whatever is intact, with flags, expiry and versions, and gives it
the store's name. The damaged one stays beside it as it was, as NAME.damaged-1 (or -2, ...). A
key whose last change is lost has the value from before it, or none. There must be space for both.

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
        let place = self.store.place()?;
        let names = Names::of(&place)?;
        let was_there = names.repaired.exists();
        let repaired = {
            let mut meter = Meter::of_work();
            let disk: Arc<dyn Disk> = Arc::new(SystemDisk::new());
            let now = Timestamp::from_ms(SystemClock::new().wall_ms());
            let progress: &mut OnProgress<'_> = &mut |done, total| meter.at_of(done, total);
            Hash::repair(&disk, &names.store, &names.repaired, place.codec(), now, progress)
        };
        let repaired = repaired.map_err(|error| match !was_there && names.repaired.exists() {
            true => Failure::because(error)
                .after(format!("remove {}, which is not whole", names.repaired.display())),
            false => Failure::because(error),
        });
        match repaired? {
            Repaired::Kept(_, kept) => self.recover(&place, &kept),
            Repaired::Rescued(checked, rescued) => self.replace(&names, &checked, rescued),
        }
    }

    /// Opens a store that is not damaged, and closes it.
    fn recover(&self, place: &Place, kept: &[String]) -> Result<u8, Failure> {
        let name = &self.store.store;
        let Bare { store, hash } = match place.try_recover()? {
            Ok(opened) => opened,
            Err(reason) => {
                say(format!("{name}: damaged: {reason}"))?;
                return Ok(MISS);
            }
        };
        let report = hash.report().clone();
        for cut in &report.cut {
            say(format!("{name}: cut: {cut}"))?;
        }
        for file in kept {
            say(format!("{name}: kept: {}", place.directory.join(file).display()))?;
        }
        let records = counted(store.len(), "record");
        store.close()?;
        let done = if report.clean { "nothing to repair" } else { "recovered" };
        say(format!("{name}: {done}: {records}"))?;
        Ok(0)
    }

    /// Gives the new store the name of the damaged one.
    fn replace(&self, names: &Names, checked: &Checked, rescued: Rescued) -> Result<u8, Failure> {
        let name = &self.store.store;
        for finding in &checked.findings {
            say(format!("{name}: lost: {finding}"))?;
        }
        let damaged = names.swap().map_err(|error| {
            let (repaired, store) = (names.repaired.display(), names.store.display());
            Failure::Because(format!(
                "cannot give {repaired} the name {store}: {error}; it is whole: move it there yourself"
            ))
        })?;
        drop(rescued.lock);
        let records = counted(rescued.records, "record");
        say(format!("{name}: repaired: {records}; the damaged store is {}", damaged.display()))?;
        Ok(0)
    }
}

/// The names that a repair uses.
struct Names {
    store: PathBuf,
    repaired: PathBuf,
    /// Where all of them are.
    parent: PathBuf,
}

impl Names {
    fn of(place: &Place) -> Result<Names, Failure> {
        let store = place.whole_name()?;
        let Some(parent) = store.parent().map(Path::to_owned) else {
            return Err(Failure::because("the root of all directories is no store"));
        };
        Ok(Names { repaired: Names::beside(&store, ".repaired"), store, parent })
    }

    fn beside(store: &Path, end: &str) -> PathBuf {
        let mut name = store.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    }

    /// Gives the new store the old one's name; gives the name that the old one has now.
    fn swap(&self) -> io::Result<PathBuf> {
        let disk = SystemDisk::new();
        let free = (1_u32..).map(|n| Names::beside(&self.store, &format!(".damaged-{n}")));
        let Some(damaged) = free.into_iter().find(|path| !path.exists()) else {
            return Err(io::ErrorKind::AlreadyExists.into());
        };
        match exchange(&self.store, &self.repaired) {
            // The name leads to a store at all times.
            Ok(()) => disk.rename(&self.repaired, &damaged)?,
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                disk.rename(&self.store, &damaged)?;
                disk.rename(&self.repaired, &self.store)?;
            }
            Err(error) => return Err(error),
        }
        disk.sync_dir(&self.parent)?;
        Ok(damaged)
    }
}

/// Take back the space of what was replaced or removed.
#[derive(Debug, Args)]
#[command(after_help = format!("\
Stores do this by themselves while they are open; this does all of it now, and prints the bytes of
the store's files before and after.

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
        watched("closing the store", || store.close())?;
        let after = place.file_bytes()?;
        say(format!("{}: {before} bytes before, {after} bytes after", self.store.store))?;
        Ok(0)
    }
}

/// Bring a store to the newest format that this version knows.
#[derive(Debug, Args)]
#[command(after_help = format!("\
There is one format so far, {HASH_FORMAT}: a store that opens has it, and nothing is changed. A store that a
newer version has made is refused, here as by every other command.

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
        // A store of any other format does not open.
        self.store.place()?.read()?;
        let name = &self.store.store;
        say(format!("{name}: format {HASH_FORMAT}, the newest there is: nothing to do"))?;
        Ok(0)
    }
}
