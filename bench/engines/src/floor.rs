//! The bound of a durable put: a bare loop of write and fdatasync.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::Result;

/// Bytes of one write.
const WRITE_LEN: usize = 32;
/// Length of the file that is there beforehand; two seconds write less.
const PREALLOCATED_BYTES: usize = 16 << 20;

/// What a put could cost at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Floor {
    /// Each write makes the file longer.
    Append,
    /// The file is full of zeros, written out, before the first write.
    Preallocated,
}

impl Floor {
    pub(crate) const ALL: [Self; 2] = [Self::Append, Self::Preallocated];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Append => "floor (append)",
            Self::Preallocated => "floor (preallocated)",
        }
    }

    pub(crate) const fn policy(self) -> &'static str {
        match self {
            Self::Append => "append 32 B, fdatasync",
            Self::Preallocated => "32 B into a file of zeros, fdatasync",
        }
    }

    /// Writes and flushes, and their number, in about `length`; the time that it really took.
    pub(crate) fn run(self, dir: &Path, length: Duration) -> Result<(u64, Duration)> {
        fs::create_dir_all(dir)?;
        let mut file = File::create(dir.join("floor"))?;
        if self == Self::Preallocated {
            file.write_all(&vec![0; PREALLOCATED_BYTES])?;
            file.sync_all()?;
            file.seek(SeekFrom::Start(0))?;
        }
        let begun = Instant::now();
        let mut count = 0u64;
        while begun.elapsed() < length {
            file.write_all(&[count.to_le_bytes()[0]; WRITE_LEN])?;
            file.sync_data()?;
            count += 1;
        }
        let elapsed = begun.elapsed();
        fs::remove_dir_all(dir)?;
        Ok((count, elapsed))
    }
}
