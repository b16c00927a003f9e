//! Counters of a worker, written by that worker alone and read by anybody.

use std::sync::atomic::{AtomicU64, Ordering};

/// A counter with one writer: no locked instruction, since nobody else adds.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds; only the worker whose counter it is may call it.
    #[inline]
    pub fn add(&self, count: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
    }

    /// Takes away; only the worker whose counter it is may call it.
    #[inline]
    pub fn subtract(&self, count: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_sub(count), Ordering::Relaxed);
    }

    /// What it stands at.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counters of one worker.
        #[derive(Debug, Default)]
        #[repr(align(128))]
        pub struct Counters { $($(#[$doc])* pub $name: Counter,)* }

        /// Sums over all workers at one moment.
        #[derive(Debug, Default, Clone, Copy)]
        pub struct Sums { $($(#[$doc])* pub $name: u64,)* }

        impl Sums {
            /// Adds the counters of a worker.
            pub fn add(&mut self, counters: &Counters) {
                $(self.$name = self.$name.wrapping_add(counters.$name.get());)*
            }

            /// What has been counted since `earlier`.
            #[must_use]
            pub fn since(&self, earlier: &Sums) -> Sums {
                Sums { $($name: self.$name.wrapping_sub(earlier.$name),)* }
            }
        }
    };
}

counters! {
    /// Keys looked up by gets.
    cmd_get,
    /// Attempts to store.
    cmd_set,
    /// Flushes.
    cmd_flush,
    /// Touches, those of gets included.
    cmd_touch,
    /// Meta commands.
    cmd_meta,
    /// Gets that found a record.
    get_hits,
    /// Gets that did not.
    get_misses,
    /// Those among them whose record had ended.
    get_expired,
    /// Deletes that found a record.
    delete_hits,
    /// Deletes that did not.
    delete_misses,
    /// Increments of a number.
    incr_hits,
    /// Increments without a record.
    incr_misses,
    /// Decrements of a number.
    decr_hits,
    /// Decrements without a record.
    decr_misses,
    /// Compare-and-swaps that were done.
    cas_hits,
    /// Compare-and-swaps without a record.
    cas_misses,
    /// Compare-and-swaps of another version.
    cas_badval,
    /// Touches of a record.
    touch_hits,
    /// Touches without one.
    touch_misses,
    /// Values stored that were too large.
    store_too_large,
    /// Values refused for want of memory.
    store_no_memory,
    /// Attempts to say who they are.
    auth_cmds,
    /// Those that failed.
    auth_errors,
    /// Bytes read.
    bytes_read,
    /// Bytes written.
    bytes_written,
    /// Turns that ended with requests left.
    conn_yields,
    /// Connections closed for being idle.
    idle_kicks,
    /// Times that a connection was paused since its client did not read.
    output_paused,
    /// Connections dropped since their client did not read.
    output_dropped,
    /// Keys beyond their bound.
    keys_too_long,
    /// Lines beyond their bound.
    lines_too_long,
    /// System calls that read.
    reads,
    /// System calls that write.
    writes,
    /// Turns of the loop.
    cycles,
    /// Connections now.
    connections,
    /// Connections ever.
    connections_total,
    /// Datagrams answered.
    datagrams,
    /// Datagrams of responses that could not be sent.
    datagrams_lost,
}
