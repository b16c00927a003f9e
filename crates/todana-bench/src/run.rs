//! Threads and phases of a run.

use std::ops::{ControlFlow, Range};
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::clock;
use crate::error::Error;
use crate::parts::Amount;
use crate::plan::Plan;
use crate::report::Report;
use crate::schedule::Schedule;
use crate::stream::Stream;
use crate::worker::{Outcome, Shared, Window, Work, Worker};

/// The callback is called this often.
const TICK: Duration = Duration::from_millis(100);
/// From the last connection to the first request; threads start in it.
const HEAD_START: Duration = Duration::from_millis(2);
/// Bytes of a preload's batch, about, and its most keys.
const PRELOAD_BATCH_BYTES: usize = 64 << 10;
const PRELOAD_BATCH_KEYS: usize = 64;

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Progress {
    /// Keys are being set once.
    Preload {
        /// Keys set so far.
        done: u64,
        /// Keys to set.
        total: u64,
    },
    /// Requests are sent but not counted.
    WarmUp {
        /// Time since it began.
        elapsed: Duration,
        /// The plan's warm-up.
        total: Duration,
    },
    /// Requests count. The first of these comes within a millisecond or so of the beginning.
    Measuring {
        /// Time since it began.
        elapsed: Duration,
        /// Requests answered since then.
        requests: u64,
        /// The plan's amount.
        amount: Amount,
    },
}

impl Progress {
    /// How much of the phase is done, 0.0 to 1.0.
    #[must_use]
    pub fn fraction(&self) -> f64 {
        let fraction = match *self {
            Self::Preload { done, total } => done as f64 / total as f64,
            Self::WarmUp { elapsed, total } => elapsed.as_secs_f64() / total.as_secs_f64(),
            Self::Measuring { elapsed, amount: Amount::DurationMs(ms), .. } => {
                elapsed.as_secs_f64() * 1e3 / ms as f64
            }
            Self::Measuring { requests, amount: Amount::Requests(total), .. } => {
                requests as f64 / total as f64
            }
        };
        fraction.clamp(0.0, 1.0)
    }
}

/// What came of a preload.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Preloaded {
    /// Keys that were set.
    pub keys: u64,
    /// How long it took, in seconds.
    pub wall_seconds: f64,
}

/// Sets every key of the plan once, in the plan's dialect and over its connections.
///
/// # Errors
///
/// What [`run`] fails with; [`Error::PreloadRefused`] if the server did not store them all;
/// [`Error::Interrupted`] if the callback broke off.
pub fn preload(
    plan: &Plan,
    mut progress: impl FnMut(Progress) -> ControlFlow<()>,
) -> Result<Preloaded, Error> {
    plan.check()?;
    let bytes = plan.value_size.max() + plan.key_size_bytes;
    let per_batch = (PRELOAD_BATCH_BYTES / bytes.max(1)).clamp(1, PRELOAD_BATCH_KEYS) as u64;
    let begun = clock::now();
    let streams = connect(plan)?;
    let works =
        shares(plan.keys, plan.threads).map(|keys| Work::Preload { keys, per_batch }).collect();
    let (outcomes, stopped) = drive(plan, streams, works, |answered, _now| {
        progress(Progress::Preload { done: answered, total: plan.keys })
    })?;
    let stored = outcomes.iter().map(|outcome| outcome.tally.stored).sum::<u64>();
    if stopped {
        return Err(Error::Interrupted);
    }
    if stored < plan.keys {
        let sample = outcomes.into_iter().find_map(|outcome| outcome.first_error);
        let sample = sample.unwrap_or_else(|| "no error line".to_owned());
        return Err(Error::PreloadRefused { refused: plan.keys - stored, keys: plan.keys, sample });
    }
    let wall_seconds = clock::now().duration_since(begun).as_secs_f64();
    Ok(Preloaded { keys: stored, wall_seconds })
}

/// Does what the plan says and reports on it.
///
/// Blocks until done; `progress` is called on this thread about ten times a second, and at the
/// moment at which measuring begins. If it breaks, the run ends early and what was measured so far
/// is reported.
///
/// # Errors
///
/// [`Error::Plan`] for a plan that makes no sense; [`Error::Connect`], [`Error::Closed`],
/// [`Error::Silent`] and the like when the server cannot be talked to; what [`preload`] fails with
/// if the plan asks for one. Error replies to single requests are counted, not returned.
pub fn run(
    plan: &Plan,
    mut progress: impl FnMut(Progress) -> ControlFlow<()>,
) -> Result<Report, Error> {
    plan.check()?;
    if plan.preload {
        preload(plan, &mut progress)?;
    }
    let streams = connect(plan)?;
    let warm_up = Duration::from_millis(plan.warm_up_ms);
    let start = clock::now() + HEAD_START;
    let measure_from = start + warm_up;
    let works = windows(plan, start, measure_from).into_iter().map(Work::Mix).collect();
    let (outcomes, _stopped) = drive(plan, streams, works, |requests, now| {
        progress(match now.checked_duration_since(measure_from) {
            None => {
                Progress::WarmUp { elapsed: now.saturating_duration_since(start), total: warm_up }
            }
            Some(elapsed) => Progress::Measuring { elapsed, requests, amount: plan.amount },
        })
    })?;
    Report::new(plan, measure_from, &outcomes)
}

