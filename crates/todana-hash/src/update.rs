//! Changing records: evaluating, appending and pointing the index there, under the writer's lock.

use crate::edit;
use crate::hash::Hash;
use crate::view::{Find, Hit};
use crate::writer::Writer;
use parking_lot::MutexGuard;
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use todana_engine::{Applied, Edit, Error, Mutation, UnitMutation, View};
use todana_log::layout::reference::Reference;
use todana_log::{Appended, Change, Pins};
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

    /// Makes room for one change.
    #[inline]
    fn make_room(
        &self,
        writer: &mut Writer,
        change: &Change<'_>,
        now: Timestamp,
    ) -> Result<(), Error> {
        if writer.log.short {
            Hash::refuse_when_short(writer, change)?;
        }
        writer.log.reserve(change.len_max(), 1, now)
    }

    #[cold]
    fn refuse_when_short(writer: &Writer, change: &Change<'_>) -> Result<(), Error> {
        match change.fields.operation.is_put() {
            true => writer.log.refuse_when_short(change.len_max()),
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
        if mutation.is_blind() {
            return self.put_blind(key, hash, now, mutation);
        }
        let mut writer = self.writer();
        let segments = writer.log.segments();
        let pins = Pins::new();
        let (seat, hit) = segments.seek(&writer.index, hash, key, &pins);
        let hit = hit?;
        let view = self.current(hit.as_ref(), now, &pins)?;
        let mut edit = mutation.evaluate(view.as_ref());
        let change =
            edit::change(&self.shared.log.home, &mut edit, key, hash, view.as_ref(), hit.as_ref())?;
        let Some(change) = change else {
            return Ok(self.unchanged(view.map_or(0, |view| view.meta.version)));
        };
        let old_blob = hit.as_ref().and_then(|hit| hit.record.blob());
        let appended = self.append(&mut writer, &change, old_blob, now)?;
        let old = hit.as_ref().map(edit::old_of);
        writer.point(seat, change.fields.operation, appended, old)?;
        writer.blob_changes(old_blob, change.blob, appended.sequence);
        let version = self.version_of(&change, appended);
        writer.log.keep_segments(segments);
        self.done(writer, appended.sequence, version)
    }

    /// Stores a record whatever there was: what it replaces is looked for some puts later.
    fn put_blind(
        &self,
        key: &[u8],
        hash: u64,
        now: Timestamp,
        mutation: &mut dyn Mutation,
    ) -> Result<Applied, Error> {
        let mut writer = self.writing.lock();
        let mut edit = mutation.evaluate(None);
        let Edit::Put(put) = &mut edit else { return Ok(self.unchanged(0)) };
        let change = edit::put(&self.shared.log.home, put, key, hash)?;
        let appended = self.append(&mut writer, &change, None, now)?;
        writer.defer(hash, appended)?;
        if change.blob.is_some() {
            writer.settle_all()?;
        }
        self.done(writer, appended.sequence, self.version_of(&change, appended))
    }

    /// Appends a change; readers of the log see it, readers of the index do not.
    #[inline]
    fn append(
        &self,
        writer: &mut Writer,
        change: &Change<'_>,
        old_blob: Option<Reference>,
        now: Timestamp,
    ) -> Result<Appended, Error> {
        if let Err(error) = self.make_room(writer, change, now) {
            writer.blob_is_unused(change.blob, old_blob);
            return Err(error);
        }
        let appended = writer.log.append(change)?;
        writer.log.publish();
        Ok(appended)
    }

    /// What is said of an update that changed nothing.
    fn unchanged(&self, version: u64) -> Applied {
        let sequence = self.shared.log.applied.load(Ordering::Relaxed);
        Applied { position: self.position(sequence), version }
    }

    /// The version of the record that a change has made.
    #[inline]
    fn version_of(&self, change: &Change<'_>, appended: Appended) -> u64 {
        match self.shared.log.versions && change.fields.operation.is_put() {
            true => change.version.unwrap_or(appended.sequence),
            false => 0,
        }
    }

    /// Ends an update of one record.
    #[inline]
    fn done(
        &self,
        mut writer: MutexGuard<'_, Writer>,
        sequence: u64,
        version: u64,
    ) -> Result<Applied, Error> {
        self.finish(&mut writer, sequence);
        let (wants, behind) = (writer.log.wants_writing(), writer.log.retired.len());
        drop(writer);
        self.log.after_append(self, wants, behind)?;
        Ok(Applied { position: self.position(sequence), version })
    }

    pub(crate) fn update_unit(
        &self,
        keys: &[&[u8]],
        now: Timestamp,
        mutation: &mut dyn UnitMutation,
    ) -> Result<Applied, Error> {
        let mut writer = self.writer();
        let segments = self.shared.log.segments.load();
        let mut hits = Vec::with_capacity(keys.len());
        let mut pins = Vec::new();
        pins.resize_with(keys.len(), Pins::new);
        for (key, pins) in keys.iter().zip(&pins) {
            let hash = self.hash_of(key);
            hits.push((hash, segments.seek(&writer.index, hash, key, pins).1?));
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
                let change = edit::change(&self.shared.log.home, edit, key, *hash, view, hit)?;
                changes.extend(change.map(|change| (change, hit.copied())));
            }
        }
        if changes.is_empty() {
            return Ok(self.unchanged(0));
        }
        for (change, _) in &changes {
            Hash::refuse_when_short(&writer, change)?;
        }
        let unit = Change::unit(changes.len() as u64);
        let len_max = changes.iter().map(|(change, _)| change.len_max()).sum::<usize>();
        writer.log.reserve(len_max + unit.len_max(), changes.len() + 1, now)?;
        writer.log.append(&unit)?;
        self.units.fetch_add(1, Ordering::AcqRel);
        let done = self.append_all(&mut writer, &changes);
        self.units.fetch_add(1, Ordering::AcqRel);
        let sequence = self.log.stop_on_poison(done)?;
        let (wants, behind) = (writer.log.wants_writing(), writer.log.retired.len());
        drop(writer);
        self.log.after_append(self, wants, behind)?;
        Ok(Applied { position: self.position(sequence), version: 0 })
    }

    fn append_all(
        &self,
        writer: &mut Writer,
        changes: &[(Change<'_>, Option<Hit<'_>>)],
    ) -> Result<u64, Error> {
        let mut appended = Vec::with_capacity(changes.len());
        for (change, _) in changes {
            appended.push(writer.log.append(change)?);
        }
        let sequence = appended.last().map_or(0, |last| last.sequence);
        writer.log.publish();
        for ((change, hit), appended) in changes.iter().zip(appended) {
            let old = hit.as_ref().map(edit::old_of);
            let seat = writer.seat(change.hash, old.map(|(place, _)| place));
            writer.point(seat, change.fields.operation, appended, old)?;
            let old_blob = hit.as_ref().and_then(|hit| hit.record.blob());
            writer.blob_changes(old_blob, change.blob, appended.sequence);
        }
        self.finish(writer, sequence);
        Ok(sequence)
    }
}
