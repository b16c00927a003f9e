//! The hash store on disk: a record, the entry of a log.
#![no_main]

use libfuzzer_sys::fuzz_target;
use todana_log::fuzzing;

fuzz_target!(|input: &[u8]| fuzzing::record(input));
