//! Counting in decimal text.

use super::{matches, version_from};
use todana_engine::{Edit, Mutation, Put, View};
use todana_record::Expiry;

/// What became of a count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CountOutcome {
    /// The number now.
    Number {
        /// It.
        value: u64,
        /// When the record ended before; `None` if it was made.
        expiry_before: Option<Expiry>,
    },
    /// There is no record, and none was to be made.
    NotFound,
    /// The record has another version.
    Exists,
    /// The value is no number.
    NonNumeric,
}

/// Adds to a number or subtracts from it. Adding wraps at 2^64, subtracting stops at 0.
#[derive(Debug)]
pub struct Counting {
    /// By how much.
    pub delta: u64,
    /// Subtract.
    pub down: bool,
    /// When there is no record, make one with this number that ends then.
    pub initial: Option<(u64, Expiry)>,
    /// Whether the initial expiry stands against `expiry`.
    pub initial_last: bool,
    /// Let the record end then.
    pub expiry: Option<Expiry>,
    /// Only if the record has this version.
    pub compare: Option<u64>,
    /// The version that it is to have.
    pub version: Option<u64>,
    /// What became of it.
    pub outcome: CountOutcome,
    digits: Vec<u8>,
}

impl Counting {
    /// Adds `delta` (subtracts, if `down`).
    pub const fn by(delta: u64, down: bool) -> Counting {
        Counting {
            delta,
            down,
            initial: None,
            initial_last: false,
            expiry: None,
            compare: None,
            version: None,
            outcome: CountOutcome::NotFound,
            digits: Vec::new(),
        }
    }
}

impl Mutation for Counting {
    fn needs_value(&self) -> bool {
        true
    }

    fn evaluate<'s>(&'s mut self, current: Option<&'s View<'s>>) -> Edit<'s> {
        let Some(view) = current else {
            let Some((value, expiry)) = self.initial else {
                self.outcome = CountOutcome::NotFound;
                return Edit::Keep;
            };
            self.digits = value.to_string().into_bytes();
            let after = self.expiry.filter(|_| !self.initial_last).unwrap_or(expiry);
            self.outcome = CountOutcome::Number { value, expiry_before: None };
            let version = version_from(self.version);
            return Edit::Put(Put { expiry: after, version, ..Put::bytes(&self.digits) });
        };
        if !matches(view, self.compare) {
            self.outcome = CountOutcome::Exists;
            return Edit::Keep;
        }
        let Some(old) = view.value.as_bytes().and_then(parse_number) else {
            self.outcome = CountOutcome::NonNumeric;
            return Edit::Keep;
        };
        let value =
            if self.down { old.saturating_sub(self.delta) } else { old.wrapping_add(self.delta) };
        let old_len = usize::try_from(view.value.len()).unwrap_or(0);
        self.digits = value.to_string().into_bytes();
        // As memcached: a number that does not grow keeps its width, and the record its marks.
        let keeps_width = self.digits.len() <= old_len;
        if keeps_width {
            self.digits.resize(old_len, b' ');
        }
        let expiry = self.expiry.unwrap_or(view.meta.expiry);
        self.outcome = CountOutcome::Number { value, expiry_before: Some(view.meta.expiry) };
        Edit::Put(Put {
            flags: view.meta.flags,
            expiry,
            kind: view.meta.kind,
            version: version_from(self.version),
            stale: keeps_width && view.meta.stale,
            won: keeps_width && view.meta.won,
            ..Put::bytes(&self.digits)
        })
    }
}

/// Reads a value as memcached reads a counter: white space, perhaps a `+`, digits that fit 64 bits, then
/// the end, or white space or a NUL and anything.
pub fn parse_number(value: &[u8]) -> Option<u64> {
    let value = value.trim_ascii_start();
    let value = value.strip_prefix(b"+").unwrap_or(value);
    let len = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = value.split_at_checked(len)?;
    let ends =
        rest.first().is_none_or(|&byte| byte == 0 || byte == 0x0b || byte.is_ascii_whitespace());
    if digits.is_empty() || !ends {
        return None;
    }
    digits
        .iter()
        .try_fold(0u64, |value, &digit| value.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_memcached_reads_them() {
        let check = |text: &str, expected| {
            assert_eq!(parse_number(text.as_bytes()), expected, "{text:?}");
        };
        check("10", Some(10));
        check(" 12", Some(12));
        check("12 ", Some(12));
        check("1 abc", Some(1));
        check("1\x002", Some(1));
        check("+1", Some(1));
        check("000000000000000000001", Some(1));
        check("18446744073709551615", Some(u64::MAX));
        for text in ["", "-1", "1a", "a", "+", " ", "18446744073709551616"] {
            check(text, None);
        }
    }
}
