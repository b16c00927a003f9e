//! When batches fall due in the open loop.

use std::time::{Duration, Instant};

/// Turns at fixed intervals, dealt to the connections of a thread in rotation.
///
/// The times depend on the start and the rate alone, never on what the server does: a batch that
/// had to wait for its connection is still measured from the time it was due, so that a stall
/// shows in every request that it delayed (G. Tene, "How NOT to measure latency": coordinated
/// omission).
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    start: Instant,
    step_seconds: f64,
    connections: u64,
    /// Turns that fall due at the same moment.
    burst: u64,
    /// Turns that were given out.
    turn: u64,
}

impl Schedule {
    /// `batches_per_second` for these `connections` together, the first at `start`; `burst` of
    /// them at a time, and so many times less often.
    pub(crate) fn new(
        start: Instant,
        batches_per_second: f64,
        connections: usize,
        burst: usize,
    ) -> Self {
        assert!(batches_per_second > 0.0, "an open loop needs a rate");
        assert!(connections > 0 && burst > 0, "an open loop needs connections");
        Self {
            start,
            step_seconds: batches_per_second.recip(),
            connections: connections as u64,
            burst: burst as u64,
            turn: 0,
        }
    }

    /// When the next turn is due.
    pub(crate) fn next_due(&self) -> Instant {
        self.at(self.turn)
    }

    /// Takes the next turn if it is due by `now`: the connection whose turn it is.
    pub(crate) fn take(&mut self, now: Instant) -> Option<usize> {
        if self.next_due() > now {
            return None;
        }
        let connection = self.turn % self.connections;
        self.turn += 1;
        usize::try_from(connection).ok()
    }

    /// When the `nth` turn (from 0) of `connection` was or will be due.
    pub(crate) fn intended(&self, connection: usize, nth: u64) -> Instant {
        self.at(nth * self.connections + connection as u64)
    }

    fn at(&self, turn: u64) -> Instant {
        let first = turn - turn % self.burst;
        self.start + Duration::from_secs_f64(first as f64 * self.step_seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_rotate_and_keep_their_times_however_late_they_are_taken() {
        let start = crate::clock::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut schedule = Schedule::new(start, 100.0, 3, 1);
        assert_eq!(schedule.take(at(0)), Some(0));
        assert_eq!(schedule.take(at(9)), None);
        assert_eq!(schedule.next_due(), at(10));
        let mut late = Vec::new();
        while let Some(connection) = schedule.take(at(50)) {
            late.push(connection);
        }
        assert_eq!(late, [1, 2, 0, 1, 2]);
        assert_eq!(schedule.intended(2, 0), at(20));
        assert_eq!(schedule.intended(0, 1), at(30));
        assert_eq!(schedule.intended(2, 1), at(50));
        assert_eq!(schedule.next_due(), at(60));
    }

    #[test]
    fn a_burst_is_due_at_once_and_the_rate_stays() {
        let start = crate::clock::now();
        let mut schedule = Schedule::new(start, 100.0, 4, 3);
        let mut taken = Vec::new();
        while let Some(connection) = schedule.take(start) {
            taken.push(connection);
        }
        assert_eq!(taken, [0, 1, 2]);
        assert_eq!(schedule.next_due(), start + Duration::from_millis(30));
        assert_eq!(schedule.intended(3, 0), start + Duration::from_millis(30));
    }

    #[test]
    fn a_long_run_does_not_drift() {
        let start = crate::clock::now();
        let schedule = Schedule::new(start, 70_000.0, 50, 1);
        let hour = schedule.intended(0, 70_000 * 3_600 / 50);
        let drift = hour.duration_since(start).as_secs_f64() - 3_600.0;
        assert!(drift.abs() < 1e-6, "{drift}");
    }
}
