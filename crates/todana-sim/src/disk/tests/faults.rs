//! Faults, capacity, failed syncs, threads, and the atomic replacement of a file over all of them.

use super::super::Fault;
use super::*;
use std::io::ErrorKind;
use todana_io::disk::replace;

const EIO: Option<i32> = Some(5);

#[test]
fn mutating_calls_are_counted_in_order() {
    let disk = SimDisk::new(1);
    let mut counts = Vec::new();
    let mut count = || counts.push(disk.operations());
    disk.create_dir(path("/d")).unwrap();
    count();
    let file = disk.open(path("/d/f"), Open::Create).unwrap();
    count();
    file.write_at(0, b"x").unwrap();
    count();
    file.sync().unwrap();
    count();
    file.allocate(9).unwrap();
    count();
    file.set_len(5).unwrap();
    count();
    disk.rename(path("/d/f"), path("/d/g")).unwrap();
    count();
    disk.remove(path("/d/g")).unwrap();
    count();
    disk.sync_dir(path("/d")).unwrap();
    count();
    assert!(disk.remove(path("/d/g")).is_err());
    count();
    assert_eq!(counts, (1..=10).collect::<Vec<_>>());
    file.len().unwrap();
    disk.list(path("/d")).unwrap();
    let lock = disk.lock(path("/d/l"), "").unwrap();
    disk.open(path("/d/l"), Open::Write).unwrap();
    drop(lock);
    assert_eq!(disk.operations(), 10);
}

#[test]
fn an_error_happens_once_and_may_write_a_prefix() {
    let prefix_len = |seed| {
        let disk = SimDisk::new(seed);
        let file = disk.open(path("/f"), Open::Create).unwrap();
        disk.fail_at(1, Fault::Error);
        assert_eq!(file.write_at(0, &[7; 100]).unwrap_err().raw_os_error(), EIO);
        let len = file.len().unwrap();
        file.write_at(0, &[7; 100]).unwrap();
        assert_eq!(disk.content("/f").unwrap(), [7; 100]);
        len
    };
    let lens: Vec<u64> = (0..100).map(prefix_len).collect();
    assert_eq!(lens, (0..100).map(prefix_len).collect::<Vec<_>>());
    assert!(lens.iter().any(|len| *len > 80) && lens.iter().any(|len| *len < 20));
}

#[test]
fn other_operations_with_an_error_are_not_done() {
    for fault in [Fault::Error, Fault::Full] {
        let (disk, file) = with_file(b"old");
        (0..6).for_each(|operation| disk.fail_at(operation, fault));
        let failed = |result: std::io::Result<()>| {
            let error = result.unwrap_err();
            assert!(error.raw_os_error() == EIO || error.kind() == ErrorKind::StorageFull);
        };
        failed(disk.rename(path("/f"), path("/g")));
        failed(disk.remove(path("/f")));
        failed(file.set_len(0));
        failed(file.allocate(10));
        failed(disk.create_dir(path("/d")));
        failed(disk.open(path("/h"), Open::Create).map(drop));
        assert_eq!(dump(&disk), [("//f".to_owned(), b"old".to_vec())]);
        disk.fail_at(disk.operations(), Fault::Full);
        failed(file.write_at(0, b"new"));
        assert_eq!(disk.content("/f").unwrap(), b"old");
        create(&disk, "/h", b"");
        disk.fail_at(disk.operations(), fault);
        failed(disk.sync_dir(path("/")));
        assert!(some(&disk, |disk| disk.content("/h").is_none()));
    }
}

#[test]
fn power_off_leaves_the_operation_pending() {
    let (disk, file) = with_file(b"old");
    disk.fail_at(0, Fault::PowerOff);
    assert_eq!(file.write_at(0, b"new").unwrap_err().to_string(), "power is off");
    assert_eq!(file.read_at(0, &mut [0; 3]).unwrap_err().to_string(), "power is off");
    assert!(file.sync().is_err() && disk.list(path("/")).is_err());
    assert_eq!(disk.operations(), 1);
    assert!(some(&disk, |disk| disk.content("/f").unwrap() == b"old"));
    assert!(some(&disk, |disk| disk.content("/f").unwrap() == b"new"));

    let (disk, file) = with_file(b"old");
    file.write_at(0, b"new").unwrap();
    disk.fail_at(1, Fault::PowerOff);
    assert!(file.sync().is_err());
    assert!(some(&disk, |disk| disk.content("/f").unwrap() == b"old"));
    assert!(some(&disk, |disk| disk.content("/f").unwrap() == b"new"));
}

