//! `POST /collections/{c}/points/query` and its batch form, into `engine::Search`.

use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::object::{Object, expected};
use super::{adapt, filter, inference, selector, vector};
use crate::collection::{Fields, Mmr};
use crate::engine::{HeadUse, Lookup, Search, Wanted};
use crate::error::{Error, Result};
use crate::index::Mode;
use crate::types::{CollectionName, PayloadSelector, PointId};

/// Hits of a query that states no limit.
const DEFAULT_LIMIT: usize = 10;
/// Most hits of a query, offset included.
pub const MAX_LIMIT: usize = 10_000;
/// Most queries of a batch.
pub const MAX_QUERIES: usize = 256;
/// Candidates that mmr chooses from where the query names no number.
const MMR_CANDIDATES: usize = 100;

/// One query.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QueryBody {
    /// A vector, a point id, an object for the model, `{"nearest": any of these}` with an
    /// optional `mmr`, or absent: points in the order of their ids.
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    query: Option<Value>,
    /// Name of the vector; the unnamed one if absent.
    #[serde(default)]
    using: Option<String>,
    /// Which points may be answered.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    filter: Option<Value>,
    /// `hnsw_ef` (at most 10,000), `exact`; `adapt`: `none`, `picture` or `text`, which head of the
    /// collection the query goes through, whatever it is.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    params: Option<Value>,
    /// Hits must be at least as good.
    #[serde(default)]
    score_threshold: Option<f32>,
    /// Most hits; 10 if absent, at most 10,000 together with `offset`.
    #[serde(default)]
    #[schema(value_type = Option<usize>)]
    limit: Option<Value>,
    /// Hits to skip.
    #[serde(default)]
    #[schema(value_type = Option<usize>)]
    offset: Option<Value>,
    /// true, false, names, or `{"include"|"exclude": [..]}`; false if absent.
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    with_payload: Option<Value>,
    /// true, false or vector names; false if absent.
    #[serde(default, alias = "with_vectors")]
    #[schema(value_type = Option<Value>)]
    with_vector: Option<Value>,
    /// For a query by id: `{"collection", "vector"}` that the id is looked up in.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    lookup_from: Option<Value>,
    /// Not supported.
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    prefetch: Option<Value>,
    /// Not supported.
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    shard_key: Option<Value>,
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
        for (field, value) in [("prefetch", &self.prefetch), ("shard_key", &self.shard_key)] {
            if value.as_ref().is_some_and(|v| !v.is_null() && v.as_array().is_none_or(|a| !a.is_empty())) {
                return Err(Error::InvalidInput(format!(
                    "{field} is not supported by this server; leave it out"
                )));
            }
        }
        if self.score_threshold.is_some_and(|t| !t.is_finite()) {
            return Err(Error::Validation("score_threshold must be a finite 32-bit number".into()));
        }
        let (wanted, mmr) = wanted(self.query)?;
        let Params { mode, ef, head } = params(self.params)?;
        let limit = bounded(self.limit, "limit", DEFAULT_LIMIT, 1, MAX_LIMIT)?;
        let offset = bounded(self.offset, "offset", 0, 0, MAX_LIMIT)?;
        if limit + offset > MAX_LIMIT {
            return Err(Error::Validation(format!(
                "limit + offset is {}, at most {MAX_LIMIT}; use scroll to walk a whole collection",
                limit + offset
            )));
        }
        Ok(Search {
            wanted,
            using: self.using.unwrap_or_default(),
            filter: filter::parse_optional(self.filter, "filter")?,
            limit,
            offset,
            score_threshold: self.score_threshold,
            ef,
            mode,
            mmr,
            head,
            lookup: lookup(self.lookup_from)?,
            fields: Fields {
                payload: selector::payload(self.with_payload, PayloadSelector::None)?,
                vectors: selector::vector(self.with_vector)?,
            },
        })
    }
}

fn wanted(value: Option<Value>) -> Result<(Wanted, Option<Mmr>)> {
    let Some(value) = value.filter(|v| !v.is_null()) else { return Ok((Wanted::InOrder, None)) };
    let Value::Object(map) = &value else { return Ok((nearest(value, "query")?, None)) };
    if inference::is_inference(map) {
        return Ok((nearest(value, "query")?, None));
    }
    let mut object = Object::new(value, "query")?;
    if let Some(nearest_value) = object.take("nearest") {
        let wanted = nearest(nearest_value, "query.nearest")?;
        let mmr = object.take("mmr").map(mmr).transpose()?;
        object.finish()?;
        return Ok((wanted, mmr));
    }
    let unsupported = [
        "recommend",
        "discover",
        "context",
        "order_by",
        "fusion",
        "rrf",
        "formula",
        "sample",
        "relevance_feedback",
        "indices",
    ];
    for key in unsupported {
        if object.take(key).is_some() {
            return Err(Error::InvalidInput(format!(
                "query.{key} is not supported by this server; send a vector, a point id, or an object with `text` or `image`"
            )));
        }
    }
    object.finish()?;
    Err(Error::MalformedBody(
        "query: expected a vector, a point id, an object with `text` or `image`, or `nearest`".into(),
    ))
}

