//! Values that are stored deflated: raw streams, without the head and checksum of zlib.

use flate2::{Decompress, FlushDecompress, Status};
use std::io;

/// The least that the output grows by, in bytes.
const GROWTH_MIN: usize = 4096;

/// Inflates one value after the other into the same memory.
#[derive(Debug)]
pub(super) struct Inflater {
    state: Decompress,
    output: Vec<u8>,
}

/// Why a value cannot be had.
#[derive(Debug)]
pub(super) enum Fault {
    /// It is longer than allowed.
    TooLong,
    Damaged(io::Error),
}

impl Inflater {
    pub(super) fn new() -> Inflater {
        Inflater { state: Decompress::new(false), output: Vec::new() }
    }

    /// What `input` is the deflated form of. The output grows as it comes, never past `len_max`
    /// bytes by more than a step: nothing in the stream says how long it is.
    pub(super) fn inflate(&mut self, input: &[u8], len_max: usize) -> Result<&[u8], Fault> {
        self.state.reset(false);
        self.output.clear();
        let mut rest = input;
        loop {
            let len = self.output.len();
            if len > len_max {
                return Err(Fault::TooLong);
            }
            if len == self.output.capacity() {
                // One byte more than allowed is room enough to see that it is too long.
                let growth = len.max(GROWTH_MIN).min((len_max - len).saturating_add(1));
                let reserved = self.output.try_reserve_exact(growth);
                reserved.map_err(|error| Fault::Damaged(error.into()))?;
            }
            let before = self.state.total_in();
            let status = self.state.decompress_vec(rest, &mut self.output, FlushDecompress::None);
            let status = status.map_err(|error| Fault::Damaged(error.into()))?;
            let taken = usize::try_from(self.state.total_in() - before).unwrap_or(rest.len());
            rest = rest.get(taken..).unwrap_or_default();
            match status {
                Status::StreamEnd if self.output.len() > len_max => return Err(Fault::TooLong),
                Status::StreamEnd => return Ok(&self.output),
                // Nothing moved although there was room: what is missing is input.
                _ if taken == 0 && self.output.len() == len => {
                    let what = "the stream ends too early";
                    return Err(Fault::Damaged(io::Error::new(io::ErrorKind::UnexpectedEof, what)));
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::DeflateEncoder};
    use std::io::Write;

    fn deflated(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(5));
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn values_come_back() {
        let mut inflater = Inflater::new();
        for len in [0, 1, 4095, 4096, 4097, 300_000, 10] {
            let value: Vec<u8> = (0_u8..=250).cycle().take(len).collect();
            let stream = deflated(&value);
            assert_eq!(inflater.inflate(&stream, len).unwrap(), value);
            for cut in 0..stream.len() {
                assert!(matches!(inflater.inflate(&stream[..cut], len), Err(Fault::Damaged(_))));
            }
        }
    }

    #[test]
    fn the_limit_holds() {
        let stream = deflated(&vec![0; 10_000_000]);
        let mut inflater = Inflater::new();
        for len_max in [0, 1, 4096, 100_000, 9_999_999] {
            assert!(matches!(inflater.inflate(&stream, len_max), Err(Fault::TooLong)));
            assert!(inflater.output.capacity() <= 2 * (len_max + GROWTH_MIN));
        }
        assert_eq!(inflater.inflate(&stream, 10_000_000).unwrap().len(), 10_000_000);
    }

    #[test]
    fn garbage_is_refused() {
        let mut inflater = Inflater::new();
        assert!(matches!(inflater.inflate(&[0xff; 40], 1000), Err(Fault::Damaged(_))));
    }
}
