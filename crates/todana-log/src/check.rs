//! Looking at a store's files without opening it: every checksum, and whether footers say what their
//! frames say. Nothing is changed and nothing is locked, so a store may be in use meanwhile.
//!
//! *Damage* is what neither a crash nor a writer at work leaves: stored bytes are not what was written.
//! *Unfinished* is what opening a store that was not closed cuts away by itself: an end that was never
//! whole, so nothing that was acknowledged as durable.
//!
//! In a store with a codec a frame has two places: findings and walks go by bytes of the *file*, entries
//! and whatever follows them by bytes of the *segment*.

mod examine;
mod files;
mod unpack;
mod walk;

use crate::codec::{Codec, DICTIONARY, dictionary_file_len};
use crate::home::{IDENTITY, read_identity};
use crate::layout::identity::{Identity, StoreKind};
use crate::recovery::KeyHash;
use examine::{Examiner, Look};
pub use files::{SegmentFile, read_file, segments};
use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use todana_engine::Error;
use todana_io::Disk;
pub use unpack::{Dictionary, Payload, Unpacker};
pub use walk::{Footer, Stretch, Stretches};

/// Times that a file is read before it is believed that a writer at work is not the reason.
const LOOKS: u32 = 4;

/// Something in a file that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Name of the file in the store's directory.
    pub file: String,
    /// First byte.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
    /// What is wrong with them.
    pub what: String,
    /// Whether it is damage; else it is unfinished.
    pub is_damage: bool,
}

impl Finding {
    /// Damage of some bytes of a file, or of the whole file.
    pub fn damage(file: &str, range: Range<usize>, what: String) -> Finding {
        let (offset, len) = (range.start as u64, range.len() as u64);
        Finding { file: file.to_owned(), offset, len, what, is_damage: true }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { file, offset, len, what, .. } = self;
        match len {
            0 => write!(out, "{file}: {what}"),
            _ => write!(out, "{file}: {len} bytes from byte {offset} on: {what}"),
        }
    }
}

/// What a check has found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// What is not as it should be, file by file.
    pub findings: Vec<Finding>,
    /// Whether the store had been closed: if not, somebody has it open or a crash ended it.
    pub is_closed: bool,
    /// Files that were read.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The codec that the frames were packed with, as far as anything says it; empty for none.
    pub codec: String,
    /// Packed frames whose checksums are right, but whose entries could not be looked at because the codec
    /// was not given.
    pub sealed_frames: u64,
}

impl Checked {
    /// Whether stored bytes are not what was written.
    pub fn is_damaged(&self) -> bool {
        self.findings.iter().any(|finding| finding.is_damage)
    }
}

/// Called with the bytes that were looked at and those that there are.
pub type OnProgress<'p> = dyn FnMut(u64, u64) + 'p;

/// What a check has found, and what it has found out on its way.
#[derive(Debug)]
pub struct Survey {
    /// What it has found.
    pub checked: Checked,
    /// The file `store`, where it can be read.
    pub identity: Option<Identity>,
    /// How frames are unpacked.
    pub unpacker: Unpacker,
}

impl Survey {
    /// Verifies every checksum of a store's segments, its identity and its dictionary, and footers against frames.
    /// Files that are the engine's own are not looked at. A codec that is not built in has to be given; without it
    /// checksums are all that is verified of the frames that it packed.
    ///
    /// # Errors
    /// [`Error::Open`] when there is no store, one of a newer format, or a file cannot be read.
    pub fn of(
        of: StoreKind,
        disk: &dyn Disk,
        directory: &Path,
        codec: Option<Arc<dyn Codec>>,
        key_hash: Option<KeyHash>,
        progress: &mut OnProgress<'_>,
    ) -> Result<Survey, Error> {
        let segments = segments(disk, directory)?;
        let mut checked = Checked { files: 1, ..Checked::default() };
        let identity = match read_identity(of, disk, directory) {
            Ok(Some((identity, len))) => {
                checked.bytes += len;
                Some(identity)
            }
            Ok(None) if segments.is_empty() => {
                return Err(Error::Open(format!("there is no store at {}", directory.display())));
            }
            Ok(None) => {
                checked.findings.push(Finding::damage(
                    IDENTITY,
                    0..0,
                    "the file is missing".to_owned(),
                ));
                None
            }
            Err(Error::Corrupt(_)) => {
                let what = "the file is damaged: its checksum or its fields are wrong".to_owned();
                checked.findings.push(Finding::damage(IDENTITY, 0..0, what));
                None
            }
            Err(error) => return Err(error),
        };
        checked.is_closed = identity.as_ref().is_some_and(|identity| identity.clean);
        let mut unpacker = Unpacker::of(disk, directory, &segments, identity.as_ref(), codec);
        let mut undone = 0;
        let total = segments.iter().map(|segment| segment.len).sum();
        let mut done = 0;
        let mut ends: Vec<(u64, u64)> = Vec::new();
        for segment in &segments {
            let mut look = Look::default();
            for _ in 0..LOOKS {
                look = match read_file(disk, directory, &segment.name()) {
                    // Compaction of whoever has the store open took it away.
                    Ok(None) => Look::default(),
                    Ok(Some(bytes)) => {
                        let (bytes, identity) = (&bytes, identity.as_ref());
                        let examiner =
                            Examiner { segment, bytes, identity, unpacker: &unpacker, key_hash };
                        examiner.run(&ends, &mut |at| progress(done + at, total))
                    }
                    Err(error) => {
                        let what = format!("the file cannot be read: {error}");
                        let findings = vec![Finding::damage(&segment.name(), 0..0, what)];
                        Look { findings, ..Look::default() }
                    }
                };
                if checked.is_closed || (look.findings.is_empty() && look.undone == 0) {
                    break;
                }
                unpacker.refresh(disk, directory);
            }
            done += segment.len;
            checked.files += u64::from(look.bytes > 0);
            checked.bytes += look.bytes;
            checked.findings.append(&mut look.findings);
            checked.sealed_frames += look.sealed;
            undone += look.undone;
            ends.extend(look.end.map(|end| (segment.id, end)));
        }
        check_dictionary(&unpacker.dictionary, undone, &mut checked);
        checked.codec.clone_from(&unpacker.name);
        Ok(Survey { checked, identity, unpacker })
    }
}

/// Says what is wrong with a dictionary without which so many frames cannot be unpacked.
fn check_dictionary(dictionary: &Dictionary, undone: u64, checked: &mut Checked) {
    let what = match dictionary {
        Dictionary::Whole(bytes) => {
            checked.files += 1;
            checked.bytes += dictionary_file_len(bytes.len());
            return;
        }
        Dictionary::None if undone == 0 => return,
        Dictionary::None => "the file is missing".to_owned(),
        Dictionary::Damaged(reason) => format!("the file is damaged: {reason}"),
    };
    let frames = if undone == 1 { "frame" } else { "frames" };
    let what = match undone {
        0 => what,
        _ => format!("{what}; {undone} {frames} cannot be unpacked without it"),
    };
    checked.findings.push(Finding::damage(DICTIONARY, 0..0, what));
}
