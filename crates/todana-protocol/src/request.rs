//! What clients ask for, in one vocabulary for all dialects.

use crate::{Fault, Lifetime};
use std::borrow::Cow;

/// A key: borrowed from the input, or decoded from it.
type Key<'a> = Cow<'a, [u8]>;

/// What a client asks for. Borrows from the bytes that it was decoded from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request<'a> {
    /// Show a record.
    Get(Get<'a>),
    /// Store a value.
    Put(Put<'a>),
    /// Add to a number, or subtract from it.
    Count(Count<'a>),
    /// Remove a record, or mark it as stale.
    Delete(Delete<'a>),
    /// Change when a record ends.
    Touch(Touch<'a>),
    /// Show a record's metadata for debugging.
    Inspect {
        /// The key.
        key: Key<'a>,
    },
    /// Forget a record whose new value was refused, so that the old one is not taken for it.
    Discard {
        /// The key.
        key: Key<'a>,
    },
    /// Remove everything: now, or later.
    FlushAll {
        /// When.
        after: Lifetime,
    },
    /// Show figures; the argument selects which (empty: the general ones).
    Stats {
        /// Words after the command, as they stand.
        argument: &'a [u8],
    },
    /// Say which version this is.
    Version,
    /// Nothing; the reply shows that everything before it was done.
    Noop,
    /// Set how much is logged.
    Verbosity {
        /// 0: what an operator needs, 1: connections too, 2 and above: everything.
        level: u32,
    },
    /// Close the connection.
    Quit,
    /// Stop the server.
    Shutdown {
        /// Whether connections are given time to end by themselves.
        graceful: bool,
    },
    /// Change the memory limit.
    MemoryLimit {
        /// MiB.
        megabytes: u64,
    },
    /// List records.
    Dump(Dump),
    /// Steer background work that this store does by itself.
    Crawl(Crawl),
    /// Turn the connection into a watcher.
    Watch(WatchKinds),
    /// A user and a password, as the text dialect sends them.
    Authenticate {
        /// User, a space, password.
        token: &'a [u8],
    },
    /// Authentication in the binary dialect.
    Sasl(Sasl<'a>),
    /// Move the test clock.
    Clock(Clock),
    /// Accepted, and without effect here.
    Accepted,
    /// The dialect could not make sense of the request.
    Refused(Fault),
}

impl Request<'_> {
    /// The key that the request is about, if it is about one.
    pub fn key(&self) -> &[u8] {
        match self {
            Request::Get(Get { key, .. })
            | Request::Put(Put { key, .. })
            | Request::Count(Count { key, .. })
            | Request::Delete(Delete { key, .. })
            | Request::Touch(Touch { key, .. })
            | Request::Inspect { key }
            | Request::Discard { key } => key,
            _ => &[],
        }
    }
}

/// Show a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Get<'a> {
    /// The key.
    pub key: Key<'a>,
    /// Give it this lifetime too.
    pub touch: Option<Lifetime>,
    /// Leave no trace in what is remembered of accesses.
    pub peek: bool,
    /// Take part in recaching: see stale marks, win, make and renew records.
    pub recaching: Option<Recaching>,
}

/// How a get takes part in recaching.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recaching {
    /// Make an empty record of this lifetime when there is none.
    pub vivify: Option<Lifetime>,
    /// Win when the record has less than this many seconds left.
    pub recache_s: Option<u64>,
    /// Whether that is judged by the lifetime that the same request has just given.
    pub recache_after_touch: bool,
    /// Whether the lifetime of a record that is made stands against one that the same request gives.
    pub vivify_last: bool,
    /// Version of a record that is made.
    pub version: Option<u64>,
}

impl<'a> Get<'a> {
    /// A plain look at a key.
    pub fn plain(key: &'a [u8]) -> Get<'a> {
        Get { key: Cow::Borrowed(key), touch: None, peek: false, recaching: None }
    }
}

/// Store a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put<'a> {
    /// The key.
    pub key: Key<'a>,
    /// The value.
    pub value: &'a [u8],
    /// Opaque to the store.
    pub flags: u32,
    /// How long it is to live.
    pub lifetime: Lifetime,
    /// On what condition, and how.
    pub mode: Mode,
    /// Only if the record has this version.
    pub compare: Option<u64>,
    /// The version that it is to have.
    pub version: Option<u64>,
    /// When `compare` is older than the record's version: store all the same, marked as stale.
    pub invalidate: bool,
    /// In the modes append and prepend: make a record of this lifetime when there is none.
    pub vivify: Option<Lifetime>,
}

/// How a value is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// In any case.
    Set,
    /// Unless there is a record.
    Add,
    /// Only if there is a record.
    Replace,
    /// At the end of the present value.
    Append,
    /// At the beginning of the present value.
    Prepend,
}

/// Add to a number, or subtract from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count<'a> {
    /// The key.
    pub key: Key<'a>,
    /// By how much.
    pub delta: u64,
    /// Subtract, down to 0.
    pub down: bool,
    /// When there is no record, make one with this number and lifetime.
    pub initial: Option<(u64, Lifetime)>,
    /// Whether the initial lifetime stands against `touch`.
    pub initial_last: bool,
    /// Give it this lifetime too.
    pub touch: Option<Lifetime>,
    /// Only if the record has this version.
    pub compare: Option<u64>,
    /// The version that it is to have.
    pub version: Option<u64>,
}

