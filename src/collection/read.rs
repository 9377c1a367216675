//! Points read back: by id, in the order of ids, counted, and filtered.

use std::collections::BTreeSet;
use std::ops::Bound;

use rayon::prelude::*;
use roaring::RoaringBitmap;

use crate::error::{Error, Result};
use crate::types::{Condition, Filter, NamedVectors, Payload, PayloadSelector, PointId, Record};

use super::filter::{Subject, Texts, matches};
use super::verdict::{Verdict, judge};
use super::{Collection, Fields, VectorSelector};

/// Most points of one scroll: the answer is held in memory.
pub const MAX_SCROLL: usize = 100_000;
/// Points that a filtered scroll looks at in one go.
const SCROLLED_AT_ONCE: usize = 1024;
/// From so many payloads on, looking at them is worth several threads.
const PARALLEL_PAYLOADS: usize = 2048;

/// Fields that the log names at most as worth an index.
const MAX_HINTED: usize = 100;

/// A filter with what it takes to ask it about many points.
pub(super) struct Question<'a> {
    filter: &'a Filter,
    texts: Texts,
    /// The names of a point's vectors matter.
    by_vectors: bool,
    /// The payload's fields that it asks of; only these are read.
    fields: Vec<String>,
}

/// A page of points in the order of ids: numbers by value, then UUIDs.
#[derive(Debug, Clone, PartialEq)]
pub struct Scroll {
    /// Only points that it lets through.
    pub filter: Option<Filter>,
    /// The first id of the page, inclusive.
    pub offset: Option<PointId>,
    /// Points, 1 to [`MAX_SCROLL`].
    pub limit: usize,
    /// What is read of each.
    pub fields: Fields,
}

/// What was read of a point.
pub(super) struct ReadBack {
    pub(super) version: u64,
    pub(super) payload: Option<Payload>,
    pub(super) vectors: Option<NamedVectors>,
}

impl Collection {
    /// The points of these ids, in this order; absent ones are left out. As a page of a scroll
    /// and a count, it sees all or nothing of every change.
    ///
    /// # Errors
    /// `InvalidInput` where `fields` names an unknown vector; `Corrupted` where what is stored
    /// fails its checksum. So with all reads.
    pub fn retrieve(&self, ids: &[PointId], fields: &Fields) -> Result<Vec<Record>> {
        self.check_fields(fields)?;
        self.volume.read_whole(|| {
            let mut records = Vec::with_capacity(ids.len());
            for &id in ids {
                records.extend(self.record(id, fields)?);
            }
            Ok(records)
        })
    }

    /// The sequence number of the change that last wrote the point; `None` where there is none.
    ///
    /// # Errors
    /// `Corrupted` where what is stored fails its checksum.
    pub fn version(&self, id: PointId) -> Result<Option<u64>> {
        self.volume.version(id)
    }

    /// A page of points, and the id that the next page starts with (`None` after the last).
    ///
    /// # Errors
    /// `InvalidInput` where the limit is out of its range, and as [`Collection::retrieve`].
    pub fn scroll(&self, request: &Scroll) -> Result<(Vec<Record>, Option<PointId>)> {
        if !(1..=MAX_SCROLL).contains(&request.limit) {
            let limit = request.limit;
            return Err(Error::InvalidInput(format!("limit is {limit}, it must be from 1 to {MAX_SCROLL}")));
        }
        self.check_fields(&request.fields)?;
        self.volume.read_whole(|| self.page(request))
    }

    fn page(&self, request: &Scroll) -> Result<(Vec<Record>, Option<PointId>)> {
        let verdict = request
            .filter
            .as_ref()
            .map(|filter| (self.question(filter), judge(filter, &self.memory.state.read())));
        let mut from = request.offset.map_or(Bound::Unbounded, Bound::Included);
        let mut records = Vec::new();
        loop {
            let some: Vec<(PointId, u32)> = {
                let state = self.memory.state.read();
                let range = state.slots.range((from, Bound::Unbounded));
                range.take(SCROLLED_AT_ONCE).map(|(&id, &slot)| (id, slot)).collect()
            };
            let Some(&(last, _)) = some.last() else { return Ok((records, None)) };
            from = Bound::Excluded(last);
            for (id, slot) in some {
                if let Some((question, verdict)) = &verdict
                    && !verdict.yes.contains(slot)
                    && !(verdict.maybe.contains(slot) && self.lets_through(question, slot, id)?)
                {
                    continue;
                }
                if records.len() == request.limit {
                    return Ok((records, Some(id)));
                }
                records.extend(self.record(id, &request.fields)?);
            }
        }
    }

    /// How many points the filter lets through, or how many there are.
    ///
    /// # Errors
    /// Those of reading payloads.
    pub fn count(&self, filter: Option<&Filter>) -> Result<usize> {
        match filter {
            None => Ok(self.memory.state.read().slots.len()),
            Some(filter) => self.volume.read_whole(|| Ok(self.matching(filter)?.len() as usize)),
        }
    }

    /// The vector of a point as it is compared (normalised under cosine).
    ///
    /// # Errors
    /// `InvalidInput` where there is no vector of this name; `NotFound` that names the id where
    /// there is no such point or it lacks the vector.
    pub fn vector(&self, id: PointId, using: &str) -> Result<Vec<f32>> {
        let index = self.index(using)?;
        let missing = || Error::NotFound(format!("No point with id {id} found"));
        let slot = self.slot_of(id).ok_or_else(missing)?;
        if let Some(vector) = index.vector(slot) {
            return Ok(vector);
        }
        // Written again since the slot was looked up, or without this vector.
        let stored = self.volume.vectors(id)?.ok_or_else(missing)?;
        stored
            .get(using)
            .cloned()
            .ok_or_else(|| Error::NotFound(format!("The point with id {id} has no vector named `{using}`")))
    }

