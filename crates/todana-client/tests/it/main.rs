//! The client against a server that follows a script, on a port or path chosen by the system.
#![expect(clippy::unwrap_used, reason = "a test's helpers may panic")]

mod fake;
mod faults;
mod operations;
mod pool;
