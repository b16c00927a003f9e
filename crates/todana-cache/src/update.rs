//! Changing records: evaluating, writing and linking, under the locks of their shards.

use crate::access::AccessBits;
use crate::cache::Cache;
use crate::large::Large;
use crate::layout::Stored;
use crate::place::{Place, Slot};
use crate::shard::{New, Old, Writer, Written};
use crate::shared::{Shared, Wanted};
use parking_lot::MutexGuard;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use todana_engine::{
    Applied, Edit, Error, Mutation, NewVersion, Payload, Put, Touch, UnitMutation, View,
};
use todana_index::Seat;
use todana_io::epoch::{Pin, pin};
use todana_record::{Meta, Position, Timestamp};

/// A record that is changed, and its value, which stays as it is while this is held.
struct Present {
    old: Old,
    large: Option<Arc<Large>>,
}

impl Present {
    fn of(old: Old, shared: &Shared) -> Present {
        Present { old, large: shared.larges.get(old.slot.place.number) }
    }

    fn stored<'p>(&'p self, shared: &'p Shared, pin: &'p Pin) -> Option<Stored<'p>> {
        match &self.large {
            Some(large) => Some(large.stored()),
            None => shared.stored(pin, self.old.slot.place),
        }
    }
}

/// The pieces of a value.
fn parts<'p>(value: &'p mut Payload<'_>) -> Result<[&'p [u8]; 2], Error> {
    Ok(match value {
        Payload::Bytes(bytes) => [bytes, &[]],
        Payload::Joined(first, second) => [first, second],
        Payload::Staged(staged) => {
            staged.finish()?;
            [staged.as_bytes(), &[]]
        }
    })
}

/// The version that a record shall have that takes the place of one with version `before`.
fn wanted(version: NewVersion, before: u64) -> Wanted {
    match version {
        NewVersion::Given(version) => Wanted::Version(version),
        NewVersion::Next => Wanted::Above(before),
    }
}

/// What an edit comes to.
enum Change<'c> {
    Nothing,
    Remove,
    /// A record is written.
    Record {
        new: New<'c>,
        access: AccessBits,
        is_main: bool,
    },
    /// Bytes are added to the memory of a large record.
    Grow {
        meta: Meta,
        bytes: &'c [u8],
    },
    /// The record stays; only what is remembered of accesses changes.
    Mark(AccessBits),
    /// Only a large record's metadata changes.
    Remark {
        meta: Meta,
        access: AccessBits,
    },
}

/// What a change is made of: the edit and what there is.
struct Site<'s> {
    key: &'s [u8],
    hash: u64,
    now: Timestamp,
    view: Option<&'s View<'s>>,
    present: Option<&'s Present>,
    /// Whether a large record may be changed where it lies.
    in_place: bool,
}

impl Site<'_> {
    fn large(&self) -> bool {
        self.in_place && self.present.is_some_and(|present| present.large.is_some())
    }
}

