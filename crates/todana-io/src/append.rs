//! A small piece of memory that is appended to while others read what is there.

use std::cell::UnsafeCell;
use std::fmt;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU32, Ordering};

/// Bytes that are appended and never change again, of a capacity that is known from the start.
pub struct AppendBuffer {
    bytes: Box<[UnsafeCell<MaybeUninit<u8>>]>,
    /// Bytes that somebody has the right to write.
    claimed: AtomicU32,
    /// Bytes that were written.
    published: AtomicU32,
}

// SAFETY: bytes below `published` are never written again; those from there to `claimed` belong to whoever
// has claimed them.
unsafe impl Sync for AppendBuffer {}

impl fmt::Debug for AppendBuffer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "AppendBuffer({} of {} bytes)", self.published().len(), self.bytes.len())
    }
}

impl AppendBuffer {
    /// An empty buffer. Memory is taken, and not touched.
    pub fn with_capacity(capacity: u32) -> AppendBuffer {
        let mut bytes = Vec::with_capacity(capacity as usize);
        bytes.resize_with(capacity as usize, || UnsafeCell::new(MaybeUninit::uninit()));
        let (claimed, published) = (AtomicU32::new(0), AtomicU32::new(0));
        AppendBuffer { bytes: bytes.into(), claimed, published }
    }

    /// What was appended so far.
    #[inline]
    pub fn published(&self) -> &[u8] {
        let len = self.published.load(Ordering::Acquire) as usize;
        let bytes = self.bytes.get(..len).unwrap_or_default();
        // SAFETY: the first `len` bytes were written before `len` was released, and are not written again.
        unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast::<u8>(), bytes.len()) }
    }

    /// Bytes that still fit.
    #[inline]
    pub fn room(&self) -> usize {
        self.bytes.len() - self.published.load(Ordering::Relaxed) as usize
    }

    /// Most bytes that it takes.
    pub fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// Appends parts one behind the other and gives the byte where the first begins. `None`, and nothing is
    /// changed, when they do not fit or somebody else is appending.
    #[inline]
    pub fn append<const N: usize>(&self, parts: [&[u8]; N]) -> Option<u32> {
        let len = parts.iter().map(|part| part.len()).sum::<usize>();
        let start = self.published.load(Ordering::Relaxed);
        let end = u32::try_from(start as usize + len).ok()?;
        let target = self.bytes.get(start as usize..end as usize)?;
        self.claimed.compare_exchange(start, end, Ordering::Acquire, Ordering::Relaxed).ok()?;
        let mut at = target.as_ptr().cast::<u8>().cast_mut();
        for part in parts {
            // SAFETY: the parts together are as long as the target, which lies in the buffer. Nobody reads it, as
            // it is not published, and nobody else writes it: `claimed` was its start, so no other claim
            // reached further, and now ends behind it.
            unsafe {
                std::ptr::copy_nonoverlapping(part.as_ptr(), at, part.len());
                at = at.add(part.len());
            }
        }
        self.published.store(end, Ordering::Release);
        Some(start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn what_does_not_fit_is_refused() {
        let buffer = AppendBuffer::with_capacity(8);
        assert_eq!(buffer.append([b"abc", b"de"]), Some(0));
        let seen = buffer.published();
        assert_eq!(buffer.append([b"fghi"]), None);
        assert_eq!(buffer.append([b"fgh", b""]), Some(5));
        assert_eq!((seen, buffer.published()), (&b"abcde"[..], &b"abcdefgh"[..]));
        assert_eq!(
            (buffer.room(), buffer.append([b"i"]), buffer.append([b""])),
            (0, None, Some(8))
        );
    }

    #[test]
    fn appended_bytes_are_seen_whole_by_many() {
        let buffer = Arc::new(AppendBuffer::with_capacity(64 * 1024));
        let threads: Vec<_> = (1..=3_u8)
            .map(|n| {
                let buffer = buffer.clone();
                std::thread::spawn(move || {
                    let mut count = 0;
                    while buffer.room() >= 8 {
                        count += u32::from(buffer.append([&[n; 3], &[n; 5]]).is_some());
                        assert!(buffer.published().chunks(8).all(|all| all == [all[0]; 8]));
                    }
                    count
                })
            })
            .collect();
        let count: u32 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert_eq!(count, 8 * 1024);
    }
}
