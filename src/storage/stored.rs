//! The vectors of some points where they lie in the log. What is found stays readable and the same,
//! also when compaction has moved the points: it holds on to the segments that it was found in.

use std::sync::Arc;

use super::record::{self, Width};
use super::segment::Segment;
use super::volume::Volume;
use crate::error::Result;
use crate::types::PointId;

/// Vectors of one name, in the order of the points that were asked for.
#[derive(Debug, Default)]
pub struct StoredVectors {
    segments: Vec<Arc<Segment>>,
    places: Vec<Place>,
}

/// Where a vector lies.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    /// Of `segments`.
    segment: u32,
    /// The record's first byte in the segment.
    record: u32,
    /// Bytes of the record; 0 where there is no vector.
    length: u32,
    /// The vector's first byte in the record.
    vector: u32,
    /// What a component takes.
    width: Width,
}

impl Volume {
    /// Finds the vectors of this name in the log. Points that are not there, have no such vector, or
    /// fail their checksum have none in what is found.
    ///
    /// # Errors
    /// Those of the view; `Io` where a segment cannot be mapped.
    pub fn find_vectors(&self, ids: &[Option<PointId>], name: &str) -> Result<StoredVectors> {
        let mut found = StoredVectors::default();
        for id in ids {
            let place = match id {
                Some(id) => self.find_vector(*id, name, &mut found.segments)?,
                None => None,
            };
            found.places.push(place.unwrap_or_default());
        }
        Ok(found)
    }

    fn find_vector(
        &self,
        id: PointId,
        name: &str,
        segments: &mut Vec<Arc<Segment>>,
    ) -> Result<Option<Place>> {
        let Some((position, segment)) = self.vectors_segment(id)? else { return Ok(None) };
        let (start, length) = (position.offset as usize, position.length as usize);
        let record = segment.bytes().get(start..start + length);
        let Some((bytes, width)) = record.and_then(|record| record::find_vector(record, id, name)) else {
            return Ok(None);
        };
        let known = segments.iter().rposition(|known| Arc::ptr_eq(known, &segment));
        let number = known.unwrap_or_else(|| {
            segments.push(segment);
            segments.len() - 1
        });
        Ok(Some(Place {
            segment: number as u32, // at most one a point
            record: position.offset,
            length: position.length,
            vector: bytes.start as u32, // records are under 4 GiB
            width,
        }))
    }
}

impl StoredVectors {
    /// The record of the `i`-th vector, and where that lies in it.
    fn record(&self, i: usize) -> Option<(&[u8], &Place)> {
        let place = self.places.get(i).filter(|place| place.length > 0)?;
        let segment = self.segments.get(place.segment as usize)?;
        let record = segment.bytes().get(place.record as usize..)?.get(..place.length as usize)?;
        Some((record, place))
    }

    /// Reads the `i`-th vector; false where there is none or its record fails its checksum. `out` has
    /// the vector's components.
    pub fn read(&self, i: usize, out: &mut [f32]) -> bool {
        let intact = self.record(i).filter(|(record, _)| record::is_intact(record));
        intact.is_some_and(|(record, place)| {
            record.get(place.vector as usize..).is_some_and(|bytes| place.width.read(bytes, out))
        })
    }

    /// The record's bytes from the `i`-th vector on, unchecked; empty where there is none.
    pub fn bytes(&self, i: usize) -> &[u8] {
        self.record(i).and_then(|(record, place)| record.get(place.vector as usize..)).unwrap_or_default()
    }
}
