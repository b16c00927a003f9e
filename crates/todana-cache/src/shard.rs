//! A shard: an index, its segments, and the steps that an update is made of.
//!
//! An update *writes* its new records first (they lie in a segment but nothing points to them), then
//! *links* them. Writing may reclaim memory and may be refused; linking cannot fail. So an update of
//! several keys that is refused half-way has changed nothing: what it wrote is garbage.

use crate::access::AccessBits;
use crate::index::{Entry, Index, Place, Slot};
use crate::layout::{self, HEAD_LEN_MAX, Stored};
use crate::segment::{Segment, SegmentTable};
use crate::shared::Shared;
use std::collections::VecDeque;
use todana_engine::{Access, Edit, Error, NewVersion, Payload, Value, View};
use todana_record::{Expiry, Meta, Position, Timestamp};

/// Records of this many bytes and more are written over where they lie when their length stays. It
/// takes a version that is written out: eight bytes, at most 1.6 %, against moving as much again when
/// the garbage of a full store is reclaimed.
pub(crate) const IN_PLACE_LEN_MIN: usize = 512;

/// Counters of a shard, since it was made.
#[derive(Debug, Default, Clone)]
pub(crate) struct Counters {
    pub(crate) stored: u64,
    pub(crate) evictions: u64,
    pub(crate) evicted_with_expiry: u64,
    pub(crate) evicted_unfetched: u64,
    pub(crate) evicted_active: u64,
    pub(crate) evicted_idle_s: u64,
    pub(crate) expired: u64,
    pub(crate) expired_unfetched: u64,
    pub(crate) out_of_memory: u64,
    pub(crate) moved: u64,
    pub(crate) reclaimed: u64,
}

/// A part of the cache under one lock.
#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) index: Index,
    pub(crate) segments: SegmentTable,
    pub(crate) open: Option<u32>,
    /// Sealed segments, oldest first.
    pub(crate) sealed: VecDeque<u32>,
    /// Bytes of all segments.
    pub(crate) segment_bytes: usize,
    pub(crate) limit_bytes: usize,
    pub(crate) counters: Counters,
    /// Where the job *ages* stands.
    pub(crate) sweep_from: usize,
    scratch: Vec<u8>,
}

/// A record found in the index.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Located {
    pub(crate) entry: Entry,
    pub(crate) slot: Slot,
    pub(crate) place: Place,
}

/// An edit ready to be linked: its bytes, if any, are in a segment.
#[derive(Debug)]
pub(crate) enum Prepared {
    Nothing,
    Link { place: Place, len: usize, expiry: Expiry, version: u64, access: Option<AccessBits> },
    Overwrite { bytes: Vec<u8>, expiry: Expiry, version: u64, access: Option<AccessBits> },
    Remark { meta: Meta, version_changes: bool, fetch: bool },
    Remove,
}

impl Shard {
    pub(crate) fn new(limit_bytes: usize) -> Shard {
        Shard {
            index: Index::new(),
            segments: SegmentTable::default(),
            open: None,
            sealed: VecDeque::new(),
            segment_bytes: 0,
            limit_bytes,
            counters: Counters::default(),
            sweep_from: 0,
            scratch: Vec::new(),
        }
    }

    /// Bytes that it holds.
    pub(crate) fn bytes(&self) -> usize {
        self.segment_bytes + self.index.bytes()
    }

    /// Forgets everything; gives what there was, to be dropped where nobody waits for it.
    pub(crate) fn clear(&mut self) -> Shard {
        let counters = std::mem::take(&mut self.counters);
        std::mem::replace(self, Shard { counters, ..Shard::new(self.limit_bytes) })
    }

    /// Finds the record of a key, ended or not.
    #[inline]
    pub(crate) fn locate(&self, hash: u64, key: &[u8]) -> Option<(Located, &Segment, Stored<'_>)> {
        let mut found = None;
        let (entry, slot) = self.index.find(hash, |slot| {
            found = self.segments.at(slot.place()).filter(|(_, stored)| stored.key == key);
            found.is_some()
        })?;
        let (segment, stored) = found?;
        Some((Located { entry, slot, place: slot.place() }, segment, stored))
    }

