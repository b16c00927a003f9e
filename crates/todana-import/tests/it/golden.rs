//! Files that do not change, and what is in them.
//!
//! `debian.tch` and `deflated.tch` were written by tchmgr 1.4.48-15 of Debian 12 (`create FILE 3 3 4`,
//! the latter with `-tl -td`, then a dozen of `put` and `out`); `little.tch` is `debian.tch` with its
//! numbers turned around, as a library without `--enable-swab` has them. `listing.txt` is
//! `tchmgr list -pv -px debian.tch`, a line a record.
//!
//! In the same way `tree.tcb` (`tcbmgr create FILE 4 4 7 3 4`), `deflated.tcb` (`create -tl -td FILE 6 4
//! 3 3 4`) and `tree-listing.txt` with values put by `-dd` and `-db`, `fixed.tcf` (`tcfmgr create FILE 20
//! 2000`) and `fixed-listing.txt`.

use crate::{Pair, read_all, read_any, sorted, swap, unhex};
use todana_import::tokyo::{BTreeFile, ByteOrder, Comparator, FixedFile, HashFile, Options};

pub(crate) const DEBIAN: &[u8] = include_bytes!("../data/debian.tch");
pub(crate) const LITTLE: &[u8] = include_bytes!("../data/little.tch");
pub(crate) const DEFLATED: &[u8] = include_bytes!("../data/deflated.tch");

pub(crate) const TREE: &[u8] = include_bytes!("../data/tree.tcb");
pub(crate) const TREE_DEFLATED: &[u8] = include_bytes!("../data/deflated.tcb");
pub(crate) const FIXED: &[u8] = include_bytes!("../data/fixed.tcf");

pub(crate) fn listing() -> Vec<Pair> {
    pairs(include_str!("../data/listing.txt"))
}

pub(crate) fn tree_listing() -> Vec<Pair> {
    pairs(include_str!("../data/tree-listing.txt"))
}

pub(crate) fn fixed_listing() -> Vec<Pair> {
    // tcfmgr prints ids as they are.
    let lines = include_str!("../data/fixed-listing.txt").lines();
    let pairs = lines.map(|line| line.split_once('=').unwrap());
    pairs.map(|(key, value)| (key.as_bytes().to_vec(), unhex(value))).collect()
}

fn pairs(text: &str) -> Vec<Pair> {
    let pairs = text.lines().map(|line| line.split_once('=').unwrap());
    pairs.map(|(key, value)| (unhex(key), unhex(value))).collect()
}

#[test]
fn listings_are_as_expected() {
    assert_eq!(read_all(DEBIAN), listing());
    assert_eq!(read_all(LITTLE), listing());
    // Shorter values left other holes, so that the records lie in another order.
    assert_eq!(sorted(read_all(DEFLATED)), sorted(listing()));
    assert_eq!(swap::to_little(DEBIAN), LITTLE);
    assert_eq!(sorted(read_all(&swap::to_little(DEFLATED))), sorted(listing()));
}

#[test]
fn headers_are_as_expected() {
    for (bytes, order) in [(DEBIAN, ByteOrder::Big), (LITTLE, ByteOrder::Little)] {
        let file = HashFile::open(crate::memory_file::MemoryFile::boxed(bytes)).unwrap();
        let header = file.header();
        assert_eq!((header.byte_order, header.library_version), (order, 911));
        assert_eq!((header.bucket_count, header.record_count), (3, 9));
        assert_eq!((header.first_record, header.file_size), (400, 1376));
        assert_eq!((header.alignment(), header.free_pool_power), (8, 4));
        assert_eq!((header.is_open, header.is_fatal), (false, false));
        assert_eq!(header.options.bits(), 0);
    }
    let file = HashFile::open(crate::memory_file::MemoryFile::boxed(DEFLATED)).unwrap();
    assert!(file.header().options.contains(Options::LARGE));
    let names: Vec<&str> = file.header().options.names().collect();
    assert_eq!(names, ["large", "deflate"]);
}

#[test]
fn trees_are_as_expected() {
    for whole in [TREE, TREE_DEFLATED] {
        for (bytes, order) in
            [(whole.to_vec(), ByteOrder::Big), (swap::to_little(whole), ByteOrder::Little)]
        {
            assert_eq!(read_any(&bytes), tree_listing());
            let file = BTreeFile::open(crate::memory_file::MemoryFile::boxed(&bytes)).unwrap();
            assert_eq!((file.header().byte_order, file.header().library_version), (order, 911));
            assert_eq!(file.tree().comparator, Comparator::Lexical);
            assert_eq!(file.tree().record_count, 25);
            let mut records = file.records();
            let mut third = None;
            while let Some(record) = records.next_record().unwrap() {
                if record.value == b"second" {
                    third = Some((record.key.to_vec(), record.duplicate));
                }
            }
            assert_eq!(third, Some((b"k3".to_vec(), 2)));
        }
    }
}

#[test]
fn fixed_length_files_are_as_expected() {
    for (bytes, order) in
        [(FIXED.to_vec(), ByteOrder::Big), (swap::to_little(FIXED), ByteOrder::Little)]
    {
        assert_eq!(read_any(&bytes), fixed_listing());
        let file = FixedFile::open(crate::memory_file::MemoryFile::boxed(&bytes)).unwrap();
        let header = file.header();
        assert_eq!((header.byte_order, header.library_version), (order, 911));
        assert_eq!((header.width, header.slot_len(), header.file_size), (20, 21, 1117));
        assert_eq!((header.min_id, header.max_id, header.record_count), (3, 41, 7));
    }
}
