//! Numbered objects that one writer makes and retires while readers look at them.
//!
//! A reader who [pins](crate::epoch) finds an object by its number and may look at it until the pin is dropped.
//! The writer takes an object away in two steps: it makes sure that nobody is led to the number any more, then
//! [retires](SlabWriter::retire) it; the object is dropped, and its number used again, once the mark that was
//! taken then is over. Numbers are plain words: they can be stored in atomics and in other objects.
//!
//! Objects stand side by side in chunks that are never moved, so a number leads to its object without a
//! table in between that would cost a cache line each.

use crate::epoch::{Mark, Pin, is_over, mark};
use std::cell::UnsafeCell;
use std::collections::VecDeque;
use std::fmt;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

/// Objects of the first chunk, as a power of two; each further one has twice as many as the one before.
const FIRST_BITS: u32 = 8;
/// Chunks: all numbers of 32 bits.
const CHUNKS: usize = (32 - FIRST_BITS) as usize;
/// Objects that are retired under one mark.
const GROUP: usize = 16;

struct Slot<T> {
    /// Whether there is an object that may be found.
    is_full: AtomicBool,
    object: UnsafeCell<MaybeUninit<T>>,
}

type Chunk<T> = Box<[UnsafeCell<MaybeUninit<Slot<T>>>]>;

/// See the module.
pub struct Slab<T> {
    chunks: [OnceLock<Chunk<T>>; CHUNKS],
    /// Slots below it were made.
    made: AtomicU32,
}

// SAFETY: objects are made and dropped by the one writer and looked at by many threads, as behind an `Arc`.
unsafe impl<T: Send + Sync> Sync for Slab<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Send for Slab<T> {}

/// The right to make and retire objects of a [`Slab`].
#[derive(Debug)]
pub struct SlabWriter<T> {
    slab: Arc<Slab<T>>,
    free: Vec<u32>,
    /// Retired, without a mark yet.
    group: Vec<u32>,
    limbo: VecDeque<(Mark, Vec<u32>)>,
}

impl<T> fmt::Debug for Slab<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Slab").field("made", &self.made).finish_non_exhaustive()
    }
}

/// Chunk and place in it.
#[inline]
const fn place(number: u32) -> (usize, usize) {
    // Addresses have 64 bits here, or there is no memory for numbers that overflow.
    let shifted = number as usize + (1 << FIRST_BITS);
    let bits = shifted.ilog2();
    ((bits - FIRST_BITS) as usize, shifted - (1 << bits))
}

impl<T> Slab<T> {
    /// A slab without objects.
    #[expect(clippy::new_ret_no_self, reason = "there is one writer for each")]
    pub fn new() -> SlabWriter<T> {
        let slab = Slab { chunks: [const { OnceLock::new() }; CHUNKS], made: AtomicU32::new(0) };
        let slab = Arc::new(slab);
        SlabWriter { slab, free: Vec::new(), group: Vec::new(), limbo: VecDeque::new() }
    }

    /// The slot of a number, if it was ever made.
    #[inline]
    fn slot(&self, number: u32) -> Option<&Slot<T>> {
        if number >= self.made.load(Ordering::Acquire) {
            return None;
        }
        let (chunk, at) = place(number);
        let slot = self.chunks.get(chunk)?.get()?.get(at)?;
        // SAFETY: slots below `made`, which was acquired, were written before it was released, and are not
        // written as a whole again.
        Some(unsafe { (*slot.get()).assume_init_ref() })
    }

    /// The object with a number; `None` when there is none (any more).
    #[inline]
    pub fn get<'a>(&'a self, _: &'a Pin, number: u32) -> Option<&'a T> {
        let slot = self.slot(number)?;
        if !slot.is_full.load(Ordering::Acquire) {
            return None;
        }
        // SAFETY: the object was written before `is_full` was released. It is dropped only by the writer, after
        // it has cleared `is_full` and a mark taken after that is over: this pin, which was there before
        // the look at `is_full`, keeps that mark from being over (`epoch`).
        Some(unsafe { (*slot.object.get()).assume_init_ref() })
    }

