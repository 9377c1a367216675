//! The forms that queries had before there was `query`; older clients and integrations send them.

use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::object::Object;
use super::query::QueryBody;
use crate::engine::Search;
use crate::error::Result;

/// The older form of a query by a vector.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchBody {
    /// A vector, or `{"name", "vector"}`.
    #[schema(value_type = Value)]
    vector: Value,
    /// As in a query.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    filter: Option<Value>,
    /// As in a query.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    params: Option<Value>,
    /// As in a query.
    #[serde(default)]
    score_threshold: Option<f32>,
    /// As in a query.
    #[serde(default)]
    #[schema(value_type = Option<usize>)]
    limit: Option<Value>,
    /// As in a query.
    #[serde(default)]
    #[schema(value_type = Option<usize>)]
    offset: Option<Value>,
    /// As in a query.
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    with_payload: Option<Value>,
    /// As in a query.
    #[serde(default, alias = "with_vectors")]
    #[schema(value_type = Option<Value>)]
    with_vector: Option<Value>,
    /// Not supported.
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    shard_key: Option<Value>,
}

impl SearchBody {
    /// # Errors
    /// An error that names the field.
    pub fn search(self) -> Result<Search> {
        let (using, vector) = match self.vector {
            value @ Value::Object(_) if value.get("name").is_some() => {
                let mut object = Object::new(value, "vector")?;
                let name = object.string("name")?;
                let vector = object.require("vector")?;
                object.finish()?;
                (name, vector)
            }
            other => (None, other),
        };
        let body = QueryBody {
            query: Some(vector),
            using,
            filter: self.filter,
            params: self.params,
            score_threshold: self.score_threshold,
            with_relevance: None,
            min_relevance: None,
            limit: self.limit,
            offset: self.offset,
            with_payload: self.with_payload,
            with_vector: self.with_vector,
            lookup_from: None,
            prefetch: None,
            shard_key: self.shard_key,
        };
        body.search()
    }
}

/// Several older queries that are answered together.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchBatchBody {
    /// 1 to 256 queries.
    pub searches: Vec<SearchBody>,
}

/// The older form of a recommendation.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecommendBody {
    /// Ids and vectors to be like.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Value>>)]
    positive: Option<Value>,
    /// Ids and vectors not to be like.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Value>>)]
    negative: Option<Value>,
    /// `average_vector` if absent, `best_score`, `sum_scores`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    strategy: Option<Value>,
    /// As in a query.
    #[serde(default)]
    using: Option<String>,
    /// As in a query.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    filter: Option<Value>,
    /// As in a query.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    params: Option<Value>,
    /// As in a query.
    #[serde(default)]
    score_threshold: Option<f32>,
    /// As in a query.
    #[serde(default)]
    #[schema(value_type = Option<usize>)]
    limit: Option<Value>,
    /// As in a query.
    #[serde(default)]
    #[schema(value_type = Option<usize>)]
    offset: Option<Value>,
    /// As in a query.
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    with_payload: Option<Value>,
    /// As in a query.
    #[serde(default, alias = "with_vectors")]
    #[schema(value_type = Option<Value>)]
    with_vector: Option<Value>,
    /// As in a query.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    lookup_from: Option<Value>,
    /// Not supported.
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    shard_key: Option<Value>,
}

impl RecommendBody {
    /// # Errors
    /// An error that names the field.
    pub fn search(self) -> Result<Search> {
        let mut examples = serde_json::Map::new();
        for (key, value) in
            [("positive", self.positive), ("negative", self.negative), ("strategy", self.strategy)]
        {
            examples.extend(value.map(|value| (key.to_owned(), value)));
        }
        let body = QueryBody {
            query: Some(serde_json::json!({ "recommend": examples })),
            using: self.using,
            filter: self.filter,
            params: self.params,
            score_threshold: self.score_threshold,
            with_relevance: None,
            min_relevance: None,
            limit: self.limit,
            offset: self.offset,
            with_payload: self.with_payload,
            with_vector: self.with_vector,
            lookup_from: self.lookup_from,
            prefetch: None,
            shard_key: self.shard_key,
        };
        body.search()
    }
}
