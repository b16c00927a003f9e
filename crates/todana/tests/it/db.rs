//! `todana db` on stores, as its users run it.

use super::todana;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

pub(crate) fn db(store: &Path, command: &str, rest: &[&str], input: &[u8]) -> Output {
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

pub(crate) fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

pub(crate) fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What went to standard error.
pub(crate) fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
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

/// The test files of the crate that reads them.
fn tokyo_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../todana-import/tests/data").join(name)
}

#[test]
fn tokyo_cabinets_files_are_imported() {
    let folder = tempfile::tempdir().unwrap();
    for (name, expected, count) in [
        ("debian.tch", 0, 9),
        ("little.tch", 0, 9),
        ("deflated.tch", 0, 9),
        ("tree.tcb", 1, 21),
        ("deflated.tcb", 1, 21),
        ("fixed.tcf", 0, 7),
    ] {
        let store = folder.path().join(format!("{name}.tdh"));
        let path = tokyo_file(name);
        let output = db(&store, "import", &["--from-tokyo", &path.display().to_string()], b"");
        assert_eq!(code(&output), expected, "{}", errors(&output));
        assert_eq!(text(&db(&store, "list", &[], b"")).lines().count(), count, "{name}");
    }
    let store = folder.path().join("fixed.tcf.tdh");
    assert_eq!(text(&db(&store, "get", &["17"], b"")), "value17");
}

/// What Tokyo Cabinet gets for a key with several values is the first of them.
#[test]
fn of_several_values_of_a_key_the_first_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("a.tdh");
    let path = tokyo_file("tree.tcb").display().to_string();
    let output = db(&store, "import", &["--from-tokyo", &path], b"");
    assert_eq!(text(&output).trim(), "21 records stored, 4 left out");
    let said = errors(&output);
    assert_eq!(said.lines().count(), 4, "{said}");
    assert!(said.contains("value 2 of the key `k3`: the store has one a key"), "{said}");
    assert_eq!(text(&db(&store, "get", &["k3"], b"")), "zeroth");
}

#[test]
fn leaves_of_a_broken_tree_are_salvaged() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("a.tdh");
    let broken = folder.path().join("broken.tcb");
    let mut bytes = std::fs::read(tokyo_file("tree.tcb")).unwrap();
    // The id of the first leaf.
    bytes[159] = 99;
    std::fs::write(&broken, bytes).unwrap();
    let path = broken.display().to_string();
    let output = db(&store, "import", &["--from-tokyo", &path], b"");
    assert_eq!(code(&output), 2);
    let said = errors(&output);
    assert!(said.contains("the chain of leaves breaks at leaf 99"), "{said}");
    assert!(said.contains("with --salvage the leaves are read as they lie instead"), "{said}");
    let output = db(&store, "import", &["--from-tokyo", &path, "--salvage"], b"");
    assert_eq!((code(&output), text(&output).trim()), (1, "21 records stored, 4 left out"));
    assert_eq!(text(&db(&store, "get", &["k24"], b"")), "value24");
}

#[test]
fn flags_and_expiry_go_through_export_import_and_copy() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let store = path("a.tdh");
    assert_eq!(code(&db(&store, "create", &[], b"")), 0);
    assert_eq!(code(&db(&store, "put", &["ends", "x", "--ttl", "3600", "--flags", "9"], b"")), 0);
    assert_eq!(code(&db(&store, "put", &["stays", "x"], b"")), 0);
    let exported = text(&db(&store, "export", &[], b""));
    let line = exported.lines().find(|line| line.contains("ends")).unwrap();
    let expiry: u64 = line.split("\"expiry_ms\":").nth(1).unwrap()[..13].parse().unwrap();
    let now_ms = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let left_ms = expiry - u64::try_from(now_ms.as_millis()).unwrap();
    assert!((3_500_000..=3_600_000).contains(&left_ms) && line.contains("\"flags\":9"), "{line}");
    let sorted = |text: &str| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let (other, copy) = (path("b.tdh"), path("c.tdh"));
    assert_eq!(code(&db(&other, "import", &[], exported.as_bytes())), 0);
    assert_eq!(code(&db(&other, "copy", &[&copy.display().to_string()], b"")), 0);
    assert_eq!(sorted(&text(&db(&copy, "export", &[], b""))), sorted(&exported));
    // One that had ended before it came is not there.
    let past = b"{\"key\":\"gone\",\"value\":\"\",\"expiry_ms\":1000}";
    assert_eq!(code(&db(&copy, "import", &[], past)), 0);
    assert_eq!(code(&db(&copy, "get", &["gone"], b"")), 1);
    for wrong in ["0", "-1", "x"] {
        let output = db(&store, "put", &["k", "v", "--ttl", wrong], b"");
        assert!(code(&output) == 2 && errors(&output).contains("--ttl"), "{}", errors(&output));
    }
}

