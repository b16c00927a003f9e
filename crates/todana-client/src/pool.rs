//! Connections that nobody uses, and who gets one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::address::Address;
use crate::connection::Connection;
use crate::error::Error;
use crate::options::Options;

/// A connection that was idle for longer than this is looked at before it is used, since the server
/// may have closed it. Looking costs three system calls.
const LOOK_AFTER: Duration = Duration::from_millis(500);

/// The idle connections to one server.
///
/// Invariant (I1): an idle connection has nothing to be read, except that the server closed it.
#[derive(Debug)]
pub(crate) struct Pool {
    address: Arc<Address>,
    options: Options,
    /// The one used last stands last, and is used first.
    idle: Mutex<Vec<Idle>>,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
}

impl Pool {
    pub(crate) fn new(address: Address, options: Options) -> Self {
        Self { address: Arc::new(address), options, idle: Mutex::default() }
    }

    /// Opens a connection that the pool does not know.
    pub(crate) fn open(&self) -> Result<Connection, Error> {
        Connection::open(&self.address, &self.options)
    }

    /// Does something with a connection and keeps it for later if it is still good. With `again`,
    /// which is for what changes nothing, it is done once more if an idle connection was dead.
    pub(crate) fn with<T>(
        &self,
        again: bool,
        mut job: impl FnMut(&mut Connection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if let Some(mut connection) = self.take() {
            let done = job(&mut connection);
            let dead = done.as_ref().is_err_and(Error::is_stale) && !connection.heard;
            if !(dead && again) {
                self.give_back(connection, &done);
                return done;
            }
            // Its neighbours were most likely closed with it.
            self.forget_idle();
        }
        let mut connection = self.open()?;
        let done = job(&mut connection);
        self.give_back(connection, &done);
        done
    }

    fn take(&self) -> Option<Connection> {
        loop {
            let Idle { mut connection, since } = self.idle().pop()?;
            if since.elapsed() < LOOK_AFTER || connection.is_ready() {
                return Some(connection);
            }
        }
    }

    fn give_back<T>(&self, connection: Connection, done: &Result<T, Error>) {
        let failure = done.as_ref().err();
        if failure.is_some_and(Error::is_stale) {
            self.forget_idle();
        }
        // (I1)
        if failure.is_none_or(Error::keeps_connection) && connection.is_clean() {
            self.keep(connection);
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the age of an idle connection")]
    pub(crate) fn keep(&self, connection: Connection) {
        let mut idle = self.idle();
        if idle.len() < self.options.idle_max {
            idle.push(Idle { connection, since: Instant::now() });
        }
    }

    fn forget_idle(&self) {
        let forgotten = std::mem::take(&mut *self.idle());
        drop(forgotten);
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        // A panic elsewhere leaves the list whole.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