#[test]
fn a_failed_sync_dooms_what_was_pending() {
    let sync_by_fault: fn(&SimDisk) = |disk| disk.fail_at(disk.operations(), Fault::Error);
    let sync_by_switch: fn(&SimDisk) = |disk| disk.fail_all_syncs(true);
    for fail in [sync_by_fault, sync_by_switch] {
        let (disk, file) = with_file(b"....");
        file.write_at(0, b"aaa").unwrap();
        fail(&disk);
        assert_eq!(file.sync().unwrap_err().raw_os_error(), EIO);
        disk.fail_all_syncs(false);
        file.write_at(1, b"b").unwrap();
        file.sync().unwrap();
        assert_eq!(disk.content("/f").unwrap(), b"aba.");
        assert!(all(&disk, |disk| {
            let content = disk.content("/f").unwrap();
            content == b"aba." || content == b".b.."
        }));
        assert!(some(&disk, |disk| disk.content("/f").unwrap() == b".b.."));
        assert!(some(&disk, |disk| disk.content("/f").unwrap() == b"aba."));
    }
}

#[test]
fn files_cannot_pass_the_capacity() {
    let (disk, file) = with_file(&[1; 60]);
    create(&disk, "/g", &[2; 30]);
    disk.set_capacity(Some(100));
    let full = |result: std::io::Result<()>| {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::StorageFull);
        assert_eq!(file.len().unwrap(), 60);
    };
    full(file.write_at(50, &[3; 21]));
    full(file.allocate(71));
    full(file.set_len(71));
    full(file.write_at(1 << 40, b"x"));
    file.write_at(40, &[3; 30]).unwrap();
    let open = disk.open(path("/g"), Open::Read).unwrap();
    disk.remove(path("/g")).unwrap();
    assert_eq!(file.allocate(71).unwrap_err().kind(), ErrorKind::StorageFull);
    drop(open);
    file.allocate(100).unwrap();
    let left = disk.kill();
    let file = left.open(path("/f"), Open::Write).unwrap();
    assert_eq!(file.set_len(101).unwrap_err().kind(), ErrorKind::StorageFull);
    left.set_capacity(None);
    file.set_len(101).unwrap();
    // An open file without a name takes space until the process ends.
    left.remove(path("/f")).unwrap();
    left.set_capacity(Some(110));
    let full = left.open(path("/h"), Open::Create).unwrap().set_len(10).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::StorageFull);
    let left = left.kill();
    left.open(path("/h"), Open::Write).unwrap().set_len(110).unwrap();
    drop(file);
}

/// Replaces `/d/f` with a fault at this operation; true when the replacement returned success.
fn replaced(operation: u64, fault: Fault, new: &[u8]) -> (SimDisk, bool) {
    let disk = SimDisk::new(operation);
    disk.replace_content("/d/f", b"old");
    // What an earlier replacement left when the power went.
    disk.replace_content("/d/f.new", b"left over");
    disk.fail_at(operation, fault);
    let done = replace(&disk, path("/d"), "f", new).is_ok();
    (disk, done)
}

#[test]
fn a_replacement_is_the_old_content_or_the_new_at_every_operation() {
    let new = [b'n'; 1_500];
    for fault in [Fault::PowerOff, Fault::Error, Fault::Full] {
        let mut olds = 0;
        for operation in 0.. {
            let (disk, done) = replaced(operation, fault, &new);
            for seed in 0..300 {
                let left = disk.crash(seed).content("/d/f").unwrap();
                assert!(left == new || (!done && left == b"old"), "{operation} {fault:?} {seed}");
                olds += usize::from(left == b"old");
            }
            if done {
                assert_eq!(operation, 6, "remove, create, write, sync, rename, sync_dir");
                break;
            }
        }
        assert!((1_000..1_800).contains(&olds), "{olds}");
    }
}

#[test]
fn without_its_sync_a_replacement_would_tear() {
    let disk = SimDisk::new(1);
    disk.replace_content("/d/f", b"old");
    let file = disk.open(path("/d/f.new"), Open::Create).unwrap();
    file.write_at(0, &[b'n'; 1_500]).unwrap();
    disk.rename(path("/d/f.new"), path("/d/f")).unwrap();
    disk.sync_dir(path("/d")).unwrap();
    assert!(some(&disk, |disk| disk.content("/d/f").unwrap().is_empty()));
    assert!(some(&disk, |disk| {
        let content = disk.content("/d/f").unwrap();
        content.contains(&b'n') && content != [b'n'; 1_500]
    }));
}

#[test]
fn threads_may_share_a_disk() {
    let disk = SimDisk::new(1);
    std::thread::scope(|scope| {
        for thread in 0..8u8 {
            let disk = disk.clone();
            scope.spawn(move || {
                let name = format!("/{thread}");
                let file = disk.open(path(&name), Open::Create).unwrap();
                for at in 0..100 {
                    file.write_at(at * 100, &[thread; 100]).unwrap();
                    file.sync().unwrap();
                }
            });
        }
    });
    disk.sync_dir(path("/")).unwrap();
    assert_eq!(disk.operations(), 8 * 201 + 1);
    let left = disk.crash(1);
    assert!((0..8u8).all(|n| left.content(format!("/{n}")).unwrap() == vec![n; 10_000]));
}
