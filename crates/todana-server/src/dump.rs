//! Replies that are made piece by piece: listings of all records, and figures that take a scan.

use crate::limits::LISTING_SLICE_LEN;
use crate::watch::{push_encoded, push_key};
use std::collections::BTreeMap;
use todana_engine::{Cursor, Engine, View};
use todana_protocol::memcached::{Frame, encode, encode_dump_key};
use todana_protocol::{Dump, Response, push_decimal};

/// A reply that is made piece by piece.
pub(crate) trait Listing: Send {
    /// Appends the next piece; false when it was the last.
    fn step(&mut self, engine: &dyn Engine, out: &mut Vec<u8>) -> bool;
}

/// Records looked at in one step.
const RECORDS_PER_STEP: usize = 256;

/// `lru_crawler metadump` and `mgdump`, `stats cachedump`.
pub(crate) struct Records {
    kind: Dump,
    cursor: Option<Cursor>,
    listed: u32,
}

impl Records {
    pub(crate) fn new(kind: Dump) -> Records {
        Records { kind, cursor: Some(Cursor::START), listed: 0 }
    }

    fn limit(&self) -> u32 {
        match self.kind {
            Dump::Cache { limit } if limit > 0 => limit,
            _ => u32::MAX,
        }
    }
}

impl Listing for Records {
    fn step(&mut self, engine: &dyn Engine, out: &mut Vec<u8>) -> bool {
        let (kind, limit) = (self.kind, self.limit());
        let before = out.len();
        while let Some(from) = self.cursor.take() {
            let listed = &mut self.listed;
            let now = engine.clock().now();
            let next = engine.scan(&from, RECORDS_PER_STEP, now, &mut |view| {
                if *listed < limit {
                    *listed += 1;
                    line(kind, view, now.seconds(), out);
                }
            });
            self.cursor = next.unwrap_or(None).filter(|_| self.listed < limit);
            if out.len() - before >= LISTING_SLICE_LEN && self.cursor.is_some() {
                return true;
            }
        }
        out.extend_from_slice(if kind == Dump::Commands { b"EN\r\n" } else { b"END\r\n" });
        false
    }
}

fn line(kind: Dump, view: &View<'_>, now_s: u64, out: &mut Vec<u8>) {
    let expiry_s = view.meta.expiry.ms().div_ceil(1_000);
    match kind {
        Dump::Commands => {
            out.extend_from_slice(b"mg ");
            encode_dump_key(view.key, out);
            out.extend_from_slice(b"\r\n");
        }
        Dump::Cache { .. } => {
            out.extend_from_slice(b"ITEM ");
            push_key(view.key, out);
            let value_len = view.value.len();
            out.extend_from_slice(format!(" [{value_len} b; {expiry_s} s]\r\n").as_bytes());
        }
        Dump::Metadata => {
            out.extend_from_slice(b"key=");
            push_encoded(view.key, out);
            out.extend_from_slice(b" exp=");
            if view.meta.expiry.is_never() {
                out.extend_from_slice(b"-1");
            } else {
                push_decimal(expiry_s, out);
            }
            let last_access = now_s.saturating_sub(u64::from(view.access.idle_s));
            let fetched = if view.access.hit_before { "yes" } else { "no" };
            let size = view.key.len() as u64 + view.value.len();
            let rest = format!(
                " la={last_access} cas={} fetch={fetched} cls=1 size={size}\n",
                view.meta.version
            );
            out.extend_from_slice(rest.as_bytes());
        }
    }
}

/// `stats sizes`: records by size, in steps of 32 bytes.
pub(crate) struct Sizes {
    frame: Frame<'static>,
    cursor: Option<Cursor>,
    counts: BTreeMap<u64, u64>,
}

impl Sizes {
    /// The figures, in the form of this frame.
    pub(crate) fn new(frame: Frame<'static>) -> Sizes {
        Sizes { frame, cursor: Some(Cursor::START), counts: BTreeMap::new() }
    }
}

impl Listing for Sizes {
    fn step(&mut self, engine: &dyn Engine, out: &mut Vec<u8>) -> bool {
        /// Width of a step of sizes in bytes, as memcached's.
        const STEP: u64 = 32;
        if let Some(from) = self.cursor.take() {
            let counts = &mut self.counts;
            let now = engine.clock().now();
            let next = engine.scan(&from, 16 * RECORDS_PER_STEP, now, &mut |view| {
                let size = view.key.len() as u64 + view.value.len();
                *counts.entry(size.div_ceil(STEP).max(1) * STEP).or_default() += 1;
            });
            self.cursor = next.unwrap_or(None);
            if self.cursor.is_some() {
                return true;
            }
        }
        for (size, count) in &self.counts {
            let (name, value) = (size.to_string(), count.to_string());
            encode(&self.frame, &Response::Stat { name: &name, value: &value }, out);
        }
        encode(&self.frame, &Response::End, out);
        false
    }
}
