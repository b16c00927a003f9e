//! The ring: sockets in, events out.

use crate::buffers::Buffers;
use crate::requests::{Kind, Role, Way, cancel, room, standing, untag};
use crate::slot::Slot;
use io_uring::squeue::Entry;
use io_uring::{IoUring, cqueue};
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::io::{self, Write};
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

/// Requests that can be queued before the kernel is called.
const REQUESTS: u32 = 256;
/// Completions that the kernel can queue before it sets them aside.
const COMPLETIONS: u32 = 4_096;
/// Buffers, and the bytes of each: few enough to stay in the cache, and enough for what comes in a cycle.
const BUFFERS: u16 = 128;
const BUFFER_LEN: usize = 16 * 1024;
/// Bytes of output above which the kernel is called before the cycle ends.
const OUTPUT_LEN: usize = 1 << 20;
/// Bytes of one socket that leave together: sockets seldom have room for more, and the rest comes back.
const SEND_LEN: usize = 512 * 1024;
/// Longest time that a trial may take, by far.
const TRIAL: Duration = Duration::from_secs(1);
/// Key of the waker.
const WAKER: usize = usize::MAX;

/// Names a socket of a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketId(pub(crate) usize);

/// What has happened to the socket with this key.
#[derive(Debug)]
pub enum Event {
    /// Somebody has called [`Waker::wake`].
    Woken,
    /// There is something to read, or a watched file is readable.
    Readable(usize),
    /// Bytes were not sent: the socket has no room. `Writable` follows.
    Unsent(usize, Vec<u8>),
    /// There is room to send again.
    Writable(usize),
    /// It takes no bytes any more.
    Broken(usize),
    /// A listener has accepted a connection.
    Accepted(usize, OwnedFd),
    /// A listener could not accept.
    NotAccepted(usize, io::Error),
}

impl Event {
    /// The key of the socket or file that it is about.
    fn key(&self) -> Option<usize> {
        match self {
            Event::Woken => None,
            Event::Readable(key)
            | Event::Unsent(key, _)
            | Event::Writable(key)
            | Event::Broken(key)
            | Event::Accepted(key, _)
            | Event::NotAccepted(key, _) => Some(*key),
        }
    }
}

/// Wakes a ring from another thread.
#[derive(Debug, Clone)]
pub struct Waker(Arc<EventFd>);

impl Waker {
    /// Ends the ring's wait, or its next one.
    ///
    /// # Errors
    /// What the system says.
    pub fn wake(&self) -> io::Result<()> {
        self.0.write(1).map(drop).map_err(io::Error::from)
    }
}

/// See the crate. Belongs to the thread that enters it first.
pub struct Ring {
    way: Way,
    buffers: Buffers,
    slots: Vec<Option<Slot>>,
    free: Vec<usize>,
    /// Requests for the next call.
    orders: Vec<Entry>,
    /// Slots with something to send, and their bytes one behind the other.
    senders: Vec<usize>,
    output: Vec<u8>,
    /// Slots that hold buffers.
    holders: Vec<usize>,
    /// Somebody has more to send as soon as this has left: there is nothing to wait for.
    hurried: bool,
    /// What a call in the middle of a cycle brought.
    early: Vec<Event>,
    waker: Waker,
    enabled: bool,
}

impl Ring {
    /// Makes a ring.
    ///
    /// # Errors
    /// When the kernel has no such rings (before Linux 6.1), or something forbids them.
    pub fn new() -> io::Result<Ring> {
        let io = build()?;
        let params = io.params();
        let known = params.is_feature_nodrop() && params.is_feature_ext_arg();
        if !known || !params.is_feature_skip_cqe_on_success() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let buffers = Buffers::new(BUFFERS, BUFFER_LEN)?;
        buffers.register(&io)?;
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let event = EventFd::from_value_and_flags(0, flags)?;
        let watched = event.as_fd().try_clone_to_owned()?;
        let mut ring = Ring {
            way: Way { io },
            buffers,
            slots: Vec::new(),
            free: Vec::new(),
            orders: Vec::new(),
            senders: Vec::new(),
            output: Vec::new(),
            holders: Vec::new(),
            hurried: false,
            early: Vec::new(),
            waker: Waker(Arc::new(event)),
            enabled: false,
        };
        ring.watch(watched, WAKER);
        Ok(ring)
    }

