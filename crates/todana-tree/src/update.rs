//! Changing records: evaluating and appending, under the writer's lock.

use crate::child::Child;
use crate::range::RangeBytes;
use crate::stored::Stored;
use crate::tree::{Tree, VALUE_LEN_MAX};
use crate::writer::{New, Spot, Writer};
use parking_lot::MutexGuard;
use todana_engine::{
    Applied, Edit, Error, Mutation, NewVersion, Payload, Range, UnitMutation, View,
};
use todana_io::epoch::{Pin, pin};
use todana_log::layout::record::{Fields, Operation};
use todana_log::{Change as LogChange, LogWriter};
use todana_record::{Meta, Timestamp};

/// What becomes of a key: a record's metadata, its version left out, and value, or nothing.
struct Change<'c> {
    record: Option<(Meta, [&'c [u8]; 2])>,
    /// A version that stays or was given; none for a new one.
    version: Option<u64>,
}

impl Change<'_> {
    /// No fewer bytes than it takes in the log.
    fn len_max(&self, key: &[u8]) -> usize {
        self.entry(key).len_max()
    }

    /// It as an entry of the log.
    fn entry<'c>(&'c self, key: &'c [u8]) -> LogChange<'c> {
        match &self.record {
            Some((meta, value)) => LogChange {
                version: self.version,
                key,
                value: *value,
                ..LogChange::of_store(Fields::put(meta))
            },
            None => LogChange { key, ..LogChange::of_store(Fields::of(Operation::Remove)) },
        }
    }
}

fn given(version: NewVersion) -> Option<u64> {
    match version {
        NewVersion::Next => None,
        NewVersion::Given(version) => Some(version),
    }
}

/// The change that an edit makes; `None` when nothing changes.
///
/// # Errors
/// [`Error::ValueTooLarge`].
fn change<'c>(
    edit: &'c Edit<'_>,
    current: Option<&Stored<'c>>,
) -> Result<Option<Change<'c>>, Error> {
    let (meta, value, version): (Meta, [&[u8]; 2], _) = match (edit, current) {
        (Edit::Put(put), _) => {
            let value: [&[u8]; 2] = match &put.value {
                Payload::Bytes(bytes) => [bytes, &[]],
                Payload::Joined(first, second) => [first, second],
                Payload::Staged(staged) => [staged.as_bytes(), &[]],
            };
            (put.meta(), value, given(put.version))
        }
        (Edit::Append { bytes, expiry, version }, Some(record)) => {
            let expiry = expiry.unwrap_or(record.meta.expiry);
            let meta = Meta { expiry, stale: false, won: false, ..record.meta };
            (meta, [record.value, bytes], given(*version))
        }
        (Edit::Touch(touch), Some(record)) if touch.changes() => {
            let version = touch.version.map_or(Some(record.meta.version), given);
            (touch.meta(&record.meta), [record.value, &[]], version)
        }
        (Edit::Remove, Some(_)) => return Ok(Some(Change { record: None, version: None })),
        _ => return Ok(None),
    };
    let len = value[0].len() as u64 + value[1].len() as u64;
    if len > VALUE_LEN_MAX {
        return Err(Error::ValueTooLarge { len, max: VALUE_LEN_MAX });
    }
    Ok(Some(Change { record: Some((meta, value)), version }))
}

impl Tree {
    fn check_memory(&self, writer: &Writer, edit: &Edit<'_>) -> Result<(), Error> {
        let limit_bytes = self.options.memory_limit_bytes;
        let grows = matches!(edit, Edit::Put(_) | Edit::Append { .. });
        match grows && limit_bytes != 0 && writer.byte_len() >= limit_bytes {
            true => Err(Error::OutOfMemory { limit_bytes }),
            false => Ok(()),
        }
    }

