//! The road of a search: everything for the model in it is embedded in one go, stored points become their
//! vectors, then it runs as one blocking call, what comes first before what it is for.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use futures_util::{StreamExt, TryStreamExt, stream};

use super::Engine;
use super::draft::{Inference, VectorSource};
use super::wanted::{Example, Search, Strategy, Wanted};
use crate::collection::{Collection, Examples, Fields, Ordered, Query, Scroll};
use crate::embed::Lane;
use crate::error::{Error, Result};
use crate::index::Mode;
use crate::types::{
    CollectionName, Condition, Distance, Filter, PointId, Record, ScoredPoint, VectorName, check_vector,
};

/// Searches of one request that run at once.
const AT_ONCE: usize = 4;

impl Engine {
    /// Answers several searches, in order.
    ///
    /// # Errors
    /// An error that names the search's index if there are several.
    pub async fn search_all(
        &self,
        name: &CollectionName,
        searches: Vec<Search>,
    ) -> Result<Vec<Vec<ScoredPoint>>> {
        let searches = self.ready(name, searches).await?;
        let several = searches.len() > 1;
        let answers = stream::iter(searches.into_iter().enumerate()).map(|(i, search)| async move {
            let answer = self.on(name, move |collection| run(collection, &search)).await;
            answer.map_err(|error| if several { error.at(format!("searches[{i}]")) } else { error })
        });
        answers.buffered(AT_ONCE).try_collect().await
    }

    /// The searches with every example as a vector, checked and through its head.
    pub(super) async fn ready(
        &self,
        name: &CollectionName,
        mut searches: Vec<Search>,
    ) -> Result<Vec<Search>> {
        for search in &mut searches {
            search.each_mut(&mut Search::relate);
        }
        self.bind_searches(name, &mut searches)?;
        self.embed_examples(name, &mut searches).await?;
        let several = searches.len() > 1;
        for (i, search) in searches.iter_mut().enumerate() {
            let mut parts = Vec::new();
            search.each_mut(&mut |part| parts.push((part.using.clone(), part.lookup.clone())));
            let mut looked_up = Vec::new();
            for ids in points_of(search) {
                let (using, lookup) = parts.get(looked_up.len()).cloned().unwrap_or_default();
                let from = lookup.as_ref().map_or(name, |lookup| &lookup.collection);
                let using = lookup.as_ref().and_then(|lookup| lookup.using.clone()).unwrap_or(using);
                let vectors = match ids.is_empty() {
                    true => Ok(Vec::new()),
                    false => {
                        self.on(from, move |collection| {
                            ids.iter().map(|&id| collection.vector(id, &using)).collect::<Result<Vec<_>>>()
                        })
                        .await
                    }
                };
                let at = |error: Error| if several { error.at(format!("searches[{i}]")) } else { error };
                looked_up.push(vectors.map_err(at)?);
            }
            let mut looked_up = looked_up.into_iter();
            let config = self.collection(name)?.config();
            let mut failed = Ok(());
            search.each_mut(&mut |part| {
                let mut vectors = looked_up.next().unwrap_or_default().into_iter();
                exclude_examples(part);
                for example in part.wanted.examples_mut() {
                    match example {
                        Example::Point(_) => {
                            *example = Example::Ready(vectors.next().unwrap_or_default(), None)
                        }
                        Example::Source(VectorSource::Dense(vector)) => {
                            *example = Example::Ready(std::mem::take(vector), None);
                        }
                        Example::Source(VectorSource::Inference(_)) | Example::Ready(..) => {}
                    }
                    // An unknown name is the collection's to refuse.
                    if let (Example::Ready(vector, _), Some(params)) =
                        (example, config.vectors.get(&part.using))
                        && let Err(error) = check_vector(vector, params.size, params.distance)
                        && failed.is_ok()
                    {
                        failed = Err(error.at("query"));
                    }
                }
            });
            failed.map_err(|error| if several { error.at(format!("searches[{i}]")) } else { error })?;
        }
        let collection = self.collection(name)?;
        let mut fingerprints = BTreeMap::new();
        for vector in adaptable(&mut searches) {
            // Only where there is a head: its model may have to be loaded.
            if collection.heads().applied.iter().any(|applied| applied.vector == vector)
                && let Some(fingerprint) = self.fingerprint_of(&collection, &vector).await?
            {
                fingerprints.insert(vector, fingerprint);
            }
        }
        for search in &mut searches {
            search.each_mut(&mut |part| {
                let (using, head) = (part.using.clone(), part.head);
                for example in part.wanted.examples_mut() {
                    if let Example::Ready(vector, modality) = example
                        && let Some(modality) = head.resolve_ready(*modality)
                        && let Some(fingerprint) = fingerprints.get(&using)
                    {
                        *vector = collection.adapted(&using, modality, fingerprint, std::mem::take(vector));
                    }
                }
            });
        }
        Ok(searches)
    }

