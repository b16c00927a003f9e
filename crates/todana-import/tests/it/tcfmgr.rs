//! What tcfmgr writes is what is read.

use crate::memory_file::MemoryFile;
use crate::tools::{Tools, run};
use crate::{Pair, below, drain, read_any, swap, unhex};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use todana_import::tokyo::{AnyFile, FileKind, FixedFile, Warning};
use todana_io::random::Generator;

/// The records of a file, as tcfmgr lists them: ids as they are, values as hexadecimal digits.
fn list(path: &Path) -> Vec<Pair> {
    let text = String::from_utf8(run("tcfmgr", path, &["list", "-pv", "-px", "FILE"])).unwrap();
    let pairs = text.lines().map(|line| line.split_once('\t').unwrap());
    pairs.map(|(key, value)| (key.as_bytes().to_vec(), unhex(value))).collect()
}

#[track_caller]
fn check(tools: &Tools, name: &str) {
    let expected = list(&tools.path(name));
    let bytes = tools.bytes(name);
    assert_eq!(read_any(&bytes), expected);
    assert_eq!(read_any(&swap::to_little(&bytes)), expected);
}

/// Lines of an id and a value.
fn lines(count: u64, ids: u64, len_max: u64, random: &mut Generator) -> String {
    let mut text = String::new();
    for _ in 0..count {
        let len = below(random, usize::try_from(len_max + 1).unwrap());
        writeln!(text, "{}\t{}", 1 + random.below(ids), "v".repeat(len)).unwrap();
    }
    text
}

#[test]
fn every_width() {
    let Some(tools) = Tools::find() else { return };
    let mut random = Generator::new(1);
    for width in [1_u64, 2, 8, 254, 255, 256, 1_000, 65_535, 65_536, 300_000] {
        let name = format!("{width}.tcf");
        let path = tools.path(&name);
        // Room for few records: longer files have hundreds of slots more than they need.
        let ids: u64 = if width < 60_000 { 40 } else { 9 };
        let limit = (256 + ids * (width + 4)).to_string();
        run("tcfmgr", &path, &["create", "FILE", &width.to_string(), &limit]);
        check(&tools, &name);
        for round in 0..3 {
            // Some are longer than the width, and cut.
            let text = lines(ids / 2, ids, width + 3, &mut random);
            let tsv = tools.write(&format!("{name}.{round}.tsv"), text.as_bytes());
            run("tcfmgr", &path, &["importtsv", "FILE", tsv.to_str().unwrap()]);
            for empty in ["3", "4", "8"] {
                let id = String::from_utf8(list(&path)[0].0.clone()).unwrap();
                run("tcfmgr", &path, &["out", "FILE", &id]);
                run("tcfmgr", &path, &["put", "FILE", empty, ""]);
            }
            run("tcfmgr", &path, &["put", "-dc", "FILE", "7", "more"]);
            // `-sx` takes the key in hexadecimal digits too: 5.
            run("tcfmgr", &path, &["put", "-sx", "FILE", "35", "00"]);
            check(&tools, &name);
        }
        run("tcfmgr", &path, &["optimize", "FILE"]);
        check(&tools, &name);
        for (id, _) in list(&path) {
            run("tcfmgr", &path, &["out", "FILE", str::from_utf8(&id).unwrap()]);
        }
        assert_eq!(read_any(&tools.bytes(&name)), []);
    }
}

#[test]
fn ids_far_apart() {
    let Some(tools) = Tools::find() else { return };
    let path = tools.path("far.tcf");
    run("tcfmgr", &path, &["create", "FILE", "8"]);
    for id in ["1", "2000", "1000000"] {
        run("tcfmgr", &path, &["put", "FILE", id, "value"]);
    }
    check(&tools, "far.tcf");
    let file = FixedFile::open(MemoryFile::boxed(&tools.bytes("far.tcf"))).unwrap();
    assert_eq!((file.header().min_id, file.header().max_id), (1, 1_000_000));
}

/// The header of a killed writer's file is that of an empty one: tcfmgr lists nothing.
#[test]
fn a_file_that_was_not_closed() {
    let Some(tools) = Tools::find() else { return };
    let path = tools.path("killed.tcf");
    run("tcfmgr", &path, &["create", "FILE", "30"]);
    let mut command = Command::new("tcfmgr");
    command.arg("importtsv").arg(&path).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut text = String::new();
    for id in 1..=20_000 {
        writeln!(text, "{id}\tvalue {id}").unwrap();
    }
    child.stdin.as_ref().unwrap().write_all(text.as_bytes()).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();

    let file = AnyFile::open(MemoryFile::boxed(&tools.bytes("killed.tcf"))).unwrap();
    assert_eq!(file.warnings(), [Warning::NotClosed { kind: FileKind::FixedLength }]);
    let pairs = drain(file.records());
    assert!(pairs.len() > 5_000, "{}", pairs.len());
    for (at, (id, value)) in pairs.into_iter().enumerate() {
        assert_eq!(id, (at + 1).to_string().into_bytes());
        assert_eq!(value, format!("value {}", at + 1).into_bytes());
    }
}
