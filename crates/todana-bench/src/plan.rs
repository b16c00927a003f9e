//! What a run does: the plan, its parts, their text forms and bounds.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Error;

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
    /// Keys in one get; more than one only in [`Dialect::Text`]. Default 1.
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
        within("pipeline", self.pipeline, 1, limits::PIPELINE_MAX)?;
        within("keys", self.keys, 1, limits::KEYS_MAX)?;
        within("timeout_ms", self.timeout_ms, 1, 86_400_000)?;
        let several_max = match self.dialect {
            Dialect::Text => limits::KEYS_PER_GET_MAX,
            _ => 1,
        };
        within("keys_per_get", self.keys_per_get, 1, several_max)?;
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

fn within<T: PartialOrd + fmt::Display>(
    field: &'static str,
    got: T,
    min: T,
    max: T,
) -> Result<(), Error> {
    if got >= min && got <= max {
        return Ok(());
    }
    Err(bad(field, got, format!("{min} to {max} here")))
}

fn bad(field: &'static str, got: impl fmt::Display, want: impl Into<String>) -> Error {
    Error::Plan { field, got: got.to_string(), want: want.into() }
}

/// Where the server is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Target {
    /// `host:port`; the host a name or an address, IPv6 in brackets.
    Tcp(String),
    /// The path of a Unix socket, `unix:/path` or `/path`.
    Unix(PathBuf),
}

impl FromStr for Target {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Ok(Self::Unix(PathBuf::from(path)));
        }
        if text.starts_with('/') {
            return Ok(Self::Unix(PathBuf::from(text)));
        }
        match text.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
                Ok(Self::Tcp(text.to_owned()))
            }
            _ => Err(bad("target", text, "write host:port, unix:/path or /path")),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => f.write_str(address),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Bytes of the values; drawn anew for every set where there is a choice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ValueSize {
    /// All values alike; `64`.
    Fixed(usize),
    /// Every size from the first to the second, both included, equally often; `64-1024`.
    Range(usize, usize),
    /// One of these, equally often; `64,1024,8192`. Repeat one to weigh it.
    Choice(Vec<usize>),
}

impl ValueSize {
    /// The largest size that may be drawn.
    #[must_use]
    pub fn max(&self) -> usize {
        match self {
            Self::Fixed(size) => *size,
            Self::Range(_, last) => *last,
            Self::Choice(sizes) => sizes.iter().copied().max().unwrap_or(0),
        }
    }

    fn check(&self) -> Result<(), Error> {
        let ordered = match self {
            Self::Fixed(_) => true,
            Self::Range(first, last) => first <= last,
            Self::Choice(sizes) => !sizes.is_empty(),
        };
        if !ordered {
            return Err(bad("value_size", self, "the smaller size first, at least one size"));
        }
        within("value_size", self.max(), 0, limits::VALUE_SIZE_MAX_BYTES)
    }
}

impl FromStr for ValueSize {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let want = "write bytes as 64, 64-1024 or 64,1024,8192";
        let size = |part: &str| part.parse::<usize>().map_err(|_| bad("value_size", text, want));
        let sizes = if let Some((first, last)) = text.split_once('-') {
            Self::Range(size(first)?, size(last)?)
        } else if text.contains(',') {
            Self::Choice(text.split(',').map(size).collect::<Result<_, _>>()?)
        } else {
            Self::Fixed(size(text)?)
        };
        sizes.check()?;
        Ok(sizes)
    }
}

impl fmt::Display for ValueSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(size) => write!(f, "{size}"),
            Self::Range(first, last) => write!(f, "{first}-{last}"),
            Self::Choice(sizes) => {
                let parts: Vec<String> = sizes.iter().map(ToString::to_string).collect();
                f.write_str(&parts.join(","))
            }
        }
    }
}

/// How often which key is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Distribution {
    /// All keys alike; `uniform`.
    Uniform,
    /// By Zipf's law with this exponent, `zipf:0.99`: the key of rank k is asked for in proportion
    /// to `k^-theta`. Ranks are sampled by rejection-inversion (Hörmann and Derflinger, 1996) in
    /// constant time and scrambled over the key space, so that hot keys are not neighbours.
    Zipf(f64),
}

impl Distribution {
    fn check(self) -> Result<(), Error> {
        match self {
            Self::Zipf(theta) if !(theta > 0.0 && theta <= limits::ZIPF_THETA_MAX) => {
                Err(bad("distribution", self, "an exponent above 0 and at most 10"))
            }
            _ => Ok(()),
        }
    }
}

