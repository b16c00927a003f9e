//! Stores with a codec.

use crate::{Codec, FlushPolicy, Hash, HashOptions, Lz4, Zstd};
use std::path::Path;
use std::sync::Arc;
use todana_engine::{Effect, Engine, Error, Found, Look, conformance};
use todana_io::{Disk, SystemDisk};
use todana_record::{Meta, PartitionId, Position, Timestamp};

const NOW: Timestamp = Timestamp::from_ms(1_000);

fn options(codec: Arc<dyn Codec>) -> HashOptions {
    let flush = FlushPolicy::Never;
    HashOptions { codec: Some(codec), flush, cache_bytes: 256 << 10, ..HashOptions::default() }
}

fn open(path: &Path, options: HashOptions) -> Result<Hash, Error> {
    Hash::open(Arc::new(SystemDisk::new()), path, options)
}

fn record(number: u32) -> (String, String) {
    let key = format!("user:{number:08}");
    let value = format!("{{\"name\":\"user {number}\",\"mail\":\"user{number}@example.org\"}}");
    (key, value)
}

fn fill(hash: &Hash, count: u32) {
    for number in 0..count {
        let (key, value) = record(number);
        let meta = Meta::default();
        let effect = Effect::Put { key: key.as_bytes(), meta, value: value.as_bytes() };
        hash.apply(PartitionId(0), Position::START, &effect, NOW).unwrap();
    }
}

fn check(hash: &Hash, count: u32) {
    for number in 0..count {
        let (key, value) = record(number);
        let mut seen = None;
        hash.get(key.as_bytes(), NOW, &mut |found| {
            if let Found::Record(view) = found {
                seen = view.value.as_bytes().map(<[u8]>::to_vec);
            }
            Look::Fetched
        });
        assert_eq!(seen.as_deref(), Some(value.as_bytes()), "{key}");
    }
}

fn bytes_of(path: &Path) -> u64 {
    let files = std::fs::read_dir(path).unwrap();
    files.map(|file| file.unwrap().metadata().unwrap().len()).sum()
}

#[test]
fn conformance_with_codecs() {
    let directory = tempfile::tempdir().unwrap();
    let codecs: [fn() -> Arc<dyn Codec>; 2] = [|| Arc::new(Lz4), || Arc::new(Zstd::default())];
    for codec in codecs {
        let number = std::sync::atomic::AtomicU32::new(0);
        conformance::run(&|| {
            let number = number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let path = directory.path().join(format!("{}-{number}.tdh", codec().name()));
            Arc::new(open(&path, options(codec())).unwrap()) as Arc<dyn Engine>
        });
    }
}

#[test]
fn packed_stores_are_smaller_and_read_back() {
    let directory = tempfile::tempdir().unwrap();
    let count = 40_000;
    let mut sizes = Vec::new();
    let codecs: [Option<Arc<dyn Codec>>; 3] =
        [None, Some(Arc::new(Lz4)), Some(Arc::new(Zstd::default()))];
    for codec in codecs {
        let name = codec.as_ref().map_or("none".to_owned(), |codec| codec.name().to_owned());
        let path = directory.path().join(&name);
        let made = HashOptions { codec, flush: FlushPolicy::Never, ..HashOptions::default() };
        let hash = open(&path, made).unwrap();
        fill(&hash, count);
        check(&hash, count);
        hash.compact().unwrap();
        check(&hash, count);
        hash.close().unwrap();
        drop(hash);
        sizes.push(bytes_of(&path));
        // What the store is made with is known without being told.
        let hash = open(&path, HashOptions::default()).unwrap();
        check(&hash, count);
        // Left as a crash leaves it: scanned, not read from footers.
        fill(&hash, 1_000);
        hash.sync().unwrap();
        let disk = SystemDisk::new();
        let copy = directory.path().join(format!("{name}-copy"));
        std::fs::create_dir(&copy).unwrap();
        for file in disk.list(&path).unwrap().iter().filter(|name| *name != "lock") {
            std::fs::copy(path.join(file), copy.join(file)).unwrap();
        }
        let again = open(&copy, HashOptions::default()).unwrap();
        assert!(!again.report().clean);
        check(&again, count);
        let has_dictionary = copy.join("dictionary").exists();
        assert_eq!(has_dictionary, name == "zstd", "{name}");
    }
    let [none, lz4, zstd] = sizes[..] else { panic!() };
    assert!(zstd < lz4 && lz4 < none * 2 / 3, "{sizes:?}");
}

/// Turns every byte round, and leaves out what is the same at the end.
#[derive(Debug)]
pub(crate) struct Inverting;

impl Codec for Inverting {
    fn name(&self) -> &'static str {
        "inverting"
    }

    fn pack(&self, payload: &[u8], _: &[u8], out: &mut Vec<u8>) {
        // Shorter, or it would be stored as it is.
        let end = payload.iter().rposition(|&byte| byte != b'}').map_or(0, |last| last + 1);
        out.extend(payload[..end].iter().map(|byte| !byte));
    }

    fn unpack(&self, packed: &[u8], _: &[u8], len: usize) -> Result<Vec<u8>, String> {
        let mut out: Vec<u8> = packed.iter().map(|byte| !byte).collect();
        out.resize(len, b'}');
        Ok(out)
    }
}

#[derive(Debug)]
struct Named(usize);

impl Codec for Named {
    fn name(&self) -> &str {
        &"a name that is far too long to be remembered by any store, so it is refused"[..self.0]
    }

    fn pack(&self, payload: &[u8], _: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(payload);
    }

    fn unpack(&self, packed: &[u8], _: &[u8], _: usize) -> Result<Vec<u8>, String> {
        Ok(packed.to_vec())
    }
}

#[test]
fn what_could_not_be_read_again_is_not_made() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("own.tdh");
    let refused = open(&path, options(Arc::new(Named(65)))).err().unwrap().to_string();
    assert!(refused.contains("at most 64 bytes"), "{refused}");
    let many = HashOptions { partitions: 4_097, ..options(Arc::new(Named(64))) };
    let refused = open(&path, many.clone()).err().unwrap().to_string();
    assert!(refused.contains("at most 4096 partitions"), "{refused}");
    let hash = open(&path, HashOptions { partitions: 4_096, ..many }).unwrap();
    hash.close().unwrap();
    drop(hash);
    open(&path, options(Arc::new(Named(64)))).unwrap();
}

#[test]
fn a_codec_of_ones_own_has_to_be_given_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("own.tdh");
    let hash = open(&path, options(Arc::new(Inverting))).unwrap();
    fill(&hash, 2_000);
    hash.close().unwrap();
    drop(hash);
    let Err(Error::Open(reason)) = open(&path, HashOptions::default()) else { panic!() };
    assert!(reason.contains("codec `inverting`"), "{reason}");
    let hash = open(&path, options(Arc::new(Inverting))).unwrap();
    check(&hash, 2_000);
}
