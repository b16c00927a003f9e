//! Timestamps and expiry, in milliseconds since the Unix epoch.

/// A moment by a store's clock, in milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The moment `ms` milliseconds after the epoch.
    pub const fn from_ms(ms: u64) -> Timestamp {
        Timestamp(ms)
    }

    /// Milliseconds since the epoch.
    pub const fn ms(self) -> u64 {
        self.0
    }

    /// Whole seconds since the epoch.
    pub const fn seconds(self) -> u64 {
        self.0 / 1_000
    }

    /// The moment `ms` milliseconds later, held at the end of time instead of wrapping.
    pub const fn plus_ms(self, ms: u64) -> Timestamp {
        Timestamp(self.0.saturating_add(ms))
    }
}

/// When a record ends: a moment, or never. Zero stands for never in every format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Expiry(u64);

impl Expiry {
    /// The record does not end by itself.
    pub const NEVER: Expiry = Expiry(0);
    /// A moment long gone: the record is never seen.
    pub const GONE: Expiry = Expiry(1);

    /// Ends at `ms` milliseconds since the epoch; 0 means never.
    pub const fn at_ms(ms: u64) -> Expiry {
        Expiry(ms)
    }

    /// Ends at `moment`; the epoch itself counts as long gone.
    pub const fn at(moment: Timestamp) -> Expiry {
        if moment.0 == 0 { Expiry::GONE } else { Expiry(moment.0) }
    }

    /// Milliseconds since the epoch; 0 for never.
    pub const fn ms(self) -> u64 {
        self.0
    }

    /// Whether the record never ends.
    pub const fn is_never(self) -> bool {
        self.0 == 0
    }

    /// Whether the record has ended at `now`: a record is seen strictly before its expiry.
    pub const fn is_past(self, now: Timestamp) -> bool {
        self.0 != 0 && self.0 <= now.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expiry_is_exclusive_and_never_is_never() {
        let expiry = Expiry::at_ms(10);
        assert!(!expiry.is_past(Timestamp::from_ms(9)));
        assert!(expiry.is_past(Timestamp::from_ms(10)));
        assert!(!Expiry::NEVER.is_past(Timestamp::from_ms(u64::MAX)));
        assert!(Expiry::GONE.is_past(Timestamp::from_ms(1)));
        assert!(Expiry::at(Timestamp::from_ms(0)).is_past(Timestamp::from_ms(1)));
    }
}
