//! Removing, invalidating and touching records.

use super::{matches, version_from};
use todana_engine::{Edit, Mutation, NewVersion, Put, Touch, View};
use todana_record::Expiry;

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemoveOutcome {
    /// Done; what the record's flags and version were.
    Done {
        /// Flags.
        flags: u32,
        /// Version.
        version: u64,
    },
    /// There is no record.
    NotFound,
    /// The record has another version.
    Exists,
}

impl RemoveOutcome {
    fn done(view: &View<'_>) -> RemoveOutcome {
        RemoveOutcome::Done { flags: view.meta.flags, version: view.meta.version }
    }
}

/// What a record becomes that is kept instead of removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invalidation {
    /// Mark it as stale, to be computed anew by the next who asks.
    pub stale: bool,
    /// Drop its value and flags.
    pub drop_value: bool,
    /// Let it end then.
    pub expiry: Option<Expiry>,
    /// The version that it is to have.
    pub version: Option<u64>,
}

/// Removes a record, or invalidates it.
#[derive(Debug)]
pub struct Removing {
    /// Only if the record has this version.
    pub compare: Option<u64>,
    /// Keep it, changed like this.
    pub keep: Option<Invalidation>,
    /// What became of it.
    pub outcome: RemoveOutcome,
}

impl Removing {
    /// Removes a record whatever its version.
    pub const fn any() -> Removing {
        Removing { compare: None, keep: None, outcome: RemoveOutcome::NotFound }
    }
}

impl Mutation for Removing {
    fn evaluate<'s>(&'s mut self, current: Option<&'s View<'s>>) -> Edit<'s> {
        let Some(view) = current else {
            self.outcome = RemoveOutcome::NotFound;
            return Edit::Keep;
        };
        if !matches(view, self.compare) {
            self.outcome = RemoveOutcome::Exists;
            return Edit::Keep;
        }
        self.outcome = RemoveOutcome::done(view);
        let Some(keep) = self.keep else { return Edit::Remove };
        // Invalidating is a change that those who compare must see; dropping the value alone is not.
        let version = if keep.stale || keep.version.is_some() {
            Some(version_from(keep.version))
        } else {
            None
        };
        let expiry = if keep.stale || keep.drop_value { keep.expiry } else { None };
        if keep.drop_value {
            return Edit::Put(Put {
                expiry: expiry.unwrap_or(view.meta.expiry),
                version: version.unwrap_or(NewVersion::Given(view.meta.version)),
                stale: keep.stale || view.meta.stale,
                won: view.meta.won && !keep.stale,
                ..Put::bytes(b"")
            });
        }
        Edit::Touch(Touch {
            expiry,
            stale: keep.stale.then_some(true),
            won: keep.stale.then_some(false),
            version,
            fetch: false,
        })
    }
}

/// Changes when a record ends; counts as a fetch.
#[derive(Debug)]
pub struct Retouching {
    /// When it ends.
    pub expiry: Expiry,
    /// What became of it.
    pub outcome: RemoveOutcome,
}

impl Mutation for Retouching {
    fn evaluate<'s>(&'s mut self, current: Option<&'s View<'s>>) -> Edit<'s> {
        let Some(view) = current else {
            self.outcome = RemoveOutcome::NotFound;
            return Edit::Keep;
        };
        self.outcome = RemoveOutcome::done(view);
        Edit::Touch(Touch { expiry: Some(self.expiry), fetch: true, ..Touch::default() })
    }
}
