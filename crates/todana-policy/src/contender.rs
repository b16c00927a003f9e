//! The policies by their names.

use crate::policy::Policy;
use crate::trace::Trace;
use crate::{Arc, Clock, Lru, S3Fifo, Sieve, WTinyLfu, belady};

/// Requests between two reports of progress.
const CHUNK: usize = 1 << 16;

/// Who can be compared: the policies and the bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contender {
    /// [`S3Fifo`], the default.
    S3Fifo,
    /// [`WTinyLfu`].
    WTinyLfu,
    /// [`Arc`].
    Arc,
    /// [`Sieve`].
    Sieve,
    /// [`Clock`].
    Clock,
    /// [`Lru`].
    Lru,
    /// [`belady`]: no policy, since it knows the future.
    Belady,
}

impl Contender {
    /// All of them, the default first and the bound last.
    pub const ALL: [Contender; 7] = [
        Contender::S3Fifo,
        Contender::WTinyLfu,
        Contender::Arc,
        Contender::Sieve,
        Contender::Clock,
        Contender::Lru,
        Contender::Belady,
    ];
    /// Todana's own policy.
    pub const DEFAULT: Contender = Contender::S3Fifo;

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Contender::S3Fifo => "s3-fifo",
            Contender::WTinyLfu => "w-tinylfu",
            Contender::Arc => "arc",
            Contender::Sieve => "sieve",
            Contender::Clock => "clock",
            Contender::Lru => "lru",
            Contender::Belady => "belady",
        }
    }

    /// An empty cache of so many bytes; none for the bound, which needs a whole trace.
    pub fn build(self, capacity: u64) -> Option<Box<dyn Policy>> {
        Some(match self {
            Contender::S3Fifo => Box::new(S3Fifo::new(capacity)),
            Contender::WTinyLfu => Box::new(WTinyLfu::new(capacity)),
            Contender::Arc => Box::new(Arc::new(capacity)),
            Contender::Sieve => Box::new(Sieve::new(capacity)),
            Contender::Clock => Box::new(Clock::new(capacity)),
            Contender::Lru => Box::new(Lru::new(capacity)),
            Contender::Belady => return None,
        })
    }

    /// The misses of a trace in a cache of so many bytes that is empty at first. `progress` hears of requests
    /// that are done.
    pub fn misses(self, trace: &Trace, capacity: u64, progress: &mut dyn FnMut(u64)) -> u64 {
        match self.build(capacity) {
            Some(mut policy) => replay(trace, policy.as_mut(), progress),
            None => belady::misses(trace, capacity, progress),
        }
    }
}

/// Puts a trace's requests to a policy and takes away what has expired when it is asked for.
fn replay(trace: &Trace, policy: &mut dyn Policy, progress: &mut dyn FnMut(u64)) -> u64 {
    let mut expiries = vec![u32::MAX; trace.objects()];
    let (mut misses, mut now) = (0, 0_u32);
    for requests in trace.requests().chunks(CHUNK) {
        for request in requests {
            let object = usize::try_from(request.key).unwrap_or(usize::MAX);
            if expiries[object] <= now {
                policy.remove(request.key);
            }
            if !policy.request(request.key, request.size) {
                misses += 1;
                expiries[object] = belady::expiry(now, request.ttl);
            }
            now += 1;
        }
        progress(requests.len() as u64);
    }
    misses
}
