//! Bytes to frames: a frame is a line, or a line and the value that it announces.
//!
//! Bytes are fed in pieces of any size. No more memory is taken than what was fed, and a line or a
//! value over its bound is an error as soon as that shows.

use crate::error::Error;

/// Longest line of a reply, in bytes with its end. Keys, statistics and log lines are far below.
pub const LINE_LEN_MAX: usize = 64 << 10;
/// Values from this length on are handed out without a copy.
const MOVED_LEN_MIN: usize = 64 << 10;

/// A part of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    /// A line without its end.
    Line(Vec<u8>),
    /// `VALUE key flags length [cas]` or `VA length flags*`, and the bytes.
    Value {
        /// The line without its end.
        line: Vec<u8>,
        /// The bytes.
        data: Vec<u8>,
    },
}

/// Cuts bytes into frames. After an error it is of no more use.
#[derive(Debug)]
pub(crate) struct FrameParser {
    bytes: Vec<u8>,
    /// Bytes at the front that were handed out.
    consumed: usize,
    /// Bytes after them that hold no line end.
    scanned: usize,
    /// A line that announced a value, and the bytes of the value.
    announced: Option<(Vec<u8>, usize)>,
    value_len_max: usize,
}

impl FrameParser {
    pub(crate) const fn new(value_len_max: usize) -> Self {
        Self { bytes: Vec::new(), consumed: 0, scanned: 0, announced: None, value_len_max }
    }

    /// Takes bytes as they came.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        if self.consumed > 0 {
            self.bytes.drain(..self.consumed);
            self.consumed = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Whether nothing is left over.
    pub(crate) fn is_empty(&self) -> bool {
        self.rest().is_empty() && self.announced.is_none()
    }

    /// The next whole frame; `None` until more is fed.
    ///
    /// # Errors
    ///
    /// [`Error::LineTooLong`], [`Error::ValueTooLong`], and [`Error::UnexpectedReply`] for a line
    /// that announces a value and gives no length, or a value that does not end in a line end.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>, Error> {
        if self.announced.is_none() {
            let Some(line) = self.line()? else { return Ok(None) };
            match announced_len(&line)? {
                None => return Ok(Some(Frame::Line(line))),
                Some(len) => match usize::try_from(len).ok().filter(|&n| n <= self.value_len_max) {
                    Some(len) => self.announced = Some((line, len)),
                    None => {
                        return Err(Error::ValueTooLong { claimed: len, max: self.value_len_max });
                    }
                },
            }
        }
        self.value()
    }

    /// The next line, without its end, whatever it says.
    pub(crate) fn line(&mut self) -> Result<Option<Vec<u8>>, Error> {
        let rest = self.rest();
        let unseen = rest.get(self.scanned..).unwrap_or_default();
        let found = memchr::memchr(b'\n', unseen).map(|at| self.scanned + at);
        if found.unwrap_or(rest.len()) >= LINE_LEN_MAX {
            return Err(Error::LineTooLong { max: LINE_LEN_MAX });
        }
        let Some(end) = found else {
            self.scanned = rest.len();
            return Ok(None);
        };
        let line = rest.get(..end).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line).to_vec();
        self.consume(end + 1);
        Ok(Some(line))
    }

    fn value(&mut self) -> Result<Option<Frame>, Error> {
        let Some((line, len)) = self.announced.take() else { return Ok(None) };
        // `len` is at most `value_len_max`; if that is as large as can be, it never arrives.
        let whole = len.saturating_add(2);
        if self.rest().len() < whole {
            self.announced = Some((line, len));
            return Ok(None);
        }
        let (data, after) = self.rest().split_at(len);
        if !after.starts_with(b"\r\n") {
            return Err(Error::unexpected(after));
        }
        let data = if self.consumed == 0 && len >= MOVED_LEN_MIN {
            // A large value keeps its memory; what follows it is short and moves instead.
            let after = self.bytes.split_off(whole);
            let mut data = std::mem::replace(&mut self.bytes, after);
            data.truncate(len);
            self.scanned = 0;
            data
        } else {
            let data = data.to_vec();
            self.consume(whole);
            data
        };
        Ok(Some(Frame::Value { line, data }))
    }

    fn rest(&self) -> &[u8] {
        self.bytes.get(self.consumed..).unwrap_or_default()
    }

    fn consume(&mut self, count: usize) {
        self.consumed += count;
        self.scanned = 0;
        if self.consumed >= self.bytes.len() {
            self.bytes.clear();
            self.consumed = 0;
        }
    }
}

