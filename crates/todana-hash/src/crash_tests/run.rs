//! The workload.

use super::history::{History, Ledger, State, is_left_of, left_of, recovered, state_of};
use super::{FlushPolicy, LATER_MS, START_MS, STORE, Store};
use super::{check_poison, draw_key, draw_len, open, own_change, tidied, tidy};
use std::path::Path;
use todana_engine::{
    Applied, Edit, Engine, Error, Level, Mutation, NewVersion, Progress, Put, Touch, UnitMutation,
    View,
};
use todana_io::{Disk, Generator};
use todana_record::{Expiry, PartitionId, Position, Timestamp};
use todana_sim::SimDisk;

/// What the workload wants of one key.
#[derive(Debug, Clone)]
pub(super) enum Wish {
    Put(Vec<u8>, u32, Expiry),
    Append(Vec<u8>),
    Touch(Expiry),
    Remove,
}

impl Wish {
    fn edit(&self) -> Edit<'_> {
        match self {
            Wish::Put(value, flags, expiry) => {
                Edit::Put(Put { flags: *flags, expiry: *expiry, ..Put::bytes(value) })
            }
            Wish::Append(bytes) => Edit::Append { bytes, expiry: None, version: NewVersion::Next },
            Wish::Touch(expiry) => Edit::Touch(Touch { expiry: Some(*expiry), ..Touch::default() }),
            Wish::Remove => Edit::Remove,
        }
    }
}

impl Mutation for Wish {
    fn is_blind(&self) -> bool {
        matches!(self, Wish::Put(..))
    }

    fn evaluate<'s>(&'s mut self, _: Option<&'s View<'s>>) -> Edit<'s> {
        self.edit()
    }
}

pub(super) struct All(pub(super) Vec<Wish>);

impl UnitMutation for All {
    fn evaluate<'s>(&'s mut self, _: &'s [Option<View<'s>>]) -> Vec<Edit<'s>> {
        self.0.iter().map(Wish::edit).collect()
    }
}

pub(super) fn wish(random: &mut Generator, now: Timestamp) -> Wish {
    let len = draw_len(random);
    let value = vec![random.next_u64() as u8; len as usize];
    let expiry = match random.below(8) {
        0 => Expiry::at(now.plus_ms(random.below(100_000))),
        _ => Expiry::NEVER,
    };
    match random.below(10) {
        0..2 => Wish::Remove,
        2 => Wish::Append(value),
        3 => Wish::Touch(expiry),
        _ => Wish::Put(value, random.below(3) as u32, expiry),
    }
}

pub(super) fn done(progress: Progress<Applied>) -> Position {
    match progress {
        Progress::Done(applied) => applied.position,
        Progress::Pending(_) => panic!("this engine does not wait"),
    }
}

fn change(store: &Store, random: &mut Generator, now: Timestamp) -> Result<Position, Error> {
    if let Some(changed) = own_change(store, random, now) {
        return changed;
    }
    match random.below(40) {
        0 => store.flush(None, now),
        1..6 => {
            let keys: Vec<Vec<u8>> = (0..1 + random.below(6)).map(|_| draw_key(random)).collect();
            let wishes = keys.iter().map(|_| wish(random, now)).collect();
            let keys: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
            store.update_many(&keys, now, &mut All(wishes)).map(done)
        }
        _ => store.update(&draw_key(random), now, &mut wish(random, now)).map(done),
    }
}

/// A life of a store, and all that was seen of it.
pub(super) struct Run {
    pub(super) disk: SimDisk,
    pub(super) store: Option<Store>,
    pub(super) history: History,
    pub(super) ledger: Ledger,
    pub(super) what: String,
    /// Whether a change may be refused for want of space.
    pub(super) may_be_full: bool,
    /// Times that it was.
    pub(super) refused: u64,
    random: Generator,
    flush: FlushPolicy,
    now_ms: u64,
}

impl Run {
    /// A store to be made.
    pub(super) fn new(disk: SimDisk, seed: u64, what: String) -> Run {
        let flush = if seed.is_multiple_of(2) { FlushPolicy::Group } else { FlushPolicy::Never };
        Run {
            disk,
            store: None,
            history: History::default(),
            ledger: Ledger::default(),
            what,
            may_be_full: false,
            refused: 0,
            random: Generator::new(seed),
            flush,
            now_ms: START_MS,
        }
    }

    /// Opens what an accident has left, which has to be in order, for another life (C1, C3, C4).
    pub(super) fn after(&self, disk: &SimDisk, seed: u64, what: String) -> Run {
        let (store, found) = recovered(disk, &self.history, &what);
        let mut next = Run::new(disk.clone(), seed, what);
        (next.flush, next.now_ms) = (FlushPolicy::Group, LATER_MS);
        next.ledger = self.ledger.clone();
        next.ledger.reborn();
        next.store = Some(store);
        next.ledger.note(&State::new(), &found, next.applied(), &next.what);
        next.history.add(found, next.applied());
        next
    }

    pub(super) fn store(&self) -> &Store {
        self.store.as_ref().expect("the store is open")
    }

    pub(super) fn now(&self) -> Timestamp {
        self.store().clock().advance(self.now_ms)
    }

