//! Locks: one holder, named by its note, until it lets go or ends.

use super::*;
use std::io::ErrorKind;

#[test]
fn a_held_lock_names_its_holder() {
    let disk = SimDisk::new(1);
    let missing = disk.lock(path("/d/lock"), "").unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    let lock = disk.lock(path("/lock"), "process 7\n").unwrap();
    let refused = disk.clone().lock(path("/lock"), "process 8").unwrap_err();
    assert_eq!((refused.kind(), refused.to_string()), (ErrorKind::WouldBlock, "process 7".into()));
    let other = disk.lock(path("/other"), "").unwrap();
    drop(lock);
    let lock = disk.lock(path("/lock"), "8").unwrap();
    assert_eq!(disk.content("/lock").unwrap(), b"8");
    drop((lock, other));
}

#[test]
fn the_end_of_a_process_frees_its_locks() {
    let disk = SimDisk::new(1);
    let lock = disk.lock(path("/lock"), "7").unwrap();
    let killed = disk.kill();
    let next = killed.lock(path("/lock"), "8").unwrap();
    // A dead holder that lets go takes nothing from the living one.
    drop(lock);
    assert_eq!(killed.lock(path("/lock"), "9").unwrap_err().to_string(), "8");
    let crashed = killed.crash(3);
    drop(next);
    let held = crashed.lock(path("/lock"), "10").unwrap();
    assert_eq!(crashed.lock(path("/lock"), "11").unwrap_err().to_string(), "10");
    drop(held);
}
