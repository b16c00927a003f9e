//! The suite that every engine is run through. Each check is a guarantee of [`Engine`] (E1–E8) or of
//! the operations built on it; a failure panics with the step that broke it.
//!
//! An engine under test must have room for 100,000 small records without evicting any.

mod basics;
mod concurrency;
mod map;
mod model;
mod stream;

pub use map::{MAP_JOBS, MapEngine};

use crate::{
    Applied, Cursor, Edit, Engine, Found, Look, Mutation, NewVersion, Progress, Put, Touch, View,
};
use std::sync::Arc;
use todana_record::{Expiry, Meta, Timestamp};

/// Makes a new, empty engine.
pub type Make<'m> = &'m dyn Fn() -> Arc<dyn Engine>;

/// Runs the whole suite.
pub fn run(make: Make<'_>) {
    basics::run(make);
    model::run(make);
    stream::run(make);
    concurrency::run(make);
}

/// When the suite's time begins.
pub(crate) const START_MS: u64 = 1_700_000_000_000;

pub(crate) fn start(engine: &dyn Engine) -> Timestamp {
    engine.clock().advance(START_MS)
}

/// A record as a test sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) value: Vec<u8>,
    pub(crate) meta: Meta,
}

pub(crate) fn seen(view: &View<'_>) -> Seen {
    let mut value = Vec::new();
    match view.value.as_bytes() {
        Some(bytes) => value.extend_from_slice(bytes),
        None => panic!("the suite reads values in one piece"),
    }
    Seen { value, meta: view.meta }
}

pub(crate) fn get(engine: &dyn Engine, key: &[u8], now: Timestamp) -> Option<Seen> {
    let mut calls = 0;
    let mut result = None;
    engine.get(key, now, &mut |found| {
        calls += 1;
        if let Found::Record(view) = found {
            assert_eq!(view.key, key, "a get shows the record of another key");
            result = Some(seen(&view));
        }
        Look::Fetched
    });
    assert_eq!(calls, 1, "a visitor is called exactly once a key");
    result
}

/// What a test wants done to a record, as data.
#[derive(Debug, Clone)]
pub(crate) enum Wish {
    Put { value: Vec<u8>, flags: u32, expiry: Expiry, version: NewVersion },
    Append(Vec<u8>),
    Touch(Touch),
    Remove,
    Keep,
}

impl Wish {
    pub(crate) fn put(value: &[u8]) -> Wish {
        let value = value.to_vec();
        Wish::Put { value, flags: 0, expiry: Expiry::NEVER, version: NewVersion::Next }
    }

    pub(crate) fn edit(&self) -> Edit<'_> {
        match self {
            Wish::Put { value, flags, expiry, version } => Edit::Put(Put {
                flags: *flags,
                expiry: *expiry,
                version: *version,
                ..Put::bytes(value)
            }),
            Wish::Append(bytes) => Edit::Append { bytes, expiry: None, version: NewVersion::Next },
            Wish::Touch(touch) => Edit::Touch(*touch),
            Wish::Remove => Edit::Remove,
            Wish::Keep => Edit::Keep,
        }
    }
}

/// A mutation that does what it was told and remembers what it saw.
pub(crate) struct Told {
    pub(crate) wish: Wish,
    pub(crate) saw: Option<Seen>,
    pub(crate) evaluations: u32,
}

impl Told {
    pub(crate) fn to(wish: Wish) -> Told {
        Told { wish, saw: None, evaluations: 0 }
    }
}

impl Mutation for Told {
    fn needs_value(&self) -> bool {
        true
    }

    fn evaluate<'s>(&'s mut self, current: Option<&'s View<'s>>) -> Edit<'s> {
        self.saw = current.map(seen);
        self.evaluations += 1;
        self.wish.edit()
    }
}

/// A mutation that puts what it was told, and does not want to know what there is.
pub(crate) struct Blind(pub(crate) Wish);

impl Mutation for Blind {
    fn is_blind(&self) -> bool {
        matches!(self.0, Wish::Put { .. })
    }

    fn evaluate<'s>(&'s mut self, _: Option<&'s View<'s>>) -> Edit<'s> {
        self.0.edit()
    }
}

pub(crate) fn done<T>(progress: Progress<T>) -> T {
    match progress {
        Progress::Done(result) => result,
        Progress::Pending(token) => panic!("the suite runs on engines without waits: {token:?}"),
    }
}

/// Does a wish; gives what the update saw before and what it gave back.
pub(crate) fn update(
    engine: &dyn Engine,
    key: &[u8],
    now: Timestamp,
    wish: Wish,
) -> (Option<Seen>, Applied) {
    let mut told = Told::to(wish);
    let applied = done(engine.update(key, now, &mut told).expect("an update that is in limits"));
    assert_eq!(told.evaluations, 1, "a mutation is evaluated exactly once");
    (told.saw, applied)
}

/// Does a wish without a look at what there is.
pub(crate) fn update_blind(engine: &dyn Engine, key: &[u8], now: Timestamp, wish: Wish) -> Applied {
    done(engine.update(key, now, &mut Blind(wish)).expect("an update that is in limits"))
}

/// All records by a scan in steps of `count`.
pub(crate) fn scan_all(engine: &dyn Engine, count: usize, now: Timestamp) -> Vec<(Vec<u8>, Seen)> {
    let mut all = Vec::new();
    let mut cursor = Some(Cursor::START);
    while let Some(from) = cursor {
        cursor = engine
            .scan(&from, count, now, &mut |view| all.push((view.key.to_vec(), seen(view))))
            .expect("a scan of a sound store");
    }
    all
}
