//! Open files and held locks of the simulated disk.

use super::names::FileId;
use super::state::State;
use super::stored::Change;
use super::{Shared, locked};
use std::fmt;
use std::io::{self, ErrorKind};
use todana_io::{DiskFile, Lock, Mapping};

/// An open file. While it lives the file's content does, whatever happens to its name.
pub(super) struct SimFile {
    disk: Shared,
    id: FileId,
    writable: bool,
}

impl SimFile {
    /// A handle; `state` is that of `disk`, locked by the caller.
    pub(super) fn open(disk: &Shared, state: &mut State, id: FileId, writable: bool) -> SimFile {
        state.file_mut(id).handle_count += 1;
        SimFile { disk: disk.clone(), id, writable }
    }

    fn to_write(&self) -> io::Result<()> {
        match self.writable {
            true => Ok(()),
            false => Err(io::Error::new(ErrorKind::PermissionDenied, "the file is open to read")),
        }
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        locked(&self.disk).close(self.id);
    }
}

impl fmt::Debug for SimFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SimFile").field("id", &self.id).finish_non_exhaustive()
    }
}

impl DiskFile for SimFile {
    fn len(&self) -> io::Result<u64> {
        let state = locked(&self.disk);
        state.alive()?;
        Ok(state.file(self.id).current().len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let state = locked(&self.disk);
        state.alive()?;
        Ok(state.file(self.id).current().read(offset, buffer))
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.to_write()?;
        locked(&self.disk).write(self.id, offset, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        locked(&self.disk).sync(self.id)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.to_write()?;
        locked(&self.disk).change_len(self.id, Change::Grow(len))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.to_write()?;
        locked(&self.disk).change_len(self.id, Change::SetLen(len))
    }

    fn map(&self, _len: usize) -> io::Result<Option<Mapping>> {
        locked(&self.disk).alive()?;
        Ok(None)
    }
}

/// A held lock; its handle keeps the lock file's content.
#[derive(Debug)]
pub(super) struct SimLock(pub(super) SimFile);

impl Lock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        locked(&self.0.disk).locks.remove(&self.0.id);
    }
}
