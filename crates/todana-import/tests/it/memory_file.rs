//! A file in memory, which watches how it is read.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use todana_io::{DiskFile, Mapping};

/// The header is read into this many bytes, whatever the length of the file.
const HEADER_LEN: usize = 256;

/// The calls that an importer has no business to make.
macro_rules! read_only {
    () => {
        fn write_at(&self, _: u64, _: &[u8]) -> io::Result<()> {
            panic!("written to");
        }
        fn sync(&self) -> io::Result<()> {
            panic!("synced");
        }
        fn allocate(&self, _: u64) -> io::Result<()> {
            panic!("allocated");
        }
        fn set_len(&self, _: u64) -> io::Result<()> {
            panic!("cut");
        }
        fn map(&self, _: usize) -> io::Result<Option<Mapping>> {
            Ok(None)
        }
    };
}
#[derive(Debug)]
pub(crate) struct MemoryFile {
    bytes: Vec<u8>,
}

impl MemoryFile {
    pub(crate) fn boxed(bytes: &[u8]) -> Box<dyn DiskFile> {
        Box::new(MemoryFile { bytes: bytes.to_vec() })
    }

    /// A file of which one read in two fails, beginning with the second.
    pub(crate) fn flaky(bytes: &[u8]) -> Box<dyn DiskFile> {
        #[derive(Debug)]
        struct Flaky(MemoryFile, AtomicBool);
        impl DiskFile for Flaky {
            fn len(&self) -> io::Result<u64> {
                self.0.len()
            }
            fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
                match self.1.fetch_xor(true, Ordering::Relaxed) {
                    true => Err(io::Error::other("bad sector")),
                    false => self.0.read_at(offset, buffer),
                }
            }
            read_only!();
        }
        Box::new(Flaky(MemoryFile { bytes: bytes.to_vec() }, AtomicBool::new(false)))
    }
}

impl DiskFile for MemoryFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        // Buffers are as long as what is read at once: nobody may need more than the file has.
        let len_max = self.bytes.len().max(HEADER_LEN);
        assert!(buffer.len() <= len_max, "{} bytes of {}", buffer.len(), self.bytes.len());
        let rest = usize::try_from(offset).ok().and_then(|offset| self.bytes.get(offset..));
        let rest = rest.unwrap_or_default();
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    read_only!();
}
