//! Memory that safe code cannot ask for: files mapped to be read, and huge pages.
//!
//! The only unsafe code of the crate. Each block says what it relies on.

use memmap2::{Advice, Mmap, MmapMut, MmapOptions};
use std::fs::File;
use std::io;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// A file's bytes as memory, read only.
///
/// An I/O error under it ends the process with a signal (SIGBUS), as does a file that somebody else
/// made shorter: engines map only files of their own whose space is taken, and never shorten them.
#[derive(Debug)]
pub struct Mapping(Mmap);

impl Mapping {
    pub(crate) fn of(file: &File, len: usize) -> io::Result<Mapping> {
        // SAFETY: the bytes may change under the mapping when the file is written. Callers of
        // `DiskFile::map` owe that the parts they read are not written any more and that the file is not
        // made shorter; the engine's lock file keeps other processes of ours away.
        unsafe { MmapOptions::new().len(len).map(file) }.map(Mapping)
    }

    /// Tells the system that reads will come in no order.
    pub fn advise_random(&self) {
        // Advice only: a refusal changes nothing.
        let _ = self.0.advise(Advice::Random);
    }
}

impl Deref for Mapping {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// Bytes in a huge page, where the system has them.
pub const HUGE_PAGE_LEN: usize = 2 << 20;

/// An array of atomic words, zero at first, in huge pages where the system has them. Memory is taken
/// when it is first touched. A clone is the same array.
#[derive(Debug, Clone)]
pub struct Words {
    // Beside the memory, so that it is found without a look at its keeper: readers come here for each key.
    words: &'static [AtomicU64],
    _memory: Arc<MmapMut>,
}

impl Words {
    /// `len` words, which cost addresses alone until they are touched. With `huge`, in huge pages: fewer
    /// misses, but 2 MiB are taken at once.
    ///
    /// # Errors
    /// What the operating system says when it has no addresses left.
    pub fn zeroed(len: usize, huge: bool) -> io::Result<Words> {
        let bytes = len.max(1).checked_mul(size_of::<AtomicU64>());
        let bytes = bytes.ok_or(io::ErrorKind::OutOfMemory)?;
        let mut memory = MmapOptions::new().len(bytes).no_reserve_swap().map_anon()?;
        if huge {
            // Advice only: a refusal changes nothing.
            let _ = memory.advise(Advice::HugePage);
        }
        let start = memory.as_mut_ptr().cast::<AtomicU64>();
        // SAFETY: the memory is `len` words long, aligned to a page, zeroed by the system, and from here on
        // never reached but through these atomics. It lives as long as this array or a clone of it does,
        // since each keeps it, and so as long as any borrow that `deref` gives: that is of the array's own
        // life, and the field goes nowhere else.
        let words = unsafe { std::slice::from_raw_parts(start, len) };
        Ok(Words { words, _memory: Arc::new(memory) })
    }
}

impl Deref for Words {
    type Target = [AtomicU64];

    #[inline]
    fn deref(&self) -> &[AtomicU64] {
        self.words
    }
}

/// Bytes that one writer appends to while others read what it has published.
///
/// The writer's handle is unique; readers get only ranges below what was published, and those bytes never
/// change again.
#[derive(Debug)]
pub struct Tail {
    memory: MmapMut,
    published: std::sync::atomic::AtomicUsize,
}

/// The right to append to a [`Tail`].
#[derive(Debug)]
pub struct TailWriter {
    tail: Arc<Tail>,
    len: usize,
}

impl Tail {
    /// An empty tail of at most `capacity` bytes. Memory is taken when it is first touched.
    ///
    /// # Errors
    /// What the operating system says when memory is short.
    pub fn with_capacity(capacity: usize) -> io::Result<(Arc<Tail>, TailWriter)> {
        let memory = MmapOptions::new().len(capacity.max(1)).map_anon()?;
        let _ = memory.advise(Advice::HugePage);
        let published = std::sync::atomic::AtomicUsize::new(0);
        let tail = Arc::new(Tail { memory, published });
        Ok((tail.clone(), TailWriter { tail, len: 0 }))
    }

    /// Makes a tail empty that nobody else has any more; it is given back when somebody has. Its memory
    /// keeps what was written: what is skipped later may have any content.
    ///
    /// # Errors
    /// The tail, still in use.
    pub fn recycle(mut tail: Arc<Tail>) -> Result<(Arc<Tail>, TailWriter), Arc<Tail>> {
        let Some(owned) = Arc::get_mut(&mut tail) else { return Err(tail) };
        *owned.published.get_mut() = 0;
        Ok((tail.clone(), TailWriter { tail, len: 0 }))
    }

    /// Everything published so far.
    #[inline]
    pub fn published(&self) -> &[u8] {
        let len = self.published.load(std::sync::atomic::Ordering::Acquire);
        // SAFETY: the first `len` bytes were written before `len` was stored with Release ordering, are
        // inside the memory, and the writer writes only behind them.
        unsafe { std::slice::from_raw_parts(self.memory.as_ptr(), len) }
    }

