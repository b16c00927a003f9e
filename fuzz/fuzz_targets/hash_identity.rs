//! The hash store on disk: the file `store`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use todana_log::fuzzing;

fuzz_target!(|input: &[u8]| fuzzing::identity(input));
