//! A store inside a program, without a server: `cargo run -p todana-store --example embedded`.

use std::time::Duration;
use todana_store::{Error, Store};

fn main() -> Result<(), Error> {
    // 64 MiB; when they are full, records that nobody fetched go first.
    let store = Store::memory(64 << 20)?;

    store.set(b"greeting", b"hello")?;
    store.set_for(b"session:17", b"logged in", Duration::from_secs(1_800))?;
    store.set(b"visits", b"41")?;
    println!("visits: {:?}", store.increment(b"visits", 1)?);

    // Change a value only if nobody else has since we looked.
    if let Some(record) = store.get(b"greeting")? {
        let swapped = store.compare_and_set(b"greeting", b"hello again", record.meta.version)?;
        println!("swapped: {swapped}");
    }
    if let Some(record) = store.get(b"greeting")? {
        println!("greeting: {}", String::from_utf8_lossy(&record.value));
    }
    Ok(())
}
