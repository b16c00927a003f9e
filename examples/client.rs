//! The client library against a running server: `cargo run -p todana-client --example client`.

use std::time::Duration;
use todana_client::{Client, Error, Expiry};

fn main() -> Result<(), Error> {
    let client = Client::connect("127.0.0.1:11211")?;
    client.set("greeting", "hello", 0, Expiry::In(Duration::from_secs(60)))?;
    if let Some(value) = client.get("greeting")? {
        println!("greeting: {}", String::from_utf8_lossy(&value.data));
    }
    client.set("visits", "41", 0, Expiry::Never)?;
    println!("visits: {:?}", client.incr("visits", 1)?);

    // Many operations, few system calls.
    let mut pipeline = client.pipeline();
    for number in 0..1_000 {
        pipeline.set(format!("key{number}"), "value", 0, Expiry::Never);
    }
    println!("pipelined: {}", pipeline.run()?.len());
    Ok(())
}
