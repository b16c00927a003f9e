//! The header of a hash file, its first 256 bytes; a B+ tree file has the same.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 32 | `ToKyO CaBiNeT\n`, version of the format `:` version of the library `\n` in ASCII, zeros |
//! | 32 | 1 | [`FileKind`] |
//! | 33 | 1 | flags: 1 open for writing, 2 fatal error |
//! | 34 | 1 | alignment as a power of two, 0 to 16 |
//! | 35 | 1 | capacity of the pool of free blocks as a power of two, 0 to 20 |
//! | 36 | 1 | [`Options`] |
//! | 40 | 8 | number of buckets |
//! | 48 | 8 | number of records |
//! | 56 | 8 | size of the file |
//! | 64 | 8 | offset of the first record |
//! | 128 | 128 | for the program that uses the file; in a B+ tree file see [`TreeHeader`](super::TreeHeader) |

use super::start::{FileKind, Flags, HEADER_LEN, Start, numbers, refuse};
use crate::error::ImportError;
use todana_record::Reader;

const FLAGS_OFFSET: usize = 33;
const NUMBERS_OFFSET: usize = 40;
const ALIGNMENT_OFFSET: u64 = 34;
const FREE_POOL_OFFSET: u64 = 35;
const BUCKETS_OFFSET: u64 = 40;
const FILE_SIZE_OFFSET: u64 = 56;
const FIRST_RECORD_OFFSET: u64 = 64;
const ALIGNMENT_POWER_MAX: u8 = 16;
const FREE_POOL_POWER_MAX: u8 = 20;
/// The pool of free blocks takes this many bytes at least.
const FREE_POOL_LEN_MIN: u64 = 64;

/// A set of the options that a file was made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options(u8);

impl Options {
    /// Offsets have eight bytes instead of four, for files of any size.
    pub const LARGE: Options = Options(1);
    /// Values are deflated, without the head and checksum of zlib.
    pub const DEFLATE: Options = Options(1 << 1);
    /// Values are compressed with bzip2; not supported.
    pub const BZIP: Options = Options(1 << 2);
    /// Values are compressed with Tokyo Cabinet's own codec; not supported.
    pub const TCBS: Options = Options(1 << 3);
    /// Values are stored as some program's own codec makes them; not supported.
    pub const EXTERNAL_CODEC: Options = Options(1 << 4);

    const NAMED: [(Options, &'static str); 5] = [
        (Options::LARGE, "large"),
        (Options::DEFLATE, "deflate"),
        (Options::BZIP, "bzip"),
        (Options::TCBS, "tcbs"),
        (Options::EXTERNAL_CODEC, "excodec"),
    ];

    /// Whether all of `other` are in this set.
    pub const fn contains(self, other: Options) -> bool {
        self.0 & other.0 == other.0
    }

    /// The byte of the header.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether there are some that no version of Tokyo Cabinet is known to have.
    pub const fn has_unknown(self) -> bool {
        self.0 >> 5 != 0
    }

    /// Their names, as `tchmgr inform` has them; one for all that are not known.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let named = Options::NAMED.into_iter().filter(move |(option, _)| self.contains(*option));
        named.map(|(_, name)| name).chain(self.has_unknown().then_some("unknown"))
    }

    /// Those that stand in the way. Of several codecs the library uses the first, so that deflate
    /// makes the others mean nothing.
    const fn unsupported(self) -> Options {
        let codecs = Options::BZIP.0 | Options::TCBS.0 | Options::EXTERNAL_CODEC.0;
        let ignored = if self.contains(Options::DEFLATE) { codecs } else { 0 };
        Options(self.0 & !(Options::LARGE.0 | Options::DEFLATE.0 | ignored))
    }
}

/// The order of the bytes of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteOrder {
    /// Least significant first: the format as its author has it.
    Little,
    /// Most significant first: as libraries built with `--enable-swab` write, Debian's among them.
    Big,
}

impl ByteOrder {
    pub(super) fn u16(self, reader: &mut Reader<'_>) -> Option<u16> {
        let value = reader.u16_be()?;
        Some(if self == ByteOrder::Big { value } else { value.swap_bytes() })
    }

    pub(super) fn u32(self, reader: &mut Reader<'_>) -> Option<u32> {
        if self == ByteOrder::Big { reader.u32_be() } else { reader.u32_le() }
    }

    pub(super) fn u64(self, reader: &mut Reader<'_>) -> Option<u64> {
        if self == ByteOrder::Big { reader.u64_be() } else { reader.u64_le() }
    }

    /// A place in the file: four bytes, or eight in a file with [`Options::LARGE`].
    pub(super) fn offset(self, reader: &mut Reader<'_>, large: bool) -> Option<u64> {
        if large { self.u64(reader) } else { self.u32(reader).map(u64::from) }
    }
}

