//! What a run does: the plan and its bounds.

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::parts::{Amount, Dialect, Distribution, Target, ValueSize, bad, within};

/// Bounds that [`Plan::check`] holds a plan to.
pub mod limits {
    /// Connections of a run: the number of ports of a client address, about.
    pub const CONNECTIONS_MAX: usize = 60_000;
    /// Threads of a run.
    pub const THREADS_MAX: usize = 256;
    /// Requests in one batch.
    pub const PIPELINE_MAX: usize = 10_000;
    /// Keys in one get.
    pub const KEYS_PER_GET_MAX: usize = 1_000;
    /// Bytes of a key; memcached's own bound.
    pub const KEY_SIZE_MAX_BYTES: usize = 250;
    /// Bytes of a value; the largest `-I` of memcached.
    pub const VALUE_SIZE_MAX_BYTES: usize = 1 << 30;
    /// Bytes of one batch, as it is formatted in memory before it is sent.
    pub const BATCH_MAX_BYTES: usize = 2 << 30;
    /// Keys of a run; the scrambling of hot keys works below 2^32.
    pub const KEYS_MAX: u64 = 4_000_000_000;
    /// Exponent of Zipf's law; beyond it one key takes all.
    pub const ZIPF_THETA_MAX: f64 = 10.0;
}

/// Everything a run needs to know. Make one with `Plan { .., ..Plan::default() }`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Plan {
    /// The server. Default `127.0.0.1:11211`.
    pub target: Target,
    /// Connections, shared out to the threads. Default 50.
    pub connections: usize,
    /// Threads, each with a readiness loop of its own. Default 1.
    pub threads: usize,
    /// Requests in one batch: sent by one write, then all their replies are awaited. Default 1.
    pub pipeline: usize,
    /// Keys in one get; more than one only in [`Dialect::Text`] and [`Dialect::Resp`].
    /// Default 1.
    pub keys_per_get: usize,
    /// Bytes of every key: prefix, then a decimal number padded with zeros. Default 26.
    pub key_size_bytes: usize,
    /// What every key begins with: printable ASCII without spaces. Default `key:`.
    pub key_prefix: String,
    /// Bytes of the values. Default 64.
    pub value_size: ValueSize,
    /// Number of different keys. Default 1,000,000.
    pub keys: u64,
    /// How often which key is asked for. Default uniform.
    pub distribution: Distribution,
    /// Share of gets among the requests, `0.0..=1.0`; the others are sets. Default 0.9.
    pub get_ratio: f64,
    /// The language spoken. Default classic text.
    pub dialect: Dialect,
    /// How long, or how many requests, are measured. Default ten seconds.
    pub amount: Amount,
    /// How long requests are sent before measuring begins, in milliseconds. Default 1,000.
    pub warm_up_ms: u64,
    /// Requests per second of all connections together (open loop); `None` for as many as the
    /// server answers (closed loop). Default `None`.
    pub rate: Option<f64>,
    /// Open loop: batches that fall due at the same moment, on as many connections, and so many times
    /// less often; the rate stays. 1 spreads requests evenly, which wakes an idle server for nearly
    /// every one; as many as connections keeps it at work through the burst. Default 1.
    pub burst: usize,
    /// How late the open loop may be, in microseconds, when that saves a wake-up of the client.
    /// Latencies include it. Default 20.
    pub timer_slack_us: u64,
    /// Seed of all randomness. Default 1.
    pub seed: u64,
    /// Whether [`run`](crate::run) sets every key once before anything else. Default no.
    pub preload: bool,
    /// Whether a get that misses is followed by a set of that key. Default no.
    pub refill: bool,
    /// How long the server may be silent with requests outstanding, in milliseconds; also the
    /// timeout of opening a connection. Default 10,000.
    pub timeout_ms: u64,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            target: Target::Tcp("127.0.0.1:11211".to_owned()),
            connections: 50,
            threads: 1,
            pipeline: 1,
            keys_per_get: 1,
            key_size_bytes: 26,
            key_prefix: "key:".to_owned(),
            value_size: ValueSize::Fixed(64),
            keys: 1_000_000,
            distribution: Distribution::Uniform,
            get_ratio: 0.9,
            dialect: Dialect::Text,
            amount: Amount::DurationMs(10_000),
            warm_up_ms: 1_000,
            rate: None,
            burst: 1,
            timer_slack_us: 20,
            seed: 1,
            preload: false,
            refill: false,
            timeout_ms: 10_000,
        }
    }
}

