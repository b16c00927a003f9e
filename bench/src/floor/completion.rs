//! The floor by io_uring: one call of the kernel a cycle.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use todana_ring::{Event, Ring, SocketId};

use super::{FloorArgs, Progress, READ_BUFFER_BYTES, Shape};
use crate::Result;

const LISTENER: usize = usize::MAX / 2;
const WAIT: Duration = Duration::from_secs(60);

struct Connection {
    socket: SocketId,
    progress: Progress,
    unsent: Vec<u8>,
}

/// Serves until killed.
pub(super) fn serve(args: &FloorArgs, shape: &Shape) -> Result<()> {
    let mut ring = Ring::new()?;
    let listener: OwnedFd = match &args.unix {
        Some(path) => UnixListener::bind(path)?.into(),
        None => TcpListener::bind(("127.0.0.1", args.port))?.into(),
    };
    ring.listen(listener, LISTENER);
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let (mut events, mut out) = (Vec::new(), Vec::new());
    let mut buffer = vec![0; READ_BUFFER_BYTES];
    loop {
        ring.enter(WAIT, &mut events)?;
        for event in events.drain(..) {
            let key = match event {
                Event::Accepted(_, socket) => {
                    let socket = ring.add(without_delay(socket)?, connections.len());
                    let (progress, unsent) = (Progress::default(), Vec::new());
                    connections.push(Some(Connection { socket, progress, unsent }));
                    continue;
                }
                Event::Readable(key) | Event::Writable(key) | Event::Broken(key) => key,
                Event::Unsent(key, mut rest) => {
                    if let Some(Some(connection)) = connections.get_mut(key) {
                        rest.append(&mut connection.unsent);
                        connection.unsent = rest;
                    }
                    continue;
                }
                Event::Woken | Event::NotAccepted(..) => continue,
            };
            let Some(Some(connection)) = connections.get_mut(key) else { continue };
            if connection.ready(&mut ring, shape, &mut buffer, &mut out).is_none() {
                ring.close(connection.socket);
                connections[key] = None;
            }
        }
    }
}

impl Connection {
    /// Reads all that has come and answers it; nothing when the connection is over.
    fn ready(
        &mut self,
        ring: &mut Ring,
        shape: &Shape,
        buffer: &mut [u8],
        out: &mut Vec<u8>,
    ) -> Option<()> {
        let unsent = std::mem::take(&mut self.unsent);
        self.send(ring, &unsent);
        while self.unsent.is_empty() && ring.has_input(self.socket) {
            match ring.read(self.socket, buffer) {
                Ok(came @ 1..) => {
                    let replies = self.progress.answer(&buffer[..came], shape, out).ok()?;
                    self.send(ring, replies);
                }
                _ => return None,
            }
        }
        Some(())
    }

    fn send(&mut self, ring: &mut Ring, bytes: &[u8]) {
        if !bytes.is_empty() {
            let taken = ring.send(self.socket, bytes);
            self.unsent.extend_from_slice(&bytes[taken..]);
        }
    }
}

/// As the other servers have their TCP sockets.
fn without_delay(socket: OwnedFd) -> Result<OwnedFd> {
    let stream = std::net::TcpStream::from(socket);
    // Not for a Unix socket.
    let _ = stream.set_nodelay(true);
    Ok(stream.into())
}
