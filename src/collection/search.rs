//! The search for the nearest points. The index finds slots; what a filter leaves open is
//! decided by reading payloads, of few points if that is enough.

use std::collections::{HashMap, HashSet};

use roaring::RoaringBitmap;

use crate::distance::{kernel, normalise};
use crate::error::{Error, Result};
use crate::index::{self, Hit, Index, Mode, Rescore, Search};
use crate::measure::{Background, Relation};
use crate::types::{Distance, Filter, PointId, ScoredPoint, VectorName, check_vector};

use super::examples::Examples;
use super::mmr::{self, Mmr};
use super::read::ReadBack;
use super::verdict::{Verdict, judge};
use super::{Collection, Fields};

/// Most hits of one search.
pub const MAX_LIMIT: usize = 10_000;
/// Most hits that may be skipped: skipped ones are found too.
pub const MAX_OFFSET: usize = 10_000;
/// Most points that may be left out by id: so many more are searched for.
pub const MAX_EXCLUDED: usize = 10_000;
/// Up to so many open points are looked at before the search; of more, only those found.
const LOOKED_AT_FIRST: u64 = 1_000;
/// So many more than wanted are searched for where the filter is open.
const OVERSAMPLING: usize = 4;
/// A payload that is looked at because its point is near costs as much as so many that are looked
/// at in a row on all cores.
const LOOKED_AT_FOR_LESS: usize = 2;
/// A search whose points vanish under its hands is repeated for 2 and for 4 times as many.
const MOST_MORE: usize = 4;

/// That hits say how probable it is that they are right, see `measure`'s `Background`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Relevance {
    /// Only hits that are at least as probable, 0 to 1.
    pub min: Option<f32>,
    /// What is compared with what.
    pub relation: Relation,
}

/// A search for the nearest points.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// The vector whose neighbours are wanted; normalised here under cosine.
    pub vector: Vec<f32>,
    /// Scores the points in place of `vector`: then larger scores are better, and every point that may be
    /// answered is compared.
    pub examples: Option<Examples>,
    /// Which of the points' vectors it is compared with.
    pub using: VectorName,
    /// Only points that it lets through.
    pub filter: Option<Filter>,
    /// Points that are left out, at most [`MAX_EXCLUDED`].
    pub exclude: Vec<PointId>,
    /// Hits, 1 to [`MAX_LIMIT`].
    pub limit: usize,
    /// Hits that are skipped, at most [`MAX_OFFSET`].
    pub offset: usize,
    /// Only hits at least as good.
    pub score_threshold: Option<f32>,
    /// Candidates of the graph walk, at most [`index::MAX_EF`].
    pub ef: Option<usize>,
    /// Whether the graph may be used.
    pub mode: Mode,
    /// How far hits by bytes are compared exactly.
    pub rescore: Rescore,
    /// Spreads the hits out.
    pub mmr: Option<Mmr>,
    /// Says how relevant the hits are; not with examples.
    pub relevance: Option<Relevance>,
    /// What is read of each hit.
    pub fields: Fields,
}

impl Query {
    /// The nearest `limit` points by the vector named `using`, ids and scores alone.
    pub fn new(vector: Vec<f32>, using: VectorName, limit: usize) -> Self {
        Self {
            vector,
            examples: None,
            using,
            filter: None,
            exclude: Vec::new(),
            limit,
            offset: 0,
            score_threshold: None,
            ef: None,
            mode: Mode::Auto,
            rescore: Rescore::InDoubt,
            mmr: None,
            relevance: None,
            fields: Fields::NONE,
        }
    }

    fn check(&self) -> Result<()> {
        let within = |field: &str, value: usize, low: usize, high: usize| {
            if (low..=high).contains(&value) {
                return Ok(());
            }
            Err(Error::InvalidInput(format!("{field} is {value}, it must be from {low} to {high}")))
        };
        within("limit", self.limit, 1, MAX_LIMIT)?;
        within("offset", self.offset, 0, MAX_OFFSET)?;
        within("excluded points", self.exclude.len(), 0, MAX_EXCLUDED)?;
        within("hnsw_ef", self.ef.unwrap_or(1), 0, index::MAX_EF)?;
        self.mmr.as_ref().map_or(Ok(()), Mmr::check)
    }
}

