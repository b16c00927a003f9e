//! The file of pages.

use crate::leaf::Leaf;
use crate::page::{self, Place};
use std::sync::Arc;
use todana_engine::Error;
use todana_io::DiskFile;

/// The name of the file.
pub(crate) const PAGES: &str = "pages";

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Pages {
    pub(crate) file: Arc<dyn DiskFile>,
    /// The store's number.
    pub(crate) store: u64,
}

impl Pages {
    /// Reads a leaf.
    ///
    /// # Errors
    /// [`Error::Corrupt`] with the place.
    pub(crate) fn read(&self, place: Place) -> Result<Leaf, Error> {
        let wrong = |reason: &str| {
            let (at, len) = (place.byte(), place.byte_len());
            Error::Corrupt(format!("{PAGES}: the page of {len} bytes at byte {at} {reason}"))
        };
        let mut bytes = vec![0; place.byte_len()];
        let read = self.file.read_exact_at(place.byte(), &mut bytes);
        read.map_err(|error| wrong(&format!("cannot be read: {error}")))?;
        let (block, made) = page::decode(&bytes, self.store, place).map_err(wrong)?;
        Ok(Leaf::of_page(block, made, place))
    }
}
