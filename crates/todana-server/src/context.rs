//! What all workers share.

use crate::auth::Credentials;
use crate::counters::{Counters, Sums};
use crate::settings::Settings;
use crate::watch::WatchHub;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use todana_engine::{Engine, Listener, Statistics, View};
use todana_io::{AdjustableClock, Clock};
use todana_protocol::WatchKinds;
use todana_record::Timestamp;

/// Version that clients are told: which memcached we answer like, and who answers.
pub(crate) const VERSION: &str = concat!("1.6.45-todana-", env!("CARGO_PKG_VERSION"));

/// Most prefixes that `stats detail` keeps apart.
const PREFIXES_MAX: usize = 10_000;

/// Called with a new verbosity.
pub type OnVerbosity = Arc<dyn Fn(u32) + Send + Sync>;

/// What all workers share.
pub struct Context {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) test_clock: Option<Arc<AdjustableClock>>,
    pub(crate) settings: Settings,
    pub(crate) credentials: Option<Credentials>,
    pub(crate) watch: Arc<WatchHub>,
    pub(crate) workers: Vec<Arc<Counters>>,
    pub(crate) baseline: Mutex<Sums>,
    pub(crate) engine_baseline: Mutex<Statistics>,
    pub(crate) started: Timestamp,
    pub(crate) verbosity: AtomicU64,
    pub(crate) on_verbosity: Option<OnVerbosity>,
    pub(crate) stop: Stop,
    pub(crate) connections: ConnectionTable,
    pub(crate) prefixes: Prefixes,
}

impl Context {
    /// Puts a server's shared parts together. With `test_clock`, that is the clock.
    pub fn new(
        settings: Settings,
        engine: Arc<dyn Engine>,
        clock: Arc<dyn Clock>,
        test_clock: Option<Arc<AdjustableClock>>,
        credentials: Option<Credentials>,
        on_verbosity: Option<OnVerbosity>,
    ) -> Arc<Context> {
        let clock: Arc<dyn Clock> = match &test_clock {
            Some(adjustable) => adjustable.clone(),
            None => clock,
        };
        let started = engine.clock().advance(clock.wall_ms());
        let watch = Arc::new(WatchHub::default());
        engine.subscribe(Arc::new(TellEvictions { watch: watch.clone(), clock: clock.clone() }));
        Arc::new(Context {
            workers: (0..settings.threads.max(1)).map(|_| Arc::default()).collect(),
            verbosity: AtomicU64::new(u64::from(settings.verbosity)),
            prefixes: Prefixes::new(settings.prefix_delimiter),
            settings,
            engine,
            clock,
            test_clock,
            credentials,
            watch,
            baseline: Mutex::default(),
            engine_baseline: Mutex::default(),
            started,
            on_verbosity,
            stop: Stop::default(),
            connections: ConnectionTable::default(),
        })
    }

    /// The store's time, having looked at the clock.
    pub(crate) fn now(&self) -> Timestamp {
        self.engine.clock().advance(self.clock.wall_ms())
    }

    /// Sums over all workers since the last reset of statistics.
    pub(crate) fn sums(&self) -> Sums {
        self.sums_ever().since(&self.baseline.lock())
    }

    /// Sums over all workers since the start.
    pub(crate) fn sums_ever(&self) -> Sums {
        let mut sums = Sums::default();
        self.workers.iter().for_each(|counters| sums.add(counters));
        sums
    }

    /// Starts counting anew.
    pub(crate) fn reset_statistics(&self) {
        *self.baseline.lock() = self.sums_ever();
        *self.engine_baseline.lock() = self.engine.statistics(self.now());
        self.connections.total.store(0, Ordering::Relaxed);
        self.connections.rejected.store(0, Ordering::Relaxed);
    }

    /// The engine's figures, its counters since the last reset of statistics.
    pub(crate) fn engine_statistics(&self) -> Statistics {
        let mut now = self.engine.statistics(self.now());
        let base = self.engine_baseline.lock();
        now.records_stored -= base.records_stored;
        now.evictions -= base.evictions;
        now.evicted_unfetched -= base.evicted_unfetched;
        now.evicted_active -= base.evicted_active;
        now.expired -= base.expired;
        now.expired_unfetched -= base.expired_unfetched;
        now.out_of_memory -= base.out_of_memory;
        now.records_moved -= base.records_moved;
        now.segments_reclaimed -= base.segments_reclaimed;
        now
    }

    /// Changes how much is logged.
    pub(crate) fn set_verbosity(&self, level: u32) {
        self.verbosity.store(u64::from(level), Ordering::Relaxed);
        if let Some(on_verbosity) = &self.on_verbosity {
            on_verbosity(level);
        }
    }
}

/// Passes evictions on to watchers.
struct TellEvictions {
    watch: Arc<WatchHub>,
    clock: Arc<dyn Clock>,
}

impl Listener for TellEvictions {
    fn wants_evictions(&self) -> bool {
        self.watch.wants(WatchKinds::EVICTIONS)
    }

    fn evicted(&self, record: &View<'_>) {
        let wall_ms = self.clock.wall_ms();
        self.watch.tell(WatchKinds::EVICTIONS, wall_ms, |out| {
            out.extend_from_slice(b"type=eviction key=");
            crate::watch::push_encoded(record.key, out);
            let fetched = if record.access.hit_before { "yes" } else { "no" };
            let ttl = match record.meta.expiry.is_never() {
                true => "-1".to_owned(),
                false => (record.meta.expiry.ms().saturating_sub(wall_ms) / 1_000).to_string(),
            };
            let rest = format!(
                " fetch={fetched} ttl={ttl} la={} clsid=1 size={}",
                record.access.idle_s,
                record.value.len()
            );
            out.extend_from_slice(rest.as_bytes());
        });
    }
}

