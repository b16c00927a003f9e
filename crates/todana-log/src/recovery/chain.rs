//! The chain of logs: what follows what a crash has left, and footers for what is kept.

use super::Opening;
use super::load::{Entries, Loaded};
use crate::layout::footer::{Summary, Tables};
use crate::layout::header::SegmentKind;
use crate::layout::narrow;
use crate::{failed, write_footer};
use std::io;
use todana_engine::Error;

impl Opening {
    /// Drops the logs that do not follow what is left of the one before them.
    pub(super) fn drop_orphans(&mut self, segments: &mut Vec<Loaded>) -> Result<(), Error> {
        // One whose header was not written whole was not synced either, so nothing safe follows it, though it was
        // empty and nothing of it is lost: what follows would name a log that is gone, as if changes were missing.
        let mut ends: Vec<(u64, u32)> = self.blanks.iter().map(|&(_, id)| (id, 0)).collect();
        let mut lost: Option<usize> = None;
        for (at, segment) in segments.iter().enumerate() {
            if segment.header.kind != SegmentKind::Log {
                continue;
            }
            let follows = segment
                .header
                .previous
                .is_none_or(|(id, end)| ends.iter().all(|&(other, its)| other != id || its == end));
            if !follows {
                lost = Some(at);
                break;
            }
            ends.push((segment.header.id, narrow(segment.end())));
        }
        let Some(first) = lost else { return Ok(()) };
        for orphan in segments.drain(first..) {
            let name = orphan.name();
            let bytes = orphan.end();
            self.report.cut.push(format!("{name}: all of its {bytes} bytes, kept as {name}.cut"));
            if self.writes() {
                let path = self.home.path(&name);
                let aside = self.home.path(&format!("{name}.cut"));
                self.home.disk.rename(&path, &aside).map_err(failed(&name))?;
            }
        }
        match self.writes() {
            true => {
                let synced = self.home.sync_names();
                synced.map_err(failed("the directory"))
            }
            false => Ok(()),
        }
    }

    /// Gives every log a footer, so that nothing is ever appended to one that a crash has cut.
    pub(super) fn complete(&self, segments: &mut [Loaded]) -> Result<(), Error> {
        for segment in segments.iter_mut().filter(|segment| !segment.complete) {
            complete_one(segment).map_err(failed(&segment.name()))?;
            segment.complete = true;
        }
        Ok(())
    }
}

/// Bytes that are written anew at once.
const REWRITE_LEN: usize = 256 << 10;

/// Makes a segment safe, and gives it a footer that says so unless it has one.
fn complete_one(segment: &Loaded) -> io::Result<()> {
    let Entries::Scanned(entries) = &segment.entries else { return segment.file.sync() };
    // What a process before has left in the system's memory after a sync that failed counts as written
    // there, and no sync would write it: it is written anew.
    let mut piece = vec![0; REWRITE_LEN];
    for at in (0..segment.summary.frames_end).step_by(REWRITE_LEN) {
        let len = REWRITE_LEN.min(segment.summary.frames_end - at);
        let piece = piece.get_mut(..len).unwrap_or_default();
        segment.file.read_exact_at(at as u64, piece)?;
        segment.file.write_at(at as u64, piece)?;
    }
    segment.file.sync()?;
    let mut tables = Tables::default();
    segment.frames.iter().for_each(|_| tables.add_frame());
    for entry in entries {
        tables.add_entry(entry.len, entry.kind, entry.hash, segment.summary.width);
    }
    let summary = Summary { synced: true, ..segment.summary };
    write_footer(&*segment.file, segment.header.id, &tables, &segment.frames, &summary)?;
    segment.file.sync()
}
