//! Receiving many datagrams with one system call.

use mio::net::UdpSocket;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg};
use std::io::IoSliceMut;
use std::os::fd::AsRawFd;

/// Buffers for datagrams. The kernel gives them memory as they are filled.
pub(super) struct Receiver {
    buffer: Vec<u8>,
    /// Bytes of the buffer for each datagram.
    datagram_len_max: usize,
    received: Vec<Received>,
}

/// What came into a part of the buffer.
struct Received {
    /// `None` when it is to be dropped: it was too long, so that its end is missing.
    peer: Option<SockaddrStorage>,
    len: usize,
}

impl Receiver {
    /// Buffers for `count` datagrams of at most `datagram_len_max` bytes.
    pub(super) fn new(count: usize, datagram_len_max: usize) -> Receiver {
        Receiver {
            buffer: vec![0; count * datagram_len_max],
            datagram_len_max,
            received: Vec::with_capacity(count),
        }
    }

    /// Receives as many datagrams as have come and as there are buffers for, instead of those received
    /// before; gives their number.
    ///
    /// # Errors
    /// What the operating system says: `EAGAIN` when nothing has come.
    pub(super) fn receive(
        &mut self,
        socket: &UdpSocket,
        headers: &mut MultiHeaders<SockaddrStorage>,
    ) -> Result<usize, Errno> {
        self.received.clear();
        let mut slices: Vec<_> = self
            .buffer
            .chunks_exact_mut(self.datagram_len_max)
            .map(|part| [IoSliceMut::new(part)])
            .collect();
        let flags = MsgFlags::empty();
        for message in recvmmsg(socket.as_raw_fd(), headers, &mut slices, flags, None)? {
            let cut = message.flags.contains(MsgFlags::MSG_TRUNC);
            let peer = message.address.filter(|_| !cut);
            self.received.push(Received { peer, len: message.bytes });
        }
        Ok(self.received.len())
    }

    /// The datagrams received that came whole, and who sent them.
    pub(super) fn received(&self) -> impl Iterator<Item = (SockaddrStorage, &[u8])> {
        let parts = self.buffer.chunks_exact(self.datagram_len_max);
        self.received
            .iter()
            .zip(parts)
            .filter_map(|(received, part)| Some((received.peer?, part.get(..received.len)?)))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "these tests are clients")]
    use super::*;
    use std::net::UdpSocket as Client;

    #[test]
    fn what_was_cut_off_is_dropped() {
        let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let client = Client::bind("127.0.0.1:0").unwrap();
        client.connect(socket.local_addr().unwrap()).unwrap();
        let mut receiver = Receiver::new(3, 16);
        let mut headers = MultiHeaders::preallocate(3, None);
        assert_eq!(receiver.receive(&socket, &mut headers), Err(Errno::EAGAIN));
        for len in [16, 17, 0, 5] {
            client.send(&b"0123456789abcdefg"[..len]).unwrap();
        }
        assert_eq!(receiver.receive(&socket, &mut headers), Ok(3));
        let payloads: Vec<_> = receiver.received().map(|(_, payload)| payload.to_vec()).collect();
        assert_eq!(payloads, [&b"0123456789abcdef"[..], b""]);
        assert_eq!(receiver.receive(&socket, &mut headers), Ok(1));
        let (peer, payload) = receiver.received().next().unwrap();
        assert_eq!(payload, b"01234");
        assert_eq!(peer.to_string(), client.local_addr().unwrap().to_string());
    }
}