impl Writer {
    /// What an edit comes to.
    fn plan<'e>(
        &mut self,
        edit: &'e mut Edit<'_>,
        site: &Site<'e>,
        shared: &Shared,
    ) -> Result<Change<'e>, Error> {
        match (edit, site.view, site.present) {
            (Edit::Put(put), ..) => {
                shared.check_value_len(put.value.len())?;
                let (meta, version) = (put.meta(), put.version);
                Ok(self.record(meta, version, parts(&mut put.value)?, site))
            }
            (Edit::Append { bytes, expiry, version }, Some(view), _) => {
                let len = view.value.len() + bytes.len() as u64;
                shared.check_value_len(len)?;
                let expiry = expiry.unwrap_or(view.meta.expiry);
                let meta = Meta { expiry, stale: false, won: false, ..view.meta };
                if site.large() {
                    let version = match version {
                        NewVersion::Given(version) => *version,
                        NewVersion::Next => shared.next_versions(1),
                    };
                    return Ok(Change::Grow { meta: Meta { version, ..meta }, bytes });
                }
                let old = view.value.as_bytes().unwrap_or_default();
                Ok(self.record(meta, *version, [old, bytes], site))
            }
            (Edit::Touch(touch), Some(view), Some(present)) => {
                Ok(self.touched(touch, view, present, site, shared))
            }
            (Edit::Remove, _, Some(_)) => Ok(Change::Remove),
            _ => Ok(Change::Nothing),
        }
    }

    /// A whole new record.
    fn record<'e>(
        &mut self,
        meta: Meta,
        version: NewVersion,
        value: [&'e [u8]; 2],
        site: &Site<'e>,
    ) -> Change<'e> {
        let old = site.present.map(|present| &present.old);
        let (is_main, access) = self.destined(old, site.hash, site.now);
        let before = site.view.map_or(0, |view| view.meta.version);
        let new = New { key: site.key, meta, version: wanted(version, before), value };
        Change::Record { new, access, is_main }
    }

    /// The queue that a new record goes to, and what is remembered of accesses: how often that before it
    /// was fetched stays known, though not that it was.
    #[inline]
    fn destined(&mut self, old: Option<&Old>, hash: u64, now: Timestamp) -> (bool, AccessBits) {
        match old {
            Some(old) => {
                let times = old.slot.access.times();
                (self.is_main(old.slot.place), AccessBits::stored(now).with_times(times))
            }
            None => (self.ghost.take(hash), AccessBits::stored(now)),
        }
    }

    fn is_main(&self, place: Place) -> bool {
        match self.segments.get(place.number) {
            Some(segment) => segment.is_main,
            None => self.larges.get(&place.number).is_some_and(|large| large.is_main),
        }
    }

    /// A put of any record or none ([`Mutation::is_blind`]); gives the version.
    fn put(
        &mut self,
        key: &[u8],
        hash: u64,
        put: &mut Put<'_>,
        now: Timestamp,
        shared: &Shared,
    ) -> Result<u64, Error> {
        shared.check_value_len(put.value.len())?;
        let (meta, version) = (put.meta(), put.version);
        let value = parts(&mut put.value)?;
        let (seat, old) = self.seek(hash, key, shared);
        let (is_main, access) = self.destined(old.as_ref(), hash, now);
        let version = wanted(version, old.map_or(0, |old| old.version));
        let new = New { key, meta, version, value };
        self.store(seat, old, hash, &new, is_main, access, now, shared)
    }

    /// Writes a record and links it; gives its version.
    #[inline]
    #[expect(clippy::too_many_arguments, reason = "one record with all that is known of it")]
    fn store(
        &mut self,
        seat: Seat,
        old: Option<Old>,
        hash: u64,
        new: &New<'_>,
        is_main: bool,
        access: AccessBits,
        now: Timestamp,
        shared: &Shared,
    ) -> Result<u64, Error> {
        let passes = self.passes;
        let written = self.write(new, is_main, access, now, shared)?;
        let (seat, old) = match self.passes == passes {
            true => (seat, old),
            false => self.seek(hash, new.key, shared),
        };
        self.link(seat, old, &written, shared)?;
        Ok(written.version)
    }

    fn touched<'e>(
        &mut self,
        touch: &Touch,
        view: &View<'e>,
        present: &Present,
        site: &Site<'e>,
        shared: &Shared,
    ) -> Change<'e> {
        let access = present.old.slot.access;
        let access = if touch.fetch { access.fetched_at(site.now) } else { access };
        if !touch.changes() {
            return Change::Mark(access);
        }
        let version = match touch.version {
            None => view.meta.version,
            Some(NewVersion::Given(version)) => version,
            Some(NewVersion::Next) => shared.next_versions(1),
        };
        let version = if shared.versions { version } else { 0 };
        let meta = Meta { version, ..touch.meta(&view.meta) };
        if site.large() {
            return Change::Remark { meta, access };
        }
        let value = [view.value.as_bytes().unwrap_or_default(), &[]];
        let new = New { key: site.key, meta, version: Wanted::Version(version), value };
        Change::Record { new, access, is_main: self.is_main(present.old.slot.place) }
    }
}

