//! The points that reach a threshold against a point, of which copies count as one; and whether a point
//! is a representative by the rule of `duplicates`, asked of points of earlier pages too. Points are numbered in the order
//! of their ids.

use std::collections::HashMap;

use roaring::RoaringBitmap;

use crate::distance::kernel;
use crate::error::{Error, Result};
use crate::index::{self, Index, Search};
use crate::types::{Distance, PointId};

use super::copies::{Place, Projections, originals};

/// Neighbours that are asked for at first; more where all of them reach the threshold.
const FIRST_LIMIT: usize = 16;
/// Most points that are found to reach the threshold against one, besides copies: a page is to end.
const MAX_NEAR: usize = 4_096;
/// Candidates of a walk: points that are nearly the same are the first that it meets.
const EF: usize = 128;
/// Points before a page that are looked at to know who represents what, at most.
const MAX_BEFORE: usize = 20_000;

pub(super) struct Neighbours<'a> {
    index: &'a Index,
    points: &'a [(PointId, u32)],
    numbers: HashMap<u32, u32>,
    originals: Vec<u32>,
    /// Copies by their original, where there are any.
    copies: HashMap<u32, Vec<u32>>,
    /// The slots of the originals; `None` where every vector of the index is one.
    allow: Option<RoaringBitmap>,
    threshold: f32,
    searches: usize,
    /// What is known of points before the page.
    known: HashMap<u32, bool>,
}

impl<'a> Neighbours<'a> {
    /// Of points in the order of their ids, with their slots; `is_part` where the index holds others.
    pub(super) fn new(index: &'a Index, points: &'a [(PointId, u32)], is_part: bool, threshold: f32) -> Self {
        let numbers: HashMap<u32, u32> =
            points.iter().zip(0_u32..).map(|((_, slot), n)| (*slot, n)).collect();
        let projections = Projections::new(index.size());
        let mut places = vec![Place::default(); points.len()];
        index.each(None, |slot, vector| {
            if let Some(&number) = numbers.get(&slot) {
                places[number as usize] = projections.place(vector);
            }
        });
        let originals = originals(&places, |number| index.vector(points[number].1));
        let mut copies: HashMap<u32, Vec<u32>> = HashMap::new();
        for (number, &original) in (0_u32..).zip(&originals) {
            if original != number {
                copies.entry(original).or_default().push(number);
            }
        }
        let allow = (is_part || !copies.is_empty()).then(|| {
            let own = (0_u32..).zip(&originals).filter(|(number, original)| *number == **original);
            own.map(|(number, _)| points[number as usize].1).collect()
        });
        Self {
            index,
            points,
            numbers,
            originals,
            copies,
            allow,
            threshold,
            searches: 0,
            known: HashMap::new(),
        }
    }

    /// Points.
    pub(super) fn len(&self) -> usize {
        self.points.len()
    }

    /// Searches so far.
    pub(super) fn searches(&self) -> usize {
        self.searches
    }

    pub(super) fn distance(&self) -> Distance {
        self.index.distance()
    }

    pub(super) fn is_original(&self, number: u32) -> bool {
        self.originals[number as usize] == number
    }

    /// The copies of an original.
    pub(super) fn copies_of(&self, number: u32) -> &[u32] {
        self.copies.get(&number).map_or(&[], Vec::as_slice)
    }

    /// The score of two points; that of the farthest where one is gone meanwhile.
    pub(super) fn score(&self, a: u32, b: u32) -> f32 {
        let vector = |number: u32| self.index.vector(self.points[number as usize].1);
        match (vector(a), vector(b)) {
            (Some(a), Some(b)) => kernel(self.distance())(&a, &b),
            _ => -self.distance().rank(f32::MAX),
        }
    }

    /// The other originals that reach the threshold against a point, in the order of their numbers; none
    /// where it is gone meanwhile.
    pub(super) fn of(&mut self, number: u32) -> Result<Vec<(u32, f32)>> {
        let Some(vector) = self.index.vector(self.points[number as usize].1) else { return Ok(Vec::new()) };
        self.searches += 1;
        let mut limit = FIRST_LIMIT;
        let hits = loop {
            let search = Search { ef: Some(EF), allow: self.allow.as_ref(), ..Search::new(limit) };
            let mut hits = self.index.search(&vector, &search)?;
            let is_whole = hits.len() < limit;
            hits.retain(|hit| self.distance().reaches(hit.score, self.threshold));
            if is_whole || hits.len() < limit || limit >= MAX_NEAR.min(index::MAX_LIMIT) {
                break hits;
            }
            limit = (limit * 8).min(MAX_NEAR);
        };
        let known = hits.into_iter().filter_map(|hit| Some((*self.numbers.get(&hit.slot)?, hit.score)));
        let mut near: Vec<(u32, f32)> = known.filter(|(other, _)| *other != number).collect();
        near.sort_unstable_by_key(|(other, _)| *other);
        Ok(near)
    }

    /// True where no representative before it takes the point: asked of it and, in turn, of the points
    /// before it that reach the threshold against it.
    ///
    /// # Errors
    /// `InvalidInput` where that comes to more than [`MAX_BEFORE`] points: all chain through each other.
    pub(super) fn is_representative(&mut self, number: u32) -> Result<bool> {
        // A stack of its own: chains may be long.
        let mut open: Vec<(u32, Vec<u32>)> = Vec::new();
        let mut asked = Some(number);
        loop {
            if let Some(number) = asked.take()
                && !self.known.contains_key(&number)
            {
                if self.known.len() + open.len() >= MAX_BEFORE {
                    return Err(Error::InvalidInput(format!(
                        "threshold: with {} more than {MAX_BEFORE} points before the offset chain through each other; \
                         choose one that is reached by fewer",
                        self.threshold
                    )));
                }
                let near = self.of(number)?;
                // The last is asked first.
                let before = near.iter().rev().map(|(other, _)| *other).filter(|other| *other < number);
                open.push((number, before.collect()));
            }
            let Some((current, before)) = open.last_mut() else {
                return Ok(self.known.get(&number).copied().unwrap_or(true));
            };
            let current = *current;
            let answer = loop {
                match before.last() {
                    None => break Some(true),
                    Some(other) => match self.known.get(other) {
                        Some(true) => break Some(false),
                        Some(false) => {
                            before.pop();
                        }
                        None => {
                            asked = Some(*other);
                            break None;
                        }
                    },
                }
            };
            if let Some(answer) = answer {
                self.known.insert(current, answer);
                open.pop();
            }
        }
    }

    /// True where a representative before `start` takes the point.
    pub(super) fn is_taken_before(&mut self, number: u32, start: u32) -> Result<bool> {
        for (other, _) in self.of(number)? {
            if other >= start {
                break;
            }
            if self.is_representative(other)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
