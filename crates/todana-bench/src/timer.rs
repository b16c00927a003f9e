//! Waking a readiness loop more finely than its millisecond timeouts.

use std::io;
use std::time::Duration;

use mio::{Registry, Token};

/// A one-shot timer whose expiry is an event of the loop.
///
/// On Linux a `timerfd`, since `epoll_wait` counts in milliseconds. Elsewhere there is none, and
/// the loop's own timeout has to do.
#[derive(Debug)]
pub(crate) struct Timer {
    #[cfg(target_os = "linux")]
    timer: nix::sys::timerfd::TimerFd,
}

#[cfg(target_os = "linux")]
impl Timer {
    pub(crate) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        use std::os::fd::{AsFd, AsRawFd};

        use mio::{Interest, unix::SourceFd};
        use nix::sys::timerfd::{ClockId, TimerFd, TimerFlags};

        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        registry.register(&mut SourceFd(&timer.as_fd().as_raw_fd()), token, Interest::READABLE)?;
        Ok(Self { timer })
    }

    /// Arms the timer, in place of what it was armed for; says whether it did. It is never read:
    /// arming anew forgets the expiry, and readiness is reported by edges.
    pub(crate) fn arm(&self, after: Duration) -> bool {
        use nix::sys::time::TimeSpec;
        use nix::sys::timerfd::{Expiration, TimerSetTimeFlags};

        let after = after.max(Duration::from_nanos(1));
        let expiration = Expiration::OneShot(TimeSpec::from_duration(after));
        self.timer.set(expiration, TimerSetTimeFlags::empty()).is_ok()
    }
}

#[cfg(not(target_os = "linux"))]
impl Timer {
    pub(crate) fn new(_registry: &Registry, _token: Token) -> io::Result<Self> {
        Ok(Self {})
    }

    pub(crate) fn arm(&self, _after: Duration) -> bool {
        false
    }
}