    /// Most bytes that it takes.
    pub fn capacity(&self) -> usize {
        self.memory.len()
    }
}

impl TailWriter {
    /// Bytes appended so far, published or not.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was appended yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that still fit.
    #[inline]
    pub fn room(&self) -> usize {
        self.tail.memory.len() - self.len
    }

    /// What is appended to.
    pub fn tail(&self) -> &Arc<Tail> {
        &self.tail
    }

    /// Appends bytes; readers do not see them yet.
    ///
    /// # Panics
    /// When they do not fit: ask [`room`](TailWriter::room) first.
    #[inline]
    pub fn append(&mut self, bytes: &[u8]) {
        assert!(bytes.len() <= self.room(), "a tail has no room for what is appended");
        // SAFETY: the target lies inside the memory (just checked) and behind everything published, so no
        // reader has a reference to it; this handle is the only writer. `bytes` cannot overlap it, since
        // nobody has a reference to unpublished bytes.
        unsafe {
            let start = self.tail.memory.as_ptr().cast_mut().add(self.len);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), start, bytes.len());
        }
        self.len += bytes.len();
    }

    /// The next `len` bytes, to be written to and then [skipped](TailWriter::skip). They may have any
    /// content.
    ///
    /// # Panics
    /// When they do not fit: ask [`room`](TailWriter::room) first.
    #[inline]
    pub fn spare(&mut self, len: usize) -> &mut [u8] {
        assert!(len <= self.room(), "a tail has no room for what is appended");
        // SAFETY: as in `append`; the memory was cleared by the system when it was made, and the borrow of
        // this handle keeps others from the same bytes.
        unsafe {
            let start = self.tail.memory.as_ptr().cast_mut().add(self.len);
            std::slice::from_raw_parts_mut(start, len)
        }
    }

    /// Skips `len` bytes, whose content means nothing.
    ///
    /// # Panics
    /// When they do not fit.
    #[inline]
    pub fn skip(&mut self, len: usize) {
        assert!(len <= self.room(), "a tail has no room for what is skipped");
        self.len += len;
    }

    /// Drops what was appended and not published.
    pub fn unwind_to(&mut self, len: usize) {
        let published = self.tail.published.load(std::sync::atomic::Ordering::Relaxed);
        assert!((published..=self.len).contains(&len), "published bytes stay");
        self.len = len;
    }

    /// Shows readers everything appended so far.
    #[inline]
    pub fn publish(&mut self) {
        self.tail.published.store(self.len, std::sync::atomic::Ordering::Release);
    }
}

/// Asks the processor to bring the line of `target` near, without waiting for it.
#[inline]
pub fn prefetch<T: ?Sized>(target: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing and faults never; SSE is part of the architecture.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(target).cast::<i8>());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = target;
}

/// [`prefetch`] of an address that may be anything.
#[inline]
pub(crate) fn prefetch_at(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing and faults never; SSE is part of the architecture.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast::<i8>());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    #[test]
    fn words_are_zero_and_shared() {
        let words = Words::zeroed(1_000, true).unwrap();
        assert!(words.iter().all(|word| word.load(Ordering::Relaxed) == 0));
        words[999].store(7, Ordering::Release);
        let same = words.clone();
        drop(words);
        assert_eq!((same.len(), same[999].load(Ordering::Acquire)), (1_000, 7));
    }

    #[test]
    fn words_that_the_system_refuses_are_an_error() {
        assert!(Words::zeroed(1 << 57, false).is_err() && Words::zeroed(usize::MAX, true).is_err());
    }

    #[test]
    fn readers_see_what_was_published() {
        let (tail, mut writer) = Tail::with_capacity(10).unwrap();
        writer.append(b"abc");
        assert_eq!(tail.published(), b"");
        writer.publish();
        let seen = tail.published();
        writer.append(b"lost");
        writer.unwind_to(3);
        writer.skip(1);
        writer.append(b"de");
        writer.publish();
        assert_eq!((seen, tail.published()), (&b"abc"[..], &b"abclde"[..]));
        assert_eq!(writer.room(), 4);
    }

    #[test]
    fn a_tail_is_recycled_when_nobody_has_it() {
        let (tail, mut writer) = Tail::with_capacity(10).unwrap();
        writer.append(b"abc");
        writer.publish();
        let tail = Tail::recycle(tail).expect_err("the writer has it");
        drop(writer);
        let (tail, mut writer) = Tail::recycle(tail).unwrap();
        assert_eq!((tail.published(), writer.room()), (&b""[..], 10));
        writer.append(b"d");
        writer.publish();
        assert_eq!(tail.published(), b"d");
    }

    #[test]
    #[should_panic(expected = "no room")]
    fn a_tail_does_not_overflow() {
        let (_, mut writer) = Tail::with_capacity(2).unwrap();
        writer.append(b"abc");
    }
}
