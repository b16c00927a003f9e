//! Options of `todana serve`, under the names that memcached's users know.

use crate::config::{Config, ConfigError, ListenConfig, LogFormat, ProtocolName, Transport, wrong};
use crate::units;
use std::path::PathBuf;

/// Serve a store to memcached clients.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct ServeArgs {
    /// Configuration file (`todana config default` prints one)
    #[arg(long, value_name = "FILE", env = "TODANA_CONFIG")]
    config: Option<PathBuf>,
    /// Store: a directory, made when there is none, options behind a # (flush=group|never|interval=TIME);
    /// or `memory` [default: ./todana-data; memory with -m]
    #[arg(long, value_name = "STORE", env = "TODANA_STORE")]
    store: Option<String>,

    /// TCP port; 0 switches TCP off, -1 takes any free one [default: 11211]
    #[arg(
        short,
        long,
        value_name = "PORT",
        env = "TODANA_PORT",
        allow_hyphen_values = true,
        help_heading = "Network"
    )]
    port: Option<String>,
    /// UDP port; 0 switches UDP off [default: 0]
    #[arg(
        short = 'U',
        long,
        value_name = "PORT",
        env = "TODANA_UDP_PORT",
        help_heading = "Network"
    )]
    udp_port: Option<u16>,
    /// Unix socket to listen on; alone, it switches TCP off
    #[arg(
        short = 's',
        long,
        value_name = "PATH",
        env = "TODANA_UNIX_SOCKET",
        help_heading = "Network"
    )]
    unix_socket: Option<PathBuf>,
    /// Permissions of the Unix socket, octal [default: 700]
    #[arg(
        short = 'a',
        long,
        value_name = "MASK",
        env = "TODANA_UNIX_MASK",
        help_heading = "Network"
    )]
    unix_mask: Option<String>,
    /// Addresses to listen on, HOST or HOST:PORT, by commas or repeated [default: 127.0.0.1]
    #[arg(
        short,
        long,
        value_name = "ADDR",
        env = "TODANA_LISTEN",
        value_delimiter = ',',
        help_heading = "Network"
    )]
    listen: Vec<String>,
    /// Connections that may wait to be accepted [default: 1024]
    #[arg(
        short = 'b',
        long,
        value_name = "N",
        env = "TODANA_LISTEN_BACKLOG",
        help_heading = "Network"
    )]
    listen_backlog: Option<u32>,
    /// Protocol: auto, ascii or binary [default: auto]
    #[arg(
        short = 'B',
        long,
        value_name = "NAME",
        env = "TODANA_PROTOCOL",
        help_heading = "Network"
    )]
    protocol: Option<ProtocolName>,
    /// Connections at a time [default: 1024]
    #[arg(short, long, value_name = "N", env = "TODANA_CONN_LIMIT", help_heading = "Network")]
    conn_limit: Option<usize>,
    /// Requests of a connection before others have their turn [default: 1024]
    #[arg(
        short = 'R',
        long,
        value_name = "N",
        env = "TODANA_MAX_REQS_PER_EVENT",
        help_heading = "Network"
    )]
    max_reqs_per_event: Option<usize>,
    /// Seconds until an idle connection is closed, 0: never [default: 0]
    #[arg(long, value_name = "SECONDS", env = "TODANA_IDLE_TIMEOUT", help_heading = "Network")]
    idle_timeout: Option<u64>,

    /// Memory for records and index, in MiB or with a unit [default: 64]
    #[arg(short, long, value_name = "SIZE", env = "TODANA_MEMORY_LIMIT", help_heading = "Memory")]
    memory_limit: Option<String>,
    /// Refuse writes when memory is full, instead of removing old records
    #[arg(short = 'M', long, value_parser = clap::builder::FalseyValueParser::new(), env = "TODANA_DISABLE_EVICTIONS", help_heading = "Memory")]
    disable_evictions: bool,
    /// Largest value, 1k to 1024m [default: 1m]
    #[arg(
        short = 'I',
        long,
        value_name = "SIZE",
        env = "TODANA_MAX_ITEM_SIZE",
        help_heading = "Memory"
    )]
    max_item_size: Option<String>,
    /// Keep no versions for compare-and-swap
    #[arg(short = 'C', long, value_parser = clap::builder::FalseyValueParser::new(), env = "TODANA_DISABLE_CAS", help_heading = "Memory")]
    disable_cas: bool,
    /// Lock all memory, so that none is swapped out
    #[arg(short = 'k', long, value_parser = clap::builder::FalseyValueParser::new(), env = "TODANA_LOCK_MEMORY", help_heading = "Memory")]
    lock_memory: bool,

    /// Ask clients for a user and a password: lines user:password
    #[arg(
        short = 'Y',
        long,
        value_name = "FILE",
        env = "TODANA_AUTH_FILE",
        help_heading = "Safety"
    )]
    auth_file: Option<PathBuf>,
    /// Ask for them by SASL, in the binary protocol (needs -Y)
    #[arg(short = 'S', long, value_parser = clap::builder::FalseyValueParser::new(), env = "TODANA_ENABLE_SASL", help_heading = "Safety")]
    enable_sasl: bool,
    /// Let clients stop the server
    #[arg(short = 'A', long, value_parser = clap::builder::FalseyValueParser::new(), env = "TODANA_ENABLE_SHUTDOWN", help_heading = "Safety")]
    enable_shutdown: bool,
    /// Refuse flush_all
    #[arg(short = 'F', long, value_parser = clap::builder::FalseyValueParser::new(), env = "TODANA_DISABLE_FLUSH_ALL", help_heading = "Safety")]
    disable_flush_all: bool,
    /// Refuse listings of records
    #[arg(short = 'X', long, value_parser = clap::builder::FalseyValueParser::new(), env = "TODANA_DISABLE_DUMPING", help_heading = "Safety")]
    disable_dumping: bool,
    /// Refuse watch
    #[arg(short = 'W', long, value_parser = clap::builder::FalseyValueParser::new(), env = "TODANA_DISABLE_WATCH", help_heading = "Safety")]
    disable_watch: bool,
    /// Run as this user, when started as root
    #[arg(short, long, value_name = "USER", env = "TODANA_USER", help_heading = "Safety")]
    user: Option<String>,

    /// Worker threads [default: 4]
    #[arg(short, long, value_name = "N", env = "TODANA_THREADS", help_heading = "Process")]
    threads: Option<usize>,
    /// Way to the kernel: auto is io_uring where the system allows it, else epoll [default: auto]
    #[arg(
        long,
        value_name = "auto|epoll|io_uring",
        value_parser = ["auto", "epoll", "io_uring"],
        env = "TODANA_IO",
        help_heading = "Process"
    )]
    io: Option<String>,
    /// Run in the background; returns when the server listens
    #[arg(short, long, help_heading = "Process")]
    pub(crate) daemon: bool,
    /// Write the process id to this file
    #[arg(
        short = 'P',
        long,
        value_name = "FILE",
        env = "TODANA_PIDFILE",
        help_heading = "Process"
    )]
    pidfile: Option<PathBuf>,
    /// Let a crash write a core file
    #[arg(short = 'r', long, value_parser = clap::builder::FalseyValueParser::new(), env = "TODANA_ENABLE_COREDUMPS", help_heading = "Process")]
    enable_coredumps: bool,
    /// Log more; twice: everything
    #[arg(short, long, action = clap::ArgAction::Count, help_heading = "Process")]
    verbose: u8,
    /// Log lines as text or json [default: text]
    #[arg(long, value_name = "FORMAT", env = "TODANA_LOG_FORMAT", help_heading = "Process")]
    log_format: Option<LogFormat>,
    /// Let clients move the clock with debugtime (tests only)
    #[arg(long, help_heading = "Process")]
    test_clock: bool,

    /// Character that ends a key's prefix, for stats detail [default: :]
    #[arg(
        short = 'D',
        long,
        value_name = "CHAR",
        env = "TODANA_DELIMITER",
        help_heading = "Compatibility"
    )]
    delimiter: Option<String>,
    /// Accepted, without effect: there are no slabs here
    #[arg(short = 'f', long, value_name = "FACTOR", help_heading = "Compatibility")]
    slab_growth_factor: Option<f64>,
    /// Accepted, without effect: there are no slabs here
    #[arg(short = 'n', long, value_name = "BYTES", help_heading = "Compatibility")]
    slab_min_size: Option<u64>,
    /// Accepted, without effect
    #[arg(short = 'L', long, help_heading = "Compatibility")]
    enable_largepages: bool,
    /// memcached's extended options, by commas; those without a counterpart are reported
    #[arg(
        short = 'o',
        long,
        value_name = "OPTIONS",
        value_delimiter = ',',
        env = "TODANA_EXTENDED",
        help_heading = "Compatibility"
    )]
    extended: Vec<String>,
}

