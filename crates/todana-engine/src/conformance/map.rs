//! A second engine, obviously right and of no other use: a locked `BTreeMap`. It proves that the
//! contract is not shaped by one engine, and lends the server's tests what the memory engine does not
//! have: an update stream, durability that lags behind, reads that have to wait, several partitions.

use crate::{
    Absence, Access, Applied, Cursor, Edit, Effect, Engine, Error, Found, JobProgress, Level,
    Limits, Listener, Look, Mutation, NewVersion, Payload, Progress, Put, Snapshot, Statistics,
    StoreClock, StreamError, Token, Touch, UnitMutation, UpdateStream, Value, View,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use todana_record::{KEY_LEN_MAX, Meta, PartitionId, Position, SLOT_COUNT, Timestamp, slot_of};

const PARTITIONS: u16 = 4;
const VALUE_LEN_MAX: u64 = 1 << 20;

/// The jobs of [`MapEngine`], in order.
pub const MAP_JOBS: [&str; 2] = ["sync", "read"];

#[derive(Debug, Clone)]
struct Record {
    value: Vec<u8>,
    meta: Meta,
    position: Position,
    hit: bool,
    accessed: Timestamp,
    cold: bool,
}

/// A change as it is kept in the log.
#[derive(Debug, Clone)]
enum Change {
    Put(Vec<u8>, Meta, Vec<u8>),
    Remove(Vec<u8>),
    Flush(Position),
}

impl Change {
    fn effect(&self) -> Effect<'_> {
        match self {
            Change::Put(key, meta, value) => Effect::Put { key, meta: *meta, value },
            Change::Remove(key) => Effect::Remove { key },
            Change::Flush(cut) => Effect::Flush { cut: *cut },
        }
    }
}

type Log = Vec<(Position, Timestamp, Vec<Change>)>;

#[derive(Default)]
struct State {
    map: BTreeMap<Vec<u8>, Record>,
    sequence: u64,
    version: u64,
    log: [Log; PARTITIONS as usize],
    durable: u64,
    flush_due: Option<Timestamp>,
    waiting: BTreeSet<Vec<u8>>,
    token: u64,
}

/// A locked `BTreeMap` as an engine. See the module.
pub struct MapEngine {
    state: Arc<Mutex<State>>,
    clock: StoreClock,
    listeners: Mutex<Vec<Arc<dyn Listener>>>,
    cold_reads: bool,
}

impl MapEngine {
    /// An empty engine that answers at once; changes are durable once the job `sync` has run.
    pub fn new() -> MapEngine {
        MapEngine {
            state: Arc::default(),
            clock: StoreClock::new(),
            listeners: Mutex::default(),
            cold_reads: false,
        }
    }

    /// An empty engine whose records have to be read (by the job `read`) before their first get or
    /// update after each change.
    pub fn with_cold_reads() -> MapEngine {
        MapEngine { cold_reads: true, ..MapEngine::new() }
    }

    fn state(&self, now: Timestamp) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().expect("no test panics inside");
        if state.flush_due.is_some_and(|due| due <= now) {
            state.flush_due = None;
            cut(&mut state, now);
        }
        state
    }

    fn tell(&self, call: impl Fn(&dyn Listener)) {
        for listener in self.listeners.lock().expect("no test panics inside").iter() {
            call(&**listener);
        }
    }

    fn wait_for(&self, state: &mut State, key: &[u8]) -> Option<Token> {
        let cold = state.map.get(key).is_some_and(|record| record.cold);
        (self.cold_reads && cold).then(|| {
            state.waiting.insert(key.to_vec());
            Token(state.token)
        })
    }
}

impl Default for MapEngine {
    fn default() -> MapEngine {
        MapEngine::new()
    }
}

fn partition_of(key: &[u8]) -> PartitionId {
    PartitionId(slot_of(key) / (SLOT_COUNT / PARTITIONS))
}

fn cut(state: &mut State, now: Timestamp) {
    (0..PARTITIONS).for_each(|id| cut_partition(state, PartitionId(id), now));
}

fn cut_partition(state: &mut State, partition: PartitionId, now: Timestamp) {
    state.map.retain(|key, _| partition_of(key) != partition);
    state.sequence += 1;
    let position = Position { incarnation: 1, sequence: state.sequence };
    let log = &mut state.log[usize::from(partition.0)];
    log.push((position, now, vec![Change::Flush(position)]));
}

fn present<'s>(state: &'s State, key: &[u8], now: Timestamp) -> Option<&'s Record> {
    state.map.get(key).filter(|record| !record.meta.expiry.is_past(now))
}

