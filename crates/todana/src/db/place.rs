//! Where a store is, and how the commands open it.

use crate::meter::{Meter, watched};
use crate::outcome::Failure;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use todana_io::{Disk as _, Open, SystemClock, SystemDisk};
use todana_store::engine::Error as EngineError;
use todana_store::{
    Checked, Codec, Error, FlushPolicy, Hash, HashOptions, Mode, Name, OnProgress, Store,
};

/// The file that every store's directory has.
const IDENTITY: &str = "store";
/// Times that a store is opened to read.
const LOOKS: u32 = 4;

/// A store that a user has named.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) directory: PathBuf,
    options: HashOptions,
    map: bool,
}

/// A store that was opened with its engine in hand, which tells more than the facade.
pub(super) struct Bare {
    pub(super) store: Store,
    pub(super) hash: Arc<Hash>,
}

impl Place {
    /// Understands a name: a directory that has a store in it, or what may become one: `NAME.tdh`, or any
    /// name without such an end, as the server takes it.
    pub(super) fn named(name: &str) -> Result<Place, Failure> {
        let (path, options) = name.split_once('#').unwrap_or((name, ""));
        let directory = Path::new(path);
        let is_free = directory.extension().is_none() && !matches!(path, "" | "*" | "+");
        let parsed = match is_free || directory.join(IDENTITY).is_file() {
            // Its options are those of a hash store, whatever the directory is called.
            true => Name::directory(directory).with(options),
            false => Name::parse(name).map_err(|error| match directory.extension() {
                Some(end) if end != "tdh" => Error::Name(format!(
                    "there is no store at {path}, and none can be made: NAME.tdh, or a name without \
                     an end, is a hash store"
                )),
                _ => error,
            }),
        };
        match parsed? {
            Name::Hash { directory, options, map } => Ok(Place { directory, options, map }),
            Name::Tree { .. } => Err(Failure::because(
                "the commands of `todana db` do not know ordered stores yet; programs that embed one and \
                 `todana serve` do",
            )),
            Name::Memory(_) | Name::Ordered(_) => {
                Err(Failure::because("a store in memory ends with its process: name one on disk"))
            }
        }
    }

    /// Whether there is a store.
    pub(super) fn exists(&self) -> bool {
        self.directory.join(IDENTITY).is_file()
    }

    fn must_exist(&self) -> Result<(), Failure> {
        match self.exists() {
            true => Ok(()),
            false => Err(Failure::Because(format!(
                "there is no store at {}; `todana db create` makes one",
                self.directory.display()
            ))),
        }
    }

    /// Refuses a store that is there already.
    pub(super) fn must_be_new(&self) -> Result<(), Failure> {
        match self.exists() {
            true => {
                Err(Failure::Because(format!("{} is a store already", self.directory.display())))
            }
            false => Ok(()),
        }
    }

    fn with(&self, mode: Mode) -> Place {
        // Closing makes everything durable; until then nobody was told that anything is.
        let options = HashOptions { mode, flush: FlushPolicy::Never, ..self.options.clone() };
        Place { options, ..self.clone() }
    }

    fn disk(&self) -> SystemDisk {
        if self.map { SystemDisk::new() } else { SystemDisk::without_mappings() }
    }

    fn bare(&self, mode: Mode) -> Result<Bare, Error> {
        let Place { directory, options, .. } = self.with(mode);
        let hash = watched("opening the store", || {
            Hash::open(Arc::new(self.disk()), &directory, options).map(Arc::new)
        })?;
        let store = Store::over(hash.clone(), Arc::new(SystemClock::new()));
        Ok(Bare { store, hash })
    }

    /// Opens the store to read. A writer that has it open replaces files meanwhile: what fails is tried
    /// again before it is believed.
    fn look(&self) -> Result<Bare, Error> {
        let mut looked = self.bare(Mode::ReadOnly);
        for _ in 1..LOOKS {
            if looked.is_ok() {
                break;
            }
            looked = self.bare(Mode::ReadOnly);
        }
        looked
    }

    /// Opens the store as it was last made safe, beside whoever has it open.
    pub(super) fn read(&self) -> Result<Bare, Failure> {
        self.must_exist()?;
        self.look().map_err(opening)
    }

    /// As [`read`](Place::read); within, what is damaged so that nothing can be read.
    pub(super) fn try_read(&self) -> Result<Result<Bare, String>, Failure> {
        self.must_exist()?;
        match self.look() {
            Ok(bare) => Ok(Ok(bare)),
            Err(Error::Engine(EngineError::Corrupt(reason))) => Ok(Err(reason)),
            Err(error) => Err(opening(error)),
        }
    }

    /// Verifies every checksum of the store's files.
    pub(super) fn check(&self) -> Result<Checked, Failure> {
        let mut meter = Meter::of_work();
        let progress: &mut OnProgress<'_> = &mut |done, total| meter.at_of(done, total);
        Hash::check(&SystemDisk::new(), &self.directory, self.codec(), progress)
            .map_err(Failure::because)
    }

    /// The codec that was named with the store: one that it was not made with does no harm.
    pub(super) fn codec(&self) -> Option<Arc<dyn Codec>> {
        self.options.codec.clone()
    }

    /// The directory by a name that has neither links nor dots in it.
    pub(super) fn whole_name(&self) -> Result<PathBuf, Failure> {
        let shown = self.directory.display();
        self.directory
            .canonicalize()
            .map_err(|error| Failure::Because(format!("there is no store at {shown}: {error}")))
    }

    /// Opens the store for good, without anything working in the background; within, what is damaged so
    /// that it cannot be.
    pub(super) fn try_recover(&self) -> Result<Result<Bare, String>, Failure> {
        self.must_exist()?;
        match self.bare(Mode::Existing) {
            Ok(bare) => Ok(Ok(bare)),
            Err(Error::Engine(EngineError::Corrupt(reason))) => Ok(Err(reason)),
            Err(error) => Err(opening(error)),
        }
    }

    /// Opens the store to change it; what is changed is safe when it was closed.
    pub(super) fn change(&self) -> Result<Store, Failure> {
        self.must_exist()?;
        self.open(Mode::Existing)
    }

    /// As [`change`](Place::change), and makes the store when there is none.
    pub(super) fn make(&self) -> Result<Store, Failure> {
        self.open(Mode::Create)
    }

    fn open(&self, mode: Mode) -> Result<Store, Failure> {
        let Place { directory, options, map } = self.with(mode);
        let name = Name::Hash { directory, options, map };
        watched("opening the store", || name.open()).map_err(opening)
    }

    /// Bytes of the store's files.
    pub(super) fn file_bytes(&self) -> Result<u64, Failure> {
        let disk = SystemDisk::new();
        let failed =
            |error| Failure::Because(format!("cannot read {}: {error}", self.directory.display()));
        let mut bytes = 0;
        for name in disk.list(&self.directory).map_err(failed)? {
            let len = disk.open(&self.directory.join(name), Open::Read).and_then(|file| file.len());
            bytes += match len {
                // Compaction of whoever has it open removes files.
                Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
                len => len.map_err(failed)?,
            };
        }
        Ok(bytes)
    }
}

/// Why a store cannot be opened, without the words for one that fails later.
fn opening(error: Error) -> Failure {
    match error {
        Error::Engine(EngineError::Poisoned(reason)) => Failure::Because(reason),
        error => error.into(),
    }
}
