//! Looking at a store's files without opening it: what the log says of its segments, and the files of long
//! values.

use crate::Hash;
use crate::blob::{BlobReader, parse_blob_name};
use crate::open::{KIND, key_hash};
use std::path::Path;
use std::sync::Arc;
use todana_engine::Error;
use todana_io::Disk;
use todana_log::Codec;
use todana_log::check::{Checked, Finding, OnProgress, Survey};

impl Hash {
    /// Verifies every checksum of a store's files, and footers against frames. A codec that is not built in
    /// has to be given; without it checksums are all that is verified of the frames that it packed, and
    /// [`Checked::sealed_frames`] says how many these are.
    ///
    /// # Errors
    /// [`Error::Open`] when there is no store, one of a newer format, or a file cannot be read.
    pub fn check(
        disk: &dyn Disk,
        directory: &Path,
        codec: Option<Arc<dyn Codec>>,
        progress: &mut OnProgress<'_>,
    ) -> Result<Checked, Error> {
        survey(disk, directory, codec, progress).map(|survey| survey.checked)
    }
}

/// As [`Hash::check`].
pub(crate) fn survey(
    disk: &dyn Disk,
    directory: &Path,
    codec: Option<Arc<dyn Codec>>,
    progress: &mut OnProgress<'_>,
) -> Result<Survey, Error> {
    let mut survey = Survey::of(KIND, disk, directory, codec, Some(key_hash), progress)?;
    check_blobs(disk, directory, &mut survey.checked)?;
    Ok(survey)
}

/// Checks the files of long values.
fn check_blobs(disk: &dyn Disk, directory: &Path, checked: &mut Checked) -> Result<(), Error> {
    let listed = disk.list(directory);
    let names = listed.map_err(|error| Error::Open(format!("{}: {error}", directory.display())))?;
    for (name, id) in names.iter().filter_map(|name| Some((name, parse_blob_name(name)?))) {
        match BlobReader::check(disk, directory, id) {
            Ok(len) => {
                checked.files += 1;
                checked.bytes += len;
            }
            // Of a store that is in use, or was not closed, it may be one that nobody refers to yet.
            Err(error) => {
                let finding = Finding::damage(name, 0..0, error.to_string());
                checked.findings.push(Finding { is_damage: checked.is_closed, ..finding });
            }
        }
    }
    Ok(())
}