fn view<'v>(key: &'v [u8], record: &'v Record, now: Timestamp) -> View<'v> {
    let idle_ms = now.ms().saturating_sub(record.accessed.ms());
    View {
        key,
        meta: record.meta,
        value: Value::Bytes(&record.value),
        position: record.position,
        access: Access {
            hit_before: record.hit,
            idle_s: u32::try_from(idle_ms / 1_000).unwrap_or(u32::MAX),
        },
    }
}

/// The record that an edit makes: `Ok(None)` when nothing changes.
fn outcome(
    current: Option<&Record>,
    edit: Edit<'_>,
    next_version: u64,
    now: Timestamp,
) -> Result<Option<Option<Record>>, Error> {
    let version_of = |version| match version {
        NewVersion::Next => next_version,
        NewVersion::Given(version) => version,
    };
    let fresh = |value: Vec<u8>, meta| {
        if value.len() as u64 > VALUE_LEN_MAX {
            return Err(Error::ValueTooLarge { len: value.len() as u64, max: VALUE_LEN_MAX });
        }
        let position = Position::START;
        Ok(Some(Some(Record { value, meta, position, hit: false, accessed: now, cold: true })))
    };
    match (edit, current) {
        (Edit::Put(Put { value, flags, expiry, kind, version, stale, won }), _) => {
            let value = match value {
                Payload::Bytes(bytes) => bytes.to_vec(),
                Payload::Joined(first, second) => [first, second].concat(),
                Payload::Staged(staged) => staged.as_bytes().to_vec(),
            };
            let version = version_of(version);
            fresh(value, Meta { flags, expiry, version, kind, stale, won })
        }
        (Edit::Append { bytes, expiry, version }, Some(record)) => {
            let meta = Meta {
                expiry: expiry.unwrap_or(record.meta.expiry),
                version: version_of(version),
                stale: false,
                won: false,
                ..record.meta
            };
            fresh([&record.value, bytes].concat(), meta)
        }
        (Edit::Touch(Touch { expiry, stale, won, version, fetch }), Some(record)) => {
            let mut touched = record.clone();
            touched.meta = Meta {
                expiry: expiry.unwrap_or(record.meta.expiry),
                stale: stale.unwrap_or(record.meta.stale),
                won: won.unwrap_or(record.meta.won),
                version: version.map_or(record.meta.version, version_of),
                ..record.meta
            };
            if fetch {
                (touched.hit, touched.accessed) = (true, now);
            }
            Ok(Some(Some(touched)))
        }
        (Edit::Remove, Some(_)) => Ok(Some(None)),
        _ => Ok(None),
    }
}

