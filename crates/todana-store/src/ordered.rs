//! What a store can do besides whose keys are in order: ranges, moments, cursors.

use crate::store::{Error, Record, Store, bytes_of};
use std::collections::VecDeque;
use std::ops::{Bound, ControlFlow};
use todana_engine::{Direction, Found, Look, Ordered, Range, View, after_prefix};
use todana_record::Meta;

/// Records that a cursor reads ahead.
const AHEAD: usize = 64;

impl Store {
    fn ordered(&self) -> Result<&dyn Ordered, Error> {
        self.engine().ordered().ok_or(Error::Engine(UNORDERED))
    }

    /// The records as they are now, to be read for as long as it is kept, whatever is changed meanwhile.
    ///
    /// # Errors
    /// On a store whose keys are in no order.
    pub fn moment(&self) -> Result<Moment, Error> {
        Ok(Moment { moment: self.ordered()?.moment(), store: self.clone() })
    }

    /// Visits the records of a range in order, as they are now; stops when `visit` gives `false`.
    ///
    /// # Errors
    /// On a store whose keys are in no order; what the engine meets.
    pub fn for_each_in(
        &self,
        range: &Range<'_>,
        direction: Direction,
        visit: impl FnMut(&View<'_>) -> bool,
    ) -> Result<(), Error> {
        self.moment()?.for_each_in(range, direction, visit)
    }

    /// Visits the records whose keys begin with a prefix, as [`for_each_in`](Store::for_each_in).
    ///
    /// # Errors
    /// As [`for_each_in`](Store::for_each_in).
    pub fn for_each_with_prefix(
        &self,
        prefix: &[u8],
        direction: Direction,
        visit: impl FnMut(&View<'_>) -> bool,
    ) -> Result<(), Error> {
        let after = after_prefix(prefix);
        let to = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        self.for_each_in(&Range { from: Bound::Included(prefix), to }, direction, visit)
    }

    /// Number of records in a range now, ended ones that still take space included; it is not walked through.
    ///
    /// # Errors
    /// On a store whose keys are in no order.
    pub fn count_in(&self, range: &Range<'_>) -> Result<u64, Error> {
        Ok(self.ordered()?.count(range))
    }

    /// Removes all records of a range as one change; their values are not read.
    ///
    /// # Errors
    /// On a store whose keys are in no order; what the engine meets.
    pub fn delete_range(&self, range: &Range<'_>) -> Result<(), Error> {
        let applied = self.ordered()?.remove_range(range, self.now())?;
        self.wait_for(applied.position)
    }

    /// A cursor, which stands nowhere yet.
    ///
    /// # Errors
    /// On a store whose keys are in no order.
    pub fn cursor(&self) -> Result<StoreCursor, Error> {
        let moment = self.moment()?;
        Ok(StoreCursor { moment, at: None, ahead: VecDeque::new(), direction: Direction::Forward })
    }
}

const UNORDERED: todana_engine::Error = todana_engine::Error::Unsupported("keep its keys in order");

/// The records of a store as they were at one moment.
pub struct Moment {
    moment: Box<dyn todana_engine::Moment>,
    store: Store,
}

impl Moment {
    /// The record that a key had.
    ///
    /// # Errors
    /// What the engine meets.
    pub fn get(&self, key: &[u8]) -> Result<Option<Record>, Error> {
        let mut result = Ok(None);
        self.moment.get(key, self.store.now(), &mut |found| {
            result = match found {
                Found::Record(view) => copy(&view).map(Some),
                Found::Absent(_) => Ok(None),
                Found::Pending(_) => Err(Error::WouldWait),
                Found::Failed(error) => Err(error.into()),
            };
            Look::Peeked
        });
        result
    }

    /// Visits the records of a range in order; stops when `visit` gives `false`.
    ///
    /// # Errors
    /// What the engine meets.
    pub fn for_each_in(
        &self,
        range: &Range<'_>,
        direction: Direction,
        mut visit: impl FnMut(&View<'_>) -> bool,
    ) -> Result<(), Error> {
        self.moment.walk(range, direction, self.store.now(), &mut |view| match visit(view) {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        })?;
        Ok(())
    }
}

fn copy(view: &View<'_>) -> Result<Record, Error> {
    Ok(Record { value: bytes_of(&view.value)?.into_owned(), meta: view.meta })
}

/// A place in the order of keys. It sees the moment when it was made, [renewed](StoreCursor::renew), or last
/// wrote; it stays at its key whatever happens to that.
pub struct StoreCursor {
    moment: Moment,
    at: Option<(Vec<u8>, Record)>,
    /// What follows, on the way of the last step.
    ahead: VecDeque<(Vec<u8>, Record)>,
    direction: Direction,
}

impl StoreCursor {
    /// The key where it stands.
    pub fn key(&self) -> Option<&[u8]> {
        self.at.as_ref().map(|(key, _)| &key[..])
    }

    /// The value there.
    pub fn value(&self) -> Option<&[u8]> {
        self.at.as_ref().map(|(_, record)| &record.value[..])
    }

    /// The metadata there.
    pub fn meta(&self) -> Option<&Meta> {
        self.at.as_ref().map(|(_, record)| &record.meta)
    }

    /// Goes to the first record; tells whether there is one.
    ///
    /// # Errors
    /// What the engine meets.
    pub fn first(&mut self) -> Result<bool, Error> {
        self.go(&Range::ALL, Direction::Forward)
    }

    /// Goes to the last record; tells whether there is one.
    ///
    /// # Errors
    /// What the engine meets.
    pub fn last(&mut self) -> Result<bool, Error> {
        self.go(&Range::ALL, Direction::Backward)
    }

    /// Goes to a key, or to the first behind it; tells whether there is one.
    ///
    /// # Errors
    /// What the engine meets.
    pub fn jump(&mut self, key: &[u8]) -> Result<bool, Error> {
        self.go(&Range { from: Bound::Included(key), to: Bound::Unbounded }, Direction::Forward)
    }

    /// Goes to a key, or to the last before it; tells whether there is one.
    ///
    /// # Errors
    /// What the engine meets.
    pub fn jump_back(&mut self, key: &[u8]) -> Result<bool, Error> {
        self.go(&Range { from: Bound::Unbounded, to: Bound::Included(key) }, Direction::Backward)
    }

    /// Goes to the next record, to the first if it stands nowhere; tells whether there is one. Past the last
    /// it stands nowhere.
    ///
    /// # Errors
    /// What the engine meets.
    #[expect(clippy::should_implement_trait, reason = "it goes on, and gives no items")]
    pub fn next(&mut self) -> Result<bool, Error> {
        self.step(Direction::Forward)
    }

    /// Goes to the record before, to the last if it stands nowhere; tells whether there is one.
    ///
    /// # Errors
    /// What the engine meets.
    pub fn previous(&mut self) -> Result<bool, Error> {
        self.step(Direction::Backward)
    }

    /// Stores another value for the key where it stands; tells whether it stands anywhere.
    ///
    /// # Errors
    /// Limits and space.
    pub fn put(&mut self, value: &[u8]) -> Result<bool, Error> {
        let Some((key, record)) = &mut self.at else { return Ok(false) };
        record.meta.version = self.moment.store.put(key, value, &record.meta)?;
        record.value = value.to_vec();
        self.renew()?;
        Ok(true)
    }

    /// Removes the record where it stands, and goes on to the next; tells whether it stood anywhere.
    ///
    /// # Errors
    /// What the engine meets.
    pub fn delete(&mut self) -> Result<bool, Error> {
        let Some((key, _)) = &self.at else { return Ok(false) };
        self.moment.store.delete(key)?;
        self.renew()?;
        self.next()?;
        Ok(true)
    }

    /// Sees what is there now from here on; it stays where it stands.
    ///
    /// # Errors
    /// What the engine meets.
    pub fn renew(&mut self) -> Result<(), Error> {
        self.ahead.clear();
        self.moment = self.moment.store.moment()?;
        Ok(())
    }

    fn step(&mut self, direction: Direction) -> Result<bool, Error> {
        if self.direction == direction
            && self.at.is_some()
            && let Some(next) = self.ahead.pop_front()
        {
            self.at = Some(next);
            return Ok(true);
        }
        let last = self.at.take().map(|(key, _)| key);
        let range = match (last.as_deref(), direction) {
            (None, _) => Range::ALL,
            (Some(key), Direction::Forward) => {
                Range { from: Bound::Excluded(key), to: Bound::Unbounded }
            }
            (Some(key), Direction::Backward) => {
                Range { from: Bound::Unbounded, to: Bound::Excluded(key) }
            }
        };
        self.go(&range, direction)
    }

    /// Goes to the first record of a range on a way, and reads some ahead.
    fn go(&mut self, range: &Range<'_>, direction: Direction) -> Result<bool, Error> {
        // Who steps on will do so more than once; who jumps may not.
        let wanted = if self.direction == direction && !self.ahead.is_empty() { AHEAD } else { 4 };
        self.direction = direction;
        self.ahead.clear();
        let (ahead, mut failure) = (&mut self.ahead, None);
        self.moment.for_each_in(range, direction, |view| match copy(view) {
            Ok(record) => {
                ahead.push_back((view.key.to_vec(), record));
                ahead.len() < wanted
            }
            Err(error) => {
                failure = Some(error);
                false
            }
        })?;
        self.at = self.ahead.pop_front();
        match failure {
            Some(error) if self.at.is_none() => Err(error),
            _ => Ok(self.at.is_some()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::open;

    fn filled() -> Store {
        let store = open("+").unwrap();
        for n in 0..1_000 {
            store.set(format!("{n:04}").as_bytes(), format!("value {n}").as_bytes()).unwrap();
        }
        store
    }

    fn keys(store: &Store, from: Bound<&str>, to: Bound<&str>, way: Direction) -> Vec<String> {
        let range = Range { from: from.map(str::as_bytes), to: to.map(str::as_bytes) };
        let mut keys = Vec::new();
        store
            .for_each_in(&range, way, |view| {
                keys.push(String::from_utf8_lossy(view.key).into_owned());
                true
            })
            .unwrap();
        keys
    }

    #[test]
    fn ranges_are_walked_counted_and_removed() {
        use Bound::{Excluded, Included, Unbounded};
        let store = filled();
        let forward = |from, to| keys(&store, from, to, Direction::Forward);
        assert_eq!(forward(Included("0998"), Unbounded), ["0998", "0999"]);
        assert_eq!(forward(Excluded("0100"), Included("0102")), ["0101", "0102"]);
        let back = keys(&store, Unbounded, Excluded("0002"), Direction::Backward);
        assert_eq!(back, ["0001", "0000"]);
        let mut seen = 0;
        let visit = |view: &View<'_>| {
            seen += u32::from(view.key.starts_with(b"01"));
            seen < 50
        };
        store.for_each_with_prefix(b"01", Direction::Backward, visit).unwrap();
        assert_eq!(seen, 50);
        let range = Range { from: Included(b"0100"), to: Excluded(b"0900") };
        assert_eq!(store.count_in(&range).unwrap(), 800);
        let moment = store.moment().unwrap();
        store.delete_range(&range).unwrap();
        assert_eq!((store.count_in(&range).unwrap(), store.len()), (0, 200));
        assert_eq!(moment.get(b"0500").unwrap().unwrap().value, b"value 500");
        assert_eq!(store.get(b"0500").unwrap(), None);
    }

    #[test]
    fn a_cursor_goes_both_ways_and_writes() {
        let store = filled();
        let mut cursor = store.cursor().unwrap();
        assert!(!cursor.put(b"nowhere").unwrap() && cursor.key().is_none());
        let mut count = 0;
        while cursor.next().unwrap() {
            assert_eq!(cursor.key().unwrap(), format!("{count:04}").as_bytes());
            count += 1;
        }
        assert_eq!((count, cursor.key()), (1_000, None));
        assert!(cursor.last().unwrap() && !cursor.next().unwrap());
        assert!(cursor.jump(b"0500x").unwrap());
        assert_eq!(cursor.key(), Some(&b"0501"[..]));
        assert!(cursor.jump_back(b"0500x").unwrap());
        assert_eq!((cursor.key(), cursor.value()), (Some(&b"0500"[..]), Some(&b"value 500"[..])));
        assert!(cursor.next().unwrap() && cursor.next().unwrap() && cursor.previous().unwrap());
        assert_eq!(cursor.key(), Some(&b"0501"[..]));
        assert!(cursor.put(b"new").unwrap());
        assert_eq!((cursor.value(), cursor.meta().unwrap().flags), (Some(&b"new"[..]), 0));
        assert_eq!(
            store.get(b"0501").unwrap().unwrap().meta.version,
            cursor.meta().unwrap().version
        );
        assert!(cursor.delete().unwrap());
        assert_eq!((cursor.key(), store.get(b"0501").unwrap()), (Some(&b"0502"[..]), None));
        store.set(b"0502a", b"later").unwrap();
        assert!(cursor.next().unwrap());
        assert_eq!(cursor.key(), Some(&b"0503"[..]), "it sees its own moment");
        cursor.renew().unwrap();
        assert!(cursor.previous().unwrap());
        assert_eq!(cursor.key(), Some(&b"0502a"[..]));
        assert!(cursor.first().unwrap() && !cursor.previous().unwrap() && cursor.key().is_none());
        assert!(!cursor.jump(b"z").unwrap());
    }

    #[test]
    fn a_store_without_order_says_so() {
        let store = open("*").unwrap();
        let error = store.cursor().err().unwrap().to_string();
        assert_eq!(error, "this engine cannot keep its keys in order");
    }
}
