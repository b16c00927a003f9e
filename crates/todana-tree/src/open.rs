//! Opening a store on disk: the outline of the last checkpoint, then the log behind it.

use crate::checkpoint::{Checkpointer, OUTLINE};
use crate::child::Child;
use crate::files::Files;
use crate::inner::{Branch, CHILDREN_MAX};
use crate::options::TreeOptions;
use crate::outline::{self, Line};
use crate::page::UNIT_LEN;
use crate::pages::{PAGES, Pages};
use crate::range;
use crate::shared::Shared;
use crate::space::Space;
use crate::tree::Tree;
use crate::writer::{New, Writer};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use todana_engine::Error;
use todana_io::epoch::{Pin, pin};
use todana_io::{Disk, DiskFile, Open};
use todana_log::layout::identity::StoreKind;
use todana_log::layout::record::Operation;
use todana_log::{LogOptions, Mode, Recovered, Replayed, Report, corrupt, failed};
use todana_record::Expiry;

impl Tree {
    /// Opens the store in a directory, or makes one; gives also what happened. Changes since the last checkpoint
    /// are carried out again.
    ///
    /// # Errors
    /// [`Error::Open`] with what the disk said, or with who has the store open; [`Error::Corrupt`];
    /// [`Error::NoSpace`].
    pub fn open(
        disk: Arc<dyn Disk>,
        directory: &Path,
        options: TreeOptions,
    ) -> Result<(Tree, Report), Error> {
        let log_options = LogOptions {
            mode: options.mode,
            flush: options.flush,
            versions: options.versions,
            stream_bytes: options.stream_bytes,
            least_segment_bytes: options.least_segment_bytes,
            ..LogOptions::of(StoreKind::TREE)
        };
        let (recovered, _) = Recovered::open(disk.clone(), directory, log_options, None)?;
        let report = recovered.report.clone();
        let store = recovered.identity.store;
        let options = TreeOptions { versions: recovered.identity.versions, ..options };
        let file = open_pages(&*disk, directory, options.mode)?;
        let (sequence, lines) = read_outline(&*disk, directory, store)?;
        let len = file.len().map_err(failed(PAGES))?;
        let live: Vec<_> = lines.iter().map(|line| line.place).collect();
        let space = Space::around(live.iter().map(|place| (place.at, place.len)).collect())
            .ok_or_else(|| corrupt(OUTLINE, "leads to pages that overlap"))?;
        if space.end() * UNIT_LEN as u64 > len {
            return Err(corrupt(PAGES, "ends before the last page that the outline leads to"));
        }
        let pages = Pages { file: file.clone(), store };
        let (shared, mut writer) = Writer::new(Some(pages), sequence);
        writer.build(&shared, lines);
        let due = replay(&recovered, &shared, &mut writer, sequence, options.versions)?;
        let due = due.unwrap_or(recovered.flush_due);
        writer.last = recovered.applied;
        shared.applied.store(recovered.applied, Ordering::Release);
        writer.let_go(&shared);
        writer.budget = options.cache_bytes;
        let (log, log_writer) = recovered.begin(0)?;
        writer.log = Some(log_writer);
        let pages_len = space.end() * UNIT_LEN as u64;
        let checkpoint_due = sequence + options.checkpoint_bytes.max(pages_len / 4);
        let files = Files {
            log,
            pages: file,
            store,
            checkpointer: Checkpointer::of(space, live).into(),
            checkpoint_due: AtomicU64::new(checkpoint_due),
            checkpointed: AtomicU64::new(sequence),
        };
        Ok((Tree::of(options, shared, writer, Some(files), due), report))
    }
}

fn open_pages(disk: &dyn Disk, directory: &Path, mode: Mode) -> Result<Arc<dyn DiskFile>, Error> {
    let path = directory.join(PAGES);
    let how = if mode == Mode::ReadOnly { Open::Read } else { Open::Write };
    let file = match disk.open(&path, how) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && how == Open::Write => {
            let file = disk.open(&path, Open::Create).map_err(failed(PAGES))?;
            disk.sync_dir(directory).map_err(failed(PAGES))?;
            file
        }
        opened => opened.map_err(failed(PAGES))?,
    };
    Ok(file.into())
}