    /// Finds out whether rings work here as this crate needs them, with a pair of sockets.
    ///
    /// # Errors
    /// Why they do not.
    pub fn try_out() -> io::Result<()> {
        let mut ring = Ring::new()?;
        let (mut theirs, ours) = UnixStream::pair()?;
        let id = ring.add(ours.into(), 0);
        let mut events = Vec::new();
        let mut enter = |ring: &mut Ring, what: fn(&Event) -> bool| {
            events.clear();
            ring.enter(TRIAL, &mut events)?;
            match events.iter().any(what) {
                true => Ok(()),
                false => Err(io::Error::other("io_uring does not do what its manual says")),
            }
        };
        theirs.write_all(b"?")?;
        enter(&mut ring, |event| matches!(event, Event::Readable(0)))?;
        if ring.read(id, &mut [0; 2])? != 1 {
            return Err(io::Error::other("io_uring loses bytes"));
        }
        // More than there is room for: told at once.
        while ring.send(id, &[b'!'; SEND_LEN]) > 0 {}
        enter(&mut ring, |event| matches!(event, Event::Unsent(0, _)))
    }

    /// Wakes this ring.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Takes a connected socket and receives from it; events name it by `key`.
    pub fn add(&mut self, socket: OwnedFd, key: usize) -> SocketId {
        self.insert(Slot::new(socket, Role::Stream, key))
    }

    /// Takes a listening socket and accepts from it.
    pub fn listen(&mut self, socket: OwnedFd, key: usize) -> SocketId {
        self.insert(Slot::new(socket, Role::Listener, key))
    }

    /// Tells whenever a file has become readable.
    pub fn watch(&mut self, file: OwnedFd, key: usize) -> SocketId {
        self.insert(Slot::new(file, Role::Watched, key))
    }

    fn insert(&mut self, slot: Slot) -> SocketId {
        let at = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.slots[at] = Some(slot);
        self.stand(at);
        SocketId(at)
    }

    /// Orders a slot's standing request, if it is to have one and has none.
    fn stand(&mut self, at: usize) {
        if let Some(Some(slot)) = self.slots.get_mut(at)
            && slot.wanted
            && !slot.standing
            && !slot.closed
        {
            slot.standing = true;
            self.orders.push(standing(slot.role, &slot.file, at));
        }
    }

    /// Ends a slot's standing request.
    fn end_standing(&mut self, at: usize) {
        if let Some(Some(slot)) = self.slots.get_mut(at) {
            slot.wanted = false;
            if slot.standing && !slot.cancelled {
                slot.cancelled = true;
                slot.cancels += 1;
                self.orders.push(cancel(Kind::Standing, at));
            }
        }
    }

    /// Has a listener accept no more for now. What comes meanwhile is accepted still.
    pub fn pause(&mut self, id: SocketId) {
        self.end_standing(id.0);
    }

    /// Has a listener accept again.
    pub fn resume(&mut self, id: SocketId) {
        if let Some(Some(slot)) = self.slots.get_mut(id.0) {
            slot.wanted = true;
            self.stand(id.0);
        }
    }

    /// Whether a read would bring something.
    pub fn has_input(&self, id: SocketId) -> bool {
        self.slots.get(id.0).is_some_and(|slot| slot.as_ref().is_some_and(Slot::has_input))
    }

    /// Reads what has come, as a socket that does not block does: so many bytes, 0 at the end.
    ///
    /// # Errors
    /// What the socket says; `WouldBlock` when nothing has come.
    pub fn read(&mut self, id: SocketId, into: &mut [u8]) -> io::Result<usize> {
        let Some(Some(slot)) = self.slots.get_mut(id.0) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let outcome = slot.read(into, &mut self.buffers);
        if !slot.wanted && !slot.is_full() && !slot.is_ended() {
            slot.wanted = true;
            self.stand(id.0);
        }
        outcome
    }

    /// Sends bytes with the next call; gives how many it has taken: fewer when others have to leave first,
    /// and then `Writable` tells when. What the socket does not take comes back as `Unsent`.
    pub fn send(&mut self, id: SocketId, bytes: &[u8]) -> usize {
        if self.output.len() >= OUTPUT_LEN && self.call(0, Duration::ZERO).is_err() {
            // The next call says why.
            return 0;
        }
        let Some(Some(slot)) = self.slots.get_mut(id.0) else { return 0 };
        if slot.sending.is_empty() && !slot.awaits_room {
            slot.sending = self.output.len()..self.output.len();
            self.senders.push(id.0);
        } else if slot.sending.end != self.output.len() || slot.awaits_room {
            slot.refused = true;
            self.hurried |= !slot.awaits_room;
            return 0;
        }
        let taken = bytes.len().min(SEND_LEN.saturating_sub(slot.sending.len()));
        slot.refused |= taken < bytes.len();
        self.hurried |= slot.refused;
        self.output.extend_from_slice(&bytes[..taken]);
        slot.sending.end = self.output.len();
        taken
    }

