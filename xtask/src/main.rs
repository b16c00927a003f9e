//! `cargo xtask`: the chores of this repository as one program.
//!
//! It is what CI runs (`check`), what edits for you (`fix`), and what holds the rules of the house
//! that no compiler knows (`tidy`). It is not part of the product and no crate may depend on it.
//!
//! | module | does |
//! |---|---|
//! | [`check`] | the steps of CI, their times and the summary |
//! | [`tidy`] | our own rules, each a pure function of the files of the tree |
//! | [`deny`] | licences, banned crates and sources of the dependency graph |
//! | [`fuzz`] | builds and runs the fuzz targets without cargo-fuzz |
//! | [`clients`] | other people's memcached clients against our server |
//! | [`counts`] | instructions and system calls of a request against the stored ones |
//! | [`shell`] | the root, the target folder, child processes |
#![forbid(unsafe_code)]

mod args;
mod check;
mod clients;
mod counts;
mod deny;
mod fuzz;
mod shell;
mod spdx;
mod tidy;

use std::process::ExitCode;

use args::Args;
use shell::Shell;

const HELP: &str = "\
The chores of Todana.

Usage: cargo xtask <COMMAND> [OPTIONS]

Every day:
  check     What CI runs, stopping at the first failure:
            fmt, clippy, test, doc, tidy, deny
              --skip-tests     leave `cargo test --workspace` out
              --install        install cargo-deny when it is missing (minutes of compiling);
                               otherwise a built-in check of the same deny.toml stands in
              --ci             go on after a failure, and run `fuzz --smoke`, `clients` and `counts` too
              --report FILE    write `outcome<TAB>name<TAB>seconds` per step to FILE
  fix       Edit in place: cargo clippy --fix, then cargo fmt

One step at a time:
  tidy      The rules of the house: edges between crates, length of files, documentation,
            leftovers, manifests, links, fuzz targets (see xtask/src/tidy.rs)
  deny      Licences, banned crates and sources, by deny.toml
              --install        as above
  fuzz      Build the targets of fuzz/ and run each for a while (60 s)
              --smoke          5 s each
              --seconds N      N seconds each
              TARGET...        only these targets
  clients   Run memccapable and pymemcache against `todana serve` (release build), over TCP and a
            Unix socket. Installs what is missing: libmemcached-tools by apt-get, pymemcache in a
            virtual environment under the target folder
              --server HOST:PORT     test a running server instead; it will be FLUSHED
              --unix PATH            with --server: the Unix socket of a running server
              --value-max-bytes N    with --server: the longest value it takes
  counts    Count instructions and system calls of a request (release build) and fail where one
            exceeds that of bench/counts.json by more than 2 %. Installs what is missing:
            strace, valgrind by apt-get
              --store          write what is counted to bench/counts.json instead
  help      This text

Exit status: 0 when everything passed, 1 when something failed, 2 for a wrong command line.
";

fn main() -> ExitCode {
    let mut args = Args::from_env();
    let command = args.command();
    let outcome = match command.as_deref() {
        None | Some("help" | "--help" | "-h") => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Some(_) if args.flag("--help") || args.flag("-h") => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Some("check") => check::Options::parse(args).map(|o| Shell::new().and_then(|s| o.run(&s))),
        Some("fix") => args.finish().map(|()| Shell::new().and_then(|s| check::fix(&s))),
        Some("tidy") => args.finish().map(|()| Shell::new().and_then(|s| tidy::run(&s))),
        Some("deny") => deny::Options::parse(args).map(|o| Shell::new().and_then(|s| o.run(&s))),
        Some("fuzz") => fuzz::Options::parse(args).map(|o| Shell::new().and_then(|s| o.run(&s))),
        Some("clients") => {
            clients::Options::parse(args).map(|o| Shell::new().and_then(|s| o.run(&s)))
        }
        Some("counts") => {
            counts::Options::parse(args).map(|o| Shell::new().and_then(|s| o.run(&s)))
        }
        Some(other) => Err(format!("unknown command `{other}`")),
    };
    match outcome {
        Err(usage) => {
            eprintln!("xtask: {usage}; see `cargo xtask help`");
            ExitCode::from(2)
        }
        Ok(Err(failure)) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
        Ok(Ok(())) => ExitCode::SUCCESS,
    }
}
