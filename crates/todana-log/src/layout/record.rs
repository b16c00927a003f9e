//! A record: an entry of the log, with only the fields that it uses.
//!
//! ```text
//! head u8      bits 0-2 operation, 3 flags, 4 expiry, 5 position, 6 version, 7 marks and kind
//! [marks u8, kind u8]
//! key length varint, [value length varint: puts and own], [number varint: flush, unit and own]
//! [flags varint] [expiry ms varint] [position varint] [position - version varint, wrapping]
//! key, value
//! ```

use super::reference::Reference;
use todana_record::{Expiry, KEY_LEN_MAX, Kind, Meta, ShortBytes, varint};

/// What an entry of the log does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// The key has this record.
    Put,
    /// The key has a record whose value is in a blob; a reference stands for it.
    PutBlob,
    /// The key has none.
    Remove,
    /// Everything at or before the position in the value is gone.
    Flush,
    /// A flush is due at the moment in the expiry; none when it is never.
    FlushDue,
    /// As many of the following entries as the value says belong together.
    Unit,
    /// What its number says, of which the log knows nothing: an operation that only one engine has. The hash
    /// engine has none.
    Own,
}

const OPERATION_MASK: u8 = 0b111;
const HAS_FLAGS: u8 = 1 << 3;
const HAS_EXPIRY: u8 = 1 << 4;
const HAS_POSITION: u8 = 1 << 5;
const HAS_VERSION: u8 = 1 << 6;
const HAS_MARKS: u8 = 1 << 7;

const MARK_STALE: u8 = 1;
const MARK_WON: u8 = 2;

impl Operation {
    const fn code(self) -> u8 {
        match self {
            Operation::Put => 1,
            Operation::Remove => 2,
            Operation::Flush => 3,
            Operation::FlushDue => 4,
            Operation::Unit => 5,
            Operation::PutBlob => 6,
            Operation::Own => 7,
        }
    }

    /// Whether the key has a record afterwards.
    #[inline]
    pub const fn is_put(self) -> bool {
        matches!(self, Operation::Put | Operation::PutBlob)
    }

    const fn of(code: u8) -> Option<Operation> {
        match code & OPERATION_MASK {
            1 => Some(Operation::Put),
            2 => Some(Operation::Remove),
            3 => Some(Operation::Flush),
            4 => Some(Operation::FlushDue),
            5 => Some(Operation::Unit),
            6 => Some(Operation::PutBlob),
            7 => Some(Operation::Own),
            _ => None,
        }
    }
}

/// An entry of the log as its bytes say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'r> {
    /// What it does.
    pub operation: Operation,
    /// The key; empty where the operation has none.
    pub key: &'r [u8],
    /// The value of a put; the number of a flush or unit is in `number`.
    pub value: &'r [u8],
    /// A client's flags.
    pub flags: u32,
    /// When the record ends; of an order to flush, when that is due.
    pub expiry: Expiry,
    /// Kind of the value.
    pub kind: Kind,
    /// The mark *stale*.
    pub stale: bool,
    /// The mark *won*.
    pub won: bool,
    /// Where it stood first, if it was moved.
    pub position: Option<u64>,
    /// Its position less its version, wrapping, unless that is 0.
    pub version_back: u64,
    /// Cut of a flush, length of a unit, what an entry of the engine's own does.
    pub number: u64,
    /// Bytes of the whole entry.
    pub len: usize,
}

/// The head of a put without any optional field.
const PLAIN_PUT: u8 = Operation::Put.code();

