//! `counts`: instructions and system calls of a request against those that `bench/counts.json` stores.

use std::process::Command;

use crate::args::Args;
use crate::shell::{self, Shell};

/// What `counts` was asked for.
#[derive(Debug, Default)]
pub(crate) struct Options {
    /// Take over what is counted now.
    store: bool,
}

impl Options {
    /// Reads the options of `counts`.
    pub(crate) fn parse(mut args: Args) -> Result<Self, String> {
        let store = args.flag("--store");
        args.finish()?;
        Ok(Self { store })
    }

    /// Builds the server and the counter, and counts.
    pub(crate) fn run(&self, shell: &Shell) -> Result<(), String> {
        shell::install_program(shell, "strace", &["strace"])?;
        shell::install_program(shell, "valgrind", &["valgrind", "libc6-dbg"])?;
        let server = shell::build_server(shell)?;
        let mode = if self.store { "--store" } else { "--check" };
        let mut command = cargo(shell, "run");
        shell::run(command.args(["--", "counts", mode, "--todana"]).arg(server))
    }
}

/// The tests of `bench/`, which is a workspace of its own.
pub(crate) fn test(shell: &Shell) -> Result<(), String> {
    shell::run(&mut cargo(shell, "test"))
}

/// Cargo on `bench/`; what it has in common with the server is not built twice.
fn cargo(shell: &Shell, what: &str) -> Command {
    let mut command = shell.cargo();
    command.args([what, "--release", "--locked", "--manifest-path", "bench/Cargo.toml"]);
    command.arg("--target-dir").arg(&shell.target);
    command
}
