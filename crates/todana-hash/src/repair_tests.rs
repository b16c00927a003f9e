//! Stores with every kind of damage: what a check says of it, and what a repair saves.

mod packed;

use crate::{Checked, Codec, FlushPolicy, Hash, HashOptions, Lz4, Mode, Repaired, Zstd};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use todana_engine::{Cursor, Edit, Engine, Error, Found, Look, Mutation, Put, View};
use todana_io::{Disk, Generator, Open, SystemDisk};
use todana_record::{Expiry, Timestamp};

const NOW: Timestamp = Timestamp::from_ms(1_700_000_000_000);

struct Wish<'w>(Option<Put<'w>>);

impl Mutation for Wish<'_> {
    fn evaluate<'s>(&'s mut self, _: Option<&'s View<'s>>) -> Edit<'s> {
        let Some(put) = &self.0 else { return Edit::Remove };
        let todana_engine::Payload::Bytes(value) = put.value else { return Edit::Keep };
        Edit::Put(Put { flags: put.flags, expiry: put.expiry, ..Put::bytes(value) })
    }
}

type State = BTreeMap<Vec<u8>, (Vec<u8>, u32, u64, u64)>;

fn state(hash: &Hash) -> State {
    let mut state = State::new();
    let mut cursor = Some(Cursor::START);
    while let Some(from) = cursor {
        let mut visit = |view: &View<'_>| {
            let value = view.value.as_bytes().unwrap().to_vec();
            let meta = view.meta;
            let told = (value, meta.flags, meta.expiry.ms(), meta.version);
            state.insert(view.key.to_vec(), told);
        };
        cursor = hash.scan(&from, 100, NOW, &mut visit).unwrap();
    }
    state
}

fn disk() -> Arc<dyn Disk> {
    Arc::new(SystemDisk::without_mappings())
}

fn open(path: &Path, mode: Mode) -> Result<Hash, Error> {
    open_with(path, mode, None)
}

fn open_with(path: &Path, mode: Mode, codec: Option<Arc<dyn Codec>>) -> Result<Hash, Error> {
    let least_segment_bytes = if codec.is_some() { 128 << 10 } else { 8192 };
    let options = HashOptions {
        mode,
        flush: FlushPolicy::Never,
        least_segment_bytes,
        codec,
        ..HashOptions::default()
    };
    Hash::open(disk(), path, options)
}

/// A store with logs and packs, closed; every key was changed several times.
fn filled(path: &Path) -> State {
    let hash = open(path, Mode::Create).unwrap();
    let mut random = Generator::new(7);
    for round in 0..4_u32 {
        for key in 0..150_u32 {
            let key = format!("key{key}");
            let len = usize::try_from(random.below(300)).unwrap();
            let value = vec![b'a' + u8::try_from(round).unwrap(); 20 + len];
            let expiry = Expiry::at_ms(if round % 2 == 0 { 0 } else { NOW.ms() + 1_000_000 });
            let put = Put { flags: round, expiry, ..Put::bytes(&value) };
            let removes = random.below(10) == 0;
            let mut wish = Wish((!removes).then_some(put));
            hash.update(key.as_bytes(), NOW, &mut wish).unwrap();
        }
        if round == 1 {
            hash.compact().unwrap();
        }
    }
    let state = state(&hash);
    hash.close().unwrap();
    state
}

fn check(path: &Path) -> Checked {
    Hash::check(&*disk(), path, None, &mut |_, _| {}).unwrap()
}

fn repair(path: &Path) -> Result<Repaired, Error> {
    Hash::repair(&disk(), path, &beside(path), None, NOW, &mut |_, _| {})
}

fn beside(path: &Path) -> PathBuf {
    path.with_extension("repaired")
}

fn files(path: &Path) -> Vec<(String, Vec<u8>)> {
    let disk = disk();
    let mut names = disk.list(path).unwrap();
    names.retain(|name| name != "lock");
    names.sort();
    names.into_iter().map(|name| (name.clone(), content(&path.join(name)))).collect()
}

fn content(path: &Path) -> Vec<u8> {
    let file = disk().open(path, Open::Read).unwrap();
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_exact_at(0, &mut bytes).unwrap();
    bytes
}

fn write(path: &Path, offset: usize, bytes: &[u8]) {
    let file = disk().open(path, Open::Write).unwrap();
    file.write_at(offset as u64, bytes).unwrap();
}

