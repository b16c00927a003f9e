//! The loop of one thread.

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::{Events, Poll, Token};

use crate::clock;
use crate::connection::{Connection, Flight};
use crate::error::Error;
use crate::plan::Plan;
use crate::reply::{Replies, Tally};
use crate::request::Composer;
use crate::schedule::Schedule;
use crate::stream::Stream;
use crate::timer::Timer;

/// One read takes at most this much; small enough to stay in a second-level cache.
const READ_BUFFER_BYTES: usize = 128 << 10;
/// Longest sleep, so that the end and a request to stop are seen.
const NAP_MAX: Duration = Duration::from_millis(100);
const TIMER: Token = Token(usize::MAX);

/// Latencies are kept in nanoseconds, to three significant digits, up to two minutes.
const LATENCY_MIN_NS: u64 = 100;
const LATENCY_MAX_NS: u64 = 120_000_000_000;

/// What a thread has to do.
#[derive(Debug, Clone)]
pub(crate) enum Work {
    /// Set these keys once, so many in a batch.
    Preload { keys: Range<u64>, per_batch: u64 },
    /// Send requests by the plan's mix.
    Mix(Window),
}

/// When a thread sends, and what of it counts.
#[derive(Debug, Clone)]
pub(crate) struct Window {
    /// No request starts before this.
    pub(crate) start: Instant,
    /// Requests that start before this are warm-up.
    pub(crate) measure_from: Instant,
    /// No request starts at or after this.
    pub(crate) end: Option<Instant>,
    /// So many requests are measured.
    pub(crate) quota: Option<u64>,
    /// Open loop: when batches are due.
    pub(crate) schedule: Option<Schedule>,
}

/// What threads and the caller see of one another.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) stop: AtomicBool,
    /// Requests answered, of all threads.
    pub(crate) answered: AtomicU64,
}

/// What came of a thread's work.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) requests: u64,
    pub(crate) keys: u64,
    pub(crate) refills: u64,
    pub(crate) unsent: u64,
    pub(crate) tally: Tally,
    pub(crate) first_error: Option<String>,
    pub(crate) bytes_out: u64,
    pub(crate) bytes_in: u64,
    pub(crate) cpu: Duration,
    /// When the last reply that counts came.
    pub(crate) last: Option<Instant>,
    pub(crate) latencies: Histogram<u64>,
}

impl Outcome {
    /// Nothing yet.
    pub(crate) fn new() -> Self {
        #[expect(clippy::expect_used, reason = "constants within the bounds of the histogram")]
        let latencies = Histogram::new_with_bounds(LATENCY_MIN_NS, LATENCY_MAX_NS, 3)
            .expect("bounds are in order and three digits are allowed");
        Self {
            requests: 0,
            keys: 0,
            refills: 0,
            unsent: 0,
            tally: Tally::default(),
            first_error: None,
            bytes_out: 0,
            bytes_in: 0,
            cpu: Duration::ZERO,
            last: None,
            latencies,
        }
    }
}

/// The state of a thread's loop.
pub(crate) struct Worker<'run> {
    plan: &'run Plan,
    shared: &'run Shared,
    poll: Poll,
    timer: Timer,
    connections: Vec<Connection>,
    composer: Composer,
    work: Work,
    /// A batch as it is formatted; what the socket does not take is moved to the connection.
    out: Vec<u8>,
    buffer: Vec<u8>,
    /// Connections with a batch in flight.
    in_flight: usize,
    /// Closed loop: every connection was given its first batch.
    begun: bool,
    /// No batch is begun any more, but for refills.
    ended: bool,
    cpu_before: Option<Duration>,
    outcome: Outcome,
}

