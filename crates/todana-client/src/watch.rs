//! The server's log as a stream of lines.

use std::ops::ControlFlow;

use crate::connection::Connection;
use crate::error::Error;
use crate::reply::refusal;

/// Sends `watch` on a connection of its own and hands over lines until either side ends it.
pub(crate) fn watch(
    connection: &mut Connection,
    kinds: &[&str],
    mut callback: impl FnMut(&[u8]) -> ControlFlow<()>,
) -> Result<(), Error> {
    let request = request(kinds)?;
    connection.send(&request)?;
    match connection.line()?.as_slice() {
        b"OK" => {}
        line => return Err(refusal(line)),
    }
    connection.wait_for_ever()?;
    while let Some(line) = connection.any_line()? {
        if callback(&line).is_break() {
            break;
        }
    }
    Ok(())
}

fn request(kinds: &[&str]) -> Result<Vec<u8>, Error> {
    /// Kinds in one request; memcached reads 24 words of a line.
    const KINDS_MAX: usize = 20;
    let mut request = b"watch".to_vec();
    for kind in kinds {
        if kind.is_empty() || !kind.bytes().all(|byte| byte.is_ascii_graphic()) {
            let want = "a word such as fetchers, mutations or evictions";
            return Err(Error::Argument { name: "kind", got: format!("{kind:?}"), want });
        }
        request.push(b' ');
        request.extend_from_slice(kind.as_bytes());
    }
    if kinds.len() > KINDS_MAX || request.len() > 1_000 {
        let got = format!("{} kinds", kinds.len());
        return Err(Error::Argument { name: "kinds", got, want: "20 short words at most" });
    }
    request.extend_from_slice(b"\r\n");
    Ok(request)
}