/// A copy of a store that is open, as a power cut leaves it: half a frame at the end of its log. Gives its
/// byte.
fn with_half_a_frame(path: &Path, copy: &Path) -> usize {
    disk().create_dir(copy).unwrap();
    let mut end = 0;
    for (name, mut bytes) in files(path) {
        let used = todana_log::layout::used(&bytes);
        if name.ends_with(".log") && used > 64 {
            end = used;
            bytes[used..used + 9].copy_from_slice(b"half of i");
        }
        let file = disk().open(&copy.join(&name), Open::Create).unwrap();
        file.write_at(0, &bytes).unwrap();
    }
    end
}

#[test]
fn a_closed_store_is_sound_and_a_flip_anywhere_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tdh");
    filled(&path);
    let checked = check(&path);
    assert!(checked.findings.is_empty() && checked.is_closed, "{:?}", checked.findings);
    let files = files(&path);
    assert_eq!(checked.bytes, files.iter().map(|(_, bytes)| bytes.len() as u64).sum::<u64>());
    assert!(files.iter().any(|(name, _)| name.ends_with(".pack")), "no pack is tried");
    assert!(files.iter().filter(|(name, _)| name.ends_with(".log")).count() > 2);
    for (name, bytes) in files {
        let step = if bytes.len() < 200 { 1 } else { 211 };
        for at in (0..bytes.len()).step_by(step) {
            write(&path.join(&name), at, &[bytes[at] ^ 0x10]);
            match Hash::check(&*disk(), &path, None, &mut |_, _| {}) {
                Ok(checked) => {
                    let named = checked.findings.iter().any(|finding| finding.file == name);
                    assert!(named && checked.is_damaged(), "{name}, byte {at}: {checked:?}");
                }
                // Its format is another one now.
                Err(Error::Open(reason)) => assert!(name == "store" && reason.contains("newer")),
                Err(error) => panic!("{name}, byte {at}: {error}"),
            }
            write(&path.join(&name), at, &[bytes[at]]);
        }
    }
    assert!(check(&path).findings.is_empty());
}

#[test]
fn a_footer_that_tells_of_other_frames_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tdh");
    filled(&path);
    let files = files(&path);
    let (name, bytes) = files.iter().find(|(name, _)| name.ends_with(".log")).unwrap();
    // Its sums are right, but one entry has another hash.
    let id = u64::from_str_radix(&name[..16], 16).unwrap();
    let todana_log::check::Footer::Whole(trailer, reader) =
        todana_log::check::Footer::of(id, bytes)
    else {
        panic!("no footer")
    };
    let mut tables = todana_log::layout::footer::Tables::default();
    let width = trailer.summary.width;
    let frames = todana_log::layout::footer::frames(&reader);
    for (at, entry) in reader.enumerate() {
        let hash = if at == 1 { entry.hash ^ (1 << 60) } else { entry.hash };
        tables.add_entry(entry.len, entry.kind, hash, width);
    }
    let footer = todana_log::layout::footer::encode(id, &tables, &frames, &trailer.summary);
    write(&path.join(name), trailer.summary.frames_end, &footer);
    let checked = check(&path);
    assert_eq!(checked.findings.len(), 1, "{:?}", checked.findings);
    assert!(checked.findings[0].what.contains("does not say what the frames say"));
}

#[test]
fn what_is_intact_is_saved_from_a_flip_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tdh");
    let whole = filled(&path);
    let mut worst = 0;
    for (number, (name, bytes)) in files(&path).into_iter().enumerate() {
        let from_end = |back: usize| bytes.len().saturating_sub(back);
        for at in [0, 12, 70, bytes.len() / 2, from_end(90), from_end(4)] {
            if at >= bytes.len() || (name == "store" && at == 8) {
                continue;
            }
            write(&path.join(&name), at, &[bytes[at] ^ 0x10]);
            let Repaired::Rescued(checked, rescued) = repair(&path).unwrap() else {
                panic!("{name}, byte {at}: nothing was repaired")
            };
            drop(rescued.lock);
            assert!(checked.findings.iter().any(|finding| finding.file == name));
            let saved = beside(&path);
            assert!(check(&saved).findings.is_empty(), "{name}, byte {at}");
            let hash = open(&saved, Mode::Existing).unwrap();
            let state = state(&hash);
            assert_eq!(state.len() as u64, rescued.records);
            let differing =
                whole.iter().filter(|(key, told)| state.get(*key) != Some(told)).count();
            let risen = state.keys().filter(|key| !whole.contains_key(*key)).count();
            let flips_a_frame = name != "store" && at >= 64 && at <= from_end(90);
            assert!(flips_a_frame || differing + risen == 0, "{name}, byte {at}: {differing}");
            worst = worst.max(differing + risen);
            // A version that was given there is never given again here.
            let mut wish = Wish(Some(Put::bytes(b"new")));
            hash.update(b"new", NOW, &mut wish).unwrap();
            let highest = whole.values().map(|told| told.3).max().unwrap();
            let visit = &mut |found: Found<'_>| {
                let Found::Record(view) = found else { panic!("it is not there") };
                assert!(view.meta.version > highest, "{name} {number}");
                Look::Fetched
            };
            hash.get(b"new", NOW, visit);
            drop(hash);
            std::fs::remove_dir_all(&saved).unwrap();
            write(&path.join(&name), at, &[bytes[at]]);
        }
    }
    assert!((1..whole.len() / 2).contains(&worst), "{worst} records of {}", whole.len());
}