/// What the header of a hash file says, or of the hash file that a B+ tree file is. Its geometry has
/// been checked; the number of records is what the library last wrote there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Hash or B+ tree file.
    pub kind: FileKind,
    /// Version of the library that made the file, such as 911 for 1.4.48; 0 when it is not a number.
    pub library_version: u32,
    /// The order of bytes in which the file is written.
    pub byte_order: ByteOrder,
    /// Whether the file is open for writing, or was not closed.
    pub is_open: bool,
    /// Whether the library met an error from which it could not recover.
    pub is_fatal: bool,
    /// Records begin at multiples of two to this power, 0 to 16.
    pub alignment_power: u8,
    /// Two to this power free blocks are remembered, 0 to 20.
    pub free_pool_power: u8,
    /// The options that it was made with.
    pub options: Options,
    /// Number of buckets, at least one.
    pub bucket_count: u64,
    /// Number of records, as the header has it; of a B+ tree file these are its pages.
    pub record_count: u64,
    /// Where the records end, which is the length of a file that was closed cleanly.
    pub file_size: u64,
    /// Where the records begin.
    pub first_record: u64,
}

impl Header {
    /// Records begin at multiples of this many bytes.
    pub const fn alignment(&self) -> u64 {
        1 << self.alignment_power
    }

    /// Where the first record may begin at the earliest, behind header, buckets and pool; `None` when
    /// there are more buckets than a file can have.
    fn records_min(&self) -> Option<u64> {
        let buckets = self.bucket_count.checked_mul(self.offset_len())?;
        buckets.checked_add(HEADER_LEN as u64 + FREE_POOL_LEN_MIN)
    }

    /// Length of a place in the file, as buckets and records have it, in bytes.
    pub(super) const fn offset_len(&self) -> u64 {
        if self.options.contains(Options::LARGE) { 8 } else { 4 }
    }

    /// Decodes the start of a file of some kind.
    pub(super) fn decode(start: &Start<'_>, kind: FileKind) -> Result<Header, ImportError> {
        let bytes = start.of_kind(kind)?;
        let library_version = start.library_version();
        let fields = Fields::decode(kind, library_version, bytes).ok_or_else(|| start.short())?;
        let options = Options(fields.options).unsupported();
        if options.bits() != 0 {
            return Err(ImportError::UnsupportedOptions { options, kind });
        }
        if fields.alignment_power > ALIGNMENT_POWER_MAX {
            let power = fields.alignment_power;
            return Err(refuse(ALIGNMENT_OFFSET, "alignment power", power, "0 to 16"));
        }
        if fields.free_pool_power > FREE_POOL_POWER_MAX {
            let power = fields.free_pool_power;
            return Err(refuse(FREE_POOL_OFFSET, "free block pool power", power, "0 to 20"));
        }
        fields.choose(start)
    }
}

/// The header's fields before their order of bytes is known.
struct Fields<'a> {
    kind: FileKind,
    library_version: u32,
    flags: Flags,
    alignment_power: u8,
    free_pool_power: u8,
    options: u8,
    bytes: &'a [u8],
}

