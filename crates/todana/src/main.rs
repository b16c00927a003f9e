//! Todana: a key-value server that any memcached client can talk to, and the tools around it.
//!
//! This crate is assembly: it reads the command line and the configuration, builds the parts, and runs
//! them. Logic lives in the crates below it: the server in `todana-server`, the client in
//! `todana-client`, the load generator in `todana-bench`.
//!
//! Modules: `options` and `config` (what the server is told), `serve` (running it), `client_commands`
//! and `bench_command` (the tools), `db` (stores on disk), `outcome` (exit status and error
//! lines), `units` (sizes as people write them).
#![forbid(unsafe_code)]

mod bench_command;
mod client_commands;
mod config;
mod db;
mod options;
mod outcome;
mod serve;
mod units;

use clap::{CommandFactory, Parser, Subcommand};
use config::{Config, DEFAULT_FILE};
use options::ServeArgs;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// A key-value server that any memcached client can talk to.
///
/// Without a command it serves: `todana` is `todana serve`, and takes the same options.
#[derive(Debug, Parser)]
#[command(
    name = "todana",
    version,
    disable_version_flag = true,
    args_conflicts_with_subcommands = true,
    args_override_self = true
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Cmd>,
    #[command(flatten)]
    serve: ServeArgs,
    /// Print the version
    #[arg(short = 'V', long, action = clap::ArgAction::Version)]
    version: Option<bool>,
}

#[derive(Debug, Subcommand)]
enum Cmd {
    /// Serve a store to memcached clients (what happens without a command)
    #[command(args_override_self = true)]
    Serve(Box<ServeArgs>),
    /// Print the values of keys
    Get(client_commands::GetArgs),
    /// Store a value
    Set(client_commands::SetArgs),
    /// Remove keys
    Delete(client_commands::DeleteArgs),
    /// Add to a number
    Incr(client_commands::IncrArgs),
    /// Print a server's figures
    Stats(client_commands::StatsArgs),
    /// Follow what happens in a server
    Watch(client_commands::WatchArgs),
    /// Remove everything
    Flush(client_commands::FlushArgs),
    /// Put load on a server and measure it
    Bench(Box<bench_command::BenchArgs>),
    /// Work on a store on disk, without a server
    Db {
        #[command(subcommand)]
        command: db::DbCommand,
    },
    /// Print or check configurations
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Print a completion script for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print a configuration file with every default, its unit and its meaning
    Default,
    /// Check a configuration file
    Check {
        /// The file
        file: PathBuf,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command {
        None => serve::run(&cli.serve),
        Some(Cmd::Serve(args)) => serve::run(&args),
        Some(Cmd::Get(args)) => args.run(),
        Some(Cmd::Set(args)) => args.run(),
        Some(Cmd::Delete(args)) => args.run(),
        Some(Cmd::Incr(args)) => args.run(),
        Some(Cmd::Stats(args)) => args.run(),
        Some(Cmd::Watch(args)) => args.run(),
        Some(Cmd::Flush(args)) => args.run(),
        Some(Cmd::Bench(args)) => args.run(),
        Some(Cmd::Db { command }) => command.run(),
        Some(Cmd::Config { command: ConfigCommand::Default }) => print(DEFAULT_FILE.as_bytes()),
        Some(Cmd::Config { command: ConfigCommand::Check { file } }) => {
            match Config::read(&file).and_then(|config| config.settings()) {
                Ok(_) => print(format!("{}: ok\n", file.display()).as_bytes()),
                Err(error) => {
                    let named = matches!(error, config::ConfigError::Value { .. });
                    let place = if named { format!("{}: ", file.display()) } else { String::new() };
                    eprintln!("todana: {place}{error}");
                    ExitCode::FAILURE
                }
            }
        }
        Some(Cmd::Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "todana", &mut script);
            print(&script)
        }
        Some(Cmd::Man) => manual(),
    }
}

/// The manual page of the program, then those of its commands.
fn manual() -> ExitCode {
    let mut pages = Vec::new();
    let mut command = Cli::command();
    command.build();
    let commands: Vec<clap::Command> = command.get_subcommands().cloned().collect();
    for one in std::iter::once(command).chain(commands) {
        if clap_mangen::Man::new(one).render(&mut pages).is_err() {
            return ExitCode::FAILURE;
        }
    }
    print(&pages)
}

/// Writes to standard output; a reader that went away is no failure.
fn print(bytes: &[u8]) -> ExitCode {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            eprintln!("todana: write: {error}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
        // As memcached: what is said last counts, and addresses add up.
        for line in ["todana -c 1 -c 2 -M -M -l a -l b", "todana serve -c 1 -c 2 -l a,b"] {
            Cli::try_parse_from(line.split(' ')).unwrap();
        }
    }
}