    /// Whether bytes of it wait for the next call.
    pub fn is_sending(&self, id: SocketId) -> bool {
        let slot = self.slots.get(id.0).and_then(Option::as_ref);
        slot.is_some_and(|slot| !slot.sending.is_empty())
    }

    /// Closes a socket: what it has to send leaves with the next call, as far as there is room.
    pub fn close(&mut self, id: SocketId) {
        self.end_standing(id.0);
        if let Some(Some(slot)) = self.slots.get_mut(id.0) {
            slot.closed = true;
            let key = slot.key;
            self.early.retain(|event| event.key() != Some(key));
            slot.discard(&mut self.buffers);
            if slot.awaits_room {
                slot.cancels += 1;
                self.orders.push(cancel(Kind::Room, id.0));
            }
        }
        self.settle(id.0);
    }

    /// Frees a slot that is over.
    fn settle(&mut self, at: usize) {
        if let Some(Some(slot)) = self.slots.get(at)
            && slot.closed
            && slot.is_quiet()
        {
            self.slots[at] = None;
            self.free.push(at);
        }
    }

    /// Hands over all that was asked for, and waits for something to happen, at most so long; one call of
    /// the kernel. Gives what has happened.
    ///
    /// # Errors
    /// When the kernel refuses to go on: the ring is no longer of use.
    pub fn enter(&mut self, at_most: Duration, events: &mut Vec<Event>) -> io::Result<()> {
        let waits = !at_most.is_zero() && self.early.is_empty() && !self.hurried;
        self.call(usize::from(waits), at_most)?;
        events.append(&mut self.early);
        Ok(())
    }

    /// Hands over all that was asked for, and waits until `count` things have happened.
    fn call(&mut self, count: usize, at_most: Duration) -> io::Result<()> {
        if !std::mem::replace(&mut self.enabled, true) {
            self.way.io.submitter().register_enable_rings()?;
        }
        self.keep_held();
        for order in std::mem::take(&mut self.orders) {
            self.way.push(&order)?;
        }
        self.push_sends()?;
        match count {
            0 if self.way.is_idle() => {}
            0 => self.way.submit()?,
            _ => self.way.submit_and_wait(count, at_most)?,
        }
        // The kernel may have taken a part when it was short of memory, or a signal came.
        while !self.way.is_submitted() {
            self.reap();
            self.way.submit()?;
        }
        self.reap();
        self.settle_sends();
        Ok(())
    }

    /// Takes buffers from those who have not read them.
    fn keep_held(&mut self) {
        for at in std::mem::take(&mut self.holders) {
            let Some(Some(slot)) = self.slots.get_mut(at) else { continue };
            slot.listed = false;
            slot.keep(&mut self.buffers);
            if slot.is_full() && slot.wanted {
                self.end_standing(at);
            }
        }
    }

    #[expect(unsafe_code, reason = "bytes of sends have to stay")]
    fn push_sends(&mut self) -> io::Result<()> {
        for &at in &self.senders {
            let Some(Some(slot)) = self.slots.get(at) else { continue };
            let bytes = &self.output[slot.sending.clone()];
            // SAFETY: `output` is neither changed nor dropped until the kernel has taken the request
            // (`call`), and it does not look at the bytes later: a send that must not wait is over by then.
            unsafe { self.way.push_send(&slot.file, at, bytes)? };
        }
        Ok(())
    }

    /// All sends are over, and those that said nothing have sent everything.
    fn settle_sends(&mut self) {
        self.hurried = false;
        let mut senders = std::mem::take(&mut self.senders);
        for at in senders.drain(..) {
            let Some(Some(slot)) = self.slots.get_mut(at) else { continue };
            slot.sending = 0..0;
            if std::mem::take(&mut slot.refused) && !slot.awaits_room && !slot.closed {
                self.early.push(Event::Writable(slot.key));
            }
            self.settle(at);
        }
        self.senders = senders;
        self.output.clear();
        self.output.shrink_to(4 * OUTPUT_LEN);
    }

    /// Takes all completions.
    fn reap(&mut self) {
        loop {
            let Some(completion) = self.way.io.completion().next() else { return };
            let (kind, at) = untag(completion.user_data());
            let (result, flags) = (completion.result(), completion.flags());
            match kind {
                Kind::Standing => self.stood(at, result, flags),
                Kind::Send => self.sent(at, result),
                Kind::Room => {
                    if let Some(Some(slot)) = self.slots.get_mut(at) {
                        slot.awaits_room = false;
                        if !slot.closed {
                            self.early.push(Event::Writable(slot.key));
                        }
                    }
                }
                Kind::Cancel => {
                    if let Some(Some(slot)) = self.slots.get_mut(at) {
                        slot.cancels -= 1;
                    }
                }
            }
            self.settle(at);
        }
    }

