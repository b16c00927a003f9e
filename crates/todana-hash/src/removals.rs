//! Removals in segments that are compacted: which have to stay.
//!
//! A removal is needed as long as another file holds an older record of its key: that one would come back
//! at the next open. Footers say which hashes are where, so the removals that were gathered are held
//! against all footers at once. Those that nobody contradicts are dropped; the others move into the pack,
//! and count as live there as long as one of the files that they are kept for exists.

use crate::compact::Compactor;
use crate::hash::Hash;
use crate::index::Place;
use crate::view::Find;
use std::collections::{HashMap, HashSet};
use todana_engine::Error;
use todana_io::Open;
use todana_log::layout::footer::{EntryKind, FooterEntry};
use todana_log::layout::header::SegmentKind;
use todana_log::layout::narrow;
use todana_log::layout::record::{Fields, Operation};
use todana_log::{Account, Pins, file_name, read_footer};

/// Removals above which they are settled, in entries: 24 bytes each.
const MANY: usize = 1 << 18;
/// Removals that are moved together: other writers go on in between.
const GROUP_LEN: usize = 64;

/// A removal, or a record that has ended and leaves one: the key is in the record at the place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Removal {
    pub(crate) hash: u64,
    pub(crate) place: Place,
    pub(crate) sequence: u64,
}

/// Removals that were met and not settled.
#[derive(Debug, Default)]
pub(crate) struct Removals(Vec<Removal>);

impl Removals {
    #[inline]
    pub(crate) fn push(&mut self, removal: Removal) {
        self.0.push(removal);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Forgets those after the first `len`.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }

    pub(crate) fn are_many(&self) -> bool {
        self.0.len() >= MANY
    }
}

/// What packs keep, by slot: bytes, and the slots of the files because of which.
#[derive(Debug, Default)]
pub(crate) struct Kept(HashMap<u16, (u64, HashSet<u16>)>);

impl Kept {
    /// Bytes of removals that a segment has to keep, if that is known.
    pub(crate) fn bytes(&self, slot: u16) -> Option<u64> {
        self.0.get(&slot).map(|(bytes, _)| *bytes)
    }

    pub(crate) fn file_is_gone(&mut self, slot: u16) {
        self.0.remove(&slot);
        for (bytes, because) in self.0.values_mut() {
            if because.remove(&slot) && because.is_empty() {
                *bytes = 0;
            }
        }
    }
}

/// Removals by hash, to be held against footers.
struct Claims {
    /// Bits of a hash that footers have.
    bits: u32,
    removals: Vec<Removal>,
    needed: Vec<bool>,
    /// Where the removals with each value of the highest bits begin: about one of each.
    starts: Vec<u32>,
    /// By slot: whether a removal is kept because of it.
    because: Vec<bool>,
}

impl Claims {
    fn new(mut removals: Vec<Removal>, bits: u32) -> Claims {
        removals.sort_unstable_by_key(|removal| removal.hash);
        let buckets = removals.len().next_power_of_two().max(2);
        let shift = 64 - buckets.trailing_zeros();
        let mut starts = Vec::with_capacity(buckets + 1);
        let mut at = 0;
        for bucket in 0..=buckets as u64 {
            let is_before = |removal: &Removal| removal.hash >> shift < bucket;
            at += removals.iter().skip(at).take_while(|removal| is_before(removal)).count();
            starts.push(narrow(at));
        }
        let (needed, because) = (vec![false; removals.len()], vec![false; 1 << 16]);
        Claims { bits, removals, needed, starts, because }
    }

    /// Says that a file has an entry: a removal of its key with a higher sequence is needed.
    #[inline]
    fn contradict(&mut self, slot: u16, lowest: u64, entry: &FooterEntry) {
        if !matches!(entry.kind, EntryKind::Put | EntryKind::Blob) {
            return;
        }
        let buckets = self.starts.len() - 1;
        let bucket = usize::try_from(entry.hash >> (64 - buckets.trailing_zeros())).unwrap_or(0);
        let (from, to) = (self.starts[bucket] as usize, self.starts[bucket + 1] as usize);
        let q = |hash: u64| hash >> (64 - self.bits);
        for at in from..to {
            let removal = self.removals[at];
            let is_of_it = q(removal.hash) == q(entry.hash);
            if is_of_it && removal.place.slot != slot && removal.sequence > lowest {
                self.needed[at] = true;
                self.because[usize::from(slot)] = true;
            }
        }
    }
}

