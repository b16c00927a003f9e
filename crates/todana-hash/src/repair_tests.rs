//! Stores with every kind of damage: what a check says of it, and what a repair saves.

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
    let crate::check::Footer::Whole(trailer, reader) = crate::check::Footer::of(id, bytes) else {
        panic!("no footer")
    };
    let mut tables = crate::layout::footer::Tables::default();
    let width = trailer.summary.width;
    let frames = crate::layout::footer::frames(&reader);
    for (at, entry) in reader.enumerate() {
        let hash = if at == 1 { entry.hash ^ (1 << 60) } else { entry.hash };
        tables.add_entry(entry.len, entry.kind, hash, width);
    }
    let footer = crate::layout::footer::encode(id, &tables, &frames, &trailer.summary);
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
    // As a power cut leaves it: files of a store that is open, and half a frame at the end.
    disk().create_dir(&copy).unwrap();
    let mut end = 0;
    for (name, mut bytes) in files(&path) {
        if name.ends_with(".log") {
            let used = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
            if used > 64 {
                end = used;
                bytes[used..used + 9].copy_from_slice(b"half of i");
            }
        }
        let file = disk().open(&copy.join(&name), Open::Create).unwrap();
        file.write_at(0, &bytes).unwrap();
    }
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

/// Records of a store with a codec: more than a dictionary is trained from.
const PACKED_COUNT: u32 = 9_000;
/// More than there are in one frame.
const FRAME_RECORDS: usize = 200;

fn zstd() -> Arc<dyn Codec> {
    Arc::new(Zstd::default())
}

fn lz4() -> Arc<dyn Codec> {
    Arc::new(Lz4)
}

/// A closed store with a codec and a dictionary; records that look alike, a part of them changed after
/// it was trained, and some removed.
fn packed(path: &Path, codec: Arc<dyn Codec>, compacts: bool) -> State {
    let learns = codec.name() == "zstd";
    let hash = open_with(path, Mode::Create, Some(codec)).unwrap();
    let mut random = Generator::new(7);
    let mut change = |round: u32, number: u32| {
        let key = format!("user:{number:06}");
        let digits = random.next_u64();
        let mut value = format!(
            "{{\"name\":\"user {number}\",\"mail\":\"user{number}@example.org\",\
             \"round\":{round},\"token\":\"{digits:016x}\",\"more\":\"{digits:032x}\"}}"
        )
        .into_bytes();
        if number % 500 == 7 {
            // One that does not become shorter.
            value = (0..20_000).map(|_| random.next_u64().to_le_bytes()[0]).collect();
        }
        let removes = round > 0 && random.below(10) == 0;
        let put = Put { flags: round, ..Put::bytes(&value) };
        let mut wish = Wish((!removes).then_some(put));
        hash.update(key.as_bytes(), NOW, &mut wish).unwrap();
    };
    for number in 0..PACKED_COUNT {
        change(0, number);
        if number % 1_000 == 999 {
            hash.sync().unwrap();
        }
    }
    for number in (0..PACKED_COUNT).step_by(3) {
        change(1, number);
    }
    if compacts {
        hash.sync().unwrap();
        hash.compact().unwrap();
        (0..PACKED_COUNT).step_by(7).for_each(|number| change(2, number));
    }
    let state = state(&hash);
    hash.close().unwrap();
    assert_eq!(path.join("dictionary").exists(), learns, "a dictionary");
    state
}

/// Records that are not as they were, those included that were gone.
fn differing(whole: &State, state: &State) -> usize {
    let changed = whole.iter().filter(|(key, told)| state.get(*key) != Some(told)).count();
    changed + state.keys().filter(|key| !whole.contains_key(*key)).count()
}

/// Repairs a store; gives what was said of it and what the new one has.
fn rescued(path: &Path) -> (Checked, State) {
    let Repaired::Rescued(checked, rescued) = repair(path).unwrap() else {
        panic!("nothing was repaired")
    };
    drop(rescued.lock);
    let saved = beside(path);
    let again = check(&saved);
    assert!(again.findings.is_empty(), "{:?}", again.findings);
    assert_eq!(again.codec, checked.codec);
    let state = state(&open(&saved, Mode::Existing).unwrap());
    assert_eq!(state.len() as u64, rescued.records);
    std::fs::remove_dir_all(&saved).unwrap();
    (checked, state)
}

