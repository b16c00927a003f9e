//! What tcbmgr writes is what is read: the same records in the same order as it lists them.

use crate::memory_file::MemoryFile;
use crate::tchmgr::lines;
use crate::tools::{Tools, list_with, run};
use crate::{below, read_any, swap};
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};
use todana_import::tokyo::{AnyFile, BTreeFile, Comparator};
use todana_io::random::Generator;
use todana_io::{Disk, Open, SystemDisk};

/// The file is read as tcbmgr lists it, in memory, from the disk, and with its numbers turned around.
#[track_caller]
fn check(tools: &Tools, name: &str) {
    let expected = list_with("tcbmgr", &tools.path(name), &[]);
    let bytes = tools.bytes(name);
    assert_eq!(read_any(&bytes), expected);
    assert_eq!(read_any(&swap::to_little(&bytes)), expected);
    let disk = SystemDisk::new().open(&tools.path(name), Open::Read).unwrap();
    assert_eq!(crate::drain(AnyFile::open(disk).unwrap().records()), expected);
}

#[test]
fn every_option_and_tuning() {
    let Some(tools) = Tools::find() else { return };
    let mut random = Generator::new(1);
    let options: [&[&str]; 3] = [&[], &["-td"], &["-tl", "-td"]];
    let tunings =
        [["4", "4", "10", "4", "10"], ["7", "4", "1", "0", "0"], ["128", "256", "300", "8", "12"]];
    for (at, options) in options.iter().enumerate() {
        for tuning in tunings {
            let name = format!("{at}-{}.tcb", tuning.join("-"));
            let path = tools.path(&name);
            run("tcbmgr", &path, &[&["create"], *options, &["FILE"], &tuning].concat());
            check(&tools, &name);
            for round in 0..3 {
                let text = lines(400, 150, 300, &mut random);
                let tsv = tools.write(&format!("{name}.{round}.tsv"), text.as_bytes());
                run("tcbmgr", &path, &["importtsv", "FILE", tsv.to_str().unwrap()]);
                for _ in 0..12 {
                    let key = format!("key{}", random.below(150));
                    let way = ["-dd", "-db", "-dc"][below(&mut random, 3)];
                    run("tcbmgr", &path, &["put", way, "FILE", &key, "another value"]);
                }
                // Whole leaves are emptied and removed.
                let keys = list_with("tcbmgr", &path, &[]);
                let from = below(&mut random, keys.len() - 25);
                for (key, _) in &keys[from..from + 25] {
                    run("tcbmgr", &path, &["out", "FILE", str::from_utf8(key).unwrap()]);
                }
                check(&tools, &name);
            }
            run("tcbmgr", &path, &["optimize", "-df", "FILE"]);
            check(&tools, &name);
            run("tcbmgr", &path, &["optimize", "FILE"]);
            check(&tools, &name);
        }
    }
}

#[test]
fn every_comparator() {
    let Some(tools) = Tools::find() else { return };
    let cases: [(&[&str], Comparator); 4] = [
        (&[], Comparator::Lexical),
        (&["-cd"], Comparator::Decimal),
        (&["-ci"], Comparator::Int32),
        (&["-cj"], Comparator::Int64),
    ];
    let mut random = Generator::new(2);
    for (option, comparator) in cases {
        let name = format!("{comparator}.tcb");
        let path = tools.path(&name);
        run("tcbmgr", &path, &[&["create"], option, &["FILE", "4", "4", "11"]].concat());
        for _ in 0..60 {
            let number =
                i32::from_le_bytes(random.next_u64().to_le_bytes()[..4].try_into().unwrap());
            let key = match comparator {
                Comparator::Int32 => number.to_ne_bytes().to_vec(),
                Comparator::Int64 => (i64::from(number) << 9).to_ne_bytes().to_vec(),
                _ => number.to_string().into_bytes(),
            };
            let key = key.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
            let put = [&["put"], option, &["-sx", "FILE", key.as_str(), "76"]].concat();
            run("tcbmgr", &path, &put);
        }
        let file = BTreeFile::open(MemoryFile::boxed(&tools.bytes(&name))).unwrap();
        assert_eq!(file.tree().comparator, comparator);
        let expected = list_with("tcbmgr", &path, option);
        assert_eq!(expected.len(), 60);
        assert_eq!(read_any(&tools.bytes(&name)), expected);
    }
}

