//! Counting replies with as little parsing as will do.

use memchr::memchr;

use crate::keys::Keys;
use crate::parts::Dialect;
use crate::request::Batch;

/// Bytes of the longest line that is taken for a reply.
const LINE_MAX_BYTES: usize = 2048;
const BINARY_HEADER_BYTES: usize = 24;

/// What replies said, summed up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) hits: u64,
    pub(crate) misses: u64,
    pub(crate) stored: u64,
    pub(crate) errors: u64,
}

/// Counts the replies to one batch after the other.
///
/// Give it what arrived with [`Replies::feed`]; it takes whole lines and headers, and values in any
/// pieces. What it did not take must be given again, with more behind it.
#[derive(Debug)]
pub(crate) struct Replies {
    dialect: Dialect,
    keys_per_get: usize,
    /// Bytes of a value, and of what ends it, still to come.
    skip: usize,
    /// Replies that end a request (quiet dialects: that end the batch) still to come.
    awaited: usize,
    /// Keys found by the request that is being answered (quiet dialects: by the batch; RESP:
    /// keys found or missing).
    hits: usize,
    errors: usize,
    /// First slot of the request that is being answered, and the first not yet accounted for.
    request_slot: usize,
    slot: usize,
    /// What the replies to the current batch said so far.
    pub(crate) tally: Tally,
    /// The first line that was an error, kept until taken.
    pub(crate) first_error: Option<String>,
    /// Keys that were asked for and not there; filled only when the batch has slots.
    pub(crate) missed: Vec<u64>,
}

/// Bytes that are no reply to what was asked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unexpected(pub(crate) String);

impl Replies {
    pub(crate) fn new(dialect: Dialect, keys_per_get: usize) -> Self {
        Self {
            dialect,
            keys_per_get,
            skip: 0,
            awaited: 0,
            hits: 0,
            errors: 0,
            request_slot: 0,
            slot: 0,
            tally: Tally::default(),
            first_error: None,
            missed: Vec::new(),
        }
    }

    /// Expects the replies to `batch` next; those to the batch before must be done.
    pub(crate) fn expect(&mut self, batch: &Batch) {
        debug_assert!(self.is_done(), "a batch at a time");
        self.awaited = if self.dialect.is_quiet() { 1 } else { batch.requests };
        if self.dialect == Dialect::BinaryQuiet {
            self.awaited += batch.sets;
        }
        self.hits = 0;
        self.errors = 0;
        self.request_slot = 0;
        self.slot = 0;
        self.tally = Tally::default();
        self.missed.clear();
    }

    /// Whether all replies to the batch were taken.
    pub(crate) fn is_done(&self) -> bool {
        self.awaited == 0 && self.skip == 0
    }

    /// Replies still to come.
    pub(crate) fn awaited(&self) -> usize {
        self.awaited
    }

    /// Takes as many of `bytes` as make whole pieces and returns how many that were.
    pub(crate) fn feed(
        &mut self,
        bytes: &[u8],
        batch: &Batch,
        keys: &Keys,
    ) -> Result<usize, Unexpected> {
        let mut at = 0;
        loop {
            let skipped = self.skip.min(bytes.len() - at);
            self.skip -= skipped;
            at += skipped;
            let rest = &bytes[at..];
            if rest.is_empty() {
                return Ok(at);
            }
            if self.awaited == 0 {
                return Err(unexpected(rest));
            }
            let taken = match self.dialect {
                Dialect::Text | Dialect::Meta | Dialect::MetaQuiet | Dialect::Resp => {
                    let Some(end) = memchr(b'\n', rest) else {
                        return if rest.len() > LINE_MAX_BYTES {
                            Err(unexpected(rest))
                        } else {
                            Ok(at)
                        };
                    };
                    let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
                    match self.dialect {
                        Dialect::Text => self.text_line(line, batch, keys)?,
                        Dialect::Resp => self.resp_line(line, batch)?,
                        _ => self.meta_line(line, batch)?,
                    }
                    end + 1
                }
                Dialect::Binary | Dialect::BinaryQuiet => {
                    let Some(header) = rest.first_chunk() else { return Ok(at) };
                    self.binary_header(header, batch)?;
                    BINARY_HEADER_BYTES
                }
            };
            at += taken;
        }
    }

