//! What came of a run.

use std::fmt;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::plan::Plan;
use crate::worker::Outcome;

/// What was measured. Prints as a table; [`Report::to_json`] gives the same as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Report {
    /// The plan that was followed.
    pub plan: Plan,
    /// Commands that were answered; a get of several keys is one.
    pub requests: u64,
    /// Keys asked for or set by them.
    pub keys: u64,
    /// Keys found by gets.
    pub hits: u64,
    /// Keys not found by gets.
    pub misses: u64,
    /// Sets that were stored, refills among them.
    pub stored: u64,
    /// Sets of keys that a get had missed; they are not requests, and have no latency.
    pub refills: u64,
    /// Replies that were errors, or sets that were not stored.
    pub errors: u64,
    /// The first of them, warm-up included.
    pub first_error: Option<String>,
    /// Open loop: requests that fell due and were not sent before the end, for the server had not
    /// answered what was before them on their connection. Anything but a few says that the rate is
    /// more than the server sustains.
    pub unsent: u64,
    /// From the beginning of measuring to the last reply, in seconds.
    pub wall_seconds: f64,
    /// `requests / wall_seconds`.
    pub requests_per_second: f64,
    /// `keys / wall_seconds`.
    pub keys_per_second: f64,
    /// CPU time of this generator's threads while measuring, in seconds.
    pub client_cpu_seconds: f64,
    /// The same as a share of the threads' wall time, 0 to 1. Above 0.8 or so it is the client that
    /// was measured.
    pub client_cpu_share: f64,
    /// Bytes of requests sent.
    pub bytes_sent: u64,
    /// Bytes of replies received.
    pub bytes_received: u64,
    /// Latencies of batches.
    pub latency: Latency,
}

/// Latencies of whole batches in microseconds: from the start of a batch of
/// [`Plan::pipeline`](crate::Plan::pipeline) requests to its last reply. The start is the write in
/// the closed loop, and the time at which the batch was due in the open loop.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Latency {
    /// Batches measured.
    pub batches: u64,
    /// Arithmetic mean.
    pub mean_us: f64,
    /// Half of the batches took at most this.
    pub p50_us: f64,
    /// 90 % took at most this.
    pub p90_us: f64,
    /// 99 % took at most this.
    pub p99_us: f64,
    /// 99.9 % took at most this.
    pub p999_us: f64,
    /// 99.99 % took at most this.
    pub p9999_us: f64,
    /// The longest.
    pub max_us: f64,
}

impl Latency {
    fn new(nanos: &Histogram<u64>) -> Self {
        let at = |quantile| nanos.value_at_quantile(quantile) as f64 / 1e3;
        Self {
            batches: nanos.len(),
            mean_us: nanos.mean() / 1e3,
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            p9999_us: at(0.9999),
            max_us: nanos.max() as f64 / 1e3,
        }
    }
}

impl Report {
    pub(crate) fn new(plan: &Plan, from: Instant, outcomes: &[Outcome]) -> Result<Self, Error> {
        let sum = |part: fn(&Outcome) -> u64| outcomes.iter().map(part).sum::<u64>();
        let last = outcomes.iter().filter_map(|outcome| outcome.last).max();
        let last = last.ok_or(Error::Interrupted)?;
        let wall_seconds = last.saturating_duration_since(from).as_secs_f64().max(1e-9);
        let cpu: Duration = outcomes.iter().map(|outcome| outcome.cpu).sum();
        let mut latencies = Outcome::new().latencies;
        for outcome in outcomes {
            // Both have the same bounds, so nothing can be out of range.
            let _ = latencies.add(&outcome.latencies);
        }
        let (requests, keys) = (sum(|outcome| outcome.requests), sum(|outcome| outcome.keys));
        Ok(Self {
            plan: plan.clone(),
            requests,
            keys,
            hits: sum(|outcome| outcome.tally.hits),
            misses: sum(|outcome| outcome.tally.misses),
            stored: sum(|outcome| outcome.tally.stored),
            refills: sum(|outcome| outcome.refills),
            errors: sum(|outcome| outcome.tally.errors),
            first_error: outcomes.iter().find_map(|outcome| outcome.first_error.clone()),
            unsent: sum(|outcome| outcome.unsent),
            wall_seconds,
            requests_per_second: requests as f64 / wall_seconds,
            keys_per_second: keys as f64 / wall_seconds,
            client_cpu_seconds: cpu.as_secs_f64(),
            client_cpu_share: cpu.as_secs_f64() / wall_seconds / outcomes.len() as f64,
            bytes_sent: sum(|outcome| outcome.bytes_out),
            bytes_received: sum(|outcome| outcome.bytes_in),
            latency: Latency::new(&latencies),
        })
    }

    /// The report as one JSON object, indented.
    ///
    /// # Errors
    ///
    /// None that a report of [`run`](crate::run) could cause; serde's, by its signature.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plan = &self.plan;
        let pace = plan.rate.map_or_else(
            || "closed loop".to_owned(),
            |rate| format!("open loop, {rate} requests/s"),
        );
        writeln!(
            f,
            "{} {}, {} connections, {} threads, pipeline {}, {} keys a get, {pace}",
            plan.target,
            plan.dialect,
            plan.connections,
            plan.threads,
            plan.pipeline,
            plan.keys_per_get,
        )?;
        writeln!(
            f,
            "{} keys of {} B, {}, values of {} B, {:.0} % gets",
            plan.keys,
            plan.key_size_bytes,
            plan.distribution,
            plan.value_size,
            plan.get_ratio * 100.0,
        )?;
        writeln!(f)?;
        let mut row = |name: &str, value: String| writeln!(f, "{name:<18}{value:>16}");
        row("requests", self.requests.to_string())?;
        row("requests/s", format!("{:.0}", self.requests_per_second))?;
        if self.keys != self.requests {
            row("keys/s", format!("{:.0}", self.keys_per_second))?;
        }
        row("hits", self.hits.to_string())?;
        row("misses", self.misses.to_string())?;
        row("stored", self.stored.to_string())?;
        row("errors", self.errors.to_string())?;
        if plan.refill {
            row("refills", self.refills.to_string())?;
        }
        if plan.rate.is_some() {
            row("unsent", self.unsent.to_string())?;
        }
        row("wall s", format!("{:.3}", self.wall_seconds))?;
        row("client CPU s", format!("{:.3}", self.client_cpu_seconds))?;
        row("client CPU share", format!("{:.2}", self.client_cpu_share))?;
        row("sent MB/s", format!("{:.1}", self.bytes_sent as f64 / 1e6 / self.wall_seconds))?;
        row(
            "received MB/s",
            format!("{:.1}", self.bytes_received as f64 / 1e6 / self.wall_seconds),
        )?;
        let latency = &self.latency;
        for (name, micros) in [
            ("mean µs", latency.mean_us),
            ("p50 µs", latency.p50_us),
            ("p90 µs", latency.p90_us),
            ("p99 µs", latency.p99_us),
            ("p99.9 µs", latency.p999_us),
            ("p99.99 µs", latency.p9999_us),
            ("max µs", latency.max_us),
        ] {
            row(name, format!("{micros:.1}"))?;
        }
        if plan.pipeline > 1 {
            writeln!(f, "(latencies are of whole batches of {} requests)", plan.pipeline)?;
        }
        if let Some(line) = &self.first_error {
            writeln!(f, "first error: {line}")?;
        }
        Ok(())
    }
}
