//! Physical bounds: of a durable put a bare loop of write and fdatasync, of long values a plain file.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::Result;
use crate::row::Row;

/// Bytes of one write.
const WRITE_LEN: usize = 32;
/// Length of the file that is there beforehand; two seconds write less.
const PREALLOCATED_BYTES: usize = 16 << 20;

/// The long values of `append-long`, as the workload has them.
const LONG_LEN: usize = 100_000;
const RECORDS_A_LONG_VALUE: u32 = 50;
const LONG_VALUES_MAX: u32 = 20_000;

/// What a row could cost at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Floor {
    /// Each write makes the file longer.
    Append,
    /// The file is full of zeros, written out, before the first write.
    Preallocated,
    /// The bytes of `append-long`, one after the other into one file, flushed at the end.
    Sequential,
}

impl Floor {
    /// Those to be measured beside these rows.
    pub(crate) const fn beside(rows: &[Row]) -> &'static [Self] {
        match rows {
            [Row::PutDurable1] => &[Self::Append, Self::Preallocated],
            [Row::AppendLong] => &[Self::Sequential],
            _ => &[],
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Append => "floor (append)",
            Self::Preallocated => "floor (preallocated)",
            Self::Sequential => "floor (sequential write)",
        }
    }

    pub(crate) const fn policy(self) -> &'static str {
        match self {
            Self::Append => "append 32 B, fdatasync",
            Self::Preallocated => "32 B into a file of zeros, fdatasync",
            Self::Sequential => "100 KB at a time, fdatasync at the end",
        }
    }

    /// Number of writes, for about `length` or as `records` has them, and the time that it took.
    pub(crate) fn run(self, dir: &Path, length: Duration, records: u32) -> Result<(u64, Duration)> {
        fs::create_dir_all(dir)?;
        let mut file = File::create(dir.join("floor"))?;
        if self == Self::Preallocated {
            file.write_all(&vec![0; PREALLOCATED_BYTES])?;
            file.sync_all()?;
            file.seek(SeekFrom::Start(0))?;
        }
        let begun = Instant::now();
        let count = match self {
            Self::Append | Self::Preallocated => flushed_writes(&mut file, begun, length)?,
            Self::Sequential => sequential_writes(&mut file, records)?,
        };
        let elapsed = begun.elapsed();
        fs::remove_dir_all(dir)?;
        Ok((count, elapsed))
    }
}

fn flushed_writes(file: &mut File, begun: Instant, length: Duration) -> Result<u64> {
    let mut count = 0u64;
    while begun.elapsed() < length {
        file.write_all(&[count.to_le_bytes()[0]; WRITE_LEN])?;
        file.sync_data()?;
        count += 1;
    }
    Ok(count)
}

/// As many as `append-long` puts and appends.
fn sequential_writes(file: &mut File, records: u32) -> Result<u64> {
    let count = 2 * (records / RECORDS_A_LONG_VALUE).clamp(1, LONG_VALUES_MAX);
    let value = vec![1; LONG_LEN];
    for _ in 0..count {
        file.write_all(&value)?;
    }
    file.sync_data()?;
    Ok(count.into())
}
