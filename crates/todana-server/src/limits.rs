//! Bounds that are not settings, each with its unit and reason.

/// Bytes read from a connection at a time: enough for fifty pipelined sets of a kibibyte.
pub const READ_LEN: usize = 64 * 1024;
/// Bytes of input that are decoded together over all connections: some hundred requests, whose frames and
/// replies stay in the cache. A burst of 2,500 gets cost a sixth more when all of it was.
pub const GROUP_INPUT_LEN: usize = 8 * 1024;
/// Connections whose requests are carried out together.
pub const GROUP_CONNECTIONS: usize = 64;
/// Requests of one connection that are carried out before others have their turn, unless told.
pub const REQUESTS_PER_TURN: usize = 1_024;
/// Bytes of replies to one connection after which its turn ends.
pub const TURN_OUTPUT_LEN: usize = 1 << 20;
/// Bytes of replies to all connections of a group after which each gets one more at most.
pub const GROUP_OUTPUT_LEN: usize = 8 << 20;
/// Unsent bytes to a connection above which nothing more is read from it: a client that does not read.
pub const OUTPUT_PAUSE_LEN: usize = 256 * 1024;
/// Unsent bytes to a watcher above which lines are left out.
pub const WATCH_QUEUE_LEN: usize = 256 * 1024;
/// Milliseconds without a byte taken after which a client that does not read is dropped.
pub const OUTPUT_STALL_MS: u64 = 60_000;
/// Look-ups carried out together.
pub const LOOKUPS_TOGETHER: usize = 512;
/// Changes whose memory is asked for together.
pub const CHANGES_TOGETHER: usize = 32;
/// Bytes of a listing that are made at a time.
pub const LISTING_SLICE_LEN: usize = 64 * 1024;
/// Connections taken from a listener before the loop looks elsewhere.
pub const ACCEPTS_PER_TURN: usize = 64;
/// Watchers at a time, as memcached's.
pub const WATCHERS_MAX: usize = 20;
/// Threads beyond which more make no sense on any machine of today.
pub const THREADS_MAX: usize = 256;
/// Largest datagram that is read: what UDP can carry.
pub const DATAGRAM_READ_LEN: usize = 65_536;
/// Datagrams received with one system call, carried out together and answered before connections have
/// their turn.
pub const DATAGRAMS_PER_TURN: usize = 64;
/// Datagrams whose answers may wait for the engine; those of others are lost.
pub const DATAGRAMS_HELD: usize = 4_096;
/// Messages sent with one system call: a datagram each, or as many as fit.
pub const MESSAGES_PER_SEND: usize = 64;
/// Milliseconds that connections are given to take their last replies when the server stops.
pub const DRAIN_MS: u64 = 2_000;
