//! When memory that readers may still look at can be used again (epoch-based reclamation; Fraser 2004,
//! *Practical lock-freedom*).
//!
//! A reader *pins* before it looks at anything shared and lets go when it holds nothing any more. Whoever
//! takes something away makes sure that readers who pin from now on do not find it, then takes a *mark*;
//! once the [mark is over](is_over) nobody can hold it any more. Pinning stores one word that only the
//! pinning thread writes; readers never wait, for anybody.
//!
//! *Why it is safe.* Let a reader hold something that was taken away before the mark `e`. It found it, so it
//! looked before it could see that it was gone. Either the number that it had pinned is at most `e`, and
//! whoever asks whether `e` is over sees that number in the reader's slot: the reader's fence came between
//! its store and its look, the asker's between taking away and loading, and had the asker's come first,
//! the reader would have seen that it was gone. Or it is larger: then the reader has read a number that
//! was made after it was gone (acquired from what `mark` has released), and had to see that it was.
//! What a slot says is stored with a release, so whoever acquires it comes after the looks of earlier pins.

#[cfg(loom)]
use loom::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};

#[cfg(not(loom))]
const SLOTS: usize = 256;
#[cfg(loom)]
const SLOTS: usize = 3;

/// Of a slot that no thread has.
const FREE: u64 = 0;
/// Of a slot whose thread holds nothing.
const IDLE: u64 = 1;
const FIRST: u64 = 2;

/// A word that one thread writes, in cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
struct Slot(AtomicU64);

/// Who reads what since when.
#[derive(Debug)]
pub(crate) struct Epochs {
    now: AtomicU64,
    slots: Vec<Slot>,
    /// Slots from here on were never taken.
    used: AtomicUsize,
}

/// What was taken away before may be used again once this is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(u64);

impl Epochs {
    pub(crate) fn new() -> Epochs {
        let slots = (0..SLOTS).map(|_| Slot(AtomicU64::new(FREE))).collect();
        Epochs { now: AtomicU64::new(FIRST), slots, used: AtomicUsize::new(0) }
    }

    /// A slot for a thread; none when all are taken.
    pub(crate) fn claim(&self) -> Option<usize> {
        self.slots.iter().enumerate().find_map(|(at, slot)| {
            let taken =
                slot.0.compare_exchange(FREE, IDLE, Ordering::AcqRel, Ordering::Relaxed).is_ok();
            if taken {
                self.used.fetch_max(at + 1, Ordering::AcqRel);
            }
            taken.then_some(at)
        })
    }

    /// Gives a slot back whose thread holds nothing.
    pub(crate) fn release(&self, slot: usize) {
        self.slots[slot].0.store(FREE, Ordering::Release);
    }

    #[inline]
    pub(crate) fn enter(&self, slot: usize) {
        let now = self.now.load(Ordering::Acquire);
        // Release: who sees this number has to see that an earlier pin's looks are over.
        self.slots[slot].0.store(now, Ordering::Release);
        fence(Ordering::SeqCst);
    }

    #[inline]
    pub(crate) fn leave(&self, slot: usize) {
        self.slots[slot].0.store(IDLE, Ordering::Release);
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark(self.now.fetch_add(1, Ordering::AcqRel))
    }

    pub(crate) fn is_over(&self, mark: Mark) -> bool {
        fence(Ordering::SeqCst);
        let used = self.used.load(Ordering::Acquire);
        self.slots.iter().take(used).all(|slot| {
            let since = slot.0.load(Ordering::Acquire);
            since < FIRST || since > mark.0
        })
    }
}

#[cfg(not(loom))]
pub use threads::{Pin, is_over, mark, pin};

#[cfg(not(loom))]
mod threads {
    use super::{Epochs, Mark};
    use std::cell::Cell;
    use std::marker::PhantomData;
    use std::sync::{LazyLock, Mutex, PoisonError};

    static EPOCHS: LazyLock<Epochs> = LazyLock::new(|| {
        let epochs = Epochs::new();
        let crowd = epochs.claim();
        debug_assert_eq!(crowd, Some(CROWD), "nobody was before");
        epochs
    });

    /// The slot of threads that have none of their own, and how many of them read.
    const CROWD: usize = 0;
    static IN_CROWD: Mutex<usize> = Mutex::new(0);

    struct Thread {
        slot: Option<usize>,
        depth: Cell<usize>,
    }

    impl Drop for Thread {
        fn drop(&mut self) {
            if let Some(slot) = self.slot {
                EPOCHS.release(slot);
            }
        }
    }

    thread_local! {
        static THREAD: Thread = Thread { slot: EPOCHS.claim(), depth: const { Cell::new(0) } };
    }

    /// As long as it lives, nothing that its thread finds is used for anything else.
    #[derive(Debug)]
    pub struct Pin {
        own: bool,
        // It has to be dropped by the thread that made it.
        not_send: PhantomData<*const ()>,
    }

    /// Holds on to everything that this thread finds from now on. Pins of a thread may overlap.
    #[inline]
    pub fn pin() -> Pin {
        let own = THREAD.try_with(|thread| {
            let Some(slot) = thread.slot else { return false };
            let depth = thread.depth.get();
            if depth == 0 {
                EPOCHS.enter(slot);
            }
            thread.depth.set(depth + 1);
            true
        });
        let own = own.unwrap_or(false);
        if !own {
            join_crowd();
        }
        Pin { own, not_send: PhantomData }
    }