    pub(super) fn applied(&self) -> Position {
        self.store().watermark(PartitionId(0), Level::Applied)
    }

    /// Runs the workload until it ends or fails.
    pub(super) fn live(&mut self, steps: u32) -> Result<(), Error> {
        self.begin()?;
        for _ in 0..steps {
            self.step()?;
        }
        self.end()
    }

    pub(super) fn begin(&mut self) -> Result<(), Error> {
        let store = open(&self.disk, self.flush)?;
        store.clock().advance(self.now_ms);
        self.store = Some(store);
        self.history.add(State::new(), Position::START);
        Ok(())
    }

    pub(super) fn end(&mut self) -> Result<(), Error> {
        self.store().close()?;
        self.history.told_all();
        Ok(())
    }

    /// Closes and opens: nothing changes (C4).
    fn reopen(&mut self) -> Result<(), Error> {
        self.end()?;
        self.store = None;
        self.resume()
    }

    /// Opens what was closed.
    pub(super) fn resume(&mut self) -> Result<(), Error> {
        let store = open(&self.disk, self.flush)?;
        let now = store.clock().advance(self.now_ms);
        let state = state_of(&store, now)?;
        let before = self.history.last();
        assert_eq!(state, left_of(before, now), "{}: after a close", self.what);
        self.store = Some(store);
        Ok(())
    }

    /// Notes what is shown after a change.
    fn note(&mut self, changed: &Result<Position, Error>) {
        let now = self.now();
        let state = match state_of(self.store(), now) {
            Ok(state) => state,
            Err(error) => {
                // A change in memory may still be taken when the disk has no power.
                let has_power = self.disk.list(Path::new(STORE)).is_ok();
                assert!(!has_power, "{}: a read failed: {error}", self.what);
                return;
            }
        };
        if *changed == Err(Error::NoSpace) {
            let same = is_left_of(&state, self.history.last(), now);
            assert!(same, "{}: a change was refused and made", self.what);
        }
        let applied = self.applied().max(*changed.as_ref().unwrap_or(&Position::START));
        self.ledger.note(self.history.last(), &state, applied, &self.what);
        // A change that failed late may be there or not: both are states of the history then.
        self.history.add(state, applied);
    }

    /// What an answer of `NoSpace` means to this run.
    fn pass<T>(&mut self, result: Result<T, Error>) -> Result<(), Error> {
        match result {
            Err(Error::NoSpace) if self.may_be_full => {
                self.refused += 1;
                Ok(())
            }
            result => result.map(drop),
        }
    }

    pub(super) fn step(&mut self) -> Result<(), Error> {
        self.now_ms += self.random.below(50);
        let now = self.now();
        if self.random.one_in(30) {
            return self.reopen();
        }
        let store = self.store.as_ref().expect("the store is open");
        let changed = change(store, &mut self.random, now);
        self.note(&changed);
        self.pass(changed)?;
        if self.random.one_in(4) {
            self.store().sync()?;
            self.history.told_all();
        }
        while self.random.one_in(2) {
            let job = self.random.below(2) as usize;
            self.store().run_job(job, now);
            check_poison(self.store())?;
        }
        if self.random.one_in(20) {
            let tidied = tidy(self.store());
            self.pass(tidied)?;
        }
        self.history.reclaimed += tidied(self.store(), now);
        if self.flush == FlushPolicy::Group {
            self.history.told(self.store().watermark(PartitionId(0), Level::Durable));
        }
        Ok(())
    }

    /// A workload without accidents: gives the operations that it takes.
    pub(super) fn whole(seed: u64, steps: u32) -> u64 {
        let mut run = Run::new(SimDisk::new(seed), seed, format!("seed {seed}, whole"));
        run.live(steps).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert!(run.history.reclaimed > 0, "seed {seed}: nothing was tidied up");
        let operations = run.disk.operations();
        run.store = None;
        run.after(&run.disk.kill(), seed, run.what.clone());
        operations
    }

    /// What follows an accident: recovery, a loss of power right after it (C2), another short life
    /// without a close, a third one with (C3, C4).
    pub(super) fn survive(&self, left: &SimDisk, seed: u64, what: &str) {
        let first = self.after(left, seed, what.to_owned());
        let mut second = first.after(&left.crash(seed), seed, format!("{what}, again"));
        let same = second.history.last() == first.history.last();
        assert!(same, "{what}, again: what was shown after the first recovery is gone");
        // Opening may tell a position of the new incarnation already.
        let (before, told) = (first.ledger.incarnation(), second.ledger.highest());
        for _ in 0..4 {
            second.step().unwrap_or_else(|error| panic!("{what}, second life: {error}"));
        }
        let (is_new, has_changed) =
            (second.ledger.incarnation() > before, second.ledger.highest() != told);
        assert!(is_new || !has_changed, "{what}: the incarnation has not risen");
        second.store().sync().unwrap_or_else(|error| panic!("{what}, second life: {error}"));
        second.history.told_all();
        let left = second.disk.crash(seed + 1);
        let third = second.after(&left, seed, format!("{what}, third life"));
        third.store().close().unwrap_or_else(|error| panic!("{what}, third life: {error}"));
    }
}
