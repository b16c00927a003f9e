//! Names: creation, rename and removal, and what a crash leaves of them.

use super::*;
use std::io::ErrorKind;
use todana_io::Generator;

fn is(disk: &SimDisk, name: &str, content: &str) -> bool {
    disk.content(name).is_some_and(|bytes| bytes == content.as_bytes())
}

fn none(disk: &SimDisk, name: &str) -> bool {
    disk.content(name).is_none()
}

#[test]
fn calls_answer_as_a_file_system() {
    let disk = SimDisk::new(1);
    let kind = |result: std::io::Result<()>| result.unwrap_err().kind();
    let open = |name, how| disk.open(path(name), how).map(drop);
    assert_eq!(kind(open("/d/f", Open::Create)), ErrorKind::NotFound);
    assert_eq!(disk.list(path("/d")).unwrap_err().kind(), ErrorKind::NotFound);
    disk.create_dir(path("/d/sub")).unwrap();
    disk.create_dir(path("/d/sub")).unwrap();
    open("/d/f", Open::Create).unwrap();
    assert_eq!(kind(open("/d/f", Open::Create)), ErrorKind::AlreadyExists);
    assert_eq!(kind(open("/d/sub", Open::Create)), ErrorKind::AlreadyExists);
    assert_eq!(kind(open("/d/g", Open::Read)), ErrorKind::NotFound);
    assert_eq!(kind(open("/d/g", Open::Write)), ErrorKind::NotFound);
    assert_eq!(kind(disk.create_dir(path("/d/f"))), ErrorKind::AlreadyExists);
    assert_eq!(kind(disk.remove(path("/d/g"))), ErrorKind::NotFound);
    assert_eq!(kind(disk.remove(path("/d/sub"))), ErrorKind::IsADirectory);
    assert_eq!(kind(disk.rename(path("/d/g"), path("/d/h"))), ErrorKind::NotFound);
    assert_eq!(kind(disk.rename(path("/d/f"), path("/e/f"))), ErrorKind::NotFound);
    assert_eq!(kind(disk.rename(path("/d/f"), path("/d/sub"))), ErrorKind::IsADirectory);
    assert_eq!(kind(disk.rename(path("/d/sub"), path("/d/s"))), ErrorKind::Unsupported);
    assert_eq!(kind(disk.sync_dir(path("/e"))), ErrorKind::NotFound);
    assert_eq!(disk.list(path("/d/")).unwrap(), ["f", "sub"]);
    disk.rename(path("/d/f"), path("/d/f")).unwrap();
    disk.rename(path("/d/f"), path("/d/sub/f")).unwrap();
    assert_eq!(disk.files("/d/sub"), [("f".to_owned(), 0)]);
    open("./relative", Open::Create).unwrap();
    assert_eq!(disk.list(path(".")).unwrap(), ["relative"]);
    assert_eq!(disk.list(path("/")).unwrap(), ["d"]);
    assert_eq!(format!("{disk:?}"), "SimDisk { .. }");
}

#[test]
fn a_new_name_is_durable_after_its_directory_is_synced() {
    let disk = SimDisk::new(1);
    create(&disk, "/f", b"f");
    let before = disk.kill();
    assert!(some(&before, |disk| none(disk, "/f")));
    assert!(some(&before, |disk| is(disk, "/f", "f")));
    let after = disk.kill();
    after.sync_dir(path("/")).unwrap();
    assert!(all(&after, |disk| is(disk, "/f", "f")));
}

#[test]
fn a_removed_file_comes_back_until_its_directory_is_synced() {
    let (disk, file) = with_file(b"f");
    disk.remove(path("/f")).unwrap();
    assert_eq!(file.len().unwrap(), 1);
    file.write_at(1, b"g").unwrap();
    file.sync().unwrap();
    drop(file);
    let synced = disk.kill();
    synced.sync_dir(path("/")).unwrap();
    assert!(all(&synced, |disk| none(disk, "/f")));
    let pending = disk.kill();
    assert!(some(&pending, |disk| none(disk, "/f")));
    assert!(some(&pending, |disk| is(disk, "/f", "fg")));
}

#[test]
fn a_rename_replaces_as_one_step() {
    let (disk, _file) = with_file(b"old");
    disk.replace_content("/new", b"new");
    disk.rename(path("/new"), path("/f")).unwrap();
    assert_eq!(disk.list(path("/")).unwrap(), ["f"]);
    let happened = |disk: &SimDisk| is(disk, "/f", "new") && none(disk, "/new");
    let not = |disk: &SimDisk| is(disk, "/f", "old") && is(disk, "/new", "new");
    let pending = disk.kill();
    assert!(all(&pending, |disk| happened(disk) || not(disk)));
    assert!(some(&pending, happened) && some(&pending, not));
    let synced = disk.kill();
    synced.sync_dir(path("/")).unwrap();
    assert!(all(&synced, happened));
}

#[test]
fn a_rename_rests_on_the_creation() {
    let disk = SimDisk::new(1);
    create(&disk, "/a", b"x");
    disk.rename(path("/a"), path("/b")).unwrap();
    assert!(all(&disk, |disk| none(disk, "/a") || none(disk, "/b")));
    assert!(some(&disk, |disk| none(disk, "/a") && none(disk, "/b")));
    assert!(some(&disk, |disk| is(disk, "/a", "x")));
    assert!(some(&disk, |disk| is(disk, "/b", "x")));
}

