//! From edits to changes of the log.

use crate::index::Place;
use crate::layout::record::{Fields, Operation};
use crate::view::Hit;
use crate::writer::Change;
use todana_engine::{Access, Edit, Error, NewVersion, Payload, Put, Touch, Value, View};
use todana_record::{Meta, Position};

/// The longest value that a record holds, in bytes.
pub(crate) const VALUE_LEN_MAX: u64 = 32 << 20;

/// A record as an evaluation sees it.
pub(crate) fn view<'v>(hit: &Hit<'v>, position: Position, versions: bool) -> View<'v> {
    View {
        key: hit.record.key,
        meta: hit.record.meta(hit.at, versions),
        value: Value::Bytes(hit.record.value),
        position,
        access: Access::default(),
    }
}

/// Place and length of an entry that may be replaced.
pub(crate) fn old_of(hit: &Hit<'_>) -> (Place, usize) {
    (hit.place, hit.record.len)
}

fn check(len: u64) -> Result<(), Error> {
    match len > VALUE_LEN_MAX {
        true => Err(Error::ValueTooLarge { len, max: VALUE_LEN_MAX }),
        false => Ok(()),
    }
}

fn given(version: NewVersion) -> Option<u64> {
    match version {
        NewVersion::Next => None,
        NewVersion::Given(version) => Some(version),
    }
}

/// The change that an edit makes; `None` when nothing changes.
///
/// # Errors
/// [`Error::ValueTooLarge`].
pub(crate) fn change<'e>(
    edit: &'e Edit<'_>,
    key: &'e [u8],
    hash: u64,
    current: Option<&View<'e>>,
) -> Result<Option<Change<'e>>, Error> {
    let stored = |meta: &Meta, version, value| {
        Some(Change { fields: Fields::put(meta), version, key, value, hash })
    };
    let bytes = |view: &View<'e>| view.value.as_bytes().unwrap_or_default();
    match (edit, current) {
        (Edit::Put(put), _) => {
            check(put.value.len())?;
            let value = match &put.value {
                Payload::Bytes(bytes) => [*bytes, &[]],
                Payload::Joined(first, second) => [*first, *second],
                Payload::Staged(staged) => [staged.as_bytes(), &[]],
            };
            Ok(stored(&meta_of(put), given(put.version), value))
        }
        (Edit::Append { bytes: added, expiry, version }, Some(view)) => {
            check(view.value.len() + added.len() as u64)?;
            let expiry = expiry.unwrap_or(view.meta.expiry);
            let meta = Meta { expiry, stale: false, won: false, ..view.meta };
            Ok(stored(&meta, given(*version), [bytes(view), added]))
        }
        (Edit::Touch(touch), Some(view)) if changes(touch) => {
            let meta = Meta {
                expiry: touch.expiry.unwrap_or(view.meta.expiry),
                stale: touch.stale.unwrap_or(view.meta.stale),
                won: touch.won.unwrap_or(view.meta.won),
                ..view.meta
            };
            let version = touch.version.map_or(Some(view.meta.version), given);
            Ok(stored(&meta, version, [bytes(view), &[]]))
        }
        (Edit::Remove, Some(_)) => {
            let fields = Fields::of(Operation::Remove);
            Ok(Some(Change { fields, version: None, key, value: [&[], &[]], hash }))
        }
        _ => Ok(None),
    }
}

fn meta_of(put: &Put<'_>) -> Meta {
    Meta {
        flags: put.flags,
        expiry: put.expiry,
        version: 0,
        kind: put.kind,
        stale: put.stale,
        won: put.won,
    }
}

fn changes(touch: &Touch) -> bool {
    let Touch { expiry, stale, won, version, fetch: _ } = touch;
    expiry.is_some() || stale.is_some() || won.is_some() || version.is_some()
}
