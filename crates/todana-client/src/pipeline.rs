//! Many operations with few system calls.

use std::fmt;

use crate::client::Client;
use crate::connection::Connection;
use crate::error::Error;
use crate::expiry::Expiry;
use crate::operation::{Mode, Operation};
use crate::reply::{Await, Outcome};

/// Bytes of requests that may be unanswered whatever their replies are: the buffers of a socket hold
/// them even if the server does not read.
pub(crate) const UNANSWERED_BYTES_MAX: usize = 16 << 10;
/// Bytes of requests with short replies only.
const WRITES_BYTES_MAX: usize = 1 << 20;
/// Number of those, so that their replies, of some 8 to 64 bytes, fit into the buffers of a socket.
const WRITES_MAX: usize = 256;

/// Operations to be sent together. Made by [`Client::pipeline`].
///
/// Operations are put into bytes as they are queued, so nothing is borrowed; [`Pipeline::run`] sends
/// them on one connection in batches and gives the outcomes in order. The server carries them out in
/// order, but others' operations may come in between: a pipeline is no transaction.
///
/// ```no_run
/// # fn main() -> Result<(), todana_client::Error> {
/// use todana_client::{Client, Expiry};
///
/// let client = Client::connect("127.0.0.1:11211")?;
/// let mut pipeline = client.pipeline();
/// for id in 0..1_000 {
///     pipeline.set(format!("user:{id}"), "…", 0, Expiry::Never);
/// }
/// for outcome in pipeline.run()? {
///     outcome?;
/// }
/// # Ok(())
/// # }
/// ```
///
/// # No deadlock
///
/// Both sides would wait for ever if the server stopped reading since nobody takes its replies,
/// while the client is still sending. A batch is therefore sent whole before its replies are read,
/// and it is either one request; or at most 16 KiB, which the sockets' buffers hold unread; or up to
/// 256 requests and 1 MiB whose replies are short lines, which the buffers hold in the other
/// direction.
pub struct Pipeline<'a> {
    client: &'a Client,
    bytes: Vec<u8>,
    queued: Vec<Result<Queued, Error>>,
}

/// A request that is ready to be sent.
struct Queued {
    /// Where its bytes end; they begin at the end of the one before.
    end: usize,
    awaited: Await,
    only_reads: bool,
    has_long_reply: bool,
}

impl<'a> Pipeline<'a> {
    pub(crate) const fn new(client: &'a Client) -> Self {
        Self { client, bytes: Vec::new(), queued: Vec::new() }
    }

    /// Operations queued.
    #[must_use]
    pub fn len(&self) -> usize {
        self.queued.len()
    }

    /// Whether nothing is queued.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queued.is_empty()
    }

    /// Queues a get. [`Outcome::Value`].
    pub fn get(&mut self, key: impl AsRef<[u8]>) -> &mut Self {
        self.push(Operation::Get { key: key.as_ref(), cas: false })
    }

    /// Queues a get with the token for [`Pipeline::cas`]. [`Outcome::Value`].
    pub fn gets(&mut self, key: impl AsRef<[u8]>) -> &mut Self {
        self.push(Operation::Get { key: key.as_ref(), cas: true })
    }

    /// Queues a get that sets the expiry. [`Outcome::Value`].
    pub fn get_and_touch(&mut self, key: impl AsRef<[u8]>, expiry: Expiry) -> &mut Self {
        self.push(Operation::GetAndTouch { key: key.as_ref(), expiry })
    }

    /// Queues a set. [`Outcome::Stored`].
    pub fn set(
        &mut self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        flags: u32,
        expiry: Expiry,
    ) -> &mut Self {
        self.store(Mode::Set, key.as_ref(), value.as_ref(), flags, expiry)
    }

    /// Queues a set that wants no item to be there. [`Outcome::Stored`].
    pub fn add(
        &mut self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        flags: u32,
        expiry: Expiry,
    ) -> &mut Self {
        self.store(Mode::Add, key.as_ref(), value.as_ref(), flags, expiry)
    }

    /// Queues a set that wants an item to be there. [`Outcome::Stored`].
    pub fn replace(
        &mut self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        flags: u32,
        expiry: Expiry,
    ) -> &mut Self {
        self.store(Mode::Replace, key.as_ref(), value.as_ref(), flags, expiry)
    }

    /// Queues a set that wants the item of that token to be unchanged. [`Outcome::Stored`].
    pub fn cas(
        &mut self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        flags: u32,
        expiry: Expiry,
        token: u64,
    ) -> &mut Self {
        self.store(Mode::Cas(token), key.as_ref(), value.as_ref(), flags, expiry)
    }

    /// Queues bytes to be put behind the value. [`Outcome::Stored`].
    pub fn append(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> &mut Self {
        self.store(Mode::Append, key.as_ref(), value.as_ref(), 0, Expiry::Never)
    }

    /// Queues bytes to be put before the value. [`Outcome::Stored`].
    pub fn prepend(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> &mut Self {
        self.store(Mode::Prepend, key.as_ref(), value.as_ref(), 0, Expiry::Never)
    }

    /// Queues counting up. [`Outcome::Number`].
    pub fn incr(&mut self, key: impl AsRef<[u8]>, delta: u64) -> &mut Self {
        self.push(Operation::Count { key: key.as_ref(), down: false, delta, initial: None })
    }

    /// Queues counting down, not below 0. [`Outcome::Number`].
    pub fn decr(&mut self, key: impl AsRef<[u8]>, delta: u64) -> &mut Self {
        self.push(Operation::Count { key: key.as_ref(), down: true, delta, initial: None })
    }

    /// Queues setting the expiry. [`Outcome::Touched`].
    pub fn touch(&mut self, key: impl AsRef<[u8]>, expiry: Expiry) -> &mut Self {
        self.push(Operation::Touch { key: key.as_ref(), expiry })
    }

    /// Queues a delete. [`Outcome::Deleted`].
    pub fn delete(&mut self, key: impl AsRef<[u8]>) -> &mut Self {
        self.push(Operation::Delete { key: key.as_ref() })
    }

    fn store(
        &mut self,
        mode: Mode,
        key: &[u8],
        value: &[u8],
        flags: u32,
        expiry: Expiry,
    ) -> &mut Self {
        self.push(Operation::Store { mode, key, value, flags, expiry })
    }

    fn push(&mut self, operation: Operation<'_>) -> &mut Self {
        let encoded = operation.encode(&mut self.bytes);
        self.queued.push(encoded.map(|awaited| Queued {
            end: self.bytes.len(),
            awaited,
            only_reads: operation.only_reads(),
            has_long_reply: operation.has_long_reply(),
        }));
        self
    }

    /// Sends everything and gives one result for each operation, in order.
    ///
    /// An operation that could not be put into bytes has its error and was not sent. If the
    /// connection fails, the operation that was to be answered next has the reason, those after it
    /// [`Error::Unanswered`].
    ///
    /// # Errors
    ///
    /// If no connection could be opened, so that nothing was sent; or if all operations only read
    /// and the server closed the connection before it answered any.
    pub fn run(self) -> Result<Vec<Result<Outcome, Error>>, Error> {
        let Self { client, bytes, queued } = self;
        let good: Vec<&Queued> = queued.iter().filter_map(|queued| queued.as_ref().ok()).collect();
        let again = good.iter().all(|queued| queued.only_reads);
        let answered = match good.is_empty() {
            true => Vec::new(),
            false => client.pool().with(again, |connection| {
                connection.unfinished = true;
                let mut outcomes = Vec::with_capacity(good.len());
                let sent = exchange(connection, &bytes, &good, &mut outcomes);
                match sent {
                    // The pool may try another connection.
                    Err(error) if again && outcomes.is_empty() && error.is_stale() => {
                        return Err(error);
                    }
                    Err(error) => outcomes.push(Err(error)),
                    Ok(()) => connection.unfinished = false,
                }
                Ok(outcomes)
            })?,
        };
        let mut answered = answered.into_iter();
        let result = |queued: Result<Queued, Error>| {
            queued.and_then(|_| answered.next().unwrap_or(Err(Error::Unanswered)))
        };
        Ok(queued.into_iter().map(result).collect())
    }
}

impl fmt::Debug for Pipeline<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Pipeline");
        shown.field("len", &self.len()).field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}

