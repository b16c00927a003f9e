//! A load generator for servers that speak a memcached dialect or RESP.
//!
//! The library behind `todana bench` and behind the side-by-side benchmark in `bench/`. It is as
//! light as it can be, because on a small machine the client saturates before the server does: one
//! readiness loop a thread, requests formatted into one buffer, one `write` and one `read` a batch,
//! replies counted rather than parsed.
//!
//! It is *not* a client library (see `todana-client`): it never looks at values, and it gives up at
//! the first broken connection. It drives one server, not a cluster.
//!
//! # Use
//!
//! Fill a [`Plan`], give it to [`run`], print the [`Report`]:
//!
//! ```no_run
//! use std::ops::ControlFlow;
//! use todana_bench::{Amount, Plan, run};
//!
//! # fn main() -> Result<(), todana_bench::Error> {
//! let plan = Plan {
//!     target: "127.0.0.1:11211".parse()?,
//!     amount: Amount::DurationMs(5_000),
//!     pipeline: 50,
//!     ..Plan::default()
//! };
//! let report = run(&plan, |_progress| ControlFlow::Continue(()))?;
//! println!("{report}");
//! # Ok(())
//! # }
//! ```
//!
//! # A command line on top
//!
//! Every option of a command line is one field of [`Plan`], and every field that is not a number
//! or a flag has [`FromStr`](std::str::FromStr) and [`Display`](std::fmt::Display), so that clap
//! takes it as it is, defaults included (`default_value_t = Plan::default().dialect`):
//!
//! | field | type | examples |
//! |---|---|---|
//! | `target` | [`Target`] | `127.0.0.1:11211`, `unix:/run/todana.sock`, `/run/todana.sock` |
//! | `value_size` | [`ValueSize`] | `64`, `64-1024`, `64,1024,8192` |
//! | `distribution` | [`Distribution`] | `uniform`, `zipf:0.99` |
//! | `dialect` | [`Dialect`] | `text`, `meta`, `meta-quiet`, `binary`, `binary-quiet`, `resp` |
//! | `amount` | [`Amount`] | `10s`, `250ms`, `2m`, `1000000` (requests) |
//!
//! [`Plan::check`] refuses what makes no sense with a line that a user can act on; [`run`] and
//! [`preload`] call it first. The progress callback is called about ten times a second on the
//! calling thread with a [`Progress`]; a bar's length is [`Progress::fraction`]. Returning
//! [`ControlFlow::Break`](std::ops::ControlFlow::Break) ends the run early (Ctrl-C) and still gives
//! a report. [`Report`] prints as a table, [`Report::to_json`] is one JSON object.
//!
//! # What is measured
//!
//! - The unit of latency is the **batch**: [`Plan::pipeline`] requests in one write, from its start
//!   to the arrival of its last reply. With a pipeline of one that is the request.
//! - **Closed loop** (no [`Plan::rate`]): a connection sends its next batch when the last is
//!   answered; the start is just before the write. A server that stalls is asked less, so the tail
//!   is flattered (coordinated omission). Use it for throughput.
//! - **Open loop** ([`Plan::rate`]): batches fall due at fixed times, whatever the server does, and
//!   the start is the time at which the batch was *due*. Use it for latency, and for CPU per
//!   request at equal load. [`Report::unsent`] tells how far the server fell behind.
//! - A *request* is one command. A `get` of 50 keys is one request and 50 keys.
//!
//! # Limits
//!
//! See the constants in [`limits`]. Unix only; the open loop keeps time to some ten microseconds on
//! Linux and to a millisecond elsewhere.
//!
//! # Modules
//!
//! `plan`, `parts` what to do · `keys`, `zipf`, `rng` which key next · `request` bytes to send · `reply`
//! bytes that came · `schedule`, `timer`, `clock` when · `stream`, `connection`, `worker` the loop
//! of a thread · `run` threads and phases · `report`, `error` what came of it.
#![forbid(unsafe_code)]

mod clock;
mod connection;
mod error;
mod keys;
mod parts;
mod plan;
mod reply;
mod report;
mod request;
mod rng;
mod run;
mod schedule;
mod stream;
mod timer;
mod worker;
mod zipf;

pub use error::Error;
pub use parts::{Amount, Dialect, Distribution, Target, ValueSize};
pub use plan::{Plan, limits};
pub use report::{Latency, Report};
pub use run::{Preloaded, Progress, preload, run};
