//! `todana db check`, `repair` and `upgrade` on stores that are not as they were written.

use super::db::{code, db, errors, text};
use super::{Server, todana};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const COUNT: usize = 3_000;

/// A closed store of many records.
fn filled(store: &Path) {
    let line = |number: usize| format!("key{number}\tvalue {number} {}\n", "x".repeat(80));
    let lines: String = (0..COUNT).map(line).collect();
    let output = db(store, "import", &["--format", "tsv"], lines.as_bytes());
    assert_eq!(code(&output), 0, "{}", errors(&output));
}

/// The longest file of a store.
fn log(store: &Path) -> PathBuf {
    let files = std::fs::read_dir(store).unwrap().map(|entry| entry.unwrap().path());
    files.max_by_key(|path| std::fs::metadata(path).unwrap().len()).unwrap()
}

fn flip(file: &Path, at: u64) {
    let opened = std::fs::OpenOptions::new().read(true).write(true).open(file).unwrap();
    let mut byte = [0];
    opened.read_exact_at(&mut byte, at).unwrap();
    opened.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

fn count(store: &Path) -> usize {
    let listed = db(store, "list", &[], b"");
    assert_eq!(code(&listed), 0, "{}", errors(&listed));
    text(&listed).lines().count()
}

#[test]
fn a_flipped_byte_is_named_and_a_repair_saves_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("a.tdh");
    filled(&store);
    assert!(text(&db(&store, "check", &[], b"")).contains("sound: 3000 records"));
    let log = log(&store);
    let name = log.file_name().unwrap().to_str().unwrap().to_owned();
    let at = std::fs::metadata(&log).unwrap().len() / 2;
    flip(&log, at);
    let flipped = std::fs::read(&log).unwrap();

    let checked = db(&store, "check", &[], b"");
    let said = text(&checked);
    assert_eq!(code(&checked), 1, "{said}");
    let line = said.lines().next().unwrap();
    let (_, place) = line.split_once(&format!("damaged: {name}: ")).expect("it names the file");
    let words: Vec<&str> = place.split(' ').collect();
    let (len, from): (u64, u64) = (words[0].parse().unwrap(), words[4].parse().unwrap());
    assert!((from..from + len).contains(&at), "byte {at} is not in: {line}");
    assert!(said.contains("damaged in 1 place; `todana db repair`"), "{said}");
    assert_eq!(std::fs::read(&log).unwrap(), flipped, "a check changes nothing");

    let repaired = db(&store, "repair", &[], b"");
    let said = text(&repaired);
    assert_eq!(code(&repaired), 0, "{said}{}", errors(&repaired));
    let kept = folder.path().join("a.tdh.damaged-1");
    assert!(said.contains(&format!("lost: {name}: {len} bytes from byte {from} on")), "{said}");
    assert!(said.contains(&kept.canonicalize().unwrap().display().to_string()), "{said}");
    assert_eq!(std::fs::read(kept.join(&name)).unwrap(), flipped, "the damaged store was changed");
    let saved = count(&store);
    assert!((COUNT - 300..COUNT).contains(&saved), "{saved} records were saved");
    let checked = db(&store, "check", &[], b"");
    assert_eq!(
        (code(&checked), text(&checked).contains(&format!("sound: {saved} rec"))),
        (0, true)
    );
    assert_eq!(code(&db(&store, "repair", &[], b"")), 0);
    assert_eq!(code(&db(&store, "put", &["new", "x"], b"")), 0);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "something is left over");
}

#[test]
fn headers_footers_and_the_identity_are_rebuilt_without_loss() {
    for (number, place) in ["header", "footer", "trailer", "store", "no store"].iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("a.tdh");
        filled(&store);
        let log = log(&store);
        let len = std::fs::metadata(&log).unwrap().len();
        match number {
            0 => flip(&log, 20),
            1 => flip(&log, len - 200),
            2 => flip(&log, len - 20),
            3 => flip(&store.join("store"), 40),
            _ => std::fs::remove_file(store.join("store")).unwrap(),
        }
        let checked = db(&store, "check", &[], b"");
        assert_eq!(code(&checked), 1, "{place}: {}{}", text(&checked), errors(&checked));
        let repaired = db(&store, "repair", &[], b"");
        assert_eq!(code(&repaired), 0, "{place}: {}{}", text(&repaired), errors(&repaired));
        assert_eq!(count(&store), COUNT, "{place}");
        assert_eq!(code(&db(&store, "check", &[], b"")), 0, "{place}");
    }
}

