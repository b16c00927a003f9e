//! A segment's frames where they cannot be had as memory: packed, or on a disk without mappings.

use crate::codec::Packing;
use crate::layout::frame::{self, Frame};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::sync::Arc;
use todana_io::DiskFile;

/// Payloads of frames by segment and number, as many as were allowed.
#[derive(Debug)]
pub struct FrameCache(Cache<(u64, usize), Arc<[u8]>, ByLen>);

#[derive(Debug, Clone)]
struct ByLen;

impl Weighter<(u64, usize), Arc<[u8]>> for ByLen {
    fn weight(&self, _: &(u64, usize), frame: &Arc<[u8]>) -> u64 {
        frame.len() as u64
    }
}

impl FrameCache {
    /// A cache for so many bytes.
    pub fn new(bytes: u64) -> FrameCache {
        let frames = usize::try_from(bytes / frame::PAYLOAD_LEN as u64).unwrap_or(usize::MAX);
        FrameCache(Cache::with_weighter(frames.max(1), bytes, ByLen))
    }
}

/// The frames of one segment.
#[derive(Debug)]
pub struct Blocks {
    /// Its file.
    pub file: Arc<dyn DiskFile>,
    /// How packed frames are unpacked.
    pub packing: Option<Arc<Packing>>,
    /// Where payloads are kept.
    pub cache: Arc<FrameCache>,
}

impl Blocks {
    /// The payload of a frame, from the cache or the file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn get(&self, id: u64, number: usize, frame: &Frame) -> Result<Arc<[u8]>, String> {
        if let Some(payload) = self.cache.0.get(&(id, number)) {
            return Ok(payload);
        }
        let (_, payload) = self.read(id, frame)?;
        let payload: Arc<[u8]> = payload.into();
        self.cache.0.insert((id, number), payload.clone());
        Ok(payload)
    }

    /// Reads and checks a frame: as its own header has it, and its payload.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(&self, id: u64, frame: &Frame) -> Result<(Frame, Vec<u8>), String> {
        let mut bytes = vec![0; frame.stored_end() - frame.at];
        let read = self.file.read_exact_at(frame.at as u64, &mut bytes);
        read.map_err(|error| format!("cannot be read: {error}"))?;
        let failed = || "fails its checksum".to_owned();
        let (read, sums) = frame::read_header(id, frame.at, &bytes).ok_or_else(failed)?;
        let sums = sums.to_vec();
        let same = Frame { time: read.time, ..*frame } == read;
        bytes.drain(..frame.stored_start() - frame.at);
        if !same || !frame::is_intact(&bytes, &sums) {
            return Err(failed());
        }
        let payload = match &self.packing {
            Some(packing) if frame.form.is_packed() => {
                let unpacked = packing.unpack(frame.form, &bytes, frame.payload_len);
                unpacked.map_err(|reason| format!("cannot be unpacked: {reason}"))?
            }
            None if frame.form.is_packed() => return Err("is packed, the store is not".to_owned()),
            _ => bytes,
        };
        Ok((read, payload))
    }
}
