//! Payloads of frames for whoever looks at a store's files without opening it: its codec may not be at
//! hand, its dictionary may be damaged, and where the identity is lost the frames have to say how they
//! were packed.

use super::{Footer, SegmentFile, Stretch, Stretches, read_file};
use crate::layout::frame::{Form, Frame};
use crate::layout::identity::Identity;
use crate::layout::record;
use crate::layout::used;
use crate::{Codec, Lz4, Packing, Zstd, built_in, read_dictionary};
use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use todana_engine::Error;
use todana_io::Disk;

/// How each Zstandard frame begins.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// A store's dictionary, as its file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dictionary {
    /// There is none.
    None,
    /// Its bytes.
    Whole(Vec<u8>),
    /// What is wrong with it.
    Damaged(String),
}

impl Dictionary {
    fn read(disk: &dyn Disk, directory: &Path) -> Dictionary {
        match read_dictionary(disk, directory) {
            Ok(None) => Dictionary::None,
            Ok(Some(bytes)) => Dictionary::Whole(bytes),
            Err(Error::Corrupt(_)) => Dictionary::Damaged("its checksum does not match".to_owned()),
            Err(error) => Dictionary::Damaged(error.to_string()),
        }
    }

    /// The bytes, if they are whole.
    pub fn bytes(&self) -> Option<&Vec<u8>> {
        match self {
            Dictionary::Whole(bytes) => Some(bytes),
            Dictionary::None | Dictionary::Damaged(_) => None,
        }
    }
}

/// A frame's payload, or why it cannot be had.
pub enum Payload<'b> {
    /// It is here.
    Known(Cow<'b, [u8]>),
    /// What is stored is not what the codec made.
    Wrong(String),
    /// It was packed with a dictionary that is not there.
    NoDictionary,
    /// The codec is not at hand.
    NoCodec,
}

/// See the module.
#[derive(Debug)]
pub struct Unpacker {
    codec: Option<Arc<dyn Codec>>,
    packing: Option<Arc<Packing>>,
    /// The store's dictionary.
    pub dictionary: Dictionary,
    /// The name of the store's codec, as far as anything says it; empty for none.
    pub name: String,
}

impl Unpacker {
    /// For a store with the codec that its identity names, which may have to be `given`; without an
    /// identity its frames tell the built-in ones apart, and one that is given is believed to be it.
    pub fn of(
        disk: &dyn Disk,
        directory: &Path,
        segments: &[SegmentFile],
        identity: Option<&Identity>,
        given: Option<Arc<dyn Codec>>,
    ) -> Unpacker {
        let dictionary = match identity {
            // No codec, no dictionary: it would be a file of another's.
            Some(identity) if identity.codec.is_empty() => Dictionary::None,
            _ => Dictionary::read(disk, directory),
        };
        let codec = match identity {
            Some(Identity { codec: name, .. }) => {
                given.filter(|codec| codec.name() == name).or_else(|| built_in(name))
            }
            None => guess(disk, directory, segments, given, &dictionary),
        };
        let own = codec.as_ref().map_or("", |codec| codec.name());
        let name = identity.map_or(own, |identity| &identity.codec).to_owned();
        let mut unpacker = Unpacker { codec, packing: None, dictionary, name };
        unpacker.pack_with();
        unpacker
    }

    fn pack_with(&mut self) {
        let Some(codec) = &self.codec else { return };
        let mut dictionary = self.dictionary.bytes().cloned();
        if codec.name() == Lz4.name() {
            // LZ4 learns nothing, so its dictionary is empty whatever its file has become.
            dictionary = dictionary.or(Some(Vec::new()));
        }
        self.packing = Some(Arc::new(Packing::new(codec.clone(), dictionary)));
    }

    /// Looks again for a dictionary that was not there: a writer at work may have made it since.
    pub fn refresh(&mut self, disk: &dyn Disk, directory: &Path) {
        if !self.name.is_empty() && self.dictionary.bytes().is_none() {
            self.dictionary = Dictionary::read(disk, directory);
            self.pack_with();
        }
    }

    /// The codec, if it is at hand.
    pub fn codec(&self) -> Option<&Arc<dyn Codec>> {
        self.codec.as_ref()
    }

    /// The codec with its dictionary, if it is at hand.
    pub fn packing(&self) -> Option<&Arc<Packing>> {
        self.packing.as_ref()
    }

    /// Whether the identity names a codec that is not at hand.
    pub fn lacks_codec(&self) -> bool {
        self.codec.is_none() && !self.name.is_empty()
    }

    /// The payload of a frame whose sums are right.
    pub fn payload<'b>(&self, frame: &Frame, stored: &'b [u8]) -> Payload<'b> {
        if !frame.form.is_packed() {
            return Payload::Known(Cow::Borrowed(stored));
        }
        let Some(packing) = &self.packing else { return Payload::NoCodec };
        if frame.form == Form::PackedWithDictionary && !packing.has_dictionary() {
            return Payload::NoDictionary;
        }
        match packing.unpack(frame.form, stored, frame.payload_len) {
            Ok(payload) => Payload::Known(Cow::Owned(payload)),
            Err(reason) => Payload::Wrong(reason),
        }
    }
}

/// The codec that the frames of a store seem to be packed with: the first that unpacks one of them to
/// entries.
fn guess(
    disk: &dyn Disk,
    directory: &Path,
    segments: &[SegmentFile],
    given: Option<Arc<dyn Codec>>,
    dictionary: &Dictionary,
) -> Option<Arc<dyn Codec>> {
    let given = given.map(|codec| Packing::new(codec, dictionary.bytes().cloned()));
    let zstd = Packing::new(Arc::new(Zstd::default()), dictionary.bytes().cloned());
    let lz4 = Packing::new(Arc::new(Lz4), Some(Vec::new()));
    let mut by_magic = None;
    for segment in segments {
        let Ok(Some(bytes)) = read_file(disk, directory, &segment.name()) else { continue };
        let footer = Footer::of(segment.id, &bytes);
        for stretch in Stretches::of(segment.id, &bytes, &footer) {
            let Stretch::Intact(frame, stored) = stretch else { continue };
            match frame.form {
                // A codec extends every frame.
                Form::Plain => return None,
                Form::Loose => continue,
                Form::Packed | Form::PackedWithDictionary => {}
            }
            let is_zstd = stored.starts_with(&ZSTD_MAGIC);
            let candidates = given.iter().chain(is_zstd.then_some(&zstd)).chain([&lz4]);
            for packing in candidates {
                let payload = packing.unpack(frame.form, stored, frame.payload_len);
                if payload.is_ok_and(|payload| is_of_entries(&payload)) {
                    return Some(packing.codec().clone());
                }
            }
            // All of them may need a dictionary that is lost.
            if is_zstd && by_magic.is_none() {
                by_magic = Some(zstd.codec().clone());
            }
        }
    }
    by_magic
}

/// Whether there are entries in a payload, and nothing else but zeros behind them.
fn is_of_entries(payload: &[u8]) -> bool {
    let mut rest = payload;
    while let Some(entry) = record::parse(rest) {
        rest = rest.get(entry.len..).unwrap_or_default();
    }
    rest.len() < payload.len() && used(rest) == 0
}