#[test]
fn keys_of_any_bytes_are_listed_and_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("a.tdh");
    let line = b"{\"key_base64\":\"AAoJXP9h\",\"value\":\"v\"}\n\r\n\n";
    assert_eq!(code(&db(&store, "import", &["-"], line)), 0, "empty lines are no records");
    let key = "\\x00\\n\\t\\\\\\xffa";
    assert_eq!(text(&db(&store, "list", &[], b"")).trim(), key);
    assert_eq!(text(&db(&store, "list", &["-e", "--prefix", "\\x00\\n"], b"")).trim(), key);
    assert_eq!(text(&db(&store, "get", &["-e", key], b"")), "v");
    assert_eq!(code(&db(&store, "get", &[key], b"")), 1, "as it stands it is another key");
    assert_eq!(code(&db(&store, "delete", &["--escaped", key], b"")), 0);
    assert_eq!(code(&db(&store, "get", &["-e", "\\q"], b"")), 2);
}

#[test]
fn exit_codes_and_messages() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("a.tdh");
    let missing = folder.path().join("missing");
    for command in ["stat", "list", "export", "check", "repair", "compact", "upgrade"] {
        let output = db(&missing, command, &[], b"");
        let said = errors(&output);
        assert!(code(&output) == 2 && said.contains("there is no store at"), "{command}: {said}");
    }
    assert!(!missing.exists(), "a command that needs a store has made one");
    assert_eq!(code(&db(&store, "create", &[], b"")), 0);
    for (command, rest, expected, said) in [
        ("get", &["k"][..], 1, ""),
        ("delete", &["k"], 1, "no such key"),
        ("incr", &["k"], 1, "--initial"),
        ("put", &["k", "v", "--replace"], 1, "no such key"),
        ("put", &["k", "v"], 0, ""),
        ("put", &["k", "v", "--add"], 1, "the key exists"),
        ("incr", &["k"], 2, "decimal number"),
        ("incr", &["n", "--initial", "5"], 0, ""),
        ("incr", &["n", "--by", "7", "--decr"], 0, ""),
        ("list", &["--limit", "-1"], 2, "--limit"),
        ("export", &["/nonexistent/file"], 2, "cannot write to /nonexistent/file"),
        ("import", &["/nonexistent/file"], 2, "cannot read /nonexistent/file"),
        ("import", &["--from-tokyo", "/nonexistent.tch"], 2, "cannot read"),
        ("copy", &["*"], 2, "name one on disk"),
        ("create", &[], 2, "is a store already"),
        ("stat", &["--nonsense"], 2, "Options of `todana db stat`: -h/--help"),
        (
            "import",
            &["--nonsense"],
            2,
            "`todana db import`: --format, --from-tokyo, --salvage, -h/--help",
        ),
    ] {
        let output = db(&store, command, rest, b"");
        let text = errors(&output);
        assert!(code(&output) == expected && text.contains(said), "{command} {rest:?}: {text}");
        assert_eq!(text.is_empty(), said.is_empty(), "{command} {rest:?}: {text}");
    }
    let options = format!("{}#bnum=7", store.display());
    let said = errors(&db(Path::new(&options), "get", &["k"], b""));
    assert!(said.contains("unknown store option `bnum`; there are flush="), "{said}");
    let said = errors(&db(&folder.path().join("a.tch"), "create", &[], b""));
    assert!(said.contains("NAME.tdh"), "{said}");
}

