//! Who takes part, and how their programs are built.

use std::env;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Result;
use crate::row::Kind;

/// Where the manifest, and below it the rivals' sources, are.
const HOME: &str = env!("CARGO_MANIFEST_DIR");

/// The kinds that `rivals/todana` knows.
const TODANA_KINDS: &[Kind] = &[Kind::Hash, Kind::Tree];

/// One engine, and the program that drives it.
#[derive(Debug)]
pub(crate) struct Contestant {
    /// As the tables have it.
    pub(crate) name: &'static str,
    /// Whether it is one of the hash databases that Todana's is measured by; the others are there for
    /// reference. Trees are measured by all.
    pub(crate) is_hash_rival: bool,
    program: Program,
}

#[derive(Debug)]
enum Program {
    /// A C++ source against a library of the system.
    Native { source: &'static str, header: &'static str, library: &'static str, apt: &'static str },
    /// A package of this workspace.
    Crate { package: &'static str },
    /// Ours; a package as well.
    Todana,
}

pub(crate) const TODANA: &str = "Todana";
pub(crate) const TOKYO: &str = "Tokyo Cabinet";
pub(crate) const LMDB: &str = "LMDB";

pub(crate) const ALL: [Contestant; 8] = [
    Contestant { name: TODANA, is_hash_rival: false, program: Program::Todana },
    Contestant {
        name: TOKYO,
        is_hash_rival: true,
        program: Program::Native {
            source: "tokyo",
            header: "tchdb.h",
            library: "tokyocabinet",
            apt: "libtokyocabinet-dev",
        },
    },
    Contestant {
        name: "Kyoto Cabinet",
        is_hash_rival: true,
        program: Program::Native {
            source: "kyoto",
            header: "kchashdb.h",
            library: "kyotocabinet",
            apt: "libkyotocabinet-dev",
        },
    },
    Contestant {
        name: "Tkrzw",
        is_hash_rival: true,
        program: Program::Native {
            source: "tkrzw",
            header: "tkrzw_dbm_hash.h",
            library: "tkrzw",
            apt: "libtkrzw-dev",
        },
    },
    Contestant {
        name: LMDB,
        is_hash_rival: false,
        program: Program::Native {
            source: "lmdb",
            header: "lmdb.h",
            library: "lmdb",
            apt: "liblmdb-dev",
        },
    },
    Contestant {
        name: "RocksDB",
        is_hash_rival: false,
        program: Program::Native {
            source: "rocksdb",
            header: "rocksdb/db.h",
            library: "rocksdb",
            apt: "librocksdb-dev",
        },
    },
    Contestant {
        name: "redb",
        is_hash_rival: false,
        program: Program::Crate { package: "rival-redb" },
    },
    Contestant {
        name: "fjall",
        is_hash_rival: false,
        program: Program::Crate { package: "rival-fjall" },
    },
];

impl Contestant {
    /// Whether any of `only` is in the name; everybody without any.
    pub(crate) fn is_among(&self, only: &[String]) -> bool {
        let name = self.name.to_lowercase();
        only.is_empty() || only.iter().any(|part| name.contains(&part.to_lowercase()))
    }

    /// Why it cannot take part in a comparison of this kind, if so.
    fn missing(&self, kind: Kind) -> Option<String> {
        match self.program {
            Program::Native { header, apt, .. } => {
                let include = format!("#include <{header}>\n");
                match compile(&["-E", "-x", "c++", "-o", "/dev/null", "-"], Some(&include)) {
                    Ok(()) => None,
                    Err(Compile::NoCompiler) => {
                        Some("no C++ compiler: apt-get install g++".to_owned())
                    }
                    Err(Compile::Said(_)) => Some(format!("not installed: apt-get install {apt}")),
                }
            }
            Program::Crate { .. } => None,
            Program::Todana => (!TODANA_KINDS.contains(&kind))
                .then(|| format!("no {kind} yet (TODANA_KINDS in src/contestant.rs)")),
        }
    }

    /// Builds the program; where it is. The error says what is missing.
    pub(crate) fn build(&self, kind: Kind) -> Result<PathBuf> {
        if let Some(reason) = self.missing(kind) {
            return Err(reason.into());
        }
        match self.program {
            Program::Native { source, library, .. } => build_native(source, library),
            Program::Crate { package } => build_package(package),
            Program::Todana => build_package("rival-todana"),
        }
    }
}

/// `todana-engines-side-by-side list`.
pub(crate) fn list(kind: Kind) -> Result<()> {
    for contestant in &ALL {
        let state = contestant.missing(kind).unwrap_or_else(|| match contestant.program {
            Program::Native { library, .. } => format!("there (lib{library} of the system)"),
            Program::Crate { package } => format!("there (a crate: {package}, built by `run`)"),
            Program::Todana => "there (rival-todana, built by `run`)".to_owned(),
        });
        println!("{:14} {state}", contestant.name);
    }
    Ok(())
}

/// The folder of this program's own build.
fn build_folder() -> Result<PathBuf> {
    let program = env::current_exe()?;
    Ok(program.parent().ok_or("this program is in no folder")?.to_owned())
}

enum Compile {
    NoCompiler,
    Said(String),
}

/// Runs the C++ compiler (`CXX`, or `c++`).
fn compile(arguments: &[&str], input: Option<&str>) -> std::result::Result<(), Compile> {
    let compiler = env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    let mut child = Command::new(compiler)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|_| Compile::NoCompiler)?;
    let said = |error: std::io::Error| Compile::Said(error.to_string());
    if let Some(mut pipe) = child.stdin.take() {
        pipe.write_all(input.unwrap_or_default().as_bytes()).map_err(said)?;
    }
    let output = child.wait_with_output().map_err(said)?;
    if output.status.success() {
        return Ok(());
    }
    Err(Compile::Said(String::from_utf8_lossy(&output.stderr).into_owned()))
}

fn build_native(source: &str, library: &str) -> Result<PathBuf> {
    let folder = build_folder()?.join("rivals");
    fs::create_dir_all(&folder)?;
    let program = folder.join(source);
    let (out, library) = (program.display().to_string(), format!("-l{library}"));
    let source = format!("{HOME}/rivals/{source}.cpp");
    let arguments = ["-std=c++17", "-O2", "-o", &out, &source, &library, "-lpthread"];
    match compile(&arguments, None) {
        Ok(()) => Ok(program),
        Err(Compile::NoCompiler) => Err("no C++ compiler: apt-get install g++".into()),
        Err(Compile::Said(text)) => {
            let line =
                text.lines().find(|line| line.contains("error")).unwrap_or("it said nothing");
            Err(format!("does not compile: {line}").into())
        }
    }
}

fn build_package(package: &str) -> Result<PathBuf> {
    let folder = build_folder()?;
    let target = folder.parent().ok_or("the build is in no folder")?;
    let status = Command::new(env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()))
        .args(["build", "--quiet", "--release", "--package", package, "--manifest-path"])
        .arg(Path::new(HOME).join("Cargo.toml"))
        .arg("--target-dir")
        .arg(target)
        .status()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    if !status.success() {
        return Err(format!("cargo does not build {package}").into());
    }
    Ok(target.join("release").join(package))
}
