//! `POST /collections/{c}/points/query` and its batch form, into `engine::Search`.

use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::object::{Object, expected};
use super::point::refuse;
use super::{adapt, filter, prefetch, relevance, selector, wanted};
use crate::collection::Fields;
use crate::engine::{Fusion, HeadUse, Search, Wanted};
use crate::error::{Error, Result};
use crate::index::{Mode, Rescore};
use crate::types::PayloadSelector;

/// Hits of a query that states no limit.
pub(super) const DEFAULT_LIMIT: usize = 10;
/// Most hits of a query, offset included.
pub const MAX_LIMIT: usize = 10_000;
/// Largest `params.quantization.oversampling`.
const MAX_OVERSAMPLING: f64 = 100.0;
/// Most queries of a batch.
pub const MAX_QUERIES: usize = 256;

/// One query.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QueryBody {
    /// A vector, a point id, an object for the model, `{"nearest": any of these}` with an
    /// optional `mmr`; `recommend`, `discover`, `context`, `order_by`, `sample`; with `prefetch` also
    /// `fusion` or `rrf`; or absent: points in the order of their ids.
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    pub(super) query: Option<Value>,
    /// Name of the vector; the unnamed one if absent.
    #[serde(default)]
    pub(super) using: Option<String>,
    /// Which points may be answered.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub(super) filter: Option<Value>,
    /// `hnsw_ef` (at most 10,000), `exact`, `quantization` (`ignore`, `rescore`, `oversampling` from 1 to 100); `adapt`: `none`, `picture` or `text`, which head of the
    /// collection the query goes through, whatever it is.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub(super) params: Option<Value>,
    /// Hits must be at least as good.
    #[serde(default)]
    pub(super) score_threshold: Option<f32>,
    /// true: hits say in `relevance` how probable it is, from 0 to 1, that they are right answers (and in
    /// `order_value` for clients that know no other field). They do not where fewer than 64 points have the vector.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    pub(super) with_relevance: Option<Value>,
    /// Hits must be at least as probably right, 0 to 1; they say how probable.
    #[serde(default)]
    #[schema(value_type = Option<f32>)]
    pub(super) min_relevance: Option<Value>,
    /// Most hits; 10 if absent, at most 10,000 together with `offset`.
    #[serde(default)]
    #[schema(value_type = Option<usize>)]
    pub(super) limit: Option<Value>,
    /// Hits to skip.
    #[serde(default)]
    #[schema(value_type = Option<usize>)]
    pub(super) offset: Option<Value>,
    /// true, false, names, or `{"include"|"exclude": [..]}`; false if absent.
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    pub(super) with_payload: Option<Value>,
    /// true, false or vector names; false if absent.
    #[serde(default, alias = "with_vectors")]
    #[schema(value_type = Option<Value>)]
    pub(super) with_vector: Option<Value>,
    /// For a query by id: `{"collection", "vector"}` that the id is looked up in.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub(super) lookup_from: Option<Value>,
    /// Queries that come first, one or a list, nested up to 4 deep and 32 in all: their hits are made one
    /// list by `fusion` or `rrf`, or chosen from by any other query.
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    pub(super) prefetch: Option<Value>,
    /// Not supported.
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    pub(super) shard_key: Option<Value>,
}

/// Several queries that are answered together.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QueryBatchBody {
    /// 1 to 256 queries.
    pub searches: Vec<QueryBody>,
}

/// A whole number from `low` to `high`, or `absent`.
pub fn bounded(value: Option<Value>, field: &str, absent: usize, low: usize, high: usize) -> Result<usize> {
    let Some(value) = value.filter(|v| !v.is_null()) else { return Ok(absent) };
    let number = value.as_u64().and_then(|n| usize::try_from(n).ok());
    match number {
        Some(number) if (low..=high).contains(&number) => Ok(number),
        Some(number) => {
            Err(Error::Validation(format!("{field} is {number}, it must be from {low} to {high}")))
        }
        None => Err(expected(field, &format!("a whole number from {low} to {high}"), &value)),
    }
}

