//! How a command ends: its exit status and the line that says why.

use std::fmt::Display;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::process::ExitCode;

/// A miss, a condition that does not hold, damage that was found, or records that were left out.
pub(crate) const MISS: u8 = 1;
/// An error.
pub(crate) const FAILED: u8 = 2;

/// The last line of the help of every command.
pub(crate) const EXIT_STATUS: &str = "Exit status: 0 done, 1 miss or condition not met, 2 error.";

/// Why a command ends early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// With a line for the user.
    Because(String),
    /// Whoever read our output has had enough.
    OutputClosed,
}

impl Failure {
    pub(crate) fn because(reason: impl Display) -> Failure {
        Failure::Because(reason.to_string())
    }

    /// Of writing data, to standard output or a file named `place`.
    pub(crate) fn of_writing(place: &str) -> impl Fn(io::Error) -> Failure {
        move |error| match error.kind() {
            ErrorKind::BrokenPipe => Failure::OutputClosed,
            _ => Failure::Because(format!("cannot write to {place}: {error}")),
        }
    }

    /// Of writing to standard output.
    pub(crate) fn of_output(error: io::Error) -> Failure {
        Failure::of_writing("standard output")(error)
    }

    /// Says first how far the command had come.
    pub(crate) fn after(self, done: impl Display) -> Failure {
        match self {
            Failure::Because(reason) => Failure::Because(format!("{reason} ({done})")),
            Failure::OutputClosed => Failure::OutputClosed,
        }
    }
}

impl From<todana_client::Error> for Failure {
    fn from(error: todana_client::Error) -> Failure {
        Failure::because(error)
    }
}

impl From<todana_store::Error> for Failure {
    fn from(error: todana_store::Error) -> Failure {
        Failure::because(error)
    }
}

/// Turns what came of a command into its exit status, and an error into its line.
pub(crate) fn finish(what: &str, done: Result<u8, Failure>) -> ExitCode {
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
pub(crate) fn complain(what: &str, reason: &str) {
    // Nowhere is left to say that standard error is closed.
    let _ = writeln!(io::stderr(), "todana: {what}: {reason}");
}

/// Writes a line to standard output.
pub(crate) fn say(line: impl Display) -> Result<(), Failure> {
    writeln!(io::stdout(), "{line}").map_err(Failure::of_output)
}

/// `1 record`, `2 records`.
pub(crate) fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// Reads standard input up to its end; one byte more than `len_max` shows that there is more.
pub(crate) fn standard_input(len_max: u64) -> Result<Vec<u8>, Failure> {
    let mut value = Vec::new();
    match io::stdin().lock().take(len_max.saturating_add(1)).read_to_end(&mut value) {
        Ok(_) => Ok(value),
        Err(error) => Err(Failure::Because(format!("cannot read standard input: {error}"))),
    }
}
