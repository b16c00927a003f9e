//! The dialects that clients speak, as codecs without I/O, and the one vocabulary behind them.
//!
//! Bytes go in, [`Request`]s come out; [`Response`]s go in, bytes come out. A dialect translates and
//! holds no semantics of its own: what a request *does* is decided above, once for all dialects. A
//! request comes in a [`Frame`](memcached::Frame) beside the [`Form`](memcached::Form) that its
//! response has to take.
//!
//! The crate does *no* I/O, keeps no store and knows no clock. Bytes from outside never make it panic,
//! loop, or allocate what a length merely claims.
//!
//! ```
//! use todana_protocol::memcached::{Decoder, DecoderOptions, Status, encode};
//! use todana_protocol::{Request, Response};
//!
//! let mut decoder = Decoder::new(DecoderOptions::default());
//! let mut frames = Vec::new();
//! let step = decoder.decode(b"get greeting\r\nget gr", &mut frames, 100);
//! assert_eq!((step.consumed, step.status), (14, Status::Incomplete { need: 0 }));
//! assert!(matches!(&frames[0].request, Request::Get(get) if &*get.key == b"greeting"));
//!
//! let mut reply = Vec::new();
//! encode(&frames[0], &Response::Miss, &mut reply);
//! assert_eq!(reply, b"END\r\n");
//! ```
//!
//! Modules: [`memcached`] (text, meta, binary, UDP frames; `docs/protocol/memcached.md`), and the
//! vocabulary, re-exported here.
#![forbid(unsafe_code)]

mod fault;
mod lifetime;
pub mod memcached;
mod number;
mod request;
mod response;

pub use fault::Fault;
pub use lifetime::Lifetime;
pub use number::{push_decimal, unsigned as parse_unsigned};
pub use request::{
    Clock, Count, Crawl, Delete, Dump, Get, Invalidate, Mode, Put, Recaching, Request, Sasl, Touch,
    WatchKinds,
};
pub use response::{Item, Lifetimes, Response};
