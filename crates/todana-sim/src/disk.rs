//! A disk in memory that loses power as a seed says.
//!
//! # Definitions
//! - *Durable* is what every crash spares; *pending* is what has been done since and may or may not
//!   survive; *doomed* is what was pending when a sync failed: it may or may not survive too, and no
//!   later sync makes it durable.
//! - An *operation* is a call that changes something, whether it succeeds or not: create, write, sync,
//!   allocate, set_len, rename, remove, sync_dir, create_dir. Taking a lock is none, though it may
//!   create and write the lock file.
//!
//! # What a crash spares
//! 1. Of each file everything up to its last successful sync.
//! 2. Of the pending and doomed changes of a file: none, all, the first ones, or any subset, in their
//!    order. A write may be torn: of the 512-byte sectors of the file that it touches any may be lost.
//!    A lost write that made the file longer may leave the length behind; the bytes are zeros then.
//! 3. Of the pending changes of names: none, all, the first ones, or any subset, but none without what
//!    it rests on. A rename happens as one step, between directories as well, and is durable as soon as
//!    either directory has been synced.
//! 4. Directories are names too: a new one is durable once its parent has been synced, and all in it
//!    goes when it goes. The root and the directory of relative paths are always there.
//!
//! The medium itself is good: what is durable stays, except where a test calls [`SimDisk::flip_bit`].

mod crash;
mod file;
mod image;
mod names;
mod state;
mod stored;
#[cfg(test)]
mod tests;

use file::{SimFile, SimLock};
use image::Image;
use state::{Power, State};
use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use stored::Change;
use todana_io::{Disk, DiskFile, Lock, Open};

type Shared = Arc<Mutex<State>>;

fn locked(shared: &Shared) -> MutexGuard<'_, State> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What happens to an operation in place of success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It fails with EIO, once. Of a write a prefix may have been done, as the disk's seed says; a sync
    /// dooms what was pending; anything else has not been done.
    Error,
    /// It fails with `StorageFull` and nothing has been done, once; a sync dooms what was pending.
    Full,
    /// The power goes off during it: it and every later call fail, reads too. What it was to change is
    /// pending, so that [`SimDisk::crash`] decides how much of it is there.
    PowerOff,
}

/// A disk in memory, for crash tests: it keeps apart what is durable and what is not, and
/// [`crash`](SimDisk::crash) makes of it the disk that a loss of power leaves.
///
/// Clones are the same disk; any thread may use it. It does the same in every run that makes the same
/// calls in the same order. Paths are compared by component; `..` has no meaning. As on Linux,
/// `allocate` never makes a file shorter, and `list` names directories too. `map` gives `None`.
#[derive(Clone)]
pub struct SimDisk {
    state: Shared,
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SimDisk").finish_non_exhaustive()
    }
}

impl SimDisk {
    /// An empty disk with power. The seed says how far writes get that fail.
    pub fn new(seed: u64) -> SimDisk {
        SimDisk::of(State::new(seed))
    }

    fn of(state: State) -> SimDisk {
        SimDisk { state: Arc::new(Mutex::new(state)) }
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }

    /// Cuts the power: the answer is the disk after it, where everything is durable. This disk and its
    /// files answer with errors from now on, and stay as they are: `crash` may be called again, with
    /// other seeds, and with the same seed gives the same. Costs about the number of 4-KiB pages of the
    /// files plus the bytes of the pending writes.
    ///
    /// The new disk has no locks, no faults, no operations counted; it keeps the capacity.
    pub fn crash(&self, seed: u64) -> SimDisk {
        let mut state = self.locked();
        if state.power == Power::On {
            state.power = Power::Off;
        }
        SimDisk::of(state.after_crash(seed))
    }

    /// Ends the process, as `kill -9`: the answer is the disk as the next process finds it, with
    /// everything that was written, nothing of it more durable than it was. This disk and its files
    /// answer with errors from now on. New as after [`crash`](SimDisk::crash): locks, faults, count.
    ///
    /// # Panics
    /// When the power is off: then only a crash tells what is left.
    #[must_use]
    pub fn kill(&self) -> SimDisk {
        let mut state = self.locked();
        assert!(state.power != Power::Off, "the power is off: call crash");
        state.power = Power::Killed;
        SimDisk::of(state.after_kill())
    }