impl Cache {
    pub(crate) fn update_one(
        &self,
        key: &[u8],
        now: Timestamp,
        mutation: &mut dyn Mutation,
    ) -> Result<Applied, Error> {
        let shared = &self.shared;
        let hash = shared.hash_of(key);
        let shard = self.shard(hash);
        // On its way while the lock is taken.
        shard.index.prefetch(hash);
        let mut writer = shard.writer.lock();
        // Before the pin: what is taken away now can be used at once.
        writer.prepare_room(now, shared);
        if mutation.is_blind()
            && let Edit::Put(mut put) = mutation.evaluate(None)
        {
            return writer.put(key, hash, &mut put, now, shared).map(applied);
        }
        let pin = pin();
        let (seat, old) = writer.seek(hash, key, shared);
        let present = old.map(|old| Present::of(old, shared));
        let stored = present.as_ref().and_then(|present| present.stored(shared, &pin));
        let view = stored
            .filter(|stored| !stored.meta.expiry.is_past(now))
            .and_then(|stored| Some(shared.view(old?.slot, &stored, now)));
        let mut edit = mutation.evaluate(view.as_ref());
        let present = present.as_ref();
        let site = Site { key, hash, now, view: view.as_ref(), present, in_place: true };
        let version = match writer.plan(&mut edit, &site, shared)? {
            Change::Nothing => view.map_or(0, |view| view.meta.version),
            Change::Remove => {
                if let Some(old) = old {
                    writer.unlink(seat, old.slot, old.len, shared);
                }
                0
            }
            Change::Record { new, access, is_main } => {
                writer.store(seat, old, hash, &new, is_main, access, now, shared)?
            }
            Change::Mark(access) => {
                if let Some(old) = old {
                    writer.index.set(seat, Slot { access, ..old.slot });
                }
                view.map_or(0, |view| view.meta.version)
            }
            Change::Grow { meta, bytes } => {
                let number = old.map_or(0, |old| old.slot.place.number);
                writer.grow_large(number, meta, bytes, now, shared)?;
                self.stored_again(&writer, hash, old, now);
                meta.version
            }
            Change::Remark { meta, access } => {
                let Some(old) = old else { return Ok(applied(0)) };
                writer.change_large(old.slot.place.number, shared, |large| {
                    large.with_meta(meta);
                    Ok(())
                })?;
                let slot = Slot { access, ..old.slot };
                writer.index.set(seat, slot);
                meta.version
            }
        };
        Ok(applied(if shared.versions { version } else { 0 }))
    }

    /// Notes in the index that a record was stored where it was.
    fn stored_again(&self, writer: &Writer, hash: u64, old: Option<Old>, now: Timestamp) {
        let Some(old) = old else { return };
        if let Some((seat, slot)) = writer.seat_of(hash, old.slot.place) {
            let access = AccessBits::stored(now).with_times(slot.access.times());
            writer.index.set(seat, Slot { access, ..slot });
        }
    }

