//! The configuration: a file, with the environment and the command line above it.

use crate::units;
use serde::Deserialize;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use todana_engine::Level;
use todana_protocol::memcached::Protocol;
use todana_server::settings::{Address, Listen};
use todana_server::{Io, Settings};
use todana_store::{CacheOptions, Name, TreeOptions};

/// Why a configuration cannot be used. One line, with the place and what is allowed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}: {reason}")]
    Read {
        /// Which.
        path: String,
        /// Why.
        reason: std::io::Error,
    },
    /// The file is no TOML, or has something in it that means nothing.
    #[error("{place}: {message}")]
    Parse {
        /// File, line and column.
        place: String,
        /// What is wrong.
        message: String,
    },
    /// A value is out of bounds.
    #[error("{place}: {message}")]
    Value {
        /// Which option or key.
        place: String,
        /// What is allowed.
        message: String,
    },
}

pub(crate) fn wrong(place: &str, message: impl Into<String>) -> ConfigError {
    ConfigError::Value { place: place.into(), message: message.into() }
}

/// Everything that `todana serve` can be told, as it stands in a file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Config {
    pub(crate) threads: usize,
    pub(crate) io: String,
    pub(crate) connections: usize,
    pub(crate) refuse_connections_at_once: bool,
    pub(crate) requests_per_event: usize,
    pub(crate) backlog: u32,
    pub(crate) idle_timeout_s: u64,
    pub(crate) tcp_nodelay: bool,
    pub(crate) send_buffer: String,
    pub(crate) receive_buffer: String,
    pub(crate) auth_file: Option<PathBuf>,
    pub(crate) sasl: bool,
    pub(crate) shutdown_command: bool,
    pub(crate) flush_command: bool,
    pub(crate) dump_commands: bool,
    pub(crate) watch_command: bool,
    pub(crate) prefix_delimiter: String,
    pub(crate) user: Option<String>,
    pub(crate) pid_file: Option<PathBuf>,
    pub(crate) log: Log,
    pub(crate) store: Vec<Store>,
    pub(crate) listen: Vec<ListenConfig>,
    /// Only on the command line: for tests.
    #[serde(skip)]
    pub(crate) test_clock: bool,
}

/// How to log.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Log {
    pub(crate) format: LogFormat,
    pub(crate) verbosity: u32,
}

/// What a log line looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// A store.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Store {
    pub(crate) name: String,
    pub(crate) engine: String,
    pub(crate) path: PathBuf,
    pub(crate) options: String,
    pub(crate) acknowledge: Acknowledge,
    pub(crate) memory: String,
    pub(crate) max_item_size: String,
    pub(crate) evictions: bool,
    pub(crate) cas: bool,
}

/// How safe a change is when its client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Acknowledge {
    /// Durable on a store that flushes in groups, applied on others.
    Auto,
    /// Visible to everybody.
    Applied,
    /// Safe against a loss of power.
    Durable,
}

/// A listener.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct ListenConfig {
    pub(crate) address: String,
    pub(crate) transport: Transport,
    pub(crate) protocol: ProtocolName,
    pub(crate) mode: String,
    pub(crate) store: String,
}

/// What carries a listener's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Transport {
    Tcp,
    Udp,
    Unix,
}

/// Which of memcached's protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ProtocolName {
    /// By the first byte of each connection.
    Auto,
    /// Text and meta commands.
    Ascii,
    /// Binary.
    Binary,
}

impl Default for Log {
    fn default() -> Log {
        Log { format: LogFormat::Text, verbosity: 0 }
    }
}

impl Default for Store {
    fn default() -> Store {
        Store {
            name: "main".into(),
            engine: "hash".into(),
            path: "./todana-data".into(),
            options: String::new(),
            acknowledge: Acknowledge::Auto,
            memory: "64MiB".into(),
            max_item_size: "1MiB".into(),
            evictions: true,
            cas: true,
        }
    }
}

impl Default for ListenConfig {
    fn default() -> ListenConfig {
        ListenConfig {
            address: "127.0.0.1:11211".into(),
            transport: Transport::Tcp,
            protocol: ProtocolName::Auto,
            mode: "700".into(),
            store: "main".into(),
        }
    }
}

impl Default for Config {
    fn default() -> Config {
        let settings = Settings::default();
        Config {
            threads: settings.threads,
            io: settings.io.name().into(),
            connections: settings.connections_max,
            refuse_connections_at_once: settings.refuse_at_once,
            requests_per_event: settings.requests_per_turn,
            backlog: settings.backlog,
            idle_timeout_s: 0,
            tcp_nodelay: settings.no_delay,
            send_buffer: "0".into(),
            receive_buffer: "0".into(),
            auth_file: None,
            sasl: false,
            shutdown_command: false,
            flush_command: true,
            dump_commands: true,
            watch_command: true,
            prefix_delimiter: ":".into(),
            user: None,
            pid_file: None,
            log: Log::default(),
            store: vec![Store::default()],
            listen: vec![ListenConfig::default()],
            test_clock: false,
        }
    }
}

