//! Frames that were unpacked or read for a look-up, kept for as long as it needs them.

use std::cell::OnceCell;
use std::sync::Arc;

/// What keeps frames; bytes of theirs can be borrowed from it.
#[derive(Debug, Default)]
pub(crate) struct Pins(OnceCell<Box<Pin>>);

#[derive(Debug)]
struct Pin {
    frame: Arc<[u8]>,
    next: Pins,
}

impl Pins {
    pub(crate) const fn new() -> Pins {
        Pins(OnceCell::new())
    }

    /// Keeps a frame and gives its bytes.
    pub(crate) fn keep(&self, frame: Arc<[u8]>) -> &[u8] {
        let mut last = self;
        while let Some(pin) = last.0.get() {
            last = &pin.next;
        }
        &last.0.get_or_init(|| Box::new(Pin { frame, next: Pins::new() })).frame
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
