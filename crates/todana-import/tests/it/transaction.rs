//! A program that ends within a transaction, and orders keys by a function of its own.

use crate::memory_file::MemoryFile;
use crate::tools::{Tools, run};
use crate::{drain, sorted};
use std::process::{Command, Stdio};
use todana_import::tokyo::{AnyFile, Comparator, FileKind, Warning};

/// The program, where there is a C compiler and the library to build it with.
fn build(tools: &Tools) -> Option<std::path::PathBuf> {
    let program = tools.path("transaction");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/transaction.c");
    let mut compiler = Command::new("cc");
    compiler.arg(source).arg("-o").arg(&program).arg("-ltokyocabinet").stderr(Stdio::null());
    if compiler.status().is_ok_and(|status| status.success()) {
        return Some(program);
    }
    eprintln!("skipped: no C compiler, or no libtokyocabinet-dev");
    None
}

#[test]
fn an_unfinished_transaction_is_undone_by_what_the_warning_says() {
    let Some(tools) = Tools::find() else { return };
    let Some(program) = build(&tools) else { return };
    let path = tools.path("a.tcb");
    run(program.to_str().unwrap(), &path, &["FILE"]);
    assert!(!tools.bytes("a.tcb.wal").is_empty());
    let is_new = |key: &[u8]| key.starts_with(b"new");

    // What the transaction wrote is there, and the warning says what to do.
    let file = AnyFile::open(MemoryFile::boxed(&tools.bytes("a.tcb"))).unwrap();
    assert_eq!(file.warnings()[0], Warning::NotClosed { kind: FileKind::BTree });
    assert!(file.warnings()[0].to_string().contains("run `tcbmgr inform FILE` first"));
    assert!(drain(file.records_as_they_lie()).iter().any(|(key, _)| is_new(key)));

    // tcbmgr does not know the comparator, and says so after the transaction has been undone.
    let _ = Command::new("tcbmgr").arg("inform").arg(&path).output().unwrap();
    let file = AnyFile::open(MemoryFile::boxed(&tools.bytes("a.tcb"))).unwrap();
    let AnyFile::BTree(tree) = &file else { panic!("a tree") };
    assert_eq!(tree.tree().comparator, Comparator::Custom);
    let pairs = drain(file.records());
    assert_eq!((pairs.len(), file.record_count()), (400, 400));
    let backwards = |key: &[u8]| key.iter().rev().copied().collect::<Vec<u8>>();
    assert!(pairs.iter().all(|(key, _)| !is_new(key)));
    assert!(pairs.is_sorted_by_key(|(key, _)| backwards(key)));
    assert_eq!(sorted(drain(file.records_as_they_lie())), sorted(pairs));
}
