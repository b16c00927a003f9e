//! Long values: each in a file of its own, in pieces with their checksums, so that they are written and
//! read without ever being in memory whole. Their records hold a reference.
//!
//! ```text
//! piece     64 KiB of the value, the last one what is left
//! u32       checksum of the piece, seeded with the blob's id and the piece's number
//! ```
//!
//! A blob is safe before a record refers to it, and is removed when the change that made the record dead is
//! safe. What a crash leaves without a record is removed at the next open.

use crc32c::{crc32c, crc32c_append};
use std::any::Any;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use todana_engine::{Error, Progress, ReadValue, Spill, Staged, Value};
use todana_io::{Disk, DiskFile, Open, random_seed};
use todana_log::layout::reference::Reference;
use todana_log::{Home, Meaning, is_full};

/// Bytes of a piece.
const PIECE_LEN: usize = 64 << 10;
/// Bytes after which what was written is synced: not all of a long value at its end.
const SYNC_LEN: u64 = 32 << 20;

pub(crate) fn blob_name(id: u64) -> String {
    format!("{id:016x}.blob")
}

/// The blob that a file name says; `None` for other names.
pub(crate) fn parse_blob_name(name: &str) -> Option<u64> {
    let id = name.strip_suffix(".blob").filter(|id| id.len() == 16)?;
    u64::from_str_radix(id, 16).ok()
}

fn sum(id: u64, number: u64, piece: &[u8]) -> u32 {
    let seed = crc32c_append(crc32c(&id.to_le_bytes()), &number.to_le_bytes());
    crc32c_append(seed, piece)
}

/// Writes a blob. Dropped before a record has taken it, it is removed.
#[derive(Debug)]
pub(crate) struct BlobWriter {
    home: Home,
    id: u64,
    file: Option<Box<dyn DiskFile>>,
    len: u64,
    /// Bytes in the file, and how many of them are synced.
    at: u64,
    synced: u64,
    number: u64,
    piece: Vec<u8>,
    has_failed: bool,
    finished: bool,
    taken: AtomicBool,
}

impl BlobWriter {
    /// A blob that makes its file when the first byte comes.
    pub(crate) fn new(home: Home) -> BlobWriter {
        BlobWriter {
            home,
            id: random_seed(),
            file: None,
            len: 0,
            at: 0,
            synced: 0,
            number: 0,
            piece: Vec::new(),
            has_failed: false,
            finished: false,
            taken: AtomicBool::new(false),
        }
    }

    /// A value that is staged in memory, and in a blob when it becomes long.
    pub(crate) fn stage(home: Home, len_max: u64, keep_len: usize) -> Staged {
        Staged::with_spill(len_max, keep_len, Box::new(BlobWriter::new(home)))
    }