impl Record<'_> {
    /// The blob that has its value.
    #[inline]
    pub fn blob(&self) -> Option<Reference> {
        match self.operation {
            Operation::PutBlob => Reference::decode(self.value),
            _ => None,
        }
    }

    const PLAIN: Record<'static> = Record {
        operation: Operation::Put,
        key: &[],
        value: &[],
        flags: 0,
        expiry: Expiry::NEVER,
        kind: Kind::BYTES,
        stale: false,
        won: false,
        position: None,
        version_back: 0,
        number: 0,
        len: 0,
    };

    /// The sequence of its change, when it lies at `at`.
    #[inline]
    pub fn sequence(&self, at: u64) -> u64 {
        self.position.unwrap_or(at)
    }

    /// Its metadata, when it lies at `at`.
    #[inline]
    pub fn meta(&self, at: u64, versions: bool) -> Meta {
        let version = if versions { self.sequence(at).wrapping_sub(self.version_back) } else { 0 };
        Meta {
            flags: self.flags,
            expiry: self.expiry,
            version,
            kind: self.kind,
            stale: self.stale,
            won: self.won,
        }
    }
}

#[inline]
fn number(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let first = *bytes.get(*at)?;
    if first < 0x80 {
        *at += 1;
        return Some(u64::from(first));
    }
    let (value, len) = varint::decode(bytes.get(*at..)?)?;
    *at += len;
    Some(value)
}

/// Reads the entry at the start of `bytes`; `None` when they are none, or end inside it.
#[inline]
pub fn parse(bytes: &[u8]) -> Option<Record<'_>> {
    if let &[PLAIN_PUT, key_len @ 0..0x80, value_len @ 0..0x80, ref rest @ ..] = bytes {
        let (key_len, value_len) = (usize::from(key_len), usize::from(value_len));
        let (key, rest) = rest.split_at_checked(key_len)?;
        let value = rest.get(..value_len)?;
        return Some(Record { key, value, len: 3 + key_len + value_len, ..Record::PLAIN });
    }
    parse_any(bytes)
}

fn parse_any(bytes: &[u8]) -> Option<Record<'_>> {
    let head = *bytes.first()?;
    let operation = Operation::of(head)?;
    let mut at = 1;
    let (mut marks, mut kind) = (0, Kind::BYTES);
    if head & HAS_MARKS != 0 {
        marks = *bytes.get(1)?;
        kind = Kind(*bytes.get(2)?);
        at = 3;
        if marks & !(MARK_STALE | MARK_WON) != 0 {
            return None;
        }
    }
    let (mut key_len, mut value_len, mut count) = (0, 0, 0);
    match operation {
        Operation::Put | Operation::PutBlob => {
            key_len = number(bytes, &mut at)?;
            value_len = number(bytes, &mut at)?;
        }
        Operation::Remove => key_len = number(bytes, &mut at)?,
        Operation::Flush | Operation::Unit => count = number(bytes, &mut at)?,
        Operation::FlushDue => {}
        Operation::Own => {
            key_len = number(bytes, &mut at)?;
            value_len = number(bytes, &mut at)?;
            count = number(bytes, &mut at)?;
        }
    }
    let key_len = usize::try_from(key_len).ok().filter(|&len| len <= KEY_LEN_MAX)?;
    let value_len = usize::try_from(value_len).ok()?;
    let mut optional = |bit| if head & bit == 0 { Some(0) } else { number(bytes, &mut at) };
    let flags = u32::try_from(optional(HAS_FLAGS)?).ok()?;
    let expiry = Expiry::at_ms(optional(HAS_EXPIRY)?);
    let position = optional(HAS_POSITION)?;
    let version_back = optional(HAS_VERSION)?;
    let (key, rest) = bytes.get(at..)?.split_at_checked(key_len)?;
    let value = rest.get(..value_len)?;
    Some(Record {
        operation,
        key,
        value,
        flags,
        expiry,
        kind,
        stale: marks & MARK_STALE != 0,
        won: marks & MARK_WON != 0,
        position: (head & HAS_POSITION != 0).then_some(position),
        version_back,
        number: count,
        len: at + key_len + value_len,
    })
    .filter(|record| operation != Operation::PutBlob || Reference::decode(record.value).is_some())
}

