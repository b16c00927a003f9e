//! Sessions over an engine whose changes lag behind and whose reads have to wait: what the engines that
//! keep files will be like.

use crate::in_process::InProcess;
use crate::transcript::Driver;
use std::sync::Arc;
use todana_engine::conformance::{MAP_JOBS, MapEngine};
use todana_engine::{Engine, Level};
use todana_server::Settings;

fn run(engine: &MapEngine, job: &str) {
    let job = MAP_JOBS.iter().position(|name| *name == job).unwrap();
    engine.run_job(job, engine.clock().now());
}

#[test]
fn nobody_is_told_what_can_still_vanish() {
    let engine = Arc::new(MapEngine::new());
    let mut writer = InProcess::over(engine.clone(), Settings::default());
    let mut reader = InProcess::over(engine.clone(), Settings::default());
    assert_eq!(writer.send(b"set a 0 0 1\r\nx\r\nget none\r\n"), b"", "acknowledged too soon");
    assert_eq!(reader.send(b"get a\r\n"), b"", "shown too soon");
    assert_eq!(reader.send(b"get none\r\n"), b"", "overtook a reply that waits");
    run(&engine, "sync");
    assert_eq!(writer.send(b""), b"STORED\r\nEND\r\n");
    assert_eq!(reader.send(b""), b"VALUE a 0 1\r\nx\r\nEND\r\nEND\r\n");
    assert_eq!(reader.send(b"get a\r\n"), b"VALUE a 0 1\r\nx\r\nEND\r\n", "safe by now");
}

#[test]
fn who_asks_for_less_safety_is_answered_at_once() {
    let settings = Settings { acknowledge: Level::Applied, ..Settings::default() };
    let mut session = InProcess::over(Arc::new(MapEngine::new()), settings);
    assert_eq!(session.send(b"set a 0 0 1\r\nx\r\n"), b"STORED\r\n");
}

#[test]
fn a_read_that_waits_holds_back_what_follows_and_nothing_is_done_twice() {
    let engine = Arc::new(MapEngine::with_cold_reads());
    let settings = Settings { acknowledge: Level::Applied, ..Settings::default() };
    let mut session = InProcess::over(engine.clone(), settings);
    assert_eq!(session.send(b"set n 0 0 1\r\n1\r\nset m 0 0 1\r\n5\r\n"), b"STORED\r\nSTORED\r\n");
    // Each of these finds its record cold.
    assert_eq!(session.send(b"incr n 1\r\nget m n\r\nincr n 1\r\nversion\r\n"), b"");
    let mut out = Vec::new();
    for _ in 0..10 {
        run(&engine, "read");
        session.wake();
        out.extend(session.send(b""));
    }
    let text = String::from_utf8(out).unwrap();
    let expected = "2\r\nVALUE m 0 1\r\n5\r\nVALUE n 0 1\r\n2\r\nEND\r\n3\r\nVERSION ";
    assert!(text.starts_with(expected), "{text}");
}

#[test]
fn a_place_is_held_for_an_answer_from_elsewhere() {
    let mut session = InProcess::over(Arc::new(MapEngine::new()), Settings::default());
    let slot = session.session().replies().reserve();
    assert_eq!(session.send(b"mn\r\n"), b"");
    assert!(session.session().replies().fill(slot, b"first\r\n".to_vec()));
    assert_eq!(session.send(b""), b"first\r\nMN\r\n");
}
