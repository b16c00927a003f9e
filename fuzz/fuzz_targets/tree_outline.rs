//! The ordered store on disk: the outline of all leaves.
#![no_main]

use libfuzzer_sys::fuzz_target;
use todana_tree::fuzzing;

fuzz_target!(|input: &[u8]| fuzzing::outline(input));