    pub(crate) fn update_unit(
        &self,
        keys: &[&[u8]],
        now: Timestamp,
        mutation: &mut dyn UnitMutation,
    ) -> Result<Applied, Error> {
        let shared = &self.shared;
        let hashes: Vec<u64> = keys.iter().map(|key| shared.hash_of(key)).collect();
        let numbers: Vec<usize> = hashes.iter().map(|&hash| self.shard_number(hash)).collect();
        // Locks in order of shard numbers, so that two units never wait for each other.
        let mut wanted = numbers.clone();
        wanted.sort_unstable();
        wanted.dedup();
        let mut writers: Vec<MutexGuard<'_, Writer>> = wanted
            .iter()
            .filter_map(|&number| self.shards.get(number))
            .map(|shard| shard.writer.lock())
            .collect();
        let writer_of: Vec<usize> =
            numbers.iter().map(|number| wanted.binary_search(number).unwrap_or_default()).collect();
        writers.iter_mut().for_each(|writer| writer.prepare_room(now, shared));
        let pin = pin();
        let presents: Vec<Option<Present>> = (0..keys.len())
            .map(|at| {
                let (_, old) = writers[writer_of[at]].seek(hashes[at], keys[at], shared);
                old.map(|old| Present::of(old, shared))
            })
            .collect();
        let views: Vec<Option<View<'_>>> = presents
            .iter()
            .map(|present| {
                let present = present.as_ref()?;
                let stored = present.stored(shared, &pin)?;
                let is_over = stored.meta.expiry.is_past(now);
                (!is_over).then(|| shared.view(present.old.slot, &stored, now))
            })
            .collect();
        let mut edits = mutation.evaluate(&views);
        edits.resize_with(keys.len(), || Edit::Keep);
        let mut done: Vec<(usize, Option<Written>)> = Vec::with_capacity(keys.len());
        let mut failure = None;
        for (at, edit) in edits.iter_mut().enumerate() {
            let writer = &mut writers[writer_of[at]];
            let (view, present) = (views[at].as_ref(), presents[at].as_ref());
            let (key, hash) = (keys[at], hashes[at]);
            let site = Site { key, hash, now, view, present, in_place: false };
            let result = writer.plan(edit, &site, shared).and_then(|change| match change {
                Change::Record { new, access, is_main } => {
                    writer.write(&new, is_main, access, now, shared).map(|new| Some(Some(new)))
                }
                Change::Remove => Ok(Some(None)),
                // A unit changes no large record where it lies.
                Change::Nothing | Change::Mark(_) | Change::Grow { .. } | Change::Remark { .. } => {
                    Ok(None)
                }
            });
            match result {
                Ok(Some(written)) => done.push((at, written)),
                Ok(None) => {}
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        if let Some(error) = failure {
            for (at, written) in &done {
                if let Some(written) = written {
                    writers[writer_of[*at]].abandon(written, shared);
                }
            }
            return Err(error);
        }
        shared.units.fetch_add(1, Ordering::AcqRel);
        // New keys come first: they alone can be refused, and can be taken back.
        let mut linked = Ok(());
        let (mut added, mut rest) = (Vec::new(), Vec::with_capacity(done.len()));
        for (at, written) in done {
            let writer = &mut writers[writer_of[at]];
            match (written, writer.seek(hashes[at], keys[at], shared)) {
                (Some(written), (seat, None)) if linked.is_ok() => {
                    linked = writer.link(seat, None, &written, shared);
                    added.push(at);
                }
                (written, _) => rest.push((at, written)),
            }
        }
        if linked.is_err() {
            for at in added {
                let writer = &mut writers[writer_of[at]];
                if let (seat, Some(old)) = writer.seek(hashes[at], keys[at], shared) {
                    writer.unlink(seat, old.slot, old.len, shared);
                }
            }
        }
        for (at, written) in rest {
            let writer = &mut writers[writer_of[at]];
            let (seat, old) = writer.seek(hashes[at], keys[at], shared);
            match (written, old) {
                (Some(written), _) if linked.is_err() => writer.abandon(&written, shared),
                (Some(written), old) => linked = writer.link(seat, old, &written, shared),
                (None, Some(old)) if linked.is_ok() => {
                    writer.unlink(seat, old.slot, old.len, shared)
                }
                (None, _) => {}
            }
        }
        shared.units.fetch_add(1, Ordering::AcqRel);
        linked.map(|()| applied(0))
    }
}

fn applied(version: u64) -> Applied {
    Applied { position: Position::START, version }
}