    fn text_line(&mut self, line: &[u8], batch: &Batch, keys: &Keys) -> Result<(), Unexpected> {
        if line.starts_with(b"VALUE ") {
            self.skip = last_number(line).ok_or_else(|| unexpected(line))? + 2;
            self.hits += 1;
            self.tally.hits += 1;
            if !batch.slots.is_empty() {
                self.hit_key(keys.parse(&line[6..]), batch);
            }
            return Ok(());
        }
        self.awaited -= 1;
        match line {
            b"END" => {
                self.tally.misses += self.keys_per_get.saturating_sub(self.hits) as u64;
                self.end_get(batch);
            }
            b"STORED" => {
                self.tally.stored += 1;
                self.end_set();
            }
            _ => self.error(line, batch),
        }
        self.hits = 0;
        Ok(())
    }

    fn meta_line(&mut self, line: &[u8], batch: &Batch) -> Result<(), Unexpected> {
        let quiet = self.dialect == Dialect::MetaQuiet;
        if let Some(rest) = line.strip_prefix(b"VA ") {
            self.skip = first_number(rest).ok_or_else(|| unexpected(line))? + 2;
            self.hits += 1;
            self.tally.hits += 1;
            if quiet && !batch.slots.is_empty() {
                let opaque = memchr(b'O', rest).and_then(|at| first_number(&rest[at + 1..]));
                self.hit_index(opaque.unwrap_or(self.slot), batch);
            } else {
                self.end_set();
            }
            self.awaited -= usize::from(!quiet);
            return Ok(());
        }
        match line {
            b"MN" if quiet => {
                self.awaited -= 1;
                self.end_quiet(batch);
                return Ok(());
            }
            b"EN" => {
                self.tally.misses += 1;
                self.end_get(batch);
            }
            b"HD" => {
                self.tally.stored += 1;
                self.end_set();
            }
            _ => self.error(line, batch),
        }
        self.awaited -= usize::from(!quiet);
        Ok(())
    }

    fn resp_line(&mut self, line: &[u8], batch: &Batch) -> Result<(), Unexpected> {
        match line {
            // What MGET found follows, key by key.
            [b'*', ..] if self.keys_per_get > 1 => return Ok(()),
            b"$-1" => {
                self.tally.misses += 1;
                self.miss_until(self.slot + 1, batch);
                self.end_resp_key();
                return Ok(());
            }
            [b'$', size @ ..] => {
                self.skip = first_number(size).ok_or_else(|| unexpected(line))? + 2;
                self.tally.hits += 1;
                self.slot += 1;
                self.end_resp_key();
                return Ok(());
            }
            b"+OK" => {
                self.tally.stored += 1;
                self.end_set();
            }
            [b'-', ..] => self.error(line, batch),
            _ => return Err(unexpected(line)),
        }
        self.awaited -= 1;
        Ok(())
    }

    /// A key of a get was answered, perhaps the last.
    fn end_resp_key(&mut self) {
        self.hits += 1;
        if self.hits == self.keys_per_get {
            self.hits = 0;
            self.awaited -= 1;
            self.request_slot = self.slot;
        }
    }

