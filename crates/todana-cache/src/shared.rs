//! What all shards of a cache use.

use crate::large::LargeTable;
use crate::layout::{self, Stored, Version};
use crate::options::CacheOptions;
use crate::place::{Grain, LARGE_FROM, OFFSET_BITS, Place, Slot};
use parking_lot::RwLock;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use todana_engine::{Access, Error, Listener, Value, View};
use todana_io::Arena;
use todana_io::epoch::Pin;
use todana_record::{IndexHash, Meta, Position, Timestamp};

/// Which version a record is to have.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wanted {
    /// This one.
    Version(u64),
    /// The one that its place implies, if that is above this one: versions of a key rise.
    Above(u64),
}

/// What all shards use.
pub(crate) struct Shared {
    hash: IndexHash,
    pub(crate) versions: bool,
    pub(crate) evicts: bool,
    pub(crate) arena: Arc<Arena>,
    pub(crate) grain: Grain,
    pub(crate) larges: LargeTable,
    /// Odd while a unit, or a flush, is half visible.
    pub(crate) units: AtomicU64,
    /// By number of a segment: the implicit version of a record is this and its offset.
    bases: Box<[AtomicU64]>,
    value_len_max: u64,
    limit_bytes: AtomicU64,
    next_version: AtomicU64,
    listeners: RwLock<Vec<Arc<dyn Listener>>>,
}

impl Shared {
    pub(crate) fn new(options: &CacheOptions, arena: Arc<Arena>, value_len_max: u64) -> Shared {
        let grain = Grain::of(arena.segment_len());
        let bases = (0..=arena.segment_count()).map(|_| AtomicU64::new(0)).collect();
        Shared {
            hash: IndexHash::new(options.seed),
            versions: options.versions,
            evicts: options.evictions,
            arena,
            grain,
            larges: LargeTable::new(),
            units: AtomicU64::new(0),
            bases,
            value_len_max,
            limit_bytes: AtomicU64::new(options.memory_limit_bytes),
            next_version: AtomicU64::new(1),
            listeners: RwLock::new(Vec::new()),
        }
    }

    pub(crate) fn segment_len(&self) -> usize {
        self.arena.segment_len()
    }

    /// Longest record that goes into a segment with others.
    pub(crate) fn record_len_max(&self) -> usize {
        self.segment_len() / 8
    }

    /// The hash that leads to a key's shard, by its low bits, and to its entry, by the others.
    #[inline]
    pub(crate) fn hash_of(&self, key: &[u8]) -> u64 {
        todana_index::spread(self.hash.of(key))
    }

    /// The bytes from a place on; none when its segment is gone.
    #[inline]
    pub(crate) fn bytes<'p>(&'p self, pin: &'p Pin, place: Place) -> &'p [u8] {
        let number = (place.number as usize).wrapping_sub(1);
        self.arena.read(pin, number, self.grain.start(place.offset))
    }

    #[inline]
    pub(crate) fn prefetch(&self, place: Place, whole: bool) {
        if place.number < LARGE_FROM {
            let offset = self.grain.start(place.offset);
            self.arena.prefetch((place.number as usize).wrapping_sub(1), offset, whole);
        }
    }

    /// The record at a place that is not large.
    #[inline]
    pub(crate) fn stored<'p>(&'p self, pin: &'p Pin, place: Place) -> Option<Stored<'p>> {
        layout::decode(self.bytes(pin, place))
    }

    /// Gives the records of a segment that is begun their versions.
    pub(crate) fn begin_versions(&self, number: u32) {
        let base = self.next_versions(1 << OFFSET_BITS);
        if let Some(place) = self.bases.get(number as usize) {
            place.store(base, Ordering::Relaxed);
        }
    }

    /// The version of a record that has none of its own.
    #[inline]
    fn implicit_version(&self, place: Place) -> u64 {
        let base = self.bases.get(place.number as usize);
        base.map_or(0, |base| base.load(Ordering::Relaxed) + u64::from(place.offset))
    }

    /// The version of the record at a place; 0 where records have none.
    #[inline]
    pub(crate) fn version(&self, place: Place, stored: &Stored<'_>) -> u64 {
        match stored.version {
            _ if !self.versions => 0,
            Version::Behind(behind) => self.implicit_version(place).wrapping_sub(behind),
            Version::Own => stored.meta.version,
        }
    }

    /// The version of a record that is written to a place, and how far that is behind the one that the
    /// place implies.
    #[inline]
    pub(crate) fn version_at(&self, place: Place, wanted: Wanted) -> (u64, u64) {
        if !self.versions {
            return (0, 0);
        }
        let implied = self.implicit_version(place);
        let version = match wanted {
            Wanted::Version(version) => version,
            Wanted::Above(old) if old < implied => return (implied, 0),
            Wanted::Above(_) => self.next_versions(1),
        };
        (version, implied.wrapping_sub(version))
    }

    /// The engine's view of a record.
    #[inline]
    pub(crate) fn view<'s>(&self, slot: Slot, stored: &Stored<'s>, now: Timestamp) -> View<'s> {
        let meta = Meta { version: self.version(slot.place, stored), ..stored.meta };
        View {
            key: stored.key,
            meta,
            value: Value::Bytes(stored.value),
            position: Position::START,
            access: Access {
                hit_before: slot.access.was_fetched(),
                idle_s: slot.access.idle_s(now),
            },
        }
    }

    /// Takes `count` versions that nobody else gets.
    pub(crate) fn next_versions(&self, count: u64) -> u64 {
        self.next_version.fetch_add(count, Ordering::Relaxed)
    }

    pub(crate) fn limit_bytes(&self) -> u64 {
        self.limit_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn set_limit_bytes(&self, bytes: u64) {
        self.limit_bytes.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn value_len_max(&self) -> u64 {
        self.value_len_max
    }

    pub(crate) fn subscribe(&self, listener: Arc<dyn Listener>) {
        self.listeners.write().push(listener);
    }

    pub(crate) fn check_value_len(&self, len: u64) -> Result<(), Error> {
        if len > self.value_len_max {
            return Err(Error::ValueTooLarge { len, max: self.value_len_max });
        }
        Ok(())
    }

    /// Whether anybody wants to hear of evictions.
    pub(crate) fn tells_evictions(&self) -> bool {
        self.listeners.read().iter().any(|listener| listener.wants_evictions())
    }

    pub(crate) fn tell_evicted(&self, record: &View<'_>) {
        for listener in self.listeners.read().iter().filter(|listener| listener.wants_evictions()) {
            listener.evicted(record);
        }
    }
}