impl QueryBody {
    /// # Errors
    /// An error that names the field.
    pub fn search(self) -> Result<Search> {
        refuse("shard_key", self.shard_key.as_ref())?;
        if self.score_threshold.is_some_and(|t| !t.is_finite()) {
            return Err(Error::Validation("score_threshold must be a finite 32-bit number".into()));
        }
        let prefetch = prefetch::parse(self.prefetch)?;
        let (wanted, mmr) = wanted::parse(self.query, "query", !prefetch.is_empty())?;
        if let Wanted::Fuse(Fusion::Rrf { weights, .. }) = &wanted
            && !weights.is_empty()
            && weights.len() != prefetch.len()
        {
            return Err(Error::Validation(format!(
                "query.rrf.weights holds {}, it must hold one for each prefetch: {}",
                weights.len(),
                prefetch.len()
            )));
        }
        let relevance = relevance::parse(self.with_relevance, self.min_relevance, "")?;
        let relevance = relevance::of(relevance, &wanted, "")?;
        let Params { mode, ef, rescore, head } = params(self.params, "params")?;
        let limit = bounded(self.limit, "limit", DEFAULT_LIMIT, 1, MAX_LIMIT)?;
        let offset = bounded(self.offset, "offset", 0, 0, MAX_LIMIT)?;
        if limit + offset > MAX_LIMIT {
            return Err(Error::Validation(format!(
                "limit + offset is {}, at most {MAX_LIMIT}; use scroll to walk a whole collection",
                limit + offset
            )));
        }
        Ok(Search {
            prefetch,
            wanted,
            exclude: Vec::new(),
            using: self.using.unwrap_or_default(),
            filter: filter::parse_optional(self.filter, "filter")?,
            limit,
            offset,
            score_threshold: self.score_threshold,
            ef,
            mode,
            rescore,
            mmr,
            relevance,
            head,
            lookup: wanted::lookup(self.lookup_from, "lookup_from")?,
            fields: Fields {
                payload: selector::payload(self.with_payload, PayloadSelector::None)?,
                vectors: selector::vector(self.with_vector)?,
            },
        })
    }
}

/// What stands in `params`.
#[derive(Default)]
pub(super) struct Params {
    pub(super) mode: Mode,
    pub(super) ef: Option<usize>,
    pub(super) rescore: Rescore,
    pub(super) head: HeadUse,
}

pub(super) fn params(value: Option<Value>, place: &str) -> Result<Params> {
    let Some(value) = value.filter(|v| !v.is_null()) else { return Ok(Params::default()) };
    let mut object = Object::new(value, place)?;
    let head = adapt::head_use(object.take("adapt"), place)?;
    let at = object.at("hnsw_ef");
    let ef = match object.take("hnsw_ef") {
        None => None,
        Some(value) => Some(bounded(Some(value), &at, 0, 1, MAX_LIMIT)?),
    };
    let mode = if object.boolean("exact")?.unwrap_or(false) { Mode::Exact } else { Mode::Auto };
    let rescore = rescore(object.take("quantization"), &object.at("quantization"))?;
    // Tuning of other servers that changes no answer here: nothing is left unindexed.
    for key in ["indexed_only", "acorn"] {
        let _ = object.take(key);
    }
    object.finish()?;
    Ok(Params { mode, ef, rescore, head })
}

