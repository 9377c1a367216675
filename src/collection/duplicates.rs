//! Groups of points that are nearly the same. Each group has a representative, and every other point of it
//! reaches the threshold against that one: chains do not merge what only stands between.
//!
//! The rule is the greedy one, in the order of ids: a point that no earlier representative takes is one
//! itself and takes every later point that reaches the threshold against it and is not taken yet. So two
//! representatives never reach the threshold against each other, and whoever deletes all points of the
//! groups but the representatives loses nothing that is not still there once. Points that are the same but for rounding
//! (`copies`) count as one and are found by comparing all; the others by a search for each (`neighbours`).
//!
//! One call looks at a page of points, bounded in searches, time and what it answers, and says where the
//! next begins. A page needs nothing from the one before: whether an earlier point is a representative
//! follows from the points before it in turn.

use std::collections::{BTreeMap, HashSet};
use std::ops::Bound;
use std::time::{Duration, Instant};

use crate::distance::kernel;
use crate::error::{Error, Result};
use crate::index::Index;
use crate::types::{Distance, Filter, PointId, ScoredPoint, VectorName};

use super::neighbours::Neighbours;
use super::read::ReadBack;
use super::{Collection, Fields};

/// Points that are compared with each other: each takes about 100 bytes while a page is made.
pub const MAX_DUPLICATE_POINTS: usize = 2_000_000;
/// Groups of one answer.
pub const MAX_DUPLICATE_GROUPS: usize = 10_000;
/// Points of one answer, and of a group in it: a page ends where it has so many.
pub const MAX_DUPLICATES: usize = 10_000;
/// Ids that are taken over under one lock.
const IDS_AT_ONCE: usize = 65_536;

/// Cosine similarity from which on two pictures are the same where the request names none: the bundled
/// model gives re-encoded, halved and slightly cropped copies more, and different pictures less (docs/how-to/find-duplicates.md).
const SAME_COSINE: f32 = 0.95;
/// The part of the typical distance of two points up to which they are the same, under Euclid and
/// Manhattan: what [`SAME_COSINE`] comes to for unit vectors.
const SAME_PART: f32 = 0.25;

/// What is looked for.
#[derive(Debug, Clone, PartialEq)]
pub struct DuplicateSearch {
    /// Score from which on two points are the same; by the distance where absent.
    pub threshold: Option<f32>,
    /// Which of the points' vectors are compared.
    pub using: VectorName,
    /// Only points that it lets through.
    pub filter: Option<Filter>,
    /// The first id of the page.
    pub offset: Option<PointId>,
    /// Groups, 1 to [`MAX_DUPLICATE_GROUPS`].
    pub limit: usize,
    /// Points that a group has at least, 2 to [`MAX_DUPLICATES`].
    pub min_size: usize,
    /// What is read of each point.
    pub fields: Fields,
}

/// Points that are the same as one of them.
#[derive(Debug, Clone, PartialEq)]
pub struct DuplicateGroup {
    /// All of it, also where it is too large to be answered whole.
    pub size: usize,
    /// The representative with its score to itself, then the others, best first, at most [`MAX_DUPLICATES`].
    pub points: Vec<ScoredPoint>,
}

/// The groups of one page.
#[derive(Debug, Clone, PartialEq)]
pub struct Duplicates {
    /// The largest first, of as many points the most certain.
    pub groups: Vec<DuplicateGroup>,
    /// Groups of the page that are not answered because of the limit.
    pub left_out: usize,
    /// Points of the page.
    pub compared: usize,
    /// The threshold that was used.
    pub threshold: f32,
    /// Where the next page begins; `None` after the last.
    pub next: Option<PointId>,
}

/// Where a page ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Searches: some seconds of one core.
    pub(super) searches: usize,
    /// Points in its groups.
    pub(super) points: usize,
    /// However few searches were made.
    pub(super) time: Duration,
}

impl Bounds {
    const PAGE: Bounds = Bounds { searches: 20_000, points: MAX_DUPLICATES, time: Duration::from_secs(10) };
}

/// A group by the numbers of its points.
struct Group {
    representative: u32,
    /// With their scores to it, best first.
    others: Vec<(u32, f32)>,
}