/// Batch after batch: sends it, then reads its replies. Stops at the first error after which the
/// connection is no good.
fn exchange(
    connection: &mut Connection,
    bytes: &[u8],
    mut queued: &[&Queued],
    outcomes: &mut Vec<Result<Outcome, Error>>,
) -> Result<(), Error> {
    let mut from = 0;
    while let Some((batch, rest)) = queued.split_at_checked(batch_len(queued, from)) {
        let Some(last) = batch.last() else { break };
        connection.send(bytes.get(from..last.end).unwrap_or_default())?;
        for request in batch {
            match connection.outcome(request.awaited.clone()) {
                Err(error) if !error.keeps_connection() => return Err(error),
                outcome => outcomes.push(outcome),
            }
        }
        (queued, from) = (rest, last.end);
    }
    Ok(())
}

/// How many of the requests, whose bytes begin at `from`, make the next batch.
fn batch_len(queued: &[&Queued], from: usize) -> usize {
    let mut short = true;
    let fits = |(index, request): (usize, &&Queued)| {
        short &= !request.has_long_reply;
        let (count, bytes) = (index + 1, request.end - from);
        let writes = short && count <= WRITES_MAX && bytes <= WRITES_BYTES_MAX;
        count == 1 || writes || bytes <= UNANSWERED_BYTES_MAX
    };
    queued.iter().enumerate().map(fits).take_while(|fits| *fits).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lengths of the batches of requests, each with its length and whether its reply is long.
    fn check(requests: &[(usize, bool)], want: &[usize]) {
        let mut end = 0;
        let queued: Vec<Queued> = requests
            .iter()
            .map(|&(len, has_long_reply)| {
                end += len;
                let awaited = Await::deleted();
                Queued { end, awaited, only_reads: false, has_long_reply }
            })
            .collect();
        let all: Vec<&Queued> = queued.iter().collect();
        let (mut queued, mut from, mut got) = (&all[..], 0, Vec::new());
        while !queued.is_empty() {
            let len = batch_len(queued, from);
            got.push(len);
            from = queued[len - 1].end;
            queued = &queued[len..];
        }
        assert_eq!(got, want);
    }

    #[test]
    fn batches_hold_the_bounds() {
        check(&[], &[]);
        check(&[(8_000, true); 5], &[2, 2, 1]);
        check(&[(2 << 20, false), (10, true), (2 << 20, false)], &[1, 1, 1]);
        check(&[(100_000, false); 25], &[10, 10, 5]);
        check(&[(100, false); 400], &[256, 144]);
        check(&[(10, false); 1_000], &[1_000]);
        check(&[(10_000, false), (10_000, false), (10, true), (10, true)], &[2, 2]);
    }
}
