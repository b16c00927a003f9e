//! Sending many datagrams with one system call.
//!
//! The datagrams of a response all have the same length, but for the last. Where the kernel offers
//! segmentation (`UDP_SEGMENT`), they go out as one message, which the kernel or the interface cuts;
//! where it does not, each is a message of its own. The length to cut at is set once for the socket,
//! since it is the same for all responses; messages that are no longer are sent as they are.

use crate::counters::Counters;
use crate::limits::{MESSAGES_PER_SEND, TURN_OUTPUT_LEN};
use mio::net::UdpSocket;
use nix::errno::Errno;
use nix::sys::socket::sockopt::UdpGsoSegment;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, sendmmsg, setsockopt};
use std::io::IoSlice;
use std::ops::Range;
use std::os::fd::AsRawFd;
use todana_protocol::memcached::udp::{self, DATAGRAM_LEN_MAX};

/// Datagrams of a message that the kernel cuts, at most: what it takes, and what a message can hold.
const SEGMENTS_MAX: usize =
    if MESSAGE_SEGMENTS < KERNEL_SEGMENTS { MESSAGE_SEGMENTS } else { KERNEL_SEGMENTS };
/// `UDP_MAX_SEGMENTS` of Linux before 6.9, which takes 128.
const KERNEL_SEGMENTS: usize = 64;
/// Bytes of a UDP message over IPv4; IPv6 has 20 more.
const MESSAGE_LEN_MAX: usize = 65_507;
const MESSAGE_SEGMENTS: usize = MESSAGE_LEN_MAX / DATAGRAM_LEN_MAX;

/// Responses on their way.
pub(super) struct Sender {
    /// The datagrams of all messages, one behind the other.
    bytes: Vec<u8>,
    messages: Vec<Message>,
    /// The kernel cuts messages into datagrams.
    segments: bool,
}

/// What is sent at a time: one datagram, or several for the kernel to cut.
struct Message {
    bytes: Range<usize>,
    peer: SockaddrStorage,
}

impl Sender {
    /// A sender for this socket, with segmentation if the kernel knows it.
    pub(super) fn new(socket: &UdpSocket) -> Sender {
        let mut sender = Sender { bytes: Vec::new(), messages: Vec::new(), segments: true };
        if let Err(error) = cut_at(socket, DATAGRAM_LEN_MAX) {
            sender.stop_segmenting(socket, error, 0);
        }
        sender
    }

    /// Bytes that are to be sent.
    pub(super) fn unsent_len(&self) -> usize {
        self.bytes.len()
    }

    /// Adds the response to a request. None is sent to port 0, whose owner wants none (RFC 768), and
    /// where the kernel would refuse it.
    pub(super) fn push(&mut self, id: u16, response: &[u8], peer: SockaddrStorage) {
        if port(&peer) == Some(0) {
            return;
        }
        let start = self.bytes.len();
        udp::encode(id, response, &mut self.bytes);
        self.add(start..self.bytes.len(), peer);
    }

    /// Adds the messages that carry these datagrams.
    fn add(&mut self, datagrams: Range<usize>, peer: SockaddrStorage) {
        let len_max = DATAGRAM_LEN_MAX * if self.segments { SEGMENTS_MAX } else { 1 };
        for start in datagrams.clone().step_by(len_max) {
            let end = datagrams.end.min(start + len_max);
            self.messages.push(Message { bytes: start..end, peer });
        }
    }

    /// Sends what was added. What cannot be sent is lost, as datagrams may be.
    pub(super) fn send(
        &mut self,
        socket: &UdpSocket,
        headers: &mut MultiHeaders<SockaddrStorage>,
        counters: &Counters,
    ) {
        let mut at = 0;
        while at < self.messages.len() {
            counters.writes.add(1);
            match self.send_from(at, socket, headers) {
                Ok(sent) => {
                    let len: usize =
                        self.messages[at..at + sent].iter().map(|m| m.bytes.len()).sum();
                    counters.bytes_written.add(len as u64);
                    at += sent;
                }
                Err(Errno::EINTR) => {}
                // The socket takes no more now, and nothing waits for it.
                Err(Errno::EAGAIN) => {
                    self.lose(at..self.messages.len(), counters);
                    break;
                }
                Err(error) if self.segments && refuses_segments(error) => {
                    self.stop_segmenting(socket, error, at);
                }
                Err(_) => {
                    self.lose(at..at + 1, counters);
                    at += 1;
                }
            }
        }
        self.messages.clear();
        self.bytes.clear();
        self.bytes.shrink_to(TURN_OUTPUT_LEN);
    }

    /// Sends messages with one system call; gives how many of them were taken, of which there is one
    /// at least.
    fn send_from(
        &self,
        at: usize,
        socket: &UdpSocket,
        headers: &mut MultiHeaders<SockaddrStorage>,
    ) -> Result<usize, Errno> {
        let end = self.messages.len().min(at + MESSAGES_PER_SEND);
        let messages = &self.messages[at..end];
        let slices: Vec<_> =
            messages.iter().map(|m| [IoSlice::new(&self.bytes[m.bytes.clone()])]).collect();
        let peers: Vec<_> = messages.iter().map(|m| Some(m.peer)).collect();
        let (fd, flags) = (socket.as_raw_fd(), MsgFlags::empty());
        Ok(sendmmsg(fd, headers, &slices, peers, [], flags)?.count())
    }

    fn lose(&self, messages: Range<usize>, counters: &Counters) {
        for message in &self.messages[messages] {
            counters.datagrams_lost.add(message.bytes.len().div_ceil(DATAGRAM_LEN_MAX) as u64);
        }
    }

