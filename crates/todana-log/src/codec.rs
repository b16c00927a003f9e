//! Packing of frames: LZ4, Zstandard, or what the embedder gives.

use crate::home::{Home, is_full};
use crate::layout::frame::Form;
use parking_lot::Mutex;
use std::fmt::Debug;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use todana_engine::Error;
use todana_io::disk::replace;
use todana_io::{Disk, Open};

/// The file with the store's dictionary.
pub const DICTIONARY: &str = "dictionary";
const DICTIONARY_MAGIC: &[u8; 8] = b"todana-d";
/// Bytes of a trained dictionary.
const DICTIONARY_LEN: usize = 16 << 10;
/// Bytes of entries that it is trained from.
const SAMPLES_LEN: usize = 1 << 20;
/// Bytes of the file that are read at most: any dictionary is shorter.
const DICTIONARY_LEN_MAX: u64 = 1 << 24;
/// Bytes of one sample.
const SAMPLE_LEN_MAX: usize = 4 << 10;

/// Packs and unpacks the frames of a store. Its name is kept in the store; a store can only be opened
/// with the codec that made it.
pub trait Codec: Send + Sync + Debug {
    /// What the store remembers, at most 64 bytes.
    fn name(&self) -> &str;

    /// Appends the packed payload to `out`, with the help of a dictionary, empty if there is none.
    /// What is not shorter than the payload is stored as it was.
    fn pack(&self, payload: &[u8], dictionary: &[u8], out: &mut Vec<u8>);

    /// Unpacks what [`pack`](Codec::pack) made of a payload of `len` bytes with the same dictionary.
    ///
    /// # Errors
    /// When it is not that; says why.
    fn unpack(&self, packed: &[u8], dictionary: &[u8], len: usize) -> Result<Vec<u8>, String>;

    /// A dictionary of at most `len` bytes that helps to pack payloads which look like these samples.
    fn train(&self, samples: &[&[u8]], len: usize) -> Option<Vec<u8>> {
        let _ = (samples, len);
        None
    }
}

/// LZ4 blocks: fast.
#[derive(Debug, Default)]
pub struct Lz4;

impl Codec for Lz4 {
    fn name(&self) -> &'static str {
        "lz4"
    }

    fn pack(&self, payload: &[u8], _: &[u8], out: &mut Vec<u8>) {
        let at = out.len();
        out.resize(at + lz4_flex::block::get_maximum_output_size(payload.len()), 0);
        // As large as it can become: there is no other error.
        let len = lz4_flex::block::compress_into(payload, &mut out[at..]).unwrap_or(payload.len());
        out.truncate(at + len);
    }

    fn unpack(&self, packed: &[u8], _: &[u8], len: usize) -> Result<Vec<u8>, String> {
        lz4_flex::block::decompress(packed, len).map_err(|error| error.to_string())
    }
}

/// Zstandard, with a dictionary that is trained from the store's first records: dense.
pub struct Zstd {
    level: i32,
    packers: Pool<zstd::bulk::Compressor<'static>>,
    unpackers: Pool<zstd::bulk::Decompressor<'static>>,
}

impl Debug for Zstd {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Zstd").field("level", &self.level).finish_non_exhaustive()
    }
}

/// Contexts with the dictionary that they have taken in: making one takes longer than a frame.
struct Pool<T>(Mutex<Vec<(Vec<u8>, T)>>);

impl<T> Pool<T> {
    const fn new() -> Pool<T> {
        Pool(Mutex::new(Vec::new()))
    }

    /// Has a context for a dictionary do something.
    fn with<R>(
        &self,
        dictionary: &[u8],
        make: impl FnOnce() -> std::io::Result<T>,
        work: impl FnOnce(&mut T) -> std::io::Result<R>,
    ) -> std::io::Result<R> {
        let free = {
            let mut all = self.0.lock();
            let at = all.iter().position(|(known, _)| known == dictionary);
            at.map(|at| all.swap_remove(at))
        };
        let mut context = match free {
            Some(context) => context,
            None => (dictionary.to_vec(), make()?),
        };
        let done = work(&mut context.1);
        self.0.lock().push(context);
        done
    }
}

impl Zstd {
    /// With a level from 1, the fastest, to 22, the densest.
    pub const fn with_level(level: i32) -> Zstd {
        Zstd { level, packers: Pool::new(), unpackers: Pool::new() }
    }
}

