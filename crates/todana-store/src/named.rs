//! Stores by name, as Tokyo Cabinet's abstract database had them.

use crate::store::{Error, Store};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use todana_cache::{Cache, CacheOptions};
use todana_engine::Engine;
use todana_hash::{Codec, FlushPolicy, Hash, HashOptions, Lz4, Mode, Zstd};
use todana_io::{Clock, SystemClock, SystemDisk};
use todana_tree::{Tree, TreeOptions};

/// Bytes of a store in memory, unless it says otherwise.
const MEMORY_BYTES: u64 = 64 << 20;

/// Options of stores in memory.
const MEMORY_OPTIONS: &str = "memory=SIZE, evictions=on|off, cas=on|off";
/// Options of ordered stores in memory.
const ORDERED_OPTIONS: &str = "memory=SIZE, cas=on|off";
/// Options of ordered stores on disk.
const TREE_OPTIONS: &str = "flush=group|never|interval=TIME, cas=on|off, mode=create|existing|read, \
    cache=SIZE, checkpoint=SIZE, stream=SIZE";
/// Options of hash stores.
const HASH_OPTIONS: &str = "flush=group|never|interval=TIME, cas=on|off, mode=create|existing|read, \
    map=on|off, space=PERCENT, compaction=SIZE (a second), stream=SIZE, \
    partitions=NUMBER, compression=none|lz4|zstd[:LEVEL], cache=SIZE";

/// A store's name, understood.
#[derive(Debug, Clone)]
pub enum Name {
    /// `*`: in memory.
    Memory(CacheOptions),
    /// `+`: in memory, in the order of keys; nothing is evicted.
    Ordered(TreeOptions),
    /// A directory that ends in `.tdt`: on disk, in the order of keys.
    Tree {
        /// The directory.
        directory: PathBuf,
        /// Its options.
        options: TreeOptions,
    },
    /// A directory that ends in `.tdh`, or any that is told to be one.
    Hash {
        /// The directory.
        directory: PathBuf,
        /// Its options.
        options: HashOptions,
        /// Whether files may be mapped into memory.
        map: bool,
    },
}

fn wrong(message: String) -> Error {
    Error::Name(message)
}

/// Opens a store by name: a directory ending in `.tdh` is a hash store on disk, one ending in `.tdt` an ordered
/// one, which is made when there is none; `*` is memory, `+` is memory in the order of keys. Options follow, each behind a `#`: `casket.tdh#flush=never#cas=off`.
///
/// A hash store waits for the disk after every change (`flush=group`) unless it is told otherwise. One
/// process at a time has it open; `mode=read` reads besides.
///
/// # Errors
/// [`Error::Name`] for a name or option that means nothing, with those that do; what the engine meets.
pub fn open(name: &str) -> Result<Store, Error> {
    Name::parse(name)?.open()
}

impl Name {
    /// Understands a name; touches no disk.
    ///
    /// # Errors
    /// [`Error::Name`].
    pub fn parse(name: &str) -> Result<Name, Error> {
        let (path, options) = name.split_once('#').unwrap_or((name, ""));
        let parsed = match path {
            "*" => {
                let options =
                    CacheOptions { memory_limit_bytes: MEMORY_BYTES, ..CacheOptions::default() };
                Name::Memory(options)
            }
            "+" => {
                let memory_limit_bytes = MEMORY_BYTES;
                Name::Ordered(TreeOptions { memory_limit_bytes, ..TreeOptions::default() })
            }
            _ if Path::new(path).extension().is_some_and(|extension| extension == "tdh") => {
                Name::directory(Path::new(path))
            }
            _ if Path::new(path).extension().is_some_and(|extension| extension == "tdt") => {
                Name::Tree { directory: path.into(), options: TreeOptions::default() }
            }
            _ => {
                return Err(wrong(format!(
                    "the store `{path}` has no known kind: NAME.tdh is a hash store, \
                     NAME.tdt an ordered one, * is memory, + is memory in the order of keys"
                )));
            }
        };
        parsed.with(options)
    }

    /// A hash store in a directory of any name, without options.
    pub fn directory(directory: &Path) -> Name {
        let options = HashOptions::default();
        Name::Hash { directory: directory.to_owned(), options, map: true }
    }

