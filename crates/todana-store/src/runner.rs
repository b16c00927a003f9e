//! The thread that runs an embedded engine's jobs: engines own none.

use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use todana_engine::{Engine, JobProgress, Listener};
use todana_io::Clock;

/// Longest sleep, in ms.
const SLEEP_MAX_MS: u64 = 1_000;

#[derive(Debug, Default)]
struct Wish {
    stop: bool,
    work: bool,
}

/// What wakes the thread.
#[derive(Debug, Default)]
struct Bell {
    wish: Mutex<Wish>,
    rung: Condvar,
}

impl Listener for Bell {
    fn wanted(&self, _: usize) {
        self.wish.lock().work = true;
        self.rung.notify_one();
    }
}

/// Runs jobs until it is stopped or dropped.
#[derive(Debug)]
pub(crate) struct Runner {
    bell: Arc<Bell>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Runner {
    pub(crate) fn start(engine: Arc<dyn Engine>, clock: Arc<dyn Clock>) -> Runner {
        let bell = Arc::new(Bell::default());
        engine.subscribe(bell.clone());
        let heard = bell.clone();
        let spawned = std::thread::Builder::new()
            .name("todana-jobs".to_owned())
            .spawn(move || run(&*engine, &*clock, &heard));
        // Without a thread the engine stays correct; its callers do the work when it presses.
        Runner { bell, thread: Mutex::new(spawned.ok()) }
    }

    /// Ends the thread and waits for it.
    pub(crate) fn stop(&self) {
        self.bell.wish.lock().stop = true;
        self.bell.rung.notify_one();
        if let Some(thread) = self.thread.lock().take() {
            // A panic there has been told by its own message.
            let _ = thread.join();
        }
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run(engine: &dyn Engine, clock: &dyn Clock, bell: &Bell) {
    loop {
        let now = engine.clock().advance(clock.wall_ms());
        let mut due_ms = now.ms() + SLEEP_MAX_MS;
        for job in 0..engine.jobs().len() {
            match engine.run_job(job, now) {
                JobProgress::More => due_ms = now.ms(),
                JobProgress::IdleUntil(at) => due_ms = due_ms.min(at.ms()),
            }
        }
        let mut wish = bell.wish.lock();
        let sleep_ms = due_ms.saturating_sub(now.ms());
        if !wish.stop && !wish.work && sleep_ms > 0 {
            bell.rung.wait_for(&mut wish, Duration::from_millis(sleep_ms));
        }
        wish.work = false;
        if wish.stop {
            return;
        }
    }
}