#[test]
fn packed_stores_are_checked_and_repaired_and_stay_packed() {
    for codec in ["lz4", "zstd"] {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("a.tdh");
        let made = format!("{}#compression={codec}", store.display());
        assert_eq!(code(&db(Path::new(&made), "create", &[], b"")), 0);
        filled(&store);
        assert!(text(&db(&store, "check", &[], b"")).contains("sound: 3000 records"));
        let log = log(&store);
        let len = std::fs::metadata(&log).unwrap().len();
        assert!(len < 200_000, "{codec} makes {len} bytes of 300,000");
        flip(&log, 90);
        let checked = db(&store, "check", &[], b"");
        let said = text(&checked);
        assert_eq!(code(&checked), 1, "{said}");
        assert!(said.contains("from byte 64 on: the frame fails its checksum;"), "{said}");
        let repaired = db(&store, "repair", &[], b"");
        assert_eq!(code(&repaired), 0, "{}{}", text(&repaired), errors(&repaired));
        let saved = count(&store);
        assert!((COUNT - 300..COUNT).contains(&saved), "{saved} records were saved");
        assert_eq!(code(&db(&store, "check", &[], b"")), 0);
        assert!(std::fs::metadata(self::log(&store)).unwrap().len() < 200_000, "it is not packed");
        // Its frames say how they are packed.
        flip(&store.join("store"), 40);
        let repaired = db(&store, "repair", &[], b"");
        assert_eq!(code(&repaired), 0, "{}{}", text(&repaired), errors(&repaired));
        assert_eq!(count(&store), saved);
    }
}

#[test]
fn a_file_that_was_cut_short_is_found_and_what_is_left_is_saved() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("a.tdh");
    filled(&store);
    let log = log(&store);
    let opened = std::fs::OpenOptions::new().write(true).open(&log).unwrap();
    opened.set_len(std::fs::metadata(&log).unwrap().len() / 2).unwrap();
    assert_eq!(code(&db(&store, "check", &[], b"")), 1);
    let repaired = db(&store, "repair", &[], b"");
    assert_eq!(code(&repaired), 0, "{}{}", text(&repaired), errors(&repaired));
    let saved = count(&store);
    assert!((COUNT / 3..COUNT * 2 / 3).contains(&saved), "{saved} records were saved");
    assert_eq!(code(&db(&store, "check", &[], b"")), 0);
}

#[test]
fn a_repair_that_was_interrupted_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("a.tdh");
    filled(&store);
    let beside = folder.path().join("a.tdh.repaired");
    std::fs::create_dir(&beside).unwrap();
    assert_eq!(code(&db(&store, "repair", &[], b"")), 0, "there is nothing to repair");
    flip(&log(&store), 100);
    let output = db(&store, "repair", &[], b"");
    let said = errors(&output);
    assert!(code(&output) == 2 && said.contains("a.tdh.repaired is in the way"), "{said}");
    std::fs::remove_dir(&beside).unwrap();
    assert_eq!(code(&db(&store, "repair", &[], b"")), 0);
}

#[test]
fn after_kill_9_nothing_is_damaged_and_a_repair_keeps_what_it_cuts() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("served");
    let mut server = Server::start(&["--store", &store.display().to_string()]);
    for number in 0..20 {
        assert_eq!(server.run(&["set", &format!("k{number}"), "value"]).0, 0);
    }
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    // Half of a write, as a power cut leaves one.
    let log = log(&store);
    let bytes = std::fs::read(&log).unwrap();
    let used = bytes.iter().rposition(|&byte| byte != 0).unwrap() + 1;
    let opened = std::fs::OpenOptions::new().write(true).open(&log).unwrap();
    opened.write_all_at(b"half a frame", used as u64).unwrap();

    let checked = db(&store, "check", &[], b"");
    let said = text(&checked);
    assert!(said.contains(&format!("12 bytes from byte {used} on")), "{said}");
    assert!(code(&checked) == 0 && said.contains("sound, not closed: 20 records"), "{said}");
    let repaired = db(&store, "repair", &[], b"");
    let said = text(&repaired);
    assert!(code(&repaired) == 0 && said.contains("recovered: 20 records"), "{said}");
    let name = log.file_name().unwrap().to_str().unwrap();
    let kept = store.join(format!("{name}.{used}.cut"));
    assert!(said.contains(&format!("kept: {}", kept.display())), "{said}");
    assert_eq!(std::fs::read(kept).unwrap(), b"half a frame");
    let again = text(&db(&store, "repair", &[], b""));
    assert!(again.contains("nothing to repair: 20 records"), "{again}");
}

#[test]
fn a_store_of_a_newer_format_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("a.tdh");
    filled(&store);
    let output = db(&store, "upgrade", &[], b"");
    assert!(code(&output) == 0 && text(&output).contains("format 1, the newest"), "{output:?}");
    let opened = std::fs::OpenOptions::new().write(true).open(store.join("store")).unwrap();
    opened.write_all_at(&[7, 0], 8).unwrap();
    let before = std::fs::read_dir(&store).unwrap().count();
    for (command, rest) in [
        ("upgrade", &[][..]),
        ("stat", &[]),
        ("get", &["key1"]),
        ("put", &["k", "v"]),
        ("check", &[]),
        ("repair", &[]),
        ("export", &[]),
    ] {
        let output = db(&store, command, rest, b"");
        let said = errors(&output);
        assert!(code(&output) == 2 && said.contains("has format 7"), "{command}: {said}");
        assert!(said.contains("formats up to 1: a newer one opens it"), "{command}: {said}");
    }
    let served = todana().args(["serve", "-p", "-1", "--store"]).arg(&store).output().unwrap();
    assert!(errors(&served).contains("has format 7"), "{}", errors(&served));
    assert_eq!(std::fs::read_dir(&store).unwrap().count(), before, "files came or went");
}
