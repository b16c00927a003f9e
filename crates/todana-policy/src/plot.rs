//! A comparison as a picture: SVG, a panel a trace, a line a policy, the bound dashed.

use crate::comparison::Comparison;
use crate::contender::Contender;
use crate::table::percent_of_size;
use std::fmt::Write as _;

/// Panels beside each other.
const COLUMNS: usize = 3;
/// A panel with its labels, in pixels.
const PANEL: (f64, f64) = (340.0, 260.0);
/// Left upper corner of the plotted area in its panel, and its size.
const AREA: (f64, f64, f64, f64) = (52.0, 34.0, 272.0, 176.0);
/// Height of the legend.
const LEGEND: f64 = 40.0;

/// The picture, as the text of an SVG file: hit ratios by size, on a logarithmic axis.
pub fn svg(comparison: &Comparison) -> String {
    let count = comparison.traces().len();
    let columns = count.clamp(1, COLUMNS);
    let rows = count.div_ceil(columns);
    let (width, height) = (PANEL.0 * COLUMNS as f64, LEGEND + PANEL.1 * rows as f64);
    // Writing to a string cannot fail, here and below.
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <title>Hit ratio by policy and cache size</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (index, &contender) in comparison.contenders().iter().enumerate() {
        let x = AREA.0 + 130.0 * index as f64;
        let style = style(contender);
        let name = contender.name();
        let _ = writeln!(out, "<path d=\"M{x} 20h24\" {style}/>");
        let _ = writeln!(out, "<text x=\"{}\" y=\"24\">{name}</text>", x + 30.0);
    }
    for trace in 0..count {
        let column = (trace % columns) as f64 * PANEL.0;
        let row = LEGEND + (trace / columns) as f64 * PANEL.1;
        let _ = writeln!(out, "<g transform=\"translate({column} {row})\">");
        Panel::of(comparison, trace).draw(&mut out);
        out.push_str("</g>\n");
    }
    out.push_str("</svg>\n");
    out
}

struct Panel<'c> {
    comparison: &'c Comparison,
    trace: usize,
    /// The logarithms of the sizes at both ends.
    ends: (f64, f64),
    /// The hit ratio at the top.
    top: f64,
}

impl Panel<'_> {
    fn of(comparison: &Comparison, trace: usize) -> Panel<'_> {
        let logs = || comparison.sizes().iter().map(|size| size.ln());
        let ends = (logs().fold(0.0, f64::min), logs().fold(f64::NEG_INFINITY, f64::max));
        let scores = comparison.scores().iter().filter(|score| score.trace == trace);
        let highest = scores.fold(0.0, |highest: f64, score| highest.max(1.0 - score.miss_ratio));
        // A whole number of tenths, so that the lines of the grid have short labels.
        let top = ((highest * 10.0).ceil() / 10.0).clamp(0.1, 1.0);
        Panel { comparison, trace, ends, top }
    }

    fn x(&self, size: f64) -> f64 {
        let (first, last) = self.ends;
        let part = if last > first { (size.ln() - first) / (last - first) } else { 0.5 };
        AREA.0 + AREA.2 * part
    }

    fn y(&self, hit_ratio: f64) -> f64 {
        AREA.1 + AREA.3 * (1.0 - hit_ratio / self.top)
    }

    fn draw(&self, out: &mut String) {
        let (left, top, width, height) = AREA;
        let name = self.comparison.traces().get(self.trace).map_or("", |trace| &trace.name);
        let middle = left + width / 2.0;
        let name = escaped(name);
        let _ = writeln!(
            out,
            "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\" font-weight=\"bold\">{name}</text>",
            top - 10.0
        );
        for step in 0..=4 {
            let hit_ratio = self.top * f64::from(step) / 4.0;
            let y = self.y(hit_ratio);
            let _ = writeln!(out, "<path d=\"M{left} {y:.1}h{width}\" stroke=\"#ddd\"/>");
            let _ = writeln!(
                out,
                "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}%</text>",
                left - 4.0,
                y + 4.0,
                (hit_ratio * 1_000.0).round() / 10.0
            );
        }
        for &size in self.comparison.sizes() {
            let x = self.x(size);
            let _ = writeln!(out, "<path d=\"M{x:.1} {top}v{height}\" stroke=\"#eee\"/>");
            let _ = writeln!(
                out,
                "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                top + height + 14.0,
                percent_of_size(size)
            );
        }
        let _ = writeln!(
            out,
            "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\" fill=\"#555\">cache size, part of \
             all objects' bytes</text>",
            top + height + 30.0
        );
        let centre = top + height / 2.0;
        let _ = writeln!(
            out,
            "<text transform=\"translate(12 {centre}) rotate(-90)\" text-anchor=\"middle\" \
             fill=\"#555\">hit ratio</text>"
        );
        // The default last, over the others.
        for &contender in self.comparison.contenders().iter().rev() {
            self.line(contender, out);
        }
    }

    fn line(&self, contender: Contender, out: &mut String) {
        let scores = self.comparison.scores_of(self.trace, contender);
        let mut points: Vec<(f64, f64)> =
            scores.map(|score| (self.x(score.size), self.y(1.0 - score.miss_ratio))).collect();
        points.sort_by(|one, other| one.0.total_cmp(&other.0));
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let style = style(contender);
        let _ = writeln!(out, "<polyline points=\"{}\" {style}/>", points.join(" "));
    }
}

/// Colours that the colour-blind can tell apart (M. Okabe, K. Ito 2008).
fn style(contender: Contender) -> String {
    let (colour, width, dash) = match contender {
        Contender::S3Fifo => ("#d55e00", "2.5", ""),
        Contender::WTinyLfu => ("#0072b2", "1.5", ""),
        Contender::Arc => ("#009e73", "1.5", ""),
        Contender::Sieve => ("#cc79a7", "1.5", ""),
        Contender::Clock => ("#56b4e9", "1.5", ""),
        Contender::Lru => ("#e69f00", "1.5", ""),
        Contender::Belady => ("#000", "1.2", " stroke-dasharray=\"5 3\""),
    };
    format!("fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\"{dash}")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Request, Trace};

    #[test]
    fn it_has_a_panel_a_trace_and_a_line_a_policy() {
        let requests = vec![Request { key: 1, size: 1, ttl: 0 }; 10];
        let mut compared = Comparison::new(&Contender::ALL, &[0.1, 1.0]);
        compared.add(&Trace::new("a<b", requests.clone()), &mut |_| {});
        compared.add(&Trace::new("c", requests), &mut |_| {});
        let text = svg(&compared);
        assert!(text.starts_with("<svg ") && text.ends_with("</svg>\n"));
        assert!(text.contains("a&lt;b") && text.contains("hit ratio") && text.contains("10%"));
        assert_eq!(text.matches("<g ").count(), 2);
        assert_eq!(text.matches("<polyline ").count(), 2 * Contender::ALL.len());
        assert!(!text.contains("NaN") && !text.contains("inf"));
    }
}
