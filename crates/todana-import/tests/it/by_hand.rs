//! Small files written here byte by byte, little-endian as the format's author has it: what the tools
//! of this machine do not make.

use crate::memory_file::MemoryFile;
use crate::{Pair, read_any};
use todana_import::tokyo::{AnyFile, BTreeFile, Comparator, Warning};

pub(crate) const FIRST: usize = 352;
/// Begin of the records whose pages are the leaves 1 and 2.
pub(crate) const LEAF_1: usize = FIRST;
pub(crate) const LEAF_2: usize = FIRST + 48;

/// The first 256 bytes of a file: its kind, then numbers of eight bytes where they belong.
fn header(kind: u8, numbers: &[(usize, u64)]) -> Vec<u8> {
    let mut bytes = vec![0; 256];
    bytes[..22].copy_from_slice(b"ToKyO CaBiNeT\n1.0:911\n");
    bytes[32] = kind;
    for (at, number) in numbers {
        bytes[*at..at + 8].copy_from_slice(&number.to_le_bytes());
    }
    bytes
}

/// A record of 48 bytes that holds a page.
fn page(key: &[u8], hash: u8, right: u32, page: &[u8]) -> Vec<u8> {
    let used = 2 + 8 + 2 + 2 + key.len() + page.len();
    let padding = u16::try_from(48 - used).unwrap();
    let mut bytes = vec![0xc8, hash];
    bytes.extend(0_u32.to_le_bytes());
    bytes.extend(right.to_le_bytes());
    bytes.extend(padding.to_le_bytes());
    bytes.extend([u8::try_from(key.len()).unwrap(), u8::try_from(page.len()).unwrap()]);
    bytes.extend([key, page].concat());
    bytes.resize(48, 0);
    bytes
}

/// A tree of two leaves and an inner page, in one bucket, with a comparator of a program's own.
pub(crate) fn tree() -> Vec<u8> {
    let len = FIRST + 3 * 48;
    let mut bytes = header(
        1,
        &[
            (40, 1),
            (48, 3),
            (56, len as u64),
            (64, FIRST as u64),
            (144, (1 << 48) + 2),
            (152, 1),
            (160, 2),
            (168, 2),
            (176, 1),
            (184, 5),
        ],
    );
    bytes[34] = 4;
    bytes[128] = 0xff;
    bytes.resize(FIRST, 0);
    // The bucket leads to the page with the largest hash, each page to the next on its right.
    let place = |at: usize| u32::try_from(at / 16).unwrap();
    bytes[256..260].copy_from_slice(&place(LEAF_2).to_le_bytes());
    let second = b"\x01\x00\x01\x05\x00zlast!\x01\x00\x00y";
    bytes.extend(page(b"1", 0xc0, place(FIRST + 96), b"\0\x02\x03\x01\x02keyA\x02BB\x00"));
    bytes.extend(page(b"2", 0xc3, place(LEAF_1), second));
    // Leaf 1 first, then leaf 2 for keys from z on.
    bytes.extend(page(b"#1", 0x63, 0, b"\x01\x02\x01z"));
    bytes
}

fn pairs(expected: &[(&str, &str)]) -> Vec<Pair> {
    expected.iter().map(|(k, v)| (k.as_bytes().to_vec(), v.as_bytes().to_vec())).collect()
}

#[test]
fn a_tree() {
    let expected = [("key", "A"), ("key", "BB"), ("key", ""), ("z", "last!"), ("y", "")];
    assert_eq!(read_any(&tree()), pairs(&expected));
    let file = BTreeFile::open(MemoryFile::boxed(&tree())).unwrap();
    assert_eq!(file.tree().comparator, Comparator::Custom);
    let mut records = file.records();
    let record = records.next_record().unwrap().unwrap();
    assert_eq!((record.offset, record.duplicate), (LEAF_1 as u64, 0));
}

#[test]
fn an_unknown_comparator_is_a_warning() {
    let mut bytes = tree();
    bytes[128] = 9;
    let file = AnyFile::open(MemoryFile::boxed(&bytes)).unwrap();
    assert_eq!(file.warnings(), [Warning::Comparator { byte: 9 }]);
    let expected = "header, offset 128: comparator is 9, expected 0 to 3, or 255: what order the \
                    keys are in is unknown, the records can be read";
    assert_eq!(file.warnings()[0].to_string(), expected);
    assert_eq!(crate::drain(file.records()).len(), 5);
}

/// A file whose slots are given as they are, with the ids that hold records.
pub(crate) fn fixed(width: u64, ids: &[u64], slots: &[&[u8]]) -> Vec<u8> {
    let length_len = [1, 2, 4][usize::from(width > 0xff) + usize::from(width > 0xffff)];
    let slot_len = length_len + usize::try_from(width).unwrap();
    let len = (256 + slots.len() * slot_len) as u64;
    let (min, max) = (ids.first().copied().unwrap_or(0), ids.last().copied().unwrap_or(0));
    let count = ids.len() as u64;
    let mut bytes =
        header(2, &[(48, count), (56, len), (64, width), (72, 1 << 20), (80, min), (88, max)]);
    for slot in slots {
        bytes.extend(*slot);
        bytes.resize(bytes.len() + slot_len - slot.len(), 0);
    }
    bytes
}

#[test]
fn fixed_length_files_of_every_length_of_length() {
    // The second is the empty value, the third no record.
    let one: [&[u8]; 4] = [b"\x02ab", b"\x00\x01", b"\x00\x00junk", b"\x05hello"];
    let expected = pairs(&[("1", "ab"), ("2", ""), ("4", "hello")]);
    assert_eq!(read_any(&fixed(5, &[1, 2, 4], &one)), expected);
    let two: [&[u8]; 4] = [b"\x02\x00ab", b"\x00\x00\x01", b"", b"\x05\x00hello"];
    assert_eq!(read_any(&fixed(256, &[1, 2, 4], &two)), expected);
    let four: [&[u8]; 4] = [b"\x02\0\0\0ab", b"\0\0\0\0\x01", b"", b"\x05\0\0\0hello"];
    assert_eq!(read_any(&fixed(65_536, &[1, 2, 4], &four)), expected);
    assert_eq!(read_any(&fixed(5, &[], &[b"", b""])), []);
    assert_eq!(read_any(&fixed(5, &[], &[])), []);
}
