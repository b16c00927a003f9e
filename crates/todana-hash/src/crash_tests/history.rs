//! What was shown, and what may be found for it.

use super::{FlushPolicy, LATER_MS, Store, open, position_of, report};
use std::collections::{BTreeMap, HashMap};
use todana_engine::{Cursor, Engine, Error, View};
use todana_record::{IndexHash, Meta, Position, Timestamp};
use todana_sim::SimDisk;

/// A record as a reader sees it; of the value length and hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) len: u64,
    pub(super) digest: u64,
    pub(super) meta: Meta,
    pub(super) position: Position,
}

pub(super) fn seen(view: &View<'_>) -> Seen {
    let value = view.value.as_bytes().expect("values are in one piece");
    let digest = IndexHash::new(0).of(value);
    Seen { len: value.len() as u64, digest, meta: view.meta, position: position_of(view) }
}

/// Everything that a reader sees.
pub(super) type State = BTreeMap<Vec<u8>, Seen>;

pub(super) fn state_of(store: &Store, now: Timestamp) -> Result<State, Error> {
    let mut state = State::new();
    let mut cursor = Some(Cursor::START);
    while let Some(from) = cursor {
        cursor = store.scan(&from, 100, now, &mut |view| {
            let twice = state.insert(view.key.to_vec(), seen(view));
            assert_eq!(twice, None, "a scan shows {:?} twice", view.key);
        })?;
    }
    Ok(state)
}

/// What is left of a state at a moment.
pub(super) fn left_of(state: &State, now: Timestamp) -> State {
    let alive = state.iter().filter(|(_, seen)| !seen.meta.expiry.is_past(now));
    alive.map(|(key, seen)| (key.clone(), *seen)).collect()
}

/// Whether `found` is what is left of a state at a moment.
pub(super) fn is_left_of(found: &State, state: &State, now: Timestamp) -> bool {
    state.iter().filter(|(_, seen)| !seen.meta.expiry.is_past(now)).eq(found)
}

/// States after each change of a run, as far as it came, and how many of them were acknowledged.
#[derive(Debug, Default, Clone)]
pub(super) struct History {
    pub(super) states: Vec<State>,
    positions: Vec<Position>,
    /// The first state that may be found.
    pub(super) safe: usize,
    pub(super) reclaimed: u64,
}

impl History {
    pub(super) fn last(&self) -> &State {
        self.states.last().expect("a history begins with a state")
    }

    pub(super) fn add(&mut self, state: State, position: Position) {
        self.states.push(state);
        self.positions.push(position);
    }

    /// Everything so far was acknowledged as durable.
    pub(super) fn told_all(&mut self) {
        self.safe = self.states.len().saturating_sub(1);
    }

    /// Everything up to a position was.
    pub(super) fn told(&mut self, durable: Position) {
        let told = self.positions.partition_point(|position| *position <= durable);
        self.safe = self.safe.max(told.saturating_sub(1));
    }

    /// Whether a state may be found at a moment.
    pub(super) fn allows(&self, found: &State, now: Timestamp) -> bool {
        let allowed = self.states.get(self.safe..).unwrap_or_default();
        let nothing = self.states.is_empty() && found.is_empty();
        nothing || allowed.iter().any(|state| is_left_of(found, state, now))
    }

    /// Whether it is one that was there before the acknowledged ones.
    pub(super) fn had(&self, found: &State, now: Timestamp) -> bool {
        found.is_empty() || self.states.iter().any(|state| is_left_of(found, state, now))
    }
}

/// What readers were shown in all lives of a store: (C3) and (C4).
#[derive(Debug, Default, Clone)]
pub(super) struct Ledger {
    contents: HashMap<u64, (Vec<u8>, Seen)>,
    /// Key, length and hash of the value that has a version.
    values: HashMap<u64, (Vec<u8>, u64, u64)>,
    /// The highest position that was shown, and that of earlier lives.
    highest: Position,
    before: Position,
}

impl Ledger {
    /// Notes a state; what is as in `last` was noted before.
    pub(super) fn note(&mut self, last: &State, state: &State, applied: Position, what: &str) {
        for (key, seen) in state {
            if last.get(key) != Some(seen) {
                self.saw(key, seen, what);
            }
        }
        self.highest = self.highest.max(applied);
    }

    fn saw(&mut self, key: &[u8], seen: &Seen, what: &str) {
        self.saw_position(key, seen, what);
        let (version, before) = (seen.meta.version, self.before);
        let value = (key.to_vec(), seen.len, seen.digest);
        let known = self.values.entry(version).or_insert_with(|| {
            let is_new = version > before.sequence;
            assert!(is_new, "{what}: {key:?} has version {version}, but {before} was shown before");
            value.clone()
        });
        assert_eq!(*known, value, "{what}: two values of version {version}");
    }

    /// Positions of records that are no more than bounds say nothing, and are left out of what was seen.
    fn saw_position(&mut self, key: &[u8], seen: &Seen, what: &str) {
        if seen.position == Position::START {
            return;
        }
        let Position { incarnation, sequence } = seen.position;
        let known = self.contents.entry(sequence).or_insert_with(|| {
            assert!(
                sequence > self.before.sequence && incarnation >= self.before.incarnation,
                "{what}: {key:?} is at {}, but {} was shown in an earlier life",
                seen.position,
                self.before,
            );
            (key.to_vec(), *seen)
        });
        assert_eq!(*known, (key.to_vec(), *seen), "{what}: two contents of one position");
        self.highest = self.highest.max(seen.position);
    }

    /// A life ends; `applied` is where the next begins.
    pub(super) fn reborn(&mut self) {
        self.before = self.highest;
    }

    /// The highest position that was told.
    pub(super) fn highest(&self) -> Position {
        self.highest
    }

    pub(super) fn incarnation(&self) -> u32 {
        self.highest.incarnation
    }
}

/// Opens what an accident has left and compares it with the history (C1): gives the store, and what was
/// found.
pub(super) fn recovered(disk: &SimDisk, history: &History, what: &str) -> (Store, State) {
    let store = open(disk, FlushPolicy::Group).unwrap_or_else(|error| panic!("{what}: {error}"));
    let now = store.clock().advance(LATER_MS);
    let found = state_of(&store, now).unwrap_or_else(|error| panic!("{what}: {error}"));
    if !history.allows(&found, now) {
        let last = history.states.get(history.safe).cloned().unwrap_or_default();
        let last = left_of(&last, now);
        let differs = |key: &&Vec<u8>| found.get(*key) != last.get(*key);
        let keys = found.keys().chain(last.keys()).filter(differs);
        let keys: Vec<_> = keys.map(|key| (key, found.get(key), last.get(key))).collect();
        let was_there = history.had(&found, now);
        panic!(
            "{what}: of {} states none after {} was found (an earlier one: {was_there}); at {now:?} \
             these differ from the last safe one: {keys:?}; {:?}",
            history.states.len(),
            history.safe,
            report(&store),
        );
    }
    (store, found)
}
