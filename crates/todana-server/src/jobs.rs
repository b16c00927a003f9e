//! The thread that runs the engine's background work.

use crate::context::Context;
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::time::Duration;
use todana_engine::JobProgress;

/// Longest sleep between looks, in milliseconds: jobs may become due sooner than they said.
const SLEEP_MAX_MS: u64 = 1_000;

/// Runs jobs until the server stops.
pub(crate) fn run(context: &Arc<Context>) {
    let asleep = Arc::new((Mutex::new(()), Condvar::new()));
    let wake = asleep.clone();
    context.stop.on_stop(Arc::new(move || {
        wake.1.notify_all();
    }));
    let engine = &context.engine;
    while !context.stop.is_ordered() {
        let now = context.now();
        let mut due_ms = now.ms() + SLEEP_MAX_MS;
        for job in 0..engine.jobs().len() {
            match engine.run_job(job, now) {
                JobProgress::More => due_ms = now.ms(),
                JobProgress::IdleUntil(at) => due_ms = due_ms.min(at.ms()),
            }
        }
        // Work that goes on leaves the processor to requests every now and then.
        let sleep_ms = due_ms.saturating_sub(now.ms()).clamp(1, SLEEP_MAX_MS);
        let mut guard = asleep.0.lock();
        if !context.stop.is_ordered() {
            asleep.1.wait_for(&mut guard, Duration::from_millis(sleep_ms));
        }
    }
}