    /// Logs a change for which room was made, and makes it in the key's leaf; readers do not see it yet. Gives its
    /// sequence, and the version that the record has afterwards.
    fn make<'a>(
        &'a self,
        writer: &mut Writer,
        pin: &'a Pin,
        spot: Spot<'a>,
        key: &[u8],
        change: &mut Change<'_>,
    ) -> Result<(u64, u64), Error> {
        let sequence = writer.next_sequence();
        let mut version = 0;
        if let Some((meta, _)) = &mut change.record {
            change.version = self.options.versions.then(|| change.version.unwrap_or(sequence));
            version = change.version.unwrap_or_default();
            meta.version = version;
        }
        if let Some(log) = &mut writer.log {
            log.append(&change.entry(key))?;
        }
        let record = change.record.as_ref().map(|(meta, value)| (meta, *value));
        let made = writer.change(&self.shared, pin, spot, &New { key, record, sequence });
        // It is logged: the store has to be opened again to have it.
        made.map_err(|error| Error::Poisoned(error.to_string()))?;
        Ok((sequence, version))
    }

    /// Makes room in the log for changes.
    fn make_room(
        &self,
        writer: &mut Writer,
        (len_max, count): (usize, usize),
        grows: bool,
        now: Timestamp,
    ) -> Result<(), Error> {
        let Some(log) = &mut writer.log else { return self.must_be_memory() };
        if grows {
            log.refuse_when_short(len_max)?;
        }
        log.reserve(len_max, count, now)
    }

    pub(crate) fn update_one(
        &self,
        key: &[u8],
        now: Timestamp,
        mutation: &mut dyn Mutation,
    ) -> Result<Applied, Error> {
        let pin = pin();
        let (mut writer, spot) = loop {
            let mut writer = self.writing.lock();
            match writer.go(&self.shared, &pin, key) {
                // What has to be read is read without the lock.
                Child::Page(place) => {
                    drop(writer);
                    self.fetch(key, place)?;
                }
                child => break (writer, Spot::of(&self.shared, &pin, child, key)),
            }
        };
        let current = spot.record.filter(|record| !record.meta.expiry.is_past(now));
        let view = current.as_ref().map(|record| record.view(key, self.incarnation()));
        let edit = mutation.evaluate(view.as_ref());
        let version = view.map_or(0, |view| view.meta.version);
        let Some(mut change) = change(&edit, current.as_ref())? else {
            return Ok(Applied { position: self.position(writer.last), version });
        };
        self.check_memory(&writer, &edit)?;
        let room = (change.len_max(key), 1);
        self.make_room(&mut writer, room, change.record.is_some(), now)?;
        let (sequence, version) = self.make(&mut writer, &pin, spot, key, &mut change)?;
        self.done(writer, sequence, version)
    }

    pub(crate) fn update_unit(
        &self,
        keys: &[&[u8]],
        now: Timestamp,
        mutation: &mut dyn UnitMutation,
    ) -> Result<Applied, Error> {
        let mut writer = self.writing.lock();
        let pin = pin();
        let is_blind = mutation.is_blind();
        let looked_at = if is_blind { &[][..] } else { keys };
        let mut records: Vec<Option<Stored<'_>>> = Vec::with_capacity(looked_at.len());
        for key in looked_at {
            let record = writer.seek(&self.shared, &pin, key)?.record;
            records.push(record.filter(|record| !record.meta.expiry.is_past(now)));
        }
        let incarnation = self.incarnation();
        let views: Vec<Option<View<'_>>> = records
            .iter()
            .zip(keys)
            .map(|(record, key)| record.as_ref().map(|record| record.view(key, incarnation)))
            .collect();
        let edits = mutation.evaluate(&views);
        let mut changes = Vec::with_capacity(keys.len());
        for (at, (key, edit)) in keys.iter().zip(&edits).enumerate() {
            self.check_memory(&writer, edit)?;
            let record = records.get(at).and_then(Option::as_ref);
            changes.extend(change(edit, record)?.map(|change| (*key, change)));
        }
        // Neighbours one behind the other; of several of one key the last stays last.
        changes.sort_by_key(|(key, _)| *key);
        if changes.is_empty() {
            return Ok(Applied { position: self.position(writer.last), version: 0 });
        }
        let number = changes.len() as u64;
        let mark = LogChange::unit(number);
        let len_max: usize = changes.iter().map(|(key, change)| change.len_max(key)).sum();
        let grows = changes.iter().any(|(_, change)| change.record.is_some());
        let room = (len_max + mark.len_max(), changes.len() + 1);
        self.make_room(&mut writer, room, grows, now)?;
        if let Some(log) = &mut writer.log {
            log.append(&mark)?;
        }
        let mut last = writer.last;
        for (key, change) in &mut changes {
            let spot = writer.seek(&self.shared, &pin, key);
            let spot = spot.map_err(|error| Error::Poisoned(error.to_string()))?;
            (last, _) = self.make(&mut writer, &pin, spot, key, change)?;
        }
        self.done(writer, last, 0)
    }

    /// Ends an update: shows it, and has the log written when it is much.
    pub(crate) fn done(
        &self,
        mut writer: MutexGuard<'_, Writer>,
        sequence: u64,
        version: u64,
    ) -> Result<Applied, Error> {
        let position = self.finish(&mut writer, sequence);
        let behind = writer.log.as_ref().map_or(0, |log| log.retired.len());
        let wants = writer.log.as_mut().is_some_and(LogWriter::wants_writing);
        // What was changed since the last checkpoint cannot be let go of.
        let is_tight = writer.budget > 0 && writer.leaf_bytes > writer.budget;
        drop(writer);
        if let Some(files) = &self.files {
            files.log.after_append(self, wants, behind)?;
            if wants {
                self.want_checkpoint(sequence, is_tight);
            }
        }
        Ok(Applied { position, version })
    }

    /// Logs that a range is removed; gives the sequence of that.
    pub(crate) fn log_range(
        &self,
        writer: &mut Writer,
        range: &Range<'_>,
        now: Timestamp,
    ) -> Result<u64, Error> {
        let sequence;
        if writer.log.is_some() {
            let bounds = RangeBytes::of(range);
            let entry = bounds.entry();
            self.make_room(writer, (entry.len_max(), 1), false, now)?;
            sequence = writer.next_sequence();
            if let Some(log) = &mut writer.log {
                log.append(&entry)?;
            }
        } else {
            self.must_be_memory()?;
            sequence = writer.next_sequence();
        }
        Ok(sequence)
    }

    /// Logs something that concerns no key; gives its sequence.
    pub(crate) fn log_of_store(
        &self,
        writer: &mut Writer,
        fields: Fields,
        now: Timestamp,
    ) -> Result<u64, Error> {
        let entry = LogChange::of_store(fields);
        self.make_room(writer, (entry.len_max(), 1), false, now)?;
        let sequence = writer.next_sequence();
        if let Some(log) = &mut writer.log {
            let number = if fields.operation == Operation::Flush { sequence } else { 0 };
            log.append(&LogChange::of_store(Fields { number, ..fields }))?;
        }
        Ok(sequence)
    }
}
