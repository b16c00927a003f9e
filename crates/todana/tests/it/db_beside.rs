//! `todana db` on a store that a server has open.

use super::db::{code, db, errors, text};
use super::{Server, outcome, todana};
use std::path::Path;

fn start(store: &Path) -> Server {
    Server::start(&["--store", &store.display().to_string()])
}

#[test]
fn what_only_reads_works_beside_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("served");
    let server = start(&store);
    for number in 0..50 {
        assert_eq!(server.run(&["set", &format!("k{number}"), "value", "--ttl", "900"]).0, 0);
    }
    assert_eq!(text(&db(&store, "get", &["k7"], b"")), "value");
    assert_eq!(text(&db(&store, "list", &["--prefix", "k1"], b"")).lines().count(), 11);
    assert_eq!(text(&db(&store, "export", &[], b"")).lines().count(), 50);
    let stat = text(&db(&store, "stat", &[], b""));
    assert!(stat.contains("records\t50") && stat.contains("closed\tno"), "{stat}");
    let checked = db(&store, "check", &[], b"");
    assert!(text(&checked).contains("sound, not closed: 50 records"), "{}", text(&checked));
    assert_eq!(code(&checked), 0);
    assert_eq!(code(&db(&store, "upgrade", &[], b"")), 0);
    let copy = folder.path().join("copy");
    assert_eq!(code(&db(&store, "copy", &[&copy.display().to_string()], b"")), 0);
    assert_eq!(server.run(&["set", "later", "x"]).0, 0, "the server goes on");
    assert_eq!(text(&db(&copy, "list", &[], b"")).lines().count(), 50);
    assert_eq!(code(&db(&store, "get", &["later"], b"")), 0);
}

#[test]
fn what_writes_is_refused_with_the_servers_process_id() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("served");
    let server = start(&store);
    let holder = format!("is in use by process {}", server.child.id());
    for (command, rest) in [
        ("put", &["k", "v"][..]),
        ("delete", &["k"]),
        ("incr", &["k"]),
        ("import", &[]),
        ("compact", &[]),
        ("repair", &[]),
    ] {
        let output = db(&store, command, rest, b"");
        let said = errors(&output);
        assert!(code(&output) == 2 && said.contains(&holder), "{command}: {said}");
    }
    // A second server has to stay away, too.
    let second = todana().args(["serve", "-p", "-1", "--store"]).arg(&store).output().unwrap();
    assert_eq!(outcome(&second).0, 1);
    assert!(errors(&second).contains(&holder), "{}", errors(&second));
    drop(server);
    assert_eq!(code(&db(&store, "put", &["k", "v"], b"")), 0, "the lock outlived its holder");
}

#[test]
fn a_check_of_a_store_that_is_written_to_finds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("served");
    let server = start(&store);
    let load = ["bench", "--json", "-c", "4", "-P", "8", "-n", "2000", "--get-ratio", "0"];
    std::thread::scope(|scope| {
        let load = scope
            .spawn(|| server.run(&[&load[..], &["-d", "100-2000", "--duration", "2s"]].concat()));
        let mut checks = 0;
        while !load.is_finished() {
            let output = db(&store, "check", &[], b"");
            let (out, err) = (text(&output), errors(&output));
            assert_eq!(code(&output), 0, "check {checks}: {out}{err}");
            assert_eq!(code(&db(&store, "list", &["--limit", "1"], b"")), 0);
            checks += 1;
        }
        assert!(checks > 1 && load.join().unwrap().0 == 0, "{checks} checks");
    });
}
