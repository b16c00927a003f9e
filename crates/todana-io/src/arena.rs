//! One piece of memory, cut into segments of equal length that writers append to while readers look.
//!
//! Each segment has at most one writer. Readers see the bytes that it has published, which never change
//! until the segment is taken away; it can be written again once nobody can look at what was in it
//! ([`crate::epoch`]).
//!
//! The unsafe code here says in each place what it relies on; tests run under valgrind, and the
//! protocol is model-checked in `epoch`.

use crate::epoch::{Mark, Pin, is_over, mark};
use memmap2::{Advice, MmapMut, MmapOptions};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Bytes from a record's beginning where its key may go on in another cache line.
const NEAR: usize = 31;
/// Where the value of a record of some ninety bytes may: it would be waited for when it is copied.
const FAR: usize = 95;
/// How far ahead of its writer a segment's memory is asked for, in bytes.
const AHEAD: usize = 256;
/// Where Linux says whether there are huge pages for those who ask.
const HUGE_PAGE_POLICY: &str = "/sys/kernel/mm/transparent_hugepage/enabled";

/// See the module.
#[derive(Debug)]
pub struct Arena {
    memory: MmapMut,
    segment_len: usize,
    /// Bytes of each segment that readers may look at.
    published: Box<[AtomicUsize]>,
    /// Whether a segment has a writer, or had one and is not free again.
    taken: Box<[AtomicBool]>,
}

/// Why memory does not come in huge pages here, whatever is asked for; `None` when nothing is known against
/// it. All works without them; look-ups in much memory take longer.
pub fn huge_page_refusal() -> Option<&'static str> {
    let policy = crate::files::read_small(Path::new(HUGE_PAGE_POLICY)).ok();
    let is_disabled = nix::sys::prctl::get_thp_disable().unwrap_or(false);
    let advised =
        MmapOptions::new().len(1).map_anon().and_then(|page| page.advise(Advice::HugePage));
    refusal_of(policy.as_deref(), is_disabled, advised.is_ok())
}

/// [`huge_page_refusal`] of what the system has answered.
fn refusal_of(policy: Option<&str>, is_disabled: bool, is_advised: bool) -> Option<&'static str> {
    if policy.is_some_and(|policy| policy.contains("[never]")) {
        Some("they are switched off in /sys/kernel/mm/transparent_hugepage/enabled")
    } else if is_disabled {
        Some("they are switched off for this process (PR_SET_THP_DISABLE)")
    } else if !is_advised {
        Some("this kernel has none")
    } else {
        None
    }
}

/// The right to append to a segment. A segment whose writer is dropped stays as it is for good.
#[derive(Debug)]
pub struct SegmentWriter {
    arena: Arc<Arena>,
    number: usize,
    len: usize,
}

/// A segment that was taken away, which somebody may still look at.
#[derive(Debug)]
pub struct Retired {
    writer: SegmentWriter,
    mark: Mark,
}

impl Arena {
    /// Takes addresses for `count` segments of `segment_len` bytes; memory is taken when it is written.
    /// With `huge`, in huge pages where the system has them.
    ///
    /// # Errors
    /// What the system says when it has no addresses left.
    pub fn new(segment_len: usize, count: usize, huge: bool) -> io::Result<Arc<Arena>> {
        let len = segment_len.checked_mul(count).ok_or(io::ErrorKind::OutOfMemory)?;
        let memory = MmapOptions::new().len(len.max(1)).no_reserve_swap().map_anon()?;
        if huge {
            // Advice only: a refusal changes nothing but the speed. `huge_page_refusal` says why.
            let _ = memory.advise(Advice::HugePage);
        }
        Ok(Arc::new(Arena {
            memory,
            segment_len,
            published: (0..count).map(|_| AtomicUsize::new(0)).collect(),
            taken: (0..count).map(|_| AtomicBool::new(false)).collect(),
        }))
    }

    /// Bytes of each segment.
    #[inline]
    pub fn segment_len(&self) -> usize {
        self.segment_len
    }

    /// How many segments there are.
    pub fn segment_count(&self) -> usize {
        self.published.len()
    }

    /// The writer of a segment that nobody has; `None` when somebody has it, or there is none.
    pub fn writer(self: &Arc<Arena>, number: usize) -> Option<SegmentWriter> {
        let taken = self.taken.get(number)?.swap(true, Ordering::AcqRel);
        (!taken).then(|| SegmentWriter { arena: self.clone(), number, len: 0 })
    }

