//! Results as Markdown.

use std::fmt::Write;

use crate::measure::{CLIENT_SHARE_MAX, Measured, OTHER_MAX, Sample, Series};

pub(crate) fn head() -> String {
    "| row | contestant | CPU µs/key, median [min..max] | × memcached | % of floor | p99 µs \
     | client | other | remarks | closed loop keys/s | its CPU µs/key | its client |\n\
     |---|---|---|---|---|---|---|---|---|---|---|---|\n"
        .to_owned()
}

pub(crate) fn legend() -> String {
    format!(
        "CPU per key, p99, client and other are of the open loop: the same rate for all. × memcached: \
         memcached's CPU over the contestant's, median of pairs, above 1 is cheaper than memcached. \
         % of floor: the floor's CPU over the contestant's (for Redis that of the \
         floor that speaks RESP), 100 is the bound. Client and other: shares \
         of a core. *void*: client above {CLIENT_SHARE_MAX} or rate not kept. *dirty n*: n \
         measurements with other work above {OTHER_MAX} of a core.\n"
    )
}

/// The lines of a row, one a contestant.
pub(crate) fn lines(measured: &Measured) -> String {
    let of = |name: &str| measured.series.iter().find(|series| series.contestant == name);
    let mut out = String::new();
    for series in &measured.series {
        let cpu = values(&series.open, |sample| sample.cpu_us_per_key);
        let at_rate = format!("{}, {:.0} k keys/s", measured.row, measured.keys_per_second / 1e3);
        let _ = writeln!(
            out,
            "| {at_rate} | {} | {} [{}..{}] | {} | {} | {:.0} | {:.2} | {:.2} | {} | {:.0} | {} | {:.2} |",
            series.contestant,
            micros(median(&cpu)),
            micros(cpu.iter().copied().fold(f64::INFINITY, f64::min)),
            micros(cpu.iter().copied().fold(0.0, f64::max)),
            paired(of("memcached"), series).map_or("–".to_owned(), |ratio| format!("{ratio:.2}")),
            paired(of(floor_of(series.contestant)), series)
                .map_or("–".to_owned(), |ratio| format!("{:.0}", ratio * 100.0)),
            median(&values(&series.open, |sample| sample.p99_us)),
            median(&values(&series.open, |sample| sample.client_share)),
            median(&values(&series.open, |sample| sample.other_share)),
            remarks(series),
            median(&values(&series.closed, |sample| sample.keys_per_second)),
            micros(median(&values(&series.closed, |sample| sample.cpu_us_per_key))),
            median(&values(&series.closed, |sample| sample.client_share)),
        );
    }
    out
}

/// The floor that does what this contestant does: they are compared in one dialect.
fn floor_of(contestant: &str) -> &'static str {
    match contestant {
        "redis" | "floor-resp" => "floor-resp",
        "floor-ring" => "floor-ring",
        _ => "floor",
    }
}

pub(crate) fn values(samples: &[Sample], of: impl Fn(&Sample) -> f64) -> Vec<f64> {
    samples.iter().map(of).collect()
}

/// Median of the ratios of CPU, round by round: neighbours in time are compared.
fn paired(reference: Option<&Series>, series: &Series) -> Option<f64> {
    let pairs = reference?.open.iter().zip(&series.open);
    Some(median(&pairs.map(|(a, b)| a.cpu_us_per_key / b.cpu_us_per_key).collect::<Vec<_>>()))
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

/// Three digits that matter.
fn micros(value: f64) -> String {
    if value >= 10.0 {
        format!("{value:.1}")
    } else if value >= 1.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.3}")
    }
}

fn remarks(series: &Series) -> String {
    let mut remarks = Vec::new();
    let count = |wrong: fn(&Sample) -> bool| series.open.iter().filter(|s| wrong(s)).count();
    if count(Sample::is_void) * 2 > series.open.len() {
        remarks.push("**void**".to_owned());
    }
    let dirty = count(|sample| sample.other_share > OTHER_MAX);
    if dirty > 0 {
        remarks.push(format!("dirty {dirty}"));
    }
    let hits = median(&values(&series.open, |sample| sample.hit_ratio));
    if hits < 0.9999 {
        remarks.push(format!("hits {:.2} %", hits * 100.0));
    }
    let errors: u64 = series.open.iter().chain(&series.closed).map(|sample| sample.errors).sum();
    if errors > 0 {
        remarks.push(format!("{errors} errors"));
    }
    remarks.join(", ")
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
}