/// `{"ignore", "rescore", "oversampling"}`: `ignore` compares the vectors themselves, `rescore: false` no more
/// of them than are answered, `oversampling` so many times as many.
fn rescore(value: Option<Value>, place: &str) -> Result<Rescore> {
    let Some(value) = value else { return Ok(Rescore::InDoubt) };
    let mut object = Object::new(value, place)?;
    let at = object.at("oversampling");
    let ignore = object.boolean("ignore")?.unwrap_or(false);
    let rescore = object.boolean("rescore")?;
    let oversampling = object.number("oversampling")?;
    object.finish()?;
    if let Some(times) = oversampling
        && !(1.0..=MAX_OVERSAMPLING).contains(&times)
    {
        return Err(Error::Validation(format!("{at} is {times}, it must be from 1 to {MAX_OVERSAMPLING}")));
    }
    #[allow(clippy::cast_possible_truncation)]
    Ok(match (ignore, rescore, oversampling) {
        (true, _, _) => Rescore::All,
        (false, Some(false), _) => Rescore::Times(1.0),
        (false, _, Some(times)) => Rescore::Times(times as f32),
        (false, _, None) => Rescore::InDoubt,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Example, Strategy};
    use crate::types::PointId;
    use serde_json::json;

    fn search(body: Value) -> Result<Search> {
        serde_json::from_value::<QueryBody>(body).unwrap().search()
    }

    #[test]
    fn a_query_is_read_nested_and_un_nested() {
        for query in
            [json!({"text": "a cat", "model": "m"}), json!({"nearest": {"text": "a cat", "model": "m"}})]
        {
            let search = search(json!({"query": query})).unwrap();
            assert!(matches!(search.wanted, Wanted::Like(Example::Source(_))), "{:?}", search.wanted);
        }
        assert!(matches!(
            search(json!({"query": 7})).unwrap().wanted,
            Wanted::Like(Example::Point(PointId::Num(7)))
        ));
        assert!(matches!(search(json!({})).unwrap().wanted, Wanted::InOrder));
    }

    #[test]
    fn what_comes_first_is_read_nested_one_or_many() {
        let body = json!({
            "query": {"rrf": {"k": 60, "weights": [1, 0.5]}},
            "prefetch": [
                {"query": {"text": "a"}, "using": "pictures", "limit": 7},
                {"query": {"recommend": {"positive": [1, {"text": "b"}], "negative": [[0.5]], "strategy": "sum_scores"}},
                 "prefetch": {"query": {"order_by": "price"}}},
            ],
        });
        let searched = search(body).unwrap();
        let search = &searched;
        let Wanted::Fuse(Fusion::Rrf { k: 60, weights }) = &search.wanted else {
            panic!("{:?}", search.wanted)
        };
        assert_eq!(weights, &[1.0, 0.5]);
        assert_eq!((search.prefetch[0].using.as_str(), search.prefetch[0].limit), ("pictures", 7));
        let Wanted::Recommend { positive, negative, strategy } = &search.prefetch[1].wanted else {
            panic!("{:?}", search.prefetch[1].wanted)
        };
        assert_eq!((positive.len(), negative.len(), *strategy), (2, 1, Strategy::SumScores));
        assert!(matches!(search.prefetch[1].prefetch[0].wanted, Wanted::OrderBy(_)));
        assert!(matches!(
            super::tests::search(json!({"query": {"fusion": "dbsf"}, "prefetch": {}})).unwrap().wanted,
            Wanted::Fuse(Fusion::Dbsf)
        ));
    }

    #[test]
    fn what_comes_first_is_bounded_in_depth_and_number() {
        let mut deep = json!({"query": [1.0]});
        for _ in 0..5 {
            deep = json!({"query": [1.0], "prefetch": deep});
        }
        assert!(search(deep).unwrap_err().to_string().contains("at most 4 deep"));
        let many = json!({"query": [1.0], "prefetch": vec![json!({"query": [1.0]}); 33]});
        assert!(search(many).unwrap_err().to_string().contains("at most 32"));
    }

    #[test]
    fn what_is_out_of_range_names_its_field() {
        for (body, named) in [
            (json!({"limit": 0}), "limit is 0"),
            (json!({"limit": -1}), "limit: expected"),
            (json!({"limit": 9999, "offset": 2}), "limit + offset"),
            (json!({"params": {"hnsw_ef": 10_001}}), "params.hnsw_ef is 10001"),
            (json!({"params": {"exakt": true}}), "params.exakt"),
            (
                json!({"params": {"quantization": {"oversampling": 0.5}}}),
                "params.quantization.oversampling is 0.5",
            ),
            (json!({"params": {"quantization": {"rescore": 1}}}), "params.quantization.rescore: expected"),
            (json!({"params": {"adapt": true}}), "params.adapt is true"),
            (json!({"query": {"text": "a", "options": {"adapt": "x"}}}), "query.options.adapt"),
            (json!({"query": {"nearest": [1.0], "mmr": {"diversity": 2}}}), "query.mmr.diversity is 2"),
            (json!({"query": {"fusion": "rrf"}}), "query.fusion needs a prefetch"),
            (json!({"query": {"fusion": "best"}, "prefetch": {}}), "query.fusion is best"),
            (json!({"query": {"rrf": {"k": 0}}, "prefetch": {}}), "query.rrf.k is 0"),
            (json!({"query": {"rrf": {"weights": [1, 2]}}, "prefetch": {}}), "query.rrf.weights holds 2"),
            (json!({"query": {"rrf": {"weights": [-1]}}, "prefetch": {}}), "query.rrf.weights[0] is -1"),
            (json!({"query": {"recommend": {}}}), "query.recommend.positive"),
            (json!({"query": {"recommend": {"positive": [1], "strategy": "x"}}}), "query.recommend.strategy"),
            (json!({"query": {"recommend": {"positive": "x"}}}), "query.recommend.positive: "),
            (json!({"query": {"recommend": {"positive": [], "negative": [2]}}}), "query.recommend.positive"),
            (json!({"query": {"context": {"positive": 1}}}), "query.context[0].negative"),
            (json!({"query": {"discover": {"context": []}}}), "query.discover.target"),
            (json!({"query": {"order_by": {"key": "a", "direction": "up"}}}), "query.order_by.direction"),
            (json!({"query": {"order_by": {"key": "a", "start_from": "x"}}}), "query.order_by.start_from"),
            (json!({"query": {"sample": "best"}}), "query.sample"),
            (json!({"query": {"formula": {}}}), "query.formula is not supported"),
            (json!({"query": [1.0], "prefetch": [{"limit": 0}]}), "prefetch[0].limit is 0"),
            (json!({"query": [1.0], "prefetch": {"filter": {"x": 1}}}), "prefetch[0].filter"),
            (
                json!({"query": [1.0], "prefetch": {"prefetch": {"query": true}}}),
                "prefetch[0].prefetch[0].query: ",
            ),
            (json!({"prefetch": {"query": [1.0]}}), "query"),
            (json!({"query": "cat"}), "query: "),
            (json!({"query": true}), "query: expected"),
            (json!({"with_payload": 5}), "with_payload: expected"),
            (json!({"lookup_from": {}}), "lookup_from.collection"),
        ] {
            let error = search(body.clone()).unwrap_err();
            assert!(error.to_string().contains(named), "{body}: {error}");
        }
    }
}