    /// Looks at the record of a key. The second part tells whether it is there but has ended.
    #[inline]
    pub(crate) fn view(
        &self,
        hash: u64,
        key: &[u8],
        now: Timestamp,
        shared: &Shared,
    ) -> (Option<(Located, View<'_>)>, bool) {
        match self.locate(hash, key) {
            Some((_, _, stored)) if stored.meta.expiry.is_past(now) => (None, true),
            Some((located, segment, stored)) => {
                (Some((located, view_of(located.slot, segment, stored, now, shared))), false)
            }
            None => (None, false),
        }
    }

    /// What an edit of a record that was just looked at has to know of it.
    pub(crate) fn before<'v>(&self, located: Located, view: &'v View<'v>) -> Before<'v> {
        let stored = self.segments.at(located.place);
        Before {
            view,
            explicit_version: stored.is_some_and(|(_, stored)| stored.explicit_version),
            access: located.slot.access(),
            upcoming_version: self.upcoming_version(),
        }
    }

    /// Marks a record as fetched now.
    #[inline]
    pub(crate) fn mark_fetched(&mut self, located: Located, now: Timestamp) {
        let marked = located.slot.with_access(located.slot.access().fetched_at(now));
        if marked != located.slot {
            self.index.set(located.entry, marked);
        }
    }

    /// Writes what an edit needs.
    pub(crate) fn prepare(
        &mut self,
        encoded: Encoded,
        now: Timestamp,
        shared: &Shared,
    ) -> Result<Prepared, Error> {
        match encoded {
            Encoded::Nothing => Ok(Prepared::Nothing),
            Encoded::Remove => Ok(Prepared::Remove),
            Encoded::Remark { meta, version_changes, fetch } => {
                Ok(Prepared::Remark { meta, version_changes, fetch })
            }
            Encoded::Record { bytes, expiry, version, access } => {
                let len = bytes.len();
                let place = self.write(bytes, now, shared)?;
                let implicit = self
                    .segments
                    .get(place.segment)
                    .map_or(0, |segment| segment.implicit_version(place.offset));
                let version = match version {
                    Some(version) => version,
                    None if shared.versions => implicit,
                    None => 0,
                };
                Ok(Prepared::Link { place, len, expiry, version, access })
            }
        }
    }

    /// Links what was prepared. Gives the record's version afterwards, 0 when there is none.
    pub(crate) fn link(
        &mut self,
        hash: u64,
        key: &[u8],
        prepared: Prepared,
        now: Timestamp,
        shared: &Shared,
    ) -> u64 {
        let present = self.locate(hash, key).map(|(located, _, stored)| {
            (located, stored.len, stored.meta, stored.explicit_version)
        });
        match prepared {
            Prepared::Nothing => match present {
                Some((located, _, meta, explicit)) if !meta.expiry.is_past(now) => {
                    self.version_at(located.place, meta.version, explicit, shared)
                }
                _ => 0,
            },
            Prepared::Remove => {
                if let Some((located, len, ..)) = present {
                    self.unlink(hash, located, len);
                }
                0
            }
            Prepared::Remark { meta, version_changes, fetch } => {
                let Some((located, ..)) = present else { return 0 };
                if let Some(segment) = self.segments.get_mut(located.place.segment) {
                    let bytes = &mut segment.bytes[located.place.offset as usize..];
                    layout::overwrite_meta(bytes, &meta, version_changes);
                    segment.note_expiry(meta.expiry);
                }
                if fetch {
                    self.mark_fetched(located, now);
                }
                meta.version
            }
            Prepared::Overwrite { bytes, expiry, version, access } => {
                let Some((located, ..)) = present else { return 0 };
                self.counters.stored += 1;
                if let Some(segment) = self.segments.get_mut(located.place.segment) {
                    let start = located.place.offset as usize;
                    segment.bytes[start..start + bytes.len()].copy_from_slice(&bytes);
                    segment.note_expiry(expiry);
                }
                let access = access.unwrap_or_else(|| AccessBits::stored(now));
                self.index.set(located.entry, located.slot.with_access(access));
                if bytes.capacity() <= shared.segment_len / 8 {
                    self.scratch = bytes;
                }
                version
            }
            Prepared::Link { place, len, expiry, version, access } => {
                self.counters.stored += 1;
                let access = access.unwrap_or_else(|| AccessBits::stored(now));
                let slot = Slot::new(hash, place, access);
                if let Some(segment) = self.segments.get_mut(place.segment) {
                    segment.gained(len, expiry);
                    segment.pinned = false;
                }
                match present {
                    Some((located, old_len, ..)) => {
                        self.index.set(located.entry, slot);
                        self.forget(located.place, old_len);
                    }
                    None => self.insert(hash, slot, shared),
                }
                version
            }
        }
    }

    fn version_at(&self, place: Place, version: u64, explicit: bool, shared: &Shared) -> u64 {
        if explicit || !shared.versions {
            return version;
        }
        self.segments.get(place.segment).map_or(0, |segment| segment.implicit_version(place.offset))
    }

    /// Adds an entry to the index.
    pub(crate) fn insert(&mut self, hash: u64, slot: Slot, shared: &Shared) {
        let segments = &self.segments;
        self.index.insert(hash, slot, |slot| {
            segments.at(slot.place()).map_or(0, |(_, stored)| shared.hash.of(stored.key))
        });
    }

    /// Removes a record from the index.
    pub(crate) fn unlink(&mut self, hash: u64, located: Located, len: usize) {
        self.index.remove(located.entry, hash);
        self.forget(located.place, len);
    }

    /// Notes that nothing points to a record any more; frees its segment if it was the last one of a
    /// sealed segment.
    fn forget(&mut self, place: Place, len: usize) {
        let Some(segment) = self.segments.get_mut(place.segment) else { return };
        segment.lost(len);
        // Sealed ordinary segments that became empty are found, oldest first, by the reclaim pass.
        if segment.live == 0 && segment.large && !segment.pinned {
            self.release(place.segment);
        }
    }

    /// Takes a sealed segment away; its number stays taken.
    pub(crate) fn detach(&mut self, number: u32) -> Option<Segment> {
        let segment = self.segments.take(number)?;
        self.segment_bytes -= segment.capacity;
        if let Some(at) = self.sealed.iter().position(|&sealed| sealed == number) {
            self.sealed.remove(at);
        }
        Some(segment)
    }

    /// Gives the memory of a sealed segment back that nothing points to.
    pub(crate) fn release(&mut self, number: u32) {
        if self.detach(number).is_some() {
            self.segments.free_number(number);
        }
    }

    /// Appends a record to a segment, making room first. The segment is pinned until the record is
    /// linked.
    fn write(&mut self, record: Vec<u8>, now: Timestamp, shared: &Shared) -> Result<Place, Error> {
        if record.len() > shared.segment_len / 8 {
            return self.write_large(record, now, shared);
        }
        let number = match self.open {
            Some(number)
                if self.segments.get(number).is_some_and(|open| open.room() >= record.len()) =>
            {
                number
            }
            _ => self.open_segment(now, shared)?,
        };
        let place = self.append(number, &record);
        self.scratch = record;
        Ok(place)
    }

    /// Appends to the open segment, which has the room.
    pub(crate) fn append(&mut self, number: u32, record: &[u8]) -> Place {
        let mut offset = 0;
        if let Some(open) = self.segments.get_mut(number) {
            // An ordinary segment is at most 2^20 bytes.
            offset = u32::try_from(open.bytes.len()).unwrap_or(u32::MAX);
            open.bytes.extend_from_slice(record);
            open.pinned = true;
        }
        Place { segment: number, offset }
    }

    /// Seals the open segment and opens another.
    pub(crate) fn open_segment(&mut self, now: Timestamp, shared: &Shared) -> Result<u32, Error> {
        if let Some(full) = self.open.take() {
            self.sealed.push_back(full);
        }
        self.make_room(shared.segment_len, now, shared)?;
        // Reclaiming may have opened one for the records that it kept.
        if let Some(number) = self.open {
            let half_empty = shared.segment_len / 2;
            if self.segments.get(number).is_some_and(|open| open.room() >= half_empty) {
                return Ok(number);
            }
            self.sealed.extend(self.open.take());
        }
        let base = shared.next_versions(shared.segment_len as u64);
        let number = self
            .segments
            .add(Segment::ordinary(shared.segment_len, base, now))
            .ok_or(Error::OutOfMemory { limit_bytes: self.limit_bytes as u64 })?;
        self.segment_bytes += shared.segment_len;
        self.open = Some(number);
        Ok(number)
    }

    fn write_large(
        &mut self,
        record: Vec<u8>,
        now: Timestamp,
        shared: &Shared,
    ) -> Result<Place, Error> {
        let len = record.len();
        if len > self.limit_bytes / 2 {
            let max = self.limit_bytes as u64 / 2;
            return Err(Error::ValueTooLarge { len: len as u64, max });
        }
        self.make_room(len, now, shared)?;
        let base = shared.next_versions(1);
        let mut segment = Segment::large(record, base, now);
        segment.pinned = true;
        let number = self
            .segments
            .add(segment)
            .ok_or(Error::OutOfMemory { limit_bytes: self.limit_bytes as u64 })?;
        self.segment_bytes += len;
        self.sealed.push_back(number);
        Ok(Place { segment: number, offset: 0 })
    }

    /// The least implicit version that a record written now can get.
    pub(crate) fn upcoming_version(&self) -> u64 {
        let open = self.open.and_then(|open| self.segments.get(open));
        open.map_or(u64::MAX, |open| open.version_base + open.bytes.len() as u64)
    }

    /// Makes a record ready to be written over one that lies there, if that is possible: both of the
    /// same length, with their versions written out, and long enough to be worth it. Else it is
    /// written anew.
    pub(crate) fn prepare_over(
        &mut self,
        place: Place,
        encoded: Encoded,
        now: Timestamp,
        shared: &Shared,
    ) -> Result<Prepared, Error> {
        if let Encoded::Record { bytes, expiry, version, access } = &encoded
            && bytes.len() >= IN_PLACE_LEN_MIN
            && version.is_some() == shared.versions
            && let Some((_, stored)) = self.segments.at(place)
            && stored.len == bytes.len()
            && stored.explicit_version == shared.versions
        {
            let (expiry, version, access) = (*expiry, version.unwrap_or(0), *access);
            if let Encoded::Record { bytes, .. } = encoded {
                return Ok(Prepared::Overwrite { bytes, expiry, version, access });
            }
            return Ok(Prepared::Nothing);
        }
        self.prepare(encoded, now, shared)
    }

    /// A buffer to encode a record in.
    pub(crate) fn scratch(&mut self) -> Vec<u8> {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        scratch
    }

    /// Takes back the pin of a record that will not be linked.
    pub(crate) fn abandon(&mut self, prepared: &Prepared) {
        if let Prepared::Link { place, .. } = prepared
            && let Some(segment) = self.segments.get_mut(place.segment)
        {
            segment.pinned = false;
            if segment.large {
                self.release(place.segment);
            }
        }
    }
}

/// An edit without borrows.
#[derive(Debug)]
pub(crate) enum Encoded {
    Nothing,
    Remove,
    Remark { meta: Meta, version_changes: bool, fetch: bool },
    Record { bytes: Vec<u8>, expiry: Expiry, version: Option<u64>, access: Option<AccessBits> },
}

/// The record that an edit was computed from.
#[derive(Clone, Copy)]
pub(crate) struct Before<'v> {
    pub(crate) view: &'v View<'v>,
    pub(crate) explicit_version: bool,
    pub(crate) access: AccessBits,
    /// The least implicit version that a record written now can get.
    pub(crate) upcoming_version: u64,
}

