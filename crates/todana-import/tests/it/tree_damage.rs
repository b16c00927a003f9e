//! Damaged B+ tree files: errors that say where, never a panic, never a circle.

use crate::by_hand::{self, LEAF_1, LEAF_2};
use crate::golden::{TREE, TREE_DEFLATED, tree_listing};
use crate::memory_file::MemoryFile;
use crate::{Pair, below, swap};
use todana_import::ImportError;
use todana_import::tokyo::{AnyFile, AnyRecords, FileKind, Warning};
use todana_io::random::Generator;

/// The records that can be had, the errors that were passed over, and what ended the reading.
pub(crate) fn read_some(
    mut records: AnyRecords<'_>,
    count_max: usize,
) -> (Vec<Pair>, Vec<ImportError>, Result<(), ImportError>) {
    let (mut pairs, mut passed_over) = (Vec::new(), Vec::new());
    for _ in 0..=2 * count_max {
        match records.next_record() {
            Ok(Some(record)) => pairs.push((record.key.to_vec(), record.value.to_vec())),
            Ok(None) => return (pairs, passed_over, Ok(())),
            Err(error) if error.is_passed_over() => passed_over.push(error),
            Err(error) => {
                let again = records.next_record().unwrap_err();
                assert_eq!(again.to_string(), error.to_string());
                return (pairs, passed_over, Err(error));
            }
        }
    }
    panic!("more records than there is room for");
}

fn open(bytes: &[u8]) -> AnyFile {
    AnyFile::open(MemoryFile::boxed(bytes)).unwrap()
}

/// What the tree made by hand gives after a change, along the chain and as it lies.
#[track_caller]
fn check(change: impl Fn(&mut Vec<u8>), count: usize, expected: &str, lying: usize) {
    let mut bytes = by_hand::tree();
    change(&mut bytes);
    let file = open(&bytes);
    let (pairs, passed_over, outcome) = read_some(file.records(), 10);
    let errors: Vec<ImportError> = passed_over.into_iter().chain(outcome.err()).collect();
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!((pairs.len(), errors.join("; ").as_str()), (count, expected));
    assert_eq!(read_some(file.records_as_they_lie(), 10).0.len(), lying);
}

#[test]
fn errors_say_where_and_what() {
    check(|b| b[152] = 9, 0, "the chain of leaves breaks at leaf 9: it is not in the file", 5);
    check(
        |b| b[152] = 2,
        0,
        "the chain of leaves breaks at leaf 2: it says that it comes after leaf 1, but leaf 0 leads \
         to it",
        5,
    );
    check(
        |b| b[160] = 7,
        5,
        "the chain of leaves breaks at leaf 2: it is the last one, but the header says that leaf 7 is",
        5,
    );
    // The second leaf leads back to the first.
    check(
        |b| b[LEAF_2 + 16] = 1,
        5,
        "the chain of leaves breaks at leaf 1: it says that it comes after leaf 0, but leaf 2 leads \
         to it",
        5,
    );
    // The key of the second leaf's first record is longer than the page.
    check(
        |b| b[LEAF_2 + 17] = 0x7f,
        3,
        "leaf 2 at offset 400, byte 5 of its page: a key or value of 127 bytes, but the page has 10 \
         more",
        3,
    );
    check(
        |b| b[LEAF_2 + 15..LEAF_2 + 25].fill(0xff),
        3,
        "the chain of leaves breaks at leaf 2: leaf 2 at offset 400, byte 0 of its page: a number \
         that does not end or is too large",
        3,
    );
}

#[test]
fn damaged_buckets_are_named() {
    check(
        |b| b[256] = 1,
        0,
        "the chain of leaves breaks at leaf 1: offset 256: leads to offset 16, which is outside the \
         records",
        5,
    );
    check(
        |b| b[LEAF_2 + 6] = 0xff,
        0,
        "the chain of leaves breaks at leaf 1: offset 400: leads to offset 4080, which is outside \
         the records",
        5,
    );
    // A record that is its own child.
    check(
        |b| b[LEAF_2 + 6] = b[256],
        0,
        "the chain of leaves breaks at leaf 1: offset 400: more than 65536 records deep in a \
         bucket's tree",
        5,
    );
    check(
        |b| b[LEAF_1..LEAF_1 + 5].copy_from_slice(b"\xb0\x30\0\0\0"),
        0,
        "the chain of leaves breaks at leaf 1: offset 352: a free block, but a bucket's tree of \
         records leads to it",
        2,
    );
    check(
        |b| b[LEAF_1 + 1] ^= 1,
        0,
        "the chain of leaves breaks at leaf 1: it is not in the file",
        0,
    );
}

#[test]
fn keys_that_name_no_page_are_passed_over() {
    let mut bytes = by_hand::tree();
    // `1` becomes `q`, with the hash of `q`.
    bytes[LEAF_1 + 14] = b'q';
    bytes[LEAF_1 + 1] ^= b'1' ^ b'q';
    let file = open(&bytes);
    let (pairs, passed_over, outcome) = read_some(file.records_as_they_lie(), 10);
    outcome.unwrap();
    assert_eq!((pairs.len(), passed_over.len()), (2, 1));
    let expected = "record at offset 352: its key names no page of a B+ tree";
    assert_eq!(passed_over[0].to_string(), expected);
}