/// The outline of the last checkpoint; an empty one where there was none yet.
fn read_outline(disk: &dyn Disk, directory: &Path, store: u64) -> Result<(u64, Vec<Line>), Error> {
    let file = match disk.open(&directory.join(OUTLINE), Open::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((0, Vec::new())),
        opened => opened.map_err(failed(OUTLINE))?,
    };
    let len = usize::try_from(file.len().map_err(failed(OUTLINE))?).unwrap_or(usize::MAX);
    let mut bytes = vec![0; len];
    file.read_exact_at(0, &mut bytes).map_err(failed(OUTLINE))?;
    outline::decode(&bytes, store).map_err(|reason| corrupt(OUTLINE, reason))
}

/// Carries out the changes after a sequence; gives when a flush is due, if they say so.
fn replay(
    recovered: &Recovered,
    shared: &Shared,
    writer: &mut Writer,
    after: u64,
    versions: bool,
) -> Result<Option<Expiry>, Error> {
    let mut due = None;
    let pin = pin();
    recovered.replay(after, &mut |entry| {
        carry_out(entry, shared, writer, &pin, versions, &mut due)?;
        writer.last = entry.sequence;
        // Nobody reads yet: a unit need not be hidden.
        shared.applied.store(entry.sequence, Ordering::Relaxed);
        Ok(())
    })?;
    Ok(due)
}

fn carry_out(
    entry: &Replayed<'_>,
    shared: &Shared,
    writer: &mut Writer,
    pin: &Pin,
    versions: bool,
    due: &mut Option<Expiry>,
) -> Result<(), Error> {
    let (record, sequence) = (&entry.record, entry.sequence);
    let wrong = |reason| corrupt("the log", reason);
    match record.operation {
        Operation::Put | Operation::Remove => {
            let meta = record.meta(sequence, versions);
            let value: [&[u8]; 2] = [record.value, &[]];
            let stored = (record.operation == Operation::Put).then_some((&meta, value));
            let spot = writer.seek(shared, pin, record.key)?;
            if stored.is_some() || spot.record.is_some() {
                writer.change(
                    shared,
                    pin,
                    spot,
                    &New { key: record.key, record: stored, sequence },
                )?;
            }
        }
        Operation::Own => {
            let range =
                range::decode(record).ok_or_else(|| wrong("removes a range that is none"))?;
            writer.remove_range(shared, pin, &range, sequence)?;
        }
        Operation::Flush => {
            writer.clear(shared, sequence);
            *due = Some(Expiry::NEVER);
        }
        Operation::FlushDue => *due = Some(record.expiry),
        Operation::Unit => {}
        Operation::PutBlob => return Err(wrong("has a value that a hash store would keep")),
    }
    Ok(())
}

impl Writer {
    /// Builds the nodes above the leaves of an outline.
    fn build(&mut self, shared: &Shared, lines: Vec<Line>) {
        if lines.is_empty() {
            return;
        }
        self.records = lines.iter().map(|line| line.count).sum();
        let branch = |line: Line| {
            let Line { separator, place, count } = line;
            Branch { separator, child: Child::Page(place), count }
        };
        let mut level: Vec<Branch> = lines.into_iter().map(branch).collect();
        // The first node of all has all keys before it too.
        if let Some(first) = level.first_mut() {
            first.separator.clear();
        }
        loop {
            let nodes = level.chunks(CHILDREN_MAX * 7 / 8);
            level = nodes
                .map(|branches| Branch {
                    separator: branches.first().map_or_else(Vec::new, |one| one.separator.clone()),
                    child: self.insert_inner(branches, Child::None),
                    count: branches.iter().map(|branch| branch.count).sum(),
                })
                .collect();
            if let [root] = &level[..] {
                let old = Child::of(shared.root.swap(root.child.word(), Ordering::AcqRel));
                self.retire(old);
                return;
            }
        }
    }
}
