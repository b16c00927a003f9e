//! Records of Tokyo Cabinet's files.

use super::transfer::Loader;
use crate::meter::Meter;
use crate::outcome::{Failure, complain};
use std::path::Path;
use todana_import::ImportError;
use todana_import::tokyo::{AnyFile, AnyRecords, Record};
use todana_io::{Disk as _, Open, SystemDisk};
use todana_record::Meta;

/// Opens a file, and reports what its reader should know.
pub(super) fn open(path: &Path, what: &str) -> Result<AnyFile, Failure> {
    let shown = path.display();
    let file = SystemDisk::new().open(path, Open::Read);
    let file = file.map_err(|error| Failure::Because(format!("cannot read {shown}: {error}")))?;
    let file =
        AnyFile::open(file).map_err(|error| Failure::Because(format!("{shown}: {error}")))?;
    for warning in file.warnings() {
        complain(what, &format!("{shown}: {warning}"));
    }
    Ok(file)
}

/// Stores the records of a file and compares their number with what its header says.
pub(super) fn read(
    mut records: AnyRecords<'_>,
    expected: u64,
    shown: &str,
    loader: &mut Loader<'_>,
) -> Result<(), Failure> {
    let mut meter = Meter::of_records(expected);
    let mut passed_over = 0_u64;
    loop {
        match records.next_record() {
            Ok(Some(record)) => store(&record, shown, loader)?,
            Ok(None) => break,
            Err(error) if error.is_passed_over() => {
                passed_over += 1;
                loader.leave_out(|| format!("{shown}: {error}"));
            }
            Err(error) => return Err(failure(&error, shown)),
        }
        meter.at(records.count_read());
    }
    let found = records.count_read();
    if expected != found.saturating_add(passed_over) {
        let unread = match passed_over {
            0 => String::new(),
            count => format!(" and {count} that could not be read"),
        };
        loader
            .differs(&format!("{shown}: {found} records{unread}, but its header says {expected}"));
    }
    Ok(())
}

/// Stores a record, or leaves it out where its key has a value already: there is no store yet that has
/// several. Tokyo Cabinet gets the first, so that this is the one to keep.
fn store(record: &Record<'_>, shown: &str, loader: &mut Loader<'_>) -> Result<(), Failure> {
    let origin = || format!("{shown}: record at offset {}", record.offset);
    if record.duplicate == 0 {
        return loader.put(record.key, record.value, &Meta::default(), origin);
    }
    loader.go_on(origin)?;
    loader.leave_out(|| {
        let (key, number) = (record.key.escape_ascii(), record.duplicate + 1);
        format!("{}: value {number} of the key `{key}`: the store has one a key", origin())
    });
    Ok(())
}

/// What ended the reading, and the way out where there is one.
fn failure(error: &ImportError, shown: &str) -> Failure {
    let way_out = match error {
        ImportError::Chain { .. } => "; with --salvage the leaves are read as they lie instead",
        _ => "",
    };
    Failure::Because(format!("{shown}: {error}{way_out}"))
}
