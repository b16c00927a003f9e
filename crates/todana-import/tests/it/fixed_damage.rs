//! Damaged fixed-length files.

use crate::by_hand::fixed;
use crate::golden::{FIXED, fixed_listing};
use crate::memory_file::MemoryFile;
use crate::tree_damage::read_some;
use crate::{below, drain, swap};
use todana_import::ImportError;
use todana_import::tokyo::{AnyFile, FileKind, FixedFile, Warning};
use todana_io::random::Generator;

fn open(bytes: &[u8]) -> AnyFile {
    AnyFile::open(MemoryFile::boxed(bytes)).unwrap()
}

#[test]
fn a_record_that_is_too_long_is_passed_over() {
    let bytes = fixed(5, &[1, 3], &[b"\x06abcde", b"", b"\x01x"]);
    let (pairs, passed_over, outcome) = read_some(open(&bytes).records(), 3);
    outcome.unwrap();
    assert_eq!(pairs, [(b"3".to_vec(), b"x".to_vec())]);
    let expected = "record 1 at offset 256: 6 bytes long, but the file's records have up to 5";
    assert_eq!((passed_over.len(), passed_over[0].to_string().as_str()), (1, expected));
}

#[test]
fn all_slots_are_looked_at_where_ids_cannot_be_right() {
    for (min, max) in [(0, 3), (3, 1), (1, 900), (9, 9)] {
        let mut bytes = fixed(5, &[1, 3], &[b"\x01a", b"", b"\x01x", b""]);
        bytes[80] = min;
        bytes[88..90].copy_from_slice(&u16::to_le_bytes(max));
        let file = open(&bytes);
        let (min, max) = (u64::from(min), u64::from(max));
        assert_eq!(file.warnings(), [Warning::Ids { min, max }]);
        let expected = format!(
            "header, offset 80: the ids {min} to {max} cannot be right; every place for a record is \
             looked at instead"
        );
        assert_eq!(file.warnings()[0].to_string(), expected);
        assert_eq!(drain(file.records()).len(), 2);
    }
}

/// The header of a file that was not closed is as old as its last save.
#[test]
fn all_slots_of_a_file_that_was_not_closed_are_looked_at() {
    let mut bytes = fixed(5, &[], &[b"\x01a", b"", b"\x01x", b""]);
    bytes[33] = 1;
    bytes[56] = 0;
    bytes[57] = 1;
    let file = open(&bytes);
    assert_eq!(file.warnings(), [Warning::NotClosed { kind: FileKind::FixedLength }]);
    assert_eq!(drain(file.records()).len(), 2);
}

#[test]
fn a_cut_file_gives_what_is_there() {
    let all = fixed_listing();
    for whole in [FIXED.to_vec(), swap::to_little(FIXED)] {
        for len in 256..whole.len() {
            let file = open(&whole[..len]);
            let (file_len, file_size) = (len as u64, whole.len() as u64);
            assert_eq!(file.warnings(), [Warning::Truncated { file_len, file_size }]);
            let (pairs, passed_over, outcome) = read_some(file.records(), 50);
            assert_eq!(pairs, all[..pairs.len()]);
            assert!(passed_over.is_empty() && pairs.len() < all.len());
            assert!(matches!(outcome.unwrap_err(), ImportError::Truncated { .. }));
        }
    }
}

#[test]
fn a_failed_read_can_be_tried_again() {
    let file = FixedFile::open(MemoryFile::flaky(FIXED)).unwrap();
    let mut records = file.records();
    assert!(matches!(records.next_record().unwrap_err(), ImportError::Io { .. }));
    let mut count = 0;
    while records.next_record().unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, fixed_listing().len());
}

#[test]
fn random_damage_is_survived() {
    let mut random = Generator::new(0x7463_6664);
    let (mut sound, mut broken, mut refused) = (0, 0, 0);
    let four: [&[u8]; 3] = [b"\x02\0\0\0ab", b"", b"\x05\0\0\0hello"];
    let wide = fixed(70_000, &[1, 3], &four);
    let wholes = [FIXED.to_vec(), swap::to_little(FIXED), wide];
    for round in 0..20_000 {
        let mut bytes = wholes[round % wholes.len()].clone();
        for _ in 0..=random.below(3) {
            let to = if random.one_in(2) { 96 } else { bytes.len() };
            let at = 33 + below(&mut random, to - 33);
            bytes[at] = match random.below(2) {
                0 => bytes[at] ^ 1 << random.below(8),
                _ => random.next_u64().to_le_bytes()[0],
            };
        }
        if random.one_in(8) {
            bytes.truncate(below(&mut random, bytes.len()));
        }
        let Ok(file) = AnyFile::open(MemoryFile::boxed(&bytes)) else {
            refused += 1;
            continue;
        };
        match read_some(file.records(), bytes.len()).2 {
            Ok(()) => sound += 1,
            Err(_) => broken += 1,
        }
    }
    println!(
        "{sound} of 20,000 files were read to their end, {broken} not, {refused} were refused"
    );
    assert!(sound > 1_000 && broken > 100 && refused > 1_000, "{sound} {broken} {refused}");
}
