//! The contract between Todana and its engines.
//!
//! An [`Engine`] stores records. It is given mutations that look at the present record and return an
//! [`Edit`]; it evaluates them, makes each an [`Effect`] (a resulting state, never an operation to be
//! computed again) at a [`Position`](todana_record::Position), and applies it. So compare-and-swap,
//! increment, append, add and touch are the same code over every engine, and whatever replays,
//! replicates or restores needs [`Engine::apply`] alone.
//!
//! The crate is *not* an engine, opens no files, owns no threads and knows no dialect. How a store is
//! opened by name, and the operations that users know, stand above it in `todana-store`.
//!
//! Why it is shaped like this: `docs/design/001-engine-contract.md`. The guarantees that callers may
//! build on are stated at [`Engine`]; the suite in `conformance` (feature `conformance`) checks them
//! on any engine.
//!
//! ```
//! use todana_engine::{Edit, Mutation, Put, View};
//!
//! /// Stores a value unless the key has one.
//! struct Add<'a>(&'a [u8]);
//! impl Mutation for Add<'_> {
//!     fn evaluate<'s>(&'s mut self, current: Option<&'s View<'s>>) -> Edit<'s> {
//!         match current {
//!             Some(_) => Edit::Keep,
//!             None => Edit::Put(Put::bytes(self.0)),
//!         }
//!     }
//! }
//! assert!(matches!(Add(b"v").evaluate(None), Edit::Put(_)));
//! ```
#![forbid(unsafe_code)]

pub mod applying;
mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
mod edit;
mod effect;
mod engine;
mod error;
mod ordered;
mod statistics;
mod stream;
mod view;

pub use clock::StoreClock;
pub use edit::{Edit, Mutation, NewVersion, Payload, Put, Touch, UnitMutation};
pub use effect::Effect;
pub use engine::{
    Applied, Cursor, Engine, JobProgress, Level, Limits, Listener, Look, Progress, Token,
};
pub use error::Error;
pub use ordered::{Direction, Moment, Ordered, Range, after_prefix};
pub use statistics::{ClassStatistics, Statistics};
pub use stream::{Snapshot, StreamError, UpdateStream};
pub use view::{Absence, Access, Found, ReadValue, Spill, Staged, Value, View};
