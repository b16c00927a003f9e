//! Records of Tokyo Cabinet's hash files.

use super::transfer::Loader;
use crate::meter::Meter;
use crate::outcome::{Failure, complain};
use std::path::Path;
use todana_import::ImportError;
use todana_import::tokyo::HashFile;
use todana_io::{Disk as _, Open, SystemDisk};
use todana_record::Meta;

/// Opens a file, and reports what its reader should know.
pub(super) fn open(path: &Path, what: &str) -> Result<HashFile, Failure> {
    let shown = path.display();
    let file = SystemDisk::new().open(path, Open::Read);
    let file = file.map_err(|error| Failure::Because(format!("cannot read {shown}: {error}")))?;
    let file =
        HashFile::open(file).map_err(|error| Failure::Because(format!("{shown}: {error}")))?;
    for warning in file.warnings() {
        complain(what, &format!("{shown}: {warning}"));
    }
    Ok(file)
}

/// Stores the records of a file and compares their number with what its header says.
pub(super) fn read(file: &HashFile, shown: &str, loader: &mut Loader<'_>) -> Result<(), Failure> {
    let mut meter = Meter::of_bytes(file.header().file_size);
    let mut records = file.records();
    let mut skipped = 0_u64;
    loop {
        match records.next_record() {
            Ok(Some(record)) => {
                let origin = || format!("{shown}: record at offset {}", record.offset);
                loader.put(record.key, record.value, &Meta::default(), origin)?;
            }
            Ok(None) => break,
            Err(error @ (ImportError::Compressed { .. } | ImportError::ValueTooLong { .. })) => {
                skipped += 1;
                loader.leave_out(|| format!("{shown}: {error}"));
            }
            Err(error) => return Err(Failure::Because(format!("{shown}: {error}"))),
        }
        meter.at(records.offset());
    }
    let (expected, found) = (file.header().record_count, records.count_read() + skipped);
    if expected != found {
        loader.differs(&format!("{shown}: {found} records, but its header says {expected}"));
    }
    Ok(())
}
