//! Whole small files: configuration, password lines, process ids. Not for stores.
#![expect(clippy::disallowed_methods, reason = "this module is the seam for small files")]

use std::io;
use std::path::Path;

/// Largest file that [`read_small`] takes, in bytes.
pub const SMALL_FILE_LEN_MAX: u64 = 16 * 1024 * 1024;

/// Reads a file of at most [`SMALL_FILE_LEN_MAX`] bytes as UTF-8 text.
///
/// # Errors
/// What the operating system says; `InvalidData` for a larger file or one that is not UTF-8.
pub fn read_small(path: &Path) -> io::Result<String> {
    let len = std::fs::metadata(path)?.len();
    if len > SMALL_FILE_LEN_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{len} bytes, of at most {SMALL_FILE_LEN_MAX}"),
        ));
    }
    std::fs::read_to_string(path)
}

/// Opens the file that swallows what is written to it.
///
/// # Errors
/// What the operating system says.
pub fn open_null() -> io::Result<std::fs::File> {
    std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")
}

/// Replaces the file by `content`.
///
/// # Errors
/// What the operating system says.
pub fn write_small(path: &Path, content: &str) -> io::Result<()> {
    std::fs::write(path, content)
}

/// Removes a file; it is no error when there is none.
///
/// # Errors
/// What the operating system says, other than that the file does not exist.
pub fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