/// Opens the plan's connections, shared out to its threads.
fn connect(plan: &Plan) -> Result<Vec<Vec<Stream>>, Error> {
    let timeout = Duration::from_millis(plan.timeout_ms);
    shares(plan.connections as u64, plan.threads)
        .map(|share| share.map(|_| Stream::connect(&plan.target, timeout)).collect())
        .collect()
}

/// `0..total` cut into `parts` ranges of nearly equal length.
fn shares(total: u64, parts: usize) -> impl Iterator<Item = Range<u64>> {
    let parts = parts as u64;
    let cut = move |part: u64| {
        let at = u128::from(total) * u128::from(part) / u128::from(parts);
        u64::try_from(at).unwrap_or(total)
    };
    (0..parts).map(move |part| cut(part)..cut(part + 1))
}

/// The window of every thread: its share of requests, and of turns.
fn windows(plan: &Plan, start: Instant, measure_from: Instant) -> Vec<Window> {
    let requests = match plan.amount {
        Amount::Requests(requests) => Some(requests),
        Amount::DurationMs(_) => None,
    };
    let end = match plan.amount {
        Amount::DurationMs(ms) => Some(measure_from + Duration::from_millis(ms)),
        Amount::Requests(_) => None,
    };
    let schedule = |thread: usize, connections: u64| {
        let rate = plan.rate? / plan.pipeline as f64;
        let share = rate * connections as f64 / plan.connections as f64;
        // Threads take turns too, lest they all send at the same moment.
        let offset = Duration::from_secs_f64(thread as f64 / plan.threads as f64 / share);
        let connections = usize::try_from(connections).ok()?;
        let burst = (plan.burst * connections).div_ceil(plan.connections);
        Some(Schedule::new(start + offset, share, connections, burst))
    };
    let quotas = shares(requests.unwrap_or(0), plan.threads);
    let connections = shares(plan.connections as u64, plan.threads);
    quotas
        .zip(connections)
        .enumerate()
        .map(|(thread, (quota, connections))| Window {
            start,
            measure_from,
            end,
            quota: requests.map(|_| quota.end - quota.start),
            schedule: schedule(thread, connections.end - connections.start),
        })
        .collect()
}

/// Runs one worker a thread to its end, ticking meanwhile. Also says whether the tick broke off.
fn drive(
    plan: &Plan,
    streams: Vec<Vec<Stream>>,
    works: Vec<Work>,
    mut tick: impl FnMut(u64, Instant) -> ControlFlow<()>,
) -> Result<(Vec<Outcome>, bool), Error> {
    let shared = Shared::default();
    let measure_from = works.iter().find_map(|work| match work {
        Work::Mix(window) => Some(window.measure_from),
        Work::Preload { .. } => None,
    });
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        let mut first = 0;
        let threads = works.len();
        for (thread, (streams, work)) in streams.into_iter().zip(works).enumerate() {
            let (sender, shared) = (sender.clone(), &shared);
            let connections = streams.len();
            scope.spawn(move || {
                let outcome = Worker::new(plan, shared, thread, first, streams, work)
                    .map_err(Error::from)
                    .and_then(Worker::run);
                // The receiver outlives the scope.
                let _ = sender.send(outcome);
            });
            first += connections;
        }
        // Only workers hold senders now: if one panics, the channel ends and the scope tells.
        drop(sender);
        let mut outcomes = Vec::with_capacity(threads);
        let mut failure = None;
        let mut stopped = false;
        while outcomes.len() < threads && failure.is_none() {
            let now = clock::now();
            stopped |= tick(shared.answered.load(Ordering::Relaxed), now).is_break();
            shared.stop.fetch_or(stopped, Ordering::Relaxed);
            let until = measure_from.and_then(|from| from.checked_duration_since(now));
            let nap = until.filter(|until| !until.is_zero()).map_or(TICK, |until| until.min(TICK));
            match receiver.recv_timeout(nap) {
                Ok(Ok(outcome)) => outcomes.push(outcome),
                Ok(Err(error)) => failure = Some(error),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
            }
        }
        shared.stop.store(true, Ordering::Relaxed);
        failure.map_or(Ok((outcomes, stopped)), Err)
    })
}
