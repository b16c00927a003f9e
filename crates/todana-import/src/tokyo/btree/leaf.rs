//! One leaf in memory, read record by record. Its form is in [`super`].

use crate::error::{ImportError, LeafDamage};
use crate::tokyo::number;
use crate::tokyo::records::Record;
use std::ops::Range;
use todana_record::Reader;

/// Memory that is kept for the next leaf, in bytes; more is given back.
const KEPT_LEN: usize = 64 * 1024;

/// The ids of the leaves beside one; 0 for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Links {
    pub(super) previous: u64,
    pub(super) next: u64,
}

/// A leaf, and how far it has been read. It begins as one without records.
#[derive(Debug, Default)]
pub(super) struct Leaf {
    id: u64,
    offset: u64,
    page: Vec<u8>,
    at: usize,
    key: Range<usize>,
    /// Values of the key that have not been read.
    values_left: u32,
    /// Values of the key that have been.
    values_read: u64,
}

/// Where in the page a record is.
#[derive(Debug)]
pub(super) struct Found {
    key: Range<usize>,
    value: Range<usize>,
    duplicate: u64,
}

impl Leaf {
    /// Takes a page over; the leaf before it is forgotten.
    pub(super) fn fill(&mut self, id: u64, offset: u64, page: &[u8]) -> Result<Links, ImportError> {
        *self = Leaf { id, offset, page: std::mem::take(&mut self.page), ..Leaf::default() };
        self.page.clear();
        self.page.shrink_to(KEPT_LEN.max(page.len()));
        let reserved = self.page.try_reserve_exact(page.len());
        reserved.map_err(|error| ImportError::Io { offset, source: error.into() })?;
        self.page.extend_from_slice(page);
        let links = self.links();
        links.map_err(|damage| self.broken(damage))
    }

    fn links(&mut self) -> Result<Links, LeafDamage> {
        Ok(Links { previous: self.number(number::id)?, next: self.number(number::id)? })
    }

    /// Where the next record is; `None` after the last. After an error there are none.
    pub(super) fn step(&mut self) -> Result<Option<Found>, ImportError> {
        if self.values_left == 0 && self.at == self.page.len() {
            return Ok(None);
        }
        let found = self.found();
        found.map(Some).map_err(|damage| self.broken(damage))
    }

    fn found(&mut self) -> Result<Found, LeafDamage> {
        let value = match self.values_left {
            0 => self.first_value()?,
            _ => self.further_value()?,
        };
        let duplicate = self.values_read;
        self.values_read += 1;
        Ok(Found { key: self.key.clone(), value, duplicate })
    }

    fn first_value(&mut self) -> Result<Range<usize>, LeafDamage> {
        let key_len = self.number(number::length)?;
        let value_len = self.number(number::length)?;
        let count = self.number(number::length)?;
        self.key = self.take(key_len)?;
        let value = self.take(value_len)?;
        let rest = self.rest().len();
        // Each further value has a length of at least one byte.
        if usize::try_from(count).unwrap_or(usize::MAX) > rest {
            return Err(LeafDamage::Values { count, rest });
        }
        self.values_left = count;
        self.values_read = 0;
        Ok(value)
    }

    fn further_value(&mut self) -> Result<Range<usize>, LeafDamage> {
        let len = self.number(number::length)?;
        let value = self.take(len)?;
        self.values_left -= 1;
        Ok(value)
    }