impl DuplicateSearch {
    fn check(&self) -> Result<()> {
        let within = |field: &str, value: usize, low: usize, high: usize| {
            if (low..=high).contains(&value) {
                return Ok(());
            }
            Err(Error::InvalidInput(format!("{field} is {value}, it must be from {low} to {high}")))
        };
        within("limit", self.limit, 1, MAX_DUPLICATE_GROUPS)?;
        within("min_size", self.min_size, 2, MAX_DUPLICATES)
    }
}

impl Collection {
    /// A page of the groups of points that are the same.
    ///
    /// # Errors
    /// `InvalidInput` that names what is out of its range, the vector name, or the threshold that the
    /// distance needs; where more than [`MAX_DUPLICATE_POINTS`] would be compared; those of reading.
    pub fn duplicates(&self, search: &DuplicateSearch) -> Result<Duplicates> {
        self.duplicates_within(search, Bounds::PAGE)
    }

    pub(super) fn duplicates_within(&self, search: &DuplicateSearch, bounds: Bounds) -> Result<Duplicates> {
        search.check()?;
        self.check_fields(&search.fields)?;
        let index = self.index(&search.using)?;
        let threshold = self.same_from(search, index)?;
        let points = self.points_among(&search.using, search.filter.as_ref())?;
        let start = search.offset.map_or(0, |offset| points.partition_point(|(id, _)| *id < offset));
        let mut neighbours = Neighbours::new(index, &points, search.filter.is_some(), threshold);
        let (groups, end) = page(&mut neighbours, start, search.min_size, bounds)?;
        let count = groups.len();
        let groups =
            groups.iter().take(search.limit).map(|group| self.answered(index, &points, group, search));
        Ok(Duplicates {
            groups: groups.collect::<Result<Vec<_>>>()?,
            left_out: count.saturating_sub(search.limit),
            compared: end - start,
            threshold,
            next: points.get(end).map(|(id, _)| *id),
        })
    }

    /// The score from which on two points are the same.
    fn same_from(&self, search: &DuplicateSearch, index: &Index) -> Result<f32> {
        let range = match index.distance() {
            Distance::Cosine => (-1.0, 1.0),
            Distance::Dot => (f32::MIN, f32::MAX),
            Distance::Euclid | Distance::Manhattan => (0.0, f32::MAX),
        };
        match (search.threshold, index.distance()) {
            (Some(threshold), distance) if !(range.0..=range.1).contains(&threshold) => {
                let (low, high) = range;
                let range = if high == f32::MAX {
                    format!("at least {low}")
                } else {
                    format!("from {low} to {high}")
                };
                Err(Error::InvalidInput(format!(
                    "threshold is {threshold}, under {distance:?} it must be {range}"
                )))
            }
            (Some(threshold), _) => Ok(threshold),
            (None, Distance::Cosine) => Ok(SAME_COSINE),
            (None, Distance::Dot) => Err(Error::InvalidInput(
                "threshold: is needed under Dot, whose scores grow with the length of the vectors".into(),
            )),
            (None, Distance::Euclid | Distance::Manhattan) => {
                Ok(SAME_PART * self.typical_distance(&search.using)?)
            }
        }
    }

    /// The points that have the vector and that the filter lets through, in the order of ids, with their slots.
    fn points_among(&self, using: &str, filter: Option<&Filter>) -> Result<Vec<(PointId, u32)>> {
        let allowed = match filter.filter(|filter| !filter.is_empty()) {
            Some(filter) => Some(self.volume.read_whole(|| self.matching(filter))?),
            None => None,
        };
        let mut points = Vec::new();
        let mut from = Bound::Unbounded;
        loop {
            let state = self.memory.state.read();
            let Some(with_vector) = state.with_vector.get(using) else { return Ok(points) };
            let mut last = None;
            for (&id, &slot) in state.slots.range((from, Bound::Unbounded)).take(IDS_AT_ONCE) {
                last = Some(id);
                if with_vector.contains(slot) && allowed.as_ref().is_none_or(|allowed| allowed.contains(slot))
                {
                    points.push((id, slot));
                }
            }
            if points.len() > MAX_DUPLICATE_POINTS {
                return Err(Error::InvalidInput(format!(
                    "more than {MAX_DUPLICATE_POINTS} points would be compared with each other; narrow it by a filter"
                )));
            }
            let Some(last) = last else { return Ok(points) };
            from = Bound::Excluded(last);
        }
    }

