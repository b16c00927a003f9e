//! What tchmgr writes is what is read: the same records in the same order as it lists them.

use crate::memory_file::MemoryFile;
use crate::tools::{Tools, list, run};
use crate::{below, read_all, swap};
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};
use todana_import::tokyo::{AnyFile, FileKind, HashFile, Warning};
use todana_io::random::Generator;
use todana_io::{Disk, Open, SystemDisk};

/// Lines of a key and a value for `importtsv`; keys come again and again, with other lengths.
pub(crate) fn lines(count: u64, keys: u64, len_max: u64, random: &mut Generator) -> String {
    let mut text = String::new();
    for _ in 0..count {
        let key = random.below(keys);
        let len = random.below(len_max + 1);
        let value: String = (0..len)
            .map(|_| char::from(b"abcdefghijklmnopqrstuvwxyz"[below(random, 200) % 26]))
            .collect();
        writeln!(text, "key{key}\t{value}").unwrap();
    }
    text
}

/// The file is read as tchmgr lists it, in memory, from the disk, and with its numbers turned around.
#[track_caller]
fn check(tools: &Tools, name: &str) {
    let expected = list(&tools.path(name));
    let bytes = tools.bytes(name);
    assert_eq!(read_all(&bytes), expected);
    assert_eq!(read_all(&swap::to_little(&bytes)), expected);
    let disk = SystemDisk::new().open(&tools.path(name), Open::Read).unwrap();
    let file = HashFile::open(disk).unwrap();
    let mut records = file.records();
    for (key, value) in &expected {
        let record = records.next_record().unwrap().unwrap();
        assert_eq!((record.key, record.value), (&key[..], &value[..]));
    }
    assert!(records.next_record().unwrap().is_none());
}

#[test]
fn every_option_and_tuning() {
    let Some(tools) = Tools::find() else { return };
    let mut random = Generator::new(1);
    let options: [&[&str]; 4] = [&[], &["-tl"], &["-td"], &["-tl", "-td"]];
    let tunings = [["10", "4", "10"], ["7", "0", "0"], ["1", "16", "4"], ["300", "8", "12"]];
    for (at, options) in options.iter().enumerate() {
        for tuning in tunings {
            let name = format!("{at}-{}.tch", tuning.join("-"));
            let path = tools.path(&name);
            let create = [&["create"], *options, &["FILE"], &tuning].concat();
            run("tchmgr", &path, &create);
            check(&tools, &name);
            for round in 0..3 {
                let text = lines(200, 60, 300, &mut random);
                let tsv = tools.write(&format!("{name}.{round}.tsv"), text.as_bytes());
                run("tchmgr", &path, &["importtsv", "FILE", tsv.to_str().unwrap()]);
                for _ in 0..15 {
                    let keys = list(&path);
                    let (key, _) = &keys[below(&mut random, keys.len())];
                    run("tchmgr", &path, &["out", "FILE", str::from_utf8(key).unwrap()]);
                }
                check(&tools, &name);
            }
            run("tchmgr", &path, &["optimize", "-df", "FILE"]);
            check(&tools, &name);
            run("tchmgr", &path, &["optimize", "FILE"]);
            check(&tools, &name);
        }
    }
}

#[test]
fn any_bytes_and_lengths() {
    let Some(tools) = Tools::find() else { return };
    for (name, options) in [("plain.tch", &[][..]), ("deflated.tch", &["-tl", "-td"][..])] {
        let path = tools.path(name);
        run("tchmgr", &path, &[&["create"], options, &["FILE", "20"]].concat());
        let mut text = String::new();
        for len in [0_usize, 1, 127, 128, 16_383, 16_384, 65_535, 65_536, 300_000, 2_100_000] {
            writeln!(text, "len{len}\t{}", "0123456789".repeat(len / 10 + 1).split_at(len).0)
                .unwrap();
        }
        let tsv = tools.write(&format!("{name}.tsv"), text.as_bytes());
        run("tchmgr", &path, &["importtsv", "FILE", tsv.to_str().unwrap()]);
        let all: String = (0..=255).fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        });
        for (key, value) in [("00", "ff00"), (&all, &all), ("0a", ""), ("c8b0", "b0c8")] {
            run("tchmgr", &path, &["put", "-sx", "FILE", key, value]);
        }
        run("tchmgr", &path, &["put", "FILE", "", "under the empty key"]);
        run("tchmgr", &path, &["put", "FILE", "empty", ""]);
        run("tchmgr", &path, &["put", "-dc", "FILE", "len128", " and more"]);
        run("tchmgr", &path, &["put", "-dai", "FILE", "counter", "7"]);
        check(&tools, name);
        // The long ones leave holes, of which the short ones get parts.
        for key in ["len65536", "len300000", "len16384"] {
            run("tchmgr", &path, &["out", "FILE", key]);
        }
        run("tchmgr", &path, &["put", "FILE", "len2100000", "short now"]);
        check(&tools, name);
        let text = lines(300, 300, 900, &mut Generator::new(3));
        let tsv = tools.write(&format!("{name}.more.tsv"), text.as_bytes());
        run("tchmgr", &path, &["importtsv", "FILE", tsv.to_str().unwrap()]);
        check(&tools, name);
    }
}

