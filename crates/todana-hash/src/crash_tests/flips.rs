//! A bit of a file is turned over (C7).

use super::history::{History, Seen, is_left_of, seen, state_of};
use super::run::{Run, Wish};
use super::{FlushPolicy, LATER_MS, STEPS, STORE, Store, keys, names, open, report, tidy};
use std::collections::BTreeMap;
use std::path::Path;
use todana_engine::{Engine, Error, Found, Look};
use todana_record::{Expiry, Timestamp};
use todana_sim::{Fault, SimDisk};

/// What is told of each key; nothing where the answer is that its bytes are corrupt.
type Told = BTreeMap<Vec<u8>, Option<Seen>>;

/// A file with a flipped bit.
struct Flip<'f> {
    file: &'f str,
    offset: u64,
    bit: u8,
    what: String,
}

/// What a get gives.
pub(super) fn get(store: &Store, key: &[u8]) -> Result<Option<Seen>, Error> {
    let mut result = Ok(None);
    store.get(key, store.clock().now(), &mut |found| {
        result = match found {
            Found::Record(view) => Ok(Some(seen(&view))),
            Found::Absent(_) => Ok(None),
            Found::Pending(_) => panic!("this engine does not wait"),
            Found::Failed(error) => Err(error),
        };
        Look::Peeked
    });
    result
}

/// What became of the flips.
#[derive(Debug, Default)]
struct Tally {
    points: u64,
    /// Opens that were refused, reads that were, tails that were cut.
    opens: u64,
    reads: u64,
    cuts: u64,
}

impl Flip<'_> {
    fn is_named(&self, error: &Error) {
        let what = &self.what;
        // Of another format number it cannot be told whether it is damage.
        let is_format = self.file == "store" && matches!(error, Error::Open(_));
        assert!(matches!(error, Error::Corrupt(_)) || is_format, "{what}: {error}");
        assert!(names(error, self.file), "{what}: no file in {error}");
    }

    fn told(&self, store: &Store, now: Timestamp) -> (Told, u64) {
        let (mut told, mut failed) = (Told::new(), 0);
        for key in keys() {
            match get(store, &key) {
                Ok(Some(seen)) => drop(told.insert(key, Some(seen))),
                Ok(None) => {}
                Err(error) => {
                    self.is_named(&error);
                    assert!(error.to_string().contains("byte"), "{}: {error}", self.what);
                    told.insert(key, None);
                    failed += 1;
                }
            }
        }
        match state_of(store, now) {
            Ok(mut state) => {
                state.remove(&b"new"[..]);
                let same = state.iter().map(|(key, seen)| (key, Some(*seen)));
                assert!(same.eq(told.iter().map(|(key, seen)| (key, *seen))), "{}", self.what);
            }
            Err(error) => self.is_named(&error),
        }
        (told, failed)
    }

    /// Opens the disk and looks at everything.
    fn check(&self, disk: &SimDisk, history: &History, is_late: bool, tally: &mut Tally) {
        let what = &self.what;
        let flip = || {
            // An open may have removed it, or cut it.
            if disk.files(STORE).iter().any(|(name, len)| name == self.file && *len > self.offset) {
                disk.flip_bit(Path::new(STORE).join(self.file), self.offset, self.bit);
            }
        };
        if !is_late {
            flip();
        }
        tally.points += 1;
        let store = match open(disk, FlushPolicy::Group) {
            Ok(store) => store,
            Err(error) => {
                tally.opens += 1;
                return self.is_named(&error);
            }
        };
        if is_late {
            flip();
        }
        let now = store.clock().advance(LATER_MS);
        let (told, failed) = self.told(&store, now);
        tally.reads += u64::from(failed > 0);
        let cut = !report(&store).cut.is_empty();
        tally.cuts += u64::from(cut);
        let is_right = |told: &Told| match cut {
            true => was_there(told, history),
            false => history.states[history.safe..].iter().any(|state| is_told(told, state, now)),
        };
        assert!(
            is_right(&told),
            "{what}: {told:?}\n{:?}\n{:?}",
            report(&store),
            history.states.last()
        );

        // What is moved is checked, and stays what it was; what is new is taken.
        if let Err(error) = tidy(&store) {
            self.is_named(&error);
        }
        for _ in 0..20 {
            store.run_job(1, now);
        }
        let mut wish = Wish::Put(vec![1], 0, Expiry::NEVER);
        if let Err(error) = store.update(b"new", now, &mut wish) {
            self.is_named(&error);
        }
        // What shares 16 KiB with a corrupt frame can be read once it has been moved.
        let moved = self.told(&store, now).0;
        assert!(is_right(&moved), "{what}, after a compaction: {moved:?}");
        if let Err(error) = store.close() {
            panic!("{what}: close: {error}");
        }
        drop(store);
        match open(disk, FlushPolicy::Group) {
            Ok(store) => {
                store.clock().advance(LATER_MS);
                for (key, seen) in self.told(&store, now).0 {
                    let before = moved.get(&key).copied();
                    let same = seen.is_none() || before.is_none_or(|s| s.is_none() || s == seen);
                    let known = before.is_some() || seen.is_none();
                    assert!(same && known, "{what}: {key:?} after a reopen: {seen:?}, {before:?}");
                }
            }
            Err(error) => self.is_named(&error),
        }
    }
}

