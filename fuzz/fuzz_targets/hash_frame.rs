//! The hash store on disk: a frame of a segment, with its checksums.
#![no_main]

use libfuzzer_sys::fuzz_target;
use todana_log::fuzzing;

fuzz_target!(|input: &[u8]| fuzzing::frame(input));
