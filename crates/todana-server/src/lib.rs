//! The server: listeners, worker loops and sessions between the dialects of `todana-protocol` and an
//! engine.
//!
//! ```text
//! control thread: accepts, hands connections out, hears signals
//! worker threads: read all ready connections ─▶ decode ─▶ carry out, look-ups together ─▶ write
//! jobs thread:    runs the engine's background work
//! ```
//!
//! A [`Session`](session) is a state machine without sockets: bytes go in, bytes come out, in order;
//! what cannot be answered yet holds a place in its queue of replies, and no worker ever blocks on it.
//!
//! The crate is *not* a codec and *not* a store, reads no configuration and parses no command line.
//!
//! Modules: [`settings`] (what a server is told), [`server`] (starting and stopping), [`listen`]
//! (sockets), `driver` (the way to the kernel), `worker` and `connection` (the shell), [`session`], [`replies`] and `execute` (the core),
//! `jobs`, `watch`, `dump`, `udp`, [`auth`], [`counters`] and `figures` (statistics).
//!
//! Bounds, all with a statistic when they are met: see [`settings::Settings`] and the constants of
//! [`limits`].
#![forbid(unsafe_code)]

pub mod auth;
mod connection;
mod context;
pub mod counters;
mod driver;
mod dump;
mod execute;
mod figures;
mod inbox;
mod jobs;
pub mod limits;
pub mod listen;
pub mod replies;
pub mod server;
pub mod session;
pub mod settings;
mod sparse_set;
mod udp;
mod watch;
mod worker;

pub use context::{Context, OnVerbosity};
pub use driver::Io;
pub use execute::Executor;
pub use server::{Server, ServerError};
pub use session::Session;
pub use settings::Settings;