impl Default for Zstd {
    fn default() -> Zstd {
        Zstd::with_level(1)
    }
}

impl Codec for Zstd {
    fn name(&self) -> &'static str {
        "zstd"
    }

    fn pack(&self, payload: &[u8], dictionary: &[u8], out: &mut Vec<u8>) {
        let make = || {
            let mut packer = zstd::bulk::Compressor::with_dictionary(self.level, dictionary)?;
            // Both are known from the frame.
            packer.include_contentsize(false)?;
            packer.include_dictid(false)?;
            Ok(packer)
        };
        let packed = self.packers.with(dictionary, make, |packer| packer.compress(payload));
        match packed {
            Ok(packed) => out.extend_from_slice(&packed),
            // Out of memory, if anything: then it is stored as it is.
            Err(_) => out.extend_from_slice(payload),
        }
    }

    fn unpack(&self, packed: &[u8], dictionary: &[u8], len: usize) -> Result<Vec<u8>, String> {
        let make = || zstd::bulk::Decompressor::with_dictionary(dictionary);
        self.unpackers
            .with(dictionary, make, |unpacker| unpacker.decompress(packed, len))
            .map_err(|error| error.to_string())
    }

    fn train(&self, samples: &[&[u8]], len: usize) -> Option<Vec<u8>> {
        zstd::dict::from_samples(samples, len).ok()
    }
}

/// The longest name of a codec, in bytes.
pub const NAME_LEN_MAX: usize = 64;

/// The built-in codec of a name.
pub fn built_in(name: &str) -> Option<Arc<dyn Codec>> {
    match name {
        "lz4" => Some(Arc::new(Lz4)),
        "zstd" => Some(Arc::new(Zstd::default())),
        _ => None,
    }
}

/// The bytes of the file with a dictionary.
fn encode_dictionary(dictionary: &[u8]) -> Vec<u8> {
    let mut file = [DICTIONARY_MAGIC, dictionary].concat();
    let sum = crc32c::crc32c(&file);
    file.extend_from_slice(&sum.to_le_bytes());
    file
}

/// Bytes of the file with a dictionary of so many.
pub const fn dictionary_file_len(len: usize) -> u64 {
    (DICTIONARY_MAGIC.len() + len + 4) as u64
}

fn decode_dictionary(bytes: &[u8]) -> Option<&[u8]> {
    let (head, sum) = bytes.split_last_chunk::<4>()?;
    let dictionary = head.strip_prefix(DICTIONARY_MAGIC)?;
    (crc32c::crc32c(head) == u32::from_le_bytes(*sum)).then_some(dictionary)
}

/// The dictionary in a store's directory; `None` when there is none.
///
/// # Errors
/// [`Error::Open`] with what the disk says; [`Error::Corrupt`].
pub fn read_dictionary(disk: &dyn Disk, directory: &Path) -> Result<Option<Vec<u8>>, Error> {
    let path = directory.join(DICTIONARY);
    let failed = |error| Error::Open(format!("{}: {error}", path.display()));
    let file = match disk.open(&path, Open::Read) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(failed)?,
    };
    let read = || {
        let len = usize::try_from(file.len()?.min(DICTIONARY_LEN_MAX)).unwrap_or(0);
        let mut bytes = vec![0; len];
        file.read_exact_at(0, &mut bytes).map(|()| bytes)
    };
    let bytes = read().map_err(failed)?;
    let dictionary = decode_dictionary(&bytes).map(<[u8]>::to_vec);
    let corrupt = || Error::Corrupt(format!("{}: its checksum does not match", path.display()));
    dictionary.ok_or_else(corrupt).map(Some)
}

/// Keeps a dictionary in a store's directory.
///
/// # Errors
/// What the disk says.
pub fn write_dictionary(
    disk: &dyn Disk,
    directory: &Path,
    dictionary: &[u8],
) -> std::io::Result<()> {
    replace(disk, directory, DICTIONARY, &encode_dictionary(dictionary))
}

/// A store's codec and its dictionary.
#[derive(Debug)]
pub struct Packing {
    codec: Arc<dyn Codec>,
    /// Once there is one it stays.
    dictionary: OnceLock<Vec<u8>>,
    samples: Mutex<Samples>,
}