/// What is done to the process itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct ProcessOptions {
    pub(crate) lock_memory: bool,
    pub(crate) core_files: bool,
    /// Options that were accepted and do nothing.
    pub(crate) without_effect: Vec<String>,
}

/// memcached's extended options that have no counterpart here.
const WITHOUT_EFFECT: &[&str] = &[
    "drop_privileges",
    "hash_algorithm",
    "hashpower",
    "hot_lru_pct",
    "hot_max_factor",
    "inline_ascii_resp",
    "lru_crawler",
    "lru_crawler_sleep",
    "lru_crawler_tocrawl",
    "lru_maintainer",
    "modern",
    "no_chunked_items",
    "no_drop_privileges",
    "no_hashexpand",
    "no_inline_ascii_resp",
    "no_lru_crawler",
    "no_lru_maintainer",
    "no_modern",
    "no_slab_reassign",
    "no_track_sizes",
    "read_buf_mem_limit",
    "resp_obj_mem_limit",
    "slab_automove",
    "slab_automove_freeratio",
    "slab_automove_ratio",
    "slab_automove_window",
    "slab_chunk_max",
    "slab_reassign",
    "tail_repair_time",
    "temporary_ttl",
    "track_sizes",
    "warm_lru_pct",
    "warm_max_factor",
    "watcher_logbuf_size",
    "worker_logbuf_size",
];

