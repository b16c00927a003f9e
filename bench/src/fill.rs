//! Servers filled with records of one size, up to a given resident memory.

use std::ops::ControlFlow;
use std::thread;
use std::time::{Duration, Instant};

use todana_bench::{Dialect, Error, Plan, ValueSize, preload};

use crate::ask::{self, Records};
use crate::contestant::{Server, Who};
use crate::{Contestants, Result, machine};

/// Resident memory is met when it is off by no more than this share.
const OFF_MAX: f64 = 0.005;
/// How often the memory limit is corrected.
const TRIES: usize = 4;
/// A server that never evicts is full when it takes this much more than its limit.
const OVER_MAX: f64 = 1.5;
/// Slices of distinct keys that fill a server, about: evictions are looked for in between.
const SLICES: u64 = 64;
/// A server is at rest when two looks this far apart find the same: once a second memcached sees
/// whether its hash table is too small.
const REST: Duration = Duration::from_millis(1_200);
const REST_MAX: Duration = Duration::from_secs(20);

/// Sizes of a record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) key_bytes: usize,
    pub(crate) value_bytes: usize,
}

impl Shape {
    pub(crate) fn name(self) -> String {
        format!("{}+{} B", self.key_bytes, self.value_bytes)
    }

    /// The shape as a plan for `keys` keys.
    pub(crate) fn plan(self, keys: u64) -> Plan {
        Plan {
            keys,
            key_size_bytes: self.key_bytes,
            value_size: ValueSize::Fixed(self.value_bytes),
            warm_up_ms: 0,
            ..Plan::default()
        }
    }
}

/// What a server holds, and what that takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    pub(crate) records: Records,
    pub(crate) resident_kib: u64,
}

impl Held {
    /// Looks once the server has come to rest: tables that grew are given back in the background.
    pub(crate) fn at_rest(server: &Server) -> Result<Self> {
        let begun = Instant::now();
        let mut held = Self::now(server)?;
        loop {
            thread::sleep(REST);
            let before = std::mem::replace(&mut held, Self::now(server)?);
            let same = before.records == held.records && before.resident_kib == held.resident_kib;
            if same || begun.elapsed() > REST_MAX {
                return Ok(held);
            }
        }
    }

    fn now(server: &Server) -> Result<Self> {
        let resident_kib = machine::resident_kib(server.pid())
            .ok_or_else(|| format!("{} is gone", server.who.name()))?;
        Ok(Self { records: ask::records(server)?, resident_kib })
    }
}

/// A server that is being filled with keys that it has not seen yet.
pub(crate) struct Filling {
    pub(crate) server: Server,
    /// Its `-m`.
    pub(crate) memory_mib: u64,
    /// Sets that it refused. memcached does so now and then, when nothing can be evicted just now.
    pub(crate) refused: u64,
    shape: Shape,
    /// Keys of a slice, and slices set so far.
    slice_keys: u64,
    slices: u64,
}

impl Filling {
    /// Starts a server with so much memory.
    pub(crate) fn start(
        contestants: &Contestants,
        who: Who,
        shape: Shape,
        memory_mib: u64,
    ) -> Result<Self> {
        let contestants = Contestants { memory_mib, ..contestants.clone() };
        let server = Server::start(&contestants, who, &shape.plan(1), &[], false)?;
        let each = (shape.key_bytes + shape.value_bytes) as u64 + 50;
        let slice_keys = ((memory_mib << 20) / each / SLICES).max(1);
        Ok(Self { server, memory_mib, refused: 0, shape, slice_keys, slices: 0 })
    }

    /// Sets new keys until the server evicts.
    pub(crate) fn fill(&mut self) -> Result<Held> {
        let over_kib = (self.memory_mib << 10) as f64 * OVER_MAX;
        loop {
            self.set_slice()?;
            let now = Held::now(&self.server)?;
            if now.records.evicted > 0 || now.resident_kib as f64 > over_kib {
                return Held::at_rest(&self.server);
            }
        }
    }

    /// Sets at least so many new keys.
    pub(crate) fn set(&mut self, keys: u64) -> Result<Held> {
        for _ in 0..keys.div_ceil(self.slice_keys) {
            self.set_slice()?;
        }
        Held::at_rest(&self.server)
    }

    fn set_slice(&mut self) -> Result<()> {
        // Quiet sets are the quickest that there are.
        let dialect = self.server.who.speaks(Dialect::MetaQuiet).unwrap_or(Dialect::Resp);
        let slice = Plan {
            target: self.server.target.clone(),
            dialect,
            key_prefix: format!("{:05}:", self.slices),
            ..self.shape.plan(self.slice_keys)
        };
        self.slices += 1;
        match preload(&slice, |_| ControlFlow::Continue(())) {
            Ok(_) => Ok(()),
            Err(Error::PreloadRefused { refused, .. }) if refused < self.slice_keys => {
                self.refused += refused;
                Ok(())
            }
            Err(error) => Err(format!("filling {}: {error}", self.server.who.name()).into()),
        }
    }
}

/// A full server that has `mib` resident, within half a percent if it can be had. Memory limits do
/// not count all that a server takes, each in its own way, so the limit is tried and corrected.
pub(crate) fn fit(
    contestants: &Contestants,
    who: Who,
    shape: Shape,
    mib: u64,
) -> Result<(Filling, Held)> {
    let mut memory_mib = mib;
    let mut best: Option<(f64, Filling, Held)> = None;
    for _ in 0..TRIES {
        let mut filling = Filling::start(contestants, who, shape, memory_mib)?;
        let held = filling.fill()?;
        let ratio = held.resident_kib as f64 / (mib << 10) as f64;
        eprintln!(
            "{}, {}: -m {memory_mib}: {} records, {} MiB resident",
            who.name(),
            shape.name(),
            held.records.held,
            held.resident_kib >> 10,
        );
        let off = (ratio - 1.0).abs();
        if best.as_ref().is_none_or(|(least, ..)| off < *least) {
            best = Some((off, filling, held));
        }
        let next = corrected(memory_mib, ratio);
        if off <= OFF_MAX || next == memory_mib {
            break;
        }
        memory_mib = next;
    }
    let (_, filling, held) = best.ok_or("no server was tried")?;
    Ok((filling, held))
}

/// The limit that should bring the resident memory, now `ratio` times what is wanted, to 1.
pub(crate) fn corrected(memory_mib: u64, ratio: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, reason = "a number of MiB")]
    let next = (memory_mib as f64 / ratio).round() as u64;
    next.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_corrected_by_what_it_gave() {
        assert_eq!(corrected(1024, 1.1), 931);
        assert_eq!(corrected(1024, 0.8), 1280);
        assert_eq!(corrected(1, 100.0), 1);
    }
}