/// An entry to be written: everything but key and value bytes, which follow it.
#[derive(Debug, Clone, Copy)]
pub struct Fields {
    /// What it does.
    pub operation: Operation,
    /// A client's flags.
    pub flags: u32,
    /// When the record ends; of an order to flush, when that is due.
    pub expiry: Expiry,
    /// Kind of the value.
    pub kind: Kind,
    /// The mark *stale*.
    pub stale: bool,
    /// The mark *won*.
    pub won: bool,
    /// Where it stood first, if it was moved.
    pub position: Option<u64>,
    /// Its position less its version, wrapping.
    pub version_back: u64,
    /// Cut of a flush, length of a unit, what an entry of the engine's own does.
    pub number: u64,
}

impl Fields {
    /// An operation without any optional field.
    #[inline]
    pub const fn of(operation: Operation) -> Fields {
        Fields {
            operation,
            flags: 0,
            expiry: Expiry::NEVER,
            kind: Kind::BYTES,
            stale: false,
            won: false,
            position: None,
            version_back: 0,
            number: 0,
        }
    }

    /// Of a put with this metadata, its version apart.
    #[inline]
    pub const fn put(meta: &Meta) -> Fields {
        Fields {
            flags: meta.flags,
            expiry: meta.expiry,
            kind: meta.kind,
            stale: meta.stale,
            won: meta.won,
            ..Fields::of(Operation::Put)
        }
    }

    /// The fields of an entry that is moved from where it stood at `sequence`.
    #[inline]
    pub fn moved(record: &Record<'_>, sequence: u64) -> Fields {
        Fields {
            operation: record.operation,
            flags: record.flags,
            expiry: record.expiry,
            kind: record.kind,
            stale: record.stale,
            won: record.won,
            position: Some(sequence),
            version_back: record.version_back,
            number: record.number,
        }
    }

    /// Everything that stands before key and value.
    #[inline]
    pub fn encode(&self, key_len: usize, value_len: usize) -> EntryHead {
        let mut out = EntryHead::new();
        let mut head = self.operation.code();
        let mut set = |bit, wanted: bool| head |= if wanted { bit } else { 0 };
        set(HAS_FLAGS, self.flags != 0);
        set(HAS_EXPIRY, !self.expiry.is_never());
        set(HAS_POSITION, self.position.is_some());
        set(HAS_VERSION, self.version_back != 0);
        let marked = self.stale || self.won || self.kind != Kind::BYTES;
        set(HAS_MARKS, marked);
        out.push(head);
        if marked {
            let stale = if self.stale { MARK_STALE } else { 0 };
            let won = if self.won { MARK_WON } else { 0 };
            out.push(stale | won);
            out.push(self.kind.0);
        }
        match self.operation {
            Operation::Put | Operation::PutBlob => {
                out.varint(key_len as u64);
                out.varint(value_len as u64);
            }
            Operation::Remove => out.varint(key_len as u64),
            Operation::Flush | Operation::Unit => out.varint(self.number),
            Operation::FlushDue => {}
            Operation::Own => {
                out.varint(key_len as u64);
                out.varint(value_len as u64);
                out.varint(self.number);
            }
        }
        if self.flags != 0 {
            out.varint(u64::from(self.flags));
        }
        if !self.expiry.is_never() {
            out.varint(self.expiry.ms());
        }
        if let Some(position) = self.position {
            out.varint(position);
        }
        if self.version_back != 0 {
            out.varint(self.version_back);
        }
        out
    }
}

/// The bytes of an entry before its key.
pub type EntryHead = ShortBytes<HEAD_LEN_MAX>;

