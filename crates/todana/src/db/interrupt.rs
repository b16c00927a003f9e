//! Ctrl-C in the middle of a command that stores many records.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag::{register, register_conditional_default};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether somebody wants the command to end: it then makes safe what it has done, and says how far it
/// came. A second signal ends the process at once.
#[derive(Debug, Default)]
pub(super) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Begins to listen.
    pub(super) fn watch() -> Interrupt {
        let interrupt = Interrupt::default();
        for signal in [SIGINT, SIGTERM] {
            // Without it the signal ends the process, as for any other program.
            let _ = register_conditional_default(signal, interrupt.0.clone());
            let _ = register(signal, interrupt.0.clone());
        }
        interrupt
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