/// The default configuration as a file that explains itself. A test holds it against
/// [`Config::default`].
pub(crate) const DEFAULT_FILE: &str = include_str!("todana.default.toml");

impl Config {
    /// Reads a file.
    pub(crate) fn read(path: &Path) -> Result<Config, ConfigError> {
        let name = path.display().to_string();
        let text = todana_io::files::read_small(path)
            .map_err(|reason| ConfigError::Read { path: name.clone(), reason })?;
        Config::parse(&text, &name)
    }

    /// Reads the text of a file.
    pub(crate) fn parse(text: &str, name: &str) -> Result<Config, ConfigError> {
        toml::from_str(text).map_err(|error| {
            let place = match error.span() {
                Some(span) => {
                    let before = &text[..span.start.min(text.len())];
                    let line = before.matches('\n').count() + 1;
                    let column = before.len() - before.rfind('\n').map_or(0, |at| at + 1) + 1;
                    format!("{name}:{line}:{column}")
                }
                None => name.to_owned(),
            };
            ConfigError::Parse { place, message: error.message().replace('\n', " ") }
        })
    }

    /// The one store; more come with the next engines.
    pub(crate) fn the_store(&self) -> Result<&Store, ConfigError> {
        match self.store.as_slice() {
            [store] if ["memory", "hash", "tree"].contains(&store.engine.as_str()) => Ok(store),
            [store] => Err(wrong(
                "store.engine",
                format!(
                    "{:?} is not known: there are \"hash\", \"tree\" and \"memory\"",
                    store.engine
                ),
            )),
            [] => Err(wrong("store", "at least one [[store]] is needed")),
            _ => Err(wrong("store", "this version serves one [[store]]")),
        }
    }

    /// Memory limit and largest value of a store, in bytes.
    pub(crate) fn sizes(store: &Store) -> Result<(u64, u64), ConfigError> {
        let memory = units::bytes(&store.memory, 1)
            .map_err(|message| wrong("store.memory (-m)", message))?;
        let item = units::bytes(&store.max_item_size, 1)
            .map_err(|message| wrong("store.max-item-size (-I)", message))?;
        if memory < todana_store::MEMORY_LIMIT_MIN_BYTES {
            return Err(wrong(
                "store.memory (-m)",
                "at least 1MiB, and four times the largest value (-I)",
            ));
        }
        if store.engine == "tree" && item > 1 << 20 {
            return Err(wrong("store.max-item-size (-I)", "1k to 1m on an ordered store"));
        }
        if store.engine != "memory" && item > 32 << 20 {
            return Err(wrong("store.max-item-size (-I)", "1k to 32m on a hash store"));
        }
        if !(1 << 10..=1 << 30).contains(&item) {
            return Err(wrong("store.max-item-size (-I)", "1k to 1024m"));
        }
        if store.engine == "memory" && item > memory / 4 {
            let needed = units::show(item * 4);
            return Err(wrong(
                "store.max-item-size (-I)",
                format!(
                    "items of {} need a memory limit (-m) of {needed}; raise that, or lower -I",
                    units::show(item)
                ),
            ));
        }
        Ok((memory, item))
    }

    /// The store by name.
    pub(crate) fn name(&self) -> Result<Name, ConfigError> {
        let store = self.the_store()?;
        let (memory_limit_bytes, value_len_max) = Config::sizes(store)?;
        let name = match store.engine.as_str() {
            "memory" => Name::Memory(CacheOptions {
                memory_limit_bytes,
                value_len_max,
                evictions: store.evictions,
                versions: store.cas,
                ..CacheOptions::default()
            }),
            "tree" => Name::Tree {
                directory: store.path.clone(),
                options: TreeOptions { versions: store.cas, ..TreeOptions::default() },
            },
            _ => {
                let cas = if store.cas { "" } else { "cas=off" };
                let name = Name::directory(&store.path).with(cas);
                name.map_err(|error| wrong("store.cas", error.to_string()))?
            }
        };
        name.with(&store.options)
            .map_err(|error| wrong("store.options (--store)", error.to_string()))
    }

