//! Copies of references: nobody signs twice to the pixel, so what is a reference again is a picture that was
//! presented again. Told by the file's hash, by the features, and by the print of the ink, which outlives a
//! printer and a scanner. References that were enrolled without a print are compared by the other two.

use super::Probe;
use crate::collection::{Collection, Fields, Reference, VectorSelector};
use crate::error::{Error, Result};
use crate::preprocess::{DUPLICATE_PRINT, InkPrint};
use crate::types::{JsonPath, Payload, PayloadSelector, PointId};
use crate::verify::{DUPLICATE_COSINE, Likeness, cosine};

/// The field of a reference's payload that holds its print.
pub(super) const PRINT_FIELD: &str = "print";

/// A picture by what copies of it are told by.
pub(super) struct Traces {
    /// Of the file, where it is known.
    pub sha256: Option<String>,
    /// As the tower makes them, norm 1.
    pub features: Option<Vec<f32>>,
    /// `None` for what came as numbers.
    pub print: Option<InkPrint>,
}

impl Traces {
    /// How the two are told to be one picture; `None` where they are not.
    pub fn same(&self, other: &Traces) -> Option<Likeness> {
        if self.sha256.is_some() && self.sha256 == other.sha256 {
            return Some(Likeness::Bytes);
        }
        if let Some((own, others)) = self.features.as_ref().zip(other.features.as_ref()) {
            let alike = cosine(own, others) as f32;
            if alike > DUPLICATE_COSINE {
                return Some(Likeness::Features(alike));
            }
        }
        let (own, others) = self.print.as_ref().zip(other.print.as_ref())?;
        let alike = own.likeness(others);
        (alike >= DUPLICATE_PRINT).then_some(Likeness::Ink(alike))
    }
}

/// The traces of a reference; `None` where it was deleted meanwhile.
pub(super) fn traces(collection: &Collection, id: PointId, sha256: Option<&str>) -> Result<Option<Traces>> {
    let features = match collection.vector(id, "") {
        Ok(features) => Some(features),
        Err(Error::NotFound(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(Some(Traces { sha256: sha256.map(str::to_owned), features, print: print_of(collection, id)? }))
}

/// The print that was kept with a point.
pub(super) fn print_of(collection: &Collection, id: PointId) -> Result<Option<InkPrint>> {
    let field = JsonPath::parse(PRINT_FIELD).map_err(Error::Internal)?;
    let fields = Fields { payload: PayloadSelector::Include(vec![field]), vectors: VectorSelector::None };
    let record = collection.retrieve(&[id], &fields)?.pop();
    let print = |payload: Payload| InkPrint::parse(payload.get(PRINT_FIELD)?.as_str()?);
    Ok(record.and_then(|record| record.payload).and_then(print))
}

/// The reference that the probe is a copy of, and how that was told.
pub(super) fn copied(
    collection: &Collection,
    probe: &Probe,
    references: &[Reference],
) -> Result<Option<(usize, Likeness)>> {
    let same = |r: &Reference| r.sha256.as_deref() == Some(&probe.sha256) || Some(r.id) == probe.point;
    if let Some(at) = references.iter().position(same) {
        return Ok(Some((at, Likeness::Bytes)));
    }
    let own = Traces { sha256: None, features: probe.features.clone(), print: probe.print.clone() };
    for (at, reference) in references.iter().enumerate() {
        let Some(traces) = traces(collection, reference.id, reference.sha256.as_deref())? else { continue };
        if let Some(likeness) = own.same(&traces) {
            return Ok(Some((at, likeness)));
        }
    }
    Ok(None)
}
