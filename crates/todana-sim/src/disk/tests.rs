//! Every rule of the disk's documentation, by what some and all seeds do.

mod data;
mod faults;
mod locks;
mod names;

use super::SimDisk;
use std::path::Path;
use todana_io::{Disk, DiskFile, Open};

const SEEDS: std::ops::Range<u64> = 0..1_000;

fn path(path: &str) -> &Path {
    Path::new(path)
}

/// A disk with the file `/f`, durable, and a handle on it.
fn with_file(content: &[u8]) -> (SimDisk, Box<dyn DiskFile>) {
    let disk = SimDisk::new(1);
    disk.replace_content("/f", content);
    let file = disk.open(path("/f"), Open::Write).unwrap();
    (disk, file)
}

/// Makes a file with this content, synced; its name is not.
fn create(disk: &SimDisk, name: &str, content: &[u8]) {
    let file = disk.open(path(name), Open::Create).unwrap();
    file.write_at(0, content).unwrap();
    file.sync().unwrap();
}

/// Whether every seed, and whether some seed, leaves a disk like this.
fn all(disk: &SimDisk, what: impl Fn(&SimDisk) -> bool) -> bool {
    SEEDS.into_iter().all(|seed| what(&disk.crash(seed)))
}

fn some(disk: &SimDisk, what: impl Fn(&SimDisk) -> bool) -> bool {
    SEEDS.into_iter().any(|seed| what(&disk.crash(seed)))
}

/// All that files in `/` and the directories right below hold.
fn dump(disk: &SimDisk) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let mut directories = vec!["/".to_owned()];
    let names = disk.list(path("/")).unwrap();
    directories.extend(names.into_iter().map(|name| format!("/{name}")));
    for directory in directories {
        for (name, _) in disk.files(&directory) {
            let name = format!("{directory}/{name}");
            let content = disk.content(&name).unwrap();
            files.push((name, content));
        }
    }
    files
}
