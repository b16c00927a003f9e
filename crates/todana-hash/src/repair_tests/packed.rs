//! Stores with a codec.

use super::*;
use crate::codec_tests::Inverting;

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

#[test]
fn frames_of_a_codec_that_is_not_given_are_counted_and_not_thrown_away() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tdh");
    let whole = packed(&path, Arc::new(Inverting), true);
    let given = || Some(Arc::new(Inverting) as Arc<dyn Codec>);
    let sealed = check(&path);
    assert!(sealed.findings.is_empty() && sealed.sealed_frames > 50, "{:?}", sealed.findings);
    assert_eq!(sealed.codec, "inverting");
    let checked = Hash::check(&*disk(), &path, given(), &mut |_, _| {}).unwrap();
    assert_eq!(checked, Checked { sealed_frames: 0, ..sealed });
    assert!(matches!(repair(&path), Ok(Repaired::Kept(..))));

    let files = files(&path);
    let (name, bytes) = files.iter().find(|(name, _)| name.ends_with(".log")).unwrap();
    write(&path.join(name), bytes.len() / 2, &[!bytes[bytes.len() / 2]]);
    assert!(check(&path).is_damaged());
    let refused = repair(&path).err().unwrap().to_string();
    assert!(refused.contains("codec `inverting`, which has to be given"), "{refused}");
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
        let end = with_half_a_frame(&path, &copy);
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
    let (frame, _) = todana_log::layout::frame::read_header(id, 64, &bytes[64..]).unwrap();
    // Its sums are right, but it says to begin elsewhere in the segment.
    let moved = todana_log::layout::frame::Frame { start: 72, ..frame };
    let mut out = Vec::new();
    let stored = &bytes[frame.stored_start()..frame.stored_end()];
    todana_log::layout::frame::encode(id, &moved, stored, &mut out);
    write(&path.join(name), 64, &out);
    let checked = check(&path);
    let finding = &checked.findings[0];
    assert_eq!((finding.offset, finding.len), (64, out.len() as u64));
    assert!(finding.is_damage && finding.what.contains("does not follow"), "{finding}");
}
