//! Many records: `export`, `import`, `copy`.

use super::interrupt::Interrupt;
use super::place::Place;
use super::records::value_of;
use super::{StoreArg, jsonl, tokyo, tsv};
use crate::meter::{Meter, watched};
use crate::outcome::{EXIT_STATUS, Failure, MISS, complain, counted, finish, say};
use clap::{Args, ValueEnum};
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use todana_engine::View;
use todana_record::Meta;
use todana_store::engine::Error as EngineError;
use todana_store::{Error, Store};

/// Longest line that is read, in bytes: the largest value, every byte of it escaped, and its key.
const LINE_LEN_MAX: u64 = 256 << 20;
/// Records left out that are named, not only counted.
const NAMED_MAX: u64 = 20;
/// Bytes read or written at a time.
const BUFFER_LEN: usize = 256 << 10;

const FORMATS: &str = "\
Formats:
  jsonl  A JSON object a line: {\"key\":\"user:7\",\"value\":\"Ada\",\"flags\":0,\"expiry_ms\":0}.
         Bytes that are not UTF-8 stand under key_base64 and value_base64 instead. expiry_ms is in
         milliseconds since 1970, 0 for never; flags and expiry_ms may be left out. Empty lines
         are skipped.
  tsv    Key, tab, value; no flags and no expiry. Within them \\\\ \\t \\n \\r and \\xNN stand for a
         backslash, tab, line feed, carriage return and the byte with that hexadecimal number.
Without --format the end of the file's name decides (.jsonl or .tsv), else it is jsonl.";

/// Key, value, metadata.
type Decoded = (Vec<u8>, Vec<u8>, Meta);

/// How records are written as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Key, tab, value
    Tsv,
    /// JSON Lines
    Jsonl,
}

impl Format {
    fn of(given: Option<Format>, file: Option<&Path>) -> Format {
        let is_tsv = file.and_then(Path::extension).is_some_and(|extension| extension == "tsv");
        given.unwrap_or(if is_tsv { Format::Tsv } else { Format::Jsonl })
    }

    fn encode(self, view: &View<'_>, line: &mut Vec<u8>) -> Result<(), Failure> {
        let value = value_of(view)?;
        match self {
            Format::Tsv => tsv::encode(view.key, &value, line),
            Format::Jsonl => {
                jsonl::encode(view.key, &value, &view.meta, line).map_err(Failure::Because)?;
            }
        }
        Ok(())
    }

    /// The record of a line, if it has one.
    fn decode(self, line: &[u8]) -> Result<Option<Decoded>, String> {
        match self {
            Format::Tsv => tsv::decode(line).map(|(key, value)| (key, value, Meta::default())),
            Format::Jsonl if jsonl::is_blank(line) => return Ok(None),
            Format::Jsonl => jsonl::decode(line),
        }
        .map(Some)
    }
}

/// A file that is named, unless it is `-`.
fn named(file: Option<&PathBuf>) -> Option<&Path> {
    file.map(PathBuf::as_path).filter(|file| *file != Path::new("-"))
}

/// Calls `visit` for every record of a store; gives their number.
fn visit_all(
    store: &Store,
    mut meter: Meter,
    mut visit: impl FnMut(&View<'_>) -> Result<(), Failure>,
) -> Result<u64, Failure> {
    let mut count = 0;
    let mut done = Ok(());
    let visited = store.for_each(|view| {
        done = visit(view);
        count += u64::from(done.is_ok());
        meter.at(count);
        done.is_ok()
    });
    done.and(visited.map_err(Failure::from)).map(|()| count)
}

/// Write all records to a file.
#[derive(Debug, Args)]
#[command(after_help = format!("\
{FORMATS}

Examples:
  todana db export casket.tdh records.jsonl
  todana db export casket.tdh --format tsv | sort > records.tsv

{EXIT_STATUS}"))]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    store: StoreArg,
    /// File, made anew and replaced when it is whole; standard output if it is missing or -.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Format.
    #[arg(long)]
    format: Option<Format>,
}

impl ExportArgs {
    pub(super) fn run(self) -> ExitCode {
        finish(&format!("db export {}", self.store.store), self.export().map(|()| 0))
    }

    fn export(&self) -> Result<(), Failure> {
        let opened = self.store.place()?.read()?;
        let store = &opened.store;
        let meter = Meter::of_records(store.len());
        let Some(path) = named(self.file.as_ref()) else {
            let out = io::stdout().lock();
            return self.write(store, meter.beside_data(), "standard output", out).map(|_| ());
        };
        let shown = path.display().to_string();
        let failed = Failure::of_writing(&shown);
        let output = OutputFile::create(path).map_err(&failed)?;
        let file = self.write(store, meter, &shown, &output.file)?;
        file.sync_all().and_then(|()| output.finish()).map_err(failed)
    }

