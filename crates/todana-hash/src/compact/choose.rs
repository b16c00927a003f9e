//! Whether there is something to do, and which segment is worth it most.

use super::Compactor;
use crate::writer::Writer;
use todana_log::Account;
use todana_record::Timestamp;

/// Part of the space over live data, in percent, at which work begins, so that the bound is kept.
const BEGIN_PERCENT: u64 = 90;
/// Garbage that is not worth the work, in bytes.
const GARBAGE_LEN_MIN: u64 = 1 << 20;

/// Part of the store that drained files may be before they go: each time costs some syncs.
const DRAINED_PART: u64 = 16;
/// Full packs that wait for their files to go.
const PACKS_MAX: usize = 4;

/// Part of the live bytes that removals may be before it is found out which are needed.
const UNSETTLED_PART: u64 = 4;
/// And down to which that is done then.
const SETTLED_PART: u64 = 64;

/// Time in which the memory of how much was live halves, in ms.
const PEAK_HALF_MS: u64 = 30_000;

/// How much was live lately. What a store may take is measured by it: while much is being removed, what is
/// left in a segment soon goes too, and moving it would be for nothing.
#[derive(Debug, Default)]
pub(super) struct Peak {
    live: u64,
    at: Timestamp,
}

impl Peak {
    /// The bytes that count when `live` are live: the most that there were, halved every half minute.
    fn measure(&mut self, live: u64, now: Timestamp) -> u64 {
        let halves = now.ms().saturating_sub(self.at.ms()) / PEAK_HALF_MS;
        let left = self.live >> halves.min(63);
        if live >= left {
            *self = Peak { live, at: now };
        }
        left.max(live)
    }
}

/// How much there is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    None,
    /// Space is within its bound, but not far.
    Some,
    /// Space is past its bound: the limit on bandwidth does not count.
    Much,
}

/// Bytes of a segment's file that live entries and `kept` bytes of removals account for.
fn live_share(account: &Account, kept: u64) -> u64 {
    let live = account.live.saturating_add(kept).min(account.data);
    let shared = u128::from(account.len) * u128::from(live);
    u64::try_from(shared / u128::from(account.data.max(1))).unwrap_or(u64::MAX)
}

fn is_candidate(account: &Account) -> bool {
    account.complete && account.len > 0
}

impl Writer {
    /// Complete segments that are not drained and that the stream does not need.
    fn complete<'a>(
        &'a self,
        compactor: &'a Compactor,
    ) -> impl Iterator<Item = (u16, &'a Account)> {
        (0..).zip(&self.log.accounts).filter(|(slot, account)| {
            let may_go = account.is_pack || account.highest < compactor.stays_from;
            let is_done = compactor.drained.contains(slot) || compactor.damaged.contains(slot);
            is_candidate(account) && may_go && !is_done
        })
    }

    /// Whether to find out which removals are needed. That means looking at all footers: for many
    /// removals at a time.
    pub(super) fn settles(&self, compactor: &Compactor) -> bool {
        let (mut live, mut unsettled) = (0, 0);
        for (slot, account) in self.complete(compactor) {
            live += account.live;
            if compactor.kept.bytes(slot).is_none() {
                unsettled += account.removals;
            }
        }
        unsettled > live / if compactor.settles { SETTLED_PART } else { UNSETTLED_PART }
    }

    /// Complete segments that are not drained, each with the bytes that have to stay.
    fn candidates<'a>(
        &'a self,
        compactor: &'a Compactor,
    ) -> impl Iterator<Item = (u16, &'a Account, u64)> {
        self.complete(compactor).map(|(slot, account)| {
            let unsettled = if compactor.settles { 0 } else { account.removals };
            let kept = compactor.kept.bytes(slot).unwrap_or(unsettled);
            (slot, account, live_share(account, kept))
        })
    }

    pub(super) fn need(&self, percent: u32, compactor: &mut Compactor, now: Timestamp) -> Need {
        let (mut len, mut live) = (0, 0);
        for (_, account, share) in self.candidates(compactor) {
            len += account.len;
            live += share;
        }
        let garbage = len.saturating_sub(live);
        // On a full disk every byte counts.
        let measure = if self.log.short { live } else { compactor.peak.measure(live, now) };
        let allowed = (measure.saturating_mul(u64::from(percent)) / 100).saturating_sub(live);
        // What is taken ahead, or drained and still there, counts too, and a ninth for what comes meanwhile;
        // but not while much is being removed, and in a small store, where it is much, nothing is moved
        // round and round for it.
        let bound = match measure > live + live / 8 {
            true => allowed,
            false => allowed.saturating_sub(self.spent(compactor)).max(allowed / 3) * 8 / 9,
        };
        match () {
            () if garbage < GARBAGE_LEN_MIN.min(self.log.least_segment_len) => Need::None,
            () if garbage > bound => Need::Much,
            () if garbage > bound * BEGIN_PERCENT / 100 => Need::Some,
            () => Need::None,
        }
    }

    /// Bytes on the disk beside what is live that are in no candidate: of files that are drained, taken
    /// ahead, or being written.
    fn spent(&self, compactor: &Compactor) -> u64 {
        let account = |slot: u16| self.log.accounts.get(usize::from(slot));
        let drained = compactor.drained.iter().filter_map(|slot| account(*slot));
        let blanks =
            self.log.spare.iter().chain(&self.log.pack_spare).map(|blank| blank.len as u64);
        let heads =
            self.log.head.iter().chain(&compactor.pack).chain(&compactor.full).map(|head| {
                let live = account(head.segment.slot).map_or(0, |account| account.live);
                (head.taken_len() as u64).saturating_sub(live)
            });
        drained.map(|account| account.len).chain(blanks).chain(heads).sum()
    }

    /// Whether the files that are drained are so much that they should go now.
    pub(super) fn is_worth_finishing(&self, compactor: &Compactor) -> bool {
        let account = |slot: &u16| self.log.accounts.get(usize::from(*slot));
        let drained: u64 = compactor.drained.iter().filter_map(account).map(|one| one.len).sum();
        // Full packs are in memory until then.
        drained > self.log.total_len() / DRAINED_PART || compactor.full.len() >= PACKS_MAX
    }

    /// The segment whose space is won most cheaply, old ones first (Rosenblum and Ousterhout 1992).
    pub(super) fn victim(&self, compactor: &Compactor, below: Option<u64>) -> Option<u16> {
        let newest = self.log.next_id;
        let score = |account: &Account, live: u64| {
            let used = live as f64 / account.len.max(1) as f64;
            let age = newest.saturating_sub(account.id) as f64;
            (used < if below.is_some() { 0.99 } else { 0.9 })
                .then(|| (1.0 - used) * age / (1.0 + used))
        };
        self.candidates(compactor)
            .filter(|(_, account, _)| below.is_none_or(|below| account.id < below))
            .filter_map(|(slot, account, live)| Some((slot, score(account, live)?)))
            .max_by(|(_, one), (_, other)| one.total_cmp(other))
            .map(|(slot, _)| slot)
    }
}
