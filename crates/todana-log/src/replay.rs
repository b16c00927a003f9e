//! Giving entries back in their order, for an engine that has a checkpoint and carries out what came after it.

use crate::home::corrupt;
use crate::layout::record::{self, Record};
use crate::pins::Pins;
use crate::recovery::Recovered;
use todana_engine::Error;
use todana_record::Timestamp;

/// An entry of the log as replay gives it.
#[derive(Debug, Clone, Copy)]
pub struct Replayed<'r> {
    /// Its sequence.
    pub sequence: u64,
    /// The store's time when its frame was closed.
    pub time: Timestamp,
    /// What it says. Marks of units are given as they stand: the entries that belong together follow, and
    /// all of them are there.
    pub record: Record<'r>,
}

impl Recovered {
    /// Visits the entries after a sequence in their order, until a visit fails.
    ///
    /// # Errors
    /// [`Error::Corrupt`] where frames are damaged that a footer had stood for, and when logs with changes after
    /// that sequence are missing, or end before it: who has a checkpoint has synced the log up to it; else what
    /// a visit says.
    pub fn replay(
        &self,
        after: u64,
        visit: &mut dyn FnMut(&Replayed<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let first = self.segments.first_of_chain();
        // What it follows ended at or before the sequence, or nothing says so.
        let begins = first.map_or(self.applied, |log| log.previous.unwrap_or(0));
        if begins > after {
            let missing =
                format!("changes after {after} are missing: the oldest log follows {begins}");
            return Err(Error::Corrupt(missing));
        }
        if self.applied < after {
            let last = self
                .segments
                .logs_from(0)
                .last()
                .map_or_else(|| "the log".to_owned(), |log| log.name());
            let ends = format!("ends at {}, but there were changes up to {after}", self.applied);
            return Err(corrupt(&last, &ends));
        }
        for log in self.segments.logs_from(after) {
            let mut number = 0;
            loop {
                let pins = Pins::new();
                let Some((frame, payload)) = log.checked_frame(number, &pins)? else { break };
                number += 1;
                let (mut sequence, mut rest) = (log.id + frame.payload_start() as u64, payload);
                // What fills the end of a frame is no entry.
                while let Some(record) = record::parse(rest) {
                    if sequence > after {
                        visit(&Replayed { sequence, time: frame.time, record })?;
                    }
                    sequence += record.len as u64;
                    rest = rest.get(record.len..).unwrap_or_default();
                }
            }
        }
        Ok(())
    }
}