#[test]
fn a_store_without_its_identity_is_saved_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tdh");
    let whole = filled(&path);
    disk().remove(&path.join("store")).unwrap();
    assert!(open(&path, Mode::Create).is_err());
    let Repaired::Rescued(_, rescued) = repair(&path).unwrap() else { panic!("not repaired") };
    assert_eq!(rescued.records, whole.len() as u64);
    let again = repair(&path).err().unwrap().to_string();
    assert!(again.contains("in use by process"), "{again}");
    drop(rescued.lock);
    let again = repair(&path).err().unwrap().to_string();
    assert!(again.contains("is in the way"), "{again}");
    assert_eq!(state(&open(&beside(&path), Mode::Existing).unwrap()), whole);
}

#[test]
fn an_end_that_was_not_finished_is_no_damage_and_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("a.tdh"), folder.path().join("b.tdh"));
    let hash = open(&path, Mode::Create).unwrap();
    for number in 0..5_u8 {
        hash.update(&[b'k', number], NOW, &mut Wish(Some(Put::bytes(b"value")))).unwrap();
        hash.sync().unwrap();
    }
    let end = with_half_a_frame(&path, &copy);
    assert!(!check(&path).is_damaged(), "a store in use is sound");
    let checked = check(&copy);
    assert!(!checked.is_damaged() && !checked.is_closed);
    let finding = &checked.findings[0];
    assert_eq!((checked.findings.len(), finding.offset, finding.len), (1, end as u64, 9));
    let Repaired::Kept(_, kept) = repair(&copy).unwrap() else { panic!("it was rescued") };
    let hash = open(&copy, Mode::Existing).unwrap();
    assert_eq!(state(&hash).len(), 5);
    hash.close().unwrap();
    let files = files(&copy);
    let (_, bytes) = files.iter().find(|(name, _)| *name == kept[0]).unwrap();
    assert_eq!((kept.len(), &bytes[..]), (1, &b"half of i"[..]));
    assert!(check(&copy).findings.is_empty());
}

#[test]
fn a_closed_store_with_a_file_of_zeros_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tdh");
    filled(&path);
    let (name, bytes) = files(&path).into_iter().find(|(name, _)| name.ends_with(".log")).unwrap();
    write(&path.join(&name), 0, &vec![0; bytes.len()]);
    assert!(check(&path).findings.iter().any(|finding| finding.file == name));
}

#[test]
fn a_repair_leaves_nothing_where_no_store_is() {
    let folder = tempfile::tempdir().unwrap();
    let refused = repair(folder.path()).err().unwrap().to_string();
    assert!(refused.contains("there is no store at"), "{refused}");
    assert_eq!(disk().list(folder.path()).unwrap(), Vec::<String>::new());
    assert!(Hash::check(&*disk(), folder.path(), None, &mut |_, _| {}).is_err());
}

proptest! {
    #[test]
    fn files_of_any_bytes_are_survived(
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
        at in 0..2_000_usize,
        id: u64,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tdh");
        let hash = open(&path, Mode::Create).unwrap();
        for number in 0..40_u8 {
            hash.update(&[b'k', number], NOW, &mut Wish(Some(Put::bytes(&[7; 40])))).unwrap();
        }
        hash.close().unwrap();
        let (name, whole) = files(&path).into_iter().find(|(name, _)| name != "store").unwrap();
        let at = at.min(whole.len());
        write(&path.join(&name), at, &bytes);
        let file = disk().open(&path.join(format!("{id:016x}.log")), Open::Create);
        if let Ok(file) = file {
            file.write_at(0, &bytes).unwrap();
        }
        prop_assert!(check(&path).is_damaged() || bytes.is_empty());
        if let Repaired::Rescued(_, rescued) = repair(&path).unwrap() {
            prop_assert!(rescued.records <= 40);
            prop_assert!(check(&beside(&path)).findings.is_empty());
        }
    }
}
