//! The bytes of a file, in pages that copies share until one of them writes.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Bytes of a page: a multiple of the sector, small enough that the copy before a write is cheap.
const PAGE_LEN: usize = 4096;

type Page = [u8; PAGE_LEN];

/// The content of a file. A clone costs one step a page; what was never written takes no memory.
///
/// Invariant: no byte behind `len` is anything but zero, so that a file which grows grows by zeros.
#[derive(Clone, Default)]
pub(super) struct Image {
    len: u64,
    pages: BTreeMap<u64, Arc<Page>>,
}

impl Image {
    pub(super) fn of(bytes: &[u8]) -> Image {
        let mut image = Image::default();
        image.write(0, bytes);
        image
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Reads what there is from `offset` on, as much as fits.
    pub(super) fn read(&self, offset: u64, buffer: &mut [u8]) -> usize {
        let left = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let total = left.min(buffer.len());
        let mut done = 0;
        while done < total {
            let at = offset + done as u64;
            let inside = inside_page(at);
            let end = (PAGE_LEN - inside + done).min(total);
            let piece = &mut buffer[done..end];
            match self.pages.get(&page_index(at)) {
                Some(page) => piece.copy_from_slice(&page[inside..inside + piece.len()]),
                None => piece.fill(0),
            }
            done = end;
        }
        total
    }

    /// Writes `bytes` at `offset`, which is at most `u64::MAX - bytes.len()`.
    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) {
        let mut done = 0;
        while done < bytes.len() {
            let at = offset + done as u64;
            let inside = inside_page(at);
            let end = (PAGE_LEN - inside + done).min(bytes.len());
            let piece = &bytes[done..end];
            let page = self.pages.entry(page_index(at)).or_insert_with(empty_page);
            Arc::make_mut(page)[inside..inside + piece.len()].copy_from_slice(piece);
            done = end;
        }
        if !bytes.is_empty() {
            self.grow(offset + bytes.len() as u64);
        }
    }

    /// Makes it at least `len` long.
    pub(super) fn grow(&mut self, len: u64) {
        self.len = self.len.max(len);
    }

    /// Cuts or extends it to `len`.
    pub(super) fn set_len(&mut self, len: u64) {
        if len < self.len {
            drop(self.pages.split_off(&len.div_ceil(PAGE_LEN as u64)));
            let inside = inside_page(len);
            if let Some(page) = self.pages.get_mut(&page_index(len))
                && inside > 0
            {
                Arc::make_mut(page)[inside..].fill(0);
            }
        }
        self.len = len;
    }

    /// Turns one bit over, if the byte exists.
    pub(super) fn flip(&mut self, offset: u64, mask: u8) {
        if offset < self.len {
            let page = self.pages.entry(page_index(offset)).or_insert_with(empty_page);
            Arc::make_mut(page)[inside_page(offset)] ^= mask;
        }
    }

    pub(super) fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(self.len).unwrap_or(usize::MAX)];
        self.read(0, &mut bytes);
        bytes
    }
}

fn page_index(offset: u64) -> u64 {
    offset / PAGE_LEN as u64
}

fn inside_page(offset: u64) -> usize {
    inside(offset, PAGE_LEN)
}

/// How far `offset` is from the start of its unit of `unit_len` bytes.
#[expect(clippy::cast_possible_truncation, reason = "below `unit_len`")]
pub(super) fn inside(offset: u64, unit_len: usize) -> usize {
    (offset % unit_len as u64) as usize
}

fn empty_page() -> Arc<Page> {
    Arc::new([0; PAGE_LEN])
}

#[cfg(test)]
mod tests {
    use super::*;
    use todana_io::Generator;

    /// Does a random step to an image and to a plain vector alike.
    fn step(random: &mut Generator, image: &mut Image, model: &mut Vec<u8>) {
        let offset = usize::try_from(random.below(20_000)).unwrap();
        match random.below(3) {
            0 => {
                image.set_len(offset as u64);
                model.resize(offset, 0);
            }
            1 => {
                image.grow(offset as u64);
                model.resize(offset.max(model.len()), 0);
            }
            _ => {
                let len = usize::try_from(random.below(10_000)).unwrap();
                let bytes = vec![random.next_u64().to_le_bytes()[0]; len];
                image.write(offset as u64, &bytes);
                if len > 0 {
                    model.resize((offset + len).max(model.len()), 0);
                    model[offset..offset + len].copy_from_slice(&bytes);
                }
            }
        }
    }

    #[test]
    fn an_image_is_a_vector_and_its_copies_keep_apart() {
        for seed in 0..50 {
            let mut random = Generator::new(seed);
            let (mut image, mut model) = (Image::default(), Vec::new());
            for _ in 0..40 {
                let before = (image.clone(), model.clone());
                step(&mut random, &mut image, &mut model);
                assert_eq!(image.to_vec(), model, "seed {seed}");
                assert_eq!(before.0.to_vec(), before.1, "seed {seed}");
            }
        }
    }

    #[test]
    fn far_offsets_take_no_memory() {
        let mut image = Image::default();
        image.write(1 << 60, b"far");
        let mut bytes = [1; 8];
        assert_eq!(image.read((1 << 60) - 4, &mut bytes), 7);
        assert_eq!(&bytes, b"\0\0\0\0far\x01");
        assert_eq!(image.read(u64::MAX, &mut bytes), 0);
        assert_eq!(image.pages.len(), 1);
    }
}
