//! Checkpoints: every changed leaf as of one moment goes to a free place of the file of pages, then the outline
//! that leads to them takes the place of the last one, as one step. Changes go on meanwhile.

use crate::block::{Block, Builder};
use crate::inner::Inner;
use crate::leaf::Leaf;
use crate::merge;
use crate::outline::{Line, Outline};
use crate::page::{self, Place, UNITS_MAX};
use crate::shared::End;
use crate::space::Space;
use crate::tree::Tree;
use crate::walk::Moment;
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::sync::atomic::Ordering;
use todana_engine::{Error, JobProgress};
use todana_io::disk::replace;
use todana_io::epoch::pin;
use todana_log::refused;
use todana_record::Timestamp;

/// The name of the outline's file.
pub(crate) const OUTLINE: &str = "outline";
/// Number of the job.
pub(crate) const JOB_CHECKPOINT: usize = 1;
/// Bytes of pages that are written at once.
const WRITE_LEN: usize = 1 << 20;
/// Leaves that are looked at in one step; few in tests, so that much happens between.
const STEP: usize = if cfg!(test) { 16 } else { 4_096 };
/// Time until a checkpoint is tried again that found no space, in ms.
const RETRY_MS: u64 = 1_000;

/// What is known of the pages, between checkpoints and in one.
#[derive(Debug, Default)]
pub(crate) struct Checkpointer {
    pub(crate) space: Space,
    /// The pages that the outline on disk leads to.
    pub(crate) live: BTreeSet<Place>,
    /// Pages that no outline leads to any more, since a sequence: readers of older moments may.
    freed: VecDeque<(u64, Vec<Place>)>,
    run: Option<Run>,
    builder: Builder,
    /// Checkpoints that were ended, pages that were written.
    pub(crate) ended: u64,
    pub(crate) written: u64,
}

impl Checkpointer {
    /// What is known when a store is opened.
    pub(crate) fn of(space: Space, live: Vec<Place>) -> Checkpointer {
        Checkpointer { space, live: live.into_iter().collect(), ..Checkpointer::default() }
    }
}

/// A checkpoint that is being made.
#[derive(Debug)]
struct Run {
    moment: Moment,
    /// Where it goes on; `None` when all leaves are done.
    from: Option<Vec<u8>>,
    outline: Outline,
    live: BTreeSet<Place>,
    /// Pages that are new.
    new: Vec<Place>,
}

impl Tree {
    /// Has a checkpoint made soon, if it is time, or if it is needed before.
    pub(crate) fn want_checkpoint(&self, sequence: u64, is_needed: bool) {
        let Some(files) = &self.files else { return };
        if is_needed {
            files.checkpoint_due.fetch_min(sequence, Ordering::Relaxed);
        }
        if sequence >= files.checkpoint_due.load(Ordering::Relaxed) {
            files.log.tell(|listener| listener.wanted(JOB_CHECKPOINT));
        }
    }

    /// A slice of the job.
    pub(crate) fn checkpoint_job(&self, now: Timestamp) -> JobProgress {
        let idle = JobProgress::IdleUntil(now.plus_ms(RETRY_MS));
        let Some(files) = &self.files else { return idle };
        let mut checkpointer = files.checkpointer.lock();
        let is_due = self.shared.applied() >= files.checkpoint_due.load(Ordering::Relaxed);
        if self.check_poison().is_err() || (checkpointer.run.is_none() && !is_due) {
            return idle;
        }
        match self.step(&mut checkpointer) {
            Ok(true) | Err(_) => idle,
            Ok(false) => JobProgress::More,
        }
    }

    /// Makes a checkpoint from beginning to end; one that is being made is ended first.
    ///
    /// # Errors
    /// [`Error::NoSpace`], [`Error::Corrupt`], [`Error::Poisoned`]; the last checkpoint counts then.
    pub(crate) fn checkpoint(&self) -> Result<(), Error> {
        let Some(files) = &self.files else { return Ok(()) };
        let mut checkpointer = files.checkpointer.lock();
        if checkpointer.run.is_some() {
            while !self.step(&mut checkpointer)? {}
        }
        while !self.step(&mut checkpointer)? {}
        Ok(())
    }

