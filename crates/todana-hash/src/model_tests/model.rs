//! The map, and edits as data that both it and the store carry out.

use std::collections::BTreeMap;
use todana_engine::{
    Applied, Edit, Mutation, NewVersion, Payload, Progress, Put, Touch, UnitMutation, View,
};
use todana_record::{Expiry, Meta, Timestamp};

/// A record as the model has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) value: Vec<u8>,
    pub(super) meta: Meta,
    pub(super) sequence: u64,
}

pub(super) fn item(view: &View<'_>) -> Item {
    let value = view.value.as_bytes().expect("values are in one piece").to_vec();
    Item { value, meta: view.meta, sequence: view.position.sequence }
}

pub(super) type Items = BTreeMap<Vec<u8>, Item>;

/// What has to be done to take a change back.
pub(super) enum Undo {
    Key(Vec<u8>, Option<Item>),
    All(Items),
    Due(Option<Timestamp>),
}

#[derive(Default)]
pub(super) struct Model {
    pub(super) items: Items,
    pub(super) flush_due: Option<Timestamp>,
    /// What is perhaps not durable, with the sequence of its change.
    pub(super) undo: Vec<(u64, Undo)>,
    /// Every sequence so far is at or below this; every version that the store gave, too.
    pub(super) highest: u64,
}

impl Model {
    pub(super) fn set(&mut self, sequence: u64, key: &[u8], item: Option<Item>) {
        let old = match item {
            Some(item) => self.items.insert(key.to_vec(), item),
            None => self.items.remove(key),
        };
        self.undo.push((sequence, Undo::Key(key.to_vec(), old)));
    }

    pub(super) fn set_due(&mut self, sequence: u64, due: Option<Timestamp>) {
        let old = std::mem::replace(&mut self.flush_due, due);
        self.undo.push((sequence, Undo::Due(old)));
    }

    pub(super) fn cut(&mut self, sequence: u64) {
        let old = std::mem::take(&mut self.items);
        self.undo.push((sequence, Undo::All(old)));
        self.set_due(sequence, None);
    }

    /// Everything up to a sequence is durable.
    pub(super) fn settle(&mut self, sequence: u64) {
        let settled = self.undo.partition_point(|(at, _)| *at <= sequence);
        self.undo.drain(..settled);
    }

    /// Takes back everything after a sequence.
    pub(super) fn take_back(&mut self, sequence: u64) {
        while self.undo.last().is_some_and(|(at, _)| *at > sequence) {
            match self.undo.pop().map(|(_, undo)| undo) {
                Some(Undo::Key(key, Some(item))) => drop(self.items.insert(key, item)),
                Some(Undo::Key(key, None)) => drop(self.items.remove(&key)),
                Some(Undo::All(items)) => self.items = items,
                Some(Undo::Due(due)) => self.flush_due = due,
                None => {}
            }
        }
        self.undo.clear();
    }

    pub(super) fn get(&self, key: &[u8], now: Timestamp) -> Option<&Item> {
        self.items.get(key).filter(|item| !item.meta.expiry.is_past(now))
    }
}

/// An edit as data.
#[derive(Debug, Clone)]
pub(super) enum Wish {
    Keep,
    Put { value: Vec<u8>, meta: Meta, version: NewVersion },
    Append { bytes: Vec<u8>, expiry: Option<Expiry>, version: NewVersion },
    Touch(Touch),
    Remove,
}

impl Wish {
    pub(super) fn edit(&self) -> Edit<'_> {
        match self {
            Wish::Keep => Edit::Keep,
            Wish::Put { value, meta, version } => {
                let (first, second) = value.split_at(value.len() / 3);
                Edit::Put(Put {
                    value: Payload::Joined(first, second),
                    flags: meta.flags,
                    expiry: meta.expiry,
                    kind: meta.kind,
                    version: *version,
                    stale: meta.stale,
                    won: meta.won,
                })
            }
            Wish::Append { bytes, expiry, version } => {
                Edit::Append { bytes, expiry: *expiry, version: *version }
            }
            Wish::Touch(touch) => Edit::Touch(*touch),
            Wish::Remove => Edit::Remove,
        }
    }

    /// Where the version of the outcome comes from; `None` when it stays.
    pub(super) fn version(&self) -> Option<NewVersion> {
        match self {
            Wish::Put { version, .. } | Wish::Append { version, .. } => Some(*version),
            Wish::Touch(touch) => touch.version,
            Wish::Keep | Wish::Remove => None,
        }
    }

    /// Whether it changes a record that is there, or none, and what becomes of it; its version apart.
    pub(super) fn outcome(&self, current: Option<&Item>) -> Option<Option<(Vec<u8>, Meta)>> {
        match (self, current) {
            (Wish::Put { value, meta, .. }, _) => Some(Some((value.clone(), *meta))),
            (Wish::Append { bytes, expiry, .. }, Some(item)) => {
                let expiry = expiry.unwrap_or(item.meta.expiry);
                let meta = Meta { expiry, stale: false, won: false, ..item.meta };
                Some(Some(([&item.value[..], bytes].concat(), meta)))
            }
            (Wish::Touch(touch), Some(item)) => {
                let Touch { expiry, stale, won, version, fetch: _ } = *touch;
                let meta = Meta {
                    expiry: expiry.unwrap_or(item.meta.expiry),
                    stale: stale.unwrap_or(item.meta.stale),
                    won: won.unwrap_or(item.meta.won),
                    ..item.meta
                };
                let changes =
                    expiry.is_some() || stale.is_some() || won.is_some() || version.is_some();
                changes.then(|| Some((item.value.clone(), meta)))
            }
            (Wish::Remove, Some(_)) => Some(None),
            _ => None,
        }
    }
}

/// Remembers what an evaluation saw.
pub(super) struct Watched<'w> {
    pub(super) wish: &'w Wish,
    /// Whether it says that it does not want to see anything.
    pub(super) is_blind: bool,
    pub(super) saw: Option<Item>,
}

impl Mutation for Watched<'_> {
    fn is_blind(&self) -> bool {
        self.is_blind
    }

    fn evaluate<'s>(&'s mut self, current: Option<&'s View<'s>>) -> Edit<'s> {
        self.saw = current.map(item);
        self.wish.edit()
    }
}

pub(super) struct WatchedUnit<'w>(pub(super) &'w [Wish], pub(super) Vec<Option<Item>>);

impl UnitMutation for WatchedUnit<'_> {
    fn evaluate<'s>(&'s mut self, current: &'s [Option<View<'s>>]) -> Vec<Edit<'s>> {
        self.1 = current.iter().map(|view| view.as_ref().map(item)).collect();
        self.0.iter().map(Wish::edit).collect()
    }
}

pub(super) fn done(progress: Progress<Applied>) -> Applied {
    progress.done().expect("this engine does not wait")
}
