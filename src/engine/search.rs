//! A search as a request states it: like a vector, like a text or a picture, like a stored
//! point, or simply in the order of ids.

use super::Engine;
use super::choices::HeadUse;
use super::draft::VectorSource;
use crate::collection::{Fields, Mmr, Query, Scroll};
use crate::error::{Error, Result};
use crate::index::Mode;
use crate::types::{CollectionName, Filter, PointId, ScoredPoint, VectorName, check_vector};

/// What hits should be like.
#[derive(Debug, Clone)]
pub enum Wanted {
    /// Near this vector, text or picture.
    Like(VectorSource),
    /// Near this stored point, which is not itself a hit.
    LikePoint(PointId),
    /// Nothing: points in the order of their ids.
    InOrder,
}

/// Another collection in which the id of `Wanted::LikePoint` is looked up.
#[derive(Debug, Clone)]
pub struct Lookup {
    /// The collection.
    pub collection: CollectionName,
    /// The vector's name there; the query's own if absent.
    pub using: Option<VectorName>,
}

/// One search; limits are checked where it is parsed.
#[derive(Debug, Clone)]
pub struct Search {
    /// What hits should be like.
    pub wanted: Wanted,
    /// The vector's name.
    pub using: VectorName,
    /// Which points may be answered.
    pub filter: Option<Filter>,
    /// Most hits.
    pub limit: usize,
    /// Hits to skip.
    pub offset: usize,
    /// Hits must be at least as good.
    pub score_threshold: Option<f32>,
    /// Candidates of the graph walk; the default if absent.
    pub ef: Option<usize>,
    /// Exact or as planned.
    pub mode: Mode,
    /// Diversity among the hits.
    pub mmr: Option<Mmr>,
    /// Which head the query goes through, where the request says so beside the query.
    pub head: HeadUse,
    /// Where an id is looked up, if not in the collection itself.
    pub lookup: Option<Lookup>,
    /// What the hits hold.
    pub fields: Fields,
}

impl Engine {
    /// Answers several searches in order. Everything for the model in them is embedded in one
    /// go before the first search runs.
    ///
    /// # Errors
    /// The first error; it names the search's index if there are several.
    pub async fn search_all(
        &self,
        name: &CollectionName,
        searches: Vec<Search>,
    ) -> Result<Vec<Vec<ScoredPoint>>> {
        let templates = self.collection(name)?.config().text_templates();
        let several = searches.len() > 1;
        let mut inferences = Vec::new();
        for (i, search) in searches.iter().enumerate() {
            if let Wanted::Like(VectorSource::Inference(inference)) = &search.wanted {
                let mut inference = inference.clone();
                inference.choices.templates = inference.choices.templates.in_query(templates.clone());
                if several {
                    inference.place = format!("searches[{i}].{}", inference.place);
                }
                inferences.push(inference);
            }
        }
        let mut embedded = self.embed_each(inferences).await?.into_iter();
        let mut answers = Vec::with_capacity(searches.len());
        for (i, search) in searches.into_iter().enumerate() {
            let vector = match &search.wanted {
                Wanted::Like(VectorSource::Inference(_)) => embedded
                    .next()
                    .unwrap_or_else(|| Err(Error::Internal("the model answered nothing".into())))?
                    .into(),
                _ => None,
            };
            let answer = self.search(name, search, vector).await;
            answers.push(
                answer.map_err(|error| if several { error.at(format!("searches[{i}]")) } else { error })?,
            );
        }
        Ok(answers)
    }

    async fn search(
        &self,
        name: &CollectionName,
        search: Search,
        embedded: Option<Vec<f32>>,
    ) -> Result<Vec<ScoredPoint>> {
        let (vector, exclude) = match (embedded, &search.wanted) {
            (Some(vector), _) => {
                self.check_query(name, &search.using, &vector)?;
                (vector, Vec::new())
            }
            (None, Wanted::Like(VectorSource::Dense(vector))) => {
                self.check_query(name, &search.using, vector)?;
                (vector.clone(), Vec::new())
            }
            (None, Wanted::LikePoint(id)) => {
                let exclude = if search.lookup.is_none() { vec![*id] } else { Vec::new() };
                (self.stored_vector(name, &search, *id).await?, exclude)
            }
            (None, Wanted::Like(VectorSource::Inference(_))) => {
                return Err(Error::Internal("a query reached its collection without a vector".into()));
            }
            (None, Wanted::InOrder) => return self.in_order(name, search).await,
        };
        let modality = match &search.wanted {
            Wanted::Like(VectorSource::Inference(inference)) => {
                inference.choices.head.resolve(search.head, Some(&inference.content))
            }
            _ => HeadUse::ByKind.resolve(search.head, None),
        };
        let mut query = Query {
            vector,
            using: search.using,
            filter: search.filter,
            exclude,
            limit: search.limit,
            offset: search.offset,
            score_threshold: search.score_threshold,
            ef: search.ef,
            mode: search.mode,
            mmr: search.mmr,
            fields: search.fields,
        };
        let fingerprint = self.model().fingerprint.clone();
        self.on(name, move |collection| {
            if let Some(modality) = modality {
                let vector = std::mem::take(&mut query.vector);
                query.vector = collection.adapted(&query.using, modality, &fingerprint, vector);
            }
            collection.search(&query)
        })
        .await
    }

    /// An unknown name is the collection's to refuse; the query's own numbers are checked here.
    fn check_query(&self, name: &CollectionName, using: &str, vector: &[f32]) -> Result<()> {
        match self.collection(name)?.config().vectors.get(using) {
            Some(params) => {
                check_vector(vector, params.size, params.distance).map_err(|error| error.at("query"))
            }
            None => Ok(()),
        }
    }

    async fn stored_vector(&self, name: &CollectionName, search: &Search, id: PointId) -> Result<Vec<f32>> {
        let (from, using) = match &search.lookup {
            Some(lookup) => {
                (&lookup.collection, lookup.using.clone().unwrap_or_else(|| search.using.clone()))
            }
            None => (name, search.using.clone()),
        };
        self.on(from, move |collection| collection.vector(id, &using)).await
    }

    async fn in_order(&self, name: &CollectionName, search: Search) -> Result<Vec<ScoredPoint>> {
        let offset = search.offset;
        let scroll = Scroll {
            filter: search.filter,
            offset: None,
            limit: search.limit + offset,
            fields: search.fields,
        };
        self.on(name, move |collection| {
            let (records, _) = collection.scroll(&scroll)?;
            let hit = |record: crate::types::Record| {
                let version = collection.version(record.id)?.unwrap_or_default();
                Ok(ScoredPoint {
                    id: record.id,
                    version,
                    score: 0.0,
                    payload: record.payload,
                    vectors: record.vectors,
                })
            };
            records.into_iter().skip(offset).map(hit).collect()
        })
        .await
    }
}
