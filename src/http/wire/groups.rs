//! Queries whose hits are grouped, and the groups on their way out.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::point::{ScoredPointOut, refuse};
use super::query::{DEFAULT_LIMIT, MAX_LIMIT, QueryBody, bounded};
use crate::engine::{Group, Grouping, Search};
use crate::error::{Error, Result};
use crate::types::{JsonPath, MatchValue};

/// Hits of a group where the request names no number.
const DEFAULT_GROUP_SIZE: usize = 3;
/// Most hits of a group.
const MAX_GROUP_SIZE: usize = 1_000;

/// A query whose hits are grouped by a payload field.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupsBody {
    /// The payload field; its strings and integers are the groups.
    group_by: String,
    /// Most hits of a group; 3 if absent, at most 1,000.
    #[serde(default)]
    #[schema(value_type = Option<usize>)]
    group_size: Option<Value>,
    /// Most groups; 10 if absent. Together with `group_size` at most 10,000 hits.
    #[serde(default)]
    #[schema(value_type = Option<usize>)]
    limit: Option<Value>,
    /// Not supported.
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    with_lookup: Option<Value>,
    /// As in a query.
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    query: Option<Value>,
    /// As in a query.
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    prefetch: Option<Value>,
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
    #[schema(value_type = Option<bool>)]
    with_relevance: Option<Value>,
    /// As in a query.
    #[serde(default)]
    #[schema(value_type = Option<f32>)]
    min_relevance: Option<Value>,
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

impl GroupsBody {
    /// # Errors
    /// An error that names the field.
    pub fn search(self) -> Result<(Search, Grouping)> {
        refuse("with_lookup", self.with_lookup.as_ref())?;
        let by =
            JsonPath::parse(&self.group_by).map_err(|why| Error::Validation(format!("group_by: {why}")))?;
        let size = bounded(self.group_size, "group_size", DEFAULT_GROUP_SIZE, 1, MAX_GROUP_SIZE)?;
        let groups = bounded(self.limit, "limit", DEFAULT_LIMIT, 1, MAX_LIMIT)?;
        if groups * size > MAX_LIMIT {
            return Err(Error::Validation(format!(
                "limit * group_size is {}, at most {MAX_LIMIT}",
                groups * size
            )));
        }
        let body = QueryBody {
            query: self.query,
            using: self.using,
            filter: self.filter,
            params: self.params,
            score_threshold: self.score_threshold,
            with_relevance: self.with_relevance,
            min_relevance: self.min_relevance,
            limit: None,
            offset: None,
            with_payload: self.with_payload,
            with_vector: self.with_vector,
            lookup_from: self.lookup_from,
            prefetch: self.prefetch,
            shard_key: self.shard_key,
        };
        Ok((body.search()?, Grouping { by, groups, size }))
    }
}

/// A value as JSON.
pub fn group_value(value: MatchValue) -> Value {
    match value {
        MatchValue::Keyword(text) => text.into(),
        MatchValue::Integer(number) => number.into(),
        MatchValue::Bool(truth) => truth.into(),
    }
}

/// One group.
#[derive(Debug, Serialize, ToSchema)]
pub struct GroupOut {
    /// The value that its points have in common.
    #[schema(value_type = Value)]
    id: Value,
    /// Its best points.
    hits: Vec<ScoredPointOut>,
}

impl From<Group> for GroupOut {
    fn from(group: Group) -> Self {
        Self { id: group_value(group.id), hits: group.hits.into_iter().map(ScoredPointOut::from).collect() }
    }
}
