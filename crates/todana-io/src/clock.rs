//! Wall and monotonic time behind one trait.

#[cfg(target_os = "linux")]
use nix::time::ClockId;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A source of time. Thread-safe; both readings are cheap (tens of nanoseconds).
pub trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch. May go back when an operator sets the time: whatever
    /// must not go back takes it through a store's clock.
    fn wall_ms(&self) -> u64;
    /// Nanoseconds since an arbitrary start; never goes back.
    fn monotonic_ns(&self) -> u64;
    /// Milliseconds of a clock that never goes back either; may be as of some milliseconds ago.
    fn monotonic_ms(&self) -> u64 {
        self.monotonic_ns() / 1_000_000
    }
}

/// The operating system's clocks.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock whose monotonic reading starts at zero now.
    #[expect(clippy::disallowed_methods, reason = "this is the one real clock")]
    pub fn new() -> SystemClock {
        SystemClock { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> SystemClock {
        SystemClock::new()
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one real clock")]
fn exact_wall_ms() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(target_os = "linux")]
#[inline]
fn coarse_ms(clock: ClockId) -> Option<u64> {
    let time = nix::time::clock_gettime(clock).ok()?;
    let (seconds, ns) = (time.tv_sec().max(0), time.tv_nsec().max(0));
    Some(seconds.unsigned_abs() * 1_000 + ns.unsigned_abs() / 1_000_000)
}

impl Clock for SystemClock {
    /// On Linux as of the last tick, some ms ago: a tenth of the time that the exact one takes.
    #[cfg(target_os = "linux")]
    #[inline]
    fn wall_ms(&self) -> u64 {
        coarse_ms(ClockId::CLOCK_REALTIME_COARSE).unwrap_or_else(exact_wall_ms)
    }

    /// As of the last tick, too.
    #[cfg(target_os = "linux")]
    #[inline]
    fn monotonic_ms(&self) -> u64 {
        coarse_ms(ClockId::CLOCK_MONOTONIC_COARSE)
            .unwrap_or_else(|| self.monotonic_ns() / 1_000_000)
    }

    #[cfg(not(target_os = "linux"))]
    fn wall_ms(&self) -> u64 {
        exact_wall_ms()
    }

    fn monotonic_ns(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// The system's clock with a hand on it: its wall time can be paused, resumed and moved. It stands
/// behind the server's `--test-clock`, for tests that would otherwise have to sleep.
#[derive(Debug, Default)]
pub struct AdjustableClock {
    system: SystemClock,
    offset_ms: AtomicI64,
    paused: AtomicBool,
    paused_at_ms: AtomicU64,
}

impl AdjustableClock {
    /// A clock that starts out equal to the system's.
    pub fn new() -> AdjustableClock {
        AdjustableClock::default()
    }

    /// Moves the wall time by `delta_ms` (negative: back), paused or not.
    pub fn advance_ms(&self, delta_ms: i64) {
        self.offset_ms.fetch_add(delta_ms, Ordering::Relaxed);
    }

    /// Stops the wall time where it stands. Does nothing when it stands already.
    pub fn pause(&self) {
        if !self.paused.load(Ordering::Acquire) {
            self.paused_at_ms.store(self.system.wall_ms(), Ordering::Release);
            self.paused.store(true, Ordering::Release);
        }
    }

    /// Lets the wall time run again; it jumps to the system's time plus what it was moved by.
    pub fn resume(&self) {
        self.paused.store(false, Ordering::Release);
    }
}

impl Clock for AdjustableClock {
    fn wall_ms(&self) -> u64 {
        let base = if self.paused.load(Ordering::Acquire) {
            self.paused_at_ms.load(Ordering::Acquire)
        } else {
            self.system.wall_ms()
        };
        base.saturating_add_signed(self.offset_ms.load(Ordering::Relaxed))
    }

    fn monotonic_ns(&self) -> u64 {
        self.system.monotonic_ns()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_coarse_clock_is_close_to_the_exact_one() {
        let clock = SystemClock::new();
        let (coarse, exact) = (clock.wall_ms(), exact_wall_ms());
        assert!(coarse <= exact && exact - coarse < 1_000, "{coarse} and {exact}");
    }

    #[test]
    fn paused_clock_moves_only_when_told() {
        let clock = AdjustableClock::new();
        clock.pause();
        let before = clock.wall_ms();
        assert_eq!(clock.wall_ms(), before);
        clock.advance_ms(5_000);
        assert_eq!(clock.wall_ms(), before + 5_000);
        clock.advance_ms(-6_000);
        assert_eq!(clock.wall_ms(), before - 1_000);
        clock.advance_ms(6_000);
        clock.resume();
        assert!(clock.wall_ms() >= before + 5_000);
    }
}
