//! Long values in files of their own.

use crate::blob::parse_blob_name;
use crate::{FlushPolicy, Hash, HashOptions};
use std::path::Path;
use std::sync::Arc;
use todana_engine::{
    Edit, Engine, Error, Found, Look, Mutation, NewVersion, Payload, Put, Staged, Touch, Value,
    View,
};
use todana_record::{Expiry, Timestamp};
use todana_sim::{Fault, SimDisk};

const STORE: &str = "/store.tdh";
const NOW: Timestamp = Timestamp::from_ms(1_000);

fn open(disk: &SimDisk) -> Result<Hash, Error> {
    let options = HashOptions {
        flush: FlushPolicy::Group,
        least_segment_bytes: 16 << 10,
        staged_bytes: 100,
        ..HashOptions::default()
    };
    Hash::open(Arc::new(disk.clone()), Path::new(STORE), options)
}

enum Wish {
    Put(Option<Staged>),
    Append(Vec<u8>),
    Touch(u64),
    Remove,
    Keep,
}

impl Mutation for Wish {
    fn is_blind(&self) -> bool {
        matches!(self, Wish::Put(_))
    }

    fn evaluate<'s>(&'s mut self, _: Option<&'s View<'s>>) -> Edit<'s> {
        match self {
            Wish::Put(staged) => {
                Edit::Put(Put::of(Payload::Staged(staged.take().unwrap_or_default())))
            }
            Wish::Append(bytes) => Edit::Append { bytes, expiry: None, version: NewVersion::Next },
            Wish::Touch(ms) => {
                Edit::Touch(Touch { expiry: Some(Expiry::at_ms(*ms)), ..Touch::default() })
            }
            Wish::Remove => Edit::Remove,
            Wish::Keep => Edit::Keep,
        }
    }
}

/// A value that says which it is.
fn value(number: u8, len: usize) -> Vec<u8> {
    (0..len).map(|at| number.wrapping_add(u8::try_from(at / 7 % 256).unwrap())).collect()
}

fn staged(hash: &Hash, value: &[u8]) -> Result<Staged, Error> {
    let mut staged = hash.stage();
    for piece in value.chunks(3_000) {
        staged.write(piece)?;
    }
    Ok(staged)
}

fn put(hash: &Hash, key: &[u8], value: &[u8]) -> Result<(), Error> {
    let mut staged = staged(hash, value)?;
    staged.finish()?;
    hash.update(key, NOW, &mut Wish::Put(Some(staged))).map(drop)
}

fn get(hash: &Hash, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    let mut result = Ok(None);
    hash.get(key, NOW, &mut |found| {
        result = match found {
            Found::Record(view) => read(&view.value).map(Some),
            Found::Failed(error) => Err(error),
            _ => Ok(None),
        };
        Look::Fetched
    });
    result
}

fn read(value: &Value<'_>) -> Result<Vec<u8>, Error> {
    let Value::Reader(reader) = value else {
        return Ok(value.as_bytes().unwrap_or_default().to_vec());
    };
    let mut all = Vec::new();
    let mut piece = [0; 1_000];
    while let Some(read) = reader.read_at(all.len() as u64, &mut piece)?.done().filter(|&n| n > 0) {
        all.extend_from_slice(&piece[..read]);
    }
    assert_eq!(all.len() as u64, reader.len());
    Ok(all)
}

fn blobs(disk: &SimDisk) -> usize {
    disk.files(STORE).iter().filter(|(name, _)| parse_blob_name(name).is_some()).count()
}

#[test]
fn long_values_come_and_go_with_their_records() {
    let disk = SimDisk::new(1);
    let hash = open(&disk).unwrap();
    let lens = [0, 99, 100, 101, 65_535, 65_536, 65_537, 200_000];
    for (number, len) in (0..).zip(lens) {
        put(&hash, &[number], &value(number, len)).unwrap();
    }
    assert_eq!(blobs(&disk), 5);
    for _ in 0..2 {
        for (number, len) in (0..).zip(lens) {
            assert_eq!(get(&hash, &[number]).unwrap(), Some(value(number, len)), "{len} bytes");
        }
        hash.compact().unwrap();
    }
    // Metadata alone leaves the file; more bytes make another.
    hash.update(&[7], NOW, &mut Wish::Touch(9_000)).unwrap();
    hash.update(&[6], NOW, &mut Wish::Append(vec![1; 10])).unwrap();
    let longer = [value(6, 65_537), vec![1; 10]].concat();
    hash.sync().unwrap();
    assert_eq!((blobs(&disk), get(&hash, &[7]).unwrap()), (5, Some(value(7, 200_000))));
    put(&hash, &[5], b"short").unwrap();
    hash.update(&[4], NOW, &mut Wish::Remove).unwrap();
    // One that was staged for nothing, and a change that keeps what there is.
    drop(staged(&hash, &value(1, 5_000)).unwrap());
    hash.update(&[7], NOW, &mut Wish::Keep).unwrap();
    hash.sync().unwrap();
    assert_eq!(blobs(&disk), 3);
    hash.close().unwrap();
    drop(hash);
    let hash = open(&disk).unwrap();
    assert_eq!(get(&hash, &[6]).unwrap(), Some(longer));
    assert_eq!(get(&hash, &[7]).unwrap(), Some(value(7, 200_000)));
    hash.flush(None, NOW).unwrap();
    hash.sync().unwrap();
    assert_eq!(blobs(&disk), 0);
}

