//! A comparison as text.

use crate::comparison::{Comparison, Described, Verdict};
use crate::contender::Contender;
use std::fmt::Write as _;

/// Hit ratios by policy and size for each trace, means over all traces, and how the default did.
pub fn table(comparison: &Comparison) -> String {
    let mut text = String::new();
    for (number, trace) in comparison.traces().iter().enumerate() {
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(text, "{}", title(trace));
        let _ = write!(text, "  {:<10}", "hits, %");
        for &size in comparison.sizes() {
            let _ = write!(text, "{:>9}", format!("in {}", percent_of_size(size)));
        }
        text.push('\n');
        for &contender in comparison.contenders() {
            let _ = write!(text, "  {:<10}", contender.name());
            for score in comparison.scores_of(number, contender) {
                let _ = write!(text, "{:>9.2}", 100.0 * (1.0 - score.miss_ratio));
            }
            text.push('\n');
        }
        text.push('\n');
    }
    means(comparison, &mut text);
    if let Some(found) = comparison.verdict().filter(|_| comparison.contenders().len() > 1) {
        verdict(comparison, &found, &mut text);
    }
    text
}

fn title(trace: &Described) -> String {
    let &Described { ref name, requests, objects, bytes } = trace;
    format!("{name}: {requests} requests for {objects} objects of {bytes} bytes")
}

/// A size as a percentage, without digits that say nothing.
pub(crate) fn percent_of_size(size: f64) -> String {
    let rounded = (size * 1e6).round() / 1e4;
    format!("{rounded}%")
}

fn means(comparison: &Comparison, text: &mut String) {
    let default = comparison.mean_miss_ratio(Contender::DEFAULT);
    let _ = writeln!(text, "Mean of all traces and sizes");
    let _ = write!(text, "  {:<10}{:>9}", "", "misses, %");
    let _ = match default {
        Some(_) => writeln!(text, "  of {}'s", Contender::DEFAULT.name()),
        None => writeln!(text),
    };
    for &contender in comparison.contenders() {
        let Some(mean) = comparison.mean_miss_ratio(contender) else { continue };
        let _ = write!(text, "  {:<10}{:>9.2}", contender.name(), 100.0 * mean);
        let _ = match default {
            Some(default) if default > 0.0 => writeln!(text, "{:>13.3}", mean / default),
            _ => writeln!(text),
        };
    }
}

fn verdict(comparison: &Comparison, verdict: &Verdict, text: &mut String) {
    let more = |ratio: f64| format!("{:.2} % more misses than", 100.0 * (ratio - 1.0));
    let name = Contender::DEFAULT.name();
    let _ = writeln!(text, "\n{name} has, in the mean over all sizes,");
    if verdict.best == Contender::DEFAULT {
        let _ = writeln!(text, "  the fewest misses of all over all traces");
    } else {
        let (best, misses) = (verdict.best.name(), more(verdict.to_best));
        let _ = writeln!(text, "  {misses} the best, {best}, over all traces");
    }
    if let Some(ratio) = verdict.to_lru {
        let less = 100.0 * (1.0 - ratio);
        let _ = writeln!(text, "  {less:.2} % fewer misses than lru over all traces");
    }
    let (trace, best, ratio) = verdict.worst;
    if best != Contender::DEFAULT {
        let trace = comparison.traces().get(trace).map_or("", |trace| trace.name.as_str());
        let _ =
            writeln!(text, "  {} the best, {}, on {trace}, its worst", more(ratio), best.name());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Request, Trace};

    #[test]
    fn it_is_laid_out() {
        let requests = [1, 2, 1, 3].map(|key| Request { key, size: 10, ttl: 0 });
        let contenders = [Contender::S3Fifo, Contender::Lru, Contender::Belady];
        let mut compared = Comparison::new(&contenders, &[0.001, 1.0]);
        compared.add(&Trace::new("day", requests.to_vec()), &mut |_| {});
        let expected = "\
day: 4 requests for 3 objects of 30 bytes
  hits, %     in 0.1%  in 100%
  s3-fifo        0.00    25.00
  lru            0.00    25.00
  belady         0.00    25.00

Mean of all traces and sizes
            misses, %  of s3-fifo's
  s3-fifo       87.50        1.000
  lru           87.50        1.000
  belady        87.50        1.000

s3-fifo has, in the mean over all sizes,
  the fewest misses of all over all traces
  0.00 % fewer misses than lru over all traces
";
        assert_eq!(table(&compared), expected);
    }
}
