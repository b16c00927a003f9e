//! Todana: a key-value server that any memcached client can talk to, and the tools around it.
//!
//! This crate is assembly: it reads the command line and the configuration, builds the parts, and runs
//! them. Logic lives in the crates below it: the server in `todana-server`, the client in
//! `todana-client`, the load generator in `todana-bench`.
//!
//! Modules: `options` and `config` (what the server is told), `serve` (running it), `client_commands`
//! and `bench_command` (the tools), `db` (stores on disk), `sim_commands` (simulations), `outcome` (exit
//! status and error lines), `meter` (progress), `units` (sizes as people write them).
#![forbid(unsafe_code)]

mod bench_command;
mod client_commands;
mod config;
mod db;
mod meter;
mod options;
mod outcome;
mod put_mode;
mod serve;
mod sim_commands;
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
    #[command(after_help = db::AFTER_HELP)]
    Db {
        #[command(subcommand)]
        command: db::DbCommand,
    },
    /// Simulate what a server would do
    Sim {
        #[command(subcommand)]
        command: sim_commands::SimCommand,
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
    /// Print manual pages: all of them, or that of a command
    Man {
        /// Which command, as in `todana man db import`
        #[arg(value_name = "COMMAND")]
        command: Vec<String>,
    },
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
    let cli = Cli::try_parse().unwrap_or_else(|error| refuse(error));
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
        Some(Cmd::Sim { command }) => command.run(),
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
        Some(Cmd::Man { command }) => manual(&command),
    }
}

/// Ends with what is wrong with the command line; what was taken for an option that does not exist is
/// answered with those that do.
fn refuse(error: clap::Error) -> ! {
    if error.kind() == clap::error::ErrorKind::UnknownArgument {
        let words: Vec<String> =
            std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
        let command = addressed(&words);
        let name = command.get_display_name().unwrap_or(command.get_name()).replace('-', " ");
        let known: Vec<String> = command.get_arguments().filter_map(option).collect();
        let _ = error.print();
        eprintln!("Options of `{name}`: {}", known.join(", "));
        std::process::exit(2);
    }
    error.exit()
}

/// The command that a command line begins with.
fn addressed(words: &[String]) -> clap::Command {
    let mut command = Cli::command();
    command.build();
    for word in words.iter().take_while(|word| *word != "--") {
        if let Some(found) = command.find_subcommand(word).cloned() {
            command = found;
        }
    }
    command
}

/// An option as its help begins.
fn option(arg: &clap::Arg) -> Option<String> {
    if arg.is_positional() || arg.is_hide_set() {
        return None;
    }
    let short = arg.get_short().map(|short| format!("-{short}"));
    let long = arg.get_long().map(|long| format!("--{long}"));
    Some(short.into_iter().chain(long).collect::<Vec<_>>().join("/"))
}

/// The manual page of a command; without one that of the program, then those of all its commands.
fn manual(words: &[String]) -> ExitCode {
    let mut command = Cli::command();
    command.build();
    for word in words {
        let Some(found) = command.find_subcommand(word).cloned() else {
            let name = command.get_display_name().unwrap_or(command.get_name()).replace('-', " ");
            eprintln!("todana: man: `{name}` has no command `{word}`");
            return ExitCode::from(2);
        };
        command = found;
    }
    let mut pages = Vec::new();
    match pages_of(&command, words.is_empty(), &mut pages) {
        Ok(()) => print(&pages),
        Err(_) => ExitCode::FAILURE,
    }
}

fn pages_of(command: &clap::Command, nested: bool, out: &mut Vec<u8>) -> std::io::Result<()> {
    clap_mangen::Man::new(command.clone()).render(out)?;
    for command in command.get_subcommands().filter(|one| nested && one.get_name() != "help") {
        pages_of(command, nested, out)?;
    }
    Ok(())
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