    /// Goes on with a checkpoint, or begins one; tells whether it is done.
    fn step(&self, checkpointer: &mut Checkpointer) -> Result<bool, Error> {
        self.check_poison()?;
        let Some(files) = &self.files else { return Ok(true) };
        if files.log.is_closed() {
            // Another process may have it, or this one may only read.
            checkpointer.run = None;
            return Ok(true);
        }
        if checkpointer.run.is_none() {
            checkpointer.run = Some(self.begin_checkpoint(files.store)?);
        }
        let Some(mut run) = checkpointer.run.take() else { return Ok(true) };
        let done = match run.from.take() {
            Some(from) => self.write_leaves(checkpointer, &mut run, from).map(|()| false),
            None => self.end_checkpoint(checkpointer, &mut run).map(|()| true),
        };
        match done {
            Ok(false) => checkpointer.run = Some(run),
            Ok(true) => {}
            Err(_) => {
                // Nothing leads to what it has written but leaves in memory, which may go on doing so: their
                // pages are whole. They count as freed at the next checkpoint that does not use them.
                checkpointer.live.extend(run.new);
            }
        }
        self.stop_on_poison(done)
    }

    fn begin_checkpoint(&self, store: u64) -> Result<Run, Error> {
        let Some(files) = &self.files else { return Err(Error::Unsupported("make checkpoints")) };
        let moment = self.present();
        // What a page has is in the log for certain (T7).
        files.log.sync_up_to(self, moment.sequence)?;
        let outline = Outline::new(store, moment.sequence);
        let from = Some(Vec::new());
        Ok(Run { moment, from, outline, live: BTreeSet::new(), new: Vec::new() })
    }

    /// Writes the pages of leaves from a key on, some of them, as of the moment.
    fn write_leaves(
        &self,
        checkpointer: &mut Checkpointer,
        run: &mut Run,
        from: Vec<u8>,
    ) -> Result<(), Error> {
        let Some(files) = &self.files else { return Ok(()) };
        let pin = pin();
        let sequence = run.moment.sequence;
        let mut next = Some(from);
        let mut output = Output::default();
        for _ in 0..STEP {
            let Some(from) = next.take() else { break };
            let way = self.shared.way(&pin, sequence, |inner| inner.find(&from), 1);
            let line = match way.end {
                End::Leaf(leaf) => {
                    page_of(leaf, files.store, sequence, checkpointer, run, &mut output)?
                }
                End::Page(place) => Some((place, count_of(way.above))),
                End::Gone => return Err(Error::Corrupt("a moment has lost a leaf".to_owned())),
            };
            if let Some((place, count)) = line {
                run.live.insert(place);
                run.outline.push(&Line { separator: from, place, count });
            }
            next = way.bound();
            if output.bytes.len() >= WRITE_LEN {
                break;
            }
        }
        if let Err(error) = output.write(&*files.pages) {
            // Nothing leads to these, nor will: on a disk that stays full each attempt would take others.
            run.new.truncate(run.new.len() - output.leaves.len());
            let places = output.leaves.iter().map(|(_, place)| place);
            places.for_each(|place| checkpointer.space.give(place.at, place.len));
            return Err(refused(&error));
        }
        checkpointer.written += output.leaves.len() as u64;
        let writer = self.writing.lock();
        for (leaf, place) in output.leaves {
            leaf.set_page(place, sequence);
        }
        drop(writer);
        run.from = next;
        Ok(())
    }

