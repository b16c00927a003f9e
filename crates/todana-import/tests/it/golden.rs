//! Files that do not change, and what is in them.
//!
//! `debian.tch` and `deflated.tch` were written by tchmgr 1.4.48-15 of Debian 12 (`create FILE 3 3 4`,
//! the latter with `-tl -td`, then a dozen of `put` and `out`); `little.tch` is `debian.tch` with its
//! numbers turned around, as a library without `--enable-swab` has them. `listing.txt` is
//! `tchmgr list -pv -px debian.tch`, a line a record.

use crate::{Pair, read_all, sorted, swap, unhex};
use todana_import::tokyo::{ByteOrder, HashFile, Options};

pub(crate) const DEBIAN: &[u8] = include_bytes!("../data/debian.tch");
pub(crate) const LITTLE: &[u8] = include_bytes!("../data/little.tch");
pub(crate) const DEFLATED: &[u8] = include_bytes!("../data/deflated.tch");

pub(crate) fn listing() -> Vec<Pair> {
    let lines = include_str!("../data/listing.txt").lines();
    let pairs = lines.map(|line| line.split_once('=').unwrap());
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
