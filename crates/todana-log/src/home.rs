//! The directory of a store, and what its disk's refusals mean.

use crate::layout::identity::{self, Identity, StoreKind};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use todana_engine::Error;
use todana_io::{Disk, Lock, Open};

/// The file that says what a store is.
pub const IDENTITY: &str = "store";
/// The file that is locked by whoever writes.
const LOCK: &str = "lock";

/// Where a store's files are.
#[derive(Debug, Clone)]
pub struct Home {
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// The directory.
    pub directory: PathBuf,
}

impl Home {
    /// The path of a file.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Removes a file; for good when [`sync_names`](Home::sync_names) has returned.
    ///
    /// # Errors
    /// What the disk says.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(&self.path(name))
    }

    /// Makes it safe which names there are.
    ///
    /// # Errors
    /// What the disk says.
    pub fn sync_names(&self) -> io::Result<()> {
        self.disk.sync_dir(&self.directory)
    }
}

/// Whether an error says that there is no space.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// What an error of a write means: [`Error::NoSpace`] where nothing was harmed, else [`Error::Poisoned`].
pub fn refused(error: &io::Error) -> Error {
    match is_full(error) {
        true => Error::NoSpace,
        false => Error::Poisoned(error.to_string()),
    }
}

/// What an error means to somebody who opens a store: [`Error::NoSpace`], or [`Error::Open`] with `what`.
pub fn failed(what: &str) -> impl FnOnce(io::Error) -> Error {
    move |error| match refused(&error) {
        Error::NoSpace => Error::NoSpace,
        _ => Error::Open(format!("{what}: {error}")),
    }
}

/// Says what is wrong with a file.
pub fn corrupt(name: &str, reason: &str) -> Error {
    Error::Corrupt(format!("{name}: {reason}"))
}

/// Locks a store against other processes.
///
/// # Errors
/// [`Error::Open`] with who has it open, or with what the disk says.
pub fn lock_store(disk: &dyn Disk, directory: &Path) -> Result<Box<dyn Lock>, Error> {
    let shown = directory.display();
    let note = format!("process {}", std::process::id());
    disk.lock(&directory.join(LOCK), &note).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::Open(format!("there is no store at {shown}")),
        io::ErrorKind::WouldBlock => Error::Open(format!("{shown} is in use by {error}")),
        _ => Error::Open(format!("cannot lock {shown}: {error}")),
    })
}

/// Reads the file that says what a store is, with its length; `None` when there is none.
///
/// # Errors
/// [`Error::Open`] with what the disk says, or of a newer format; [`Error::Corrupt`].
pub fn read_identity(
    of: StoreKind,
    disk: &dyn Disk,
    directory: &Path,
) -> Result<Option<(Identity, u64)>, Error> {
    let path = directory.join(IDENTITY);
    let name = path.display().to_string();
    let file = match disk.open(&path, Open::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(failed(&name))?,
    };
    let read = || {
        let len = usize::try_from(file.len()?.min(1 << 20)).unwrap_or(0);
        let mut bytes = vec![0; len];
        file.read_exact_at(0, &mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(failed(&name))?;
    if let Some(reason) = identity::of_newer_format(of, &bytes) {
        return Err(Error::Open(format!("{name}: {reason}")));
    }
    let identity = Identity::decode(of, &bytes).map_err(|reason| corrupt(&name, &reason))?;
    Ok(Some((identity, bytes.len() as u64)))
}

/// Makes a directory and its parents, so that all of their names survive a crash.
///
/// # Errors
/// What the disk says.
pub fn make_directory(disk: &dyn Disk, directory: &Path) -> io::Result<()> {
    disk.create_dir(directory)?;
    // All names each time: who made them may have been interrupted before this.
    for path in directory.ancestors().filter(|path| !path.as_os_str().is_empty()) {
        let Some(parent) = path.parent() else { break };
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        match disk.sync_dir(parent) {
            // Who may not even read it has not made it either.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => break,
            done => done?,
        }
    }
    Ok(())
}
