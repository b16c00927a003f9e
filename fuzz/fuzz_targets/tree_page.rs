//! The ordered store on disk: the page of a leaf.
#![no_main]

use libfuzzer_sys::fuzz_target;
use todana_tree::fuzzing;

fuzz_target!(|input: &[u8]| fuzzing::page(input));