    /// Brings the first three cache lines of an object near.
    #[inline]
    pub fn prefetch(&self, number: u32) {
        let Some(slot) = self.slot(number) else { return };
        let first = std::ptr::from_ref(slot).cast::<u8>();
        for line in 0..size_of::<Slot<T>>().div_ceil(64).min(3) {
            crate::mapping::prefetch_at(first.wrapping_add(64 * line));
        }
    }
}

impl<T> SlabWriter<T> {
    /// What is written to, for readers.
    #[inline]
    pub fn slab(&self) -> &Arc<Slab<T>> {
        &self.slab
    }

    /// Objects that are neither free nor dropped yet.
    pub fn len(&self) -> usize {
        self.slab.made.load(Ordering::Relaxed) as usize - self.free.len()
    }

    /// Whether there is no object.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keeps an object; readers find it by its number.
    ///
    /// # Panics
    /// When there are 2^32 already.
    pub fn insert(&mut self, object: T) -> u32 {
        if self.free.is_empty() {
            self.collect();
        }
        let Some(number) = self.free.pop() else { return self.insert_new(object) };
        let slot = self.slab.slot(number).expect("a free number was made before");
        // SAFETY: the number is free: its object was dropped, nobody has a reference to it, and readers do
        // not look at it while `is_full` is not set. There is one writer.
        unsafe { (*slot.object.get()).write(object) };
        slot.is_full.store(true, Ordering::Release);
        number
    }

    fn insert_new(&mut self, object: T) -> u32 {
        let number = self.slab.made.load(Ordering::Relaxed);
        let next = number.checked_add(1).expect("there are fewer objects than numbers");
        let (chunk, at) = place(number);
        let chunk = self.slab.chunks[chunk].get_or_init(|| {
            let len = 1_usize << (chunk + FIRST_BITS as usize);
            let mut slots = Vec::with_capacity(len);
            slots.resize_with(len, || UnsafeCell::new(MaybeUninit::uninit()));
            slots.into()
        });
        let object = UnsafeCell::new(MaybeUninit::new(object));
        let slot = Slot { is_full: AtomicBool::new(true), object };
        // SAFETY: nobody looks at slots from `made` on, and there is one writer.
        unsafe { (*chunk[at].get()).write(slot) };
        self.slab.made.store(next, Ordering::Release);
        number
    }

    /// The object with a number, for the writer, who alone could take it away.
    #[inline]
    pub fn get(&self, number: u32) -> Option<&T> {
        let slot = self.slab.slot(number)?;
        if !slot.is_full.load(Ordering::Relaxed) {
            return None;
        }
        // SAFETY: it is dropped in methods that borrow this writer mutably.
        Some(unsafe { (*slot.object.get()).assume_init_ref() })
    }

    /// Takes an object away that readers who pin from now on are not led to. Retiring it twice does nothing.
    pub fn retire(&mut self, number: u32) {
        let Some(slot) = self.slab.slot(number) else { return };
        if !slot.is_full.swap(false, Ordering::AcqRel) {
            return;
        }
        self.group.push(number);
        if self.group.len() >= GROUP {
            self.collect();
        }
    }

    /// Drops what nobody can look at any more.
    pub fn collect(&mut self) {
        if !self.group.is_empty() {
            self.limbo.push_back((mark(), std::mem::take(&mut self.group)));
        }
        while let Some((_, numbers)) = self.limbo.pop_front_if(|(mark, _)| is_over(*mark)) {
            for number in numbers {
                let Some(slot) = self.slab.slot(number) else { continue };
                // SAFETY: `is_full` was cleared before the mark was taken, and the mark is over: nobody has a
                // reference. It is full no more, so it is dropped once.
                unsafe { (*slot.object.get()).assume_init_drop() };
                self.free.push(number);
            }
        }
    }