    /// Cuts messages here from now on, those from this one on included.
    fn stop_segmenting(&mut self, socket: &UdpSocket, error: Errno, from: usize) {
        tracing::info!(%error, "no segmentation offload here: UDP datagrams are sent one by one");
        self.segments = false;
        // Where there is no such option it needs no resetting.
        let _ = cut_at(socket, 0);
        for message in self.messages.split_off(from) {
            self.add(message.bytes, message.peer);
        }
    }
}

/// Has the kernel cut messages to a socket at a length in bytes; 0: no longer.
fn cut_at(socket: &UdpSocket, len: usize) -> Result<(), Errno> {
    let len = i32::try_from(len).map_err(|_| Errno::EINVAL)?;
    setsockopt(socket, UdpGsoSegment, &len)
}

/// Whether an error may say that messages cannot be cut on their way: the interface cannot, its
/// datagrams are shorter than ours, the kernel does not know how.
fn refuses_segments(error: Errno) -> bool {
    matches!(
        error,
        Errno::EINVAL | Errno::EIO | Errno::EMSGSIZE | Errno::EOPNOTSUPP | Errno::ENOPROTOOPT
    )
}

fn port(peer: &SockaddrStorage) -> Option<u16> {
    peer.as_sockaddr_in().map(|v4| v4.port()).or_else(|| peer.as_sockaddr_in6().map(|v6| v6.port()))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "these tests are clients")]
    use super::*;
    use std::net::UdpSocket as Client;
    use std::time::Duration;

    fn client(address: &str) -> (Client, SockaddrStorage) {
        let client = Client::bind(address).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let peer = client.local_addr().unwrap().into();
        (client, peer)
    }

    /// The response that the client receives, in datagrams that are numbered as they come.
    fn receive(client: &Client) -> Vec<u8> {
        let (mut response, mut buffer, mut number) = (Vec::new(), [0; 2_000], 0);
        loop {
            let len = client.recv(&mut buffer).unwrap();
            assert!(len <= DATAGRAM_LEN_MAX);
            assert_eq!(u16::from_be_bytes([buffer[2], buffer[3]]), number);
            response.extend_from_slice(&buffer[8..len]);
            number += 1;
            if u16::from_be_bytes([buffer[4], buffer[5]]) == number {
                return response;
            }
        }
    }

    /// Sends three responses to two clients; gives the system calls that it took.
    fn send(sender: &mut Sender, socket: &UdpSocket) -> u64 {
        let counters = Counters::default();
        let (one, to_one) = client("127.0.0.1:0");
        let (other, to_other) = client("127.0.0.1:0");
        let large: Vec<u8> = (0..70_000).map(|at: u32| at.to_be_bytes()[3]).collect();
        sender.push(1, b"small", to_one);
        sender.push(2, &large, to_other);
        sender.push(3, &large[..1_500], to_one);
        sender.send(socket, &mut headers(), &counters);
        assert_eq!(receive(&one), b"small");
        assert!(receive(&other) == large);
        assert!(receive(&one) == large[..1_500]);
        assert_eq!(counters.bytes_written.get(), 5 + 70_000 + 1_500 + 8 * (1 + 51 + 2));
        assert_eq!(counters.datagrams_lost.get(), 0);
        counters.writes.get()
    }

    fn headers() -> MultiHeaders<SockaddrStorage> {
        MultiHeaders::preallocate(MESSAGES_PER_SEND, None)
    }

    fn server() -> UdpSocket {
        UdpSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap()
    }

    #[test]
    fn the_kernel_cuts_messages_into_datagrams() {
        let socket = server();
        let mut sender = Sender::new(&socket);
        if sender.segments {
            assert_eq!(send(&mut sender, &socket), 1);
            assert!(sender.segments);
        }
    }

    #[test]
    fn a_socket_that_refuses_segments_is_sent_single_datagrams_from_then_on() {
        let socket = server();
        let mut sender = Sender::new(&socket);
        // So short that the kernel would have to cut a message into more datagrams than it does.
        if sender.segments && cut_at(&socket, 100).is_ok() {
            // The small one leaves, the large one is refused, all others are single datagrams.
            assert_eq!(send(&mut sender, &socket), 3);
        }
        assert!(!sender.segments);
        assert_eq!(send(&mut sender, &socket), 1);
    }

    #[test]
    fn a_kernel_without_segments_is_sent_single_datagrams() {
        let socket = server();
        let mut sender = Sender::new(&socket);
        sender.stop_segmenting(&socket, Errno::ENOPROTOOPT, 0);
        assert_eq!(send(&mut sender, &socket), 1);
    }

    #[test]
    fn what_cannot_be_sent_is_lost_and_nothing_else() {
        let socket = server();
        let mut sender = Sender::new(&socket);
        let counters = Counters::default();
        let (one, to_one) = client("127.0.0.1:0");
        let broadcast = "255.255.255.255:9".parse::<std::net::SocketAddr>().unwrap().into();
        let nobody = "127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into();
        sender.push(1, b"before", to_one);
        sender.push(2, &[0; 2_000], broadcast);
        sender.push(3, b"nobody", nobody);
        sender.push(4, b"after", to_one);
        let segments = sender.segments;
        sender.send(&socket, &mut headers(), &counters);
        assert_eq!(receive(&one), b"before");
        assert_eq!(receive(&one), b"after");
        assert_eq!(counters.datagrams_lost.get(), 2);
        assert_eq!(sender.segments, segments);
        assert_eq!(sender.unsent_len(), 0);
    }
}
