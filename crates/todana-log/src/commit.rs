//! Group commit: of those who wait for their change to be safe one leads, and syncs for all.

use crate::log::Log;
use crate::owner::Owner;
use std::sync::atomic::Ordering;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use todana_engine::Error;

/// Those who wait. The standard library's condition wakes all of them with one call of the system, and none
/// waits for another to have woken.
#[derive(Debug, Default)]
pub(crate) struct Commit {
    is_led: Mutex<bool>,
    done: Condvar,
}

impl Commit {
    fn lock(&self) -> MutexGuard<'_, bool> {
        // A flag is whole whoever panicked.
        self.is_led.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes those whose change is safe now.
    pub(crate) fn wake(&self) {
        drop(self.lock());
        self.done.notify_all();
    }
}

impl Log {
    /// Makes everything up to a sequence safe, unless it is, or somebody else does. Blocks on the disk.
    ///
    /// # Errors
    /// [`Error::Poisoned`].
    pub fn sync_up_to<O: Owner>(&self, owner: &O, wanted: u64) -> Result<(), Error> {
        let is_safe = || self.durable.load(Ordering::Acquire) >= wanted;
        if is_safe() {
            return self.check_poison();
        }
        let mut is_led = self.commit.lock();
        loop {
            if is_safe() {
                return Ok(());
            }
            self.check_poison()?;
            if !*is_led {
                break;
            }
            is_led = self.commit.done.wait(is_led).unwrap_or_else(PoisonError::into_inner);
        }
        *is_led = true;
        drop(is_led);
        // Whoever appends from here on is in the next group, as large as this one takes long.
        let led = self.write_out(owner, true);
        *self.commit.lock() = false;
        self.commit.done.notify_all();
        led
    }
}