    /// Objects that were retired and not dropped yet.
    pub fn retired_len(&self) -> usize {
        self.group.len() + self.limbo.iter().map(|(_, numbers)| numbers.len()).sum::<usize>()
    }
}

impl<T> Drop for SlabWriter<T> {
    /// What is retired is dropped if it can be; else it is lost to memory, which happens only where a
    /// reader is pinned while the store is dropped by another thread.
    fn drop(&mut self) {
        self.collect();
    }
}

impl<T> Drop for Slab<T> {
    fn drop(&mut self) {
        for number in 0..*self.made.get_mut() {
            if let Some(slot) = self.slot(number)
                && slot.is_full.swap(false, Ordering::Relaxed)
            {
                // SAFETY: it is full, and nobody else has this slab.
                unsafe { (*slot.object.get()).assume_init_drop() };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::epoch::pin;
    use std::sync::atomic::AtomicU64;

    #[test]
    fn numbers_lie_side_by_side() {
        assert_eq!(place(0), (0, 0));
        assert_eq!(place(255), (0, 255));
        assert_eq!(place(256), (1, 0));
        assert_eq!(place(767), (1, 511));
        assert_eq!(place(768), (2, 0));
        assert_eq!(place(u32::MAX).0, CHUNKS, "the last 256 numbers have no chunk");
    }

    #[test]
    fn an_object_stays_while_somebody_looks_at_it() {
        let drops = Arc::new(AtomicU64::new(0));
        struct Counted(u32, Arc<AtomicU64>);
        impl Drop for Counted {
            fn drop(&mut self) {
                self.1.fetch_add(1, Ordering::Relaxed);
            }
        }
        let mut writer = Slab::new();
        let slab = writer.slab().clone();
        let numbers: Vec<u32> =
            (0..1_000).map(|n| writer.insert(Counted(n, drops.clone()))).collect();
        let there = pin();
        let seen = slab.get(&there, numbers[500]).unwrap();
        numbers.iter().for_each(|&number| writer.retire(number));
        writer.collect();
        assert!(slab.get(&there, numbers[500]).is_none() && writer.get(numbers[0]).is_none());
        assert_eq!((seen.0, drops.load(Ordering::Relaxed)), (500, 0));
        drop(there);
        // Other tests of this process may be pinned for a moment.
        while writer.retired_len() > 0 {
            writer.collect();
            std::thread::yield_now();
        }
        assert_eq!(drops.load(Ordering::Relaxed), 1_000);
        let again = writer.insert(Counted(7, drops.clone()));
        assert!(again < 1_000, "numbers are used again");
        assert_eq!(slab.get(&pin(), again).map(|object| object.0), Some(7));
        assert_eq!(writer.len(), 1);
        drop((writer, slab));
        assert_eq!(drops.load(Ordering::Relaxed), 1_001);
    }

    #[test]
    fn readers_find_whole_objects_or_none() {
        let mut writer = Slab::<Box<[u64; 8]>>::new();
        let slab = writer.slab().clone();
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::new(AtomicU64::new(0));
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let (slab, stop, seen) = (slab.clone(), stop.clone(), seen.clone());
                std::thread::spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        let pin = pin();
                        for number in 0..64 {
                            let Some(words) = slab.get(&pin, number) else { continue };
                            let words: &[u64; 8] = words.as_ref();
                            assert!(words.iter().all(|word| *word == words[0]));
                            seen.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                })
            })
            .collect();
        let mut live = VecDeque::new();
        let mut n = 0;
        // Until readers have had their turn, however late they come to it.
        while n < 100_000 || seen.load(Ordering::Relaxed) < 1_000 {
            live.push_back(writer.insert(Box::new([n; 8])));
            if live.len() > 32 {
                writer.retire(live.pop_front().unwrap());
            }
            n += 1;
        }
        stop.store(true, Ordering::Relaxed);
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    }
}