    fn write<W: Write>(
        &self,
        store: &Store,
        meter: Meter,
        place: &str,
        out: W,
    ) -> Result<W, Failure> {
        let format = Format::of(self.format, named(self.file.as_ref()));
        let failed = Failure::of_writing(place);
        let mut out = BufWriter::with_capacity(BUFFER_LEN, out);
        let mut line = Vec::new();
        visit_all(store, meter, |view| {
            line.clear();
            format.encode(view, &mut line)?;
            out.write_all(&line).map_err(&failed)
        })?;
        out.into_inner().map_err(|error| failed(error.into_error()))
    }
}

/// A file that takes its name when it is whole: what had the name stays until then.
struct OutputFile {
    file: File,
    path: PathBuf,
    /// The name until then; `None` for a device, a pipe or a link, which are written as they are.
    beside: Option<PathBuf>,
}

impl OutputFile {
    #[expect(clippy::disallowed_methods, reason = "a file that the user names")]
    fn create(path: &Path) -> io::Result<OutputFile> {
        let is_plain = match path.symlink_metadata() {
            Ok(found) => found.is_file(),
            Err(_) => true,
        };
        let beside = is_plain.then(|| {
            let mut name = path.as_os_str().to_owned();
            name.push(".part");
            PathBuf::from(name)
        });
        let file = File::create(beside.as_deref().unwrap_or(path))?;
        Ok(OutputFile { file, path: path.to_owned(), beside })
    }

    fn finish(mut self) -> io::Result<()> {
        match self.beside.take() {
            Some(beside) => std::fs::rename(beside, &self.path),
            None => Ok(()),
        }
    }
}

impl Drop for OutputFile {
    #[expect(clippy::disallowed_methods, reason = "a file that the user named")]
    fn drop(&mut self) {
        if let Some(beside) = &self.beside {
            // What is left of it is no export; the reason has been told.
            let _ = std::fs::remove_file(beside);
        }
    }
}

/// Store the records of a file.
#[derive(Debug, Args)]
#[command(after_help = format!("\
Makes the store when there is none. A record replaces one with the same key. Records that the
store cannot take, for their size, are left out and reported. Everything becomes durable at the
end. A line that cannot be read ends the import, and so does Ctrl-C: what was stored before stays,
and the message says how far it came. Importing the same file again does no harm.

{FORMATS}

Files of Tokyo Cabinet are read without its library, whatever their names: hash files (.tch),
B+ tree files (.tcb) in the order of their keys, fixed-length files (.tcf) with their ids in decimal
digits as keys. Values may be deflated. Where a key has several values the first is stored, which is
the one that Tokyo Cabinet gets; the others are left out and reported. An unfinished transaction is
not undone; the message says how to.

Examples:
  todana db import casket.tdh records.jsonl
  zcat records.tsv.gz | todana db import casket.tdh --format tsv
  todana db import casket.tdh --from-tokyo casket.tch
  todana db import casket.tdh --from-tokyo broken.tcb --salvage

Exit status: 0 all stored, 1 some records were left out or missing, 2 error."))]
pub(crate) struct ImportArgs {
    #[command(flatten)]
    store: StoreArg,
    /// File; standard input if it is missing or -.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Format.
    #[arg(long)]
    format: Option<Format>,
    /// Read a file of Tokyo Cabinet instead: .tch, .tcb or .tcf.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["file", "format"])]
    from_tokyo: Option<PathBuf>,
    /// Read the leaves of a B+ tree file (.tcb) as they lie, for one whose chain of leaves is broken.
    #[arg(long, requires = "from_tokyo")]
    salvage: bool,
}

impl ImportArgs {
    pub(super) fn run(self) -> ExitCode {
        let what = format!("db import {}", self.store.store);
        finish(&what, self.import(&what))
    }

    fn import(&self, what: &str) -> Result<u8, Failure> {
        let place = self.store.place()?;
        if let Some(path) = &self.from_tokyo {
            // The file first: a store is not made for one that cannot be read.
            let file = tokyo::open(path, what)?;
            let mut loader = Loader::new(&place, what)?;
            let records = if self.salvage { file.records_as_they_lie() } else { file.records() };
            let expected = file.record_count();
            let shown = path.display().to_string();
            let read = tokyo::read(records, expected, &shown, &mut loader);
            return loader.finish(read);
        }
        match named(self.file.as_ref()) {
            None => {
                let input = BufReader::with_capacity(BUFFER_LEN, io::stdin().lock());
                self.lines(&place, what, "standard input", input, Meter::of_stream())
            }
            Some(path) => {
                let shown = path.display().to_string();
                let failed = |error| Failure::Because(format!("cannot read {shown}: {error}"));
                #[expect(clippy::disallowed_methods, reason = "a file that the user names")]
                let file = File::open(path).map_err(failed)?;
                let len = file.metadata().map_err(failed)?.len();
                let input = BufReader::with_capacity(BUFFER_LEN, file);
                self.lines(&place, what, &shown, input, Meter::of_bytes(len))
            }
        }
    }

    fn lines(
        &self,
        place: &Place,
        what: &str,
        shown: &str,
        input: impl BufRead,
        meter: Meter,
    ) -> Result<u8, Failure> {
        let format = Format::of(self.format, named(self.file.as_ref()));
        let mut loader = Loader::new(place, what)?;
        let read = read_lines(format, shown, input, meter, &mut loader);
        loader.finish(read)
    }
}