#[test]
fn a_line_that_cannot_be_read_is_named_and_what_was_before_it_stays() {
    let folder = tempfile::tempdir().unwrap();
    for (format, lines, expected) in [
        ("jsonl", "{\"key\":\"a\",\"value\":\"1\"}\n\nnonsense\n", ":3: expected ident"),
        ("tsv", "a\t1\r\nb\n", ":2: there is no tab"),
        ("tsv", "a\t1\nb\t2\t3\n", ":2: there is more than one tab"),
    ] {
        let store = folder.path().join("a.tdh");
        let output = db(&store, "import", &["--format", format], lines.as_bytes());
        let said = errors(&output);
        assert!(code(&output) == 2 && said.contains(expected), "{said}");
        assert!(said.contains("(1 record stored before)"), "{said}");
        assert_eq!(text(&db(&store, "get", &["a"], b"")), "1");
        std::fs::remove_dir_all(store).unwrap();
    }
}

#[test]
fn a_file_is_replaced_by_an_export_that_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let (store, file) = (folder.path().join("a.tdh"), folder.path().join("out.tsv"));
    let name = file.display().to_string();
    std::fs::write(&file, "before").unwrap();
    assert_eq!(code(&db(&store, "export", &[&name], b"")), 2);
    assert_eq!(std::fs::read(&file).unwrap(), b"before");
    assert_eq!(code(&db(&store, "create", &[], b"")), 0);
    assert_eq!(code(&db(&store, "put", &["k", "v"], b"")), 0);
    assert_eq!(code(&db(&store, "export", &[&name], b"")), 0);
    assert_eq!(std::fs::read(&file).unwrap(), b"k\tv\n");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "something is left over");
    assert_eq!(db(&store, "export", &["/dev/stdout", "--format", "tsv"], b"").stdout, b"k\tv\n");
}

/// An import that is fed slowly, so that it takes more than a second.
fn slow_import(store: &Path, lines: &[u8], signal: bool) -> Output {
    let mut child = todana()
        .args(["db", "import"])
        .arg(store)
        .args(["--format", "tsv"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    // More than pipe and buffer hold: when it is written, the command reads.
    input.write_all(lines).unwrap();
    match signal {
        true => {
            let id = child.id().to_string();
            assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        }
        false => std::thread::sleep(Duration::from_millis(1_300)),
    }
    // Its reader may have ended by now.
    let _ = input.write_all(lines);
    drop(input);
    child.wait_with_output().unwrap()
}

fn many_lines() -> Vec<u8> {
    let line = |number: u32| format!("key{number}\t{}\n", "x".repeat(90));
    (0..8_000).map(line).collect::<String>().into_bytes()
}

#[test]
fn progress_is_for_terminals_alone() {
    let folder = tempfile::tempdir().unwrap();
    let output = slow_import(&folder.path().join("a.tdh"), &many_lines(), false);
    assert_eq!((code(&output), errors(&output)), (0, String::new()));
    assert_eq!(text(&output), "16000 records stored\n");
}

#[test]
fn an_interrupted_import_says_how_far_it_came() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("a.tdh");
    let output = slow_import(&store, &many_lines(), true);
    let said = errors(&output);
    assert_eq!(code(&output), 2, "{said}");
    let (_, rest) = said.split_once("interrupted at standard input:").expect("it says where");
    let number = |text: &str| text.split(' ').next().unwrap().parse::<usize>().unwrap();
    let (line, stored) = (number(rest), number(rest.split_once('(').unwrap().1));
    assert_eq!(line, stored + 1, "{said}");
    assert_eq!(text(&db(&store, "list", &[], b"")).lines().count(), stored.min(8_000));
    assert!(text(&db(&store, "check", &[], b"")).contains("sound: "));
}
