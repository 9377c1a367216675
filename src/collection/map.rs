//! A collection as a map: a sample of its points on a plane. Which points it holds follows from which
//! points there are, and from nothing else, so that the same collection gives the same map.

use std::collections::BinaryHeap;
use std::ops::Bound;

use crate::error::{Error, Result};
use crate::measure::{MAX_PROJECTED, arranged, principal};
use crate::types::{Filter, Payload, PayloadSelector, PointId, VectorName};

use super::sample::hash;
use super::{Collection, Fields, VectorSelector};

/// Most points of a map.
pub const MAX_MAPPED: usize = MAX_PROJECTED;
/// Numbers of all vectors of a map, 64 MiB of them: of very long vectors there are fewer.
const MAX_NUMBERS: usize = 16 << 20;
/// Ids that are taken over under one lock.
const IDS_AT_ONCE: usize = 65_536;

/// How points get their places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Projected {
    /// t-SNE: neighbours lie together, and distances beyond them mean nothing.
    Arranged,
    /// PCA: the two directions of most variance.
    Principal,
}

/// What is drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct MapRequest {
    /// Which of the points' vectors.
    pub using: VectorName,
    /// Only points that it lets through.
    pub filter: Option<Filter>,
    /// Points, 1 to [`MAX_MAPPED`].
    pub limit: usize,
    /// How.
    pub projected: Projected,
    /// What is read of each.
    pub payload: PayloadSelector,
}

/// A point on the map.
#[derive(Debug, Clone, PartialEq)]
pub struct MapPoint {
    /// Its id.
    pub id: PointId,
    /// -1 to 1, to the right.
    pub x: f32,
    /// -1 to 1, upwards.
    pub y: f32,
    /// Its payload, if asked for.
    pub payload: Option<Payload>,
}

/// A sample of a collection on a plane.
#[derive(Debug, Clone, PartialEq)]
pub struct Map {
    /// In the order of ids.
    pub points: Vec<MapPoint>,
    /// Points that could have been drawn.
    pub among: usize,
    /// The share of the variance along the two first directions, 0 to 1.
    pub explained: [f32; 2],
}

impl Collection {
    /// Draws a map.
    ///
    /// # Errors
    /// `InvalidInput` where the limit is out of its range or the vector name unknown; those of reading.
    pub fn map(&self, request: &MapRequest) -> Result<Map> {
        if !(1..=MAX_MAPPED).contains(&request.limit) {
            let limit = request.limit;
            return Err(Error::InvalidInput(format!("limit is {limit}, it must be from 1 to {MAX_MAPPED}")));
        }
        let index = self.index(&request.using)?;
        let most = request.limit.min((MAX_NUMBERS / index.size()).max(1));
        let (sample, among) = self.drawn(request, most)?;
        let (mut ids, mut vectors) = (Vec::with_capacity(sample.len()), Vec::new());
        for (id, slot) in sample {
            // Gone meanwhile: then it is not on the map.
            if let Some(vector) = index.vector(slot) {
                ids.push(id);
                vectors.extend(vector);
            }
        }
        let drawn = match request.projected {
            Projected::Arranged => arranged(&vectors, index.size()),
            Projected::Principal => principal(&vectors, index.size()),
        };
        let fields = Fields { payload: request.payload.clone(), vectors: VectorSelector::None };
        let mut points = Vec::with_capacity(ids.len());
        for (id, [x, y]) in ids.into_iter().zip(drawn.places) {
            let payload = match &fields.payload {
                PayloadSelector::None => None,
                _ => match self.retrieve(&[id], &fields)?.pop() {
                    Some(record) => record.payload,
                    None => continue,
                },
            };
            points.push(MapPoint { id, x, y, payload });
        }
        Ok(Map { points, among, explained: drawn.explained })
    }

    /// The points of the smallest hashes among those that the filter lets through, in the order of ids, with
    /// their slots; and how many it lets through.
    fn drawn(&self, request: &MapRequest, most: usize) -> Result<(Vec<(PointId, u32)>, usize)> {
        let allowed = match request.filter.as_ref().filter(|filter| !filter.is_empty()) {
            Some(filter) => Some(self.volume.read_whole(|| self.matching(filter))?),
            None => None,
        };
        let mut smallest = BinaryHeap::new();
        let (mut among, mut from) = (0, Bound::Unbounded);
        loop {
            let state = self.memory.state.read();
            let Some(with_vector) = state.with_vector.get(&request.using) else { break };
            let mut last = None;
            for (&id, &slot) in state.slots.range((from, Bound::Unbounded)).take(IDS_AT_ONCE) {
                last = Some(id);
                let is_allowed = allowed.as_ref().is_none_or(|allowed| allowed.contains(slot));
                if with_vector.contains(slot) && is_allowed {
                    among += 1;
                    smallest.push((hash(id), id, slot));
                    if smallest.len() > most {
                        smallest.pop();
                    }
                }
            }
            let Some(last) = last else { break };
            from = Bound::Excluded(last);
        }
        let mut sample: Vec<(PointId, u32)> = smallest.into_iter().map(|(_, id, slot)| (id, slot)).collect();
        sample.sort_unstable();
        Ok((sample, among))
    }
}
