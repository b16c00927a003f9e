//! Tables as Markdown.

use std::fmt::Write;

use crate::contestant::TODANA;
use crate::measure::{Measured, Sample, Series};
use crate::row::{Row, Unit};

pub(crate) const LEGEND: &str = "Median [least..most] of the rounds. × is Todana's figure over the \
    contestant's, median of rounds: above 1 Todana is faster. Bytes are per record: of the files at \
    the end of the row (in brackets what the file system gave them, where it differs), of resident \
    memory without and with a file behind it. Other: CPU of everybody else meanwhile, in % of one \
    core; load: the machine's average of a minute.";

/// A row as a heading and a table.
pub(crate) fn of(measured: &Measured, records: u32) -> String {
    let row = measured.row;
    let mut out = format!("\n### {row}: {}\n\n", row.about());
    let (per_cpu, per_wall) = units(row);
    let _ = writeln!(
        out,
        "| engine | {per_cpu} | {per_wall} | × CPU | × wall | file B | anon B | mapped B | other % | \
         load | flush |\n|---|---|---|---|---|---|---|---|---|---|---|"
    );
    let todana = measured.of(TODANA);
    for series in &measured.series {
        line(&mut out, row, series, todana, records);
    }
    out
}

const fn units(row: Row) -> (&'static str, &'static str) {
    match row.unit() {
        Unit::MillionsPerSecond => ("M ops a CPU second", "M ops a second"),
        Unit::EachAndThousandsPerSecond if row.is_durable() => ("CPU µs a put", "k puts a second"),
        Unit::EachAndThousandsPerSecond => ("CPU µs each", "k ops a second"),
        Unit::Seconds => ("CPU s", "wall s"),
        Unit::Millis => ("CPU ms", "wall ms"),
    }
}

fn line(out: &mut String, row: Row, series: &Series, todana: Option<&Series>, records: u32) {
    let cpu = values(series, |sample| match row.unit() {
        Unit::MillionsPerSecond => sample.per_cpu_second() / 1e6,
        Unit::EachAndThousandsPerSecond => sample.cpu_s * 1e6 / sample.operations as f64,
        Unit::Seconds => sample.cpu_s,
        Unit::Millis => sample.cpu_s * 1e3,
    });
    let wall = values(series, |sample| match row.unit() {
        Unit::MillionsPerSecond => sample.per_second() / 1e6,
        Unit::EachAndThousandsPerSecond => sample.per_second() / 1e3,
        Unit::Seconds => sample.wall_s,
        Unit::Millis => sample.wall_s * 1e3,
    });
    let ratio = |of: fn(&Sample) -> f64| {
        let known = todana.filter(|todana| todana.contestant != series.contestant);
        known.and_then(|todana| paired(todana, series, of)).map_or("–".to_owned(), digits)
    };
    let per_record = |of: fn(&Sample) -> u64| {
        median(&values(series, |sample| of(sample) as f64)) / f64::from(records)
    };
    let (len, allocated) =
        (per_record(|sample| sample.file_bytes), per_record(|sample| sample.file_allocated_bytes));
    // A durable row writes as many records as it comes to, others have long values: nothing to divide
    // by.
    let is_apart = row.is_durable() || row.is_long();
    let bytes = |value: f64| if is_apart { "–".to_owned() } else { digits(value) };
    let file = match bytes(len) {
        text if is_apart || (allocated / len - 1.0).abs() < 0.1 => text,
        text => format!("{text} ({})", digits(allocated)),
    };
    let other = values(series, |sample| sample.other_cpu_s / sample.wall_s * 100.0);
    let last = series.samples.last();
    let more = last.map_or_else(String::new, |sample| remarks(row, sample));
    let _ = writeln!(
        out,
        "| {} | {} | {} | {} | {} | {file} | {} | {} | {} | {} | {}{more} |",
        series.contestant,
        spread(&cpu),
        spread(&wall),
        ratio(Sample::per_cpu_second),
        ratio(Sample::per_second),
        bytes(per_record(|sample| sample.rss_anon_bytes)),
        bytes(per_record(|sample| sample.rss_file_bytes)),
        if other.iter().any(|value| value.is_nan()) {
            "–".to_owned()
        } else {
            format!("{:.0}", median(&other))
        },
        digits(median(&values(series, |sample| sample.loadavg))),
        last.map_or("", |sample| &sample.policy),
    );
}

/// What else there is to say of a row, behind its flushes.
fn remarks(row: Row, sample: &Sample) -> String {
    let mut out = String::new();
    if row.is_bulk() {
        let _ = write!(out, "; bulk: {}", sample.bulk);
    }
    let is_floor = sample.cpu_s.is_nan();
    if row.is_long() && !is_floor {
        let mb = |bytes: u64| digits(bytes as f64 / 1e6);
        let _ = write!(
            out,
            "; read {} MB, written {} MB, files {} MB, anon {} MB",
            mb(sample.read_bytes),
            mb(sample.written_bytes),
            mb(sample.file_bytes),
            mb(sample.rss_anon_bytes),
        );
    }
    if row.is_cold() {
        let each = |bytes: u64| digits(bytes as f64 / sample.operations as f64);
        let (read, written) = (each(sample.read_bytes), each(sample.written_bytes));
        let _ = write!(out, "; read {read} B, written {written} B each");
    }
    out
}

fn values(series: &Series, of: impl Fn(&Sample) -> f64) -> Vec<f64> {
    series.samples.iter().map(of).collect()
}

/// Median of the ratios of `a` to `b`, round by round; none of figures that are not known.
pub(crate) fn paired(a: &Series, b: &Series, of: impl Fn(&Sample) -> f64) -> Option<f64> {
    let ratios: Vec<f64> = a.samples.iter().zip(&b.samples).map(|(a, b)| of(a) / of(b)).collect();
    let known = !ratios.is_empty() && ratios.iter().all(|ratio| ratio.is_finite());
    known.then(|| median(&ratios))
}

/// The middle, or the mean of the two in the middle; 0 of nothing.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        even if even % 2 == 0 => f64::midpoint(sorted[middle - 1], sorted[middle]),
        _ => sorted[middle],
    }
}

fn spread(values: &[f64]) -> String {
    if values.iter().any(|value| value.is_nan()) {
        return "–".to_owned();
    }
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(0.0, f64::max);
    match values {
        [only] => digits(*only),
        _ => format!("{} [{}..{}]", digits(median(values)), digits(least), digits(most)),
    }
}

/// Three digits that matter.
pub(crate) fn digits(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        1.0.. => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[]), 0.0);
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), 2.5);
    }

    #[test]
    fn three_digits() {
        assert_eq!(digits(0.0123), "0.012");
        assert_eq!(digits(1.234), "1.23");
        assert_eq!(digits(123.4), "123");
    }
}
