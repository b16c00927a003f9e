//! What Todana is to reach, and whether it does.

mod hash;
mod tree;

use std::fmt::Write;

use crate::contestant::TODANA;
use crate::measure::{Measured, Sample, Series};
use crate::row::{Kind, Row};
use crate::table::{digits, median, paired};

/// From this many records on the bounds of 10 million hold, below it those of 1 million.
const MANY_RECORDS: u32 = 5_000_000;
/// One bound.
struct Check {
    what: String,
    wanted: f64,
    is_upper: bool,
    /// None where who or what it takes was not measured.
    seen: Option<f64>,
}

impl Check {
    fn at_least(what: String, wanted: f64, seen: Option<f64>) -> Self {
        Self { what, wanted, is_upper: false, seen }
    }

    fn at_most(what: String, wanted: f64, seen: Option<f64>) -> Self {
        Self { what, wanted, is_upper: true, seen }
    }

    fn verdict(&self) -> String {
        match self.seen {
            None => "not measured".to_owned(),
            Some(seen) if self.is_upper && seen > self.wanted => {
                format!("**above by {:.0} %**", (seen / self.wanted - 1.0) * 100.0)
            }
            Some(seen) if !self.is_upper && seen < self.wanted => {
                format!("**below by {:.0} %**", (1.0 - seen / self.wanted) * 100.0)
            }
            Some(_) => "ok".to_owned(),
        }
    }
}

/// The summary of a run in which Todana took part; nothing of another.
pub(crate) fn table(kind: Kind, measured: &[Measured], records: u32, value_len: u32) -> String {
    if !measured.iter().any(|measured| measured.of(TODANA).is_some()) {
        return String::new();
    }
    let figures = Figures { measured };
    let (about, checks) = match kind {
        Kind::Hash => (hash::ABOUT, hash::checks(&figures, records, value_len)),
        Kind::Tree => (tree::ABOUT, tree::checks(&figures, records, value_len)),
    };
    let mut out = format!(
        "\n### Bounds\n\n{about}\n\n| bound | wanted | seen | |\n|---|---|---|---|\n"
    );
    for check in checks {
        let _ = writeln!(
            out,
            "| {} | {} {} | {} | {} |",
            check.what,
            if check.is_upper { "≤" } else { "≥" },
            digits(check.wanted),
            check.seen.map_or("–".to_owned(), digits),
            check.verdict(),
        );
    }
    out
}

/// What was measured, as bounds ask for it.
struct Figures<'a> {
    measured: &'a [Measured],
}

impl Figures<'_> {
    fn row(&self, row: Row) -> Option<&Measured> {
        self.measured.iter().find(|measured| measured.row == row)
    }

    fn has(&self, row: Row) -> bool {
        self.row(row).is_some()
    }

    /// Median of a figure of Todana's.
    fn todana(&self, row: Row, of: impl Fn(&Sample) -> f64) -> Option<f64> {
        let series = self.row(row)?.of(TODANA)?;
        Some(median(&series.samples.iter().map(of).collect::<Vec<_>>()))
    }

    /// Todana over one rival in the same row.
    fn against(&self, row: Row, rival: &str, of: fn(&Sample) -> f64) -> Option<f64> {
        let measured = self.row(row)?;
        paired(measured.of(TODANA)?, measured.of(rival)?, of)
    }

    /// Todana in `row` over the best of the rivals in the best of `rows`.
    fn against_best(
        &self,
        row: Row,
        rows: &[Row],
        of: fn(&Sample) -> f64,
        is_rival: fn(&Series) -> bool,
    ) -> Option<f64> {
        let todana = self.row(row)?.of(TODANA)?;
        let measured = self.measured.iter().filter(|measured| rows.contains(&measured.row));
        let rivals = measured.flat_map(|measured| &measured.series).filter(|one| is_rival(one));
        rivals.filter_map(|rival| paired(todana, rival, of)).min_by(f64::total_cmp)
    }
}