    impl Drop for Pin {
        #[inline]
        fn drop(&mut self) {
            if !self.own {
                leave_crowd();
                return;
            }
            // A thread that ends drops its pins before its slot.
            let _ = THREAD.try_with(|thread| {
                let depth = thread.depth.get() - 1;
                thread.depth.set(depth);
                if let (0, Some(slot)) = (depth, thread.slot) {
                    EPOCHS.leave(slot);
                }
            });
        }
    }

    /// They share a number, the oldest of those who are there: more is held than need be.
    #[cold]
    fn join_crowd() {
        let mut count = IN_CROWD.lock().unwrap_or_else(PoisonError::into_inner);
        if *count == 0 {
            EPOCHS.enter(CROWD);
        } else {
            std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
        }
        *count += 1;
    }

    #[cold]
    fn leave_crowd() {
        let mut count = IN_CROWD.lock().unwrap_or_else(PoisonError::into_inner);
        *count -= 1;
        if *count == 0 {
            EPOCHS.leave(CROWD);
        }
    }

    /// A mark after everything that this thread has taken away.
    pub fn mark() -> Mark {
        EPOCHS.mark()
    }

    /// Whether nobody can hold anything any more that was taken away before a mark.
    pub fn is_over(mark: Mark) -> bool {
        EPOCHS.is_over(mark)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn a_mark_is_over_when_those_who_were_there_have_left() {
        let (to_reader, orders) = mpsc::channel::<()>();
        let (to_writer, done) = mpsc::channel::<()>();
        let reader = std::thread::spawn(move || {
            let outer = pin();
            drop(pin());
            to_writer.send(()).unwrap();
            orders.recv().unwrap();
            drop(outer);
            to_writer.send(()).unwrap();
            orders.recv().unwrap();
        });
        done.recv().unwrap();
        let mark = mark();
        assert!(!is_over(mark));
        to_reader.send(()).unwrap();
        done.recv().unwrap();
        // Other tests of this process may be pinned for a moment.
        while !is_over(mark) {
            std::thread::yield_now();
        }
        to_reader.send(()).unwrap();
        reader.join().unwrap();
    }

    #[test]
    fn more_threads_than_slots_are_held_as_well() {
        let (started, have_started) = mpsc::channel::<()>();
        let stops: Vec<_> = (0..SLOTS + 20)
            .map(|_| {
                let (stop, wait) = mpsc::channel::<()>();
                let started = started.clone();
                let thread = std::thread::spawn(move || {
                    let pin = pin();
                    started.send(()).unwrap();
                    wait.recv().unwrap();
                    drop(pin);
                });
                (stop, thread)
            })
            .collect();
        stops.iter().for_each(|_| have_started.recv().unwrap());
        let mark = mark();
        for (stop, thread) in stops {
            assert!(!is_over(mark));
            stop.send(()).unwrap();
            thread.join().unwrap();
        }
        while !is_over(mark) {
            std::thread::yield_now();
        }
    }
}

/// `RUSTFLAGS="--cfg loom" cargo test -p todana-io --release --lib epoch`
#[cfg(all(test, loom))]
mod model {
    use super::*;
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;
    use loom::thread;

    /// As a segment of an arena: bytes, and how many of them readers may look at.
    struct Memory {
        bytes: UnsafeCell<u64>,
        published: AtomicUsize,
        epochs: Epochs,
    }

    fn read(memory: &Memory, slot: usize) {
        memory.epochs.enter(slot);
        if memory.published.load(Ordering::Acquire) > 0 {
            // SAFETY: loom says whether anybody writes meanwhile.
            let seen = memory.bytes.with(|bytes| unsafe { *bytes });
            assert!(seen == 1 || seen == 2);
        }
        memory.epochs.leave(slot);
    }

    fn write(memory: &Memory, value: u64) {
        // SAFETY: loom says whether anybody reads meanwhile.
        memory.bytes.with_mut(|bytes| unsafe { *bytes = value });
        memory.published.store(1, Ordering::Release);
    }

    #[test]
    fn memory_is_written_again_only_when_nobody_reads_it() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let memory = Arc::new(Memory {
                bytes: UnsafeCell::new(0),
                published: AtomicUsize::new(0),
                epochs: Epochs::new(),
            });
            write(&memory, 1);
            let readers: Vec<_> = (0..2)
                .map(|_| {
                    let memory = memory.clone();
                    let slot = memory.epochs.claim().unwrap();
                    thread::spawn(move || read(&memory, slot))
                })
                .collect();
            memory.published.store(0, Ordering::Relaxed);
            let mark = memory.epochs.mark();
            if memory.epochs.is_over(mark) {
                write(&memory, 2);
            }
            readers.into_iter().for_each(|reader| reader.join().unwrap());
            assert!(memory.epochs.is_over(mark));
        });
    }

    #[test]
    fn a_thread_that_comes_later_is_held_too() {
        loom::model(|| {
            let memory = Arc::new(Memory {
                bytes: UnsafeCell::new(0),
                published: AtomicUsize::new(0),
                epochs: Epochs::new(),
            });
            write(&memory, 1);
            let reader = {
                let memory = memory.clone();
                thread::spawn(move || {
                    let slot = memory.epochs.claim().unwrap();
                    read(&memory, slot);
                    read(&memory, slot);
                    memory.epochs.release(slot);
                })
            };
            memory.published.store(0, Ordering::Relaxed);
            let mark = memory.epochs.mark();
            if memory.epochs.is_over(mark) {
                write(&memory, 2);
            }
            reader.join().unwrap();
        });
    }
}