#[test]
fn a_flip_is_found_where_it_is() {
    let disk = SimDisk::new(1);
    let hash = open(&disk).unwrap();
    put(&hash, b"key", &value(1, 200_000)).unwrap();
    let files = disk.files(STORE);
    let (name, len) = files.iter().find(|(name, _)| parse_blob_name(name).is_some()).unwrap();
    for at in (0..*len).step_by(7_001) {
        disk.flip_bit(Path::new(STORE).join(name), at, 3);
        let place = at / 65_540 * 65_540;
        match get(&hash, b"key") {
            Err(Error::Corrupt(why)) => {
                assert!(why.contains(name) && why.contains(&format!("byte {place} ")), "{why}");
            }
            other => panic!("{other:?}"),
        }
        disk.flip_bit(Path::new(STORE).join(name), at, 3);
    }
    assert_eq!(get(&hash, b"key").unwrap(), Some(value(1, 200_000)));
    hash.close().unwrap();
    let check = || Hash::check(&disk, Path::new(STORE), None, &mut |_, _| {}).unwrap().findings;
    assert_eq!(check(), []);
    disk.flip_bit(Path::new(STORE).join(name), 70_000, 3);
    let findings = check();
    assert_eq!((findings.len(), &findings[0].file), (1, name));
}

type States = Vec<Option<Vec<u8>>>;

/// Some changes of one key, each noted before it is tried; what was safe when `sync` returned.
fn live(disk: &SimDisk, states: &mut States, safe: &mut usize) -> Result<(), Error> {
    let hash = open(disk)?;
    for number in 0..6 {
        let next = value(number, 90 + usize::from(number) * 300);
        states.push(Some(next.clone()));
        put(&hash, b"key", &next)?;
        if number == 3 {
            states.push(None);
            hash.update(b"key", NOW, &mut Wish::Remove)?;
        }
        if number % 2 == 0 {
            let count = states.len();
            hash.sync()?;
            *safe = count - 1;
        }
        if number == 4 {
            hash.compact()?;
        }
    }
    hash.close()
}

#[test]
fn a_crash_leaves_a_record_with_its_value_or_neither() {
    let (mut points, mut lost) = (0, 0);
    for fault in [Fault::PowerOff, Fault::Error, Fault::Full] {
        for at in 0.. {
            let disk = SimDisk::new(at);
            disk.fail_at(at, fault);
            let (mut states, mut safe) = (vec![None], 0);
            let done = live(&disk, &mut states, &mut safe).is_ok();
            for seed in (0..3).rev() {
                let is_on = !matches!(fault, Fault::PowerOff);
                let left = if seed == 2 && is_on { disk.kill() } else { disk.crash(seed) };
                let Ok(hash) = open(&left) else { panic!("{fault:?} at {at}: not opened") };
                let found = get(&hash, b"key").unwrap_or_else(|error| {
                    panic!("{fault:?} at {at}, seed {seed}: {error}");
                });
                let state = states.iter().rposition(|state| *state == found);
                let state = state.unwrap_or_else(|| panic!("{fault:?} at {at}: {found:?}"));
                assert!(state >= safe, "{fault:?} at {at}: {state} is before {safe}");
                lost += states.len() - 1 - state;
                let is_long = found.is_some_and(|value| value.len() > 100);
                assert_eq!(blobs(&left), usize::from(is_long), "{fault:?} at {at}: orphans");
                points += 1;
            }
            if done && disk.operations() <= at {
                break;
            }
        }
    }
    assert!(points > 200 && lost > 50, "{points} points, {lost} lost");
}
