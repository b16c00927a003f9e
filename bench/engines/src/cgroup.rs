//! A program that is held to a limit of memory, its pages in the page cache included.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;

/// Files with the limit: of version 2, of version 1.
const LIMIT_FILES: [&str; 2] = ["memory.max", "memory.limit_in_bytes"];
/// Joins the cgroup of the first argument and becomes the program of the others.
const JOIN: &str = r#"echo $$ > "$1/cgroup.procs" && shift && exec "$@""#;

/// A cgroup that the user has made; its limit is set here.
pub(crate) struct Cgroup {
    dir: PathBuf,
}

impl Cgroup {
    /// Sets the limit of the cgroup at `dir`.
    pub(crate) fn limited(dir: &Path, limit_bytes: u64) -> Result<Self> {
        let file = LIMIT_FILES.iter().map(|name| dir.join(name)).find(|file| file.exists());
        let file = file.ok_or_else(|| format!("no memory cgroup: {}", dir.display()))?;
        fs::write(&file, limit_bytes.to_string())
            .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
        Ok(Self { dir: dir.to_owned() })
    }

    /// Starts `program` inside.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", JOIN, "sh"]).arg(&self.dir).arg(program);
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_joins_before_it_runs() {
        let dir = std::env::temp_dir().join(format!("todana-cgroup-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        assert!(Cgroup::limited(&dir, 1).is_err());
        fs::write(dir.join("memory.max"), "max").unwrap();
        let cgroup = Cgroup::limited(&dir, 4096).unwrap();
        let output = cgroup.command(Path::new("echo")).arg("a b").output().unwrap();
        assert_eq!(output.stdout, b"a b\n");
        assert_eq!(fs::read_to_string(dir.join("memory.max")).unwrap(), "4096");
        let joined = fs::read_to_string(dir.join("cgroup.procs")).unwrap();
        assert!(joined.trim().parse::<u32>().is_ok(), "{joined}");
        fs::remove_dir_all(&dir).unwrap();
    }
}
