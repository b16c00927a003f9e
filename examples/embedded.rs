//! A store inside a program, without a server: `cargo run -p todana-store --example embedded`.

use std::time::Duration;

fn main() -> Result<(), todana_store::Error> {
    // A directory, made when there is none. In memory instead: "*".
    let store = todana_store::open("casket.tdh")?;
    store.set(b"greeting", b"hello")?;
    store.set_for(b"session:17", b"Ada", Duration::from_secs(1_800))?;
    store.add(b"visits", b"0")?;
    println!("visit {:?}", store.increment(b"visits", 1)?);
    if let Some(record) = store.get(b"greeting")? {
        println!("{}", String::from_utf8_lossy(&record.value));
    }
    store.close()
}
