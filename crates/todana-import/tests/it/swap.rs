//! Turns a file of one order of bytes into the same file of the other: what a library without
//! `--enable-swab` would have written where one with it did. It trusts its input.

/// Swaps every number of a big-endian file.
pub(crate) fn to_little(big: &[u8]) -> Vec<u8> {
    let mut swapper = Swapper { bytes: big.to_vec(), at: 40 };
    match big[32] {
        1 => swapper.tree_header(),
        2 => return swapper.fixed(),
        _ => {}
    }
    let numbers: Vec<usize> = (0..4).map(|_| swapper.number(8)).collect();
    let (bucket_count, file_size, first_record) = (numbers[0], numbers[2], numbers[3]);
    let width = if big[36] & 1 != 0 { 8 } else { 4 };
    swapper.at = 256;
    for _ in 0..bucket_count {
        swapper.number(width);
    }
    swapper.at = first_record;
    while swapper.at < file_size {
        swapper.block(width);
    }
    assert_eq!(swapper.at, file_size);
    swapper.bytes
}

struct Swapper {
    bytes: Vec<u8>,
    at: usize,
}

impl Swapper {
    /// The numbers of a B+ tree file's own header.
    fn tree_header(&mut self) {
        self.at = 136;
        for len in [4, 4, 8, 8, 8, 8, 8, 8] {
            self.number(len);
        }
        self.at = 40;
    }

    /// All numbers of a fixed-length file.
    fn fixed(mut self) -> Vec<u8> {
        self.at = 48;
        let numbers: Vec<usize> = (0..6).map(|_| self.number(8)).collect();
        let (file_size, width) = (numbers[1], numbers[2]);
        let length_len = [(0xff, 1), (0xffff, 2), (usize::MAX, 4)].into_iter();
        let (_, length_len) = length_len.clone().find(|(most, _)| width <= *most).unwrap();
        self.at = 256;
        while self.at < file_size {
            self.number(length_len);
            self.at += width;
        }
        self.bytes
    }

    /// The number of `len` bytes here, which gets turned around.
    fn number(&mut self, len: usize) -> usize {
        let bytes = &mut self.bytes[self.at..self.at + len];
        let value = bytes.iter().fold(0, |value, byte| value << 8 | usize::from(*byte));
        bytes.reverse();
        self.at += len;
        value
    }

    fn length(&mut self) -> usize {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = self.bytes[self.at];
            self.at += 1;
            if byte < 0x80 {
                return value | usize::from(byte) << shift;
            }
            value |= usize::from(255 - byte) << shift;
            shift += 7;
        }
    }

    fn block(&mut self, width: usize) {
        let start = self.at;
        self.at += 1;
        if self.bytes[start] == 0xb0 {
            self.at = start + self.number(4);
            return;
        }
        assert_eq!(self.bytes[start], 0xc8);
        self.at += 1;
        self.number(width);
        self.number(width);
        let padding_len = self.number(2);
        let (key_len, value_len) = (self.length(), self.length());
        self.at += key_len + value_len + padding_len;
    }
}
