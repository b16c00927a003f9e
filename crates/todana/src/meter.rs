//! How far a long command is, shown on a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, IsTerminal as _};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;
use todana_io::{Clock as _, SystemClock};

/// What takes less shows nothing.
const QUIET: Duration = Duration::from_secs(1);
/// Steps between two looks at the clock.
const STEPS_BLIND: u64 = 16;

/// A bar on standard error that appears after a second, if that is a terminal.
pub(crate) struct Meter {
    clock: SystemClock,
    bar: ProgressBar,
    steps: u64,
    is_waiting: bool,
}

impl Meter {
    /// A bar of `total` records.
    pub(crate) fn of_records(total: u64) -> Meter {
        Meter::new(total, "[{bar:40}] {percent:>3}% {human_pos} of {human_len} records")
    }

    /// A bar of `total` bytes.
    pub(crate) fn of_bytes(total: u64) -> Meter {
        Meter::new(total, "[{bar:40}] {percent:>3}% {bytes} of {total_bytes}")
    }

    /// A bar of `total` requests.
    pub(crate) fn of_requests(total: u64) -> Meter {
        Meter::new(total, "[{bar:40}] {percent:>3}% {human_pos} of {human_len} requests")
    }

    /// A bar of work whose bytes are told as it goes on.
    pub(crate) fn of_work() -> Meter {
        Meter::of_bytes(0)
    }

    /// A count of bytes without an end that is known.
    pub(crate) fn of_stream() -> Meter {
        Meter::new(0, "{bytes} read")
    }

    /// None where lines of data go to the same terminal: they show that it goes on.
    pub(crate) fn beside_data(mut self) -> Meter {
        self.is_waiting &= !io::stdout().is_terminal();
        self
    }

    fn new(total: u64, template: &str) -> Meter {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
        // The template is a constant; a wrong one would leave the plain bar.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        let is_waiting = io::stderr().is_terminal();
        Meter { clock: SystemClock::new(), bar, steps: 0, is_waiting }
    }

    /// Says how far it is; cheap.
    pub(crate) fn at(&mut self, position: u64) {
        self.steps += 1;
        if !self.steps.is_multiple_of(STEPS_BLIND) {
            return;
        }
        if self.is_waiting && u128::from(self.clock.monotonic_ns()) >= QUIET.as_nanos() {
            self.is_waiting = false;
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.set_position(position);
    }

    /// As [`at`](Meter::at), of so many.
    pub(crate) fn at_of(&mut self, position: u64, total: u64) {
        if self.bar.length() != Some(total) {
            self.bar.set_length(total);
        }
        self.at(position);
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Runs work that does not tell how far it is, with a sign of life after a second.
pub(crate) fn watched<T: Send>(message: &'static str, work: impl FnOnce() -> T + Send) -> T {
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