    /// Gives every text and picture the model of the vector that it is compared with.
    fn bind_searches(&self, name: &CollectionName, searches: &mut [Search]) -> Result<()> {
        let config = self.collection(name)?.config();
        let several = searches.len() > 1;
        for (i, search) in searches.iter_mut().enumerate() {
            let mut bound = Ok(());
            search.each_mut(&mut |part| {
                // An unknown name is the collection's to refuse.
                let Some(params) = config.vectors.get(&part.using) else { return };
                for example in part.wanted.examples_mut() {
                    if let Example::Source(VectorSource::Inference(inference)) = example
                        && bound.is_ok()
                    {
                        bound = self.bind(inference, name, &part.using, params);
                    }
                }
            });
            bound.map_err(|error| if several { error.at(format!("searches[{i}]")) } else { error })?;
        }
        Ok(())
    }

    /// Embeds everything for the models; what stands several times is embedded once.
    async fn embed_examples(&self, name: &CollectionName, searches: &mut [Search]) -> Result<()> {
        let templates = self.collection(name)?.config().text_templates();
        let several = searches.len() > 1;
        let mut places: Vec<(&mut Example, usize)> = Vec::new();
        let mut distinct: Vec<Inference> = Vec::new();
        for (i, search) in searches.iter_mut().enumerate() {
            let mut examples = Vec::new();
            search.inferences_mut(&mut examples);
            for example in examples {
                let Some(mut inference) = example.inference().cloned() else { continue };
                inference.choices.templates = inference.choices.templates.in_query(templates.clone());
                if several {
                    inference.place = format!("searches[{i}].{}", inference.place);
                }
                let is_same = |other: &Inference| {
                    other.model == inference.model
                        && other.content == inference.content
                        && other.choices.templates == inference.choices.templates
                };
                let number = distinct.iter().position(is_same).unwrap_or(distinct.len());
                if number == distinct.len() {
                    distinct.push(inference);
                }
                places.push((example, number));
            }
        }
        let vectors = self.embed_each(Lane::Queries, distinct).await?;
        for (example, number) in places {
            let modality = example.inference().and_then(|inference| {
                inference.choices.head.resolve(super::HeadUse::ByKind, Some(&inference.content))
            });
            let missing = || Err(Error::Internal("the model answered nothing".into()));
            let vector = vectors.get(number).cloned().unwrap_or_else(missing)?;
            *example = Example::Ready(vector, modality);
        }
        Ok(())
    }
}

/// The vectors whose queries may go through a head.
fn adaptable(searches: &mut [Search]) -> BTreeSet<VectorName> {
    let mut found = BTreeSet::new();
    for search in searches {
        search.each_mut(&mut |part| {
            let (using, head) = (part.using.clone(), part.head);
            let is_adapted = |example: &mut &mut Example| {
                matches!(example, Example::Ready(_, modality) if head.resolve_ready(*modality).is_some())
            };
            if part.wanted.examples_mut().iter_mut().any(is_adapted) {
                found.insert(using);
            }
        });
    }
    found
}

/// The ids among the examples of a search and of each that comes first, in the order of `each_mut`.
fn points_of(search: &mut Search) -> Vec<Vec<PointId>> {
    let mut all = Vec::new();
    search.each_mut(&mut |part| {
        let ids = part.wanted.examples_mut().into_iter().filter_map(|example| match example {
            Example::Point(id) => Some(*id),
            Example::Source(_) | Example::Ready(..) => None,
        });
        all.push(ids.collect());
    });
    all
}

/// Points of the collection that are examples are no hits.
fn exclude_examples(search: &mut Search) {
    let Search { wanted, lookup: None, exclude, .. } = search else { return };
    for example in wanted.examples_mut() {
        if let Example::Point(id) = example {
            exclude.push(*id);
        }
    }
}

/// A filter that lets through what both do.
pub(super) fn both(a: Option<Filter>, b: Option<Filter>) -> Option<Filter> {
    match (a, b) {
        (Some(a), Some(b)) => {
            Some(Filter { must: vec![Condition::Filter(a), Condition::Filter(b)], ..Filter::default() })
        }
        (one, None) | (None, one) => one,
    }
}

