//! The machine's clock and a thread's CPU time.

use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};

/// The monotonic clock, read once or twice a batch (about 30 ns).
#[expect(clippy::disallowed_methods, reason = "a load generator measures real time, unsimulated")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// CPU time of the calling thread, user and system; of the process where threads are not told
/// apart. Zero if the system does not say.
pub(crate) fn thread_cpu() -> Duration {
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    const WHO: UsageWho = UsageWho::RUSAGE_THREAD;
    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
    const WHO: UsageWho = UsageWho::RUSAGE_SELF;
    let Ok(usage) = getrusage(WHO) else { return Duration::ZERO };
    let micros = [usage.user_time(), usage.system_time()]
        .iter()
        .map(|time| time.tv_sec() * 1_000_000 + time.tv_usec())
        .sum::<i64>();
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}
