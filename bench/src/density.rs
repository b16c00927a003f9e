//! How many records a server holds in a given resident memory.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::fill::{self, Held, Shape};
use crate::{Contestants, Result, write_json};

const GIB: f64 = (1u64 << 30) as f64;

#[derive(Args)]
pub(crate) struct DensityArgs {
    #[command(flatten)]
    contestants: Contestants,
    /// Resident memory that each server shall have, in MiB; --memory-mib does nothing here
    #[arg(long, default_value_t = 1024)]
    mib: u64,
    /// Set so many times as many new keys as it holds, and look again; 0 for freshly loaded only
    #[arg(long, default_value_t = 10)]
    turnover: u64,
    /// Sizes of key and value, KEY+VALUE in bytes, several by commas
    #[arg(long, value_delimiter = ',', value_parser = shape, default_value = "26+64,20+20")]
    shapes: Vec<Shape>,
    /// Write every figure to this file
    #[arg(long)]
    json: Option<PathBuf>,
}

/// One line of the table.
#[derive(Debug, Serialize)]
struct Density {
    shape: String,
    state: &'static str,
    contestant: &'static str,
    memory_limit_mib: u64,
    resident_kib: u64,
    records: u64,
    /// Sets refused so far.
    refused: u64,
    records_per_gib: f64,
    bytes_per_record: f64,
    /// Against memcached in the same state.
    ratio: Option<f64>,
}

/// `todana-side-by-side density`.
pub(crate) fn run(args: &DensityArgs) -> Result<()> {
    crate::machine::pin_myself(args.contestants.client_core)?;
    println!(
        "| records | state | contestant | -m | resident MiB | records held | records per GiB \
         | B a record | × memcached | sets refused |\n|---|---|---|---|---|---|---|---|---|---|"
    );
    let mut all: Vec<Density> = Vec::new();
    for &shape in &args.shapes {
        for who in args.contestants.present_stores() {
            let (mut filling, fresh) = fill::fit(&args.contestants, who, shape, args.mib)?;
            let mut states = vec![("fresh", fresh, filling.refused)];
            if args.turnover > 0 {
                eprintln!("{}, {}: turnover", who.name(), shape.name());
                let turned_over = filling.set(args.turnover * fresh.records.held)?;
                states.push(("turned over", turned_over, filling.refused));
            }
            for (state, held, refused) in states {
                let mut line = Density::new(shape, state, who.name(), held);
                (line.memory_limit_mib, line.refused) = (filling.memory_mib, refused);
                line.ratio = ratio(&line, &all);
                println!("{}", line.markdown());
                all.push(line);
            }
        }
    }
    write_json(args.json.as_deref(), &all)
}

impl Density {
    fn new(shape: Shape, state: &'static str, contestant: &'static str, held: Held) -> Self {
        let (records, resident_kib) = (held.records.held, held.resident_kib);
        let resident = (resident_kib << 10) as f64;
        Self {
            shape: shape.name(),
            state,
            contestant,
            memory_limit_mib: 0,
            resident_kib,
            records,
            refused: 0,
            records_per_gib: records as f64 / resident * GIB,
            bytes_per_record: resident / records as f64,
            ratio: None,
        }
    }

    fn markdown(&self) -> String {
        format!(
            "| {} | {} | {} | {} | {:.1} | {} | {:.0} | {:.1} | {} | {} |",
            self.shape,
            self.state,
            self.contestant,
            self.memory_limit_mib,
            self.resident_kib as f64 / 1024.0,
            self.records,
            self.records_per_gib,
            self.bytes_per_record,
            self.ratio.map_or("–".to_owned(), |ratio| format!("{ratio:.3}")),
            self.refused,
        )
    }
}

/// Records per GiB over memcached's, which goes first.
fn ratio(line: &Density, before: &[Density]) -> Option<f64> {
    if line.contestant == "memcached" {
        return Some(1.0);
    }
    let reference = before.iter().find(|other| {
        (other.contestant, other.state) == ("memcached", line.state) && other.shape == line.shape
    })?;
    Some(line.records_per_gib / reference.records_per_gib)
}

fn shape(text: &str) -> std::result::Result<Shape, String> {
    let sizes = text.split_once('+').and_then(|(key, value)| {
        Some(Shape { key_bytes: key.parse().ok()?, value_bytes: value.parse().ok()? })
    });
    sizes.ok_or_else(|| "write bytes of key and value as 26+64".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_read_as_they_are_printed() {
        assert_eq!(shape("26+64").map(Shape::name), Ok("26+64 B".to_owned()));
        assert!(shape("26").is_err() && shape("a+b").is_err());
    }
}
