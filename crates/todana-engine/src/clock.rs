//! The clock of a store.

use std::sync::atomic::{AtomicU64, Ordering};
use todana_record::Timestamp;

/// A store's clock: follows the wall clock but never goes back, whatever the operator does to the
/// machine's time. All expiry is by it. Engines that keep files persist its reading.
#[derive(Debug, Default)]
pub struct StoreClock {
    latest_ms: AtomicU64,
}

impl StoreClock {
    /// A clock that has not seen a time yet.
    pub const fn new() -> StoreClock {
        StoreClock { latest_ms: AtomicU64::new(0) }
    }

    /// Shows the clock the machine's wall time and reads it: the latest time it was ever shown.
    #[inline]
    pub fn advance(&self, wall_ms: u64) -> Timestamp {
        let before = self.latest_ms.load(Ordering::Relaxed);
        if wall_ms <= before {
            return Timestamp::from_ms(before);
        }
        let before = self.latest_ms.fetch_max(wall_ms, Ordering::Relaxed);
        Timestamp::from_ms(before.max(wall_ms))
    }

    /// The latest time it was shown.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_ms(self.latest_ms.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_goes_back() {
        let clock = StoreClock::new();
        assert_eq!(clock.advance(10).ms(), 10);
        assert_eq!(clock.advance(7).ms(), 10);
        assert_eq!(clock.advance(11).ms(), 11);
        assert_eq!(clock.now().ms(), 11);
    }
}
