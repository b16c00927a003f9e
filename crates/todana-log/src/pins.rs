//! Frames that were unpacked or read for a look-up, and whatever else it needs, kept for as long as it
//! needs them.

use std::any::Any;
use std::cell::OnceCell;
use std::sync::Arc;

/// What keeps frames; bytes of theirs can be borrowed from it.
#[derive(Debug, Default)]
pub struct Pins(OnceCell<Box<Pin>>);

#[derive(Debug)]
struct Pin {
    kept: Kept,
    next: Pins,
}

#[derive(Debug)]
enum Kept {
    Frame(Arc<[u8]>),
    Other(Box<dyn Any + Send + Sync>),
}

impl Pins {
    /// None yet.
    #[inline]
    pub const fn new() -> Pins {
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
    pub fn keep(&self, frame: Arc<[u8]>) -> &[u8] {
        match self.add(Kept::Frame(frame)) {
            Kept::Frame(frame) => frame,
            Kept::Other(_) => &[],
        }
    }

    /// Keeps something else that a look-up needs, such as the reader of a long value.
    pub fn keep_other<T: Any + Send + Sync>(&self, other: T) -> Option<&T> {
        match self.add(Kept::Other(Box::new(other))) {
            Kept::Other(other) => other.downcast_ref(),
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
        let third = pins.keep_other(3_u64);
        assert_eq!((first, second, third), (&b"one"[..], &b"two"[..], Some(&3)));
    }
}