/// The length of the value that a line announces, if it does.
fn announced_len(line: &[u8]) -> Result<Option<u64>, Error> {
    let words = || line.split(|&byte| byte == b' ');
    let token = match words().next() {
        Some(b"VALUE") => words().nth(3),
        Some(b"VA") => words().nth(1),
        _ => return Ok(None),
    };
    match token.and_then(number) {
        Some(len) => Ok(Some(len)),
        None => Err(Error::unexpected(line)),
    }
}

/// A decimal number of the whole token.
pub(crate) fn number(token: &[u8]) -> Option<u64> {
    if !token.first()?.is_ascii_digit() {
        return None;
    }
    std::str::from_utf8(token).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes out, the same for every way of cutting the input.
    fn frames(input: &[u8]) -> Result<Vec<Frame>, Error> {
        let whole = cut(input, input.len().max(1));
        for size in [1, 2, 3, 7] {
            let pieces = cut(input, size);
            assert_eq!(format!("{pieces:?}"), format!("{whole:?}"), "in pieces of {size}");
        }
        whole
    }

    fn cut(input: &[u8], size: usize) -> Result<Vec<Frame>, Error> {
        let mut parser = FrameParser::new(100);
        let mut frames = Vec::new();
        for piece in input.chunks(size) {
            parser.feed(piece);
            while let Some(frame) = parser.next()? {
                frames.push(frame);
            }
        }
        Ok(frames)
    }

    fn line(text: &str) -> Frame {
        Frame::Line(text.into())
    }

    fn value(line: &str, data: &str) -> Frame {
        Frame::Value { line: line.into(), data: data.into() }
    }

    #[test]
    fn lines_and_values_in_pieces_of_any_size() {
        let input =
            b"STORED\r\n\r\nVALUE k 0 5\r\na\r\nb\n\r\nVA 0 f0\r\n\r\nEND\nVALUES 1\r\npart";
        let want = [
            line("STORED"),
            line(""),
            value("VALUE k 0 5", "a\r\nb\n"),
            value("VA 0 f0", ""),
            line("END"),
            line("VALUES 1"),
        ];
        assert_eq!(frames(input).unwrap(), want);
    }

    #[test]
    fn a_value_without_its_end_waits() {
        assert_eq!(frames(b"VA 3\r\nabc\r").unwrap(), []);
        assert_eq!(frames(b"VA 3\r\nabc\r\n").unwrap(), [value("VA 3", "abc")]);
    }

    #[test]
    fn a_large_value_moves_and_the_rest_stays() {
        let mut parser = FrameParser::new(usize::MAX);
        let data = vec![b'x'; MOVED_LEN_MIN];
        parser.feed(format!("VA {}\r\n", data.len()).as_bytes());
        assert_eq!(parser.next().unwrap(), None);
        parser.feed(&data);
        assert_eq!(parser.next().unwrap(), None);
        parser.feed(b"\r\nHD\r\nE");
        assert!(
            matches!(parser.next().unwrap(), Some(Frame::Value { data: got, .. }) if got == data)
        );
        assert_eq!(parser.next().unwrap(), Some(line("HD")));
        assert!(!parser.is_empty());
        parser.feed(b"N\r\n");
        assert_eq!(parser.next().unwrap(), Some(line("EN")));
        assert!(parser.is_empty());
    }

    #[test]
    fn nonsense_is_an_error() {
        for input in ["VA\r\n", "VA x\r\n", "VALUE k 0\r\n", "VALUE k 0 -1\r\n", "VA 1\r\nabc"] {
            let error = frames(input.as_bytes()).unwrap_err();
            assert!(matches!(error, Error::UnexpectedReply { .. }), "{input:?}: {error}");
        }
    }

    #[test]
    fn bounds_show_before_the_bytes_come() {
        let error = frames(b"VALUE k 0 101\r\n").unwrap_err();
        assert!(matches!(error, Error::ValueTooLong { claimed: 101, max: 100 }));
        let error = frames(b"VA 18446744073709551615\r\n").unwrap_err();
        assert!(matches!(error, Error::ValueTooLong { claimed: u64::MAX, .. }));
        let endless = cut(&[b'x'; LINE_LEN_MAX], 1_000).unwrap_err();
        assert!(matches!(endless, Error::LineTooLong { .. }));
        let mut parser = FrameParser::new(usize::MAX);
        parser.feed(format!("VA {}\r\nxyz", usize::MAX).as_bytes());
        assert_eq!(parser.next().unwrap(), None);
        assert!(parser.bytes.capacity() < 1_000);
    }
}