#[test]
fn a_removal_rests_on_the_rename_that_brought_the_file() {
    let (disk, _file) = with_file(b"old");
    disk.replace_content("/g", b"new");
    disk.rename(path("/g"), path("/f")).unwrap();
    disk.remove(path("/f")).unwrap();
    assert!(all(&disk, |disk| is(disk, "/f", "old") == is(disk, "/g", "new")));
    assert!(some(&disk, |disk| is(disk, "/f", "new")));
    assert!(some(&disk, |disk| none(disk, "/f") && none(disk, "/g")));
}

#[test]
fn a_creation_rests_on_the_rename_that_made_room() {
    let (disk, _file) = with_file(b"old");
    disk.rename(path("/f"), path("/f.old")).unwrap();
    create(&disk, "/f", b"new");
    assert!(all(&disk, |disk| is(disk, "/f", "old") != is(disk, "/f.old", "old")));
    assert!(some(&disk, |disk| is(disk, "/f.old", "old") && is(disk, "/f", "new")));
    assert!(some(&disk, |disk| is(disk, "/f.old", "old") && none(disk, "/f")));
}

#[test]
fn names_are_reordered_where_nothing_rests_on_another() {
    let disk = SimDisk::new(1);
    create(&disk, "/a", b"a");
    create(&disk, "/b", b"b");
    assert!(some(&disk, |disk| none(disk, "/a") && is(disk, "/b", "b")));
}

#[test]
fn a_rename_between_directories_is_durable_by_either() {
    for (synced, always) in [(None, false), (Some("/from"), true), (Some("/to"), true)] {
        let disk = SimDisk::new(1);
        disk.create_dir(path("/from")).unwrap();
        disk.sync_dir(path("/")).unwrap();
        disk.create_dir(path("/to")).unwrap();
        create(&disk, "/from/f", b"f");
        if always {
            disk.rename(path("/from/f"), path("/to/f")).unwrap();
        } else {
            disk.sync_dir(path("/from")).unwrap();
            disk.rename(path("/from/f"), path("/to/f")).unwrap();
        }
        synced.into_iter().for_each(|directory| disk.sync_dir(path(directory)).unwrap());
        assert!(all(&disk, |disk| is(disk, "/from/f", "f") != is(disk, "/to/f", "f")));
        assert!(some(&disk, |disk| is(disk, "/to/f", "f")));
        assert_eq!(all(&disk, |disk| is(disk, "/to/f", "f")), always);
    }
}

#[test]
fn a_new_directory_goes_with_all_in_it_until_its_parent_is_synced() {
    let disk = SimDisk::new(1);
    disk.create_dir(path("/a/b")).unwrap();
    create(&disk, "/a/b/f", b"f");
    disk.sync_dir(path("/a/b")).unwrap();
    disk.sync_dir(path("/a")).unwrap();
    let pending = disk.kill();
    assert!(some(&pending, |disk| disk.list(path("/")).unwrap().is_empty()));
    assert!(all(&pending, |disk| none(disk, "/a/b/f") == disk.list(path("/a")).is_err()));
    let synced = disk.kill();
    synced.sync_dir(path("/")).unwrap();
    assert!(all(&synced, |disk| is(disk, "/a/b/f", "f")));
}

#[test]
fn a_directory_takes_the_place_of_a_removed_file() {
    let (disk, file) = with_file(b"f");
    drop(file);
    disk.remove(path("/f")).unwrap();
    disk.create_dir(path("/f")).unwrap();
    assert!(all(&disk, |disk| none(disk, "/f")));
    assert!(some(&disk, |disk| disk.list(path("/f")).is_ok()));
    assert!(some(&disk, |disk| disk.list(path("/f")).is_err()));
}

/// One random change of the names of `/a/0..3` and `/b/0..3`; each file holds a number of its own.
fn step(disk: &SimDisk, random: &mut Generator, number: u64, touched: &mut Vec<String>) {
    let mut name = || format!("/{}/{}", ["a", "b"][usize::from(random.one_in(2))], random.below(3));
    let (one, two) = (name(), name());
    match random.below(3) {
        0 if disk.content(&one).is_none() => create(disk, &one, &number.to_le_bytes()),
        1 => drop(disk.remove(path(&one))),
        _ => drop(disk.rename(path(&one), path(&two))),
    }
    touched.extend([one, two]);
}

#[test]
fn random_names_are_never_double_and_synced_ones_stay() {
    for seed in SEEDS {
        let disk = SimDisk::new(seed);
        let mut random = Generator::new(seed);
        disk.create_dir(path("/a")).unwrap();
        disk.create_dir(path("/b")).unwrap();
        disk.sync_dir(path("/")).unwrap();
        let mut touched = Vec::new();
        (0..15).for_each(|number| step(&disk, &mut random, number, &mut touched));
        disk.sync_dir(path("/a")).unwrap();
        disk.sync_dir(path("/b")).unwrap();
        let synced = dump(&disk);
        touched.clear();
        (15..20).for_each(|number| step(&disk, &mut random, number, &mut touched));
        let same = disk.kill();
        assert_eq!(dump(&same), dump(&disk.kill()));
        for crash in 0..5 {
            let left = dump(&same.crash(seed * 5 + crash));
            let mut contents: Vec<_> = left.iter().map(|(_, content)| content).collect();
            contents.sort();
            contents.dedup();
            assert_eq!(contents.len(), left.len(), "seed {seed}");
            assert!(contents.iter().all(|content| content.len() == 8), "seed {seed}");
            let kept = |file: &&(String, Vec<u8>)| !touched.contains(&file.0);
            assert!(left.iter().filter(kept).eq(synced.iter().filter(kept)), "seed {seed}");
        }
    }
}
