//! The shapes of load that are measured.

use todana_bench::{Dialect, Distribution, Plan, ValueSize};

/// One row: a name and a shape of requests.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) dialect: Dialect,
    pub(crate) get_ratio: f64,
    pub(crate) pipeline: usize,
    pub(crate) keys_per_get: usize,
    pub(crate) value_size: usize,
    pub(crate) unix: bool,
    pub(crate) keys_by: Distribution,
}

impl Row {
    /// Whether the same servers, with the same records, do for both.
    pub(crate) fn shares_servers(&self, other: &Self) -> bool {
        (self.value_size, self.unix) == (other.value_size, other.unix)
    }

    /// The row with keys chosen in this way.
    fn by(&self, keys_by: Distribution) -> Self {
        let name = match keys_by {
            Distribution::Uniform => self.name.clone(),
            Distribution::Zipf(_) => format!("{}, {keys_by}", self.name),
        };
        Self { name, keys_by, ..self.clone() }
    }

    /// Keys in a batch.
    pub(crate) fn keys_per_batch(&self) -> usize {
        self.pipeline * self.keys_per_get
    }

    /// The row as a plan for `keys` keys, without target, amount or rate.
    pub(crate) fn plan(&self, keys: u64) -> Plan {
        Plan {
            connections: 50,
            dialect: self.dialect,
            get_ratio: self.get_ratio,
            pipeline: self.pipeline,
            keys_per_get: self.keys_per_get,
            value_size: ValueSize::Fixed(self.value_size),
            keys,
            distribution: self.keys_by,
            ..Plan::default()
        }
    }
}

/// Every row with keys chosen in each of these ways, those of one value size and transport together.
pub(crate) fn by_keys(unix: bool, ways: &[Distribution]) -> Vec<Row> {
    let uniform = all(unix);
    let groups = uniform.chunk_by(Row::shares_servers);
    groups
        .flat_map(|group| ways.iter().flat_map(|way| group.iter().map(|row| row.by(*way))))
        .collect()
}

/// All rows, of keys chosen uniformly, those of one value size and transport together.
pub(crate) fn all(unix: bool) -> Vec<Row> {
    let mut rows = Vec::new();
    for value_size in [64, 1024] {
        for (mix, get_ratio) in [("get", 1.0), ("set", 0.0), ("90/10", 0.9)] {
            rows.push(text(mix, get_ratio, value_size, 1, 1));
            rows.push(text(mix, get_ratio, value_size, 50, 1));
        }
        rows.push(text("get", 1.0, value_size, 1, 50));
        if value_size == 64 {
            rows.push(quiet("meta get", Dialect::MetaQuiet));
            rows.push(quiet("binary get", Dialect::BinaryQuiet));
        }
    }
    if unix {
        for (mix, get_ratio) in [("get", 1.0), ("set", 0.0)] {
            for pipeline in [1, 50] {
                let row = text(mix, get_ratio, 64, pipeline, 1);
                rows.push(Row { name: format!("unix {}", row.name), unix: true, ..row });
            }
        }
    }
    rows
}

fn text(mix: &str, get_ratio: f64, value_size: usize, pipeline: usize, keys_per_get: usize) -> Row {
    let shape = match (pipeline, keys_per_get) {
        (1, 1) => "one in flight".to_owned(),
        (_, 1) => format!("{pipeline} pipelined"),
        _ => format!("multi-get {keys_per_get}"),
    };
    Row {
        name: format!("{mix} {value_size} B, {shape}"),
        dialect: Dialect::Text,
        get_ratio,
        pipeline,
        keys_per_get,
        value_size,
        unix: false,
        keys_by: Distribution::Uniform,
    }
}

fn quiet(name: &str, dialect: Dialect) -> Row {
    Row { name: format!("{name} 64 B, 50 quiet"), dialect, ..text("get", 1.0, 64, 50, 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_share_servers_stay_together() {
        let ways = [Distribution::Uniform, Distribution::Zipf(0.99)];
        let (uniform, rows) = (all(true), by_keys(true, &ways));
        assert_eq!(rows.len(), 2 * uniform.len());
        let groups = |rows: &[Row]| rows.chunk_by(Row::shares_servers).count();
        assert_eq!(groups(&rows), groups(&uniform));
        assert_eq!(rows.last().map(|row| row.name.ends_with(", zipf:0.99")), Some(true));
    }
}