impl ServeArgs {
    /// The configuration: defaults, file, environment, command line, each above the one before.
    pub(crate) fn configuration(&self) -> Result<(Config, ProcessOptions), ConfigError> {
        let mut config = match &self.config {
            Some(path) => Config::read(path)?,
            None => Config::default(),
        };
        self.apply_simple(&mut config);
        self.apply_store(&mut config)?;
        self.apply_network(&mut config)?;
        let mut process = ProcessOptions {
            lock_memory: self.lock_memory,
            core_files: self.enable_coredumps,
            without_effect: Vec::new(),
        };
        for (given, name) in [
            (self.slab_growth_factor.is_some(), "-f"),
            (self.slab_min_size.is_some(), "-n"),
            (self.enable_largepages, "-L"),
        ] {
            if given {
                process.without_effect.push(name.into());
            }
        }
        for option in &self.extended {
            apply_extended(option, &mut config, &mut process)?;
        }
        Ok((config, process))
    }

    /// An error of the configuration's values, with the file that it may have come from.
    pub(crate) fn with_file(&self, error: ConfigError) -> ConfigError {
        match (&self.config, error) {
            (Some(path), ConfigError::Value { place, message }) => {
                ConfigError::Value { place: format!("{}: {place}", path.display()), message }
            }
            (_, error) => error,
        }
    }

    fn apply_simple(&self, config: &mut Config) {
        fn set<T: Clone>(target: &mut T, value: &Option<T>) {
            if let Some(value) = value {
                target.clone_from(value);
            }
        }
        set(&mut config.threads, &self.threads);
        set(&mut config.io, &self.io);
        set(&mut config.connections, &self.conn_limit);
        set(&mut config.requests_per_event, &self.max_reqs_per_event);
        set(&mut config.backlog, &self.listen_backlog);
        set(&mut config.idle_timeout_s, &self.idle_timeout);
        set(&mut config.prefix_delimiter, &self.delimiter);
        set(&mut config.log.format, &self.log_format);
        for (target, value) in
            [(&mut config.auth_file, &self.auth_file), (&mut config.pid_file, &self.pidfile)]
        {
            if value.is_some() {
                target.clone_from(value);
            }
        }
        if self.user.is_some() {
            config.user.clone_from(&self.user);
        }
        config.sasl |= self.enable_sasl;
        config.shutdown_command |= self.enable_shutdown;
        config.flush_command &= !self.disable_flush_all;
        config.dump_commands &= !self.disable_dumping;
        config.watch_command &= !self.disable_watch;
        config.test_clock |= self.test_clock;
        config.log.verbosity = config.log.verbosity.max(u32::from(self.verbose));
    }

