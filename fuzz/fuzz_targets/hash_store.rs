//! A hash store whose files somebody has changed: it is opened, read, written, compacted and opened again.
//!
//! An input is a byte that chooses the store, and changes of 8 bytes each. Without forged checksums nothing
//! is served that was never stored under its key; with them nothing panics.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use todana_engine::{Cursor, Edit, Engine, Found, Look, Mutation, Put, View};
use todana_hash::{FlushPolicy, Hash, HashOptions};
use todana_log::fuzzing;
use todana_record::{Expiry, Timestamp};
use todana_sim::SimDisk;

const STORE: &str = "/store";
const NOW_MS: u64 = 1_700_000_000_000;
const KEYS: u8 = 24;
/// Changes of an input that count.
const CHANGES_MAX: usize = 8;
/// Flips that a checksum finds for certain.
const FLIPS_MAX: usize = 3;

type Stored = BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>>;

/// A store as its files are, and every value that a key ever had.
struct Image {
    files: Vec<(String, Vec<u8>)>,
    stored: Stored,
}

struct Wish(Option<Vec<u8>>, Expiry);

impl Mutation for Wish {
    fn evaluate<'s>(&'s mut self, _: Option<&'s View<'s>>) -> Edit<'s> {
        match &self.0 {
            Some(value) => Edit::Put(Put { expiry: self.1, ..Put::bytes(value) }),
            None => Edit::Remove,
        }
    }
}

fn open(disk: &SimDisk) -> Result<Hash, todana_engine::Error> {
    let options = HashOptions {
        flush: FlushPolicy::Group,
        space_percent: 150,
        least_segment_bytes: 4 << 10,
        ..HashOptions::default()
    };
    Hash::open(Arc::new(disk.clone()), Path::new(STORE), options)
}

/// A store with logs and packs, removals, expiry, a flush; closed, or ended without.
fn image(closed: bool) -> Image {
    let disk = SimDisk::new(1);
    disk.replace_content(Path::new(STORE).join("store"), &fuzzing::empty_store());
    let mut hash = open(&disk).expect("an empty store opens");
    let now = hash.clock().advance(NOW_MS);
    let mut stored = Stored::new();
    for step in 0..260_u64 {
        let key = vec![b'k', u8::try_from(step * 7 % u64::from(KEYS)).expect("small")];
        let len = usize::try_from(step * step % 91 * if step % 40 == 0 { 60 } else { 4 });
        let value = format!("{}-{step}-", key[1]).into_bytes().repeat(len.expect("small") / 8 + 1);
        let mut wish = match step % 9 {
            4 => Wish(None, Expiry::NEVER),
            7 => Wish(Some(value.clone()), Expiry::at_ms(NOW_MS + 50)),
            _ => Wish(Some(value.clone()), Expiry::NEVER),
        };
        hash.update(&key, now, &mut wish).expect("a change");
        stored.entry(key).or_default().insert(value);
        match step {
            60 => drop(hash.flush(None, now).expect("a flush")),
            120 | 200 => hash.compact().expect("a compaction"),
            150 => {
                drop(hash);
                hash = open(&disk).expect("a closed store opens");
            }
            _ if step % 5 == 0 => hash.sync().expect("a sync"),
            _ => {}
        }
    }
    let left = match closed {
        true => {
            drop(hash);
            disk
        }
        false => disk.kill(),
    };
    let names = left.files(STORE).into_iter().map(|(name, _)| name).filter(|name| name != "lock");
    let content = |name: &String| left.content(Path::new(STORE).join(name)).expect("it is listed");
    let files = names.map(|name| (name.clone(), content(&name))).collect();
    Image { files, stored }
}

fn images() -> &'static [Image; 2] {
    static IMAGES: OnceLock<[Image; 2]> = OnceLock::new();
    IMAGES.get_or_init(|| [image(true), image(false)])
}