    /// Makes the outline that leads to the pages the one that counts.
    fn end_checkpoint(&self, checkpointer: &mut Checkpointer, run: &mut Run) -> Result<(), Error> {
        let Some(files) = &self.files else { return Ok(()) };
        let sequence = run.moment.sequence;
        let failed = |error: io::Error| refused(&error);
        files.pages.sync().map_err(|error| Error::Poisoned(error.to_string()))?;
        let outline = std::mem::replace(&mut run.outline, Outline::new(files.store, sequence));
        let home = &files.log.state.home;
        replace(&*home.disk, &home.directory, OUTLINE, &outline.finish()).map_err(failed)?;
        let live = std::mem::take(&mut run.live);
        let gone: Vec<Place> = checkpointer.live.difference(&live).copied().collect();
        checkpointer.live = live;
        checkpointer.freed.push_back((sequence, gone));
        // Its own moment is over now.
        run.moment.end();
        let needed = self.shared.snapshots.oldest();
        while let Some((_, places)) = checkpointer.freed.pop_front_if(|(since, _)| *since <= needed)
        {
            places.iter().for_each(|place| checkpointer.space.give(place.at, place.len));
        }
        // What is free at the end is nobody's: the next pages there make the file longer again.
        let len = checkpointer.space.end() * page::UNIT_LEN as u64;
        if files.pages.len().map_err(failed)? > len {
            files.pages.set_len(len).map_err(failed)?;
        }
        checkpointer.ended += 1;
        let pages_len = checkpointer.space.end() * page::UNIT_LEN as u64;
        let due = sequence + self.options.checkpoint_bytes.max(pages_len / 4);
        files.checkpoint_due.store(due, Ordering::Relaxed);
        files.checkpointed.store(sequence, Ordering::Release);
        files.log.give_up_to(self, sequence)?;
        let pin = pin();
        self.writing.lock().let_leaves_go(&self.shared, &pin);
        Ok(())
    }
}

fn count_of(above: Option<(&Inner, usize)>) -> u64 {
    above.map_or(0, |(inner, at)| inner.count(at))
}

/// The page of a leaf as of a sequence, and its records; it is made, and added to the output, if there is none yet.
/// `None` for a leaf without records.
///
/// # Errors
/// When it is longer than a page can be: nothing stores so much in a leaf.
fn page_of<'l>(
    leaf: &'l Leaf,
    store: u64,
    sequence: u64,
    checkpointer: &mut Checkpointer,
    run: &mut Run,
    output: &mut Output<'l>,
) -> Result<Option<(Place, u64)>, Error> {
    let count = leaf.delta().map_or(0, |delta| delta.count_at(sequence));
    let changes = leaf.delta().filter(|_| count > 0).map(|delta| delta.sorted(count));
    if let Some(place) = leaf.page_as_of(sequence) {
        let more = changes.as_ref().map_or(0, |changes| changes.more(None));
        return Ok(Some((place, (leaf.block.count() as u64).saturating_add_signed(more))));
    }
    let merged;
    let block = match &changes {
        None => &leaf.block,
        Some(changes) => {
            let whole = merge::whole(&leaf.block, changes, &mut checkpointer.builder);
            merged = whole.unwrap_or_else(Block::empty);
            &merged
        }
    };
    let len = page::units_of(block);
    if block.count() == 0 {
        return Ok(None);
    }
    if len >= UNITS_MAX {
        return Err(Error::Corrupt(format!("a leaf of {} bytes", block.len())));
    }
    let place = Place { at: checkpointer.space.take(len), len };
    run.new.push(place);
    output.push(leaf, block, place, (store, sequence));
    Ok(Some((place, block.count() as u64)))
}

/// Pages on their way to the file.
#[derive(Default)]
struct Output<'l> {
    bytes: Vec<u8>,
    /// Runs of pages that lie side by side: place in units, and bytes from the last end up to here.
    runs: Vec<(u64, usize)>,
    next: u64,
    leaves: Vec<(&'l Leaf, Place)>,
}

impl<'l> Output<'l> {
    fn push(&mut self, leaf: &'l Leaf, block: &Block, place: Place, (store, sequence): (u64, u64)) {
        if self.next != place.at || self.runs.is_empty() {
            self.runs.push((place.at, self.bytes.len()));
        }
        page::encode(block, store, sequence, place, &mut self.bytes);
        self.next = place.at + place.len;
        self.leaves.push((leaf, place));
        if let Some((_, end)) = self.runs.last_mut() {
            *end = self.bytes.len();
        }
    }

    fn write(&self, file: &dyn todana_io::DiskFile) -> io::Result<()> {
        let mut start = 0;
        for &(at, end) in &self.runs {
            let bytes = self.bytes.get(start..end).unwrap_or_default();
            file.write_at(at * page::UNIT_LEN as u64, bytes)?;
            start = end;
        }
        Ok(())
    }
}
