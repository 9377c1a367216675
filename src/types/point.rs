//! A point as it is stored, as it is read back, and as a search returns it.

use super::{NamedVectors, Payload, PointId};

/// A whole point on its way into a collection.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Its id; a point with the same id is replaced.
    pub id: PointId,
    /// Its vectors by name; checked against the collection's configuration by the collection.
    pub vectors: NamedVectors,
    /// Its payload; may be empty.
    pub payload: Payload,
}

/// A point as it was read: what was not asked for is `None`.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Its id.
    pub id: PointId,
    /// Its payload, if asked for.
    pub payload: Option<Payload>,
    /// Its vectors, if asked for.
    pub vectors: Option<NamedVectors>,
}

/// A hit of a search.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoredPoint {
    /// Its id.
    pub id: PointId,
    /// The sequence number of the commit that wrote it.
    pub version: u64,
    /// Similarity or distance, as the collection's `Distance` says.
    pub score: f32,
    /// The probability from 0 to 1 that it is a right answer, if asked for and known.
    pub relevance: Option<f32>,
    /// Its payload, if asked for.
    pub payload: Option<Payload>,
    /// Its vectors, if asked for.
    pub vectors: Option<NamedVectors>,
}
