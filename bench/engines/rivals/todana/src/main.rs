//! Todana in the benchmark of engines; all that knows its interface is in `todana.rs`.

mod todana;

use std::process::ExitCode;

fn main() -> ExitCode {
    engines_workload::main::<todana::Todana>()
}