#[test]
fn a_page_that_does_not_inflate_breaks_the_chain() {
    let file = open(TREE_DEFLATED);
    let AnyRecords::BTree(records) = file.records() else { panic!("a tree") };
    let (pairs, _, outcome) = read_some(AnyRecords::BTree(records.inflated_len_max(100)), 30);
    assert!(pairs.len() < 25);
    let error = outcome.unwrap_err().to_string();
    assert!(error.contains("its compressed value is longer than 100 bytes"), "{error}");
    let AnyRecords::BTree(records) = file.records_as_they_lie() else { panic!("a tree") };
    let lying = AnyRecords::BTree(records.inflated_len_max(100));
    let (pairs, passed_over, outcome) = read_some(lying, 30);
    outcome.unwrap();
    assert!(pairs.len() > 10 && !passed_over.is_empty());
}

#[test]
fn a_cut_file_gives_what_is_there() {
    let all = tree_listing();
    for whole in [TREE, TREE_DEFLATED] {
        for len in 0..whole.len() {
            let Ok(file) = AnyFile::open(MemoryFile::boxed(&whole[..len])) else { continue };
            let (file_len, file_size) = (len as u64, whole.len() as u64);
            assert_eq!(file.warnings(), [Warning::Truncated { file_len, file_size }]);
            let (pairs, passed_over, outcome) = read_some(file.records(), 30);
            assert_eq!(pairs, all[..pairs.len()]);
            // The last page may be an inner one.
            assert!(passed_over.is_empty() && (outcome.is_err() || pairs.len() == all.len()));
            let (pairs, passed_over, outcome) = read_some(file.records_as_they_lie(), 30);
            assert!(passed_over.is_empty() && pairs.len() <= all.len());
            assert!(matches!(outcome.unwrap_err(), ImportError::Truncated { .. }));
        }
    }
}

#[test]
fn a_failed_read_can_be_tried_again() {
    let file = AnyFile::open(MemoryFile::boxed(TREE)).unwrap();
    assert_eq!(crate::drain(file.records()), tree_listing());
    let file = todana_import::tokyo::BTreeFile::open(MemoryFile::flaky(TREE)).unwrap();
    let mut records = file.records();
    let mut pairs = Vec::new();
    let mut failed = 0;
    loop {
        match records.next_record() {
            Ok(Some(record)) => pairs.push((record.key.to_vec(), record.value.to_vec())),
            Ok(None) => break,
            Err(error) => {
                assert!(matches!(error, ImportError::Io { .. }), "{error}");
                failed += 1;
            }
        }
    }
    assert_eq!(pairs, tree_listing());
    assert!(failed > 0);
}

#[test]
fn a_file_that_was_not_closed_says_what_may_be_lost() {
    let mut bytes = TREE.to_vec();
    bytes[33] = 1;
    let warnings = open(&bytes).warnings();
    assert_eq!(warnings, [Warning::NotClosed { kind: FileKind::BTree }]);
    let text = warnings[0].to_string();
    assert!(text.contains("`tcbmgr inform FILE`") && text.contains("missing, old or there twice"));
}

/// Some bytes changed: headers, buckets, records.
fn mutate(bytes: &mut Vec<u8>, random: &mut Generator) {
    for _ in 0..=random.below(4) {
        let from = [33, 128, 256, 400][below(random, 4)];
        let to = [72, 192, 400, bytes.len()][below(random, 4)].max(from + 1).min(bytes.len());
        let at = from + below(random, to - from);
        match random.below(3) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xb0, 0xc8, 0xff][below(random, 7)],
            _ => bytes[at] = random.next_u64().to_le_bytes()[0],
        }
    }
    if random.one_in(8) {
        bytes.truncate(below(random, bytes.len()));
    }
}

#[test]
fn random_damage_is_survived() {
    let mut random = Generator::new(0x7463_6274);
    let (mut sound, mut broken, mut better) = (0, 0, 0);
    let wholes = [TREE.to_vec(), swap::to_little(TREE), TREE_DEFLATED.to_vec(), by_hand::tree()];
    for round in 0..20_000 {
        let mut bytes = wholes[round % wholes.len()].clone();
        mutate(&mut bytes, &mut random);
        let Ok(file) = AnyFile::open(MemoryFile::boxed(&bytes)) else { continue };
        // The shortest record of a leaf has three bytes, and each may be seen from many leaves.
        let count_max = 2_000 * bytes.len();
        let limited = |records| match records {
            AnyRecords::BTree(records) => AnyRecords::BTree(records.inflated_len_max(10_000)),
            other => other,
        };
        let (chained, _, outcome) = read_some(limited(file.records()), count_max);
        let (lying, _, _) = read_some(limited(file.records_as_they_lie()), count_max);
        match outcome {
            Ok(()) => sound += 1,
            Err(_) => broken += 1,
        }
        better += usize::from(lying.len() > chained.len());
    }
    println!("{sound} chains were whole, {broken} were not; {better} gave more as they lie");
    assert!(sound > 1_000 && broken > 2_000 && better > 1_000, "{sound} {broken} {better}");
}
