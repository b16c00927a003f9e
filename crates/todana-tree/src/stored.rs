//! A record where it lies.

use todana_engine::{Absence, Access, Found, Value, View};
use todana_record::{Meta, Position, Timestamp};

/// A record as it is stored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stored<'s> {
    pub(crate) meta: Meta,
    pub(crate) value: &'s [u8],
    /// At or after its last change.
    pub(crate) sequence: u64,
}

impl<'s> Stored<'s> {
    /// As others see it.
    #[inline]
    pub(crate) fn view(&self, key: &'s [u8], incarnation: u32) -> View<'s> {
        View {
            key,
            meta: self.meta,
            value: Value::Bytes(self.value),
            position: Position { incarnation, sequence: self.sequence },
            access: Access::default(),
        }
    }
}

/// What is said of a key whose record was found, or not.
#[inline]
pub(crate) fn found<'f>(key: &'f [u8], record: Option<Stored<'f>>, now: Timestamp) -> Found<'f> {
    match record {
        Some(record) if record.meta.expiry.is_past(now) => Found::Absent(Absence::Expired),
        Some(record) => Found::Record(record.view(key, 1)),
        None => Found::Absent(Absence::Unknown),
    }
}
