//! What a ring knows of a socket.

use crate::buffers::Buffers;
use crate::requests::Role;
use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;

/// Unread bytes above which a socket receives no more.
pub(crate) const UNREAD_MAX: usize = 128 * 1024;

/// A part of a lent buffer that was not read.
pub(crate) struct Held {
    buffer: u16,
    range: Range<u32>,
}

/// A socket, and its requests that the kernel has.
pub(crate) struct Slot {
    pub(crate) file: OwnedFd,
    pub(crate) role: Role,
    /// What its owner calls it.
    pub(crate) key: usize,
    /// The standing request is with the kernel.
    pub(crate) standing: bool,
    /// It is to stand again when it has ended.
    pub(crate) wanted: bool,
    /// Its end has been asked for.
    pub(crate) cancelled: bool,
    /// Requests to end others that are with the kernel.
    pub(crate) cancels: u32,
    /// Waits for room to send.
    pub(crate) awaits_room: bool,
    /// Bytes of the ring's output that are to be sent, or are being sent.
    pub(crate) sending: Range<usize>,
    /// More was to be sent than could be taken: tell when it can.
    pub(crate) refused: bool,
    /// Its owner has closed it.
    pub(crate) closed: bool,
    /// It stands in the list of those with held buffers.
    pub(crate) listed: bool,
    held: VecDeque<Held>,
    /// Unread bytes that came before those that are held.
    kept: Vec<u8>,
    kept_from: usize,
    /// What comes after the last byte, once: the end (0) or an error.
    end: Option<i32>,
}

impl Slot {
    pub(crate) fn new(file: OwnedFd, role: Role, key: usize) -> Slot {
        Slot {
            file,
            role,
            key,
            standing: false,
            wanted: true,
            cancelled: false,
            cancels: 0,
            awaits_room: false,
            sending: 0..0,
            refused: false,
            closed: false,
            listed: false,
            held: VecDeque::new(),
            kept: Vec::new(),
            kept_from: 0,
            end: None,
        }
    }

    /// Whether the kernel has nothing of it.
    pub(crate) fn is_quiet(&self) -> bool {
        !self.standing && self.cancels == 0 && !self.awaits_room && self.sending.is_empty()
    }

    /// Whether a read would bring something.
    pub(crate) fn has_input(&self) -> bool {
        self.kept_from < self.kept.len() || !self.held.is_empty() || self.end.is_some()
    }

    /// Whether it has so much unread that it should not receive.
    pub(crate) fn is_full(&self) -> bool {
        self.kept.len() - self.kept_from >= UNREAD_MAX
    }

    /// Whether it has come to its end.
    pub(crate) fn is_ended(&self) -> bool {
        self.end.is_some()
    }

    pub(crate) fn hold(&mut self, buffer: u16, len: u32) {
        self.held.push_back(Held { buffer, range: 0..len });
    }

    pub(crate) fn end(&mut self, error: i32) {
        self.end = Some(error);
        self.wanted = false;
    }

    /// Reads what has come, oldest first, as a socket that does not block would.
    pub(crate) fn read(&mut self, into: &mut [u8], buffers: &mut Buffers) -> io::Result<usize> {
        let mut read = 0;
        if self.kept_from < self.kept.len() {
            let kept = &self.kept[self.kept_from..];
            read = kept.len().min(into.len());
            into[..read].copy_from_slice(&kept[..read]);
            self.kept_from += read;
            if self.kept_from == self.kept.len() {
                (self.kept, self.kept_from) = (Vec::new(), 0);
            }
        }
        while read < into.len()
            && let Some(held) = self.held.front_mut()
        {
            let bytes =
                buffers.read(held.buffer, held.range.start as usize..held.range.end as usize);
            let len = bytes.len().min(into.len() - read);
            into[read..read + len].copy_from_slice(&bytes[..len]);
            read += len;
            if len < bytes.len() {
                held.range.start += u32::try_from(len).unwrap_or(u32::MAX);
            } else {
                buffers.give_back(held.buffer);
                self.held.pop_front();
            }
        }
        match self.end {
            _ if read > 0 || into.is_empty() => Ok(read),
            Some(0) => Ok(0),
            Some(error) => Err(io::Error::from_raw_os_error(error)),
            None => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Moves what is held to memory of its own, so that the kernel has its buffers again.
    pub(crate) fn keep(&mut self, buffers: &mut Buffers) {
        if self.kept_from > 0 && !self.held.is_empty() {
            self.kept.drain(..std::mem::take(&mut self.kept_from));
        }
        while let Some(Held { buffer, range }) = self.held.pop_front() {
            let range = range.start as usize..range.end as usize;
            self.kept.extend_from_slice(buffers.read(buffer, range));
            buffers.give_back(buffer);
        }
    }

    /// Forgets what is unread.
    pub(crate) fn discard(&mut self, buffers: &mut Buffers) {
        while let Some(held) = self.held.pop_front() {
            buffers.give_back(held.buffer);
        }
        (self.kept, self.kept_from) = (Vec::new(), 0);
    }
}
