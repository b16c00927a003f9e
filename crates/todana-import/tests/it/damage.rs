//! Damaged files: errors that say where, never a panic, never more memory than the file warrants.

use crate::golden::{DEBIAN, DEFLATED, LITTLE, listing};
use crate::memory_file::MemoryFile;
use crate::{Pair, below, read_all};
use todana_import::tokyo::{FileKind, HashFile, Warning};
use todana_import::{Damage, ImportError};
use todana_io::random::Generator;

/// Where the first record of `debian.tch` begins.
const FIRST: usize = 400;
/// The shortest block is a free one.
const BLOCK_LEN_MIN: u64 = 5;

/// The records before the first error that ends the walk, and that error.
fn read_some(bytes: &[u8]) -> (Vec<Pair>, Result<(), ImportError>) {
    let file = match HashFile::open(MemoryFile::boxed(bytes)) {
        Ok(file) => file,
        Err(error) => return (Vec::new(), Err(error)),
    };
    assert!(file.header().first_record <= bytes.len() as u64);
    let mut records = file.records().inflated_len_max(100_000);
    let mut pairs = Vec::new();
    for _ in 0..=bytes.len() as u64 / BLOCK_LEN_MIN {
        let before = records.offset();
        match records.next_record() {
            Ok(Some(record)) => pairs.push((record.key.to_vec(), record.value.to_vec())),
            Ok(None) => return (pairs, Ok(())),
            // These concern one record.
            Err(ImportError::Compressed { .. } | ImportError::ValueTooLong { .. }) => {
                assert!(records.offset() > before);
            }
            Err(error) => {
                let again = records.next_record().unwrap_err();
                assert_eq!(again.to_string(), error.to_string());
                return (pairs, Err(error));
            }
        }
    }
    panic!("more records than there is room for");
}

#[track_caller]
fn check(change: impl Fn(&mut Vec<u8>), count: usize, expected: &str) {
    let mut bytes = DEBIAN.to_vec();
    change(&mut bytes);
    let (pairs, outcome) = read_some(&bytes);
    assert_eq!(outcome.unwrap_err().to_string(), expected);
    assert_eq!(pairs, listing()[..count]);
}

#[test]
fn errors_say_where_and_what() {
    check(
        |b| b[FIRST] = 0xc7,
        0,
        "offset 400: neither a record (0xc8) nor a free block (0xb0) but 0xc7",
    );
    check(
        |b| b[FIRST + 11] = 9,
        1,
        "offset 431: begins at no multiple of 8, the alignment of the file",
    );
    check(
        |b| b[FIRST + 10] = 0xff,
        0,
        "offset 400: 65304 bytes long, which passes the end of the records at 1376",
    );
    check(
        |b| b[FIRST + 12..FIRST + 17].fill(0xff),
        0,
        "offset 400: a length of the record is no number",
    );
    check(
        |b| b[FIRST + 14] ^= 1,
        0,
        "offset 400: the key has the hash 0xe9, but 0xe8 is stored with it",
    );
    // The block behind the first record, at 424, is free.
    check(
        |b| b[425..429].fill(0),
        1,
        "offset 424: a free block of 0 bytes, which is shorter than its head",
    );
    check(
        |b| b[425] = 0x80,
        1,
        "offset 424: 2147483696 bytes long, which passes the end of the records at 1376",
    );
    // The records end where the header says: in the middle of the last head.
    check(
        |b| b[62..64].copy_from_slice(&1088_u16.to_be_bytes()),
        6,
        "offset 1080: its head passes the end of the records at 1088",
    );
}

#[test]
fn a_cut_file_gives_what_is_there() {
    for (whole, pairs) in [(DEBIAN, listing()), (LITTLE, listing()), (DEFLATED, read_all(DEFLATED))]
    {
        for len in 0..whole.len() {
            let (found, outcome) = read_some(&whole[..len]);
            assert_eq!(found, pairs[..found.len()]);
            let error = outcome.expect_err("the end is missing");
            let file_len = len as u64;
            match HashFile::open(MemoryFile::boxed(&whole[..len])) {
                Ok(file) => {
                    let file_size = whole.len() as u64;
                    assert_eq!(file.warnings(), [Warning::Truncated { file_len, file_size }]);
                    assert!(matches!(error, ImportError::Truncated { .. }), "{error}");
                }
                Err(_) => assert_eq!(found, []),
            }
        }
    }
}