    fn write_piece(&mut self) -> io::Result<()> {
        if self.file.is_none() {
            let path = self.home.path(&blob_name(self.id));
            self.file = Some(self.home.disk.open(&path, Open::Create)?);
        }
        let sum = sum(self.id, self.number, &self.piece);
        self.piece.extend_from_slice(&sum.to_le_bytes());
        if let Some(file) = &self.file {
            file.write_at(self.at, &self.piece)?;
        }
        self.at += self.piece.len() as u64;
        self.number += 1;
        self.piece.clear();
        if self.at - self.synced >= SYNC_LEN {
            self.sync()?;
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        // Once a sync has failed none tells the truth.
        if self.has_failed {
            return Err(io::Error::other("a sync of it has failed before"));
        }
        let done = self.file.as_ref().map_or(Ok(()), |file| file.sync());
        self.has_failed = done.is_err();
        self.synced = self.at;
        done
    }

    fn append(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        self.len += bytes.len() as u64;
        while !bytes.is_empty() {
            let (part, rest) = bytes.split_at(bytes.len().min(PIECE_LEN - self.piece.len()));
            self.piece.extend_from_slice(part);
            bytes = rest;
            if self.piece.len() == PIECE_LEN {
                self.write_piece()?;
            }
        }
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        if self.finished {
            return Ok(());
        }
        if !self.piece.is_empty() || self.file.is_none() {
            self.write_piece()?;
        }
        self.sync()?;
        self.home.sync_names()?;
        self.finished = true;
        Ok(())
    }

    /// What a record that takes this blob holds. It is the record's from now on.
    pub(crate) fn take(&self) -> Reference {
        self.taken.store(true, Ordering::Release);
        Reference { id: self.id, len: self.len }
    }
}

fn failed(error: &io::Error) -> Error {
    match is_full(error) {
        true => Error::NoSpace,
        false => Error::Open(format!("a long value cannot be written: {error}")),
    }
}

impl Spill for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.append(bytes).map_err(|error| failed(&error))
    }

    fn finish(&mut self) -> Result<(), Error> {
        self.end().map_err(|error| failed(&error))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Drop for BlobWriter {
    fn drop(&mut self) {
        if self.file.take().is_some() && !self.taken.load(Ordering::Acquire) {
            // What stays is removed at the next open.
            let _ = self.home.remove(&blob_name(self.id));
        }
    }
}

/// Reads a blob in pieces.
#[derive(Debug)]
pub(crate) struct BlobReader {
    file: Box<dyn DiskFile>,
    reference: Reference,
}

impl BlobReader {
    /// # Errors
    /// What the disk says; `NotFound` when it is gone.
    pub(crate) fn open(home: &Home, reference: Reference) -> io::Result<BlobReader> {
        BlobReader::open_in(&*home.disk, &home.directory, reference)
    }

    /// Checks a whole blob's file, whoever refers to it; gives its length.
    ///
    /// # Errors
    /// [`Error::Corrupt`] with the place; what the disk says.
    pub(crate) fn check(disk: &dyn Disk, directory: &Path, id: u64) -> Result<u64, Error> {
        let name = blob_name(id);
        let unread = |error: io::Error| Error::Corrupt(format!("{name}: cannot be read: {error}"));
        let file = disk.open(&directory.join(&name), Open::Read).map_err(unread)?;
        let file_len = file.len().map_err(unread)?;
        let len = file_len - (4 * file_len.div_ceil(PIECE_LEN as u64 + 4)).min(file_len);
        BlobReader { file, reference: Reference { id, len } }.each_piece(|_| {})?;
        Ok(file_len)
    }

    /// As [`open`](BlobReader::open), in another store's directory.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn open_in(
        disk: &dyn Disk,
        directory: &Path,
        reference: Reference,
    ) -> io::Result<BlobReader> {
        let path = directory.join(blob_name(reference.id));
        Ok(BlobReader { file: disk.open(&path, Open::Read)?, reference })
    }

    /// Its value, or as much as there is of one that nobody refers to, piece by piece.
    ///
    /// # Errors
    /// [`Error::Corrupt`], with the place.
    pub(crate) fn each_piece(&self, mut visit: impl FnMut(&[u8])) -> Result<(), Error> {
        let mut piece = Vec::new();
        for number in 0..self.reference.len.div_ceil(PIECE_LEN as u64) {
            self.read_piece(number, &mut piece)?;
            visit(&piece);
        }
        Ok(())
    }

    fn read_piece(&self, number: u64, piece: &mut Vec<u8>) -> Result<(), Error> {
        let Reference { id, len } = self.reference;
        let at = number * PIECE_LEN as u64;
        let piece_len = usize::try_from((len - at).min(PIECE_LEN as u64)).unwrap_or(PIECE_LEN);
        piece.resize(piece_len + 4, 0);
        let place = number * (PIECE_LEN as u64 + 4);
        let read = self.file.read_exact_at(place, piece);
        let what = |why: &str| Error::Corrupt(format!("{}: byte {place} {why}", blob_name(id)));
        read.map_err(|error| what(&format!("cannot be read: {error}")))?;
        let stored = piece.split_off(piece_len);
        match stored == sum(id, number, piece).to_le_bytes() {
            true => Ok(()),
            false => Err(what("begins a piece that fails its checksum")),
        }
    }
}

impl ReadValue for BlobReader {
    fn len(&self) -> u64 {
        self.reference.len
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<Progress<usize>, Error> {
        let mut filled = 0;
        let mut piece = Vec::new();
        while filled < buffer.len() {
            let at = offset + filled as u64;
            if at >= self.reference.len {
                break;
            }
            self.read_piece(at / PIECE_LEN as u64, &mut piece)?;
            let within = usize::try_from(at % PIECE_LEN as u64).unwrap_or(0);
            let part = piece.get(within..).unwrap_or_default();
            let rest = buffer.get_mut(filled..).unwrap_or_default();
            let len = part.len().min(rest.len());
            if let (Some(to), Some(from)) = (rest.get_mut(..len), part.get(..len)) {
                to.copy_from_slice(from);
            }
            filled += len;
        }
        Ok(Progress::Done(filled))
    }
}

/// The blobs of a store, for its update stream.
#[derive(Debug)]
pub(crate) struct Blobs(pub(crate) Home);

impl Meaning for Blobs {
    fn long_value(&self, reference: Reference) -> Result<Option<Vec<u8>>, Error> {
        let reader = match BlobReader::open(&self.0, reference) {
            Ok(reader) => reader,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::Corrupt(format!("a long value: {error}"))),
        };
        let mut value = Vec::with_capacity(usize::try_from(reference.len).unwrap_or(0));
        reader.each_piece(|piece| value.extend_from_slice(piece))?;
        Ok(Some(value))
    }
}

/// Writes a value into a blob of its own, for an engine that was not given a staged one.
///
/// # Errors
/// [`Error::NoSpace`], [`Error::Corrupt`] of what is read.
pub(crate) fn write_blob(home: &Home, first: Value<'_>, second: &[u8]) -> Result<Reference, Error> {
    let mut blob = BlobWriter::new(home.clone());
    match first {
        Value::Bytes(bytes) => blob.write(bytes)?,
        Value::Reader(reader) => {
            let mut buffer = vec![0; PIECE_LEN];
            let mut at = 0;
            while at < reader.len() {
                let Progress::Done(read) = reader.read_at(at, &mut buffer)? else { break };
                blob.write(buffer.get(..read).unwrap_or_default())?;
                at += read as u64;
            }
        }
    }
    blob.write(second)?;
    blob.finish()?;
    Ok(blob.take())
}