    fn apply_store(&self, config: &mut Config) -> Result<(), ConfigError> {
        let one = config.store.len() == 1;
        let Some(store) = config.store.first_mut().filter(|_| one) else { return Ok(()) };
        match self.store.as_deref() {
            Some("memory" | "*") => store.engine = "memory".into(),
            Some("") => return Err(wrong("--store", "a directory, or memory")),
            Some(name) => {
                let (path, options) = name.split_once('#').unwrap_or((name, ""));
                let is_tree = path.ends_with(".tdt");
                store.engine = if is_tree { "tree" } else { "hash" }.into();
                store.path = path.into();
                store.options = options.into();
            }
            // Who limits memory wants a cache, as memcached is one.
            None if self.memory_limit.is_some() && self.config.is_none() => {
                store.engine = "memory".into();
            }
            None => {}
        }
        if let Some(size) = &self.memory_limit {
            let bytes = units::bytes(size, 1 << 20)
                .map_err(|message| wrong("-m (--memory-limit)", message))?;
            store.memory = bytes.to_string();
        }
        if let Some(size) = &self.max_item_size {
            let bytes =
                units::bytes(size, 1).map_err(|message| wrong("-I (--max-item-size)", message))?;
            store.max_item_size = bytes.to_string();
        }
        store.evictions &= !self.disable_evictions;
        store.cas &= !self.disable_cas;
        Ok(())
    }

    /// Listeners of the command line take the place of those of the file.
    fn apply_network(&self, config: &mut Config) -> Result<(), ConfigError> {
        let given = self.port.is_some()
            || self.udp_port.is_some()
            || self.unix_socket.is_some()
            || !self.listen.is_empty();
        let store = config.store.first().map_or("main".into(), |store| store.name.clone());
        if given {
            config.listen = self.listeners(&store)?;
        }
        for listen in &mut config.listen {
            if let Some(protocol) = self.protocol {
                listen.protocol = protocol;
            }
            if let Some(mask) = &self.unix_mask {
                listen.mode.clone_from(mask);
            }
        }
        Ok(())
    }

    fn listeners(&self, store: &str) -> Result<Vec<ListenConfig>, ConfigError> {
        let base = ListenConfig { store: store.into(), ..ListenConfig::default() };
        let mut listeners = Vec::new();
        if let Some(path) = &self.unix_socket {
            let address = path.display().to_string();
            listeners.push(ListenConfig { address, transport: Transport::Unix, ..base.clone() });
        }
        // As memcached: a Unix socket alone switches the network off.
        let tcp = self.unix_socket.is_none() || self.port.is_some() || !self.listen.is_empty();
        let port: u16 = match self.port.as_deref() {
            None => 11_211,
            Some("-1") => 0,
            Some(text) => match text.parse::<u16>() {
                Ok(port) => port,
                Err(_) => return Err(wrong("-p (--port)", "0 to 65535, or -1 for any free one")),
            },
        };
        let tcp = tcp && self.port.as_deref() != Some("0");
        let hosts: &[String] =
            if self.listen.is_empty() { &["127.0.0.1".into()] } else { &self.listen };
        for host in hosts {
            if tcp {
                listeners.push(ListenConfig { address: with_port(host, port), ..base.clone() });
            }
            if let Some(port) = self.udp_port.filter(|&port| port != 0) {
                let address = with_port(without_port(host), port);
                let transport = Transport::Udp;
                listeners.push(ListenConfig { address, transport, ..base.clone() });
            }
        }
        if listeners.is_empty() {
            let message = "nothing is left to listen on: give -p, -U or -s";
            return Err(wrong("-p 0", message));
        }
        Ok(listeners)
    }
}

/// `HOST` or `HOST:PORT` or `[IPV6]:PORT` or bare IPv6, as `HOST:PORT`.
fn with_port(host: &str, port: u16) -> String {
    if host.ends_with(']') || without_port(host) == host {
        let host = if host.contains(':') && !host.starts_with('[') {
            format!("[{host}]")
        } else {
            host.to_owned()
        };
        return format!("{host}:{port}");
    }
    host.to_owned()
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((head, port)) if port.parse::<u16>().is_ok() => {
            // More than one colon and no brackets: an IPv6 address without a port.
            if head.contains(':') && !head.ends_with(']') { host } else { head }
        }
        _ => host,
    }
}

