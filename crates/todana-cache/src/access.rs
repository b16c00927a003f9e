//! What the index remembers of accesses, in eleven bits a record.
//!
//! | bits | meaning |
//! |---|---|
//! | 0 | fetched since it was stored |
//! | 1–2 | how often since a reclaim pass last looked at it, 3 at most |
//! | 3–9 | time of the last access: seconds modulo 128 when fine, half hours modulo 128 when coarse |
//! | 10 | coarse |
//!
//! A wrapped time alone is ambiguous. The job *ages* visits every slot at least once a
//! [`SWEEP_PERIOD_S`] and turns fine times that are old into coarse ones, and holds coarse ones at the
//! oldest that can be told. So an access is known to the second for a minute, then to the half hour
//! for two and a half days, then as "longer than that".

use todana_record::Timestamp;

/// How often every slot has to be visited, in seconds.
pub(crate) const SWEEP_PERIOD_S: u64 = 32;

const FETCHED: u16 = 1 << 0;
const TIMES_SHIFT: u32 = 1;
const TIMES_MAX: u16 = 3;
const TIMES: u16 = TIMES_MAX << TIMES_SHIFT;
const COARSE: u16 = 1 << 10;
const TIME_SHIFT: u32 = 3;
/// Bits that it takes.
pub(crate) const ACCESS_BITS: u32 = 11;
/// Seconds by which the time of a record that is fetched again and again may be behind: so that not every
/// fetch writes.
const LAG_S: u32 = 3;
const TIME_MASK: u64 = 127;
const COARSE_UNIT_S: u64 = 1_800;
/// Fine times older than this many seconds are turned into coarse ones.
const FINE_MAX_S: u64 = 60;
/// Coarse times are held at this many units.
const COARSE_MAX: u64 = 120;

/// Eleven bits about the accesses of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AccessBits(pub(crate) u16);

impl AccessBits {
    /// A record stored now and not fetched yet.
    pub(crate) fn stored(now: Timestamp) -> AccessBits {
        AccessBits(fine(now))
    }

    /// The same record fetched now.
    #[inline]
    pub(crate) fn fetched_at(self, now: Timestamp) -> AccessBits {
        let times = self.times();
        if times == TIMES_MAX && self.0 & FETCHED != 0 && self.idle_s(now) <= LAG_S {
            return self;
        }
        let times = (times + 1).min(TIMES_MAX) << TIMES_SHIFT;
        AccessBits(fine(now) | FETCHED | times)
    }

    /// How often it was fetched since a reclaim pass looked at it, 3 at most.
    #[inline]
    pub(crate) fn times(self) -> u16 {
        (self.0 & TIMES) >> TIMES_SHIFT
    }

    /// The same record as if it had been fetched so often.
    pub(crate) fn with_times(self, times: u16) -> AccessBits {
        AccessBits(self.0 & !TIMES | times.min(TIMES_MAX) << TIMES_SHIFT)
    }

    #[inline]
    pub(crate) fn was_fetched(self) -> bool {
        self.0 & FETCHED != 0
    }

    /// Seconds since the last access.
    pub(crate) fn idle_s(self, now: Timestamp) -> u32 {
        let time = u64::from(self.0 >> TIME_SHIFT) & TIME_MASK;
        let idle = if self.0 & COARSE != 0 {
            ((now.seconds() / COARSE_UNIT_S).wrapping_sub(time) & TIME_MASK) * COARSE_UNIT_S
        } else {
            now.seconds().wrapping_sub(time) & TIME_MASK
        };
        u32::try_from(idle).unwrap_or(u32::MAX)
    }

    /// The same, told so that it stays true for another sweep period.
    pub(crate) fn aged(self, now: Timestamp) -> AccessBits {
        let idle_s = u64::from(self.idle_s(now));
        let unit_now = now.seconds() / COARSE_UNIT_S;
        let units = if self.0 & COARSE != 0 {
            (idle_s / COARSE_UNIT_S).min(COARSE_MAX)
        } else if idle_s > FINE_MAX_S {
            0
        } else {
            return self;
        };
        let time = (unit_now.wrapping_sub(units) & TIME_MASK) as u16;
        AccessBits(self.0 & (FETCHED | TIMES) | COARSE | (time << TIME_SHIFT))
    }
}

#[inline]
fn fine(now: Timestamp) -> u16 {
    ((now.seconds() & TIME_MASK) as u16) << TIME_SHIFT
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_ms(seconds * 1_000)
    }

    #[test]
    fn idle_time_is_exact_for_a_minute_then_coarse_then_held() {
        let start = 1_700_000_000;
        let mut bits = AccessBits::stored(at(start)).fetched_at(at(start));
        for passed in (0..400_000).step_by(20) {
            bits = bits.aged(at(start + passed));
            let idle = u64::from(bits.idle_s(at(start + passed)));
            if passed <= FINE_MAX_S {
                assert_eq!(idle, passed);
            } else {
                let told_max = COARSE_MAX * COARSE_UNIT_S;
                let expected = passed.min(told_max);
                assert!(idle.abs_diff(expected) <= COARSE_UNIT_S, "{passed}: {idle}");
            }
            assert!(bits.was_fetched() && bits.times() == 1);
        }
        assert!(bits.with_times(0).was_fetched() && bits.with_times(0).times() == 0);
    }

    #[test]
    fn a_fetch_starts_anew() {
        let bits = AccessBits::stored(at(1_000)).aged(at(1_100));
        assert!(!bits.was_fetched());
        let bits = bits.fetched_at(at(5_000));
        assert_eq!(bits.idle_s(at(5_007)), 7);
    }
}
