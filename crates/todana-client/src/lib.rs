//! A blocking client for Todana, memcached, and whatever else speaks memcached's text protocol.
//!
//! One [`Client`] may be shared by any number of threads: it keeps a pool of connections and every
//! operation takes one for as long as it lasts. A [`Pipeline`] sends many operations with few system
//! calls. Keys may be any bytes: those that a line of text cannot carry travel as base64 in the meta
//! commands, without the caller's doing.
//!
//! ```no_run
//! use std::time::Duration;
//! use todana_client::{Client, Expiry};
//!
//! # fn main() -> Result<(), todana_client::Error> {
//! let client = Client::connect("127.0.0.1:11211")?;
//! client.set("user:7", "Ada", 0, Expiry::In(Duration::from_secs(3600)))?;
//! if let Some(value) = client.get("user:7")? {
//!     println!("{} bytes, flags {}", value.data.len(), value.flags);
//! }
//! let visits = client.incr_or("visits", 1, 1, Expiry::Never)?;
//! println!("visit number {visits}");
//! # Ok(())
//! # }
//! ```
//!
//! It is *not* asynchronous, it does not serialise or compress values, and it talks to one server:
//! it does not spread keys over several.
//!
//! # Promises
//!
//! - A connection is used again only if the last reply on it was understood to its end; after a
//!   timeout, a broken connection or a reply that makes no sense it is closed.
//! - An operation that may have changed something is never sent twice. One that only reads is sent
//!   once more, on a new connection, if the server had closed the idle one.
//! - Memory grows with the bytes that arrive, never with a length that a server merely claims.
//! - A pipeline cannot deadlock with the server (see [`Pipeline`]).
//!
//! # Limits
//!
//! | what | bound |
//! |---|---|
//! | key of printable bytes | 1 to [`KEY_LEN_MAX`] bytes |
//! | any other key | 1 to [`KEY_CODED_LEN_MAX`] bytes, since its base64 has to fit into the former |
//! | value sent | [`VALUE_SENT_LEN_MAX`] bytes, and what the server takes |
//! | moment of expiry | 2038-01-19, beyond which memcached drops the item at once |
//! | value received | [`Options::value_len_max`] |
//! | line received | [`LINE_LEN_MAX`] bytes |
//! | reply of `stats` or [`Client::raw`] | [`REPLY_LEN_MAX`] bytes |
//! | idle connections | [`Options::idle_max`] |
//!
//! Timeouts are those of a single read or write of the socket: a server that sends a byte now and
//! then keeps an operation alive. Unix sockets exist on Unix only; the rest works elsewhere as well.
//!
//! # Modules
//!
//! `client` the operations · `pipeline` many at once · `many` gets of many keys · `watch` the server's log as a stream ·
//! `options`, `address`, `expiry`, `value` the words they use · `error` what goes wrong · `pool`,
//! `connection`, `stream` sockets · without any I/O: `key`, `operation` requests to bytes · `frame`
//! bytes to lines and values · `reply` those to outcomes.
//!
//! Source: memcached's `doc/protocol.txt`, and the behaviour of memcached 1.6.18 where it is silent.
#![forbid(unsafe_code)]

mod address;
mod client;
mod connection;
mod error;
mod expiry;
mod frame;
mod key;
mod many;
mod operation;
mod options;
mod pipeline;
mod pool;
mod reply;
mod stream;
mod value;
mod watch;

pub use client::{Client, RawEnd};
pub use error::Error;
pub use expiry::Expiry;
pub use frame::LINE_LEN_MAX;
pub use key::{KEY_CODED_LEN_MAX, KEY_LEN_MAX};
pub use operation::VALUE_SENT_LEN_MAX;
pub use options::{Credentials, Options};
pub use pipeline::Pipeline;
pub use reply::Outcome;
pub use value::{Stored, Value};

/// Most bytes of a reply that is collected as a whole, such as that of `stats`: 64 MiB.
pub const REPLY_LEN_MAX: usize = 64 << 20;