impl Before<'_> {
    /// The version that a record of this length has to be given expressly when it takes the place of
    /// this one: when the implicit one would not be higher, so that versions of a key rise; and when it
    /// is long enough to be written over where it lies, next time.
    fn express_version(&self, len: u64, shared: &Shared) -> Option<u64> {
        let rises = self.view.meta.version < self.upcoming_version;
        let long = len >= IN_PLACE_LEN_MIN as u64;
        (shared.versions && (!rises || long)).then(|| shared.next_versions(1))
    }
}

/// Makes an edit independent of what it borrows. `out` is an empty buffer.
pub(crate) fn encode_edit(
    key: &[u8],
    current: Option<Before<'_>>,
    edit: Edit<'_>,
    mut out: Vec<u8>,
    now: Timestamp,
    shared: &Shared,
) -> Result<Encoded, Error> {
    let express = |version: NewVersion, value_len: u64| match version {
        NewVersion::Given(version) => shared.versions.then_some(version),
        NewVersion::Next => {
            current.and_then(|before| before.express_version(value_len + key.len() as u64, shared))
        }
    };
    match (edit, current) {
        (Edit::Keep, _) | (Edit::Append { .. } | Edit::Touch(_), None) => Ok(Encoded::Nothing),
        (Edit::Remove, _) => Ok(Encoded::Remove),
        (Edit::Put(put), _) => {
            shared.check_value_len(put.value.len())?;
            let version = express(put.version, put.value.len());
            let meta = Meta {
                flags: put.flags,
                expiry: put.expiry,
                version: version.unwrap_or(0),
                kind: put.kind,
                stale: put.stale,
                won: put.won,
            };
            begin_record(&mut out, key, &meta, version.is_some(), put.value.len());
            match &put.value {
                Payload::Bytes(bytes) => out.extend_from_slice(bytes),
                Payload::Joined(first, second) => {
                    out.extend_from_slice(first);
                    out.extend_from_slice(second);
                }
                Payload::Staged(staged) => out.extend_from_slice(staged.as_bytes()),
            }
            let (expiry, access) = (put.expiry, None);
            Ok(Encoded::Record { bytes: out, expiry, version, access })
        }
        (Edit::Append { bytes, expiry, version }, Some(Before { view, .. })) => {
            let old = view.value.as_bytes().unwrap_or_default();
            let len = old.len() as u64 + bytes.len() as u64;
            shared.check_value_len(len)?;
            let version = express(version, len);
            let meta = Meta {
                expiry: expiry.unwrap_or(view.meta.expiry),
                version: version.unwrap_or(0),
                stale: false,
                won: false,
                ..view.meta
            };
            begin_record(&mut out, key, &meta, version.is_some(), len);
            out.extend_from_slice(old);
            out.extend_from_slice(bytes);
            let (expiry, access) = (meta.expiry, None);
            Ok(Encoded::Record { bytes: out, expiry, version, access })
        }
        (Edit::Touch(touch), Some(Before { view, explicit_version, access, .. })) => {
            let version = match touch.version {
                None => view.meta.version,
                Some(NewVersion::Given(version)) => version,
                Some(NewVersion::Next) => shared.next_versions(1),
            };
            let meta = Meta {
                expiry: touch.expiry.unwrap_or(view.meta.expiry),
                stale: touch.stale.unwrap_or(view.meta.stale),
                won: touch.won.unwrap_or(view.meta.won),
                version: if shared.versions { version } else { 0 },
                ..view.meta
            };
            let version_changes = shared.versions && touch.version.is_some();
            let expiry_fits = view.meta.expiry.is_never() == meta.expiry.is_never();
            if expiry_fits && (explicit_version || !version_changes) {
                let fetch = touch.fetch;
                return Ok(Encoded::Remark { meta, version_changes, fetch });
            }
            let value = view.value.as_bytes().unwrap_or_default();
            let len = value.len() as u64;
            begin_record(&mut out, key, &meta, shared.versions, len);
            out.extend_from_slice(value);
            let access = if touch.fetch { access.fetched_at(now) } else { access };
            let version = shared.versions.then_some(meta.version);
            let (expiry, access) = (meta.expiry, Some(access));
            Ok(Encoded::Record { bytes: out, expiry, version, access })
        }
    }
}

/// Writes everything of a record but its value, for which it leaves exactly the room.
fn begin_record(out: &mut Vec<u8>, key: &[u8], meta: &Meta, explicit: bool, value_len: u64) {
    let len = HEAD_LEN_MAX + key.len() + usize::try_from(value_len).unwrap_or(0);
    if out.capacity() < len {
        out.reserve_exact(len);
    }
    layout::encode_head(out, meta, explicit, key.len(), value_len);
    out.extend_from_slice(key);
}

/// The engine's view of a record in a segment.
#[inline]
pub(crate) fn view_of<'s>(
    slot: Slot,
    segment: &Segment,
    stored: Stored<'s>,
    now: Timestamp,
    shared: &Shared,
) -> View<'s> {
    let mut meta = stored.meta;
    if !stored.explicit_version && shared.versions {
        meta.version = segment.implicit_version(slot.place().offset);
    }
    let access = slot.access();
    View {
        key: stored.key,
        meta,
        value: Value::Bytes(stored.value),
        position: Position::START,
        access: Access { hit_before: access.was_fetched(), idle_s: access.idle_s(now) },
    }
}
