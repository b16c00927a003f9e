//! Frames that were unpacked or read for a look-up, and readers of blobs, kept for as long as it needs
//! them.

use crate::blob::BlobReader;
use std::cell::OnceCell;
use std::sync::Arc;

/// What keeps frames; bytes of theirs can be borrowed from it.
#[derive(Debug, Default)]
pub(crate) struct Pins(OnceCell<Box<Pin>>);

#[derive(Debug)]
struct Pin {
    kept: Kept,
    next: Pins,
}

#[derive(Debug)]
enum Kept {
    Frame(Arc<[u8]>),
    Blob(BlobReader),
}

impl Pins {
    pub(crate) const fn new() -> Pins {
        Pins(OnceCell::new())
    }

    fn add(&self, kept: Kept) -> &Kept {
        let mut last = self;
        while let Some(pin) = last.0.get() {
            last = &pin.next;
        }
        &last.0.get_or_init(|| Box::new(Pin { kept, next: Pins::new() })).kept
    }

    /// Keeps a frame and gives its bytes.
    pub(crate) fn keep(&self, frame: Arc<[u8]>) -> &[u8] {
        match self.add(Kept::Frame(frame)) {
            Kept::Frame(frame) => frame,
            Kept::Blob(_) => &[],
        }
    }

    /// Keeps the reader of a value.
    pub(crate) fn keep_blob(&self, reader: BlobReader) -> Option<&BlobReader> {
        match self.add(Kept::Blob(reader)) {
            Kept::Blob(reader) => Some(reader),
            Kept::Frame(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_kept_stays() {
        let pins = Pins::new();
        let first = pins.keep(Arc::from(&b"one"[..]));
        let second = pins.keep(Arc::from(&b"two"[..]));
        assert_eq!((first, second), (&b"one"[..], &b"two"[..]));
    }
}