    /// What is published of a segment, from a byte on.
    #[inline]
    pub fn read<'a>(&'a self, _: &'a Pin, number: usize, offset: usize) -> &'a [u8] {
        let Some(published) = self.published.get(number) else { return &[] };
        let end = published.load(Ordering::Acquire);
        if offset >= end {
            return &[];
        }
        // SAFETY: the segment's first `end` bytes lie in the memory and were written before `end` was
        // stored with Release ordering. Nobody writes to them before a mark is over that was taken after
        // `published` was set to 0: we have seen it above 0 while pinned, so that is not before the pin
        // goes, which the slice does not outlive. A pin holds what its thread finds, and it is not sent
        // to others; the slice may be, but lives no longer than the pin.
        unsafe {
            let start = self.memory.as_ptr().add(number * self.segment_len + offset);
            std::slice::from_raw_parts(start, end - offset)
        }
    }

    /// Brings a byte near, and some that follow it: a record's key, and `whole`, its value as well if it is
    /// short.
    #[inline]
    pub fn prefetch(&self, number: usize, offset: usize, whole: bool) {
        if number < self.published.len() {
            // Through the address alone: nothing is read.
            let at = self.memory.as_ptr().wrapping_add(number * self.segment_len + offset);
            crate::mapping::prefetch_at(at);
            crate::mapping::prefetch_at(at.wrapping_add(NEAR));
            if whole {
                crate::mapping::prefetch_at(at.wrapping_add(FAR));
            }
        }
    }
}

impl SegmentWriter {
    /// Its segment.
    #[inline]
    pub fn number(&self) -> usize {
        self.number
    }

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
        self.arena.segment_len - self.len
    }

    /// Everything appended so far.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the bytes lie in the segment, were written by this handle, and it alone could write to
        // the segment again, for which it would have to be borrowed mutably or given up.
        unsafe { std::slice::from_raw_parts(self.start(), self.len) }
    }

    #[inline]
    fn start(&self) -> *const u8 {
        // In bounds: there is a segment of this number.
        self.arena.memory.as_ptr().wrapping_add(self.number * self.arena.segment_len)
    }

    /// The next `len` bytes, to be written to and then [taken](SegmentWriter::take). They may have any
    /// content. `None` when they do not fit.
    #[inline]
    pub fn spare(&mut self, len: usize) -> Option<&mut [u8]> {
        if len > self.room() {
            return None;
        }
        // SAFETY: the bytes lie in the segment, behind everything published, so nobody else looks at them;
        // this handle is the segment's only one and is borrowed as long as the slice lives. The system
        // has cleared the memory when it was made.
        unsafe {
            let start = self.start().cast_mut().add(self.len);
            Some(std::slice::from_raw_parts_mut(start, len))
        }
    }

    /// Counts bytes as appended that were written to.
    ///
    /// # Panics
    /// When there are not so many.
    #[inline]
    pub fn take(&mut self, len: usize) {
        assert!(len <= self.room(), "a segment has no room for what is taken");
        self.len += len;
        // What is written next shall not wait for its cache line.
        crate::mapping::prefetch_at(self.start().wrapping_add(self.len + AHEAD));
    }

    /// Shows readers everything appended so far.
    #[inline]
    pub fn publish(&self) {
        self.arena.published[self.number].store(self.len, Ordering::Release);
    }

    /// Takes the segment away: readers who pin from now on find nothing in it.
    pub fn retire(self) -> Retired {
        self.arena.published[self.number].store(0, Ordering::Release);
        Retired { writer: self, mark: mark() }
    }
}

impl Retired {
    /// Its segment, empty, when nobody can look at it any more.
    ///
    /// # Errors
    /// Itself, when somebody can.
    pub fn reuse(self) -> Result<SegmentWriter, Retired> {
        if !is_over(self.mark) {
            return Err(self);
        }
        let mut writer = self.writer;
        writer.len = 0;
        Ok(writer)
    }
}