/// Remove a record, or mark it as stale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delete<'a> {
    /// The key.
    pub key: Key<'a>,
    /// Only if the record has this version.
    pub compare: Option<u64>,
    /// Keep the record, changed like this, instead of removing it.
    pub keep: Option<Invalidate>,
}

/// What a record becomes that is invalidated instead of removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invalidate {
    /// Mark it as stale.
    pub stale: bool,
    /// Drop its value and flags.
    pub drop_value: bool,
    /// Give it this lifetime.
    pub touch: Option<Lifetime>,
    /// The version that it is to have.
    pub version: Option<u64>,
}

/// Change when a record ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touch<'a> {
    /// The key.
    pub key: Key<'a>,
    /// How long it is to live.
    pub lifetime: Lifetime,
}

/// List records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dump {
    /// A line of metadata each.
    Metadata,
    /// A meta get command each.
    Commands,
    /// `stats cachedump`: up to this many (0: all).
    Cache {
        /// Most records to list; 0: all.
        limit: u32,
    },
}

/// Commands about background work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crawl {
    /// Take back the memory of ended records now.
    Expired,
}

/// What a watcher wants to be told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WatchKinds(pub u8);

impl WatchKinds {
    /// Every look at a key.
    pub const FETCHERS: WatchKinds = WatchKinds(1);
    /// Every attempt to store.
    pub const MUTATIONS: WatchKinds = WatchKinds(2);
    /// Every record removed for want of memory.
    pub const EVICTIONS: WatchKinds = WatchKinds(4);
    /// Connections that come and go.
    pub const CONNECTIONS: WatchKinds = WatchKinds(8);
    /// Every removal that a client asked for.
    pub const DELETIONS: WatchKinds = WatchKinds(16);

    /// Whether the two have a kind in common.
    pub const fn intersects(self, other: WatchKinds) -> bool {
        self.0 & other.0 != 0
    }

    /// The kinds of both.
    #[must_use]
    pub const fn with(self, other: WatchKinds) -> WatchKinds {
        WatchKinds(self.0 | other.0)
    }
}

/// A step of authentication in the binary dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sasl<'a> {
    /// Which mechanisms are there?
    List,
    /// Begin with a mechanism.
    Start {
        /// Its name.
        mechanism: &'a [u8],
        /// What the mechanism sends first; may be empty.
        data: &'a [u8],
    },
    /// Go on.
    Step {
        /// Its name.
        mechanism: &'a [u8],
        /// What the mechanism sends next.
        data: &'a [u8],
    },
}

/// What to do to the test clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// Stop it.
    Pause,
    /// Let it run.
    Resume,
    /// Move it by seconds.
    Advance(i64),
}
