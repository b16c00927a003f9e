//! The part of a file that is in memory.

use std::io;
use todana_io::DiskFile;

/// Read at once where a file is read from its start to its end, in bytes: few calls for small records,
/// little memory for any number of files.
pub(super) const SEQUENTIAL_LEN: usize = 256 * 1024;
/// The same where pages are read that lie anywhere: most are shorter.
pub(super) const PAGE_LEN: usize = 32 * 1024;
/// The same for single numbers that lie anywhere.
pub(super) const NUMBER_LEN: usize = 4 * 1024;

/// A window that slides over the first `end` bytes of a file. It holds `read_len` bytes, or as many
/// as the longest piece that was asked for until a smaller one is read.
#[derive(Debug)]
pub(super) struct Window<'f> {
    file: &'f dyn DiskFile,
    end: u64,
    read_len: usize,
    start: u64,
    bytes: Vec<u8>,
}

impl<'f> Window<'f> {
    pub(super) const fn new(file: &'f dyn DiskFile, end: u64, read_len: usize) -> Window<'f> {
        Window { file, end, read_len, start: 0, bytes: Vec::new() }
    }

    /// The `len` bytes at `offset`; fewer only where the window's file ends. What is allocated does
    /// not pass that end either.
    pub(super) fn get(&mut self, offset: u64, len: usize) -> io::Result<&[u8]> {
        let len = clamp(len, self.end.saturating_sub(offset));
        let mut skip = self.skip(offset, len);
        if skip.is_none() {
            self.fill(offset, len)?;
            skip = Some(0);
        }
        let bytes = skip.and_then(|skip| self.bytes.get(skip..)).unwrap_or_default();
        Ok(bytes.get(..len).unwrap_or(bytes))
    }

    /// Where in the window the piece begins, when all of it is there.
    fn skip(&self, offset: u64, len: usize) -> Option<usize> {
        let skip = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        (skip.checked_add(len)? <= self.bytes.len()).then_some(skip)
    }

    fn fill(&mut self, offset: u64, len: usize) -> io::Result<()> {
        let want = clamp(len.max(self.read_len), self.end.saturating_sub(offset));
        self.bytes.clear();
        self.bytes.shrink_to(want.max(self.read_len));
        self.bytes.try_reserve_exact(want)?;
        self.bytes.resize(want, 0);
        self.start = offset;
        let read = self.file.read_at(offset, &mut self.bytes);
        // Nothing of a window that could not be filled may be taken for the file's.
        self.bytes.truncate(*read.as_ref().unwrap_or(&0));
        read.map(drop)
    }
}

fn clamp(len: usize, most: u64) -> usize {
    usize::try_from(most).map_or(len, |most| len.min(most))
}
