//! The entries of the log that only a tree has, by their number: 1 removes a range. Where that begins is the
//! entry's key, and its value is a byte of form (bits 0-1 what the beginning is, bits 2-3 the end: 0 none, 1 included, 2 excluded), then where
//! it ends.

use std::ops::Bound;
use todana_engine::{Effect, Error, Range};
use todana_log::layout::record::{Fields, Operation, Record};
use todana_log::layout::reference::Reference;
use todana_log::{Change, Meaning, Pins};
use todana_record::PartitionId;

/// Number of the entry that removes a range.
const REMOVE_RANGE: u64 = 1;

/// See the module.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RangeBytes<'r> {
    /// The byte of form.
    form: [u8; 1],
    /// Where it begins.
    from: &'r [u8],
    /// Where it ends.
    to: &'r [u8],
}

fn split(bound: Bound<&[u8]>) -> (u8, &[u8]) {
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
    pub(crate) fn of(range: &Range<'r>) -> RangeBytes<'r> {
        let ((from_form, from), (to_form, to)) = (split(range.from), split(range.to));
        RangeBytes { form: [from_form | to_form << 2], from, to }
    }

    /// The entry that removes it.
    pub(crate) fn entry(&'r self) -> Change<'r> {
        let fields = Fields { number: REMOVE_RANGE, ..Fields::of(Operation::Own) };
        Change { key: self.from, value: [&self.form, self.to], ..Change::of_store(fields) }
    }
}

/// The range that an entry removes; `None` when it is another, or its value means nothing.
pub(crate) fn decode<'r>(record: &Record<'r>) -> Option<Range<'r>> {
    let (&form, to) = record.value.split_first()?;
    let is_one = record.operation == Operation::Own && record.number == REMOVE_RANGE;
    if !is_one || form >> 4 != 0 {
        return None;
    }
    Some(Range { from: join(form, record.key)?, to: join(form >> 2, to)? })
}

/// What the entries of a tree mean to its stream.
#[derive(Debug)]
pub(crate) struct TreeMeaning;

impl Meaning for TreeMeaning {
    fn long_value(&self, _: Reference) -> Result<Option<Vec<u8>>, Error> {
        Ok(None)
    }

    fn own<'e>(
        &self,
        entry: &Record<'e>,
        _: u64,
        _: PartitionId,
        _: &'e Pins,
    ) -> Result<Option<Effect<'e>>, Error> {
        match decode(entry) {
            Some(range) => Ok(Some(Effect::RemoveRange { range })),
            None => Err(Error::Corrupt("the log has an entry that means nothing".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use todana_log::layout::record;

    fn bytes_of(range: &Range<'_>) -> Vec<u8> {
        let bounds = RangeBytes::of(range);
        let entry = bounds.entry();
        let value = entry.value.concat();
        let head = entry.fields.encode(entry.key.len(), value.len());
        [&head[..], entry.key, &value].concat()
    }

    #[test]
    fn round_trip_and_golden_bytes() {
        let bounds = [Bound::Unbounded, Bound::Included(&b"ab"[..]), Bound::Excluded(&b""[..])];
        for (from, to) in bounds.iter().flat_map(|from| bounds.map(|to| (*from, to))) {
            let range = Range { from, to };
            assert_eq!(decode(&record::parse(&bytes_of(&range)).unwrap()), Some(range));
        }
        let range = Range { from: Bound::Included(b"a"), to: Bound::Excluded(b"c") };
        assert_eq!(bytes_of(&range), [7, 1, 2, 1, b'a', 0b1001, b'c']);
        let wrong = record::parse(&[7, 1, 2, 1, b'a', 0b1000, b'c']).unwrap();
        assert_eq!(decode(&wrong), None, "a key without a bound");
        let other = record::parse(&[7, 1, 2, 2, b'a', 0b1001, b'c']).unwrap();
        assert_eq!(decode(&other), None, "another number");
    }
}