    fn binary_header(
        &mut self,
        header: &[u8; BINARY_HEADER_BYTES],
        batch: &Batch,
    ) -> Result<(), Unexpected> {
        let quiet = self.dialect == Dialect::BinaryQuiet;
        let [0x81, opcode, ..] = *header else { return Err(unexpected(header)) };
        let number = |at: usize| {
            header[at..at + 4].iter().fold(0usize, |sum, &byte| sum << 8 | usize::from(byte))
        };
        let status = number(4) & 0xffff;
        self.skip = number(8);
        match (opcode, status) {
            (0x00 | 0x0d, 0) => {
                self.hits += 1;
                self.tally.hits += 1;
                if quiet && !batch.slots.is_empty() {
                    self.hit_index(number(12), batch);
                } else {
                    self.end_set();
                }
            }
            (0x00, 1) => {
                self.tally.misses += 1;
                self.end_get(batch);
            }
            (0x01, 0) => {
                self.tally.stored += 1;
                // In the quiet dialect slots are told by their opaque field alone.
                if !quiet {
                    self.end_set();
                }
            }
            (0x0a, 0) if quiet => {
                self.awaited -= 1;
                self.end_quiet(batch);
                return Ok(());
            }
            _ => self.error(format!("binary status {status:#06x}").as_bytes(), batch),
        }
        // A quiet get is never awaited, answered or not.
        self.awaited -= usize::from(!quiet || opcode == 0x01);
        Ok(())
    }

    /// The end of a batch of quiet requests: what was not answered was a miss or was stored.
    fn end_quiet(&mut self, batch: &Batch) {
        let answered = usize::try_from(self.tally.stored).unwrap_or(usize::MAX);
        let sets_failed = self.errors.min(batch.sets.saturating_sub(answered));
        let gets_failed = self.errors - sets_failed;
        self.tally.stored = (batch.sets - sets_failed) as u64;
        self.tally.misses = batch.get_keys.saturating_sub(self.hits + gets_failed) as u64;
        self.miss_until(batch.slots.len(), batch);
    }

    /// A get was answered to its end: its keys not found so far are missing.
    fn end_get(&mut self, batch: &Batch) {
        let end = self.request_slot + self.keys_per_get;
        self.miss_until(end.min(batch.slots.len()), batch);
        self.request_slot = end;
        self.slot = end;
    }

    /// One slot was answered, and was no miss.
    fn end_set(&mut self) {
        self.request_slot += 1;
        self.slot = self.request_slot;
    }

    /// A value came with this key: keys of the request before it are missing.
    fn hit_key(&mut self, key: Option<u64>, batch: &Batch) {
        let end = (self.request_slot + self.keys_per_get).min(batch.slots.len());
        let asked = &batch.slots[self.slot.min(end)..end];
        if let Some(offset) = asked.iter().position(|slot| Some(slot.key) == key) {
            self.hit_index(self.slot + offset, batch);
        }
    }

    fn hit_index(&mut self, index: usize, batch: &Batch) {
        self.miss_until(index.min(batch.slots.len()), batch);
        self.slot = index + 1;
    }

    fn miss_until(&mut self, end: usize, batch: &Batch) {
        let missed = batch.slots.get(self.slot..end).unwrap_or_default();
        self.missed.extend(missed.iter().filter(|slot| !slot.is_set).map(|slot| slot.key));
        self.slot = self.slot.max(end);
    }

    fn error(&mut self, line: &[u8], batch: &Batch) {
        self.tally.errors += 1;
        self.errors += 1;
        self.first_error.get_or_insert_with(|| excerpt(line));
        if !self.dialect.is_quiet() {
            let is_set = batch.slots.get(self.request_slot).is_none_or(|slot| slot.is_set);
            self.request_slot += if is_set { 1 } else { self.keys_per_get };
            self.slot = self.request_slot;
        }
    }
}

fn unexpected(bytes: &[u8]) -> Unexpected {
    Unexpected(excerpt(bytes))
}

fn excerpt(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned()
}

/// The decimal number that `text` ends with; a `VALUE` line without a CAS token ends with a size.
fn last_number(text: &[u8]) -> Option<usize> {
    let start = text.iter().rposition(|byte| !byte.is_ascii_digit())? + 1;
    first_number(&text[start..])
}

/// The decimal number that `text` begins with.
fn first_number(text: &[u8]) -> Option<usize> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 || digits > 10 {
        return None;
    }
    Some(text[..digits].iter().fold(0, |sum, byte| sum * 10 + usize::from(byte - b'0')))
}

#[cfg(test)]
#[path = "reply_tests.rs"]
mod tests;
