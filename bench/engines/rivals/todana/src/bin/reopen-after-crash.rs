//! How long a store takes to open after its process has died: `reopen-after-crash DIR [RECORDS]`.
//!
//! Fills a store of 8 + 8 bytes a record in a process that ends without closing it, then opens it in
//! this one and reads a record. What is in whole segments has footers; the last ones are scanned.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const FILL: &str = "--fill";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match &arguments[..] {
        [fill, dir, records] if fill == FILL => self::fill(Path::new(dir), records),
        [dir] => measure(Path::new(dir), "1000000"),
        [dir, records] => measure(Path::new(dir), records),
        _ => Err("reopen-after-crash DIR [RECORDS]".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("reopen-after-crash: {error}");
            ExitCode::FAILURE
        }
    }
}

fn fill(dir: &Path, records: &str) -> Result<()> {
    let store = todana_store::open(&format!("{}#flush=never", dir.display()))?;
    for number in 0..records.parse::<u32>()? {
        let number = number.wrapping_mul(2_654_435_761);
        store.set(format!("{number:08x}").as_bytes(), &u64::from(number).to_le_bytes())?;
    }
    store.sync()?;
    // Nothing is closed: as after a kill.
    std::process::exit(0);
}

fn measure(dir: &Path, records: &str) -> Result<()> {
    let program = std::env::current_exe()?;
    let status = Command::new(program).arg(FILL).arg(dir).arg(records).status()?;
    if !status.success() {
        return Err("the store could not be filled".into());
    }
    let begun = Instant::now();
    let store = todana_store::open(&dir.display().to_string())?;
    let found = store.get(b"00000000")?.is_some();
    let seconds = begun.elapsed().as_secs_f64();
    let millions = records.parse::<f64>()? / 1e6;
    println!(
        "{records} records: {seconds:.3} s, {:.3} s a million; {} there, the first one {}",
        seconds / millions,
        store.len(),
        if found { "too" } else { "not" }
    );
    store.close()?;
    Ok(())
}
