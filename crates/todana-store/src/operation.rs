//! The operations that users know, as mutations. Each keeps its outcome for whoever ran it.
//!
//! They follow memcached to the letter, since its users depend on it: a new value is not stale any
//! more, a count keeps the width of the number that was there, an append ignores flags and lifetime.

mod count;
mod look;
mod put;
mod remove;

pub use count::{CountOutcome, Counting, parse_number};
pub use look::{Look, Marks, Recache};
pub use put::{PutMode, PutOutcome, Putting};
pub use remove::{Invalidation, RemoveOutcome, Removing, Retouching};

use todana_engine::{NewVersion, View};
use todana_record::{Expiry, Timestamp};

/// Seconds that are left until an expiry, the begun one counted; `None`: forever.
pub fn ttl_s(expiry: Expiry, now: Timestamp) -> Option<u64> {
    (!expiry.is_never()).then(|| expiry.ms().saturating_sub(now.ms()).div_ceil(1_000))
}

fn version_from(given: Option<u64>) -> NewVersion {
    given.map_or(NewVersion::Next, NewVersion::Given)
}

/// Whether the record has the version that was asked for. A store without versions has none that
/// could be right.
fn matches(view: &View<'_>, compare: Option<u64>) -> bool {
    compare.is_none_or(|version| view.meta.version == version && version != 0)
}