impl<'run> Worker<'run> {
    /// A loop over these connections; `first_connection` is the number of the first in the run.
    pub(crate) fn new(
        plan: &'run Plan,
        shared: &'run Shared,
        thread: usize,
        first_connection: usize,
        streams: Vec<Stream>,
        work: Work,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let timer = Timer::new(poll.registry(), TIMER)?;
        let connections = streams
            .into_iter()
            .enumerate()
            .map(|(index, stream)| {
                let replies = Replies::new(plan.dialect, plan.keys_per_get);
                let number = first_connection + index;
                let registry = poll.registry();
                Connection::new(stream, Token(index), number, replies, plan.dialect, registry)
            })
            .collect::<io::Result<_>>()?;
        Ok(Self {
            plan,
            shared,
            poll,
            timer,
            connections,
            composer: Composer::new(plan, thread),
            work,
            out: Vec::new(),
            buffer: vec![0; READ_BUFFER_BYTES],
            in_flight: 0,
            begun: false,
            ended: false,
            cpu_before: None,
            outcome: Outcome::new(),
        })
    }

    /// Runs until the work is done, and its last reply has come.
    pub(crate) fn run(mut self) -> Result<Outcome, Error> {
        let mut events = Events::with_capacity(1024);
        let silence_max = Duration::from_millis(self.plan.timeout_ms);
        let mut heard = clock::now();
        loop {
            let now = clock::now();
            self.look_at_the_clock(now)?;
            if self.ended && self.in_flight == 0 {
                return Ok(self.finish());
            }
            if self.in_flight == 0 {
                heard = now;
            } else if now.duration_since(heard) > silence_max {
                return Err(Error::Silent {
                    target: self.plan.target.to_string(),
                    waited: now.duration_since(heard),
                    outstanding: self.in_flight,
                });
            }
            let nap = self.nap(now);
            match self.poll.poll(&mut events, Some(nap)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    return Err(error.into());
                }
                _ => {}
            }
            for event in &events {
                let Token(index) = event.token();
                if index >= self.connections.len() {
                    continue;
                }
                if event.is_writable() {
                    self.connections[index].flush(self.poll.registry())?;
                }
                if event.is_readable() {
                    heard = now;
                    self.receive(index, event.is_read_closed())?;
                }
            }
        }
    }

    fn is_closed_loop(&self) -> bool {
        !matches!(&self.work, Work::Mix(Window { schedule: Some(_), .. }))
    }

    /// Begins and ends measuring, and begins what is due.
    fn look_at_the_clock(&mut self, now: Instant) -> Result<(), Error> {
        let (start, measure_from, end) = match &self.work {
            Work::Preload { .. } => (None, None, None),
            Work::Mix(window) => (Some(window.start), Some(window.measure_from), window.end),
        };
        if self.cpu_before.is_none() && measure_from.is_none_or(|from| now >= from) {
            self.cpu_before = Some(clock::thread_cpu());
        }
        if !self.begun && self.is_closed_loop() && start.is_none_or(|start| now >= start) {
            self.begun = true;
            for index in 0..self.connections.len() {
                self.begin(index, clock::now())?;
            }
        }
        let stopped = self.shared.stop.load(Ordering::Relaxed);
        let over = end.is_some_and(|end| now >= end);
        let until = end.map_or(now, |end| now.min(end - Duration::from_nanos(1)));
        while !self.ended {
            let Work::Mix(Window { schedule: Some(schedule), .. }) = &mut self.work else { break };
            let Some(index) = schedule.take(until) else { break };
            self.connections[index].due += 1;
            if !over && self.connections[index].flight == Flight::Idle {
                self.begin_due(index)?;
            }
        }
        self.ended |= stopped || over;
        Ok(())
    }

    /// How long the loop may sleep. In the open loop the timer is armed for the next turn.
    fn nap(&self, now: Instant) -> Duration {
        let Work::Mix(window) = &self.work else { return NAP_MAX };
        if self.ended {
            return NAP_MAX;
        }
        let mut nap = NAP_MAX;
        for moment in
            [Some(window.start), Some(window.measure_from), window.end].into_iter().flatten()
        {
            if moment > now {
                nap = nap.min(moment.duration_since(now));
            }
        }
        if let Some(schedule) = &window.schedule {
            let slack = Duration::from_micros(self.plan.timer_slack_us);
            let due = schedule.next_due().saturating_duration_since(now).max(slack);
            if due < nap && !self.timer.arm(due) {
                nap = due;
            }
        }
        nap
    }

    /// Begins the batch of the oldest turn of a connection that was not taken yet.
    fn begin_due(&mut self, index: usize) -> Result<(), Error> {
        let Work::Mix(Window { schedule: Some(schedule), .. }) = &self.work else { return Ok(()) };
        let connection = &mut self.connections[index];
        let intended = schedule.intended(index, connection.begun);
        connection.begun += 1;
        self.begin(index, intended)
    }

    /// Begins the next batch of a connection, unless the work is at its end.
    fn begin(&mut self, index: usize, started: Instant) -> Result<(), Error> {
        let connection = &mut self.connections[index];
        self.out.clear();
        match &mut self.work {
            Work::Preload { keys, per_batch } => {
                let end = keys.end.min(keys.start + *per_batch);
                let these = keys.start..end;
                keys.start = end;
                self.ended |= these.is_empty();
                if self.ended {
                    return Ok(());
                }
                self.composer.sets(these, &mut connection.batch, &mut self.out);
            }
            Work::Mix(window) => {
                let mut requests = self.plan.pipeline;
                if let Some(quota) = &mut window.quota
                    && started >= window.measure_from
                {
                    requests = requests.min(usize::try_from(*quota).unwrap_or(usize::MAX));
                    *quota -= requests as u64;
                }
                self.ended |= requests == 0 || window.end.is_some_and(|end| started >= end);
                if self.ended {
                    return Ok(());
                }
                self.composer.mixed(requests, &mut connection.batch, &mut self.out);
            }
        }
        self.in_flight += 1;
        connection.send(Flight::Asked, started, &self.out, self.poll.registry())
    }

    /// Takes what came on a connection, and goes on with it once its batch is answered.
    fn receive(&mut self, index: usize, server_ends: bool) -> Result<(), Error> {
        let connection = &mut self.connections[index];
        if !connection.receive(&mut self.buffer, self.composer.keys(), server_ends)? {
            return Ok(());
        }
        let now = clock::now();
        self.record(index, now);
        let connection = &mut self.connections[index];
        connection.flight = Flight::Idle;
        self.in_flight -= 1;
        let missed = std::mem::take(&mut connection.replies.missed);
        if !missed.is_empty() {
            self.out.clear();
            let started = connection.started;
            self.composer.sets(missed.into_iter(), &mut connection.batch, &mut self.out);
            self.in_flight += 1;
            return connection.send(Flight::Refill, started, &self.out, self.poll.registry());
        }
        if self.ended || self.shared.stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        let is_behind = connection.begun < connection.due;
        if self.is_closed_loop() {
            return self.begin(index, now);
        }
        if is_behind {
            return self.begin_due(index);
        }
        Ok(())
    }

    /// Adds an answered batch to the outcome, if it counts.
    fn record(&mut self, index: usize, now: Instant) {
        let connection = &mut self.connections[index];
        if let Some(line) = connection.replies.first_error.take() {
            self.outcome.first_error.get_or_insert(line);
        }
        if let Work::Mix(window) = &self.work
            && connection.started < window.measure_from
        {
            return;
        }
        let (outcome, tally) = (&mut self.outcome, &connection.replies.tally);
        outcome.tally.hits += tally.hits;
        outcome.tally.misses += tally.misses;
        outcome.tally.stored += tally.stored;
        outcome.tally.errors += tally.errors;
        outcome.bytes_out += connection.bytes_out;
        outcome.bytes_in += connection.bytes_in;
        outcome.last = Some(now);
        outcome.refills += connection.replies.missed.len() as u64;
        if connection.flight == Flight::Asked {
            let requests = connection.batch.requests as u64;
            outcome.requests += requests;
            outcome.keys += (connection.batch.get_keys + connection.batch.sets) as u64;
            self.shared.answered.fetch_add(requests, Ordering::Relaxed);
            let latency = now.saturating_duration_since(connection.started).as_nanos();
            outcome.latencies.saturating_record(u64::try_from(latency).unwrap_or(u64::MAX));
        }
    }

    fn finish(mut self) -> Outcome {
        let behind: u64 = self.connections.iter().map(|c| c.due.saturating_sub(c.begun)).sum();
        self.outcome.unsent = behind * self.plan.pipeline as u64;
        if let Some(before) = self.cpu_before {
            self.outcome.cpu = clock::thread_cpu().saturating_sub(before);
        }
        self.outcome
    }
}