#[test]
fn a_flip_anywhere_in_a_packed_store_is_found() {
    for codec in [lz4(), zstd()] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tdh");
        packed(&path, codec.clone(), true);
        let checked = check(&path);
        assert!(checked.findings.is_empty() && checked.is_closed, "{:?}", checked.findings);
        assert_eq!((&checked.codec[..], checked.sealed_frames), (codec.name(), 0));
        let files = files(&path);
        assert_eq!(checked.bytes, files.iter().map(|(_, bytes)| bytes.len() as u64).sum::<u64>());
        assert!(files.iter().any(|(name, _)| name.ends_with(".pack")), "no pack is tried");
        for (name, bytes) in files {
            let places = if bytes.len() < 100 { bytes.len() } else { 9 };
            for place in 0..places {
                let at = place * bytes.len() / places + place % 5;
                let Some(byte) = bytes.get(at) else { continue };
                write(&path.join(&name), at, &[byte ^ 0x10]);
                match Hash::check(&*disk(), &path, None, &mut |_, _| {}) {
                    Ok(checked) => {
                        let holds = |finding: &crate::Finding| {
                            let range = finding.offset..finding.offset + finding.len;
                            finding.file == name
                                && (range.contains(&(at as u64)) || range.is_empty())
                        };
                        let named = checked.findings.iter().any(holds);
                        assert!(named && checked.is_damaged(), "{name}, byte {at}: {checked:?}");
                    }
                    // Its format is another one now.
                    Err(Error::Open(reason)) => {
                        assert!(name == "store" && reason.contains("newer"));
                    }
                    Err(error) => panic!("{name}, byte {at}: {error}"),
                }
                write(&path.join(&name), at, &[*byte]);
            }
        }
        assert!(check(&path).findings.is_empty());
    }
}

#[test]
fn what_is_intact_is_saved_from_a_flip_in_a_packed_store() {
    for codec in [lz4(), zstd()] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tdh");
        let whole = packed(&path, codec, true);
        let mut worst = 0;
        let files = files(&path);
        let of_kind = |end: &str| {
            let of = files.iter().filter(move |(name, _)| name.ends_with(end));
            of.max_by_key(|(_, bytes)| bytes.len()).unwrap()
        };
        for (name, bytes) in [of_kind(".log"), of_kind(".pack")] {
            // The header, a frame's header, what it stores, the footer, the trailer.
            let places = [20, 64 + 6, 64 + 14, 64 + 21, 64 + 200, bytes.len() / 2];
            for at in places.into_iter().chain([bytes.len() - 90, bytes.len() - 4]) {
                write(&path.join(name), at, &[bytes[at] ^ 1]);
                let (checked, state) = rescued(&path);
                assert!(checked.findings.iter().all(|finding| finding.file == *name));
                let lost = differing(&whole, &state);
                let flips_a_frame = at >= 64 && at < bytes.len() - 90;
                // The footer knows how many there were in it.
                let counted = checked.findings.iter().find_map(|finding| {
                    let (_, count) = finding.what.split_once("fails its checksum; ")?;
                    count.split(' ').next()?.parse::<usize>().ok()
                });
                let is_counted = counted.is_some_and(|count| (1..FRAME_RECORDS).contains(&count));
                assert_eq!(is_counted, flips_a_frame, "{name}, byte {at}: {:?}", checked.findings);
                assert!(flips_a_frame || lost == 0, "{name}, byte {at}: {lost}");
                worst = worst.max(lost);
                write(&path.join(name), at, &[bytes[at]]);
            }
        }
        assert!((1..FRAME_RECORDS).contains(&worst), "{worst} records of {}", whole.len());
    }
}

