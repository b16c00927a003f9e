//! What the engine shares with streams and snapshots, which outlive a borrow of it.

use crate::blob::{BlobReader, blob_name};
use crate::index::Index;
use crate::view::Hit;
use std::sync::Arc;
use todana_engine::{Access, Error, Value, View};
use todana_log::layout::record::{Operation, Record};
use todana_log::{LogState, Pins};

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) log: Arc<LogState>,
    pub(crate) index: Arc<Index>,
}

impl Shared {
    /// A record as others see it; `None` when its value's blob is gone, since it has changed meanwhile.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when the blob cannot be opened.
    #[inline]
    pub(crate) fn view<'v>(
        &self,
        hit: &Hit<'v>,
        pins: &'v Pins,
    ) -> Result<Option<View<'v>>, Error> {
        let value = match hit.record.operation {
            Operation::PutBlob => match self.blob(&hit.record, pins)? {
                Some(reader) => Value::Reader(reader),
                None => return Ok(None),
            },
            _ => Value::Bytes(hit.record.value),
        };
        Ok(Some(View {
            key: hit.record.key,
            meta: hit.record.meta(hit.at, self.log.versions),
            value,
            position: self.log.position(hit.sequence()),
            access: Access::default(),
        }))
    }

    #[cold]
    fn blob<'v>(
        &self,
        record: &Record<'_>,
        pins: &'v Pins,
    ) -> Result<Option<&'v BlobReader>, Error> {
        let Some(reference) = record.blob() else { return Ok(None) };
        match BlobReader::open(&self.log.home, reference) {
            Ok(reader) => Ok(pins.keep_other(reader)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::Corrupt(format!("{}: {error}", blob_name(reference.id)))),
        }
    }
}