    /// The name with options as they stand behind a `#`, several of them with a `#` between.
    ///
    /// # Errors
    /// [`Error::Name`].
    pub fn with(mut self, options: &str) -> Result<Name, Error> {
        for part in options.split('#').filter(|part| !part.is_empty()) {
            let (option, value) = part.split_once('=').unwrap_or((part, ""));
            self.set(option, value)?;
        }
        Ok(self)
    }

    /// The name with a codec of the caller's own, which packs what a new store holds, and without which
    /// that store cannot be opened later. Stores in memory have none.
    pub fn with_codec(mut self, codec: Arc<dyn Codec>) -> Name {
        if let Name::Hash { options, .. } = &mut self {
            options.codec = Some(codec);
        }
        self
    }

    /// Whether a change that was acknowledged should be durable, unless somebody says otherwise.
    pub fn acknowledges_durable(&self) -> bool {
        match self {
            Name::Memory(_) | Name::Ordered(_) => false,
            Name::Hash { options, .. } => {
                options.flush == FlushPolicy::Group && options.mode != Mode::ReadOnly
            }
            Name::Tree { options, .. } => {
                options.flush == FlushPolicy::Group && options.mode != Mode::ReadOnly
            }
        }
    }

    fn set(&mut self, option: &str, value: &str) -> Result<(), Error> {
        let known = match self {
            Name::Memory(_) => MEMORY_OPTIONS,
            Name::Ordered(_) => ORDERED_OPTIONS,
            Name::Tree { .. } => TREE_OPTIONS,
            Name::Hash { .. } => HASH_OPTIONS,
        };
        let done = match self {
            Name::Memory(options) => set_memory(options, option, value),
            Name::Ordered(options) => set_ordered(options, option, value),
            Name::Tree { options, .. } => set_tree(options, option, value),
            Name::Hash { options, map, .. } => set_hash(options, map, option, value),
        };
        match done {
            Some(Ok(())) => Ok(()),
            Some(Err(wanted)) => {
                Err(wrong(format!("store option `{option}={value}`: it takes {wanted}")))
            }
            None => Err(wrong(format!("unknown store option `{option}`; there are {known}"))),
        }
    }

    /// Opens the store.
    ///
    /// # Errors
    /// What the engine meets.
    pub fn open(self) -> Result<Store, Error> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let waits = self.acknowledges_durable();
        Ok(Store::running(self.open_engine()?, clock, waits))
    }

    /// Opens the engine alone; whoever does runs its jobs.
    ///
    /// # Errors
    /// What the engine meets.
    pub fn open_engine(self) -> Result<Arc<dyn Engine>, Error> {
        match self {
            Name::Memory(options) => Ok(Arc::new(Cache::new(options)?)),
            Name::Ordered(options) => Ok(Arc::new(Tree::new(options))),
            Name::Tree { directory, options } => {
                let disk = Arc::new(SystemDisk::new());
                Ok(Arc::new(Tree::open(disk, &directory, options)?.0))
            }
            Name::Hash { directory, options, map } => {
                let disk = if map { SystemDisk::new() } else { SystemDisk::without_mappings() };
                Ok(Arc::new(Hash::open(Arc::new(disk), &directory, options)?))
            }
        }
    }
}

type Set = Option<Result<(), &'static str>>;

fn set_memory(options: &mut CacheOptions, option: &str, value: &str) -> Set {
    Some(match option {
        "memory" => bytes(value).map(|bytes| options.memory_limit_bytes = bytes),
        "evictions" => switch(value).map(|on| options.evictions = on),
        "cas" => switch(value).map(|on| options.versions = on),
        _ => return None,
    })
}

fn set_ordered(options: &mut TreeOptions, option: &str, value: &str) -> Set {
    Some(match option {
        "memory" => bytes(value).map(|bytes| options.memory_limit_bytes = bytes),
        "cas" => switch(value).map(|on| options.versions = on),
        _ => return None,
    })
}

fn set_tree(options: &mut TreeOptions, option: &str, value: &str) -> Set {
    Some(match option {
        "flush" => flush(value).map(|policy| options.flush = policy),
        "cas" => switch(value).map(|on| options.versions = on),
        "mode" => mode(value).map(|mode| options.mode = mode),
        "cache" => bytes(value).map(|bytes| options.cache_bytes = bytes),
        "checkpoint" => bytes(value).map(|bytes| options.checkpoint_bytes = bytes),
        "stream" => bytes(value).map(|bytes| options.stream_bytes = bytes),
        _ => return None,
    })
}

