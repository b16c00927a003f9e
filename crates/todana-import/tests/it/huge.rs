//! A file of more than four gigabytes, nearly all of it one hole.

use todana_import::tokyo::{HashFile, Warning};
use todana_io::{Disk, Open, SystemDisk};

const FREE_LEN: u32 = 3 << 30;
const FIRST: u64 = 400;

/// A record of a file with large offsets, without padding.
fn record(key: &[u8; 3], hash: u8, value: &[u8; 4]) -> Vec<u8> {
    [&[0xc8, hash][..], &[0; 16], &1_u16.to_le_bytes(), &[3, 4], key, value, &[0]].concat()
}

#[test]
fn offsets_pass_four_gigabytes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("huge.tch");
    let file = SystemDisk::new().open(&path, Open::Create).unwrap();
    let mut header = b"ToKyO CaBiNeT\n1.0:911\n".to_vec();
    header.resize(72, 0);
    header[36] = 1;
    let last = FIRST + 2 * u64::from(FREE_LEN);
    let record = record(b"key", 0xe8, b"last");
    let len = last + record.len() as u64;
    for (at, number) in [(40, 3), (48, 1), (56, len), (64, FIRST)] {
        header[at..at + 8].copy_from_slice(&u64::to_le_bytes(number));
    }
    let free = [&[0xb0][..], &FREE_LEN.to_le_bytes()].concat();
    file.write_at(0, &header).unwrap();
    file.write_at(FIRST, &free).unwrap();
    file.write_at(FIRST + u64::from(FREE_LEN), &free).unwrap();
    file.write_at(last, &record).unwrap();
    file.set_len(len + 1).unwrap();

    let file = HashFile::open(file).unwrap();
    assert_eq!(file.warnings(), [Warning::Trailing { offset: len, len: 1 }]);
    let mut records = file.records();
    let record = records.next_record().unwrap().unwrap();
    assert_eq!((record.key, record.value, record.offset), (&b"key"[..], &b"last"[..], last));
    assert!(records.next_record().unwrap().is_none());
}
