//! The binary protocol.
//!
//! ```text
//! byte   0      1       2   3       4     5     6    7     8..12     12..16  16..24
//!      +------+-------+---------+-----+------+----------+---------+--------+--------+
//!      | 0x80 | opcode| key len | ext | 0    | vbucket  | body len| opaque | CAS    |   request
//!      | 0x81 | opcode| key len | ext | 0    | status   | body len| opaque | CAS    |   response
//!      +------+-------+---------+-----+------+----------+---------+--------+--------+
//! ```
//! Numbers are big-endian; the body is extras, key, value. Source: memcached's description of the
//! binary protocol; `docs/protocol/memcached.md` says where 1.6 departs from it and we follow.

mod decode;
mod encode;

pub(super) use decode::decode;
pub(super) use encode::encode;

/// First byte of a request.
pub(crate) const MAGIC_REQUEST: u8 = 0x80;
/// First byte of a response.
const MAGIC_RESPONSE: u8 = 0x81;
/// Bytes of a header.
const HEADER_LEN: usize = 24;

/// Opcodes, as the protocol numbers them.
pub(crate) mod opcode {
    pub(crate) const GET: u8 = 0x00;
    pub(crate) const SET: u8 = 0x01;
    pub(crate) const ADD: u8 = 0x02;
    pub(crate) const REPLACE: u8 = 0x03;
    pub(crate) const DELETE: u8 = 0x04;
    pub(crate) const INCREMENT: u8 = 0x05;
    pub(crate) const DECREMENT: u8 = 0x06;
    pub(crate) const QUIT: u8 = 0x07;
    pub(crate) const FLUSH: u8 = 0x08;
    pub(crate) const GETQ: u8 = 0x09;
    pub(crate) const NOOP: u8 = 0x0a;
    pub(crate) const VERSION: u8 = 0x0b;
    pub(crate) const GETK: u8 = 0x0c;
    pub(crate) const GETKQ: u8 = 0x0d;
    pub(crate) const APPEND: u8 = 0x0e;
    pub(crate) const PREPEND: u8 = 0x0f;
    pub(crate) const STAT: u8 = 0x10;
    pub(crate) const SETQ: u8 = 0x11;
    pub(crate) const FLUSHQ: u8 = 0x18;
    pub(crate) const APPENDQ: u8 = 0x19;
    pub(crate) const PREPENDQ: u8 = 0x1a;
    pub(crate) const VERBOSITY: u8 = 0x1b;
    pub(crate) const TOUCH: u8 = 0x1c;
    pub(crate) const GAT: u8 = 0x1d;
    pub(crate) const GATQ: u8 = 0x1e;
    pub(crate) const SASL_LIST: u8 = 0x20;
    pub(crate) const SASL_AUTH: u8 = 0x21;
    pub(crate) const SASL_STEP: u8 = 0x22;
    pub(crate) const GATK: u8 = 0x23;
    pub(crate) const GATKQ: u8 = 0x24;
}

/// How a binary command is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BinaryForm {
    /// The request's, quiet or not.
    pub opcode: u8,
    /// Given back as it came.
    pub opaque: u32,
    /// The nominal answer is left out: a miss of a get, success of anything else.
    pub quiet: bool,
    /// The key is given back.
    pub with_key: bool,
}