/// Whether each record that was told was there at some time. Of a log that was not complete a flip looks as
/// a torn end does, and what is found then is not the state at any moment: compaction relied on what is
/// gone. The report tells of it.
fn was_there(told: &Told, history: &History) -> bool {
    let was = |key: &Vec<u8>, seen: &Seen| {
        history.states.iter().any(|state| state.get(key) == Some(seen))
    };
    told.iter().all(|(key, seen)| seen.as_ref().is_none_or(|seen| was(key, seen)))
}

/// Whether a state can be what was told, as far as anything was.
fn is_told(told: &Told, state: &super::history::State, now: Timestamp) -> bool {
    let known = |key: &Vec<u8>| told.get(key) != Some(&None);
    let state = state.iter().filter(|(key, _)| known(key));
    let state = state.map(|(key, seen)| (key.clone(), *seen)).collect();
    let told = told.iter().filter_map(|(key, seen)| Some((key.clone(), (*seen)?))).collect();
    is_left_of(&told, &state, now)
}

/// The bytes of a file at which bits are turned: all at both ends, every `stride`th between.
fn offsets(len: u64, ends: u64, stride: u64, first: u64) -> impl Iterator<Item = u64> {
    let is_end = move |at: &u64| *at < ends.min(64) || *at + ends >= len;
    (0..len).filter(move |at| is_end(at) || at % stride == first % stride)
}

fn flips(run: &Run, ends: u64, stride: u64, seed: u64, tally: &mut Tally) {
    for (file, len) in run.disk.crash(seed).files(STORE) {
        if file == "lock" || file.ends_with(".new") || file.ends_with(".cut") {
            continue;
        }
        for offset in offsets(len, ends, stride, seed) {
            let bit = (offset % 8) as u8;
            let is_late = offset % 3 == 1 && file != "store";
            let what = format!("{}: {file}, byte {offset}, bit {bit}, late {is_late}", run.what);
            let flip = Flip { file: &file, offset, bit, what };
            flip.check(&run.disk.crash(seed), &run.history, is_late, tally);
        }
    }
}

/// Flips in a store that was closed.
fn flips_after_close(seed: u64, ends: u64, stride: u64, tally: &mut Tally) {
    let mut run = Run::new(SimDisk::new(seed), seed, format!("seed {seed}, closed"));
    run.live(STEPS).unwrap();
    run.store = None;
    flips(&run, ends, stride, seed, tally);
}

/// Flips in a store that lost power.
fn flips_after_crash(seed: u64, ends: u64, stride: u64, tally: &mut Tally) {
    let at = Run::whole(seed, STEPS) * 3 / 4;
    let disk = SimDisk::new(seed);
    disk.fail_at(at, Fault::PowerOff);
    let mut run = Run::new(disk, seed, format!("seed {seed}, power off at {at}"));
    let _ = run.live(STEPS);
    run.store = None;
    flips(&run, ends, stride, seed, tally);
}

#[test]
fn a_flipped_bit_is_never_served() {
    let mut tally = Tally::default();
    flips_after_close(0, 8, 611, &mut tally);
    flips_after_close(1, 8, 607, &mut tally);
    flips_after_crash(2, 8, 613, &mut tally);
    flips_after_crash(3, 8, 617, &mut tally);
    println!("{tally:?}");
    assert!(tally.points > 300 && tally.opens > 20 && tally.reads > 20 && tally.cuts > 5);
}

#[test]
#[ignore = "minutes long"]
fn flipped_bits_everywhere_are_never_served() {
    let mut tally = Tally::default();
    for seed in 0..16 {
        flips_after_close(seed, 200, 53, &mut tally);
        flips_after_crash(seed, 200, 53, &mut tally);
        println!("{tally:?}");
    }
}