impl FromStr for Distribution {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || bad("distribution", text, "write uniform, zipf or zipf:0.99");
        let distribution = match text.split_once(':') {
            None if text == "uniform" => Self::Uniform,
            None if text == "zipf" => Self::Zipf(0.99),
            Some(("zipf", theta)) => Self::Zipf(theta.parse().map_err(|_| wrong())?),
            _ => return Err(wrong()),
        };
        distribution.check()?;
        Ok(distribution)
    }
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uniform => f.write_str("uniform"),
            Self::Zipf(theta) => write!(f, "zipf:{theta}"),
        }
    }
}

/// The language spoken and the commands used; see memcached's `doc/protocol.txt` and
/// `doc/protocol-binary.txt`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Dialect {
    /// Classic `get` and `set`; `text`.
    Text,
    /// Meta `mg key v` and `ms key size`, every one answered; `meta`.
    Meta,
    /// Meta with the quiet flag and one `mn` at the end of a batch; `meta-quiet`.
    MetaQuiet,
    /// Binary `get` and `set`, every one answered; `binary`.
    Binary,
    /// Binary `getkq`, and one `noop` at the end of a batch; sets are answered; `binary-quiet`.
    BinaryQuiet,
}

impl Dialect {
    /// Every dialect, in the order of their declaration.
    pub const ALL: [Self; 5] =
        [Self::Text, Self::Meta, Self::MetaQuiet, Self::Binary, Self::BinaryQuiet];

    /// The name on a command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Meta => "meta",
            Self::MetaQuiet => "meta-quiet",
            Self::Binary => "binary",
            Self::BinaryQuiet => "binary-quiet",
        }
    }

    /// Whether a batch ends with a request of its own that is always answered.
    pub(crate) const fn is_quiet(self) -> bool {
        matches!(self, Self::MetaQuiet | Self::BinaryQuiet)
    }
}

impl FromStr for Dialect {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|dialect| dialect.name() == text).ok_or_else(|| {
            bad("dialect", text, "write text, meta, meta-quiet, binary or binary-quiet")
        })
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// When measuring ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Amount {
    /// After this many milliseconds; `10s`, `250ms`, `2m`.
    DurationMs(u64),
    /// After this many requests of all connections together; `1000000`.
    Requests(u64),
}

impl FromStr for Amount {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let wrong = || bad("amount", text, "write 10s, 250ms, 2m, or a number of requests");
        let number: u64 = digits.parse().map_err(|_| wrong())?;
        let unit_ms = match &text[digits.len()..] {
            "" => return Ok(Self::Requests(number)),
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            _ => return Err(wrong()),
        };
        number.checked_mul(unit_ms).map(Self::DurationMs).ok_or_else(wrong)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DurationMs(ms) if ms % 1_000 == 0 => write!(f, "{}s", ms / 1_000),
            Self::DurationMs(ms) => write!(f, "{ms}ms"),
            Self::Requests(requests) => write!(f, "{requests}"),
        }
    }
}

/// In a configuration file each part is the text it is on a command line.
macro_rules! as_text {
    ($($type:ty),*) => {$(
        impl TryFrom<String> for $type {
            type Error = Error;

            fn try_from(text: String) -> Result<Self, Error> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(part: $type) -> Self {
                part.to_string()
            }
        }
    )*};
}

as_text!(Target, ValueSize, Distribution, Dialect, Amount);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_back_from_their_text() {
        fn check<T: FromStr<Err = Error> + fmt::Display>(texts: &[&str]) {
            for text in texts {
                let part: T = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
                assert_eq!(part.to_string(), *text);
            }
        }
        check::<Target>(&["127.0.0.1:11211", "[::1]:11211", "host.example:1", "unix:/run/x"]);
        check::<ValueSize>(&["64", "64-1024", "64,1024,8192"]);
        check::<Distribution>(&["uniform", "zipf:0.99"]);
        check::<Dialect>(&["text", "meta", "meta-quiet", "binary", "binary-quiet"]);
        check::<Amount>(&["10s", "250ms", "1000000"]);
        assert_eq!("2m".parse::<Amount>().unwrap(), Amount::DurationMs(120_000));
        assert_eq!("/run/x".parse::<Target>().unwrap(), Target::Unix("/run/x".into()));
    }

    #[test]
    fn nonsense_is_refused_with_a_hint() {
        assert!("nowhere".parse::<Target>().is_err());
        assert!("9-1".parse::<ValueSize>().is_err());
        assert!("zipf:-1".parse::<Distribution>().is_err());
        assert!("5 parsecs".parse::<Amount>().is_err());
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