    /// Ids of the points that the filter lets through.
    pub(super) fn matching_ids(&self, filter: &Filter) -> Result<Vec<PointId>> {
        let slots = self.matching(filter)?;
        let state = self.memory.state.read();
        Ok(slots.iter().filter_map(|slot| state.ids.get(&slot).copied()).collect())
    }

    /// Slots of the points that the filter lets through.
    pub(super) fn matching(&self, filter: &Filter) -> Result<RoaringBitmap> {
        let verdict = judge(filter, &self.memory.state.read());
        self.certain(filter, verdict)
    }

    /// Looks at the payloads of those that are not sure.
    pub(super) fn certain(&self, filter: &Filter, verdict: Verdict) -> Result<RoaringBitmap> {
        let Verdict { mut yes, maybe } = verdict;
        let candidates: Vec<(u32, PointId)> = {
            let state = self.memory.state.read();
            maybe.iter().filter_map(|slot| Some((slot, *state.ids.get(&slot)?))).collect()
        };
        let question = self.question(filter);
        if candidates.len() >= PARALLEL_PAYLOADS {
            self.recommend_indexes(filter, candidates.len());
        }
        let look = |&(slot, id): &(u32, PointId)| match self.lets_through(&question, slot, id) {
            Ok(true) => Some(Ok(slot)),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        };
        let found: Vec<u32> = if candidates.len() < PARALLEL_PAYLOADS {
            candidates.iter().filter_map(look).collect::<Result<_>>()?
        } else {
            candidates.par_iter().with_min_len(256).filter_map(look).collect::<Result<_>>()?
        };
        yes.extend(found);
        Ok(yes)
    }

    /// What it takes to ask a filter about many points.
    pub(super) fn question<'a>(&self, filter: &'a Filter) -> Question<'a> {
        let mut by_vectors = false;
        let mut fields = BTreeSet::new();
        filter.each_condition(&mut |condition| match condition {
            Condition::HasVector(_) => by_vectors = true,
            Condition::Field { key, .. }
            | Condition::IsEmpty(key)
            | Condition::IsNull(key)
            | Condition::Nested { key, .. } => drop(fields.insert(key.field())),
            Condition::HasId(_) | Condition::Filter(_) => {}
        });
        let fields = fields.into_iter().map(str::to_owned).collect();
        Question { filter, texts: self.memory.state.read().texts(), by_vectors, fields }
    }

    /// Asks the filter about one point, by its payload as it is now.
    pub(super) fn lets_through(&self, question: &Question<'_>, slot: u32, id: PointId) -> Result<bool> {
        let Question { filter, texts, by_vectors, fields } = question;
        let Some(payload) = self.volume.payload_fields(id, fields)? else { return Ok(false) };
        let ask =
            |vectors: &[&str]| matches(filter, Subject { id: Some(id), payload: &payload, vectors, texts });
        if !by_vectors {
            return Ok(ask(&[]));
        }
        let state = self.memory.state.read();
        Ok(ask(&state.vector_names(slot)))
    }

    /// Says once for each field in the log that an index would spare reading payloads.
    fn recommend_indexes(&self, filter: &Filter, payloads: usize) {
        let mut hinted = self.hinted.lock();
        let state = self.memory.state.read();
        filter.each_condition(&mut |condition| {
            let (Condition::Field { key, .. } | Condition::IsEmpty(key) | Condition::IsNull(key)) = condition
            else {
                return;
            };
            let is_new = hinted.len() < MAX_HINTED && !state.payload_indexes.contains_key(key.as_str());
            if is_new && hinted.insert(key.as_str().to_owned()) {
                tracing::warn!(
                    "collection `{}`: a filter on `{}` read {payloads} payloads; an index of this field \
                     (PUT /collections/{0}/index) would answer it from memory",
                    self.name(),
                    key.as_str(),
                );
            }
        });
    }

    pub(super) fn record(&self, id: PointId, fields: &Fields) -> Result<Option<Record>> {
        let record = |ReadBack { payload, vectors, .. }| Record { id, payload, vectors };
        Ok(self.read(id, fields)?.map(record))
    }

    /// What `fields` asks of a point; `None` where it is gone.
    pub(super) fn read(&self, id: PointId, fields: &Fields) -> Result<Option<ReadBack>> {
        let volume = &self.volume;
        match (&fields.payload, &fields.vectors) {
            (PayloadSelector::None, VectorSelector::None) => {
                let version = volume.version(id)?;
                Ok(version.map(|version| ReadBack { version, payload: None, vectors: None }))
            }
            (selector, VectorSelector::None) => {
                let (Some(version), Some(payload)) = (volume.version(id)?, volume.payload(id)?) else {
                    return Ok(None);
                };
                Ok(Some(ReadBack { version, payload: selector.apply(payload), vectors: None }))
            }
            (selector, wanted) => {
                let Some(mut point) = volume.point(id)? else { return Ok(None) };
                if let VectorSelector::Names(names) = wanted {
                    point.vectors.retain(|name, _| names.contains(name));
                }
                let payload = selector.apply(point.payload);
                Ok(Some(ReadBack { version: point.version, payload, vectors: Some(point.vectors) }))
            }
        }
    }

    /// Refuses names of vectors that the collection does not have.
    pub(super) fn check_fields(&self, fields: &Fields) -> Result<()> {
        match &fields.vectors {
            VectorSelector::Names(names) => names
                .iter()
                .try_for_each(|name| self.index(name).map(drop))
                .map_err(|error| error.at("with_vector")),
            VectorSelector::None | VectorSelector::All => Ok(()),
        }
    }
}
