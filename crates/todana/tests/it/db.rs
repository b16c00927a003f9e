//! `todana db` on stores, as its users run it.

use super::todana;
use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};

fn db(store: &Path, command: &str, rest: &[&str], input: &[u8]) -> Output {
    let mut child = todana()
        .args(["db", command])
        .arg(store)
        .args(rest)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that reads nothing may have gone already.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_store_is_made_filled_listed_copied_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let (store, copy) = (folder.path().join("a.tdh"), folder.path().join("b.tdh"));
    assert_eq!(code(&db(&store, "get", &["k"], b"")), 2, "there is no store yet");
    assert_eq!(code(&db(&store, "create", &[], b"")), 0);
    assert_ne!(code(&db(&store, "create", &[], b"")), 0, "it was made twice");
    for number in 0..30 {
        let (key, value) = (format!("k{number:02}"), format!("value {number}"));
        assert_eq!(code(&db(&store, "put", &[&key, &value], b"")), 0);
    }
    assert_eq!(text(&db(&store, "get", &["k07"], b"")), "value 7");
    assert_eq!(code(&db(&store, "get", &["absent"], b"")), 1);
    assert_eq!(code(&db(&store, "put", &["n", "41"], b"")), 0);
    assert_eq!(text(&db(&store, "incr", &["n"], b"")).trim(), "42");
    assert_eq!(code(&db(&store, "delete", &["k00"], b"")), 0);
    let listed = text(&db(&store, "list", &["--prefix", "k1"], b""));
    assert_eq!(listed.lines().count(), 10, "{listed}");
    let few = text(&db(&store, "list", &["--limit", "3"], b""));
    assert_eq!(few.lines().count(), 3, "{few}");
    let target = copy.display().to_string();
    assert_eq!(code(&db(&store, "copy", &[&target], b"")), 0);
    for command in ["compact", "check", "stat", "repair", "upgrade"] {
        let output = db(&copy, command, &[], b"");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(code(&output), 0, "{command}: {} {said}", text(&output));
    }
    assert_eq!(text(&db(&copy, "get", &["k29"], b"")), "value 29");
}

#[test]
fn what_is_exported_is_imported() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("a.tdh");
    assert_eq!(code(&db(&store, "create", &[], b"")), 0);
    let value: Vec<u8> = (0..=255).collect();
    assert_eq!(code(&db(&store, "put", &["all bytes", "--flags", "7"], &value)), 0);
    assert_eq!(code(&db(&store, "put", &["tab\tand\nline", "x"], b"")), 0);
    for format in ["tsv", "jsonl"] {
        let exported = db(&store, "export", &["--format", format], b"");
        assert_eq!(code(&exported), 0);
        let other = folder.path().join(format!("{format}.tdh"));
        assert_eq!(code(&db(&other, "import", &["--format", format], &exported.stdout)), 0);
        assert_eq!(db(&other, "get", &["all bytes"], b"").stdout, value, "{format}");
        assert_eq!(text(&db(&other, "get", &["tab\tand\nline"], b"")), "x", "{format}");
        let again = db(&other, "export", &["--format", format], b"");
        let sorted = |output: &Output| {
            let mut lines: Vec<String> = text(output).lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(&again), sorted(&exported), "{format}");
    }
}

#[test]
fn tokyo_cabinets_files_are_imported() {
    let folder = tempfile::tempdir().unwrap();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../todana-import/tests/data");
    let mut files = 0;
    for entry in std::fs::read_dir(data).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "tch") {
            continue;
        }
        files += 1;
        let store = folder.path().join(format!("{files}.tdh"));
        let output = db(&store, "import", &["--from-tokyo", &path.display().to_string()], b"");
        assert_eq!(code(&output), 0, "{}", String::from_utf8_lossy(&output.stderr));
        assert!(text(&db(&store, "list", &[], b"")).lines().count() > 0);
    }
    assert!(files > 0);
}
