//! Giving two files, or directories, each other's names as one step.

use std::io;
use std::path::Path;

/// Swaps what two names lead to: nobody ever finds one of them missing.
///
/// # Errors
/// `Unsupported` where system or file system cannot; else what the operating system says.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    use nix::errno::Errno;
    use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
    match renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE) {
        Err(Errno::EINVAL | Errno::ENOSYS | Errno::ENOTSUP) => Err(unsupported()),
        done => done.map_err(io::Error::from),
    }
}

/// Swaps what two names lead to; not on this system.
///
/// # Errors
/// Always `Unsupported`.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn exchange(_: &Path, _: &Path) -> io::Result<()> {
    Err(unsupported())
}

fn unsupported() -> io::Error {
    io::Error::from(io::ErrorKind::Unsupported)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Disk, Open, SystemDisk};

    #[test]
    fn directories_swap_names() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        let disk = SystemDisk::new();
        for path in [&a, &b] {
            disk.create_dir(path).unwrap();
        }
        disk.open(&a.join("in a"), Open::Create).unwrap();
        match exchange(&a, &b) {
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::Unsupported),
            Ok(()) => {
                let (in_a, in_b) = (disk.list(&a).unwrap(), disk.list(&b).unwrap());
                assert_eq!((in_a.len(), in_b), (0, vec!["in a".to_owned()]));
            }
        }
        let missing = exchange(&a, &folder.path().join("c")).unwrap_err().kind();
        assert!(matches!(missing, io::ErrorKind::NotFound | io::ErrorKind::Unsupported));
    }
}