    /// What the server is told.
    pub(crate) fn settings(&self) -> Result<Settings, ConfigError> {
        let store = self.the_store()?;
        let (_, value_len_max) = Config::sizes(store)?;
        let buffer = |place: &str, text: &str| {
            let bytes = units::bytes(text, 1).map_err(|message| wrong(place, message))?;
            usize::try_from(bytes).map_err(|_| wrong(place, "is too large"))
        };
        let delimiter = match self.prefix_delimiter.as_bytes() {
            [byte] => *byte,
            _ => return Err(wrong("prefix-delimiter (-D)", "one character")),
        };
        let mut listen = Vec::new();
        for (number, one) in self.listen.iter().enumerate() {
            listen.extend(one.resolve(&format!("listen[{number}]"), &store.name)?);
        }
        let known = [Io::Auto, Io::Readiness, Io::Completion];
        let io = known.into_iter().find(|io| io.name() == self.io);
        let settings = Settings {
            listen,
            io: io.ok_or_else(|| wrong("io", "auto, epoll or io_uring"))?,
            threads: self.threads,
            connections_max: self.connections,
            refuse_at_once: self.refuse_connections_at_once,
            requests_per_turn: self.requests_per_event,
            backlog: self.backlog,
            value_len_max,
            idle_ms: self.idle_timeout_s.saturating_mul(1_000),
            no_delay: self.tcp_nodelay,
            send_buffer_len: buffer("send-buffer", &self.send_buffer)?,
            receive_buffer_len: buffer("receive-buffer", &self.receive_buffer)?,
            auth_file: self.auth_file.clone(),
            sasl: self.sasl,
            shutdown_enabled: self.shutdown_command,
            flush_enabled: self.flush_command,
            dump_enabled: self.dump_commands,
            watch_enabled: self.watch_command,
            test_clock: self.test_clock,
            prefix_delimiter: delimiter,
            verbosity: self.log.verbosity,
            acknowledge: match store.acknowledge {
                Acknowledge::Applied => Level::Applied,
                Acknowledge::Auto if !self.name()?.acknowledges_durable() => Level::Applied,
                Acknowledge::Auto | Acknowledge::Durable => Level::Durable,
            },
        };
        settings.check().map_err(|error| wrong("configuration", error.to_string()))?;
        Ok(settings)
    }
}

impl ListenConfig {
    fn resolve(&self, place: &str, store: &str) -> Result<Vec<Listen>, ConfigError> {
        if self.store != store {
            let message = format!("{:?} is no [[store]]: there is {store:?}", self.store);
            return Err(wrong(&format!("{place}.store"), message));
        }
        let protocol = match self.protocol {
            ProtocolName::Auto => Protocol::Auto,
            ProtocolName::Ascii => Protocol::Text,
            ProtocolName::Binary => Protocol::Binary,
        };
        let place = format!("{place}.address");
        if self.transport == Transport::Unix {
            let mode = u32::from_str_radix(&self.mode, 8)
                .ok()
                .filter(|mode| *mode <= 0o777)
                .ok_or_else(|| wrong("listen.mode (-a)", "an octal mask up to 777"))?;
            let address = Address::Unix(PathBuf::from(&self.address), mode);
            return Ok(vec![Listen { address, protocol }]);
        }
        let addresses = resolve(&self.address).map_err(|message| wrong(&place, message))?;
        Ok(addresses
            .into_iter()
            .map(|address| Listen {
                address: match self.transport {
                    Transport::Udp => Address::Udp(address),
                    Transport::Tcp | Transport::Unix => Address::Tcp(address),
                },
                protocol,
            })
            .collect())
    }
}

/// Addresses of `HOST:PORT`; a host may have several.
fn resolve(text: &str) -> Result<Vec<SocketAddr>, String> {
    let mut addresses: Vec<SocketAddr> = text
        .to_socket_addrs()
        .map_err(|error| format!("{text:?}: {error}; write HOST:PORT or [IPV6]:PORT"))?
        .collect();
    addresses.sort();
    addresses.dedup();
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_file_says_what_the_defaults_are() {
        let file = Config::parse(DEFAULT_FILE, "default").unwrap();
        assert_eq!(format!("{file:?}"), format!("{:?}", Config::default()));
        // Every line that sets something says its unit or what it may be.
        for line in DEFAULT_FILE.lines().filter(|line| line.contains(" = ")) {
            assert!(line.contains('#'), "{line} explains nothing");
        }
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        let check = |text: &str, expected: &str| {
            let error = Config::parse(text, "t.toml")
                .and_then(|config| config.settings())
                .unwrap_err()
                .to_string();
            assert!(error.contains(expected) && !error.contains('\n'), "{error}");
        };
        check("threds = 4", "t.toml:1:1");
        check("\nthreads = \"x\"", "t.toml:2:11");
        check("[[store]]\nengine = \"disk\"", "store.engine: \"disk\" is not known");
        check("[[store]]\nmemory = \"64x\"", "store.memory");
        check("[[store]]\noptions = \"x=1\"", "unknown store option `x`");
        check(
            "[[store]]\nengine = \"memory\"\nmax-item-size = \"512m\"",
            "need a memory limit (-m) of 2GiB",
        );
        check("[[listen]]\naddress = \"nowhere\"", "listen[0].address");
        check("[[listen]]\nstore = \"other\"", "there is \"main\"");
        check("prefix-delimiter = \"ab\"", "one character");
        check("[[listen]]\ntransport = \"unix\"\nmode = \"9\"", "octal");
    }
}
