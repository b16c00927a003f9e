//! Changing records: evaluating, appending and pointing the index there, under the writer's lock.

use crate::edit;
use crate::hash::{Hash, JOB_FLUSH};
use crate::layout::record::{Fields, Operation};
use crate::pins::Pins;
use crate::view::Hit;
use crate::writer::{Change, Writer};
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use todana_engine::{Applied, Edit, Error, Mutation, UnitMutation, View};
use todana_record::Timestamp;

impl Hash {
    /// The record that a writer found, unless it has ended.
    #[inline]
    fn current<'v>(
        &self,
        hit: Option<&Hit<'v>>,
        now: Timestamp,
        pins: &'v Pins,
    ) -> Result<Option<View<'v>>, Error> {
        let Some(hit) = hit.filter(|hit| !hit.record.expiry.is_past(now)) else { return Ok(None) };
        match self.shared.view(hit, pins)? {
            Some(view) => Ok(Some(view)),
            // Under the lock no blob goes that a record refers to.
            None => Err(Error::Corrupt("the blob of a record is gone".to_owned())),
        }
    }

    fn refuse_when_short(&self, writer: &Writer, change: &Change<'_>) -> Result<(), Error> {
        let puts = change.fields.operation.is_put();
        let room = |log: &crate::head::Head| log.room();
        match puts
            && writer.short
            && writer.log.as_ref().map_or(0, room) < change.len_max() + (64 << 10)
        {
            true => Err(Error::NoSpace),
            false => Ok(()),
        }
    }

    pub(crate) fn update_one(
        &self,
        key: &[u8],
        now: Timestamp,
        mutation: &mut dyn Mutation,
    ) -> Result<Applied, Error> {
        let hash = self.hash_of(key);
        // On its way while the lock is taken.
        self.shared.index.prefetch(hash);
        let mut writer = self.writer.lock();
        let tables = writer.tables.take().unwrap_or_else(|| self.shared.tables.load_full());
        let pins = Pins::new();
        let (seat, hit) = tables.seek(&writer.index, hash, key, &pins)?;
        let view = self.current(hit.as_ref(), now, &pins)?;
        let mut edit = mutation.evaluate(view.as_ref());
        let change =
            edit::change(&self.shared.home, &mut edit, key, hash, view.as_ref(), hit.as_ref())?;
        let Some(change) = change else {
            let sequence = self.shared.applied.load(Ordering::Relaxed);
            let version = view.map_or(0, |view| view.meta.version);
            return Ok(Applied { position: self.position(sequence), version });
        };
        let old_blob = hit.as_ref().and_then(|hit| hit.record.blob());
        let appended = self
            .refuse_when_short(&writer, &change)
            .and_then(|()| writer.reserve(&self.shared.tables, change.len_max(), 1, now))
            .and_then(|()| writer.append(&change))
            .inspect_err(|_| writer.blob_is_unused(change.blob, old_blob))?;
        writer.publish_log();
        let (operation, old) = (change.fields.operation, hit.as_ref().map(edit::old_of));
        writer.point(seat, operation, appended, old)?;
        if old_blob.is_some() || change.blob.is_some() {
            writer.blob_changes(old_blob, change.blob, appended.sequence);
        }
        self.finish(&mut writer, appended.sequence);
        let version = match (operation, self.shared.versions) {
            (Operation::Put | Operation::PutBlob, true) => {
                change.version.unwrap_or(appended.sequence)
            }
            _ => 0,
        };
        if tables.state == writer.state {
            writer.tables = Some(tables);
        }
        let (wants, behind) = (writer.wants_writing(), writer.retired.len());
        drop(writer);
        self.after_append(wants, behind)?;
        Ok(Applied { position: self.position(appended.sequence), version })
    }

    /// Has what was appended written, when it is much; writes it here when nobody else does.
    #[inline]
    fn after_append(&self, wants: bool, behind: usize) -> Result<(), Error> {
        if wants {
            if behind >= 2 {
                return self.write_out(false);
            }
            self.tell(|listener| listener.wanted(JOB_FLUSH));
        }
        Ok(())
    }

    pub(crate) fn update_unit(
        &self,
        keys: &[&[u8]],
        now: Timestamp,
        mutation: &mut dyn UnitMutation,
    ) -> Result<Applied, Error> {
        let mut writer = self.writer.lock();
        let tables = self.shared.tables.load();
        let mut hits = Vec::with_capacity(keys.len());
        let mut pins = Vec::new();
        pins.resize_with(keys.len(), Pins::new);
        for (key, pins) in keys.iter().zip(&pins) {
            let hash = self.hash_of(key);
            hits.push((hash, tables.seek(&writer.index, hash, key, pins)?.1));
        }
        let views: Vec<Option<View<'_>>> = hits
            .iter()
            .zip(&pins)
            .map(|((_, hit), pins)| self.current(hit.as_ref(), now, pins))
            .collect::<Result<_, _>>()?;
        let mut edits = mutation.evaluate(&views);
        let mut changes = Vec::with_capacity(keys.len());
        // Of several edits to one key the last counts.
        let mut latest: HashMap<&[u8], usize> = HashMap::with_capacity(keys.len());
        for (at, (key, edit)) in keys.iter().zip(&edits).enumerate() {
            if !matches!(edit, Edit::Keep) {
                latest.insert(key, at);
            }
        }
        let seen = hits.iter().zip(&views);
        for (at, ((key, edit), ((hash, hit), view))) in
            keys.iter().zip(&mut edits).zip(seen).enumerate()
        {
            if latest.get(key) == Some(&at) {
                let (view, hit) = (view.as_ref(), hit.as_ref());
                let change = edit::change(&self.shared.home, edit, key, *hash, view, hit)?;
                changes.extend(change.map(|change| (change, hit.copied())));
            }
        }
        if changes.is_empty() {
            let sequence = self.shared.applied.load(Ordering::Relaxed);
            return Ok(Applied { position: self.position(sequence), version: 0 });
        }
        for (change, _) in &changes {
            self.refuse_when_short(&writer, change)?;
        }
        let number = changes.len() as u64;
        let fields = Fields { number, ..Fields::of(Operation::Unit) };
        let unit = Change::of_store(fields);
        let len_max = changes.iter().map(|(change, _)| change.len_max()).sum::<usize>();
        writer.reserve(&self.shared.tables, len_max + unit.len_max(), changes.len() + 1, now)?;
        writer.append(&unit)?;
        self.units.fetch_add(1, Ordering::AcqRel);
        let done = self.append_all(&mut writer, &changes);
        self.units.fetch_add(1, Ordering::AcqRel);
        let sequence = self.stop_on_poison(done)?;
        let wants = writer.wants_writing();
        let behind = writer.retired.len();
        drop(writer);
        self.after_append(wants, behind)?;
        Ok(Applied { position: self.position(sequence), version: 0 })
    }

    fn append_all(
        &self,
        writer: &mut Writer,
        changes: &[(Change<'_>, Option<Hit<'_>>)],
    ) -> Result<u64, Error> {
        let mut appended = Vec::with_capacity(changes.len());
        for (change, _) in changes {
            appended.push(writer.append(change)?);
        }
        let sequence = appended.last().map_or(0, |last| last.sequence);
        writer.publish_log();
        for ((change, hit), appended) in changes.iter().zip(appended) {
            let old = hit.as_ref().map(edit::old_of);
            let seat = writer.seat(change.hash, old.map(|(place, _)| place));
            writer.point(seat, change.fields.operation, appended, old)?;
            let old_blob = hit.as_ref().and_then(|hit| hit.record.blob());
            if old_blob.is_some() || change.blob.is_some() {
                writer.blob_changes(old_blob, change.blob, appended.sequence);
            }
        }
        self.finish(writer, sequence);
        Ok(sequence)
    }
}
