//! The rows of each kind, and which of them one process measures after the other.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// What is compared; named as the rivals' programs know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Records found by their keys
    Hash,
    /// Records in the order of their keys
    Tree,
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Hash => "hash",
            Self::Tree => "tree",
        })
    }
}

/// One row, named as the rivals' programs know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Row {
    PutSeq,
    PutRandom,
    GetRandom,
    #[value(name = "get-bulk-32")]
    #[serde(rename = "get-bulk-32")]
    GetBulk,
    Delete,
    Overwrite,
    Reopen,
    #[value(name = "put-durable-1")]
    #[serde(rename = "put-durable-1")]
    PutDurable1,
    #[value(name = "put-durable-64")]
    #[serde(rename = "put-durable-64")]
    PutDurable64,
    PutSeqSingle,
    PutRandomSingle,
    Scan,
    ReopenKilled,
    #[value(name = "mixed-2")]
    #[serde(rename = "mixed-2")]
    Mixed,
    #[value(name = "mixed-2-copies")]
    #[serde(rename = "mixed-2-copies")]
    MixedCopies,
    AppendLong,
    AppendHuge,
    ColdGetRandom,
    #[value(name = "cold-get-bulk-32")]
    #[serde(rename = "cold-get-bulk-32")]
    ColdGetBulk,
    ColdPutRandom,
}

/// What the figures of a row are called and counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Millions a second.
    MillionsPerSecond,
    /// Microseconds of CPU time each, thousands a second.
    EachAndThousandsPerSecond,
    /// Seconds of the whole row, or milliseconds where they are few.
    Seconds,
    Millis,
}

impl Row {
    /// Those of a kind, together those that one process measures on one store. Every group starts with
    /// a new process, so that no row's memory is another's.
    pub(crate) const fn groups(kind: Kind) -> &'static [&'static [Self]] {
        match kind {
            Kind::Hash => &Self::HASH_GROUPS,
            Kind::Tree => &Self::TREE_GROUPS,
        }
    }

    const HASH_GROUPS: [&[Self]; 7] = [
        &[Self::PutSeq],
        &[Self::PutRandom],
        &[Self::GetRandom, Self::GetBulk, Self::Delete],
        &[Self::Overwrite],
        &[Self::Reopen],
        &[Self::PutDurable1],
        &[Self::PutDurable64],
    ];

    const TREE_GROUPS: [&[Self]; 12] = [
        &[Self::PutSeq],
        &[Self::PutSeqSingle],
        &[Self::PutRandom],
        &[Self::PutRandomSingle],
        &[Self::GetRandom, Self::GetBulk, Self::Scan],
        &[Self::Reopen],
        &[Self::ReopenKilled],
        &[Self::Mixed],
        &[Self::MixedCopies],
        &[Self::AppendLong],
        &[Self::AppendHuge],
        &[Self::ColdGetRandom, Self::ColdGetBulk, Self::ColdPutRandom],
    ];

    /// What the row does, for the heading of its table.
    pub(crate) const fn about(self) -> &'static str {
        match self {
            Self::PutSeq => "keys in order into a new store, one flush and close",
            Self::PutRandom => "keys in random order into a new store, one flush and close",
            Self::GetRandom => "one by one, every key once, from a freshly filled open store",
            Self::GetBulk => "groups of 32 random keys, by the rival's own call where it has one",
            Self::Delete => "every key in random order, one flush",
            Self::Overwrite => "random keys of a filled store, one flush",
            Self::Reopen => "open after a clean close, up to the first record read",
            Self::PutDurable1 => "each put on the disk before the next, 1 writer",
            Self::PutDurable64 => "each put on the disk before the writer's next, 64 writers",
            Self::PutSeqSingle => "keys in order into a new store, a transaction a put, one flush",
            Self::PutRandomSingle => "keys in random order, a transaction a put, one flush",
            Self::Scan => "all records from the first key to the last, every byte touched",
            Self::ReopenKilled => "open after the process was killed, up to the first record read",
            Self::Mixed => "two threads on one store, 90 % gets, 10 % puts, random keys",
            Self::MixedCopies => "the same, each thread on a store of its own",
            Self::AppendLong => "values of 100 KB put at random, then 100 KB appended to each",
            Self::AppendHuge => "1 KB appended to a huge value 8 times, from open to close",
            Self::ColdGetRandom => "one by one, data four times the memory",
            Self::ColdGetBulk => "groups of 32 random keys, data four times the memory",
            Self::ColdPutRandom => "random keys, data four times the memory, one flush",
        }
    }

    /// Whether the row takes a time rather than a number of operations.
    pub(crate) const fn is_durable(self) -> bool {
        matches!(self, Self::PutDurable1 | Self::PutDurable64)
    }

    /// Whether the store is larger than the memory that it may use.
    pub(crate) const fn is_cold(self) -> bool {
        matches!(self, Self::ColdGetRandom | Self::ColdGetBulk | Self::ColdPutRandom)
    }

    /// Whether many keys are read at a time.
    pub(crate) const fn is_bulk(self) -> bool {
        matches!(self, Self::GetBulk | Self::ColdGetBulk)
    }

    /// Whether the store holds long values, not as many records as the run was told.
    pub(crate) const fn is_long(self) -> bool {
        matches!(self, Self::AppendLong | Self::AppendHuge)
    }

    pub(crate) const fn unit(self) -> Unit {
        match self {
            Self::Reopen | Self::ReopenKilled | Self::AppendHuge => Unit::Millis,
            Self::AppendLong => Unit::Seconds,
            _ if self.is_durable() || self.is_cold() => Unit::EachAndThousandsPerSecond,
            _ => Unit::MillionsPerSecond,
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.to_possible_value().map(|value| value.get_name().to_owned());
        formatter.write_str(&name.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_of_a_kind_and_named_alike_everywhere() {
        let [hash, tree] = [Kind::Hash, Kind::Tree].map(|kind| Row::groups(kind).concat());
        for row in Row::value_variants() {
            let times = |rows: &[Row]| rows.iter().filter(|one| *one == row).count();
            assert!(times(&hash) <= 1 && times(&tree) <= 1 && times(&hash) + times(&tree) >= 1);
            assert_eq!(serde_json::to_string(row).unwrap(), format!("\"{row}\""));
        }
    }

    #[test]
    fn kinds_are_named_alike_everywhere() {
        for kind in Kind::value_variants() {
            assert_eq!(kind.to_possible_value().unwrap().get_name(), kind.to_string());
        }
    }
}