    /// A standing request has brought something, or has ended.
    fn stood(&mut self, at: usize, result: i32, flags: u32) {
        let accepted = |slot: &Slot| slot.role == Role::Listener && result >= 0;
        let buffer = cqueue::buffer_select(flags);
        let len = u32::try_from(result).unwrap_or(0);
        let lent = buffer.filter(|&id| self.buffers.borrow(id, len as usize));
        let Some(Some(slot)) = self.slots.get_mut(at) else {
            lent.into_iter().for_each(|id| self.buffers.give_back(id));
            return;
        };
        if !cqueue::more(flags) {
            slot.standing = false;
            slot.cancelled = false;
        }
        let file = accepted(slot).then(|| owned(result));
        if slot.closed {
            lent.into_iter().for_each(|id| self.buffers.give_back(id));
            return;
        }
        match (slot.role, result) {
            (_, error) if error < 0 && is_passing(-error) => {}
            (Role::Stream, 0) => {
                slot.end(0);
                self.early.push(Event::Readable(slot.key));
            }
            (Role::Stream, 1..) => {
                if let Some(id) = lent {
                    slot.hold(id, len);
                    self.early.push(Event::Readable(slot.key));
                    if !std::mem::replace(&mut slot.listed, true) {
                        self.holders.push(at);
                    }
                }
            }
            (Role::Stream, error) => {
                slot.end(-error);
                self.early.push(Event::Readable(slot.key));
            }
            (Role::Listener, error) => self.early.push(match file {
                Some(file) => Event::Accepted(slot.key, file),
                None => Event::NotAccepted(slot.key, io::Error::from_raw_os_error(-error)),
            }),
            (Role::Watched, _) => self.early.push(match slot.key {
                WAKER => Event::Woken,
                key => Event::Readable(key),
            }),
        }
        self.stand(at);
    }

    /// A send has not sent everything.
    fn sent(&mut self, at: usize, result: i32) {
        let Some(Some(slot)) = self.slots.get_mut(at) else { return };
        let range = std::mem::take(&mut slot.sending);
        let sent = usize::try_from(result).unwrap_or(0).min(range.len());
        if slot.closed {
            // Nobody is there to send the rest.
        } else if result < 0 && !is_passing(-result) {
            self.early.push(Event::Broken(slot.key));
        } else if sent < range.len() {
            let rest = self.output[range.start + sent..range.end].to_vec();
            self.early.push(Event::Unsent(slot.key, rest));
            slot.refused = false;
            slot.awaits_room = true;
            self.orders.push(room(&slot.file, at));
        }
    }
}

/// The kernel's side, made by a thread of its own: the kernel interrupts the calls of who made a ring when
/// the ring ends, and whoever starts a server should not notice.
fn build() -> io::Result<IoUring> {
    let build = || {
        IoUring::builder()
            .dontfork()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_submit_all()
            .setup_r_disabled()
            .setup_cqsize(COMPLETIONS)
            .build(REQUESTS)
    };
    let made = std::thread::scope(|scope| scope.spawn(build).join());
    made.unwrap_or_else(|_| Err(io::Error::other("the thread that makes a ring failed")))
}

/// Errors after which the same is simply asked for again: an end that we asked for, no buffers left, no
/// room, an interruption.
fn is_passing(error: i32) -> bool {
    matches!(error, libc::ECANCELED | libc::ENOBUFS | libc::EAGAIN | libc::EINTR)
}

#[expect(unsafe_code, reason = "the kernel gives a number")]
fn owned(file: i32) -> OwnedFd {
    // SAFETY: the kernel has just opened it for us, and nobody else knows of it.
    unsafe { OwnedFd::from_raw_fd(file) }
}

impl Drop for Ring {
    /// Ends all requests, so that files and memory go when the kernel has let go of them. It cannot be
    /// kept from that by failures: receiving is done within calls of ours only (deferred task work), and
    /// sends are over when a call returns.
    fn drop(&mut self) {
        (0..self.slots.len()).for_each(|at| self.close(SocketId(at)));
        while self.slots.iter().any(Option::is_some) {
            if self.call(1, Duration::from_millis(10)).is_err() {
                return;
            }
        }
    }
}
