//! How far a long command is, shown on a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, IsTerminal as _};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;
use todana_io::{Clock as _, SystemClock};

/// What takes less shows nothing.
const QUIET: Duration = Duration::from_secs(1);
/// Steps between two looks at the clock.
const STEPS_BLIND: u64 = 256;

/// A bar on standard error that appears after a second, if that is a terminal.
pub(super) struct Meter {
    clock: SystemClock,
    bar: ProgressBar,
    steps: u64,
    is_quiet: bool,
}

impl Meter {
    /// A bar of `total` records.
    pub(super) fn of_records(total: u64) -> Meter {
        Meter::new(total, "{prefix} [{bar:40}] {percent:>3}% {human_pos} of {human_len} records")
    }

    /// A bar of `total` bytes.
    pub(super) fn of_bytes(total: u64) -> Meter {
        Meter::new(total, "{prefix} [{bar:40}] {percent:>3}% {bytes} of {total_bytes}")
    }

    /// A count of bytes without an end that is known.
    pub(super) fn of_stream() -> Meter {
        Meter::new(0, "{prefix} {bytes} read")
    }

    fn new(total: u64, template: &str) -> Meter {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
        // The template is a constant; a wrong one would leave the plain bar.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        let is_quiet = io::stderr().is_terminal();
        Meter { clock: SystemClock::new(), bar, steps: 0, is_quiet }
    }

    /// Says how far it is; cheap.
    pub(super) fn at(&mut self, position: u64) {
        self.steps += 1;
        if !self.steps.is_multiple_of(STEPS_BLIND) {
            return;
        }
        if self.is_quiet && u128::from(self.clock.monotonic_ns()) >= QUIET.as_nanos() {
            self.is_quiet = false;
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.set_position(position);
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Runs work that does not tell how far it is, with a sign of life after a second.
pub(super) fn watched<T: Send>(message: &'static str, work: impl FnOnce() -> T + Send) -> T {
    let (done, heard) = channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let waited = heard.recv_timeout(QUIET);
            if waited != Err(RecvTimeoutError::Timeout) || !io::stderr().is_terminal() {
                return;
            }
            let spinner = ProgressBar::new_spinner().with_message(message);
            spinner.enable_steady_tick(Duration::from_millis(100));
            // The sender is dropped when the work is done.
            let _ = heard.recv();
            spinner.finish_and_clear();
        });
        let result = work();
        drop(done);
        result
    })
}
