//! The threads that run the engine's background work: one for each of its jobs, so that a flush never
//! waits for anything else.

use crate::context::Context;
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::time::Duration;
use todana_engine::{JobProgress, Listener};

/// Longest sleep between looks, in milliseconds: jobs may become due sooner than they said.
const SLEEP_MAX_MS: u64 = 1_000;

/// Wakes the thread of one job.
#[derive(Debug)]
struct Bell {
    job: usize,
    wanted: Mutex<bool>,
    rung: Condvar,
}

impl Bell {
    fn ring(&self) {
        *self.wanted.lock() = true;
        self.rung.notify_all();
    }
}

impl Listener for Bell {
    fn wanted(&self, job: usize) {
        if job == self.job {
            self.ring();
        }
    }
}

/// Runs a job until the server stops.
pub(crate) fn run(context: &Arc<Context>, job: usize) {
    let bell = Arc::new(Bell { job, wanted: Mutex::new(false), rung: Condvar::new() });
    let engine = &context.engine;
    engine.subscribe(bell.clone());
    let on_stop = bell.clone();
    context.stop.on_stop(Arc::new(move || on_stop.ring()));
    while !context.stop.is_ordered() {
        let now = context.now();
        let sleep_ms = match engine.run_job(job, now) {
            // Work that goes on leaves the processor to requests every now and then.
            JobProgress::More => 1,
            JobProgress::IdleUntil(at) => at.ms().saturating_sub(now.ms()).clamp(1, SLEEP_MAX_MS),
        };
        let mut wanted = bell.wanted.lock();
        if !*wanted && !context.stop.is_ordered() {
            bell.rung.wait_for(&mut wanted, Duration::from_millis(sleep_ms));
        }
        *wanted = false;
    }
}
