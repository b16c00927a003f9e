//! Requests as the kernel wants them, and the way to it.

use crate::buffers::GROUP;
use io_uring::squeue::{Entry, Flags};
use io_uring::types::{Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, opcode};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

/// What a request asks for; told again with its completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The standing request of a socket: receive, accept, or tell when it is readable.
    Standing,
    /// Send bytes.
    Send,
    /// Tell once when there is room to send.
    Room,
    /// End another request.
    Cancel,
}

/// A standing request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Receive bytes.
    Stream,
    /// Accept connections.
    Listener,
    /// Tell when it is readable.
    Watched,
}

/// Names a request of a slot.
pub(crate) fn tag(kind: Kind, slot: usize) -> u64 {
    let kind = match kind {
        Kind::Standing => 0,
        Kind::Send => 1,
        Kind::Room => 2,
        Kind::Cancel => 3,
    };
    (slot as u64) << 2 | kind
}

/// What a name says.
pub(crate) fn untag(tag: u64) -> (Kind, usize) {
    let kind = match tag & 3 {
        0 => Kind::Standing,
        1 => Kind::Send,
        2 => Kind::Room,
        _ => Kind::Cancel,
    };
    (kind, usize::try_from(tag >> 2).unwrap_or(usize::MAX))
}

/// A standing request for a file.
pub(crate) fn standing(role: Role, file: &OwnedFd, slot: usize) -> Entry {
    let fd = Fd(file.as_raw_fd());
    let entry = match role {
        Role::Stream => opcode::RecvMulti::new(fd, GROUP).build(),
        Role::Listener => opcode::AcceptMulti::new(fd).flags(libc::SOCK_CLOEXEC).build(),
        Role::Watched => opcode::PollAdd::new(fd, libc::POLLIN as u32).multi(true).build(),
    };
    entry.user_data(tag(Kind::Standing, slot))
}

/// Tells when a file has room for more to be sent.
pub(crate) fn room(file: &OwnedFd, slot: usize) -> Entry {
    let fd = Fd(file.as_raw_fd());
    opcode::PollAdd::new(fd, libc::POLLOUT as u32).build().user_data(tag(Kind::Room, slot))
}

/// Ends a request of a slot.
pub(crate) fn cancel(kind: Kind, slot: usize) -> Entry {
    opcode::AsyncCancel::new(tag(kind, slot)).build().user_data(tag(Kind::Cancel, slot))
}

/// The way to the kernel.
pub(crate) struct Way {
    pub(crate) io: IoUring,
}

impl Way {
    /// Queues a request; makes room for it when there is none.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn push(&mut self, entry: &Entry) -> io::Result<()> {
        // SAFETY: of the requests made in this crate only sends have addresses in them, and those come in
        // through `push_send`. Files are open: a slot keeps its own until its requests are over.
        while unsafe { self.io.submission().push(entry) }.is_err() {
            self.submit()?;
        }
        Ok(())
    }

    /// Queues a send that takes what there is room for at once, and does not wait for more. It has a
    /// completion only if it does not send everything.
    ///
    /// # Safety
    /// `bytes` must stay where they are until the request was submitted.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) unsafe fn push_send(
        &mut self,
        file: &OwnedFd,
        slot: usize,
        bytes: &[u8],
    ) -> io::Result<()> {
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let send = opcode::Send::new(Fd(file.as_raw_fd()), bytes.as_ptr(), len)
            .flags(libc::MSG_DONTWAIT | libc::MSG_WAITALL | libc::MSG_NOSIGNAL)
            .build()
            .flags(Flags::SKIP_SUCCESS)
            .user_data(tag(Kind::Send, slot));
        self.push(&send)
    }

    /// Whether a call would bring nothing: nothing is queued, and the kernel has nothing to do for us.
    pub(crate) fn is_idle(&mut self) -> bool {
        let queue = self.io.submission();
        queue.is_empty() && !queue.taskrun() && !queue.cq_overflow()
    }

    /// Whether the kernel has taken all that was queued.
    pub(crate) fn is_submitted(&mut self) -> bool {
        self.io.submission().is_empty()
    }

    /// Hands the kernel what is queued.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn submit(&self) -> io::Result<()> {
        forgive(self.io.submitter().submit())
    }

    /// Hands the kernel what is queued, and waits for so many completions.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn submit_and_wait(&self, count: usize, at_most: Duration) -> io::Result<()> {
        let time = Timespec::from(at_most);
        let args = SubmitArgs::new().timespec(&time);
        forgive(self.io.submitter().submit_with_args(count, &args))
    }
}

/// An end of the wait, and a kernel that wants its completions taken first, are no errors.
fn forgive(outcome: io::Result<usize>) -> io::Result<()> {
    match outcome {
        Err(error)
            if !matches!(
                error.raw_os_error(),
                Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN)
            ) =>
        {
            Err(error)
        }
        _ => Ok(()),
    }
}