    /// The record that was found.
    pub(super) fn record(&self, found: &Found) -> Record<'_> {
        let bytes = |range: &Range<usize>| self.page.get(range.clone()).unwrap_or_default();
        Record {
            key: bytes(&found.key),
            value: bytes(&found.value),
            offset: self.offset,
            duplicate: found.duplicate,
        }
    }

    fn rest(&self) -> &[u8] {
        self.page.get(self.at..).unwrap_or_default()
    }

    fn number<T>(
        &mut self,
        decode: fn(&mut Reader<'_>) -> Result<T, number::Fault>,
    ) -> Result<T, LeafDamage> {
        let mut reader = Reader::new(self.rest());
        let number = decode(&mut reader).map_err(|fault| match fault {
            number::Fault::Short => LeafDamage::Short,
            number::Fault::TooLarge => LeafDamage::Number,
        })?;
        self.at = self.page.len() - reader.rest().len();
        Ok(number)
    }

    fn take(&mut self, len: u32) -> Result<Range<usize>, LeafDamage> {
        let rest = self.rest().len();
        let taken = usize::try_from(len).ok().filter(|taken| *taken <= rest);
        let taken = taken.ok_or(LeafDamage::PastEnd { len, rest })?;
        let start = self.at;
        self.at += taken;
        Ok(start..self.at)
    }

    /// The error for damage here. What is left of the page means nothing.
    fn broken(&mut self, damage: LeafDamage) -> ImportError {
        let at = self.at;
        self.at = self.page.len();
        self.values_left = 0;
        ImportError::Leaf { id: self.id, offset: self.offset, at, damage }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Key, value, and how many values of the key came before.
    type Read = (Vec<u8>, Vec<u8>, u64);

    fn read(page: &[u8]) -> (Vec<Read>, Result<Links, ImportError>) {
        let mut leaf = Leaf::default();
        let mut links = leaf.fill(7, 512, page);
        let mut records = Vec::new();
        while links.is_ok() {
            match leaf.step() {
                Ok(Some(found)) => {
                    let Record { key, value, duplicate, .. } = leaf.record(&found);
                    records.push((key.to_vec(), value.to_vec(), duplicate));
                }
                Ok(None) => break,
                Err(error) => links = Err(error),
            }
        }
        assert!(leaf.step().unwrap().is_none());
        (records, links)
    }

    #[track_caller]
    fn check(page: &[u8], count: usize, expected: &str) {
        let (records, outcome) = read(page);
        assert_eq!(records.len(), count);
        assert_eq!(outcome.unwrap_err().to_string(), expected);
    }

    /// As tcbmgr wrote it, with `put`, `put -dd` twice and `put -db`.
    const PAGE: &[u8] = b"\x06\x03\x02\x04\x03k3dup0\x02v3\x04dup1\x04dup2\x02\x02\x00k4v4";

    #[test]
    fn values_of_a_key_come_in_their_order() {
        let (records, links) = read(PAGE);
        assert_eq!(links.unwrap(), Links { previous: 6, next: 3 });
        let expected = [("k3", "dup0", 0), ("k3", "v3", 1), ("k3", "dup1", 2), ("k3", "dup2", 3)];
        let expected = expected.into_iter().chain([("k4", "v4", 0)]);
        let owned = |text: &str| text.as_bytes().to_vec();
        let expected: Vec<_> = expected.map(|(k, v, n)| (owned(k), owned(v), n)).collect();
        assert_eq!(records, expected);
        assert_eq!(read(b"\0\0").0, []);
        assert_eq!(read(b"\0\0\0\0\0\0\0\0").0, vec![(vec![], vec![], 0); 2]);
    }

    #[test]
    fn damage_is_named() {
        let at =
            |at: usize, what: &str| format!("leaf 7 at offset 512, byte {at} of its page: {what}");
        let short = "the page ends within a number";
        check(b"", 0, &at(0, short));
        check(b"\x01\xff", 0, &at(1, short));
        check(&[0xff; 20], 0, &at(0, "a number that does not end or is too large"));
        check(b"\0\0\x01\x01", 0, &at(4, short));
        check(b"\0\0\x05\0\0k", 0, &at(5, "a key or value of 5 bytes, but the page has 1 more"));
        check(b"\0\0\x01\x02\0kv", 0, &at(6, "a key or value of 2 bytes, but the page has 1 more"));
        let values = "3 more values of the key, but the page has 2 more bytes";
        check(b"\0\0\x01\x01\x03kv\0\0", 0, &at(7, values));
        check(
            b"\0\0\x01\x01\x02kv\0\x01",
            2,
            &at(9, "a key or value of 1 bytes, but the page has 0 more"),
        );
        for len in 2..PAGE.len() {
            let (records, outcome) = read(&PAGE[..len]);
            // Without the second key, or without any, the page is whole.
            let is_whole = [(2, 0), (24, 4)].contains(&(len, records.len()));
            assert!(records.len() < 5 && outcome.is_ok() == is_whole);
        }
    }
}