/// A point that was found, before anything is read of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub(super) id: PointId,
    pub(super) slot: u32,
    pub(super) score: f32,
}

/// Says how relevant the hits of one query are.
struct Judge {
    background: Background,
    relation: Relation,
    distance: Distance,
    min: Option<f32>,
}

impl Judge {
    fn of(&self, score: f32) -> f32 {
        self.background.relevance(-self.distance.rank(score), self.relation)
    }

    fn lets_through(&self, score: f32) -> bool {
        self.min.is_none_or(|min| self.of(score) >= min)
    }
}

/// What was found, best first.
struct Page {
    found: Vec<Found>,
    /// Some hits were deleted or written again before their points could be named.
    lost: bool,
}

impl Collection {
    /// The nearest points, best first, ties in the order in which they were written. Points that
    /// are deleted while it runs are not answered.
    ///
    /// # Errors
    /// `InvalidInput` that names what is out of its range, or the vector name; those of reading.
    pub fn search(&self, query: &Query) -> Result<Vec<ScoredPoint>> {
        query.check()?;
        self.check_fields(&query.fields)?;
        let index = self.index(&query.using)?;
        let prepared = match &query.examples {
            Some(_) if query.mmr.is_some() => {
                return Err(Error::InvalidInput("mmr needs a query by one vector, not by examples".into()));
            }
            Some(examples) => {
                let examples = examples.clone().prepared(index.size(), index.distance())?;
                Some(Query { examples: Some(examples), ..query.clone() })
            }
            None => None,
        };
        let query = prepared.as_ref().unwrap_or(query);
        let judge = self.relevance_judge(index, query)?;
        let mut more = 1;
        loop {
            let Page { found, mut lost } = self.find(index, query, more, judge.as_ref())?;
            let mut points = Vec::with_capacity(query.limit.min(found.len()));
            for Found { id, score, .. } in found {
                if points.len() == query.limit {
                    break;
                }
                match self.read(id, &query.fields)? {
                    Some(ReadBack { version, payload, vectors }) => {
                        let relevance = judge.as_ref().map(|judge| judge.of(score));
                        points.push(ScoredPoint { id, version, score, relevance, payload, vectors });
                    }
                    None => lost = true,
                }
            }
            if !lost || points.len() == query.limit || more == MOST_MORE {
                return Ok(points);
            }
            // Some were deleted or written again meanwhile: others take their place.
            more *= 2;
        }
    }

    /// Points with the scores they were given, in this order; those that are gone are left out.
    ///
    /// # Errors
    /// Those of reading.
    pub fn hits(&self, points: &[(PointId, f32)], fields: &Fields) -> Result<Vec<ScoredPoint>> {
        self.check_fields(fields)?;
        let mut hits = Vec::with_capacity(points.len());
        for &(id, score) in points {
            if let Some(ReadBack { version, payload, vectors }) = self.read(id, fields)? {
                hits.push(ScoredPoint { id, version, score, relevance: None, payload, vectors });
            }
        }
        Ok(hits)
    }

    /// What says how relevant the hits of a query are; `None` where it is not asked for, or where the
    /// collection is too small to know.
    fn relevance_judge(&self, index: &Index, query: &Query) -> Result<Option<Judge>> {
        let Some(Relevance { min, relation }) = query.relevance else { return Ok(None) };
        if query.examples.is_some() {
            return Err(Error::InvalidInput(
                "relevance needs a query by one vector: scores by several examples have no background".into(),
            ));
        }
        let distance = index.distance();
        let mut vector = query.vector.clone();
        check_vector(&vector, index.size(), distance)?;
        if distance == Distance::Cosine {
            normalise(&mut vector);
        }
        let kernel = kernel(distance);
        let similarity = |other: &[f32]| -distance.rank(kernel(&vector, other));
        let background = self.background(&query.using, &query.exclude, similarity)?;
        if background.is_none() && min.is_some() {
            return Err(Error::InvalidInput(format!(
                "min_relevance needs at least {} other points with this vector that are not all alike, to know what \
                 chance scores; leave it out, or use score_threshold",
                Background::FEWEST
            )));
        }
        Ok(background.map(|background| Judge { background, relation, distance, min }))
    }