#[test]
fn any_bytes_and_lengths() {
    let Some(tools) = Tools::find() else { return };
    for (name, options) in [("plain.tcb", &[][..]), ("deflated.tcb", &["-tl", "-td"][..])] {
        let path = tools.path(name);
        run("tcbmgr", &path, &[&["create"], options, &["FILE", "4", "4", "20"]].concat());
        let mut text = String::new();
        for len in [0_usize, 1, 127, 128, 16_383, 16_384, 32_767, 65_536, 300_000, 2_100_000] {
            let value = "0123456789".repeat(len / 10 + 1);
            writeln!(text, "len{len}\t{}", value.split_at(len).0).unwrap();
        }
        let tsv = tools.write(&format!("{name}.tsv"), text.as_bytes());
        run("tcbmgr", &path, &["importtsv", "FILE", tsv.to_str().unwrap()]);
        let all: String = (0..=255).fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        for (key, value) in [("00", "ff00"), (&all, &all), ("0a", ""), ("c8b0", "b0c8")] {
            run("tcbmgr", &path, &["put", "-sx", "FILE", key, value]);
            run("tcbmgr", &path, &["put", "-sx", "-dd", "FILE", key, value]);
        }
        run("tcbmgr", &path, &["put", "FILE", "", "under the empty key"]);
        check(&tools, name);
        for key in ["len65536", "len300000", "len16384"] {
            run("tcbmgr", &path, &["out", "FILE", key]);
        }
        check(&tools, name);
    }
}

/// More leaves than the library keeps in memory, and values of one key by the thousand.
#[test]
fn a_large_tree() {
    let Some(tools) = Tools::find() else { return };
    let path = tools.path("large.tcb");
    run("tcbmgr", &path, &["create", "FILE", "8", "8", "500"]);
    let text = lines(40_000, 30_000, 60, &mut Generator::new(4));
    let tsv = tools.write("large.tsv", text.as_bytes());
    run("tcbmgr", &path, &["importtsv", "FILE", tsv.to_str().unwrap()]);
    check(&tools, "large.tcb");
}

/// A writer that is killed leaves the flag and whatever pages it had written. The header on the disk is
/// that of an empty tree; as they lie the pages are there.
#[test]
fn a_file_that_was_not_closed() {
    let Some(tools) = Tools::find() else { return };
    let path = tools.path("killed.tcb");
    run("tcbmgr", &path, &["create", "FILE", "4", "4", "1000"]);
    let mut command = Command::new("tcbmgr");
    command.arg("importtsv").arg(&path).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut child = command.spawn().unwrap();
    // Far more than a pipe holds: when it is written, most of it has been stored.
    let text = lines(40_000, 30_000, 100, &mut Generator::new(5));
    child.stdin.as_ref().unwrap().write_all(text.as_bytes()).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();

    let file = AnyFile::open(MemoryFile::boxed(&tools.bytes("killed.tcb"))).unwrap();
    assert!(!file.warnings().is_empty());
    let mut records = file.records_as_they_lie();
    let mut count = 0;
    while let Ok(Some(record)) = records.next_record() {
        assert!(record.key.starts_with(b"key"));
        count += 1;
    }
    assert!(count > 5_000, "{count}");
}

#[test]
fn unsupported_codecs_and_the_way_out() {
    let Some(tools) = Tools::find() else { return };
    for (option, name) in [("-tb", "bzip"), ("-tt", "tcbs"), ("-tx", "excodec")] {
        let file_name = format!("{name}.tcb");
        let path = tools.path(&file_name);
        run("tcbmgr", &path, &["create", option, "FILE", "4", "4", "10"]);
        run("tcbmgr", &path, &["put", "FILE", "key", "a value a value a value"]);
        let error = BTreeFile::open(MemoryFile::boxed(&tools.bytes(&file_name))).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with(&format!("the option `{name}` is not supported; ")), "{text}");
        if name != "excodec" {
            assert!(text.contains("`tcbmgr optimize -tz FILE`"), "{text}");
            run("tcbmgr", &path, &["optimize", "-tz", "FILE"]);
            check(&tools, &file_name);
        }
    }
}
