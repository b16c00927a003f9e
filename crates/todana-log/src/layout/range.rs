//! The bounds of a range, as an entry that removes it has them: where it begins is the entry's key, and its value
//! is a byte of form (bits 0-1 what the beginning is, bits 2-3 the end: 0 none, 1 included, 2 excluded), then where
//! it ends.

use crate::layout::record::{Operation, Record};
use std::ops::Bound;
use todana_engine::Range;

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct RangeBytes<'r> {
    /// The byte of form.
    pub form: [u8; 1],
    /// Where it begins.
    pub from: &'r [u8],
    /// Where it ends.
    pub to: &'r [u8],
}

fn split<'r>(bound: Bound<&'r [u8]>) -> (u8, &'r [u8]) {
    match bound {
        Bound::Unbounded => (0, &[]),
        Bound::Included(key) => (1, key),
        Bound::Excluded(key) => (2, key),
    }
}

fn join(form: u8, key: &[u8]) -> Option<Bound<&[u8]>> {
    match form & 3 {
        0 if key.is_empty() => Some(Bound::Unbounded),
        1 => Some(Bound::Included(key)),
        2 => Some(Bound::Excluded(key)),
        _ => None,
    }
}

impl<'r> RangeBytes<'r> {
    /// Those of a range.
    pub fn of(range: &Range<'r>) -> RangeBytes<'r> {
        let ((from_form, from), (to_form, to)) = (split(range.from), split(range.to));
        RangeBytes { form: [from_form | to_form << 2], from, to }
    }
}

/// The range that an entry removes; `None` when it is another, or its value means nothing.
pub fn decode<'r>(record: &Record<'r>) -> Option<Range<'r>> {
    let (&form, to) = record.value.split_first()?;
    if record.operation != Operation::RemoveRange || form >> 4 != 0 {
        return None;
    }
    Some(Range { from: join(form, record.key)?, to: join(form >> 2, to)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::record::{self, Fields};

    #[test]
    fn round_trip_and_golden_bytes() {
        let bounds = [Bound::Unbounded, Bound::Included(&b"ab"[..]), Bound::Excluded(&b""[..])];
        for (from, to) in bounds.iter().flat_map(|from| bounds.map(|to| (*from, to))) {
            let range = Range { from, to };
            let RangeBytes { form, from, to } = RangeBytes::of(&range);
            let fields = Fields::of(Operation::RemoveRange);
            let head = fields.encode(from.len(), 1 + to.len());
            let bytes = [&head[..], from, &form, to].concat();
            assert_eq!(decode(&record::parse(&bytes).unwrap()), Some(range));
        }
        let range = Range { from: Bound::Included(b"a"), to: Bound::Excluded(b"c") };
        let RangeBytes { form, from, to } = RangeBytes::of(&range);
        let head = Fields::of(Operation::RemoveRange).encode(1, 2);
        assert_eq!([&head[..], from, &form, to].concat(), [7, 1, 2, b'a', 0b1001, b'c']);
        let wrong = record::parse(&[7, 1, 2, b'a', 0b1000, b'c']).unwrap();
        assert_eq!(decode(&wrong), None, "a key without a bound");
    }
}
