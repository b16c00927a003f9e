//! The commands that work on a store on disk: `todana db`.
//!
//! Those that only read (`get`, `list`, `stat`, `export`, `check`, `upgrade`, and the source of `copy`)
//! open the store as it was last made safe, beside a server that has it open; the others need it for
//! themselves.
//! What a command changed is safe when it has ended with 0. Exit status, messages and standard output
//! are as for the commands that talk to a server.
//!
//! Modules: `records` (one or some records), `upkeep` (the store as a whole), `transfer` (export, import
//! and copy) with the formats `tsv`, `jsonl` and `tokyo`; `place` (names and opening), `key` (keys of the
//! command line), `interrupt` (Ctrl-C).

mod interrupt;
mod jsonl;
mod key;
mod place;
mod records;
mod tokyo;
mod transfer;
mod tsv;
mod upkeep;

use crate::outcome::Failure;
use clap::Subcommand;
use std::process::ExitCode;

/// What is said of all commands.
pub(crate) const AFTER_HELP: &str = "\
A store is a directory: NAME.tdh, or what a server was given as --store. One process at a time may
write to it; get, list, stat, export, copy, check and upgrade work beside that one.

Examples:
  todana db create casket.tdh
  todana db put casket.tdh user:7 Ada
  todana db list casket.tdh --values
  todana db copy todana-data backup.tdh

Exit status: 0 done, 1 miss, condition not met or damage, 2 error.";

/// What to do with a store.
#[derive(Debug, Subcommand)]
pub(crate) enum DbCommand {
    /// Make an empty store
    Create(upkeep::CreateArgs),
    /// Print what is known of a store
    Stat(upkeep::StatArgs),
    /// Print the value of a key
    Get(records::GetArgs),
    /// Store a value
    Put(records::PutArgs),
    /// Remove keys
    Delete(records::DeleteArgs),
    /// Add to a number
    Incr(records::IncrArgs),
    /// Print keys
    List(records::ListArgs),
    /// Store the records of a file
    Import(transfer::ImportArgs),
    /// Write all records to a file
    Export(transfer::ExportArgs),
    /// Verify every checksum and say whether all is sound
    Check(upkeep::CheckArgs),
    /// Bring back a store that is damaged or was not closed
    Repair(upkeep::RepairArgs),
    /// Take back the space of what was replaced or removed
    Compact(upkeep::CompactArgs),
    /// Write all records to a new store
    Copy(transfer::CopyArgs),
    /// Bring a store to the newest format
    Upgrade(upkeep::UpgradeArgs),
}

impl DbCommand {
    /// Runs the command.
    pub(crate) fn run(self) -> ExitCode {
        match self {
            DbCommand::Create(args) => args.run(),
            DbCommand::Stat(args) => args.run(),
            DbCommand::Get(args) => args.run(),
            DbCommand::Put(args) => args.run(),
            DbCommand::Delete(args) => args.run(),
            DbCommand::Incr(args) => args.run(),
            DbCommand::List(args) => args.run(),
            DbCommand::Import(args) => args.run(),
            DbCommand::Export(args) => args.run(),
            DbCommand::Check(args) => args.run(),
            DbCommand::Repair(args) => args.run(),
            DbCommand::Compact(args) => args.run(),
            DbCommand::Copy(args) => args.run(),
            DbCommand::Upgrade(args) => args.run(),
        }
    }
}

/// The store that a command works on.
#[derive(Debug, clap::Args)]
pub(crate) struct StoreArg {
    /// Store: NAME.tdh, or another directory, as the server's --store; options behind #, as in
    /// NAME.tdh#cas=off
    #[arg(value_name = "STORE")]
    store: String,
}

impl StoreArg {
    fn place(&self) -> Result<place::Place, Failure> {
        place::Place::named(&self.store)
    }
}
