//! Bounds of the ordered engine.

use super::{Check, Figures, MANY_RECORDS};
use crate::contestant::{LMDB, TODANA, TOKYO};
use crate::floor::Floor;
use crate::measure::{Sample, Series};
use crate::row::Row;
use crate::table::paired;

pub(super) const ABOUT: &str = "Ratios are of operations a CPU second, but a second in rows of long \
                                values, cold rows and those of two threads. The best: the best of \
                                all rivals, with as many puts a transaction.";

/// Everything in the directory after random puts, for values of 8 bytes, with versions for CAS.
const FILE_BYTES_MAX: f64 = 22.0;
/// Over a plain sequential write of the bytes of long values.
const LONG_OVER_FLOOR_MAX: f64 = 1.3;
/// Read and written for an append to a huge value, whatever its length.
const HUGE_IO_BYTES_MAX: f64 = 65_536.0;

pub(super) fn checks(figures: &Figures<'_>, records: u32, value_len: u32) -> Vec<Check> {
    let mut checks = speeds(figures, records >= MANY_RECORDS);
    if figures.has(Row::PutRandom) && value_len == 8 {
        let each = f64::from(records);
        let seen = figures.todana(Row::PutRandom, |sample| sample.file_bytes as f64 / each);
        let what = format!("{}, bytes a record after close", Row::PutRandom);
        checks.push(Check::at_most(what, FILE_BYTES_MAX, seen));
    }
    if figures.has(Row::Mixed) {
        let what = format!("{}, × {}", Row::Mixed, Row::MixedCopies);
        checks.push(Check::at_least(what, 0.9, over_copies(figures)));
    }
    checks.extend(long_values(figures));
    checks.extend(cold(figures));
    checks
}

/// Rows of many small records in memory, by CPU time.
fn speeds(figures: &Figures<'_>, many: bool) -> Vec<Check> {
    use Row::{GetBulk, GetRandom, PutRandom, PutRandomSingle, PutSeq, PutSeqSingle, Scan};
    let speed = Sample::per_cpu_second;
    let mut checks = Vec::new();
    let (seq, random) = if many { (1.5, 4.0) } else { (1.5, 2.5) };
    let puts = [(PutSeq, seq), (PutSeqSingle, seq), (PutRandom, random), (PutRandomSingle, random)];
    for (row, wanted) in puts.into_iter().filter(|(row, _)| figures.has(*row)) {
        checks.push(if many {
            Check::at_least(format!("{row}, × {LMDB}"), wanted, figures.against(row, LMDB, speed))
        } else {
            let seen = figures.against_best(row, &[row], speed, is_rival);
            Check::at_least(format!("{row}, × the best"), wanted, seen)
        });
    }
    let reads = [(GetRandom, 1.5), (GetBulk, 4.0), (Scan, 1.0)];
    for (row, wanted) in reads.into_iter().filter(|(row, _)| figures.has(*row)) {
        let seen = figures.against(row, LMDB, speed);
        checks.push(Check::at_least(format!("{row}, × {LMDB}"), wanted, seen));
    }
    checks
}

fn long_values(figures: &Figures<'_>) -> Vec<Check> {
    let mut checks = Vec::new();
    if figures.has(Row::AppendLong) {
        let (row, floor) = (Row::AppendLong, Floor::Sequential.name());
        let seen = figures.against(row, floor, Sample::per_second).map(f64::recip);
        checks.push(Check::at_most(
            format!("{row}, time over {floor}"),
            LONG_OVER_FLOOR_MAX,
            seen,
        ));
        let seen = figures.against(row, TOKYO, Sample::per_second);
        checks.push(Check::at_least(format!("{row}, × {TOKYO}"), 3.0, seen));
    }
    if figures.has(Row::AppendHuge) {
        let what = format!("{}, bytes read and written an append", Row::AppendHuge);
        let seen = figures.todana(Row::AppendHuge, Sample::io_bytes);
        checks.push(Check::at_most(what, HUGE_IO_BYTES_MAX, seen));
    }
    checks
}

/// Rows of more data than memory, by wall time.
fn cold(figures: &Figures<'_>) -> Vec<Check> {
    let rows = [(Row::ColdGetRandom, 1.2), (Row::ColdGetBulk, 4.0), (Row::ColdPutRandom, 3.0)];
    let there = rows.into_iter().filter(|(row, _)| figures.has(*row));
    there
        .map(|(row, wanted)| {
            let seen = figures.against_best(row, &[row], Sample::per_second, is_rival);
            Check::at_least(format!("{row}, × the best"), wanted, seen)
        })
        .collect()
}

/// Two threads on one store over two on stores of their own.
fn over_copies(figures: &Figures<'_>) -> Option<f64> {
    let together = figures.row(Row::Mixed)?.of(TODANA)?;
    let apart = figures.row(Row::MixedCopies)?.of(TODANA)?;
    paired(together, apart, Sample::per_second)
}

/// Neither Todana nor a floor.
fn is_rival(series: &Series) -> bool {
    series.contestant != TODANA && series.samples.iter().all(|sample| sample.cpu_s.is_finite())
}
