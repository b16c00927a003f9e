//! How long a record is to live, as clients say it.

use todana_record::{Expiry, Timestamp};

/// Relative times end here; larger numbers are moments: 30 days in seconds.
const RELATIVE_MAX_S: i64 = 60 * 60 * 24 * 30;

/// How long a record is to live. It becomes an [`Expiry`] by the clock of the store that takes the
/// write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// Until it is removed.
    Forever,
    /// It is gone at once.
    Gone,
    /// This many seconds from now on.
    Seconds(u32),
    /// Until this second since the Unix epoch.
    Until(u64),
}

impl Lifetime {
    /// What memcached's `exptime` means: 0 forever, negative gone, up to 30 days relative, beyond that
    /// a Unix time.
    pub const fn from_exptime(exptime: i64) -> Lifetime {
        match exptime {
            0 => Lifetime::Forever,
            i64::MIN..0 => Lifetime::Gone,
            #[expect(clippy::cast_possible_truncation, reason = "at most 30 days")]
            1..=RELATIVE_MAX_S => Lifetime::Seconds(exptime.unsigned_abs() as u32),
            _ => Lifetime::Until(exptime.unsigned_abs()),
        }
    }

    /// The moment that it means now.
    pub fn expiry(self, now: Timestamp) -> Expiry {
        match self {
            Lifetime::Forever => Expiry::NEVER,
            Lifetime::Gone => Expiry::GONE,
            Lifetime::Seconds(seconds) => Expiry::at(now.plus_ms(u64::from(seconds) * 1_000)),
            Lifetime::Until(second) => Expiry::at(Timestamp::from_ms(second.saturating_mul(1_000))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exptime_means_what_memcached_says() {
        let now = Timestamp::from_ms(1_700_000_000_500);
        let expiry = |exptime| Lifetime::from_exptime(exptime).expiry(now);
        assert_eq!(expiry(0), Expiry::NEVER);
        assert!(expiry(-1).is_past(now) && expiry(i64::MIN).is_past(now));
        assert_eq!(expiry(10).ms(), now.ms() + 10_000);
        assert_eq!(expiry(RELATIVE_MAX_S).ms(), now.ms() + 2_592_000_000);
        assert_eq!(expiry(RELATIVE_MAX_S + 1).ms(), 2_592_001_000);
        assert!(expiry(RELATIVE_MAX_S + 1).is_past(now));
        assert!(!expiry(i64::MAX).is_past(now));
    }
}
