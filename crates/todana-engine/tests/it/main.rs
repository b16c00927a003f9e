//! The suite over the map engine: were it shaped by the memory engine, this would not pass.

use std::sync::Arc;
use todana_engine::conformance::{self, MapEngine};

#[test]
fn a_locked_map_conforms() {
    conformance::run(&|| Arc::new(MapEngine::new()));
}