fn apply_extended(
    option: &str,
    config: &mut Config,
    process: &mut ProcessOptions,
) -> Result<(), ConfigError> {
    let place = format!("-o {option}");
    let (name, value) = match option.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (option, None),
    };
    match name {
        "maxconns_fast" => config.refuse_connections_at_once = true,
        "no_maxconns_fast" => config.refuse_connections_at_once = false,
        "idle_timeout" => {
            config.idle_timeout_s = value
                .and_then(|value| value.parse().ok())
                .ok_or_else(|| wrong(&place, "seconds, as in idle_timeout=60"))?;
        }
        _ if name.starts_with("ext_") => {
            return Err(wrong(
                &place,
                "there is no extstore: use a store on disk when it is there",
            ));
        }
        _ if WITHOUT_EFFECT.contains(&name) => process.without_effect.push(place),
        _ => {
            let known = WITHOUT_EFFECT.join(" ");
            let message = format!(
                "is not known: idle_timeout=N maxconns_fast no_maxconns_fast, and without effect {known}"
            );
            return Err(wrong(&place, message));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Args as _, FromArgMatches as _};

    fn parse(line: &str) -> Result<(Config, ProcessOptions), ConfigError> {
        let command = ServeArgs::augment_args(clap::Command::new("serve"));
        let words = std::iter::once("serve").chain(line.split_whitespace());
        let matches = command.try_get_matches_from(words).unwrap();
        ServeArgs::from_arg_matches(&matches).unwrap().configuration()
    }

    fn addresses(line: &str) -> Vec<String> {
        let (config, _) = parse(line).unwrap();
        config.listen.iter().map(|one| format!("{:?} {}", one.transport, one.address)).collect()
    }

    #[test]
    fn listeners_follow_memcached() {
        assert_eq!(addresses(""), ["Tcp 127.0.0.1:11211"]);
        assert_eq!(addresses("-p 7"), ["Tcp 127.0.0.1:7"]);
        assert_eq!(addresses("-p -1"), ["Tcp 127.0.0.1:0"]);
        assert_eq!(addresses("-s /tmp/x"), ["Unix /tmp/x"]);
        assert_eq!(addresses("-s /tmp/x -p 7"), ["Unix /tmp/x", "Tcp 127.0.0.1:7"]);
        assert_eq!(addresses("-p 0 -U 9"), ["Udp 127.0.0.1:9"]);
        assert_eq!(
            addresses("-l ::1,0.0.0.0:5,[::1]:6 -U 9"),
            [
                "Tcp [::1]:11211",
                "Udp [::1]:9",
                "Tcp 0.0.0.0:5",
                "Udp 0.0.0.0:9",
                "Tcp [::1]:6",
                "Udp [::1]:9"
            ]
        );
        assert!(parse("-p 0").is_err() && parse("-p 99999").is_err());
    }

    #[test]
    fn memcached_options_are_taken() {
        let (config, process) = parse(
            "-m 128 -I 2m -M -C -c 10 -t 2 -R 5 -b 6 -B ascii -A -F -X -W -vv -f 1.25 -n 48 -L \
             -o modern,idle_timeout=9,no_maxconns_fast -a 770 -D /",
        )
        .unwrap();
        let store = &config.store[0];
        assert_eq!(Config::sizes(store).unwrap(), (128 << 20, 2 << 20));
        assert!(!store.evictions && !store.cas && !config.refuse_connections_at_once);
        assert_eq!((config.connections, config.threads, config.idle_timeout_s), (10, 2, 9));
        assert_eq!(process.without_effect, ["-f", "-n", "-L", "-o modern"]);
        let settings = config.settings().unwrap();
        assert!(settings.shutdown_enabled && !settings.flush_enabled && !settings.dump_enabled);
        assert!(parse("-o nonsense").unwrap_err().to_string().contains("is not known"));
        let (config, _) = parse("--store disk#flush=never").unwrap();
        assert_eq!(config.store[0].path, PathBuf::from("disk"));
        assert_eq!(
            (&config.store[0].engine[..], &config.store[0].options[..]),
            ("hash", "flush=never")
        );
        assert_eq!(parse("-m 64").unwrap().0.store[0].engine, "memory");
        assert!(parse("-m x").is_err());
    }
}