    /// The hits of a query without what is read of them: a page, or `more` times as many hits.
    fn find(&self, index: &Index, query: &Query, more: usize, judge: Option<&Judge>) -> Result<Page> {
        let page = query.offset + query.limit * more;
        let wanted = query.mmr.as_ref().map_or(page, |mmr| mmr.candidates);
        let most = (wanted + query.exclude.len()).min(index::MAX_LIMIT);
        let Page { mut found, lost } = self.nearest(index, query, most)?;
        let exclude: HashSet<PointId> = query.exclude.iter().copied().collect();
        found.retain(|found| !exclude.contains(&found.id));
        if let Some(threshold) = query.score_threshold {
            let distance = if query.examples.is_some() { Distance::Dot } else { index.distance() };
            found.retain(|found| distance.reaches(found.score, threshold));
        }
        if let Some(judge) = judge {
            found.retain(|found| judge.lets_through(found.score));
        }
        found.truncate(wanted);
        if let Some(mmr) = &query.mmr {
            found = mmr::spread_out(index, mmr, found, page);
        }
        let found = found.into_iter().skip(query.offset).collect();
        Ok(Page { found, lost })
    }

    /// The nearest `wanted` points that the filter lets through.
    fn nearest(&self, index: &Index, query: &Query, wanted: usize) -> Result<Page> {
        let Some(filter) = query.filter.as_ref().filter(|filter| !filter.is_empty()) else {
            return Ok(self.with_ids(hits(index, query, wanted, None)?));
        };
        let verdict = judge(filter, &self.memory.state.read());
        if verdict.maybe.len() > LOOKED_AT_FIRST
            && let Some(found) = self.nearest_open(index, query, filter, &verdict, wanted)?
        {
            return Ok(found);
        }
        let allowed = self.certain(filter, verdict)?;
        Ok(self.with_ids(hits(index, query, wanted, Some(&allowed))?))
    }

    /// Searches among all that may be let through and looks at what is found, with growing
    /// limits: after the first as many as the share of those let through promises to be enough.
    /// `None` where that would be no less work than to look at all of them, on all cores.
    fn nearest_open(
        &self,
        index: &Index,
        query: &Query,
        filter: &Filter,
        verdict: &Verdict,
        wanted: usize,
    ) -> Result<Option<Page>> {
        let possible = verdict.possible();
        let question = self.question(filter);
        let mut known: HashMap<u32, bool> = HashMap::new();
        let mut limit = wanted.max(16).saturating_mul(OVERSAMPLING);
        let most = index::MAX_LIMIT.min(possible.len() as usize / LOOKED_AT_FOR_LESS);
        while limit <= most {
            let hits = hits(index, query, limit, Some(&possible))?;
            let exhausted = hits.len() < limit;
            let Page { mut found, lost } = self.with_ids(hits);
            let mut error = None;
            found.retain(|found| {
                verdict.yes.contains(found.slot)
                    || *known.entry(found.slot).or_insert_with(|| {
                        self.lets_through(&question, found.slot, found.id).unwrap_or_else(|failed| {
                            error = Some(failed);
                            false
                        })
                    })
            });
            if let Some(error) = error {
                return Err(error);
            }
            if found.len() >= wanted || exhausted {
                found.truncate(wanted);
                return Ok(Some(Page { found, lost }));
            }
            // Half as many again: what lies near is let through as often as the rest only on average.
            let promised = limit.saturating_mul(wanted) / found.len().max(1) * 3 / 2;
            limit = promised.max(limit.saturating_mul(2));
        }
        Ok(None)
    }

    /// The points of the hits.
    fn with_ids(&self, hits: Vec<Hit>) -> Page {
        let state = self.memory.state.read();
        let all = hits.len();
        let found = |Hit { slot, score }| Some(Found { id: *state.ids.get(&slot)?, slot, score });
        let found: Vec<Found> = hits.into_iter().filter_map(found).collect();
        let lost = found.len() < all;
        Page { found, lost }
    }
}

fn hits(index: &Index, query: &Query, limit: usize, allow: Option<&RoaringBitmap>) -> Result<Vec<Hit>> {
    if let Some(examples) = &query.examples {
        return index.search_by(|vector| examples.score(index.distance(), vector), limit, allow);
    }
    index.search(
        &query.vector,
        &Search { limit, ef: query.ef, mode: query.mode, rescore: query.rescore, allow },
    )
}