impl Plan {
    /// Checks every field against its bounds and against the others.
    ///
    /// # Errors
    ///
    /// [`Error::Plan`] for the first field that will not do.
    pub fn check(&self) -> Result<(), Error> {
        within("connections", self.connections, 1, limits::CONNECTIONS_MAX)?;
        within("threads", self.threads, 1, limits::THREADS_MAX.min(self.connections))?;
        within("burst", self.burst, 1, self.connections)?;
        within("pipeline", self.pipeline, 1, limits::PIPELINE_MAX)?;
        within("keys", self.keys, 1, limits::KEYS_MAX)?;
        within("timeout_ms", self.timeout_ms, 1, 86_400_000)?;
        if self.keys_per_get > 1 && !self.dialect.has_multi_get() {
            let want =
                "several keys in a get are for text and resp; use a quiet dialect and pipeline";
            return Err(bad("keys_per_get", self.keys_per_get, want));
        }
        within("keys_per_get", self.keys_per_get, 1, limits::KEYS_PER_GET_MAX)?;
        let digits = (self.keys - 1).max(1).ilog10() as usize + 1;
        let key_min = self.key_prefix.len() + digits;
        within("key_size_bytes", self.key_size_bytes, key_min, limits::KEY_SIZE_MAX_BYTES)?;
        if !self.key_prefix.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(bad("key_prefix", &self.key_prefix, "printable ASCII without spaces"));
        }
        if !(0.0..=1.0).contains(&self.get_ratio) {
            return Err(bad("get_ratio", self.get_ratio, "a number from 0 to 1"));
        }
        if let Some(rate) = self.rate
            && !(rate > 0.0 && rate < 1e9)
        {
            return Err(bad("rate", rate, "requests per second above 0 and below 1e9"));
        }
        if self.amount == Amount::Requests(0) || self.amount == Amount::DurationMs(0) {
            return Err(bad("amount", self.amount, "more than nothing"));
        }
        self.distribution.check()?;
        self.value_size.check()?;
        let batch_bytes = self.pipeline.saturating_mul(self.value_size.max() + 512);
        within("pipeline × value_size (bytes)", batch_bytes, 1, limits::BATCH_MAX_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_is_refused_with_a_hint() {
        let refused = |plan: Plan| plan.check().unwrap_err().to_string();
        assert_eq!(
            refused(Plan { key_size_bytes: 8, ..Plan::default() }),
            "key_size_bytes: \"8\" will not do; 10 to 250 here"
        );
        refused(Plan { connections: 0, ..Plan::default() });
        refused(Plan { threads: 51, ..Plan::default() });
        refused(Plan { get_ratio: 1.5, ..Plan::default() });
        refused(Plan { rate: Some(f64::NAN), ..Plan::default() });
        refused(Plan { keys_per_get: 2, dialect: Dialect::Meta, ..Plan::default() });
        Plan::default().check().unwrap();
    }

    #[test]
    fn a_plan_survives_json() {
        let plan = Plan { distribution: Distribution::Zipf(0.9), ..Plan::default() };
        let json = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&json).unwrap(), plan);
        let short: Plan = serde_json::from_str(r#"{"pipeline": 50, "value_size": "1-9"}"#).unwrap();
        assert_eq!((short.pipeline, short.value_size), (50, ValueSize::Range(1, 9)));
    }
}