#[test]
fn frames_behind_a_lost_header_are_found_without_a_footer() {
    for codec in [lz4(), zstd()] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tdh");
        let whole = packed(&path, codec, false);
        let files = files(&path);
        let logs = files.iter().filter(|(name, _)| name.ends_with(".log"));
        let (name, bytes) = logs.max_by_key(|(_, bytes)| bytes.len()).unwrap();
        // Neither the footer nor the first frame's header says where the second frame begins.
        for at in [bytes.len() - 4, 64 + 6] {
            write(&path.join(name), at, &[bytes[at] ^ 1]);
        }
        let (checked, state) = rescued(&path);
        let lost = differing(&whole, &state);
        assert!(lost < FRAME_RECORDS, "{lost}: {:?}", checked.findings);
    }
}

#[test]
fn a_packed_store_without_its_identity_is_saved_whole() {
    for codec in [lz4(), zstd()] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tdh");
        let whole = packed(&path, codec.clone(), true);
        disk().remove(&path.join("store")).unwrap();
        let (checked, state) = rescued(&path);
        assert_eq!(checked.codec, codec.name());
        let files: Vec<&str> = checked.findings.iter().map(|finding| &finding.file[..]).collect();
        assert_eq!((files, differing(&whole, &state)), (vec!["store"], 0));
    }
}

#[test]
fn a_dictionary_that_is_damaged_or_gone_is_a_finding() {
    let folder = tempfile::tempdir().unwrap();
    let says = "frames cannot be unpacked without it";
    let path = folder.path().join("a.tdh");
    let whole = packed(&path, zstd(), false);
    let dictionary = path.join("dictionary");
    let bytes = content(&dictionary);
    for what in ["flip", "cut", "gone", "gone with the identity"] {
        match what {
            "flip" => write(&dictionary, 9, &[bytes[9] ^ 1]),
            "cut" => disk().open(&dictionary, Open::Write).unwrap().set_len(5_000).unwrap(),
            "gone" => disk().remove(&dictionary).unwrap(),
            _ => disk().remove(&path.join("store")).unwrap(),
        }
        let checked = check(&path);
        let found = checked.findings.iter().find(|finding| finding.file == "dictionary");
        let found = found.unwrap_or_else(|| panic!("{what}: {:?}", checked.findings));
        assert!(found.is_damage && found.what.contains(says), "{what}: {found}");
        let (_, state) = rescued(&path);
        let lost = differing(&whole, &state);
        // What was packed before there was a dictionary stays.
        assert!(lost > 0 && state.len() > whole.len() / 2, "{what}: {lost}");
    }
}

#[test]
fn a_rescued_store_has_the_dictionary_of_the_damaged_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tdh");
    packed(&path, zstd(), false);
    let dictionary = content(&path.join("dictionary"));
    write(&path.join("store"), 20, b"x");
    let Repaired::Rescued(checked, _) = repair(&path).unwrap() else { panic!("not repaired") };
    assert_eq!(checked.findings.len(), 1, "{:?}", checked.findings);
    assert_eq!(content(&beside(&path).join("dictionary")), dictionary);
}

/// Turns every byte round, and leaves out what is the same at the end.
#[derive(Debug)]
struct Own;

impl Codec for Own {
    fn name(&self) -> &'static str {
        "own"
    }

    fn pack(&self, payload: &[u8], _: &[u8], out: &mut Vec<u8>) {
        let end = payload.iter().rposition(|&byte| byte != b'}').map_or(0, |last| last + 1);
        out.extend(payload[..end].iter().map(|byte| !byte));
    }

    fn unpack(&self, packed: &[u8], _: &[u8], len: usize) -> Result<Vec<u8>, String> {
        let mut out: Vec<u8> = packed.iter().map(|byte| !byte).collect();
        out.resize(len, b'}');
        Ok(out)
    }
}