fn set_hash(options: &mut HashOptions, map: &mut bool, option: &str, value: &str) -> Set {
    Some(match option {
        "flush" => flush(value).map(|policy| options.flush = policy),
        "cas" => switch(value).map(|on| options.versions = on),
        "mode" => mode(value).map(|mode| options.mode = mode),
        "map" => switch(value).map(|on| *map = on),
        "space" => match value.parse() {
            Ok(percent @ 110..=1_000) => {
                options.space_percent = percent;
                Ok(())
            }
            _ => Err("a percentage of the live data from 110 to 1000"),
        },
        "compaction" => bytes(value).map(|bytes| options.compaction_bytes_per_s = bytes),
        "stream" => bytes(value).map(|bytes| options.stream_bytes = bytes),
        "compression" => compression(value).map(|codec| options.codec = codec),
        "cache" => bytes(value).map(|bytes| options.cache_bytes = bytes),
        "partitions" => match value.parse() {
            Ok(count @ 1..=4_096) => {
                options.partitions = count;
                Ok(())
            }
            _ => Err("a number from 1 to 4096"),
        },
        _ => return None,
    })
}

fn compression(value: &str) -> Result<Option<Arc<dyn Codec>>, &'static str> {
    let wanted = "none, lz4, zstd or zstd:LEVEL with a level from 1 to 22";
    match value.split_once(':') {
        None if value == "none" => Ok(None),
        None if value == "lz4" => Ok(Some(Arc::new(Lz4))),
        None if value == "zstd" => Ok(Some(Arc::new(Zstd::default()))),
        Some(("zstd", level)) => match level.parse() {
            Ok(level @ 1..=22) => Ok(Some(Arc::new(Zstd::with_level(level)))),
            _ => Err(wanted),
        },
        _ => Err(wanted),
    }
}

fn switch(value: &str) -> Result<bool, &'static str> {
    match value {
        "on" | "" => Ok(true),
        "off" => Ok(false),
        _ => Err("on or off"),
    }
}

fn mode(value: &str) -> Result<Mode, &'static str> {
    match value {
        "create" => Ok(Mode::Create),
        "existing" => Ok(Mode::Existing),
        "read" => Ok(Mode::ReadOnly),
        _ => Err("create, existing or read"),
    }
}

fn flush(value: &str) -> Result<FlushPolicy, &'static str> {
    let wanted = "group, never or interval=TIME, as in interval=100ms";
    match value.split_once('=') {
        None if value == "group" => Ok(FlushPolicy::Group),
        None if value == "never" => Ok(FlushPolicy::Never),
        Some(("interval", time)) => time_of(time).map(FlushPolicy::Interval).ok_or(wanted),
        _ => Err(wanted),
    }
}

fn time_of(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let number: u64 = digits.parse().ok().filter(|&number| number > 0)?;
    match text.get(digits.len()..)? {
        "ms" => Some(Duration::from_millis(number)),
        "s" | "" => Some(Duration::from_secs(number)),
        _ => None,
    }
}

