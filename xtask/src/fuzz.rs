//! `fuzz`: builds the targets of `fuzz/` with coverage and runs each for a while.
//!
//! `fuzz/` is a workspace of its own with one `[[bin]]` a target on libfuzzer-sys. cargo-fuzz wants
//! a nightly compiler only for its sanitizers; coverage alone is a pass of LLVM that any compiler
//! has, so the flags are given here. Build scripts and macros are kept clean of them by naming the
//! target. Seeds are `fuzz/seeds/TARGET/`; what a run learns and what it breaks on stay under the
//! target folder.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::args::Args;
use crate::shell::{self, Shell};

/// What instruments the code for libFuzzer, and keeps the assertions of a debug build.
const RUSTFLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Cdebug-assertions -Coverflow-checks";

/// Length of an input: enough for a frame with a key of the longest kind.
const INPUT_LEN_MAX: u32 = 65_536;
/// Memory of a target; more means that a length field was believed.
const RSS_MAX_MB: u32 = 2048;
/// Time for one input; more means that something is quadratic.
const INPUT_TIME_MAX_S: u32 = 10;
/// How long a run may take beyond its time before it is killed.
const GRACE: Duration = Duration::from_secs(60);

const SMOKE_SECONDS: u64 = 5;
const SECONDS: u64 = 60;

/// What `fuzz` was asked for.
#[derive(Debug)]
pub(crate) struct Options {
    seconds: u64,
    /// Only these targets; all when empty.
    only: Vec<String>,
}

impl Options {
    /// Reads the options of `fuzz`.
    pub(crate) fn parse(mut args: Args) -> Result<Self, String> {
        let usual = if args.flag("--smoke") { SMOKE_SECONDS } else { SECONDS };
        let seconds = args.number("--seconds")?.unwrap_or(usual);
        Ok(Self { seconds, only: args.names()? })
    }

    /// The short run of CI.
    pub(crate) fn smoke() -> Self {
        Self { seconds: SMOKE_SECONDS, only: Vec::new() }
    }

    /// Builds and runs the targets one after another.
    pub(crate) fn run(&self, shell: &Shell) -> Result<(), String> {
        let manifest = shell.root.join("fuzz/Cargo.toml");
        let text = std::fs::read_to_string(&manifest)
            .map_err(|error| format!("read {}: {error}", manifest.display()))?;
        let mut targets = targets(&text)?;
        for name in &self.only {
            if !targets.contains(name) {
                return Err(format!("no fuzz target `{name}`; there are {}", targets.join(", ")));
            }
        }
        targets.retain(|name| self.only.is_empty() || self.only.contains(name));
        let binaries = build(shell, &manifest)?;
        let mut failed = Vec::new();
        for name in &targets {
            match self.run_one(shell, name, &binaries.join(name)) {
                Ok(runs) => println!("fuzz: {name}: {runs} runs in {} s", self.seconds),
                Err(why) => {
                    println!("fuzz: {name}: FAILED: {why}");
                    failed.push(name.as_str());
                }
            }
        }
        println!("fuzz: {} passed, {} failed", targets.len() - failed.len(), failed.len());
        match failed.is_empty() {
            true => Ok(()),
            false => Err(format!("fuzz targets failed: {}", failed.join(", "))),
        }
    }

    fn run_one(&self, shell: &Shell, name: &str, binary: &Path) -> Result<u64, String> {
        let work = shell.target.join("fuzz-work").join(name);
        let (corpus, artifacts) = (work.join("corpus"), work.join("artifacts"));
        shell::make_dir(&corpus)?;
        shell::make_dir(&artifacts)?;
        let mut command = shell.command(binary);
        command.arg(&corpus);
        let seeds = shell.root.join("fuzz/seeds").join(name);
        if seeds.is_dir() {
            command.arg(seeds);
        }
        command
            .arg(format!("-max_total_time={}", self.seconds))
            .arg(format!("-max_len={INPUT_LEN_MAX}"))
            .arg(format!("-rss_limit_mb={RSS_MAX_MB}"))
            .arg(format!("-timeout={INPUT_TIME_MAX_S}"))
            .arg(format!("-artifact_prefix={}/", artifacts.display()));
        let limit = Duration::from_secs(self.seconds) + GRACE;
        let finished = shell::run_logged(&mut command, &work.join("log"), limit)?;
        if !finished.success {
            print!("{}", shell::tail(&finished.output, 40));
            return Err(format!("{}; the input is in {}", finished.how, artifacts.display()));
        }
        judge(&finished.output)
    }
}

/// The names of the `[[bin]]` tables of a manifest.
pub(crate) fn targets(manifest: &str) -> Result<Vec<String>, String> {
    let table: toml::Table = manifest.parse().map_err(|e| format!("fuzz/Cargo.toml: {e}"))?;
    let bins = table.get("bin").and_then(toml::Value::as_array).map_or(&[][..], Vec::as_slice);
    let name = |bin: &toml::Value| bin.get("name")?.as_str().map(str::to_owned);
    let names: Vec<String> = bins.iter().filter_map(name).collect();
    match names.is_empty() {
        true => Err("fuzz/Cargo.toml: no [[bin]] with a name".to_owned()),
        false => Ok(names),
    }
}

/// Builds all targets and gives the folder of their binaries.
fn build(shell: &Shell, manifest: &Path) -> Result<PathBuf, String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = shell::read(shell.command(rustc).arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.ok_or("rustc -vV names no host")?;
    let target_dir = shell.target.join("fuzz");
    let mut command = shell.cargo();
    command.args(["build", "--release", "--bins", "--target", host, "--manifest-path"]);
    command.arg(manifest).arg("--target-dir").arg(&target_dir);
    command.env_remove("CARGO_ENCODED_RUSTFLAGS").env("RUSTFLAGS", RUSTFLAGS);
    shell::run(&mut command)?;
    Ok(target_dir.join(host).join("release"))
}

/// The count of runs that libFuzzer reports at the end.
///
/// # Errors
///
/// When there is none, or when the target turns out to have been built without coverage.
fn judge(log: &str) -> Result<u64, String> {
    if !log.contains("inline 8-bit counters)") {
        return Err("built without coverage: libFuzzer found no counters".to_owned());
    }
    let done = log.lines().find_map(|line| line.strip_prefix("Done "));
    let runs = done.and_then(|rest| rest.split(' ').next()?.parse().ok());
    match runs {
        Some(0) | None => Err("no input was run".to_owned()),
        Some(runs) => Ok(runs),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_the_bins_of_the_manifest() {
        let manifest = "[package]\nname = \"f\"\n[[bin]]\nname = \"a\"\n[[bin]]\nname = \"b\"\n";
        assert_eq!(targets(manifest).unwrap(), ["a", "b"]);
        assert!(targets("[package]\nname = \"f\"\n").is_err());
    }

    #[test]
    fn a_run_counts_only_with_coverage() {
        let good = "INFO: Loaded 1 modules   (168 inline 8-bit counters): 168\nDone 77 runs in 5\n";
        assert_eq!(judge(good), Ok(77));
        assert!(judge("Done 77 runs in 5 second(s)\n").is_err());
        assert!(judge("INFO: Loaded 1 modules   (168 inline 8-bit counters)\n").is_err());
    }
}
