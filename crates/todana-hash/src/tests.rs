//! The engine as a whole.

use crate::{FlushPolicy, Hash, HashOptions};
use std::path::Path;
use std::sync::Arc;
use todana_engine::{Engine, conformance};
use todana_io::{Disk, SystemDisk};

#[test]
fn conformance_on_files() {
    let directory = tempfile::tempdir().unwrap();
    let number = std::sync::atomic::AtomicU32::new(0);
    conformance::run(&|| {
        let number = number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = directory.path().join(format!("{number}.tdh"));
        let disk: Arc<dyn Disk> = Arc::new(SystemDisk::new());
        let options = HashOptions { flush: FlushPolicy::Never, ..HashOptions::default() };
        Arc::new(Hash::open(disk, &path, options).unwrap()) as Arc<dyn Engine>
    });
}

#[test]
fn conformance_on_a_simulated_disk_in_partitions() {
    let number = std::sync::atomic::AtomicU32::new(0);
    let disk: Arc<dyn Disk> = Arc::new(todana_sim::SimDisk::new(1));
    conformance::run(&|| {
        let number = number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = format!("/stores/{number}.tdh");
        let options = HashOptions { partitions: 4, ..HashOptions::default() };
        let hash = Hash::open(disk.clone(), Path::new(&path), options);
        Arc::new(hash.unwrap()) as Arc<dyn Engine>
    });
}
