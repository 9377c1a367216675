//! The pictures that are kept with points. They are records of the frame that wrote the point: as durable
//! as it, guarded by the same parity, part of every snapshot, and gone with it at the next compaction.

use crate::error::Result;
use crate::types::{PictureKind, PointId};

use super::record;
use super::volume::{Failure, Volume};

impl Volume {
    /// What is kept of a point's picture; `None` where there is no such point, or it has no such picture.
    ///
    /// # Errors
    /// `Corrupted` where what is stored fails its checksum, and for a point that is lost in part: its picture may be that
    /// of another change than its vectors.
    pub fn picture(&self, id: PointId, kind: PictureKind) -> Result<Option<Vec<u8>>> {
        self.check_whole(id)?;
        let read = self.shared.read(id, |shared, entry, _| {
            let Some(position) = entry.pictures.get(kind) else { return Ok(None) };
            let copy = |bytes: &[u8]| record::picture(bytes, id, kind).map(<[u8]>::to_vec);
            shared.segments.with(position, copy)?.ok_or(Failure::Damaged).map(Some)
        });
        Ok(read?.flatten())
    }

    /// The checksum of what is kept of a point's picture, without reading it.
    ///
    /// # Errors
    /// As [`Volume::picture`].
    pub fn picture_crc(&self, id: PointId, kind: PictureKind) -> Result<Option<u32>> {
        self.check_whole(id)?;
        let read = self.shared.read(id, |_, entry, _| Ok(entry.pictures.get(kind).map(|record| record.crc)));
        Ok(read?.flatten())
    }

    fn check_whole(&self, id: PointId) -> Result<()> {
        if self.shared.lost.contains(&id) { Err(self.shared.damaged(id)) } else { Ok(()) }
    }
}
