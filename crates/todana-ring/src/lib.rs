//! Sockets by completion: Linux's io_uring behind a face that safe code can use.
//!
//! A [`Ring`] owns its sockets. Each receives all the time (one standing request, into buffers that the
//! kernel takes from a common pool as bytes come, so that an idle socket has none); what is sent in a
//! cycle leaves with one system call, which also waits for what comes next. Listeners accept in the same
//! manner. The kernel may not have it, and container profiles often forbid it: then [`Ring::new`] says so,
//! and the caller falls back to readiness.
//!
//! What the crate relies on is said at each unsafe block; in short: the kernel writes only to buffers that
//! are not lent to us, and looks at what is sent only while it is called.
#![deny(unsafe_code)]
#![cfg(target_os = "linux")]

#[expect(unsafe_code, reason = "memory that the kernel writes to")]
mod buffers;
#[expect(unsafe_code, reason = "requests with addresses for the kernel")]
mod requests;
mod ring;
mod slot;

#[cfg(test)]
mod tests;

pub use ring::{Event, Ring, SocketId, Waker};
