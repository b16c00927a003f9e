//! Changing records: evaluating and appending, under the writer's lock.

use crate::stored::Stored;
use crate::tree::{Tree, VALUE_LEN_MAX};
use crate::writer::{New, Place, Writer};
use todana_engine::{Applied, Edit, Error, Mutation, NewVersion, Payload, UnitMutation, View};
use todana_io::epoch::{Pin, pin};
use todana_record::{Meta, Timestamp};

/// What becomes of a key: a record's metadata, its version left out, and value, or nothing.
struct Change<'c> {
    record: Option<(Meta, [&'c [u8]; 2])>,
    /// A version that stays or was given; none for a new one.
    version: Option<u64>,
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

    /// Makes a change of a key in its leaf, which readers do not see yet; gives the version that the record
    /// has afterwards.
    fn make<'a>(
        &'a self,
        writer: &mut Writer,
        pin: &'a Pin,
        place: Place<'a>,
        change: &mut Change<'_>,
        (key, sequence): (&[u8], u64),
    ) -> u64 {
        let mut given = 0;
        if let Some((meta, _)) = &mut change.record {
            meta.version = match self.options.versions {
                true => change.version.unwrap_or(sequence),
                false => 0,
            };
            given = meta.version;
        }
        let record = change.record.as_ref().map(|(meta, value)| (meta, *value));
        writer.change(&self.shared, pin, place, &New { key, record, sequence });
        given
    }

    pub(crate) fn update_one(
        &self,
        key: &[u8],
        now: Timestamp,
        mutation: &mut dyn Mutation,
    ) -> Result<Applied, Error> {
        let mut writer = self.writing.lock();
        let pin = pin();
        let place = writer.seek(&self.shared, &pin, key);
        let current = place.record.filter(|record| !record.meta.expiry.is_past(now));
        let view = current.as_ref().map(|record| record.view(key, 1));
        let edit = mutation.evaluate(view.as_ref());
        let version = view.map_or(0, |view| view.meta.version);
        let Some(mut change) = change(&edit, current.as_ref())? else {
            return Ok(Applied { position: self.position(writer.last), version });
        };
        self.check_memory(&writer, &edit)?;
        let sequence = writer.last + 1;
        let version = self.make(&mut writer, &pin, place, &mut change, (key, sequence));
        Ok(Applied { position: self.finish(sequence), version })
    }

    pub(crate) fn update_unit(
        &self,
        keys: &[&[u8]],
        now: Timestamp,
        mutation: &mut dyn UnitMutation,
    ) -> Result<Applied, Error> {
        let mut writer = self.writing.lock();
        let pin = pin();
        let records: Vec<Option<Stored<'_>>> = keys
            .iter()
            .map(|key| {
                let record = writer.seek(&self.shared, &pin, key).record;
                record.filter(|record| !record.meta.expiry.is_past(now))
            })
            .collect();
        let views: Vec<Option<View<'_>>> = records
            .iter()
            .zip(keys)
            .map(|(record, key)| record.as_ref().map(|record| record.view(key, 1)))
            .collect();
        let edits = mutation.evaluate(&views);
        let mut changes = Vec::with_capacity(keys.len());
        for ((key, edit), record) in keys.iter().zip(&edits).zip(&records) {
            self.check_memory(&writer, edit)?;
            changes.extend(change(edit, record.as_ref())?.map(|change| (*key, change)));
        }
        let mut sequence = writer.last;
        for (key, change) in &mut changes {
            sequence += 1;
            let place = writer.seek(&self.shared, &pin, key);
            self.make(&mut writer, &pin, place, change, (key, sequence));
        }
        let position =
            if changes.is_empty() { self.position(sequence) } else { self.finish(sequence) };
        writer.let_go(&self.shared);
        Ok(Applied { position, version: 0 })
    }
}