#[test]
fn flags_and_a_long_tail_are_warnings() {
    let mut bytes = DEBIAN.to_vec();
    bytes[33] = 3;
    bytes.extend([0; 100]);
    let (pairs, outcome) = read_some(&bytes);
    outcome.unwrap();
    assert_eq!(pairs, listing());
    let file = HashFile::open(MemoryFile::boxed(&bytes)).unwrap();
    let trailing = Warning::Trailing { offset: 1376, len: 100 };
    let not_closed = Warning::NotClosed { kind: FileKind::Hash };
    assert_eq!(file.warnings(), [not_closed, Warning::Fatal, trailing]);
}

#[test]
fn reading_goes_on_after_a_damaged_value() {
    let whole = read_all(DEFLATED);
    let file = HashFile::open(MemoryFile::boxed(DEFLATED)).unwrap();
    let limit = 100;
    let mut records = file.records().inflated_len_max(limit);
    let mut too_long = 0;
    for (key, value) in &whole {
        match records.next_record() {
            Ok(record) => assert_eq!(record.unwrap().key, key),
            Err(error) => {
                assert!(matches!(error, ImportError::ValueTooLong { limit_bytes: 100, .. }));
                assert!(value.len() > limit);
                too_long += 1;
            }
        }
    }
    assert!(records.next_record().unwrap().is_none());
    assert_eq!((too_long, records.count_read()), (1, 8));
}

#[test]
fn a_failed_read_can_be_tried_again() {
    let file = HashFile::open(MemoryFile::flaky(DEBIAN)).unwrap();
    let mut records = file.records();
    let error = records.next_record().unwrap_err();
    assert_eq!(error.to_string(), "reading at offset 400: bad sector");
    let mut pairs = Vec::new();
    while let Some(record) = records.next_record().unwrap() {
        pairs.push((record.key.to_vec(), record.value.to_vec()));
    }
    assert_eq!(pairs, listing());
}

/// Some bytes changed, most often in the record region, and now and then the end cut off.
fn mutate(bytes: &mut Vec<u8>, random: &mut Generator) {
    for _ in 0..=random.below(4) {
        let from = [32, 40, FIRST, FIRST][below(random, 4)];
        let to = if from < FIRST && random.one_in(2) { 72 } else { bytes.len() };
        let at = from + below(random, to - from);
        match random.below(4) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = [0, 0x7f, 0x80, 0xb0, 0xc8, 0xff][below(random, 6)],
            2 => {
                let end = (at + 8).min(bytes.len());
                bytes[at..end].fill(if random.one_in(2) { 0xff } else { 0 });
            }
            _ => bytes[at] = random.next_u64().to_le_bytes()[0],
        }
    }
    if random.one_in(4) {
        bytes.truncate(below(random, bytes.len()));
    }
}

#[test]
fn random_damage_is_survived() {
    let mut random = Generator::new(0x7463_6861);
    let (mut sound, mut refused) = (0, 0);
    for round in 0..20_000 {
        let whole = [DEBIAN, LITTLE, DEFLATED][round % 3];
        let mut bytes = whole.to_vec();
        mutate(&mut bytes, &mut random);
        let (pairs, outcome) = read_some(&bytes);
        let len: usize = pairs.iter().map(|(key, _)| key.len()).sum();
        assert!(len <= bytes.len());
        match outcome {
            Ok(()) => sound += 1,
            Err(ImportError::Record { damage: Damage::PastEnd { end, .. }, offset }) => {
                assert!(offset <= end);
                refused += 1;
            }
            Err(_) => refused += 1,
        }
    }
    // Most damage to padding, links, values and free space cannot be seen; the rest is.
    println!("{sound} of 20,000 damaged files were read to their end, {refused} were refused");
    assert!(sound > 1_000 && refused > 5_000, "{sound} {refused}");
}
