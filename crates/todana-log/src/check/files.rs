//! Reading the files of a store that nobody has opened.

use crate::layout::header::SegmentKind;
use crate::{file_name, parse_name};
use std::io;
use std::path::Path;
use todana_engine::Error;
use todana_io::{Disk, DiskFile, Open};

/// No file of a store is longer: entries and a footer of about half of their bytes.
const FILE_LEN_MAX: u64 = 256 << 20;
/// Bytes that a disk gives or refuses as a whole.
const SECTOR_LEN: usize = 4096;
/// A segment's file, by its name.
#[derive(Debug, Clone, Copy)]
pub struct SegmentFile {
    /// What it holds.
    pub kind: SegmentKind,
    /// The id.
    pub id: u64,
    /// Bytes.
    pub len: u64,
}

impl SegmentFile {
    /// The name.
    pub fn name(&self) -> String {
        file_name(self.id, self.kind)
    }
}

/// The segments of a directory, packs first, each kind in order of its ids.
pub fn segments(disk: &dyn Disk, directory: &Path) -> Result<Vec<SegmentFile>, Error> {
    let names = disk.list(directory).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            Error::Open(format!("there is no store at {}", directory.display()))
        }
        _ => Error::Open(format!("{}: {error}", directory.display())),
    })?;
    let mut found: Vec<_> = names.iter().filter_map(|name| parse_name(name)).collect();
    found.sort_unstable_by_key(|&(kind, id)| (kind == SegmentKind::Log, id));
    let file = |(kind, id)| {
        let path = directory.join(file_name(id, kind));
        let len = disk.open(&path, Open::Read).and_then(|file| file.len()).unwrap_or(0);
        SegmentFile { kind, id, len }
    };
    Ok(found.into_iter().map(file).collect())
}

/// The bytes of a file; `None` when it is gone.
pub fn read_file(disk: &dyn Disk, directory: &Path, name: &str) -> io::Result<Option<Vec<u8>>> {
    let file = match disk.open(&directory.join(name), Open::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let len = usize::try_from(file.len()?.min(FILE_LEN_MAX)).unwrap_or(usize::MAX);
    let mut bytes = vec![0; len];
    match file.read_at(0, &mut bytes) {
        // A file that a writer makes shorter meanwhile has fewer.
        Ok(read) => bytes.truncate(read),
        Err(_) => read_in_pieces(&*file, &mut bytes),
    }
    Ok(Some(bytes))
}

/// Reads what a failing disk still gives; the rest stays zeros, which are no frame.
fn read_in_pieces(file: &dyn DiskFile, bytes: &mut [u8]) {
    for (offset, piece) in (0..).step_by(SECTOR_LEN).zip(bytes.chunks_mut(SECTOR_LEN)) {
        if file.read_at(offset, piece).is_err() {
            piece.fill(0);
        }
    }
}
