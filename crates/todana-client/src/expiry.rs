//! How long an item is to live, and memcached's number for it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Relative times end here; larger numbers are moments: 30 days in seconds.
const RELATIVE_MAX_S: u64 = 60 * 60 * 24 * 30;
/// What memcached takes for "gone at once".
const GONE: i64 = -1;

/// When an item ends by itself. A moment after 2038-01-19 is refused, since memcached would take it
/// for the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Expiry {
    /// Never (a cache may still evict it).
    #[default]
    Never,
    /// So long from now on, rounded up to whole seconds; zero is at once.
    In(Duration),
    /// At this moment, rounded up to whole seconds.
    At(SystemTime),
}

impl Expiry {
    /// The number that says so: 0 never, negative at once, up to 30 days in seconds from now,
    /// beyond that as a Unix time, which is counted from `now`.
    pub(crate) fn exptime(self, now: impl FnOnce() -> SystemTime) -> i64 {
        match self {
            Self::Never => 0,
            Self::In(Duration::ZERO) => GONE,
            Self::In(delay) if ceil_s(delay) <= RELATIVE_MAX_S => clamp(ceil_s(delay)),
            Self::In(delay) => now().checked_add(delay).map_or(i64::MAX, moment),
            Self::At(time) => moment(time),
        }
    }
}

/// A moment as a Unix time; one so long ago that it would look relative is in the past anyway.
fn moment(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH).map(ceil_s) {
        Ok(seconds) if seconds > RELATIVE_MAX_S => clamp(seconds),
        _ => GONE,
    }
}

fn ceil_s(time: Duration) -> u64 {
    time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0))
}

fn clamp(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exptime_means_what_memcached_says() {
        let now = || UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let check = |expiry: Expiry, want: i64| assert_eq!(expiry.exptime(now), want, "{expiry:?}");
        check(Expiry::Never, 0);
        check(Expiry::In(Duration::ZERO), -1);
        check(Expiry::In(Duration::from_millis(1)), 1);
        check(Expiry::In(Duration::from_millis(1_001)), 2);
        check(Expiry::In(Duration::from_secs(2_592_000)), 2_592_000);
        check(Expiry::In(Duration::from_secs(2_592_001)), 1_802_592_001);
        check(Expiry::In(Duration::MAX), i64::MAX);
        check(Expiry::At(UNIX_EPOCH), -1);
        check(Expiry::At(UNIX_EPOCH - Duration::from_secs(5)), -1);
        check(Expiry::At(UNIX_EPOCH + Duration::from_secs(2_592_000)), -1);
        check(Expiry::At(UNIX_EPOCH + Duration::from_millis(1_900_000_000_001)), 1_900_000_001);
    }
}
