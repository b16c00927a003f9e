//! Records that are too long for a segment: each in memory of its own, which grows when it is appended to.

use crate::layout::{Stored, Version};
use crate::place::LARGE_FROM;
use arc_swap::ArcSwapOption;
use std::io;
use std::sync::{Arc, OnceLock};
use todana_io::{Tail, TailWriter};
use todana_record::Meta;

const PAGE: usize = 256;

/// A large record as readers see it.
#[derive(Debug)]
pub(crate) struct Large {
    pub(crate) key: Box<[u8]>,
    /// With a version, if the store has them.
    pub(crate) meta: Meta,
    value: Arc<Tail>,
    /// Bytes of the value: what stands behind them belongs to a later state.
    pub(crate) len: usize,
}

impl Large {
    pub(crate) fn value(&self) -> &[u8] {
        self.value.published().get(..self.len).unwrap_or_default()
    }

    pub(crate) fn stored(&self) -> Stored<'_> {
        Stored {
            key: &self.key,
            value: self.value(),
            meta: self.meta,
            version: Version::Own,
            len: self.bytes(),
        }
    }

    /// Bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.key.len() + self.value.capacity()
    }
}

type Page = Box<[ArcSwapOption<Large>]>;

/// Large records by number.
#[derive(Debug)]
pub(crate) struct LargeTable {
    pages: Box<[OnceLock<Page>]>,
}

impl LargeTable {
    pub(crate) fn new() -> LargeTable {
        LargeTable { pages: (0..LARGE_FROM as usize / PAGE).map(|_| OnceLock::new()).collect() }
    }

    pub(crate) fn get(&self, number: u32) -> Option<Arc<Large>> {
        let at = number.checked_sub(LARGE_FROM)? as usize;
        self.pages.get(at / PAGE)?.get()?.get(at % PAGE)?.load_full()
    }

    pub(crate) fn set(&self, number: u32, large: Option<Arc<Large>>) {
        let Some(at) = number.checked_sub(LARGE_FROM) else { return };
        let Some(page) = self.pages.get(at as usize / PAGE) else { return };
        let page = page.get_or_init(|| (0..PAGE).map(|_| ArcSwapOption::empty()).collect());
        if let Some(place) = page.get(at as usize % PAGE) {
            place.store(large);
        }
    }
}

/// A large record as its writer has it.
#[derive(Debug)]
pub(crate) struct LargeWriter {
    pub(crate) current: Arc<Large>,
    tail: TailWriter,
}

impl LargeWriter {
    /// Makes a record of a value in two pieces.
    ///
    /// # Errors
    /// When the system has no memory.
    pub(crate) fn new(key: &[u8], meta: Meta, value: [&[u8]; 2]) -> io::Result<LargeWriter> {
        let len = value[0].len() + value[1].len();
        LargeWriter::with_capacity(key.into(), meta, value, len)
    }

    fn with_capacity(
        key: Box<[u8]>,
        meta: Meta,
        value: [&[u8]; 2],
        capacity: usize,
    ) -> io::Result<LargeWriter> {
        let (memory, mut tail) = Tail::with_capacity(capacity)?;
        value.iter().for_each(|piece| tail.append(piece));
        tail.publish();
        let current = Arc::new(Large { key, meta, value: memory, len: tail.len() });
        Ok(LargeWriter { current, tail })
    }

    /// The record with bytes at its end, in the same memory if they fit, else in twice as much. The
    /// present state stays as it is for those who look at it.
    ///
    /// # Errors
    /// When the system has no memory.
    pub(crate) fn append(&mut self, meta: Meta, bytes: &[u8]) -> io::Result<()> {
        let key = self.current.key.clone();
        if self.tail.room() < bytes.len() {
            let len = self.current.len + bytes.len();
            let value = [self.current.value(), bytes];
            *self = LargeWriter::with_capacity(key, meta, value, len + len / 2)?;
            return Ok(());
        }
        self.tail.append(bytes);
        self.tail.publish();
        let (value, len) = (self.tail.tail().clone(), self.tail.len());
        self.current = Arc::new(Large { key, meta, value, len });
        Ok(())
    }

    /// Bytes that it will take more when so many are appended.
    pub(crate) fn more_for(&self, len: usize) -> usize {
        let whole = self.current.len + len;
        if len <= self.tail.room() { 0 } else { whole + whole / 2 }
    }

    /// The same value with other metadata.
    pub(crate) fn with_meta(&mut self, meta: Meta) {
        let (key, value, len) =
            (self.current.key.clone(), self.current.value.clone(), self.current.len);
        self.current = Arc::new(Large { key, meta, value, len });
    }
}
