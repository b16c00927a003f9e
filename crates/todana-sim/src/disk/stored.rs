//! One file: what is durable of it, what reads see, and the changes between the two.

use super::crash::{Dice, Verdict};
use super::image::Image;
use std::sync::Arc;

/// A change of a file's content.
#[derive(Clone)]
pub(super) enum Change {
    /// Bytes at an offset.
    Write(u64, Arc<[u8]>),
    /// Exactly this long.
    SetLen(u64),
    /// At least this long.
    Grow(u64),
}

impl Change {
    fn apply(&self, image: &mut Image) {
        match self {
            Change::Write(offset, bytes) => image.write(*offset, bytes),
            Change::SetLen(len) => image.set_len(*len),
            Change::Grow(len) => image.grow(*len),
        }
    }

    /// The length of a file of `len` bytes after this change.
    pub(super) fn len_after(&self, len: u64) -> u64 {
        match self {
            Change::Write(_, bytes) if bytes.is_empty() => len,
            Change::Write(offset, bytes) => len.max(offset.saturating_add(bytes.len() as u64)),
            Change::SetLen(new_len) => *new_len,
            Change::Grow(new_len) => len.max(*new_len),
        }
    }
}

/// What syncs have said of a change.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// No sync since.
    Pending,
    /// A sync failed since: no later one reaches it any more.
    Doomed,
    /// A sync succeeded since, but the change stands behind a doomed one.
    Synced,
}

/// A file with or without a name.
///
/// Invariants: `current` is `durable` with all of `changes` applied in order; the first of `changes` is
/// not synced (it would have been folded into `durable`).
#[derive(Clone)]
pub(super) struct Stored {
    durable: Image,
    current: Image,
    changes: Vec<(Change, Fate)>,
    /// Open handles and locks.
    pub(super) handle_count: usize,
    /// Whether a name leads here now.
    pub(super) named: bool,
}

impl Stored {
    /// A file with a name, durable as it is.
    pub(super) fn of(content: Image) -> Stored {
        Stored {
            durable: content.clone(),
            current: content,
            changes: Vec::new(),
            handle_count: 0,
            named: true,
        }
    }

    pub(super) fn current(&self) -> &Image {
        &self.current
    }

    /// Makes `content` durable in place of everything.
    pub(super) fn replace(&mut self, content: Image) {
        self.changes.clear();
        self.durable = content.clone();
        self.current = content;
    }

    pub(super) fn change(&mut self, change: Change) {
        change.apply(&mut self.current);
        self.changes.push((change, Fate::Pending));
    }

    /// Makes the pending changes durable.
    pub(super) fn sync(&mut self) {
        self.settle(Fate::Synced);
        let synced = self.changes.iter().take_while(|(_, fate)| *fate == Fate::Synced).count();
        for (change, _) in self.changes.drain(..synced) {
            change.apply(&mut self.durable);
        }
    }

    /// A sync that failed: what was pending may be on the medium or not, and stays so.
    pub(super) fn doom(&mut self) {
        self.settle(Fate::Doomed);
    }

    fn settle(&mut self, new_fate: Fate) {
        for (_, fate) in &mut self.changes {
            if *fate == Fate::Pending {
                *fate = new_fate;
            }
        }
    }

    /// Turns a bit over wherever the byte is held.
    pub(super) fn flip(&mut self, offset: u64, mask: u8) {
        self.current.flip(offset, mask);
        self.durable.flip(offset, mask);
        for (change, _) in &mut self.changes {
            if let Change::Write(start, bytes) = change
                && let Some(index) = offset.checked_sub(*start)
                && let Ok(index) = usize::try_from(index)
                && index < bytes.len()
            {
                Arc::make_mut(bytes)[index] ^= mask;
            }
        }
    }

    /// What a loss of power leaves of the content.
    pub(super) fn after_crash(&self, dice: &mut Dice) -> Image {
        let mut image = self.durable.clone();
        let open = self.changes.iter().filter(|(_, fate)| *fate != Fate::Synced).count();
        let mut verdicts = dice.verdicts(open).into_iter();
        for (change, fate) in &self.changes {
            let verdict = match fate {
                Fate::Synced => Verdict::Kept,
                Fate::Pending | Fate::Doomed => verdicts.next().unwrap_or(Verdict::Lost),
            };
            match (verdict, change) {
                (Verdict::Lost, _) | (Verdict::LengthOnly, Change::SetLen(_) | Change::Grow(_)) => {
                }
                (Verdict::LengthOnly, Change::Write(..)) => {
                    image.grow(change.len_after(image.len()));
                }
                (Verdict::Torn, Change::Write(offset, bytes)) => {
                    dice.tear(&mut image, *offset, bytes);
                }
                (Verdict::Kept | Verdict::Torn, _) => change.apply(&mut image),
            }
        }
        image
    }
}