#[test]
fn frames_of_a_codec_that_is_not_given_are_counted_and_not_thrown_away() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tdh");
    let whole = packed(&path, Arc::new(Own), true);
    let given = || Some(Arc::new(Own) as Arc<dyn Codec>);
    let sealed = check(&path);
    assert!(sealed.findings.is_empty() && sealed.sealed_frames > 50, "{:?}", sealed.findings);
    assert_eq!(sealed.codec, "own");
    let checked = Hash::check(&*disk(), &path, given(), &mut |_, _| {}).unwrap();
    assert_eq!(checked, Checked { sealed_frames: 0, ..sealed });
    assert!(matches!(repair(&path), Ok(Repaired::Kept(..))));

    let files = files(&path);
    let (name, bytes) = files.iter().find(|(name, _)| name.ends_with(".log")).unwrap();
    write(&path.join(name), bytes.len() / 2, &[!bytes[bytes.len() / 2]]);
    assert!(check(&path).is_damaged());
    let refused = repair(&path).err().unwrap().to_string();
    assert!(refused.contains("codec `own`, which has to be given"), "{refused}");
    for loses_identity in [false, true] {
        if loses_identity {
            disk().remove(&path.join("store")).unwrap();
            let refused = repair(&path).err().unwrap().to_string();
            assert!(refused.contains("a codec that this program does not have"), "{refused}");
        }
        assert!(!beside(&path).exists());
        let saved = beside(&path);
        let repaired = Hash::repair(&disk(), &path, &saved, given(), NOW, &mut |_, _| {});
        assert!(matches!(repaired, Ok(Repaired::Rescued(..))));
        drop(repaired);
        assert!(open(&saved, Mode::Existing).is_err());
        let state = state(&open_with(&saved, Mode::Existing, given()).unwrap());
        assert!((1..FRAME_RECORDS).contains(&differing(&whole, &state)));
        std::fs::remove_dir_all(&saved).unwrap();
    }
}

#[test]
fn an_end_of_a_packed_store_that_was_not_finished_is_no_damage() {
    for codec in [lz4(), zstd()] {
        let folder = tempfile::tempdir().unwrap();
        let (path, copy) = (folder.path().join("a.tdh"), folder.path().join("b.tdh"));
        let hash = open_with(&path, Mode::Create, Some(codec)).unwrap();
        for number in 0..500_u32 {
            let key = format!("key{number}");
            let mut wish = Wish(Some(Put::bytes(b"a value that is like the others")));
            hash.update(key.as_bytes(), NOW, &mut wish).unwrap();
        }
        hash.sync().unwrap();
        disk().create_dir(&copy).unwrap();
        let mut end = 0;
        for (name, mut bytes) in files(&path) {
            let used = crate::check::used(&bytes);
            if name.ends_with(".log") && used > 64 {
                end = used;
                bytes[used..used + 9].copy_from_slice(b"half of i");
            }
            let file = disk().open(&copy.join(&name), Open::Create).unwrap();
            file.write_at(0, &bytes).unwrap();
        }
        assert!(!check(&path).is_damaged(), "a store in use is sound");
        let checked = check(&copy);
        let finding = &checked.findings[0];
        assert!(!checked.is_damaged() && end < 16 << 10, "{finding}, {end}");
        assert_eq!((checked.findings.len(), finding.offset, finding.len), (1, end as u64, 9));
        let Repaired::Kept(_, kept) = repair(&copy).unwrap() else { panic!("it was rescued") };
        assert_eq!(content(&copy.join(&kept[0])), b"half of i");
        let hash = open(&copy, Mode::Existing).unwrap();
        assert_eq!(state(&hash).len(), 500);
        hash.close().unwrap();
        assert!(check(&copy).findings.is_empty());
    }
}

#[test]
fn a_frame_that_does_not_follow_the_one_before_it_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tdh");
    packed(&path, lz4(), false);
    let files = files(&path);
    let (name, bytes) = files.iter().find(|(name, _)| name.ends_with(".log")).unwrap();
    let id = u64::from_str_radix(&name[..16], 16).unwrap();
    let (frame, _) = crate::layout::frame::read_header(id, 64, &bytes[64..]).unwrap();
    // Its sums are right, but it says to begin elsewhere in the segment.
    let moved = crate::layout::frame::Frame { start: 72, ..frame };
    let mut out = Vec::new();
    let stored = &bytes[frame.stored_start()..frame.stored_end()];
    crate::layout::frame::encode(id, &moved, stored, &mut out);
    write(&path.join(name), 64, &out);
    let checked = check(&path);
    let finding = &checked.findings[0];
    assert_eq!((finding.offset, finding.len), (64, out.len() as u64));
    assert!(finding.is_damage && finding.what.contains("does not follow"), "{finding}");
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