    /// Operations so far, those that failed included; calls without power do not count.
    pub fn operations(&self) -> u64 {
        self.locked().operation_count
    }

    /// Plans a fault for the operation that finds [`operations`](SimDisk::operations) at `operation`,
    /// so the first one is 0.
    pub fn fail_at(&self, operation: u64, fault: Fault) {
        self.locked().faults.insert(operation, fault);
    }

    /// From now on, syncs of files fail with EIO and doom what was pending; or no longer.
    pub fn fail_all_syncs(&self, fail: bool) {
        self.locked().syncs_fail = fail;
    }

    /// Bounds the sum of the lengths of all files that have a name or are open, in bytes: what would
    /// make a file longer beyond it fails with `StorageFull`, and nothing has been done then.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.locked().capacity = bytes;
    }

    /// Turns bit `bit` of the byte at `offset` over, for good: in what is read and what is durable.
    ///
    /// # Panics
    /// When there is no such file or byte, or `bit` is above 7.
    pub fn flip_bit(&self, path: impl AsRef<Path>, offset: u64, bit: u8) {
        let mut state = self.locked();
        let id = state.names.get(&plain(path.as_ref())).expect("flip_bit needs a file");
        let file = state.file_mut(id);
        assert!(offset < file.current().len() && bit < 8, "flip_bit needs a bit of the file");
        file.flip(offset, 1 << bit);
    }

    /// Names and lengths of the files in a directory, in the order of names.
    pub fn files(&self, directory: impl AsRef<Path>) -> Vec<(String, u64)> {
        let state = self.locked();
        let directory = plain(directory.as_ref());
        let files = state.names.files_in(&directory);
        files.filter_map(|(path, id)| Some((name(path)?, state.file(id).current().len()))).collect()
    }

    /// What a read of the whole file gives; `None` when there is no such file. Works without power too.
    pub fn content(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        let state = self.locked();
        let id = state.names.get(&plain(path.as_ref())).ok()?;
        Some(state.file(id).current().to_vec())
    }

    /// Gives a file this content as if it had always had it, durable; makes the file and its
    /// directories if they are not there. Not an operation, not bound by the capacity.
    ///
    /// # Panics
    /// When the path cannot be that of a file.
    pub fn replace_content(&self, path: impl AsRef<Path>, bytes: &[u8]) {
        let planted = self.locked().plant(&plain(path.as_ref()), Image::of(bytes));
        planted.expect("replace_content needs the path of a file");
    }
}

impl Disk for SimDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.locked().create_dir(&plain(path))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let state = self.locked();
        state.alive()?;
        let path = plain(path);
        state.names.directory(&path)?;
        let files = state.names.files_in(&path).map(|(path, _)| path);
        Ok(files.chain(state.names.directories_in(&path)).filter_map(name).collect())
    }

    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.locked();
        state.alive()?;
        let path = plain(path);
        if how == Open::Create {
            state.create(&path)?;
        }
        let id = state.names.get(&path)?;
        Ok(Box::new(SimFile::open(&self.state, &mut state, id, how != Open::Read)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.locked().rename(&plain(from), &plain(to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.locked().remove(&plain(path))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.locked().sync_dir(&plain(path))
    }

    fn lock(&self, path: &Path, note: &str) -> io::Result<Box<dyn Lock>> {
        let mut state = self.locked();
        state.alive()?;
        let path = plain(path);
        if state.names.get(&path).is_err() {
            state.new_file(&path)?;
        }
        let id = state.names.get(&path)?;
        if let Some(holder) = state.locks.get(&id) {
            return Err(io::Error::new(ErrorKind::WouldBlock, holder.trim().to_owned()));
        }
        state.change(id, Change::SetLen(0))?;
        state.change(id, Change::Write(0, note.as_bytes().into()))?;
        state.locks.insert(id, note.to_owned());
        Ok(Box::new(SimLock(SimFile::open(&self.state, &mut state, id, true))))
    }
}

/// A path without its leading `.`, as which it would not compare equal.
fn plain(path: &Path) -> PathBuf {
    path.components().filter(|component| *component != Component::CurDir).collect()
}

/// The last component; a name that is not UTF-8 is none of ours.
fn name(path: &Path) -> Option<String> {
    Some(path.file_name()?.to_str()?.to_owned())
}
