//! The tools of Tokyo Cabinet (Debian's `tokyocabinet-bin`), against which the reader is held.
//!
//! Where they are not installed the tests that want them print that they were skipped; with
//! `TODANA_NEED_TCHMGR=1` in the environment they fail instead.

use crate::{Pair, unhex};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use todana_io::{Disk, Open, SystemDisk};

const NEED: &str = "TODANA_NEED_TCHMGR";

/// A place for files, and the tools.
#[derive(Debug)]
pub(crate) struct Tools {
    directory: tempfile::TempDir,
}

impl Tools {
    /// `None` when there are none and none are needed.
    pub(crate) fn find() -> Option<Tools> {
        let probe = Command::new("tchmgr").arg("version").stdout(Stdio::null()).status();
        match probe {
            Ok(_) => Some(Tools { directory: tempfile::tempdir().unwrap() }),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let needed = std::env::var_os(NEED).is_some_and(|value| value == "1");
                assert!(!needed, "{NEED}=1, but there is no tchmgr (Debian: tokyocabinet-bin)");
                eprintln!("skipped: there is no tchmgr (Debian: tokyocabinet-bin)");
                None
            }
            Err(error) => panic!("tchmgr: {error}"),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The file's bytes as they are now.
    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        let file = SystemDisk::new().open(&self.path(name), Open::Read).unwrap();
        let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
        file.read_exact_at(0, &mut bytes).unwrap();
        bytes
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        SystemDisk::new().open(&path, Open::Create).unwrap().write_at(0, bytes).unwrap();
        path
    }
}

/// What a tool prints; it has to succeed. An argument that is `FILE` stands for the file's path.
pub(crate) fn run(tool: &str, path: &Path, arguments: &[&str]) -> Vec<u8> {
    let mut command = Command::new(tool);
    for argument in arguments {
        match *argument {
            "FILE" => command.arg(path),
            other => command.arg(other),
        };
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    output.stdout
}

/// The records of a hash file, as tchmgr lists them.
pub(crate) fn list(path: &Path) -> Vec<Pair> {
    list_with("tchmgr", path, &[])
}

/// The records of a file, as its tool lists them.
pub(crate) fn list_with(tool: &str, path: &Path, options: &[&str]) -> Vec<Pair> {
    let arguments = [&["list"], options, &["-pv", "-px", "FILE"]].concat();
    let text = String::from_utf8(run(tool, path, &arguments)).unwrap();
    let pairs = text.lines().map(|line| line.split_once('\t').unwrap());
    pairs.map(|(key, value)| (unhex(key), unhex(value))).collect()
}