impl SegmentWriter {
    /// Gives an empty segment's memory back to the system, and the segment to whoever asks for a
    /// [writer](Arena::writer) next.
    ///
    /// # Errors
    /// Itself, when something was appended: such a segment has to be retired first.
    pub fn give_back(self) -> Result<(), SegmentWriter> {
        if self.len > 0 {
            return Err(self);
        }
        let start = self.number * self.arena.segment_len;
        // SAFETY: the range is the segment's, it is empty, so nobody has a reference to its bytes, and this
        // handle, which alone could make one, is given up. Anonymous private memory reads as zeros
        // afterwards.
        let done = unsafe {
            self.arena.memory.unchecked_advise_range(
                memmap2::UncheckedAdvice::DontNeed,
                start,
                self.arena.segment_len,
            )
        };
        // A refusal, of memory that is locked, leaves it as it is: taken, and of any content.
        drop(done);
        self.arena.taken[self.number].store(false, Ordering::Release);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::epoch::pin;

    #[test]
    fn readers_see_what_is_published_until_they_let_go() {
        let arena = Arena::new(4_096, 3, false).unwrap();
        let mut writer = arena.writer(1).unwrap();
        assert!(arena.writer(1).is_none() && arena.writer(3).is_none());
        writer.spare(5).unwrap().copy_from_slice(b"bytes");
        writer.take(5);
        let pinned = pin();
        assert_eq!(arena.read(&pinned, 1, 0), b"");
        writer.publish();
        let seen = arena.read(&pinned, 1, 2);
        assert_eq!(seen, b"tes");
        assert_eq!(writer.bytes(), b"bytes");
        let retired = writer.retire();
        let Err(retired) = retired.reuse() else { panic!("somebody looks at it") };
        assert_eq!(seen, b"tes");
        assert_eq!(arena.read(&pin(), 1, 2), b"");
        drop(pinned);
        let mut retired = Err(retired);
        while let Err(still) = retired {
            retired = still.reuse();
        }
        let Ok(mut writer) = retired else { return };
        assert!(writer.is_empty() && writer.spare(4_097).is_none());
        writer.spare(4_096).unwrap().fill(7);
        writer.take(4_096);
        writer.publish();
        assert!(arena.read(&pin(), 1, 0).iter().all(|byte| *byte == 7));
        let Err(writer) = writer.give_back() else { panic!("something was appended") };
        let mut retired = Err(writer.retire());
        while let Err(still) = retired {
            retired = still.reuse();
        }
        let Ok(writer) = retired else { return };
        writer.give_back().unwrap();
        assert!(arena.writer(1).is_some());
    }

    #[test]
    fn a_refusal_of_huge_pages_has_a_reason() {
        let check = |policy, is_disabled, is_advised, expected: Option<&str>| {
            let reason = refusal_of(policy, is_disabled, is_advised);
            let fits = reason.zip(expected).map(|(reason, expected)| reason.contains(expected));
            assert!(fits.unwrap_or(reason.is_none() && expected.is_none()), "{reason:?}");
        };
        check(Some("always [madvise] never\n"), false, true, None);
        check(Some("[always] madvise never\n"), false, true, None);
        check(Some("always madvise [never]\n"), false, true, Some("/sys/kernel"));
        check(Some("[always] madvise never\n"), true, true, Some("this process"));
        check(None, false, false, Some("this kernel"));
        check(None, false, true, None);
    }

    #[test]
    fn addresses_that_the_system_refuses_are_an_error() {
        assert!(Arena::new(1 << 40, 1 << 20, false).is_err());
        assert!(Arena::new(usize::MAX, 2, false).is_err());
    }

    /// Threads read whatever is there while segments go round.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "the others shall run, under valgrind too")]
    fn nobody_sees_a_segment_change() {
        const COUNT: usize = 4;
        let rounds = if cfg!(debug_assertions) { 192 } else { 30_000 };
        let arena = Arena::new(4_096, COUNT, false).unwrap();
        let stop = AtomicBool::new(false);
        let seen = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for thread in 0..2 {
                let (arena, stop, seen) = (&arena, &stop, &seen);
                scope.spawn(move || {
                    let mut at = thread;
                    while !stop.load(Ordering::Relaxed) {
                        at = (at + 1) % COUNT;
                        let pinned = pin();
                        let bytes = arena.read(&pinned, at, 0);
                        if let Some(first) = bytes.first() {
                            assert!(bytes.iter().all(|byte| byte == first));
                            seen.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
            let mut writers: Vec<_> = (0..COUNT).map(|at| arena.writer(at)).collect();
            for round in 0..rounds {
                let at = round % COUNT;
                let Some(mut writer) = writers[at].take() else { continue };
                if !writer.is_empty() {
                    let mut retired = Err(writer.retire());
                    writer = loop {
                        match retired {
                            Ok(writer) => break writer,
                            Err(still) => retired = still.reuse(),
                        }
                    };
                }
                for _ in 0..8 {
                    writer.spare(512).unwrap().fill(round.to_le_bytes()[0]);
                    writer.take(512);
                    writer.publish();
                }
                if round % 64 == 0 {
                    // The others shall have had a look, even on one core.
                    let before = seen.load(Ordering::Relaxed);
                    while seen.load(Ordering::Relaxed) == before {
                        std::thread::sleep(std::time::Duration::from_micros(200));
                    }
                }
                writers[at] = Some(writer);
            }
            stop.store(true, Ordering::Relaxed);
        });
        assert!(seen.load(Ordering::Relaxed) > 0);
    }
}
