//! The parts of a plan that are more than numbers, and their text forms.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::plan::limits;

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

    pub(crate) fn check(&self) -> Result<(), Error> {
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
    pub(crate) fn check(self) -> Result<(), Error> {
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
/// `doc/protocol-binary.txt`, and for RESP the protocol specification of Redis.
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
    /// RESP 2, which Redis speaks: `GET`, `SET`, and `MGET` for several keys; `resp`.
    Resp,
}

impl Dialect {
    /// Every dialect, in the order of their declaration.
    pub const ALL: [Self; 6] =
        [Self::Text, Self::Meta, Self::MetaQuiet, Self::Binary, Self::BinaryQuiet, Self::Resp];

    /// The name on a command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Meta => "meta",
            Self::MetaQuiet => "meta-quiet",
            Self::Binary => "binary",
            Self::BinaryQuiet => "binary-quiet",
            Self::Resp => "resp",
        }
    }

    /// Whether one get may ask for several keys.
    pub(crate) const fn has_multi_get(self) -> bool {
        matches!(self, Self::Text | Self::Resp)
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
            bad("dialect", text, "write text, meta, meta-quiet, binary, binary-quiet or resp")
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

pub(crate) fn within<T: PartialOrd + fmt::Display>(
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

pub(crate) fn bad(field: &'static str, got: impl fmt::Display, want: impl Into<String>) -> Error {
    Error::Plan { field, got: got.to_string(), want: want.into() }
}

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
        check::<Dialect>(&["text", "meta", "meta-quiet", "binary", "binary-quiet", "resp"]);
        check::<Amount>(&["10s", "250ms", "1000000"]);
        assert_eq!("2m".parse::<Amount>().unwrap(), Amount::DurationMs(120_000));
        assert_eq!("/run/x".parse::<Target>().unwrap(), Target::Unix("/run/x".into()));
    }

    #[test]
    fn nonsense_is_refused() {
        assert!("nowhere".parse::<Target>().is_err());
        assert!("9-1".parse::<ValueSize>().is_err());
        assert!("zipf:-1".parse::<Distribution>().is_err());
        assert!("5 parsecs".parse::<Amount>().is_err());
    }
}
