//! Time that passes when told.

use std::sync::atomic::{AtomicU64, Ordering};
use todana_io::Clock;

/// A clock that stands still until it is moved. Its wall and monotonic time move together; the wall
/// time alone can also be set back, as operators do.
#[derive(Debug, Default)]
pub struct SimClock {
    wall_ms: AtomicU64,
    monotonic_ms: AtomicU64,
}

impl SimClock {
    /// A clock that stands at `ms` milliseconds since the Unix epoch.
    pub const fn at_ms(ms: u64) -> SimClock {
        SimClock { wall_ms: AtomicU64::new(ms), monotonic_ms: AtomicU64::new(0) }
    }

    /// Lets time pass.
    pub fn advance_ms(&self, ms: u64) {
        self.wall_ms.fetch_add(ms, Ordering::Relaxed);
        self.monotonic_ms.fetch_add(ms, Ordering::Relaxed);
    }

    /// Sets the wall time, forward or back.
    pub fn set_wall_ms(&self, ms: u64) {
        self.wall_ms.store(ms, Ordering::Relaxed);
    }
}

impl Clock for SimClock {
    fn wall_ms(&self) -> u64 {
        self.wall_ms.load(Ordering::Relaxed)
    }

    fn monotonic_ns(&self) -> u64 {
        self.monotonic_ms.load(Ordering::Relaxed).saturating_mul(1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_time_can_go_back_and_monotonic_time_cannot() {
        let clock = SimClock::at_ms(5_000);
        clock.advance_ms(10);
        clock.set_wall_ms(1_000);
        assert_eq!((clock.wall_ms(), clock.monotonic_ns()), (1_000, 10_000_000));
    }
}