impl Engine for MapEngine {
    fn name(&self) -> &'static str {
        "map"
    }

    fn limits(&self) -> Limits {
        Limits {
            key_len_max: KEY_LEN_MAX,
            value_len_max: VALUE_LEN_MAX,
            versions: true,
            evicts: false,
            remembers: true,
            waits: self.cold_reads,
            lags: true,
        }
    }

    fn clock(&self) -> &StoreClock {
        &self.clock
    }

    fn get_many(
        &self,
        keys: &[&[u8]],
        now: Timestamp,
        visit: &mut dyn FnMut(usize, Found<'_>) -> Look,
    ) {
        let mut state = self.state(now);
        for (at, key) in keys.iter().enumerate() {
            if let Some(token) = self.wait_for(&mut state, key) {
                visit(at, Found::Pending(token));
                continue;
            }
            match state.map.get_mut(*key) {
                Some(record) if record.meta.expiry.is_past(now) => {
                    visit(at, Found::Absent(Absence::Expired));
                }
                Some(record) => {
                    let look = visit(at, Found::Record(view(key, record, now)));
                    if look == Look::Fetched {
                        (record.hit, record.accessed) = (true, now);
                    }
                }
                None => {
                    visit(at, Found::Absent(Absence::Unknown));
                }
            }
        }
    }

    fn update(
        &self,
        key: &[u8],
        now: Timestamp,
        mutation: &mut dyn Mutation,
    ) -> Result<Progress<Applied>, Error> {
        struct One<'m>(&'m mut dyn Mutation);
        impl UnitMutation for One<'_> {
            fn evaluate<'s>(&'s mut self, current: &'s [Option<View<'s>>]) -> Vec<Edit<'s>> {
                vec![self.0.evaluate(current[0].as_ref())]
            }
        }
        self.update_many(&[key], now, &mut One(mutation))
    }

    fn update_many(
        &self,
        keys: &[&[u8]],
        now: Timestamp,
        mutation: &mut dyn UnitMutation,
    ) -> Result<Progress<Applied>, Error> {
        if let Some(key) = keys.iter().find(|key| key.len() > KEY_LEN_MAX) {
            return Err(Error::KeyTooLarge { len: key.len() as u64, max: KEY_LEN_MAX as u64 });
        }
        let mut state = self.state(now);
        for key in keys {
            if let Some(token) = self.wait_for(&mut state, key) {
                return Ok(Progress::Pending(token));
            }
        }
        let next_version = state.version + 1;
        let outcomes = {
            let records: Vec<_> = keys.iter().map(|key| present(&state, key, now)).collect();
            let views: Vec<_> = records
                .iter()
                .zip(keys)
                .map(|(record, key)| record.map(|record| view(key, record, now)))
                .collect();
            let mut edits = mutation.evaluate(&views);
            edits.resize_with(keys.len(), || Edit::Keep);
            edits
                .into_iter()
                .zip(&records)
                .map(|(edit, record)| outcome(*record, edit, next_version, now))
                .collect::<Result<Vec<_>, _>>()?
        };
        state.version = next_version;
        state.sequence += 1;
        let position = Position { incarnation: 1, sequence: state.sequence };
        let mut changes: BTreeMap<PartitionId, Vec<Change>> = BTreeMap::new();
        for (key, outcome) in keys.iter().zip(outcomes) {
            let log = changes.entry(partition_of(key)).or_default();
            match outcome {
                None => {}
                Some(None) => {
                    state.map.remove(*key);
                    log.push(Change::Remove(key.to_vec()));
                }
                Some(Some(record)) => {
                    log.push(Change::Put(key.to_vec(), record.meta, record.value.clone()));
                    state.map.insert(key.to_vec(), Record { position, ..record });
                }
            }
        }
        for (partition, changes) in changes {
            if !changes.is_empty() {
                state.log[usize::from(partition.0)].push((position, now, changes));
            }
        }
        let version = match keys {
            [key] => present(&state, key, now).map_or(0, |record| record.meta.version),
            _ => 0,
        };
        Ok(Progress::Done(Applied { position, version }))
    }

    fn apply(
        &self,
        partition: PartitionId,
        _: Position,
        effect: &Effect<'_>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut state = self.state(now);
        let mut next = state.map.clone();
        apply_to(&mut next, effect, now)?;
        match effect {
            Effect::FlushDue { at } => {
                state.flush_due = (!at.is_never()).then(|| Timestamp::from_ms(at.ms()));
            }
            Effect::Flush { .. } => cut_partition(&mut state, partition, now),
            _ => state.map = next,
        }
        Ok(())
    }

    fn scan(
        &self,
        from: &Cursor,
        count: usize,
        now: Timestamp,
        visit: &mut dyn FnMut(&View<'_>),
    ) -> Result<Option<Cursor>, Error> {
        let state = self.state(now);
        let mut rest = state
            .map
            .range(from.0.clone()..)
            .filter(|(_, record)| !record.meta.expiry.is_past(now));
        for (key, record) in rest.by_ref().take(count.max(1)) {
            visit(&view(key, record, now));
        }
        Ok(rest.next().map(|(key, _)| Cursor(key.clone())))
    }

    fn partition_count(&self) -> u16 {
        PARTITIONS
    }

    fn partition_of(&self, key: &[u8]) -> PartitionId {
        partition_of(key)
    }

    fn watermark(&self, _: PartitionId, level: Level) -> Position {
        let state = self.state.lock().expect("no test panics inside");
        let sequence = if level == Level::Applied { state.sequence } else { state.durable };
        Position { incarnation: 1, sequence }
    }

    fn subscribe(&self, listener: Arc<dyn Listener>) {
        self.listeners.lock().expect("no test panics inside").push(listener);
    }

    fn stream(
        &self,
        partition: PartitionId,
        after: Position,
    ) -> Result<Box<dyn UpdateStream>, StreamError> {
        Ok(Box::new(MapStream { state: self.state.clone(), partition, after }))
    }

    fn snapshot(&self, partition: PartitionId) -> Result<Box<dyn Snapshot>, StreamError> {
        let state = self.state.lock().expect("no test panics inside");
        let records = state.map.iter().filter(|(key, _)| partition_of(key) == partition);
        Ok(Box::new(MapSnapshot {
            position: Position { incarnation: 1, sequence: state.sequence },
            records: records.map(|(key, record)| (key.clone(), record.clone())).collect(),
        }))
    }

    fn flush(&self, due: Option<Timestamp>, now: Timestamp) -> Result<Position, Error> {
        let mut state = self.state(now);
        match due {
            Some(due) if due > now => state.flush_due = Some(due),
            _ => {
                state.flush_due = None;
                cut(&mut state, now);
            }
        }
        Ok(Position { incarnation: 1, sequence: state.sequence })
    }

    fn jobs(&self) -> &'static [&'static str] {
        &MAP_JOBS
    }

    fn run_job(&self, job: usize, now: Timestamp) -> JobProgress {
        let mut state = self.state(now);
        if job == 0 {
            state.durable = state.sequence;
            drop(state);
            (0..PARTITIONS).for_each(|id| self.tell(|l| l.advanced(PartitionId(id))));
        } else {
            let token = Token(state.token);
            state.token += 1;
            for key in std::mem::take(&mut state.waiting) {
                if let Some(record) = state.map.get_mut(&key) {
                    record.cold = false;
                }
            }
            drop(state);
            self.tell(|listener| listener.completed(token));
        }
        JobProgress::IdleUntil(now.plus_ms(1))
    }

    fn statistics(&self, now: Timestamp) -> Statistics {
        Statistics { records: self.state(now).map.len() as u64, ..Statistics::default() }
    }
}