#[derive(Debug, Default)]
struct Samples {
    bytes: Vec<u8>,
    lens: Vec<usize>,
}

impl Packing {
    /// The codec of a store, with the dictionary that is in its directory.
    ///
    /// # Errors
    /// What the disk says; [`Error::Corrupt`].
    pub fn open(
        codec: Arc<dyn Codec>,
        disk: &dyn Disk,
        directory: &Path,
    ) -> Result<Packing, Error> {
        let dictionary = read_dictionary(disk, directory)?;
        Ok(Packing::new(codec, dictionary))
    }

    /// A codec with the dictionary that its store has, if there is one.
    pub fn new(codec: Arc<dyn Codec>, dictionary: Option<Vec<u8>>) -> Packing {
        let dictionary = dictionary.map_or(OnceLock::new(), OnceLock::from);
        Packing { codec, dictionary, samples: Mutex::default() }
    }

    /// The codec.
    pub fn codec(&self) -> &Arc<dyn Codec> {
        &self.codec
    }

    /// Whether its dictionary is there, or it is known that there will be none.
    pub fn has_dictionary(&self) -> bool {
        self.dictionary.get().is_some()
    }

    /// Packs a payload if that makes it shorter, into `out`; says how.
    pub fn pack(&self, payload: &[u8], out: &mut Vec<u8>) -> Form {
        out.clear();
        let dictionary = self.dictionary.get().filter(|bytes| !bytes.is_empty());
        self.codec.pack(payload, dictionary.map_or(&[], |bytes| bytes), out);
        match dictionary {
            _ if out.len() >= payload.len() || out.is_empty() => Form::Loose,
            Some(_) => Form::PackedWithDictionary,
            None => Form::Packed,
        }
    }

    /// Unpacks what a frame of this form stores.
    pub fn unpack(&self, form: Form, stored: &[u8], len: usize) -> Result<Vec<u8>, String> {
        let dictionary = match form {
            Form::Plain | Form::Loose => return Ok(stored.to_vec()),
            Form::Packed => &[][..],
            Form::PackedWithDictionary => {
                self.dictionary.get().ok_or("the dictionary is missing")?
            }
        };
        let payload = self.codec.unpack(stored, dictionary, len)?;
        match payload.len() == len {
            true => Ok(payload),
            false => Err(format!("it unpacks to {} bytes instead of {len}", payload.len())),
        }
    }

    /// Learns from entries; trains the dictionary when they are enough, and keeps it in the directory
    /// before the first frame is packed with it.
    ///
    /// # Errors
    /// What the disk says.
    pub fn learn<'e>(
        &self,
        entries: impl Iterator<Item = &'e [u8]>,
        home: &Home,
    ) -> std::io::Result<()> {
        if self.dictionary.get().is_some() {
            return Ok(());
        }
        let mut samples = self.samples.lock();
        for entry in entries.filter(|entry| entry.len() <= SAMPLE_LEN_MAX) {
            samples.bytes.extend_from_slice(entry);
            samples.lens.push(entry.len());
        }
        if samples.bytes.len() < SAMPLES_LEN {
            return Ok(());
        }
        let Samples { bytes, lens } = std::mem::take(&mut *samples);
        let mut rest = &bytes[..];
        let parts: Vec<&[u8]> = lens
            .iter()
            .filter_map(|&len| {
                let (part, after) = rest.split_at_checked(len)?;
                rest = after;
                Some(part)
            })
            .collect();
        let dictionary = self.codec.train(&parts, DICTIONARY_LEN).unwrap_or_default();
        if !dictionary.is_empty() {
            match write_dictionary(&*home.disk, &home.directory, &dictionary) {
                // Later then, from other records: nothing depends on it yet.
                Err(error) if is_full(&error) => return Ok(()),
                done => done?,
            }
        }
        // A codec that learns nothing has an empty one in memory: it is not asked again.
        let _ = self.dictionary.set(dictionary);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes_of_a_dictionary() {
        let bytes = encode_dictionary(b"abc");
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "746f64616e612d64616263928e2c83");
        assert_eq!(decode_dictionary(&bytes), Some(&b"abc"[..]));
        assert_eq!(decode_dictionary(&encode_dictionary(b"")), Some(&b""[..]));
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            assert_eq!(decode_dictionary(&flipped), None);
            assert_eq!(decode_dictionary(&bytes[..at]), None);
        }
    }
}
