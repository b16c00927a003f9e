//! How a command ends: its exit status and the line that says why.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write as _};
use std::process::ExitCode;

/// A miss, a condition that does not hold, damage that was found, or records that were left out.
pub(super) const MISS: u8 = 1;
/// An error.
pub(super) const FAILED: u8 = 2;

/// The last line of the help of every command.
pub(super) const EXIT_STATUS: &str = "Exit status: 0 done, 1 miss or condition not met, 2 error.";

/// Why a command ends early.
#[derive(Debug)]
pub(super) enum Failure {
    /// With a line for the user.
    Because(String),
    /// Whoever read our output has had enough.
    OutputClosed,
}

impl Failure {
    pub(super) fn because(reason: impl Display) -> Failure {
        Failure::Because(reason.to_string())
    }

    /// Of writing data, to standard output or a file named `place`.
    pub(super) fn of_writing(place: &str) -> impl Fn(io::Error) -> Failure {
        move |error| match error.kind() {
            ErrorKind::BrokenPipe => Failure::OutputClosed,
            _ => Failure::Because(format!("cannot write to {place}: {error}")),
        }
    }

    /// Of writing to standard output.
    pub(super) fn of_output(error: io::Error) -> Failure {
        Failure::of_writing("standard output")(error)
    }

    /// Says first how far the command had come.
    pub(super) fn after(self, done: impl Display) -> Failure {
        match self {
            Failure::Because(reason) => Failure::Because(format!("{reason} ({done})")),
            Failure::OutputClosed => Failure::OutputClosed,
        }
    }
}

impl From<todana_store::Error> for Failure {
    fn from(error: todana_store::Error) -> Failure {
        Failure::because(error)
    }
}

/// Turns what came of a command into its exit status, and an error into its line.
pub(super) fn finish(what: &str, done: Result<u8, Failure>) -> ExitCode {
    match done {
        Ok(status) => ExitCode::from(status),
        Err(Failure::OutputClosed) => ExitCode::SUCCESS,
        Err(Failure::Because(reason)) => {
            complain(what, &reason);
            ExitCode::from(FAILED)
        }
    }
}

/// Writes `todana: verb object: reason` to standard error.
pub(super) fn complain(what: &str, reason: &str) {
    // Nowhere is left to say that standard error is closed.
    let _ = writeln!(io::stderr(), "todana: {what}: {reason}");
}

/// Writes a line to standard output.
pub(super) fn say(line: impl Display) -> Result<(), Failure> {
    writeln!(io::stdout(), "{line}").map_err(Failure::of_output)
}