/// Whether and how the server is to stop.
#[derive(Default)]
pub(crate) struct Stop {
    state: AtomicU8,
    failed: AtomicBool,
    wakes: Mutex<Vec<crate::watch::Wake>>,
}

impl Stop {
    const RUNNING: u8 = 0;
    const NOW: u8 = 1;
    const GRACEFULLY: u8 = 2;

    /// Has `wake` called when the server is to stop.
    pub(crate) fn on_stop(&self, wake: crate::watch::Wake) {
        self.wakes.lock().push(wake);
    }

    /// Tells everybody to stop.
    pub(crate) fn order(&self, graceful: bool) {
        if graceful {
            // Does not take back an order to stop now.
            let (old, new) = (Stop::RUNNING, Stop::GRACEFULLY);
            let _ = self.state.compare_exchange(old, new, Ordering::AcqRel, Ordering::Acquire);
        } else {
            self.state.store(Stop::NOW, Ordering::Release);
        }
        self.wakes.lock().iter().for_each(|wake| wake());
    }

    /// Tells everybody to stop since a part of the server has failed.
    pub(crate) fn fail(&self) {
        self.failed.store(true, Ordering::Release);
        self.order(false);
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    pub(crate) fn is_ordered(&self) -> bool {
        self.state.load(Ordering::Acquire) != Stop::RUNNING
    }

    /// Whether connections are given time to end by themselves.
    pub(crate) fn is_graceful(&self) -> bool {
        self.state.load(Ordering::Acquire) == Stop::GRACEFULLY
    }
}

/// Where a client came from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Peer {
    /// By TCP, unless it was gone before it could be asked from where.
    Tcp(Option<SocketAddr>),
    /// By a Unix socket, where clients have no names.
    Unix,
}

/// A connection as `stats conns` and watchers see it.
pub(crate) struct ConnectionInfo {
    pub(crate) peer: Peer,
    /// What the listener is called; all of its connections share the name.
    pub(crate) listener: Arc<str>,
    pub(crate) last_command_s: AtomicU64,
}

impl fmt::Display for ConnectionInfo {
    /// Where the client came from, as `tcp:127.0.0.1:1234`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.peer {
            Peer::Tcp(Some(address)) => write!(f, "tcp:{address}"),
            Peer::Tcp(None) => f.write_str("tcp:?"),
            Peer::Unix => f.write_str(&self.listener),
        }
    }
}

/// All connections, and how many came and were turned away.
#[derive(Default)]
pub(crate) struct ConnectionTable {
    pub(crate) open: AtomicUsize,
    pub(crate) total: AtomicU64,
    pub(crate) rejected: AtomicU64,
    pub(crate) accepting: AtomicBool,
    pub(crate) disabled_count: AtomicU64,
    pub(crate) disabled_us: AtomicU64,
    pub(crate) infos: Mutex<BTreeMap<u64, Arc<ConnectionInfo>>>,
    pub(crate) listeners: Mutex<Vec<String>>,
}

/// Counts by key prefix, for `stats detail`.
pub(crate) struct Prefixes {
    enabled: AtomicBool,
    delimiter: u8,
    counts: Mutex<BTreeMap<Vec<u8>, [u64; 4]>>,
}

/// What is counted by prefix.
#[derive(Debug, Clone, Copy)]
pub(crate) enum PrefixEvent {
    Miss,
    Hit,
    Set,
    Delete,
}

impl Prefixes {
    fn new(delimiter: u8) -> Prefixes {
        Prefixes { enabled: AtomicBool::new(false), delimiter, counts: Mutex::default() }
    }

    pub(crate) fn enable(&self, enabled: bool) {
        self.enabled.store(enabled, Ordering::Relaxed);
    }

    pub(crate) fn is_enabled(&self) -> bool {
        self.enabled.load(Ordering::Relaxed)
    }

    /// Counts an event of a key that has a prefix. One relaxed load when switched off.
    #[inline]
    pub(crate) fn count(&self, key: &[u8], event: PrefixEvent) {
        if self.is_enabled() {
            self.count_enabled(key, event);
        }
    }

    fn count_enabled(&self, key: &[u8], event: PrefixEvent) {
        let Some(len) = key.iter().position(|&byte| byte == self.delimiter) else { return };
        let mut counts = self.counts.lock();
        if counts.len() >= PREFIXES_MAX && !counts.contains_key(&key[..len]) {
            return;
        }
        let [gets, hits, sets, deletes] = counts.entry(key[..len].to_vec()).or_default();
        match event {
            PrefixEvent::Miss => *gets += 1,
            PrefixEvent::Hit => {
                *gets += 1;
                *hits += 1;
            }
            PrefixEvent::Set => *sets += 1,
            PrefixEvent::Delete => *deletes += 1,
        }
    }

    /// Lines as memcached shows them.
    pub(crate) fn dump(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (prefix, [gets, hits, sets, deletes]) in self.counts.lock().iter() {
            out.extend_from_slice(b"PREFIX ");
            crate::watch::push_key(prefix, &mut out);
            let counts = format!(" get {gets} hit {hits} set {sets} del {deletes}\r\n");
            out.extend_from_slice(counts.as_bytes());
        }
        out.extend_from_slice(b"END\r\n");
        out
    }
}
