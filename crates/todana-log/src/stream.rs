//! The update stream: the log, read as effects.

use crate::layout::header::HEADER_LEN;
use crate::layout::record::{self, Operation, Record};
use crate::layout::reference::Reference;
use crate::pins::Pins;
use crate::segment::Segment;
use crate::state::LogState;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use todana_engine::{Effect, Error, StreamError, UpdateStream};
use todana_record::{PartitionId, Position, Timestamp};

/// What an engine knows of its entries that the log does not: for its stream.
pub trait Meaning: Send {
    /// A long value, whole, since effects have theirs in one piece. `None` when it is gone, since a later
    /// change of the stream has replaced it.
    ///
    /// # Errors
    /// [`Error::Corrupt`].
    fn long_value(&self, reference: Reference) -> Result<Option<Vec<u8>>, Error>;

    /// The effect of an entry of the engine's own, with its sequence, in a partition; `None` where it has
    /// none.
    ///
    /// # Errors
    /// [`Error::Corrupt`].
    fn own<'e>(
        &self,
        entry: &Record<'e>,
        sequence: u64,
        partition: PartitionId,
        pins: &'e Pins,
    ) -> Result<Option<Effect<'e>>, Error> {
        let _ = (entry, sequence, partition, pins);
        Ok(None)
    }
}

/// A place in the log, and whose changes are read.
pub struct LogStream {
    state: Arc<LogState>,
    meaning: Box<dyn Meaning>,
    partition: PartitionId,
    /// The log that is read, and the byte where the next entry is, or the frame that holds it begins.
    log: Arc<Segment>,
    at: usize,
}

impl LogStream {
    /// The changes of a partition after a position.
    ///
    /// # Errors
    /// [`StreamError::TooOld`] when they are not all there, also when the position is one that did not
    /// survive a crash.
    pub fn open(
        state: Arc<LogState>,
        partition: PartitionId,
        after: Position,
        meaning: Box<dyn Meaning>,
    ) -> Result<LogStream, StreamError> {
        // In this order: the floor rises before a log leaves the tables.
        let segments = state.segments.load_full();
        let floor = state.floor.load(Ordering::Acquire);
        let too_old = StreamError::TooOld { oldest: state.position(floor) };
        let sequence = after.sequence;
        let is_known = after == Position::START || state.position(sequence) == after;
        let logs = segments.logs_from(floor.max(sequence));
        let Some(&log) = logs.first().filter(|_| is_known && sequence >= floor) else {
            return Err(too_old);
        };
        let at = match sequence.checked_sub(log.id) {
            // Its own entry is the last one that the reader has.
            Some(offset) => {
                let offset = usize::try_from(offset).unwrap_or(usize::MAX);
                let pins = Pins::new();
                let bytes = log.bytes_from(crate::layout::narrow(offset), &pins)?;
                match record::parse(bytes).filter(|_| offset >= HEADER_LEN) {
                    Some(entry) => offset + entry.len,
                    None => return Err(too_old),
                }
            }
            // The last change before the logs that are there; anything else is no position of ours.
            None if sequence == floor => HEADER_LEN,
            None => return Err(too_old),
        };
        let log = log.clone();
        Ok(LogStream { state, meaning, partition, log, at })
    }

    /// Goes on to the next log; `false` when there is none yet.
    fn go_on(&mut self) -> Result<bool, StreamError> {
        let segments = self.state.segments.load_full();
        let logs = segments.logs_from(self.log.id);
        let mut younger = logs.iter().filter(|log| log.id > self.log.id);
        match younger.next() {
            None => Ok(false),
            Some(next) if next.previous == Some(self.log.id) => {
                // Nothing was appended to this one after the next was begun.
                if self.log.frame_at(self.at).is_none() {
                    (self.log, self.at) = ((*next).clone(), HEADER_LEN);
                }
                Ok(true)
            }
            Some(_) => {
                let floor = self.state.floor.load(Ordering::Acquire);
                Err(StreamError::TooOld { oldest: self.state.position(floor) })
            }
        }
    }

    fn is_ours(&self, key: &[u8]) -> bool {
        self.state.partition_of(key) == self.partition
    }

    fn value_of<'v>(&self, entry: &Record<'v>, pins: &'v Pins) -> Result<Option<&'v [u8]>, Error> {
        match entry.blob() {
            None => Ok(Some(entry.value)),
            Some(reference) => {
                let value = self.meaning.long_value(reference)?;
                Ok(value.map(|value| pins.keep(value.into())))
            }
        }
    }

    fn effect<'e>(
        &self,
        entry: &Record<'e>,
        sequence: u64,
        pins: &'e Pins,
    ) -> Result<Option<Effect<'e>>, Error> {
        Ok(match entry.operation {
            Operation::Put | Operation::PutBlob if self.is_ours(entry.key) => {
                self.value_of(entry, pins)?.map(|value| Effect::Put {
                    key: entry.key,
                    meta: entry.meta(sequence, self.state.versions),
                    value,
                })
            }
            Operation::Remove if self.is_ours(entry.key) => Some(Effect::Remove { key: entry.key }),
            // One that says only what was flushed before is no change.
            Operation::Flush if entry.number == sequence => {
                Some(Effect::Flush { cut: self.state.position(entry.number) })
            }
            Operation::FlushDue if entry.flags == 0 => Some(Effect::FlushDue { at: entry.expiry }),
            Operation::Own => self.meaning.own(entry, sequence, self.partition, pins)?,
            Operation::Flush | Operation::FlushDue => None,
            Operation::Put | Operation::PutBlob | Operation::Remove | Operation::Unit => None,
        })
    }
}

impl UpdateStream for LogStream {
    fn next(
        &mut self,
        count: usize,
        visit: &mut dyn FnMut(Position, Timestamp, &Effect<'_>),
    ) -> Result<usize, StreamError> {
        let applied = self.state.applied.load(Ordering::Acquire);
        let mut visited = 0;
        while visited < count {
            let log = self.log.clone();
            let Some(frame) = log.frame_at(self.at) else {
                if self.go_on()? {
                    continue;
                }
                break;
            };
            let mut at = self.at.max(frame.payload_start);
            let pins = Pins::new();
            let bytes = log.bytes_from(crate::layout::narrow(at), &pins)?;
            let mut rest = bytes.get(..bytes.len().min(frame.end - at)).unwrap_or_default();
            while visited < count {
                let Some(entry) = record::parse(rest) else {
                    // What fills the frame up.
                    at = frame.end;
                    break;
                };
                let mut sequence = log.id + at as u64;
                let mut len = entry.len;
                let mut effect = self.effect(&entry, sequence, &pins)?;
                if entry.operation == Operation::Unit {
                    let mut effects = Vec::new();
                    for _ in 0..entry.number {
                        let part = rest.get(len..).and_then(record::parse);
                        let Some(part) = part else { break };
                        sequence = log.id + (at + len) as u64;
                        effects.extend(self.effect(&part, sequence, &pins)?);
                        len += part.len;
                    }
                    effect = (!effects.is_empty()).then_some(Effect::Unit(effects));
                }
                if sequence > applied {
                    self.at = at;
                    return Ok(visited);
                }
                if let Some(effect) = effect {
                    visit(self.state.position(sequence), frame.time, &effect);
                    visited += 1;
                }
                at += len;
                rest = rest.get(len..).unwrap_or_default();
            }
            self.at = at;
        }
        Ok(visited)
    }
}