/// More than any entry takes before its key and value: lengths, of which there may be two, take 8 bytes
/// together, flags 5, and there are four other numbers.
pub const HEAD_LEN_MAX: usize = 3 + 6 * varint::VARINT_LEN_MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes_of(fields: &Fields, key: &[u8], value: &[u8]) -> Vec<u8> {
        let mut out = fields.encode(key.len(), value.len()).to_vec();
        out.extend_from_slice(key);
        out.extend_from_slice(value);
        out
    }

    #[test]
    fn golden_bytes() {
        let plain = bytes_of(&Fields::of(Operation::Put), b"key", b"value");
        assert_eq!(plain, b"\x01\x03\x05keyvalue");
        let full = Fields {
            flags: 7,
            expiry: Expiry::at_ms(300),
            stale: true,
            kind: Kind(2),
            position: Some(5),
            version_back: 1,
            ..Fields::of(Operation::Put)
        };
        let full = bytes_of(&full, b"k", b"v");
        assert_eq!(full, b"\xf9\x01\x02\x01\x01\x07\xac\x02\x05\x01kv");
        let remove = Fields { position: Some(9), ..Fields::of(Operation::Remove) };
        assert_eq!(bytes_of(&remove, b"k", b""), b"\x22\x01\x09k");
        let flush = Fields { number: 128, ..Fields::of(Operation::Flush) };
        assert_eq!(bytes_of(&flush, b"", b""), b"\x03\x80\x01");
        let due = Fields { expiry: Expiry::at_ms(1), ..Fields::of(Operation::FlushDue) };
        assert_eq!(bytes_of(&due, b"", b""), b"\x14\x01");
        let unit = Fields { number: 2, ..Fields::of(Operation::Unit) };
        assert_eq!(bytes_of(&unit, b"", b""), b"\x05\x02");
        let own = Fields { number: 3, flags: 9, ..Fields::of(Operation::Own) };
        assert_eq!(bytes_of(&own, b"k", b"v"), b"\x0f\x01\x01\x03\x09kv");
    }

    #[test]
    fn no_head_is_longer_than_the_longest() {
        let most = Fields {
            flags: u32::MAX,
            expiry: Expiry::at_ms(u64::MAX),
            kind: Kind(255),
            stale: true,
            won: true,
            position: Some(u64::MAX),
            version_back: u64::MAX,
            number: u64::MAX,
            ..Fields::of(Operation::Own)
        };
        let len = most.encode(KEY_LEN_MAX, u32::MAX as usize).len();
        assert!(len == 56 && len <= HEAD_LEN_MAX);
    }

    #[test]
    fn zeros_are_no_entry() {
        assert_eq!(parse(&[0; 64]), None);
        assert_eq!(parse(b""), None);
    }

    proptest! {
        #[test]
        fn round_trip(
            key in proptest::collection::vec(any::<u8>(), 0..300),
            value in proptest::collection::vec(any::<u8>(), 0..300),
            flags: u32, expiry: u64, kind: u8, stale: bool, won: bool,
            position: Option<u64>, version_back: u64, own: Option<u64>,
        ) {
            let operation = own.map_or(Operation::Put, |_| Operation::Own);
            let fields = Fields {
                flags, expiry: Expiry::at_ms(expiry), kind: Kind(kind), stale, won, position,
                version_back, number: own.unwrap_or(0), ..Fields::of(operation)
            };
            let bytes = bytes_of(&fields, &key, &value);
            let record = parse(&bytes).unwrap();
            prop_assert_eq!((record.key, record.value), (&key[..], &value[..]));
            prop_assert_eq!((record.operation, record.number), (operation, own.unwrap_or(0)));
            prop_assert_eq!((record.flags, record.expiry.ms(), record.kind.0), (flags, expiry, kind));
            prop_assert_eq!((record.stale, record.won, record.position), (stale, won, position));
            prop_assert_eq!((record.version_back, record.len), (version_back, bytes.len()));
            prop_assert_eq!(parse(&bytes[..bytes.len() - 1]).map(|shorter| shorter.len), None);
        }

        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            if let Some(record) = parse(&bytes) {
                prop_assert!(record.len <= bytes.len());
            }
        }
    }
}
