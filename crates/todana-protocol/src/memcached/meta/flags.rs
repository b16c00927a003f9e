//! Flags of the meta commands: one character, and for some of them a token behind it.

use crate::memcached::text::Tokens;
use crate::number::{signed, unsigned, unsigned_32};
use crate::{Fault, Lifetime};

/// Longest opaque, its `O` included, in bytes.
const OPAQUE_LEN_MAX: usize = 32;
/// An opaque beyond its bound; told by every command.
pub(super) const OPAQUE_TOO_LONG: Fault = Fault::Client("opaque token too long");
/// The flags that there are, a bit each.
const KNOWN: u128 = bits(b"bNTRlOPLkstcfvhuqFCMJDIEx");

const fn bits(names: &[u8]) -> u128 {
    let (mut bits, mut at) = (0, 0);
    while at < names.len() {
        bits |= 1 << names[at];
        at += 1;
    }
    bits
}

/// The flags of a command, read.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Flags {
    pub(super) base64: bool,
    pub(super) quiet: bool,
    pub(super) value: bool,
    pub(super) no_bump: bool,
    pub(super) invalidate: bool,
    pub(super) drop_value: bool,
    pub(super) vivify: Option<Lifetime>,
    pub(super) touch: Option<Lifetime>,
    pub(super) recache_s: Option<u64>,
    pub(super) recache_after_touch: bool,
    pub(super) vivify_after_touch: bool,
    pub(super) compare: Option<u64>,
    pub(super) version: Option<u64>,
    pub(super) client_flags: Option<u32>,
    pub(super) initial: Option<u64>,
    pub(super) delta: Option<u64>,
    pub(super) mode: Option<u8>,
}

/// Reads the flags.
pub(super) fn read(words: &[u8]) -> Result<Flags, Fault> {
    const BAD_TOKEN: Fault = Fault::Client("bad token in command line format");
    let mut flags = Flags::default();
    let mut seen = 0u128;
    let mut failed = None;
    for word in Tokens::new(words) {
        let Some((&name, argument)) = word.split_first() else { continue };
        if name >= 0x7f || seen & (1 << name) != 0 {
            return Err(Fault::Client("duplicate flag"));
        }
        seen |= 1 << name;
        if KNOWN & (1 << name) == 0 {
            return Err(Fault::Client("invalid flag"));
        }
        let lifetime = || signed(argument).map(Lifetime::from_exptime).ok_or(BAD_TOKEN);
        let number = || unsigned(argument).ok_or(BAD_TOKEN);
        let outcome = match name {
            b'b' => {
                flags.base64 = true;
                Ok(())
            }
            b'q' => {
                flags.quiet = true;
                Ok(())
            }
            b'v' => {
                flags.value = true;
                Ok(())
            }
            b'u' => {
                flags.no_bump = true;
                Ok(())
            }
            b'I' => {
                flags.invalidate = true;
                Ok(())
            }
            b'x' => {
                flags.drop_value = true;
                Ok(())
            }
            b'N' => lifetime().map(|lifetime| {
                flags.vivify = Some(lifetime);
                flags.vivify_after_touch = flags.touch.is_some();
            }),
            b'T' => lifetime().map(|lifetime| flags.touch = Some(lifetime)),
            b'R' => signed(argument).ok_or(BAD_TOKEN).map(|seconds| {
                flags.recache_s = Some(u64::try_from(seconds).unwrap_or(0));
                flags.recache_after_touch = flags.touch.is_some();
            }),
            b'C' => number().map(|version| flags.compare = Some(version)),
            b'E' => number().map(|version| flags.version = Some(version)),
            b'F' => unsigned_32(argument)
                .ok_or(Fault::BadLine)
                .map(|client_flags| flags.client_flags = Some(client_flags)),
            b'J' => unsigned(argument)
                .ok_or(Fault::Client("invalid numeric initial value"))
                .map(|initial| flags.initial = Some(initial)),
            b'D' => unsigned(argument)
                .ok_or(Fault::Client("invalid numeric delta value"))
                .map(|delta| flags.delta = Some(delta)),
            b'M' => match argument {
                [mode] => {
                    flags.mode = Some(*mode);
                    Ok(())
                }
                _ => Err(Fault::Client("incorrect length for M token")),
            },
            b'O' if word.len() > OPAQUE_LEN_MAX => Err(OPAQUE_TOO_LONG),
            _ => Ok(()),
        };
        // As memcached: the last wrong number is the one that is told.
        if let Err(fault) = outcome {
            failed = Some(fault);
        }
    }
    match failed {
        Some(fault) => Err(fault),
        None => Ok(flags),
    }
}
