//! From edits to changes of the log.

use crate::blob::{BlobWriter, write_blob};
use crate::index::Place;
use crate::view::Hit;
use todana_engine::{Edit, Error, NewVersion, Payload, Put, Value, View};
use todana_log::layout::record::{Fields, Operation};
use todana_log::layout::reference::Reference;
use todana_log::{Change, Home};
use todana_record::Meta;

/// The longest value, in bytes.
pub(crate) const VALUE_LEN_MAX: u64 = u32::MAX as u64;
/// The longest value that stands in its record; others have a blob of their own.
const INLINE_LEN_MAX: u64 = 32 << 20;

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

fn stored<'e>(
    meta: &Meta,
    version: Option<u64>,
    key: &'e [u8],
    value: [&'e [u8]; 2],
    hash: u64,
) -> Change<'e> {
    Change { fields: Fields::put(meta), version, key, value, blob: None, hash }
}

fn with_blob<'e>(
    meta: &Meta,
    version: Option<u64>,
    key: &'e [u8],
    blob: Reference,
    hash: u64,
) -> Change<'e> {
    let fields = Fields { operation: Operation::PutBlob, ..Fields::put(meta) };
    Change { fields, version, key, value: [&[], &[]], blob: Some(blob), hash }
}

/// The change that a put makes.
///
/// # Errors
/// [`Error::ValueTooLarge`]; of a long value, what its blob meets.
#[inline]
pub(crate) fn put<'e>(
    home: &Home,
    put: &'e mut Put<'_>,
    key: &'e [u8],
    hash: u64,
) -> Result<Change<'e>, Error> {
    let (meta, version) = (put.meta(), given(put.version));
    let value: [&[u8]; 2] = match &mut put.value {
        Payload::Bytes(bytes) => [*bytes, &[]],
        Payload::Joined(first, second) => [*first, *second],
        Payload::Staged(staged) => {
            check(staged.len())?;
            staged.finish()?;
            if let Some(spilled) = staged.spilled() {
                let blob: &BlobWriter = spilled.as_any().downcast_ref().ok_or(ANOTHERS)?;
                return Ok(with_blob(&meta, version, key, blob.take(), hash));
            }
            [staged.as_bytes(), &[]]
        }
    };
    let len = value[0].len() as u64 + value[1].len() as u64;
    if len > INLINE_LEN_MAX {
        check(len)?;
        let blob = write_blob(home, Value::Bytes(value[0]), value[1])?;
        return Ok(with_blob(&meta, version, key, blob, hash));
    }
    Ok(stored(&meta, version, key, value, hash))
}

/// The change that an edit of a record makes; `None` when nothing changes. `hit` is the record where it
/// lies.
///
/// # Errors
/// [`Error::ValueTooLarge`]; of a long value, what its blob meets.
pub(crate) fn change<'e>(
    home: &Home,
    edit: &'e mut Edit<'_>,
    key: &'e [u8],
    hash: u64,
    current: Option<&View<'e>>,
    hit: Option<&Hit<'e>>,
) -> Result<Option<Change<'e>>, Error> {
    match (edit, current) {
        (Edit::Put(put), _) => self::put(home, put, key, hash).map(Some),
        (Edit::Append { bytes: added, expiry, version }, Some(view)) => {
            let len = view.value.len() + added.len() as u64;
            check(len)?;
            let expiry = expiry.unwrap_or(view.meta.expiry);
            let meta = Meta { expiry, stale: false, won: false, ..view.meta };
            match view.value {
                Value::Bytes(bytes) if len <= INLINE_LEN_MAX => {
                    Ok(Some(stored(&meta, given(*version), key, [bytes, added], hash)))
                }
                old => {
                    let blob = write_blob(home, old, added)?;
                    Ok(Some(with_blob(&meta, given(*version), key, blob, hash)))
                }
            }
        }
        (Edit::Touch(touch), Some(view)) if touch.changes() => {
            let meta = touch.meta(&view.meta);
            let version = touch.version.map_or(Some(view.meta.version), given);
            match hit.and_then(|hit| hit.record.blob()) {
                // The same blob.
                Some(blob) => Ok(Some(with_blob(&meta, version, key, blob, hash))),
                None => {
                    let bytes = view.value.as_bytes().unwrap_or_default();
                    Ok(Some(stored(&meta, version, key, [bytes, &[]], hash)))
                }
            }
        }
        (Edit::Remove, Some(_)) => {
            let fields = Fields::of(Operation::Remove);
            let value = [&[][..], &[]];
            Ok(Some(Change { fields, version: None, key, value, blob: None, hash }))
        }
        _ => Ok(None),
    }
}

/// A staged value that another store has made.
const ANOTHERS: Error = Error::Unsupported("take a value that was staged by another store");
