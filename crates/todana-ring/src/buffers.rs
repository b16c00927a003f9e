//! Buffers that the kernel takes from a pool when bytes have come.

use io_uring::IoUring;
use io_uring::types::BufRingEntry;
use memmap2::MmapMut;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU16, Ordering};

/// The one group of buffers of a ring.
pub(crate) const GROUP: u16 = 0;

/// A pool of `count` buffers (a power of two) of `len` bytes. A buffer is the kernel's until a completion
/// lends it to us, and again after it was given back.
pub(crate) struct Buffers {
    /// What the kernel may take: `count` entries, then its tail is read by the kernel.
    entries: MmapMut,
    bytes: MmapMut,
    count: u16,
    len: usize,
    tail: u16,
    /// Which are lent to us.
    lent: Box<[bool]>,
}

impl Buffers {
    /// Buffers that are all the kernel's as soon as they are registered.
    ///
    /// # Errors
    /// What the system says when it has no memory.
    pub(crate) fn new(count: u16, len: usize) -> io::Result<Buffers> {
        assert!(count.is_power_of_two(), "the kernel wants a power of two");
        let entries = MmapMut::map_anon(usize::from(count) * size_of::<BufRingEntry>())?;
        let bytes = MmapMut::map_anon(usize::from(count) * len)?;
        let lent = vec![true; usize::from(count)].into();
        let mut buffers = Buffers { entries, bytes, count, len, tail: 0, lent };
        (0..count).for_each(|id| buffers.give_back(id));
        Ok(buffers)
    }

    /// Hands the pool to a ring, which has to be gone before the pool is.
    ///
    /// # Errors
    /// What the kernel says when it does not know such pools.
    pub(crate) fn register(&self, io: &IoUring) -> io::Result<()> {
        let address = self.entries.as_ptr() as u64;
        // SAFETY: the entries are a mapping of their own, aligned to a page, `count` long, and `Ring` drops
        // them after its kernel side has ended.
        unsafe { io.submitter().register_buf_ring_with_flags(address, self.count, GROUP, 0) }
    }

    /// Notes that the kernel has lent a buffer; false when it cannot have.
    pub(crate) fn borrow(&mut self, id: u16, len: usize) -> bool {
        match self.lent.get_mut(usize::from(id)) {
            Some(lent) if !*lent && len <= self.len => {
                *lent = true;
                true
            }
            _ => false,
        }
    }

    /// Bytes of a buffer that is lent to us; nothing of others.
    pub(crate) fn read(&self, id: u16, range: Range<usize>) -> &[u8] {
        let id = usize::from(id);
        if !self.lent.get(id).copied().unwrap_or(false) || range.end > self.len {
            return &[];
        }
        let at = id * self.len + range.start;
        // SAFETY: within the mapping, and the kernel does not write to a buffer that it has lent; it gets
        // it back through `&mut self`, when nobody can have the slice any more.
        unsafe { std::slice::from_raw_parts(self.bytes.as_ptr().add(at), range.len()) }
    }

    /// Gives a buffer back to the kernel.
    pub(crate) fn give_back(&mut self, id: u16) {
        let Some(lent) = self.lent.get_mut(usize::from(id)) else { return };
        if !std::mem::take(lent) {
            return;
        }
        let mask = self.count - 1;
        let base = self.entries.as_mut_ptr().cast::<BufRingEntry>();
        // SAFETY: the entry is within the mapping, and behind the tail, where the kernel does not look; at
        // most `count` buffers are ever the kernel's, so it does not stand before its head.
        let entry = unsafe { &mut *base.add(usize::from(self.tail & mask)) };
        entry.set_addr(self.bytes.as_mut_ptr().wrapping_add(usize::from(id) * self.len) as u64);
        entry.set_len(u32::try_from(self.len).unwrap_or(u32::MAX));
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: the tail lies in the first entry, where the kernel reads it as we write it: atomically.
        let tail = unsafe { &*BufRingEntry::tail(base).cast::<AtomicU16>() };
        tail.store(self.tail, Ordering::Release);
    }
}
