//! The meta commands: `mn mg ms md ma me`.

mod decode;
mod encode;
mod flags;

pub(super) use decode::decode;
pub(super) use encode::encode;
pub use encode::encode_dump_key;

/// Which meta command a form belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetaCommand {
    /// `mg`.
    Get,
    /// `ms`.
    Set,
    /// `md`.
    Delete,
    /// `ma`.
    Arithmetic,
    /// `me`.
    Debug,
    /// `mn`.
    Noop,
}

/// How a meta command is answered: the flags that it came with, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetaForm<'a> {
    /// Which command.
    pub command: MetaCommand,
    /// The key as it stood in the line, base64 or not.
    pub key: &'a [u8],
    /// The words after the key (and the length).
    pub flags: &'a [u8],
    /// Nominal answers are left out.
    pub quiet: bool,
    /// The value is wanted.
    pub value: bool,
    /// The key is base64.
    pub base64: bool,
}
