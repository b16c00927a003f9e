//! The frame that memcached puts around datagrams.
//!
//! ```text
//! byte 0  1   2  3     4  5    6  7
//!     +------+--------+-------+-----+---------
//!     | id   | number | count | 0   | payload      all big-endian
//!     +------+--------+-------+-----+---------
//! ```
//! A request is one datagram. A response is as many as it needs, numbered from 0, each of at most
//! [`DATAGRAM_LEN_MAX`] bytes. Source: memcached's `doc/protocol.txt`, "UDP protocol".

use todana_record::Reader;

/// Bytes of the frame.
pub const FRAME_LEN: usize = 8;
/// Largest datagram sent, frame included, in bytes.
pub const DATAGRAM_LEN_MAX: usize = 1_400;
/// Bytes of a response in one datagram.
pub const PAYLOAD_LEN_MAX: usize = DATAGRAM_LEN_MAX - FRAME_LEN;
/// Longest response, in bytes: what the count can number.
pub const RESPONSE_LEN_MAX: usize = PAYLOAD_LEN_MAX * u16::MAX as usize;

/// Takes a datagram apart: the request's id and its payload. `None` when it is too short, is one of
/// several, or is empty: such a datagram is to be dropped.
pub fn decode(datagram: &[u8]) -> Option<(u16, &[u8])> {
    let mut reader = Reader::new(datagram);
    let id = reader.u16_be()?;
    let _number = reader.u16_be()?;
    let count = reader.u16_be()?;
    let _reserved = reader.u16_be()?;
    (count == 1 && !reader.rest().is_empty()).then_some((id, reader.rest()))
}

/// Appends the datagrams that carry a response, one behind the other: all of [`DATAGRAM_LEN_MAX`]
/// bytes, but for the last. Nothing is appended for an empty response, nor for one beyond
/// [`RESPONSE_LEN_MAX`].
pub fn encode(id: u16, response: &[u8], out: &mut Vec<u8>) {
    let Ok(count) = u16::try_from(response.len().div_ceil(PAYLOAD_LEN_MAX)) else { return };
    out.reserve(response.len() + FRAME_LEN * usize::from(count));
    for (number, payload) in (0..count).zip(response.chunks(PAYLOAD_LEN_MAX)) {
        for field in [id, number, count, 0] {
            out.extend_from_slice(&field.to_be_bytes());
        }
        out.extend_from_slice(payload);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagrams(len: usize) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        encode(7, &vec![b'x'; len], &mut all);
        all.chunks(DATAGRAM_LEN_MAX).map(<[u8]>::to_vec).collect()
    }

    #[test]
    fn responses_are_cut_and_numbered() {
        assert!(datagrams(0).is_empty());
        assert_eq!(datagrams(PAYLOAD_LEN_MAX).len(), 1);
        let two = datagrams(PAYLOAD_LEN_MAX + 1);
        assert_eq!(two[0][..8], [0, 7, 0, 0, 0, 2, 0, 0]);
        assert_eq!(two[1][..], [0, 7, 0, 1, 0, 2, 0, 0, b'x']);
        assert_eq!(two[0].len(), DATAGRAM_LEN_MAX);
        assert!(datagrams(RESPONSE_LEN_MAX + 1).is_empty());
    }

    #[test]
    fn odd_datagrams_are_dropped() {
        assert_eq!(decode(&[0, 9, 0, 0, 0, 1, 0, 0, b'x']), Some((9, &b"x"[..])));
        assert_eq!(decode(&[0, 9, 0, 0, 0, 1, 0, 0]), None);
        assert_eq!(decode(&[0, 9, 0, 0, 0, 2, 0, 0, b'x']), None);
        assert_eq!(decode(&[0, 9, 0]), None);
    }
}
