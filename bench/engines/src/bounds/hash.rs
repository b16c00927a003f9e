//! Bounds of the hash engine.

use super::{Check, Figures, MANY_RECORDS};
use crate::contestant::{LMDB, TOKYO};
use crate::floor::Floor;
use crate::measure::Sample;
use crate::row::Row;

pub(super) const ABOUT: &str = "Ratios are of operations a CPU second, but of puts a second in durable \
                                rows. The best: the best of the hash rivals.";

/// Everything in the directory after close, for values of 8 bytes.
const FILE_BYTES_MAX: f64 = 25.0;
/// Resident memory beside the page cache, at many records.
const ANON_BYTES_MAX: f64 = 14.0;
/// To open, for a million records.
const REOPEN_S_MAX: f64 = 0.3;
/// Durable puts a second of 64 writers.
const DURABLE_64_MIN: f64 = 50_000.0;

pub(super) fn checks(figures: &Figures<'_>, records: u32, value_len: u32) -> Vec<Check> {
    let mut checks = Vec::new();
    let many = records >= MANY_RECORDS;
    let is_there = |row| figures.has(row);
    let against =
        |row, rival: &str, of: fn(&Sample) -> f64| figures.against(row, rival, of);
    let against_best = |row, rows: &[Row]| {
        figures.against_best(row, rows, Sample::per_cpu_second, |series| series.is_hash_rival)
    };
    let speed = Sample::per_cpu_second;
    let speeds = [(Row::PutSeq, 2.0, 2.0), (Row::PutRandom, 2.0, 2.0), (Row::GetRandom, 1.5, 1.4)];
    for (row, best_few, best_many) in speeds.into_iter().filter(|(row, ..)| is_there(*row)) {
        if !many {
            checks.push(Check::at_least(
                format!("{row}, × {TOKYO}"),
                3.0,
                against(row, TOKYO, speed),
            ));
        }
        let wanted = if many { best_many } else { best_few };
        checks.push(Check::at_least(
            format!("{row}, × the best"),
            wanted,
            against_best(row, &[row]),
        ));
    }
    if is_there(Row::GetBulk) {
        // A rival whose bulk call is slower than its single one is taken by the single one.
        let seen = against_best(Row::GetBulk, &[Row::GetBulk, Row::GetRandom]);
        let what = format!("{}, × the best, in bulk or one by one", Row::GetBulk);
        checks.push(Check::at_least(what, 4.0, seen));
    }
    if is_there(Row::Delete) {
        let seen = against(Row::Delete, TOKYO, speed);
        checks.push(Check::at_least(format!("{}, × {TOKYO}", Row::Delete), 3.0, seen));
    }
    let figure = |row, of: &dyn Fn(&Sample) -> f64| figures.todana(row, of);
    let each = f64::from(records);
    for row in [Row::PutSeq, Row::PutRandom].into_iter().filter(|row| is_there(*row)) {
        if value_len == 8 {
            let seen = figure(row, &|sample| sample.file_bytes as f64 / each);
            checks.push(Check::at_most(
                format!("{row}, bytes a record after close"),
                FILE_BYTES_MAX,
                seen,
            ));
        }
    }
    for row in [Row::PutRandom, Row::GetRandom, Row::Reopen] {
        if many && is_there(row) {
            let seen = figure(row, &|sample| sample.rss_anon_bytes as f64 / each);
            let what = format!("{row}, resident bytes a record beside the page cache");
            checks.push(Check::at_most(what, ANON_BYTES_MAX, seen));
        }
    }
    if is_there(Row::Reopen) {
        let seen = figure(Row::Reopen, &|sample| sample.wall_s / each * 1e6);
        let what = format!("{} (clean), seconds a million records", Row::Reopen);
        checks.push(Check::at_most(what, REOPEN_S_MAX, seen));
    }
    if is_there(Row::PutDurable1) {
        let floor = Floor::Append.name();
        let seen = against(Row::PutDurable1, floor, Sample::per_second);
        checks.push(Check::at_least(format!("{}, × {floor}", Row::PutDurable1), 0.9, seen));
    }
    if is_there(Row::PutDurable64) {
        let row = Row::PutDurable64;
        let seen = against(row, LMDB, Sample::per_second);
        checks.push(Check::at_least(format!("{row}, × {LMDB}"), 10.0, seen));
        let seen = figure(row, &Sample::per_second);
        checks.push(Check::at_least(format!("{row}, puts a second"), DURABLE_64_MIN, seen));
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contestant::TODANA;
    use crate::measure::{Measured, Series};
    use crate::row::Kind;

    fn series(contestant: &'static str, row: Row, millions_per_cpu_second: f64) -> Series {
        let sample = Sample {
            row,
            operations: 1_000_000,
            wall_s: 1.0,
            cpu_s: 1.0 / millions_per_cpu_second,
            other_cpu_s: 0.0,
            loadavg: 0.0,
            file_bytes: 24_000_000,
            file_allocated_bytes: 24_000_000,
            rss_bytes: 0,
            rss_anon_bytes: 0,
            rss_file_bytes: 0,
            read_bytes: 0,
            written_bytes: 0,
            policy: String::new(),
            bulk: String::new(),
        };
        let is_hash_rival = contestant == TOKYO || contestant == "Tkrzw";
        Series { contestant, is_hash_rival, samples: vec![sample] }
    }

    fn row(row: Row, todana: f64, tokyo: f64, tkrzw: f64) -> Measured {
        let series = vec![
            series(TODANA, row, todana),
            series(TOKYO, row, tokyo),
            series("Tkrzw", row, tkrzw),
            series("redb", row, 100.0),
        ];
        Measured { row, series }
    }

    fn check(measured: &[Measured], expected: &[&str]) {
        let checks = checks(&Figures { measured }, 1_000_000, 8);
        let verdicts: Vec<String> =
            checks.iter().map(|check| format!("{}: {}", check.what, check.verdict())).collect();
        assert_eq!(verdicts, expected);
    }

    #[test]
    fn the_best_is_a_hash_rival() {
        check(
            &[row(Row::PutSeq, 3.0, 1.0, 2.0)],
            &[
                "put-seq, × Tokyo Cabinet: ok",
                "put-seq, × the best: **below by 25 %**",
                "put-seq, bytes a record after close: ok",
            ],
        );
    }

    #[test]
    fn a_slow_bulk_call_is_no_excuse() {
        check(
            &[row(Row::GetRandom, 9.0, 1.0, 2.0), row(Row::GetBulk, 6.0, 1.0, 1.0)],
            &[
                "get-random, × Tokyo Cabinet: ok",
                "get-random, × the best: ok",
                "get-bulk-32, × the best, in bulk or one by one: **below by 25 %**",
            ],
        );
    }

    #[test]
    fn who_is_missing_is_not_judged_by() {
        let measured =
            Measured { row: Row::Delete, series: vec![series(TODANA, Row::Delete, 1.0)] };
        check(&[measured], &["delete, × Tokyo Cabinet: not measured"]);
        assert_eq!(super::super::table(Kind::Hash, &[], 1, 8), "");
    }
}
