//! A store in the order of its keys: `cargo run -p todana-store --example ordered`.

use std::ops::Bound;
use todana_store::{Direction, Range};

fn main() -> Result<(), todana_store::Error> {
    // A directory, made when there is none. In memory instead: "+".
    let store = todana_store::open("casket.tdt")?;
    let users: [(&[u8], &[u8]); 3] =
        [(b"user:ada", b"London"), (b"user:bea", b"Trier"), (b"user:cleo", b"Alexandria")];
    store.set_all(&users)?;
    store.set(b"visits", b"3")?;

    // All users backwards; what is visited is as it was when the walk began.
    store.for_each_with_prefix(b"user:", Direction::Backward, |view| {
        let value = view.value.as_bytes().unwrap_or_default();
        println!("{} in {}", String::from_utf8_lossy(view.key), String::from_utf8_lossy(value));
        true
    })?;

    // How many there are between two keys, without a walk; a cursor goes from key to key.
    let range = Range { from: Bound::Included(b"user:b"), to: Bound::Excluded(b"user:d") };
    println!("{} between b and d", store.count_in(&range)?);
    let mut cursor = store.cursor()?;
    if cursor.jump(b"user:b")? {
        println!(
            "the first from b on: {}",
            String::from_utf8_lossy(cursor.key().unwrap_or_default())
        );
    }

    // A moment stays as it is while others write.
    let moment = store.moment()?;
    store.delete_range(&range)?;
    let (now, then) = (store.get(b"user:bea")?, moment.get(b"user:bea")?);
    println!("bea is there now: {}, and was: {}", now.is_some(), then.is_some());
    drop(moment);
    store.close()
}
