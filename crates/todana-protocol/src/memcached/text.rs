//! The classic text commands.

mod admin;
mod encode;
mod keys;
pub(super) mod lines;
pub(super) mod storage;
mod tokens;

pub(super) use encode::encode;
pub(super) use keys::{ManyKeys, decode_many_keys, plain_get};
pub(super) use lines::decode;
pub(super) use storage::plain_set;
pub(super) use tokens::{Tokens, checked_key, key_fault, word_len};

/// How a classic command is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextForm {
    /// A `VALUE` block for a hit, nothing for a miss.
    Value {
        /// With the CAS token.
        cas: bool,
        /// `END` follows.
        last: bool,
    },
    /// `END`.
    End,
    /// One line, or several that begin with a word of their own.
    Line {
        /// Nothing is answered, whatever comes of it.
        noreply: bool,
    },
}

impl TextForm {
    /// One line.
    pub const LINE: TextForm = TextForm::Line { noreply: false };
}
