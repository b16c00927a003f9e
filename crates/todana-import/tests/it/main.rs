//! Files of Tokyo Cabinet: golden ones, damaged ones, and those that its own tools write now.
#![expect(clippy::unwrap_used, reason = "a test's helpers may panic")]

mod by_hand;
mod damage;
mod fixed_damage;
mod golden;
mod huge;
mod memory_file;
mod swap;
mod tcbmgr;
mod tcfmgr;
mod tchmgr;
mod tools;
mod transaction;
mod tree_damage;

use todana_import::tokyo::{AnyFile, AnyRecords, HashFile};
use todana_io::random::Generator;

/// A key and its value.
type Pair = (Vec<u8>, Vec<u8>);

/// All records of a file without flaws, in their order.
fn read_all(bytes: &[u8]) -> Vec<Pair> {
    let file = HashFile::open(memory_file::MemoryFile::boxed(bytes)).unwrap();
    assert_eq!(file.warnings(), []);
    let mut records = file.records();
    let mut pairs = Vec::new();
    while let Some(record) = records.next_record().unwrap() {
        pairs.push((record.key.to_vec(), record.value.to_vec()));
    }
    assert_eq!(records.count_read(), pairs.len() as u64);
    assert_eq!(records.count_read(), file.header().record_count);
    assert_eq!(records.offset(), file.header().file_size);
    pairs
}

/// All records of a file of any kind without flaws, in their order.
fn read_any(bytes: &[u8]) -> Vec<Pair> {
    let file = AnyFile::open(memory_file::MemoryFile::boxed(bytes)).unwrap();
    assert_eq!(file.warnings(), []);
    let pairs = drain(file.records());
    assert_eq!(pairs.len() as u64, file.record_count());
    assert_eq!(sorted(drain(file.records_as_they_lie())), sorted(pairs.clone()));
    pairs
}

/// The records that are left, none of them damaged.
fn drain(mut records: AnyRecords<'_>) -> Vec<Pair> {
    let mut pairs: Vec<Pair> = Vec::new();
    while let Some(record) = records.next_record().unwrap() {
        let is_same = pairs.last().is_some_and(|(key, _)| key == record.key);
        assert_eq!(record.duplicate > 0, is_same);
        pairs.push((record.key.to_vec(), record.value.to_vec()));
    }
    assert_eq!(records.count_read(), pairs.len() as u64);
    pairs
}

fn sorted(mut pairs: Vec<Pair>) -> Vec<Pair> {
    pairs.sort();
    pairs
}

/// A number in `0..bound`.
fn below(random: &mut Generator, bound: usize) -> usize {
    usize::try_from(random.below(bound as u64)).unwrap()
}

/// What hexadecimal digits stand for; blanks between bytes do not count.
fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b' ').collect();
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}
