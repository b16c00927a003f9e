//! On what condition a value is stored, and how that ended: for servers and stores alike.

use crate::outcome::{Failure, MISS, complain, finish};
use clap::Args;
use std::process::ExitCode;
use todana_store::operation::PutMode;

/// The options that say how a value is stored; without any, in any case.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct PutModeArgs {
    /// Only if there is no such record.
    #[arg(long, group = "condition")]
    add: bool,
    /// Only if there is such a record.
    #[arg(long, group = "condition")]
    replace: bool,
    /// Put the value behind that of the record, whose flags and expiry stay.
    #[arg(long, group = "condition", conflicts_with_all = ["ttl", "flags"])]
    append: bool,
    /// Put the value before that of the record, whose flags and expiry stay.
    #[arg(long, group = "condition", conflicts_with_all = ["ttl", "flags"])]
    prepend: bool,
}

impl PutModeArgs {
    pub(crate) fn mode(self) -> PutMode {
        match (self.add, self.replace, self.append, self.prepend) {
            (true, ..) => PutMode::Add,
            (_, true, ..) => PutMode::Replace,
            (_, _, true, _) => PutMode::Append,
            (.., true) => PutMode::Prepend,
            _ => PutMode::Set,
        }
    }
}

/// Why a value was not stored in this mode.
pub(crate) fn refusal(mode: PutMode) -> &'static str {
    match mode {
        PutMode::Add => "not stored: the key exists",
        _ => "not stored: no such key",
    }
}

/// Ends a command that stored a value, or was refused for this reason.
pub(crate) fn finish_put(what: &str, done: Result<Option<&'static str>, Failure>) -> ExitCode {
    let done = done.map(|refused| match refused {
        None => 0,
        Some(reason) => {
            complain(what, reason);
            MISS
        }
    });
    finish(what, done)
}