/// A writer that is killed leaves the flag, zeros at the end, and records that tchmgr still lists.
#[test]
fn a_file_that_was_not_closed() {
    let Some(tools) = Tools::find() else { return };
    let path = tools.path("killed.tch");
    run("tchmgr", &path, &["create", "FILE", "1000"]);
    let mut command = Command::new("tchmgr");
    command.arg("importtsv").arg(&path).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut child = command.spawn().unwrap();
    // Far more than a pipe holds: when it is written, most of it has been stored.
    let text = lines(4_000, 2_000, 500, &mut Generator::new(5));
    child.stdin.as_ref().unwrap().write_all(text.as_bytes()).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();

    let bytes = tools.bytes("killed.tch");
    let file = HashFile::open(MemoryFile::boxed(&bytes)).unwrap();
    let offset = file.header().file_size;
    let len = bytes.len() as u64 - offset;
    assert!(len > 0);
    let not_closed = Warning::NotClosed { kind: FileKind::Hash };
    assert_eq!(file.warnings(), [not_closed, Warning::Trailing { offset, len }]);
    let mut records = file.records();
    let mut pairs = Vec::new();
    while let Some(record) = records.next_record().unwrap() {
        pairs.push((record.key.to_vec(), record.value.to_vec()));
    }
    assert!(pairs.len() > 500);
    assert_eq!(pairs, list(&path));
}

#[test]
fn unsupported_codecs_and_the_way_out() {
    let Some(tools) = Tools::find() else { return };
    for (option, name) in [("-tb", "bzip"), ("-tt", "tcbs"), ("-tx", "excodec")] {
        let file_name = format!("{name}.tch");
        let path = tools.path(&file_name);
        run("tchmgr", &path, &["create", option, "FILE", "10"]);
        run("tchmgr", &path, &["put", "FILE", "key", "a value a value a value"]);
        let error = HashFile::open(MemoryFile::boxed(&tools.bytes(&file_name))).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with(&format!("the option `{name}` is not supported; ")), "{text}");
        if name != "excodec" {
            assert!(text.contains("`tchmgr optimize -tz FILE`"), "{text}");
            run("tchmgr", &path, &["optimize", "-tz", "FILE"]);
            check(&tools, &file_name);
        }
    }
}

#[test]
fn other_kinds_of_files_are_named() {
    let Some(tools) = Tools::find() else { return };
    for (tool, name, kind) in [
        ("tcbmgr", "a.tcb", "B+ tree file"),
        ("tcfmgr", "a.tcf", "fixed-length file"),
        ("tctmgr", "a.tct", "table file"),
    ] {
        run(tool, &tools.path(name), &["create", "FILE"]);
        let error = HashFile::open(MemoryFile::boxed(&tools.bytes(name))).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with(&format!("a Tokyo Cabinet {kind} (.")), "{text}");
        assert!(text.ends_with(", not a hash file (.tch)"), "{text}");
    }
    let error = AnyFile::open(MemoryFile::boxed(&tools.bytes("a.tct"))).unwrap_err();
    let expected = "a Tokyo Cabinet table file (.tct), which is not read; export it with \
                    `tctmgr list -pv`";
    assert_eq!(error.to_string(), expected);
}