fn apply_to(
    map: &mut BTreeMap<Vec<u8>, Record>,
    effect: &Effect<'_>,
    now: Timestamp,
) -> Result<(), Error> {
    let record = |value: Vec<u8>, meta| Record {
        value,
        meta,
        position: Position::START,
        hit: false,
        accessed: now,
        cold: false,
    };
    match effect {
        Effect::Put { key, meta, value } => {
            map.insert(key.to_vec(), record(value.to_vec(), *meta));
        }
        Effect::Append { key, previous_version, previous_len, meta, bytes } => {
            let old = map.get(*key).ok_or(Error::NeedsRecord)?;
            let len = old.value.len() as u64;
            if old.meta.version == meta.version && len == previous_len + bytes.len() as u64 {
                return Ok(());
            }
            if old.meta.version != *previous_version || len != *previous_len {
                return Err(Error::NeedsRecord);
            }
            map.insert(key.to_vec(), record([&old.value, *bytes].concat(), *meta));
        }
        Effect::Touch { key, previous_version, meta } => {
            let old = map.get_mut(*key).ok_or(Error::NeedsRecord)?;
            if ![*previous_version, meta.version].contains(&old.meta.version) {
                return Err(Error::NeedsRecord);
            }
            old.meta = *meta;
        }
        Effect::Remove { key } | Effect::Evict { key } => drop(map.remove(*key)),
        Effect::RemoveRange { range } => map.retain(|key, _| !range.contains(key)),
        Effect::Flush { .. } | Effect::FlushDue { .. } => {}
        Effect::Unit(effects) => {
            effects.iter().try_for_each(|effect| apply_to(map, effect, now))?;
        }
    }
    Ok(())
}

struct MapStream {
    state: Arc<Mutex<State>>,
    partition: PartitionId,
    after: Position,
}

impl UpdateStream for MapStream {
    fn next(
        &mut self,
        count: usize,
        visit: &mut dyn FnMut(Position, Timestamp, &Effect<'_>),
    ) -> Result<usize, StreamError> {
        let state = self.state.lock().expect("no test panics inside");
        let log = &state.log[usize::from(self.partition.0)];
        let from = log.partition_point(|(position, ..)| *position <= self.after);
        let mut visited = 0;
        for (position, at, changes) in log.iter().skip(from).take(count) {
            let mut effects: Vec<_> = changes.iter().map(Change::effect).collect();
            let effect = match effects.pop() {
                Some(single) if effects.is_empty() => single,
                last => Effect::Unit(effects.into_iter().chain(last).collect()),
            };
            visit(*position, *at, &effect);
            self.after = *position;
            visited += 1;
        }
        Ok(visited)
    }
}

struct MapSnapshot {
    position: Position,
    records: Vec<(Vec<u8>, Record)>,
}

impl Snapshot for MapSnapshot {
    fn position(&self) -> Position {
        self.position
    }

    fn next(
        &mut self,
        count: usize,
        visit: &mut dyn FnMut(&View<'_>),
    ) -> Result<bool, StreamError> {
        let from = self.records.len().saturating_sub(count);
        for (key, record) in self.records.drain(from..) {
            let position = record.position;
            visit(&View {
                key: &key,
                meta: record.meta,
                value: Value::Bytes(&record.value),
                position,
                access: Access::default(),
            });
        }
        Ok(!self.records.is_empty())
    }
}
