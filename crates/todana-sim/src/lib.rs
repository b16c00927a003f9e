//! The machine under control, for tests: time that passes when told, bytes that arrive as a seed says, a
//! disk that tears, drops and reorders writes when it loses power.
//!
//! Everything here is reproducible from its seed. The network between nodes joins it with the protocols
//! that need it. *Not* in any release binary: only tests depend on it.
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
//!
//! A crash test runs its work once for each operation, with the power going off there, and looks at what
//! some seeds leave:
//!
//! ```
//! use std::path::Path;
//! use todana_io::disk::replace;
//! use todana_sim::{Fault, SimDisk};
//!
//! for operation in 0.. {
//!     let disk = SimDisk::new(1);
//!     disk.replace_content("/d/f", b"old");
//!     disk.fail_at(operation, Fault::PowerOff);
//!     let done = replace(&disk, Path::new("/d"), "f", b"new").is_ok();
//!     for seed in 0..10 {
//!         let left = disk.crash(seed).content("/d/f");
//!         assert!(left == Some(b"new".to_vec()) || (!done && left == Some(b"old".to_vec())));
//!     }
//!     if done {
//!         break;
//!     }
//! }
//! ```
#![forbid(unsafe_code)]

mod clock;
mod delivery;
mod disk;

pub use clock::SimClock;
pub use delivery::Delivery;
pub use disk::{Fault, SimDisk};