/// Runs a search whose examples are vectors.
pub(super) fn run(collection: &Collection, search: &Search) -> Result<Vec<ScoredPoint>> {
    let mut lists = Vec::with_capacity(search.prefetch.len());
    for first in &search.prefetch {
        let filter = both(search.filter.clone(), first.filter.clone());
        let first = Search { filter, fields: Fields::NONE, ..first.clone() };
        lists.push(run(collection, &first)?);
    }
    if let Wanted::Fuse(fusion) = &search.wanted {
        let mut fused = fusion.fuse(&lists);
        if let Some(threshold) = search.score_threshold {
            fused.retain(|(_, score)| Distance::Dot.reaches(*score, threshold));
        }
        let page: Vec<_> = fused.into_iter().skip(search.offset).take(search.limit).collect();
        return collection.hits(&page, &search.fields);
    }
    if search.prefetch.is_empty() {
        return run_alone(collection, search, search.filter.clone(), search.mode);
    }
    // Of what was found first the best by this query, every one compared.
    let found: HashSet<PointId> = lists.iter().flatten().map(|hit| hit.id).collect();
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let among = Filter { must: vec![Condition::HasId(found)], ..Filter::default() };
    run_alone(collection, search, both(search.filter.clone(), Some(among)), Mode::Exact)
}

fn run_alone(
    collection: &Collection,
    search: &Search,
    filter: Option<Filter>,
    mode: Mode,
) -> Result<Vec<ScoredPoint>> {
    let by = |vector: Vec<f32>, examples: Option<Examples>| Query {
        vector,
        examples,
        using: search.using.clone(),
        filter: filter.clone(),
        exclude: search.exclude.clone(),
        limit: search.limit,
        offset: search.offset,
        score_threshold: search.score_threshold,
        ef: search.ef,
        mode,
        rescore: search.rescore,
        mmr: search.mmr,
        relevance: search.relevance,
        fields: search.fields.clone(),
    };
    match &search.wanted {
        Wanted::Like(example) => collection.search(&by(vector_of(example), None)),
        Wanted::Recommend { positive, negative, strategy: Strategy::AverageVector } => {
            collection.search(&by(average(positive, negative), None))
        }
        Wanted::Recommend { positive, negative, strategy } => {
            let (positive, negative) = (vectors_of(positive), vectors_of(negative));
            let examples = match strategy {
                Strategy::BestScore => Examples::Best { positive, negative },
                Strategy::AverageVector | Strategy::SumScores => Examples::Sum { positive, negative },
            };
            collection.search(&by(Vec::new(), Some(examples)))
        }
        Wanted::Discover { target, context } => {
            let context = context.iter().map(|(a, b)| (vector_of(a), vector_of(b))).collect();
            let examples = match target {
                Some(target) => Examples::Discover { target: vector_of(target), context },
                None => Examples::Context { context },
            };
            collection.search(&by(Vec::new(), Some(examples)))
        }
        Wanted::Fuse(_) => Err(Error::Internal("a fusion reached its collection".into())),
        Wanted::OrderBy(order) => {
            let page = (search.offset, search.limit);
            let found = collection.in_order(order, filter.as_ref(), page, &search.fields)?;
            found.into_iter().map(|Ordered { record, .. }| scored(collection, record)).collect()
        }
        Wanted::Sample => {
            let ids = collection.sample(filter.as_ref(), search.limit)?;
            let points: Vec<_> = ids.into_iter().map(|id| (id, 0.0)).collect();
            collection.hits(&points, &search.fields)
        }
        Wanted::InOrder => {
            let limit = search.limit + search.offset;
            let fields = search.fields.clone();
            let (records, _) = collection.scroll(&Scroll { filter, offset: None, limit, fields })?;
            records.into_iter().skip(search.offset).map(|record| scored(collection, record)).collect()
        }
    }
}

fn scored(collection: &Collection, record: Record) -> Result<ScoredPoint> {
    let version = collection.version(record.id)?.unwrap_or_default();
    let Record { id, payload, vectors } = record;
    Ok(ScoredPoint { id, version, score: 0.0, relevance: None, payload, vectors })
}

fn vector_of(example: &Example) -> Vec<f32> {
    match example {
        Example::Ready(vector, _) | Example::Source(VectorSource::Dense(vector)) => vector.clone(),
        Example::Source(VectorSource::Inference(_)) | Example::Point(_) => Vec::new(), // refused as too short
    }
}

fn vectors_of(examples: &[Example]) -> Vec<Vec<f32>> {
    examples.iter().map(vector_of).collect()
}

/// Twice the mean of the positives less the mean of the negatives; without negatives the mean.
fn average(positive: &[Example], negative: &[Example]) -> Vec<f32> {
    let mean = |examples: &[Example]| -> Vec<f32> {
        let vectors = vectors_of(examples);
        let mut mean = vec![0.0; vectors.first().map_or(0, Vec::len)];
        for vector in &vectors {
            mean.iter_mut().zip(vector).for_each(|(mean, value)| *mean += value / vectors.len() as f32);
        }
        mean
    };
    let (positive, negative) = (mean(positive), mean(negative));
    if negative.is_empty() {
        return positive;
    }
    positive.iter().zip(&negative).map(|(positive, negative)| 2.0 * positive - negative).collect()
}
