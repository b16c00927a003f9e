//! Watchers: connections that are told what happens, in a lane of their own beside replies.
//!
//! Nothing is formatted unless somebody watches that kind. A watcher that does not read in time has
//! lines left out, and nobody else is slowed down by it.

use crate::limits::{WATCH_QUEUE_LEN, WATCHERS_MAX};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use todana_protocol::{WatchKinds, push_decimal};

/// Wakes whoever serves a watcher.
pub(crate) type Wake = Arc<dyn Fn() + Send + Sync>;

/// Lines waiting for one watcher.
pub(crate) struct Watcher {
    kinds: WatchKinds,
    queue: Mutex<Vec<u8>>,
    wake: Wake,
}

impl Watcher {
    /// Takes the lines that wait.
    pub(crate) fn take(&self, out: &mut Vec<u8>) {
        let mut queue = self.queue.lock();
        out.extend_from_slice(&queue);
        queue.clear();
    }
}

/// Everybody who watches.
#[derive(Default)]
pub(crate) struct WatchHub {
    kinds: AtomicU8,
    watchers: Mutex<Vec<Arc<Watcher>>>,
    next_id: AtomicU64,
    pub(crate) sent: AtomicU64,
    pub(crate) skipped: AtomicU64,
}

impl WatchHub {
    /// Whether anybody watches this kind. One relaxed load.
    #[inline]
    pub(crate) fn wants(&self, kinds: WatchKinds) -> bool {
        WatchKinds(self.kinds.load(Ordering::Relaxed)).intersects(kinds)
    }

    /// Number of watchers.
    pub(crate) fn count(&self) -> usize {
        self.watchers.lock().len()
    }

    /// Adds a watcher; `None` when there are as many as may be.
    pub(crate) fn join(&self, kinds: WatchKinds, wake: Wake) -> Option<Arc<Watcher>> {
        let mut watchers = self.watchers.lock();
        if watchers.len() >= WATCHERS_MAX {
            return None;
        }
        let watcher = Arc::new(Watcher { kinds, queue: Mutex::default(), wake });
        watchers.push(watcher.clone());
        self.kinds.store(union(&watchers), Ordering::Relaxed);
        Some(watcher)
    }

    /// Forgets a watcher.
    pub(crate) fn leave(&self, watcher: &Arc<Watcher>) {
        let mut watchers = self.watchers.lock();
        watchers.retain(|other| !Arc::ptr_eq(other, watcher));
        self.kinds.store(union(&watchers), Ordering::Relaxed);
    }

    /// Tells those who watch this kind: `ts=… gid=… ` and what `line` adds.
    pub(crate) fn tell(&self, kinds: WatchKinds, wall_ms: u64, line: impl FnOnce(&mut Vec<u8>)) {
        let mut text = b"ts=".to_vec();
        push_decimal(wall_ms / 1_000, &mut text);
        text.extend_from_slice(format!(".{:06}", wall_ms % 1_000 * 1_000).as_bytes());
        text.extend_from_slice(b" gid=");
        push_decimal(self.next_id.fetch_add(1, Ordering::Relaxed) + 1, &mut text);
        text.push(b' ');
        line(&mut text);
        text.push(b'\n');
        for watcher in self.watchers.lock().iter().filter(|w| w.kinds.intersects(kinds)) {
            let mut queue = watcher.queue.lock();
            if queue.len() + text.len() > WATCH_QUEUE_LEN {
                self.skipped.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            let was_empty = queue.is_empty();
            queue.extend_from_slice(&text);
            drop(queue);
            self.sent.fetch_add(1, Ordering::Relaxed);
            if was_empty {
                (watcher.wake)();
            }
        }
    }
}

fn union(watchers: &[Arc<Watcher>]) -> u8 {
    watchers.iter().fold(0, |kinds, watcher| kinds | watcher.kinds.0)
}

/// Appends a key as listings and watchers show it: everything but letters, digits and `-_.~` as `%XX`.
pub(crate) fn push_encoded(key: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in key {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(byte);
        } else {
            let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
            out.extend_from_slice(&[b'%', HEX[high], HEX[low]]);
        }
    }
}

/// Appends a key as it is, unless it would break the line that it stands in.
pub(crate) fn push_key(key: &[u8], out: &mut Vec<u8>) {
    if key.iter().all(|&byte| byte > b' ' && byte != 0x7f) {
        out.extend_from_slice(key);
    } else {
        push_encoded(key, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;

    #[test]
    fn watchers_get_their_kinds_and_slow_ones_lose_lines() {
        let hub = WatchHub::default();
        let wakes = Arc::new(AtomicU32::new(0));
        let wake: Wake = {
            let wakes = wakes.clone();
            Arc::new(move || {
                wakes.fetch_add(1, Ordering::Relaxed);
            })
        };
        let watcher = hub.join(WatchKinds::FETCHERS, wake).unwrap();
        assert!(hub.wants(WatchKinds::FETCHERS) && !hub.wants(WatchKinds::MUTATIONS));
        hub.tell(WatchKinds::MUTATIONS, 1, |out| out.push(b'm'));
        hub.tell(WatchKinds::FETCHERS, 1_002, |out| push_encoded(b"a b", out));
        let mut out = Vec::new();
        watcher.take(&mut out);
        assert_eq!(out, b"ts=1.002000 gid=2 a%20b\n");
        for _ in 0..WATCH_QUEUE_LEN / 10 {
            hub.tell(WatchKinds::FETCHERS, 1, |out| out.extend_from_slice(b"0123456789"));
        }
        assert!(hub.skipped.load(Ordering::Relaxed) > 0);
        out.clear();
        watcher.take(&mut out);
        assert!(out.len() <= WATCH_QUEUE_LEN);
        assert_eq!(wakes.load(Ordering::Relaxed), 2);
        hub.leave(&watcher);
        assert!(!hub.wants(WatchKinds::FETCHERS));
    }
}
