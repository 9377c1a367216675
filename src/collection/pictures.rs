//! The pictures that are kept with points, read back.

use crate::error::{Error, Result};
use crate::types::{PictureKind, PointId};

use super::Collection;

/// A picture file with what tells it from the one before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Changes whenever the bytes do, as far as 32 bits can.
    pub tag: u32,
}

impl Collection {
    /// The tag of what is kept of a point's picture, without reading it.
    ///
    /// # Errors
    /// As [`Collection::picture`].
    pub fn picture_tag(&self, id: PointId, kind: PictureKind) -> Result<u32> {
        match self.volume.picture_crc(id, kind)? {
            Some(tag) => Ok(tag),
            None if self.volume.version(id)?.is_none() => {
                Err(Error::NotFound(format!("Point with id {id} does not exist!")))
            }
            None => Err(Error::NotFound(format!("no {kind} of point {id} is kept"))),
        }
    }

    /// What is kept of a point's picture.
    ///
    /// # Errors
    /// `NotFound` where there is no such point, or no such picture of it; `Corrupted` where what is stored
    /// fails its checksum.
    pub fn picture(&self, id: PointId, kind: PictureKind) -> Result<Kept> {
        self.volume.read_whole(|| {
            let tag = self.picture_tag(id, kind)?;
            let bytes = self.volume.picture(id, kind)?;
            let bytes = bytes.ok_or_else(|| Error::NotFound(format!("no {kind} of point {id} is kept")))?;
            Ok(Kept { bytes, tag })
        })
    }
}
