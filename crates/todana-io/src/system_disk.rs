//! The machine's own files.
#![expect(clippy::disallowed_methods, reason = "this module is the seam for files")]

use crate::disk::{Disk, DiskFile, Lock, Open};
use crate::mapping::Mapping;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;

/// Rights of new files: for their owner alone.
const FILE_MODE: u32 = 0o600;
/// Rights of new directories.
const DIR_MODE: u32 = 0o700;
/// Longest note in a lock file, in bytes.
const NOTE_LEN_MAX: u64 = 256;

/// The machine's file systems.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemDisk {
    without_mappings: bool,
}

impl SystemDisk {
    /// Files as they are.
    pub const fn new() -> SystemDisk {
        SystemDisk { without_mappings: false }
    }

    /// Files that are only read by calls, so that an I/O error is an error and not a signal.
    pub const fn without_mappings() -> SystemDisk {
        SystemDisk { without_mappings: true }
    }
}

impl Disk for SystemDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        std::fs::DirBuilder::new().recursive(true).mode(DIR_MODE).create(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(path)? {
            // A name that is not UTF-8 is none of ours.
            names.extend(entry?.file_name().into_string().ok());
        }
        Ok(names)
    }

    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new()
            .read(true)
            .write(how != Open::Read)
            .create_new(how == Open::Create)
            .mode(FILE_MODE)
            .open(path)?;
        Ok(Box::new(SystemFile { file, mapped: !self.without_mappings }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn lock(&self, path: &Path, note: &str) -> io::Result<Box<dyn Lock>> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(FILE_MODE)
            .open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // The lock counts, the note is a help: one that cannot be read is empty.
                let _ = file.take(NOTE_LEN_MAX).read_to_string(&mut holder);
                return Err(io::Error::new(io::ErrorKind::WouldBlock, holder.trim().to_owned()));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(note.as_bytes())?;
        Ok(Box::new(SystemLock(file)))
    }
}

#[derive(Debug)]
struct SystemLock(#[expect(dead_code, reason = "held, not used")] File);

impl Lock for SystemLock {}

#[derive(Debug)]
struct SystemFile {
    file: File,
    mapped: bool,
}

impl DiskFile for SystemFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            let rest = &mut buffer[done..];
            match self.file.read_at(rest, offset + done as u64) {
                Ok(0) => break,
                Ok(len) => done += len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    #[cfg(target_os = "linux")]
    fn allocate(&self, len: u64) -> io::Result<()> {
        let len = i64::try_from(len).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        nix::fcntl::posix_fallocate(&self.file, 0, len).map_err(io::Error::from)
    }

    #[cfg(not(target_os = "linux"))]
    fn allocate(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn map(&self, len: usize) -> io::Result<Option<Mapping>> {
        if !self.mapped || len == 0 {
            return Ok(None);
        }
        Mapping::of(&self.file, len).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::replace;

    #[test]
    fn files_are_written_read_mapped_and_listed() {
        let directory = tempfile::tempdir().unwrap();
        let disk = SystemDisk::new();
        let inside = directory.path().join("a/b");
        disk.create_dir(&inside).unwrap();
        let file = disk.open(&inside.join("f"), Open::Create).unwrap();
        file.allocate(8192).unwrap();
        file.write_at(100, b"hello").unwrap();
        file.sync().unwrap();
        let mut bytes = [0; 5];
        file.read_exact_at(100, &mut bytes).unwrap();
        assert_eq!((&bytes, file.len().unwrap()), (b"hello", 8192));
        assert_eq!(&file.map(8192).unwrap().unwrap()[100..105], b"hello");
        assert_eq!(file.read_at(8190, &mut bytes).unwrap(), 2);
        assert!(file.read_exact_at(8190, &mut bytes).is_err());
        let again = disk.open(&inside.join("f"), Open::Create).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        replace(&disk, &inside, "f", b"other").unwrap();
        replace(&disk, &inside, "f", b"third").unwrap();
        assert_eq!(disk.list(&inside).unwrap(), ["f"]);
        disk.sync_dir(&inside).unwrap();
        disk.remove(&inside.join("f")).unwrap();
        let gone = disk.open(&inside.join("f"), Open::Write).unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_lock_names_its_holder() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let disk = SystemDisk::new();
        let lock = disk.lock(&path, "process 7").unwrap();
        let refused = disk.lock(&path, "process 8").unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        assert_eq!(refused.to_string(), "process 7");
        drop(lock);
        disk.lock(&path, "process 8").unwrap();
    }
}
