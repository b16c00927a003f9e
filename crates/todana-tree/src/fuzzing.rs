//! The decoders of a tree's bytes, for the fuzz targets of `fuzz/` alone: no part of the interface.
//!
//! Each function takes any bytes and panics when a promise of a decoder is broken. Sums would keep a fuzzer out:
//! they are made right first.

use crate::block::Block;
use crate::outline::{self, Outline};
use crate::page::{self, Place, UNIT_LEN};

/// Bytes whose magic and sum are right, whatever follows.
fn sealed(magic: [u8; 4], bytes: &[u8]) -> Vec<u8> {
    let sum = crc32c::crc32c(bytes).to_le_bytes();
    [&magic[..], &sum, bytes].concat()
}

/// A page: what it has can be looked at, whatever that is, and written again.
pub fn page(bytes: &[u8]) {
    let number = |at: usize| bytes.get(at..).and_then(|bytes| bytes.first_chunk());
    let (Some(store), Some(at)) = (number(0), number(16)) else { return };
    let (store, at) = (u64::from_le_bytes(*store), u64::from_le_bytes(*at));
    let sealed = sealed(*b"tdtp", bytes);
    let place = Place { at, len: sealed.len().div_ceil(UNIT_LEN) as u64 };
    let Ok((block, sequence)) = page::decode(&sealed, store, place) else { return };
    look_at(&block);
    let place = Place { at, len: page::units_of(&block) };
    let mut again = Vec::new();
    page::encode(&block, store, sequence, place, &mut again);
    let (same, of) = page::decode(&again, store, place).expect("what was written is read");
    assert_eq!((same.bytes(), same.count(), of), (block.bytes(), block.count(), sequence));
}

fn look_at(block: &Block) {
    for at in 0..block.count() {
        let (key, entry) = (block.key(at), block.entry(at));
        let (_, _) = (entry.meta(), entry.value.len());
        // In bytes from outside keys may stand in any order: it is found somewhere, or nowhere.
        let (Ok(place) | Err(place)) = block.find(&key);
        assert!(place <= block.count());
    }
}

/// An outline: encoding what it says gives bytes that say the same.
pub fn outline(bytes: &[u8]) {
    let Some(store) = bytes.first_chunk() else { return };
    let store = u64::from_le_bytes(*store);
    let Ok((sequence, lines)) = outline::decode(&sealed(*b"tdto", bytes), store) else { return };
    let mut outline = Outline::new(store, sequence);
    lines.iter().for_each(|line| outline.push(line));
    let again = outline.finish();
    assert!(again.len() <= bytes.len() + 8, "it is written in the shortest form");
    assert_eq!(outline::decode(&again, store), Ok((sequence, lines)));
}