impl Hash {
    /// Drops removals that no file contradicts and moves the others into the pack.
    pub(crate) fn settle(&self, compactor: &mut Compactor) -> Result<(), Error> {
        // They stay where they are until all that are needed have moved.
        let removals = compactor.removals.0.clone();
        if removals.is_empty() {
            return Ok(());
        }
        let home = &self.shared.log.home;
        let (accounts, bits) = {
            let writer = self.writer();
            (writer.log.accounts.clone(), writer.index.index().bits())
        };
        let mut claims = Claims::new(removals, bits);
        let highest = claims.removals.iter().map(|removal| removal.sequence).max().unwrap_or(0);
        let may_be_older = |account: &Account| account.complete && account.lowest < highest;
        for (slot, account) in (0..).zip(&accounts).filter(|(_, account)| may_be_older(account)) {
            let kind = if account.is_pack { SegmentKind::Pack } else { SegmentKind::Log };
            let path = home.path(&file_name(account.id, kind));
            let read = home.disk.open(&path, Open::Read);
            let footer = read.and_then(|file| read_footer(&*file, account.id)).ok().flatten();
            let entries = footer.as_ref().and_then(|(trailer, bytes)| trailer.tables(bytes));
            let (Some((trailer, _)), Some(entries)) = (&footer, entries) else {
                // What cannot be read may hold anything.
                claims.needed.fill(true);
                claims.because[usize::from(slot)] = true;
                continue;
            };
            let has_hashes = trailer.summary.width * 8 >= bits as usize;
            for entry in entries {
                let lowest = match account.is_pack {
                    true => account.lowest,
                    false => account.id + entry.offset as u64,
                };
                if has_hashes {
                    claims.contradict(slot, lowest, &entry);
                }
            }
            if !has_hashes {
                claims.needed.fill(true);
                claims.because[usize::from(slot)] = true;
            }
        }
        for pack in compactor.full.iter().chain(&compactor.pack) {
            let (slot, (lowest, _)) = (pack.segment.slot, pack.range());
            pack.entries().for_each(|entry| claims.contradict(slot, lowest, &entry));
        }
        self.keep(compactor, &claims)?;
        compactor.removals.0.clear();
        Ok(())
    }

    /// Moves the removals that are needed.
    fn keep(&self, compactor: &mut Compactor, claims: &Claims) -> Result<(), Error> {
        let segments = self.shared.log.segments.load_full();
        let now = self.log.clock.now();
        let because = (0..=u16::MAX).zip(&claims.because).filter(|(_, is)| **is);
        let because: HashSet<u16> = because.map(|(slot, _)| slot).collect();
        let needed: Vec<&Removal> = claims
            .removals
            .iter()
            .zip(&claims.needed)
            .filter_map(|(removal, needed)| needed.then_some(removal))
            .collect();
        let mut bytes: HashMap<u16, u64> = HashMap::new();
        for group in needed.chunks(GROUP_LEN) {
            let mut writer = self.writer();
            for removal in group {
                let pins = Pins::new();
                let Some(hit) = segments.entry(removal.place, &pins)? else { continue };
                let sequence = removal.sequence;
                let fields = Fields { position: Some(sequence), ..Fields::of(Operation::Remove) };
                let (place, len) = self.append_moved(
                    &mut writer,
                    compactor,
                    &fields,
                    &hit.record,
                    removal.hash,
                    sequence,
                    now,
                )?;
                *bytes.entry(place.slot).or_default() += len as u64;
            }
        }
        let kept = bytes.into_iter().map(|(slot, bytes)| (slot, (bytes, because.clone())));
        compactor.kept.0.extend(kept);
        Ok(())
    }
}
