//! memcached's dialects: text, its meta commands, binary, and the frame that UDP puts around them.
//!
//! Sources: memcached's `doc/protocol.txt` and the binary protocol's description, and the behaviour of
//! memcached 1.6 where they are silent. `docs/protocol/memcached.md` says what is supported and what
//! differs.

mod binary;
mod decoder;
mod meta;
mod text;
pub mod udp;

pub use binary::BinaryForm;
pub use decoder::{Authentication, Decoder, DecoderOptions, Protocol, Resume, Status, Step};
pub use meta::{MetaCommand, MetaForm, encode_dump_key};
pub use text::TextForm;

use crate::{Request, Response};

/// Longest key of the dialects, in bytes.
pub const KEY_LEN_MAX: usize = 250;
/// Longest line without a line end, in bytes; longer ones only for a `get` of many keys, which is taken
/// in pieces.
pub const LINE_LEN_MAX: usize = 2_048;

/// A request and the form of its response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What is asked for.
    pub request: Request<'a>,
    /// How to answer.
    pub form: Form<'a>,
    /// Where decoding can go on once this frame was carried out, should the caller not want to carry
    /// out those after it yet; `None` inside of what has to be carried out as a whole.
    pub end: Option<Resume>,
}

impl<'a> Frame<'a> {
    /// A frame; where it ends is found by the decoder.
    pub const fn new(request: Request<'a>, form: Form<'a>) -> Frame<'a> {
        Frame { request, form, end: None }
    }
}

/// How a response has to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form<'a> {
    /// A classic text command's.
    Text(TextForm),
    /// A meta command's.
    Meta(MetaForm<'a>),
    /// A binary command's.
    Binary(BinaryForm),
}

/// Appends the bytes of a response; none where the form wants silence.
#[inline]
pub fn encode(frame: &Frame<'_>, response: &Response<'_>, out: &mut Vec<u8>) {
    match &frame.form {
        Form::Text(form) => text::encode(form, response, out),
        Form::Meta(form) => meta::encode(form, response, out),
        Form::Binary(form) => binary::encode(form, frame.request.key(), response, out),
    }
}