fn read_lines(
    format: Format,
    shown: &str,
    mut input: impl BufRead,
    mut meter: Meter,
    loader: &mut Loader<'_>,
) -> Result<(), Failure> {
    let (mut line, mut number, mut read_bytes) = (Vec::new(), 0_u64, 0_u64);
    loop {
        line.clear();
        number += 1;
        let wrong = |reason: &str| Failure::Because(format!("{shown}:{number}: {reason}"));
        let read = input.by_ref().take(LINE_LEN_MAX + 1).read_until(b'\n', &mut line);
        let len = read.map_err(|error| wrong(&format!("cannot read: {error}")))? as u64;
        if len == 0 {
            // The signal may have ended whoever wrote to us as well.
            return loader.go_on(|| format!("{shown}:{number}"));
        }
        if len > LINE_LEN_MAX {
            return Err(wrong(&format!("a line of more than {LINE_LEN_MAX} bytes")));
        }
        read_bytes += len;
        meter.at(read_bytes);
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        if let Some((key, value, meta)) = format.decode(text).map_err(|reason| wrong(&reason))? {
            loader.put(&key, &value, &meta, || format!("{shown}:{number}"))?;
        }
    }
}

/// Stores many records and flushes once, when it is finished.
pub(super) struct Loader<'w> {
    store: Store,
    what: &'w str,
    interrupt: Interrupt,
    stored: u64,
    left_out: u64,
    is_doubtful: bool,
}

impl<'w> Loader<'w> {
    fn new(place: &Place, what: &'w str) -> Result<Loader<'w>, Failure> {
        let store = place.make()?;
        let interrupt = Interrupt::watch();
        Ok(Loader { store, what, interrupt, stored: 0, left_out: 0, is_doubtful: false })
    }

    /// Whether nobody has asked the command to end.
    pub(super) fn go_on(&self, origin: impl FnOnce() -> String) -> Result<(), Failure> {
        match self.interrupt.is_wanted() {
            true => Err(Failure::Because(format!("interrupted at {}", origin()))),
            false => Ok(()),
        }
    }

    /// Stores a record, or leaves it out where the store cannot take it.
    pub(super) fn put(
        &mut self,
        key: &[u8],
        value: &[u8],
        meta: &Meta,
        origin: impl Fn() -> String,
    ) -> Result<(), Failure> {
        self.go_on(&origin)?;
        match self.store.put(key, value, meta) {
            Ok(_) => self.stored += 1,
            Err(Error::Engine(
                error @ (EngineError::KeyTooLarge { .. } | EngineError::ValueTooLarge { .. }),
            )) => self.leave_out(|| format!("{}: {error}", origin())),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Reports a record that is not stored.
    pub(super) fn leave_out(&mut self, why: impl FnOnce() -> String) {
        self.left_out += 1;
        if self.left_out <= NAMED_MAX {
            complain(self.what, &format!("left out: {}", why()));
        }
    }

    /// Reports that there is not what there should be.
    pub(super) fn differs(&mut self, reason: &str) {
        self.is_doubtful = true;
        complain(self.what, reason);
    }

    /// Makes durable what was stored, whatever ended the reading.
    fn finish(self, read: Result<(), Failure>) -> Result<u8, Failure> {
        let Loader { store, stored, left_out, is_doubtful, .. } = self;
        watched("making it safe", || store.sync().and_then(|()| store.close()))?;
        let kept = format!("{} stored", counted(stored, "record"));
        read.map_err(|failure| failure.after(format!("{kept} before")))?;
        match left_out {
            0 => say(kept)?,
            _ => say(format!("{kept}, {left_out} left out"))?,
        }
        Ok(if left_out > 0 || is_doubtful { MISS } else { 0 })
    }
}

/// Write all records to a new store.
#[derive(Debug, Args)]
#[command(after_help = format!("\
Flags and expiry go along; versions are new. The copy has no space to be taken back. The target
must not exist; one that could not be completed is left for you to remove. A server may have the
store open: what is written meanwhile is in the copy or not, record by record.

Examples:
  todana db copy casket.tdh backup.tdh

{EXIT_STATUS}"))]
pub(crate) struct CopyArgs {
    #[command(flatten)]
    store: StoreArg,
    /// The new store, named as STORE is.
    #[arg(value_name = "TARGET")]
    target: String,
}

impl CopyArgs {
    pub(super) fn run(self) -> ExitCode {
        let what = format!("db copy {} {}", self.store.store, self.target);
        finish(&what, self.copy(&what))
    }

    fn copy(&self, what: &str) -> Result<u8, Failure> {
        let source = self.store.place()?.read()?;
        let target = Place::named(&self.target)?;
        target.must_be_new()?;
        let mut loader = Loader::new(&target, what)?;
        let copied = visit_all(&source.store, Meter::of_records(source.store.len()), |view| {
            let origin = || String::from_utf8_lossy(view.key).into_owned();
            loader.put(view.key, &value_of(view)?, &view.meta, origin)
        });
        loader.finish(copied.map(|_| ()))
    }
}