/// Carries out the changes; `forged` are those that get right checksums.
fn changed(image: &Image, changes: &[u8], forged: bool) -> Vec<(String, Vec<u8>)> {
    let mut files = image.files.clone();
    let mut flips = 0;
    for change in changes.chunks_exact(8).take(CHANGES_MAX) {
        let count = files.len();
        let Some(at) = usize::from(change[1]).checked_rem(count) else { break };
        let a = usize::from(u16::from_be_bytes([change[4], change[5]]));
        let b = usize::from(u16::from_be_bytes([change[6], change[7]]));
        let other = files[b % count].1.clone();
        let (name, bytes) = &mut files[at];
        // Those from the end reach the footer whatever the file's length.
        let a = match change[2] {
            0..0x80 => a % (bytes.len() + 1),
            _ => bytes.len().saturating_sub(1 + usize::from(!(a as u16))),
        };
        match change[0] % 7 {
            0 if forged || flips < FLIPS_MAX => {
                flips += 1;
                if let Some(byte) = bytes.get_mut(a) {
                    *byte ^= 1 << (b % 8);
                }
            }
            1 => bytes.truncate(a),
            2 => bytes.iter_mut().skip(a).take(b).for_each(|byte| *byte = 0),
            3 => bytes.resize(bytes.len() + b % 9_000, 0),
            4 => drop(files.remove(at)),
            5 => {
                let from = a / 512 * 512;
                let piece = other.iter().skip(from).take(512 * (1 + b % 4));
                bytes.iter_mut().skip(from).zip(piece).for_each(|(byte, with)| *byte = *with);
            }
            6 if forged => {
                let id = name.split('.').next().and_then(|id| u64::from_str_radix(id, 16).ok());
                if let (Some(byte), Some(id)) = (bytes.get_mut(a), id) {
                    *byte = change[6];
                    fuzzing::repair(id, bytes);
                }
            }
            _ => {}
        }
    }
    files
}

/// Looks at every key, with `whole` at what a scan shows too; with `stored`, nothing else may be there.
fn look(hash: &Hash, now: Timestamp, stored: Option<&Stored>, whole: bool) {
    let is_stored = |view: &View<'_>| {
        let value = view.value.as_bytes().unwrap_or_default();
        let known = stored
            .is_none_or(|stored| stored.get(view.key).is_some_and(|values| values.contains(value)));
        assert!(known, "{:?} was never {value:?}", view.key);
    };
    let keys: Vec<[u8; 2]> = (0..KEYS).map(|key| [b'k', key]).collect();
    let borrowed: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
    hash.get_many(&borrowed, now, &mut |at, found| {
        if let Found::Record(view) = &found {
            assert_eq!(view.key, borrowed[at]);
            is_stored(view);
        }
        Look::Peeked
    });
    let (mut cursor, mut pieces) = (whole.then_some(Cursor::START), 0);
    while let Some(from) = cursor {
        pieces += 1;
        assert!(pieces < 10_000, "a scan does not end");
        cursor = hash.scan(&from, 50, now, &mut |view| is_stored(view)).unwrap_or(None);
    }
}

fn check(disk: &SimDisk, stored: Option<&Stored>) {
    for _ in 0..2 {
        let Ok(hash) = open(disk) else { return };
        let now = hash.clock().advance(NOW_MS + 100);
        look(&hash, now, stored, false);
        let _ = hash.compact();
        for job in 0..8 {
            hash.run_job(job % 2, now);
        }
        look(&hash, now, stored, true);
        let value = stored.and_then(|stored| stored[&b"k\x01"[..]].first().cloned());
        let mut wish = Wish(Some(value.unwrap_or_default()), Expiry::NEVER);
        let _ = hash.update(b"k\x01", now, &mut wish);
        let _ = hash.sync();
        look(&hash, now, stored, false);
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((&mode, changes)) = input.split_first() else { return };
    let (image, forged) = (&images()[usize::from(mode & 1)], mode & 2 != 0);
    let disk = SimDisk::new(2);
    disk.replace_content(Path::new(STORE).join("lock"), b"");
    for (name, content) in changed(image, changes, forged) {
        disk.replace_content(Path::new(STORE).join(name), &content);
    }
    check(&disk, (!forged).then_some(&image.stored));
});
