//! The rows, and which of them one process measures after the other.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

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
}

impl Row {
    /// All of them, those together that one process measures on one store. Every group starts with a
    /// new process, so that no row's memory is another's.
    pub(crate) const GROUPS: [&[Self]; 7] = [
        &[Self::PutSeq],
        &[Self::PutRandom],
        &[Self::GetRandom, Self::GetBulk, Self::Delete],
        &[Self::Overwrite],
        &[Self::Reopen],
        &[Self::PutDurable1],
        &[Self::PutDurable64],
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
        }
    }

    /// Whether the row takes a time rather than a number of operations.
    pub(crate) const fn is_durable(self) -> bool {
        matches!(self, Self::PutDurable1 | Self::PutDurable64)
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
    fn every_row_is_in_one_group_and_named_alike_everywhere() {
        let grouped: Vec<Row> = Row::GROUPS.concat();
        assert_eq!(grouped, Row::value_variants());
        for row in grouped {
            assert_eq!(serde_json::to_string(&row).unwrap(), format!("\"{row}\""));
        }
    }
}
