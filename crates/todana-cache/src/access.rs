//! What the index remembers of accesses, in ten bits a record.
//!
//! | bits | meaning |
//! |---|---|
//! | 0 | fetched since it was stored |
//! | 1 | fetched since the last reclaim pass looked at it |
//! | 2–8 | time of the last access: seconds modulo 128 when fine, half hours modulo 128 when coarse |
//! | 9 | coarse |
//!
//! A wrapped time alone is ambiguous. The job *ages* visits every slot at least once a
//! [`SWEEP_PERIOD_S`] and turns fine times that are old into coarse ones, and holds coarse ones at the
//! oldest that can be told. So an access is known to the second for a minute, then to the half hour
//! for two and a half days, then as "longer than that".

use todana_record::Timestamp;

/// How often every slot has to be visited, in seconds.
pub(crate) const SWEEP_PERIOD_S: u64 = 32;

const FETCHED: u16 = 1 << 0;
const ACTIVE: u16 = 1 << 1;
const COARSE: u16 = 1 << 9;
const TIME_SHIFT: u32 = 2;
const TIME_MASK: u64 = 127;
const COARSE_UNIT_S: u64 = 1_800;
/// Fine times older than this many seconds are turned into coarse ones.
const FINE_MAX_S: u64 = 60;
/// Coarse times are held at this many units.
const COARSE_MAX: u64 = 120;

/// Ten bits about the accesses of a record.
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
        AccessBits(fine(now) | FETCHED | ACTIVE)
    }

    /// The same record, looked at by a reclaim pass.
    pub(crate) fn passed(self) -> AccessBits {
        AccessBits(self.0 & !ACTIVE)
    }

    pub(crate) fn was_fetched(self) -> bool {
        self.0 & FETCHED != 0
    }

    pub(crate) fn is_active(self) -> bool {
        self.0 & ACTIVE != 0
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
        AccessBits(self.0 & (FETCHED | ACTIVE) | COARSE | (time << TIME_SHIFT))
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
            assert!(bits.was_fetched() && bits.is_active());
        }
        assert!(bits.passed().was_fetched() && !bits.passed().is_active());
    }

    #[test]
    fn a_fetch_starts_anew() {
        let bits = AccessBits::stored(at(1_000)).aged(at(1_100));
        assert!(!bits.was_fetched());
        let bits = bits.fetched_at(at(5_000));
        assert_eq!(bits.idle_s(at(5_007)), 7);
    }
}