impl<'a> Fields<'a> {
    fn decode(kind: FileKind, library_version: u32, bytes: &'a [u8]) -> Option<Fields<'a>> {
        let mut reader = Reader::new(bytes.get(FLAGS_OFFSET..)?);
        Some(Fields {
            kind,
            library_version,
            flags: Flags(reader.u8()?),
            alignment_power: reader.u8()?,
            free_pool_power: reader.u8()?,
            options: reader.u8()?,
            bytes,
        })
    }

    fn read(&self, byte_order: ByteOrder) -> Option<Header> {
        let [bucket_count, record_count, file_size, first_record] =
            numbers(self.bytes, NUMBERS_OFFSET, byte_order)?;
        Some(Header {
            kind: self.kind,
            library_version: self.library_version,
            byte_order,
            is_open: self.flags.is_open(),
            is_fatal: self.flags.is_fatal(),
            alignment_power: self.alignment_power,
            free_pool_power: self.free_pool_power,
            options: Options(self.options),
            bucket_count,
            record_count,
            file_size,
            first_record,
        })
    }

    /// The header in the order of bytes that fits the file. When none fits, the one in which the
    /// first record is nearer to the start is blamed: the other one's offset is astronomical.
    fn choose(&self, start: &Start<'_>) -> Result<Header, ImportError> {
        let file_len = start.file_len;
        let little = self.read(ByteOrder::Little).ok_or_else(|| start.short())?;
        let big = self.read(ByteOrder::Big).ok_or_else(|| start.short())?;
        let (near, far) = match little.first_record <= big.first_record {
            true => (little, big),
            false => (big, little),
        };
        match check_geometry(&near, file_len) {
            Ok(()) => Ok(near),
            Err(error) => check_geometry(&far, file_len).map(|()| far).map_err(|_| error),
        }
    }
}

/// Buckets, pool and records lie one behind the other and within the file, the records perhaps not
/// completely.
fn check_geometry(header: &Header, file_len: u64) -> Result<(), ImportError> {
    let Some(records_min) = header.records_min().filter(|_| header.bucket_count > 0) else {
        let expected = "at least one, and as many as fit into the file";
        return Err(refuse(BUCKETS_OFFSET, "number of buckets", header.bucket_count, expected));
    };
    let first = header.first_record;
    if first < records_min || first > file_len || !first.is_multiple_of(header.alignment()) {
        let expected = "an aligned offset behind the buckets and within the file";
        return Err(refuse(FIRST_RECORD_OFFSET, "offset of the first record", first, expected));
    }
    if header.file_size < first || i64::try_from(header.file_size).is_err() {
        let expected = "at least the offset of the first record";
        return Err(refuse(FILE_SIZE_OFFSET, "size of the file", header.file_size, expected));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(order: ByteOrder) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[..22].copy_from_slice(b"ToKyO CaBiNeT\n1.0:911\n");
        bytes[34] = 4;
        for (at, number) in [(40, 11_u64), (48, 3), (56, 4560), (64, 4464)] {
            let number = match order {
                ByteOrder::Little => number.to_le_bytes(),
                ByteOrder::Big => number.to_be_bytes(),
            };
            bytes[at..at + 8].copy_from_slice(&number);
        }
        bytes
    }

    fn decode(bytes: &[u8], file_len: u64) -> Result<Header, ImportError> {
        Header::decode(&Start::new(bytes, file_len), FileKind::Hash)
    }

    #[track_caller]
    fn check(change: impl Fn(&mut [u8]), expected: &str) {
        for order in [ByteOrder::Little, ByteOrder::Big] {
            let mut bytes = sample(order);
            change(&mut bytes);
            match decode(&bytes, 4560) {
                Ok(header) => panic!("{header:?}"),
                Err(error) => assert_eq!(error.to_string(), expected),
            }
        }
    }

    #[test]
    fn both_orders_of_bytes_are_told_apart() {
        for order in [ByteOrder::Little, ByteOrder::Big] {
            let header = decode(&sample(order), 4560).unwrap();
            assert_eq!((header.byte_order, header.library_version), (order, 911));
            assert_eq!((header.bucket_count, header.record_count), (11, 3));
            assert_eq!((header.file_size, header.first_record), (4560, 4464));
            assert_eq!(header.alignment(), 16);
        }
    }

    #[test]
    fn what_is_not_such_a_file_is_refused() {
        check(|b| b[0] = b't', "not a Tokyo Cabinet file: it does not begin with `ToKyO CaBiNeT`");
        check(|b| b[32] = 1, "a Tokyo Cabinet B+ tree file (.tcb), not a hash file (.tch)");
        check(|b| b[32] = 4, "header, offset 32: kind of file is 4, expected 0 to 3");
        check(|b| b[34] = 17, "header, offset 34: alignment power is 17, expected 0 to 16");
        check(|b| b[35] = 21, "header, offset 35: free block pool power is 21, expected 0 to 20");
        check(
            |b| b[36] = 0b1100,
            "the option `bzip`, `tcbs` is not supported; rewrite the file with \
             `tchmgr optimize -tz FILE`, which stores the values plainly, or export it with \
             `tchmgr list -pv FILE`",
        );
        check(
            |b| b[36] = 0b1_0001,
            "the option `excodec` is not supported; export the records with the program that \
             wrote them, which has the codec",
        );
        check(
            |b| b[36] = 0x40,
            "the option `unknown` is not supported; the file is of an unknown version or damaged",
        );
    }

    #[test]
    fn impossible_geometry_is_refused() {
        check(
            |b| b[40..48].fill(0),
            "header, offset 40: number of buckets is 0, expected at least one, and as many as fit \
             into the file",
        );
        check(
            |b| b[56..64].fill(0xff),
            "header, offset 56: size of the file is 18446744073709551615, expected at least the \
             offset of the first record",
        );
        check(
            |b| b[64..72].fill(0),
            "header, offset 64: offset of the first record is 0, expected an aligned offset \
             behind the buckets and within the file",
        );
    }

    #[test]
    fn a_short_file_is_truncated() {
        let bytes = sample(ByteOrder::Little);
        let error = decode(&bytes[..255], 255).unwrap_err();
        assert_eq!(error.to_string(), "offset 0: the file ends at 255, in the middle of a header");
        assert!(matches!(decode(&bytes[..5], 5), Err(ImportError::NotTokyoCabinet)));
    }
}
