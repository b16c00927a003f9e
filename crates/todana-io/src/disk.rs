//! The disk seam: what an engine that keeps files may ask of a file system.
//!
//! Engines use nothing but [`Disk`] and [`DiskFile`], so that the same code runs over the machine's
//! files ([`SystemDisk`](crate::SystemDisk)) and over a simulated disk that tears, drops and reorders writes.
//!
//! # What is promised, and what is not
//! - Bytes written with [`DiskFile::write_at`] are read back at once by everybody in this process. They
//!   survive a crash for certain only after a later [`DiskFile::sync`] of that file has returned; without
//!   it any part of them may survive, in any order.
//! - A new name, a removal or a rename survives for certain only after a later [`Disk::sync_dir`] of its
//!   directory; without it each may survive or not.
//! - A rename replaces its target as one step: after a crash the name leads to the old file or the new.
//! - After a sync has failed nothing is known of the bytes written before it.

use crate::mapping::Mapping;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// To read; it has to exist.
    Read,
    /// To read and write; it has to exist.
    Write,
    /// To read and write; made empty, and must not exist.
    Create,
}

/// A file system, as far as engines need one. Paths are taken as they are.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Makes a directory and its parents; it is no error when it exists.
    ///
    /// # Errors
    /// What the operating system says; so for every call here.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// Names of the files in a directory, in no order.
    ///
    /// # Errors
    /// As above; `NotFound` when there is no such directory.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;

    /// Opens a file. New files are readable and writable by their owner alone.
    ///
    /// # Errors
    /// As above; `NotFound` and `AlreadyExists` as [`Open`] says.
    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn DiskFile>>;

    /// Gives a file a new name in the same file system, in place of what had it.
    ///
    /// # Errors
    /// As above.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// As above; `NotFound` when there is none.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory survive a crash.
    ///
    /// # Errors
    /// As above.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Locks a file against every other process, until the lock is dropped or the process ends, and
    /// writes `note` into it, for whoever finds it locked.
    ///
    /// # Errors
    /// `WouldBlock` when somebody else holds it: the message is the note of the holder.
    fn lock(&self, path: &Path, note: &str) -> io::Result<Box<dyn Lock>>;
}

/// Holds a lock until it is dropped.
pub trait Lock: Send + Sync + fmt::Debug {}

/// An open file.
pub trait DiskFile: Send + Sync + fmt::Debug {
    /// Length in bytes.
    ///
    /// # Errors
    /// What the operating system says; so for every call here.
    fn len(&self) -> io::Result<u64>;

    /// Whether it is empty.
    ///
    /// # Errors
    /// As above.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Reads up to `buffer.len()` bytes at `offset`; fewer only at the end of the file.
    ///
    /// # Errors
    /// As above.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes all of `bytes` at `offset`; the file grows when they pass its end.
    ///
    /// # Errors
    /// As above; part of the bytes may have been written then.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes everything written before survive a crash, the file's length included.
    ///
    /// # Errors
    /// As above.
    fn sync(&self) -> io::Result<()>;

    /// Makes the file `len` bytes long and takes the space for all of them now, so that no later write
    /// within them can lack it. What was not written reads as zeros.
    ///
    /// # Errors
    /// As above; `StorageFull` when there is not enough space.
    fn allocate(&self, len: u64) -> io::Result<()>;

    /// Cuts or extends the file to `len` bytes; zeros are added without taking space.
    ///
    /// # Errors
    /// As above.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// The first `len` bytes as memory, to be read only; `None` where the disk has no such thing. The
    /// file must be at least that long and must never be made shorter while the mapping lives.
    ///
    /// # Errors
    /// As above.
    fn map(&self, len: usize) -> io::Result<Option<Mapping>>;
}

impl dyn DiskFile + '_ {
    /// Fills `buffer` from `offset`.
    ///
    /// # Errors
    /// `UnexpectedEof` when the file ends before, or what the operating system says.
    pub fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let len = self.read_at(offset, buffer)?;
        if len < buffer.len() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file ends too early"));
        }
        Ok(())
    }
}

/// Replaces a small file as one step that survives a crash: writes a file beside it, syncs, renames,
/// syncs the directory.
///
/// # Errors
/// What the disk says; the old content is still there then, or the new one.
pub fn replace(disk: &dyn Disk, directory: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let beside: PathBuf = directory.join(format!("{name}.new"));
    match disk.remove(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = disk.open(&beside, Open::Create)?;
    file.write_at(0, content)?;
    file.sync()?;
    drop(file);
    disk.rename(&beside, &directory.join(name))?;
    disk.sync_dir(directory)
}
