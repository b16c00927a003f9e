//! The machine under control, for tests: time that passes when told, bytes that arrive as a seed says.
//!
//! Everything here is reproducible from its seed. The simulated disk (torn, dropped and reordered
//! writes) and the network between nodes join it with the engines and protocols that need them. *Not*
//! in any release binary: only tests depend on it.
//!
//! ```
//! use todana_io::Clock;
//! use todana_sim::{Delivery, SimClock};
//!
//! let clock = SimClock::at_ms(1_000);
//! clock.advance_ms(500);
//! assert_eq!(clock.wall_ms(), 1_500);
//!
//! let mut delivery = Delivery::new(7);
//! let pieces: Vec<&[u8]> = delivery.cut(b"get a\r\nget b\r\n").collect();
//! assert_eq!(pieces.concat(), b"get a\r\nget b\r\n");
//! ```
#![forbid(unsafe_code)]

mod clock;
mod delivery;

pub use clock::SimClock;
pub use delivery::Delivery;
