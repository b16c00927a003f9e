//! What the engine shares with streams and snapshots, which outlive a borrow of it.

use crate::blob::{BlobReader, blob_name};
use crate::index::Index;
use crate::view::{Hit, Tables};
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use todana_engine::{Access, Error, Value, View};
use todana_log::layout::header::SegmentKind;
use todana_log::layout::record::{Operation, Record};
use todana_log::{Home, Pins, Segment};
use todana_record::{PartitionId, Position, SLOT_COUNT, slot_of};

/// See the module.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) tables: ArcSwap<Tables>,
    pub(crate) index: Arc<Index>,
    /// Highest sequence that everybody sees.
    pub(crate) applied: AtomicU64,
    /// Every change after this sequence is in the logs that are there.
    pub(crate) floor: AtomicU64,
    /// Sequences at which incarnations begin.
    pub(crate) starts: Vec<(u32, u64)>,
    pub(crate) versions: bool,
    pub(crate) partitions: u16,
    /// Sequences after which logs stay, for snapshots that are being read.
    pub(crate) pins: Mutex<Vec<u64>>,
    pub(crate) home: Home,
}

impl Shared {
    #[inline]
    pub(crate) fn position(&self, sequence: u64) -> Position {
        match self.starts.last() {
            Some(&(incarnation, first)) if first <= sequence => Position { incarnation, sequence },
            _ => self.old_position(sequence),
        }
    }

    #[cold]
    fn old_position(&self, sequence: u64) -> Position {
        let at = self.starts.partition_point(|(_, first)| *first <= sequence).saturating_sub(1);
        let incarnation = self.starts.get(at).map_or(0, |(incarnation, _)| *incarnation);
        Position { incarnation, sequence }
    }

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
            meta: hit.record.meta(hit.at, self.versions),
            value,
            position: self.position(hit.sequence()),
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
        match BlobReader::open(&self.home, reference) {
            Ok(reader) => Ok(pins.keep_other(reader)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::Corrupt(format!("{}: {error}", blob_name(reference.id)))),
        }
    }

    /// Whose a key is: slots are shared out evenly, in order.
    pub(crate) fn partition_of(&self, key: &[u8]) -> PartitionId {
        if self.partitions == 1 {
            return PartitionId(0);
        }
        let share = u32::from(slot_of(key)) * u32::from(self.partitions) / u32::from(SLOT_COUNT);
        PartitionId(u16::try_from(share).unwrap_or(0))
    }

    /// The logs from a sequence on, in order.
    pub(crate) fn logs_from(tables: &Tables, sequence: u64) -> Vec<&Arc<Segment>> {
        let is_log = |segment: &&Arc<Segment>| segment.kind == SegmentKind::Log;
        let all = tables.segments.iter().flatten().filter(is_log);
        let mut logs: Vec<_> = all.filter(|log| log.id + log.end() as u64 > sequence).collect();
        logs.sort_unstable_by_key(|log| log.id);
        logs
    }

    /// The sequence after which the logs of these tables have every change.
    pub(crate) fn floor_of(tables: &Tables) -> u64 {
        let logs = Shared::logs_from(tables, 0);
        let mut first: Option<&Arc<Segment>> = None;
        for log in logs.iter().rev() {
            if first.is_some_and(|first| first.previous != Some(log.id)) {
                break;
            }
            first = Some(log);
        }
        match first {
            Some(log) if log.previous.is_none() => 0,
            Some(log) => log.id - 1,
            None => u64::MAX,
        }
    }
}