fn bytes(value: &str) -> Result<u64, &'static str> {
    let wanted = "a number of bytes, as in 65536, 64k, 64m or 1g";
    let digits = value.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let shift = match value.get(digits.len()..).map(str::to_ascii_lowercase).as_deref() {
        Some("") => 0,
        Some("k") => 10,
        Some("m") => 20,
        Some("g") => 30,
        _ => return Err(wanted),
    };
    let number: u64 = digits.parse().map_err(|_| wanted)?;
    number.checked_mul(1 << shift).ok_or(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use todana_engine::{Direction, Range};

    fn refusal(name: &str) -> String {
        Name::parse(name).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn names_and_options() {
        let Name::Hash { directory, options, map } =
            Name::parse("/x/a.tdh#flush=interval=100ms#cas=off#space=200#map=off").unwrap()
        else {
            panic!("another engine")
        };
        assert_eq!(directory, Path::new("/x/a.tdh"));
        assert_eq!(options.flush, FlushPolicy::Interval(Duration::from_millis(100)));
        assert!(!options.versions && options.space_percent == 200 && !map);
        let Name::Memory(options) = Name::parse("*#memory=1g").unwrap() else {
            panic!("another engine")
        };
        assert_eq!(options.memory_limit_bytes, 1 << 30);
        assert!(refusal("a.tch").contains("NAME.tdh is a hash store"));
        assert!(refusal("a.tdh#bnum=7").contains("unknown store option `bnum`; there are flush="));
        assert!(refusal("a.tdh#flush=often").contains("it takes group, never or interval="));
        assert!(refusal("*#flush=never").contains("there are memory="));
        assert!(refusal("*#memory=lots").contains("a number of bytes"));
    }

    #[test]
    fn a_store_keeps_what_it_was_given() {
        let directory = tempfile::tempdir().unwrap();
        let name = directory.path().join("a.tdh").to_str().unwrap().to_owned();
        let store = open(&name).unwrap();
        let version = store.set(b"key", b"value").unwrap();
        store.set(b"gone", b"x").unwrap();
        store.delete(b"gone").unwrap();
        let second = open(&name).err().unwrap().to_string();
        assert!(second.contains("in use by process"), "{second}");
        let reader = open(&format!("{name}#mode=read")).unwrap();
        assert_eq!(reader.get(b"key").unwrap().unwrap().value, b"value");
        assert!(reader.set(b"key", b"no").is_err());
        drop(reader);
        store.close().unwrap();
        let store = open(&format!("{name}#mode=existing")).unwrap();
        let record = store.get(b"key").unwrap().unwrap();
        assert_eq!((&record.value[..], record.meta.version), (&b"value"[..], version));
        assert_eq!((store.get(b"gone").unwrap(), store.len()), (None, 1));
        let missing = directory.path().join("b.tdh");
        let missing = format!("{}#mode=existing", missing.display());
        assert!(open(&missing).err().unwrap().to_string().contains("there is no store"));
    }

    #[test]
    fn an_ordered_store_is_there_again() {
        let directory = tempfile::tempdir().unwrap();
        let name = directory.path().join("a.tdt").to_str().unwrap().to_owned();
        for round in 0..3_u32 {
            let store = open(&format!("{name}#flush=never#checkpoint=64k#cache=64k")).unwrap();
            assert_eq!(store.len(), u64::from(round) * 5_000);
            for n in 0..5_000_u32 {
                let key = (n * 3 + round).to_be_bytes();
                store.set(&key, &[round.to_le_bytes()[0]; 20]).unwrap();
            }
            assert!(open(&name).err().unwrap().to_string().contains("in use by process"));
            store.close().unwrap();
        }
        let store = open(&format!("{name}#mode=read")).unwrap();
        assert!(store.set(b"a", b"b").is_err());
        let mut next = 0_u32;
        let all = Range::ALL;
        store
            .for_each_in(&all, Direction::Forward, |view| {
                assert_eq!(view.key, next.to_be_bytes());
                next += 1;
                true
            })
            .unwrap();
        assert_eq!((next, store.count_in(&all).unwrap()), (15_000, 15_000));
    }

    #[test]
    fn transactions_happen_whole_or_not() {
        for name in ["*", "t.tdh", "t.tdt"] {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join(name).to_str().unwrap().to_owned();
            let store = open(if name == "*" { name } else { &path }).unwrap();
            store.set(b"a", b"1").unwrap();
            let mut first = store.begin();
            assert_eq!(first.get(b"a").unwrap().unwrap(), b"1");
            assert_eq!(first.get(b"b").unwrap(), None);
            first.set(b"b", b"2");
            first.delete(b"a");
            assert_eq!((first.get(b"a").unwrap(), store.get(b"b").unwrap()), (None, None));
            let mut second = store.begin();
            second.get(b"b").unwrap();
            second.set(b"c", b"3");
            first.commit().unwrap();
            assert_eq!(store.get(b"b").unwrap().unwrap().value, b"2");
            assert_eq!(store.get(b"a").unwrap(), None);
            assert_eq!(second.commit(), Err(Error::Conflict));
            assert_eq!(store.get(b"c").unwrap(), None);
            let mut third = store.begin();
            third.set(b"b", b"never");
            third.abort();
            assert_eq!(store.get(b"b").unwrap().unwrap().value, b"2");
        }
    }
}