    /// A group with what is read of its points; those that are gone meanwhile are left out.
    fn answered(
        &self,
        index: &Index,
        points: &[(PointId, u32)],
        group: &Group,
        search: &DuplicateSearch,
    ) -> Result<DuplicateGroup> {
        let of = |number: u32| points[number as usize];
        let (_, slot) = of(group.representative);
        let own = index.vector(slot).map_or(0.0, |v| kernel(index.distance())(&v, &v));
        let first = (group.representative, own);
        let listed = std::iter::once(&first).chain(&group.others).take(MAX_DUPLICATES);
        let mut answered = Vec::new();
        for &(number, score) in listed {
            let (id, _) = of(number);
            if let Some(ReadBack { version, payload, vectors }) = self.read(id, &search.fields)? {
                answered.push(ScoredPoint { id, version, score, payload, vectors, relevance: None });
            }
        }
        Ok(DuplicateGroup { size: 1 + group.others.len(), points: answered })
    }
}

/// The copies of an original, with their scores to a representative.
fn scored_copies(neighbours: &Neighbours<'_>, representative: u32, original: u32) -> Vec<(u32, f32)> {
    let scored = |&copy: &u32| (copy, neighbours.score(representative, copy));
    neighbours.copies_of(original).iter().map(scored).collect()
}

/// The groups whose representatives stand from `start` on, the largest first, and the number at which the
/// next page begins.
fn page(
    neighbours: &mut Neighbours<'_>,
    start: usize,
    min_size: usize,
    bounds: Bounds,
) -> Result<(Vec<Group>, usize)> {
    let began = Instant::now();
    let mut taken: HashSet<u32> = HashSet::new();
    let mut groups: BTreeMap<u32, Vec<(u32, f32)>> = BTreeMap::new();
    let (mut answered, mut end) = (0, neighbours.len());
    for number in start as u32..neighbours.len() as u32 {
        let is_over = neighbours.searches() >= bounds.searches
            || answered >= bounds.points
            || began.elapsed() >= bounds.time;
        if is_over && number as usize > start {
            end = number as usize;
            break;
        }
        if taken.contains(&number) || !neighbours.is_original(number) {
            continue;
        }
        let near = neighbours.of(number)?;
        let mut takes = None;
        for &(other, score) in near.iter().filter(|(other, _)| *other < number) {
            let is_one = match (other as usize) < start {
                true => neighbours.is_representative(other)?,
                false => groups.contains_key(&other),
            };
            if is_one {
                takes = Some((other, score));
                break;
            }
        }
        if let Some((other, score)) = takes {
            // That one's own search has missed it; or it was answered on an earlier page.
            taken.insert(number);
            if let Some(others) = groups.get_mut(&other) {
                others.push((number, score));
                others.extend(scored_copies(neighbours, other, number));
            }
            continue;
        }
        let mut others = Vec::new();
        for &(other, score) in near.iter().filter(|(other, _)| *other > number) {
            // Of what stands before the page only a search knows whether it takes the point.
            let is_free = !taken.contains(&other);
            if is_free && (start == 0 || !neighbours.is_taken_before(other, start as u32)?) {
                taken.insert(other);
                others.push((other, score));
            }
        }
        let copies: Vec<_> = std::iter::once(number)
            .chain(others.iter().map(|(other, _)| *other))
            .flat_map(|original| scored_copies(neighbours, number, original))
            .collect();
        others.extend(copies);
        if 1 + others.len() >= min_size {
            answered += 1 + others.len();
        }
        groups.insert(number, others);
    }
    let distance = neighbours.distance();
    let rank = |score: f32| distance.rank(score);
    let mut groups: Vec<Group> = groups
        .into_iter()
        .filter(|(_, others)| 1 + others.len() >= min_size)
        .map(|(representative, others)| Group { representative, others })
        .collect();
    for group in &mut groups {
        group.others.sort_by(|a, b| rank(a.1).total_cmp(&rank(b.1)).then(a.0.cmp(&b.0)));
    }
    let worst = |group: &Group| group.others.last().map_or(f32::NEG_INFINITY, |(_, score)| rank(*score));
    groups.sort_by(|a, b| {
        b.others
            .len()
            .cmp(&a.others.len())
            .then(worst(a).total_cmp(&worst(b)))
            .then(a.representative.cmp(&b.representative))
    });
    Ok((groups, end))
}