fn nearest(value: Value, place: &str) -> Result<Wanted> {
    match value {
        Value::Number(_) | Value::String(_) => match serde_json::from_value::<PointId>(value) {
            Ok(id) => Ok(Wanted::LikePoint(id)),
            Err(error) => Err(Error::MalformedBody(format!("{place}: {error}"))),
        },
        Value::Array(_) | Value::Object(_) => vector::parse_one(value, place).map(Wanted::Like),
        other => Err(expected(place, "a vector, a point id, or an object with `text` or `image`", &other)),
    }
}

fn mmr(value: Value) -> Result<Mmr> {
    let mut object = Object::new(value, "query.mmr")?;
    let diversity = object.number("diversity")?.unwrap_or(0.5);
    if !(0.0..=1.0).contains(&diversity) {
        return Err(Error::Validation(format!("query.mmr.diversity is {diversity}, it must be from 0 to 1")));
    }
    let candidates =
        bounded(object.take("candidates_limit"), "query.mmr.candidates_limit", MMR_CANDIDATES, 1, MAX_LIMIT)?;
    object.finish()?;
    #[allow(clippy::cast_possible_truncation)]
    Ok(Mmr { diversity: diversity as f32, candidates })
}

/// What stands in `params`.
#[derive(Default)]
struct Params {
    mode: Mode,
    ef: Option<usize>,
    head: HeadUse,
}

fn params(value: Option<Value>) -> Result<Params> {
    let Some(value) = value.filter(|v| !v.is_null()) else { return Ok(Params::default()) };
    let mut object = Object::new(value, "params")?;
    let head = adapt::head_use(object.take("adapt"), "params")?;
    let ef = match object.take("hnsw_ef") {
        None => None,
        Some(value) => Some(bounded(Some(value), "params.hnsw_ef", 0, 1, MAX_LIMIT)?),
    };
    let mode = if object.boolean("exact")?.unwrap_or(false) { Mode::Exact } else { Mode::Auto };
    // Tuning of other servers that changes no answer here: nothing is unindexed or quantised.
    for key in ["quantization", "indexed_only", "acorn"] {
        let _ = object.take(key);
    }
    object.finish()?;
    Ok(Params { mode, ef, head })
}

fn lookup(value: Option<Value>) -> Result<Option<Lookup>> {
    let Some(value) = value.filter(|v| !v.is_null()) else { return Ok(None) };
    let mut object = Object::new(value, "lookup_from")?;
    let at = object.at("collection");
    let name = object
        .string("collection")?
        .ok_or_else(|| Error::MalformedBody(format!("{at}: field is missing")))?;
    let using = object.string("vector")?;
    let _ = object.take("shard_key");
    object.finish()?;
    Ok(Some(Lookup { collection: CollectionName::parse(&name)?, using }))
}

#[cfg(test)]
mod tests {
    use super::*;
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
            assert!(matches!(search.wanted, Wanted::Like(_)), "{:?}", search.wanted);
        }
        assert!(matches!(search(json!({"query": 7})).unwrap().wanted, Wanted::LikePoint(PointId::Num(7))));
        assert!(matches!(search(json!({})).unwrap().wanted, Wanted::InOrder));
    }

    #[test]
    fn what_is_out_of_range_names_its_field() {
        for (body, named) in [
            (json!({"limit": 0}), "limit is 0"),
            (json!({"limit": -1}), "limit: expected"),
            (json!({"limit": 9999, "offset": 2}), "limit + offset"),
            (json!({"params": {"hnsw_ef": 10_001}}), "params.hnsw_ef is 10001"),
            (json!({"params": {"exakt": true}}), "params.exakt"),
            (json!({"params": {"adapt": true}}), "params.adapt is true"),
            (json!({"query": {"text": "a", "options": {"adapt": "x"}}}), "query.options.adapt"),
            (json!({"query": {"nearest": [1.0], "mmr": {"diversity": 2}}}), "query.mmr.diversity is 2"),
            (json!({"query": {"fusion": "rrf"}}), "query.fusion"),
            (json!({"query": "cat"}), "query: "),
            (json!({"query": true}), "query: expected"),
            (json!({"prefetch": [{}]}), "prefetch"),
            (json!({"with_payload": 5}), "with_payload: expected"),
            (json!({"lookup_from": {}}), "lookup_from.collection"),
        ] {
            let error = search(body.clone()).unwrap_err();
            assert!(error.to_string().contains(named), "{body}: {error}");
        }
    }
}
