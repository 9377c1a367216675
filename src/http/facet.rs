//! `POST /collections/{c}/facet`: the values of a payload field and how often they occur.

use actix_web::{Responder, web};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::answer::{Clock, Envelope, ErrorEnvelope};
use super::body::JsonBody;
use super::collections::named;
use super::state::State;
use super::wire::filter;
use super::wire::groups::group_value;
use super::wire::point::refuse;
use super::wire::query::bounded;
use crate::collection::MAX_FACETS;
use crate::error::{Error, Result};
use crate::types::JsonPath;

/// Values where the request names no number.
const DEFAULT_LIMIT: usize = 10;

/// What is counted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FacetBody {
    /// A payload field with a keyword, integer, bool or uuid index.
    key: String,
    /// Most values; 10 if absent, at most 10,000.
    #[serde(default)]
    #[schema(value_type = Option<usize>)]
    limit: Option<Value>,
    /// Which points are counted; all if absent.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    filter: Option<Value>,
    /// Counts are always exact.
    #[serde(default)]
    #[allow(dead_code)]
    exact: Option<bool>,
    /// Custom sharding is not supported.
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    shard_key: Option<Value>,
}

/// A value and the number of points that have it.
#[derive(Debug, Serialize, ToSchema)]
pub struct FacetHit {
    value: Value,
    count: u64,
}

/// The most frequent first.
#[derive(Debug, Serialize, ToSchema)]
pub struct Facets {
    hits: Vec<FacetHit>,
}

/// Counts the values of a payload field.
#[utoipa::path(post, path = "/collections/{name}/facet", tag = "search", params(("name" = String, Path)), request_body = FacetBody,
    responses((status = 200, description = "values, the most frequent first", body = Envelope<Facets>), (status = 400, body = ErrorEnvelope), (status = 404, body = ErrorEnvelope)))]
pub async fn facet(
    clock: Clock,
    state: web::Data<State>,
    path: web::Path<String>,
    body: JsonBody<FacetBody>,
) -> impl Responder {
    clock
        .run(async {
            let name = named(&path)?;
            let body = body.0;
            refuse("shard_key", body.shard_key.as_ref())?;
            let key = JsonPath::parse(&body.key).map_err(|why| Error::Validation(format!("key: {why}")))?;
            let limit = bounded(body.limit, "limit", DEFAULT_LIMIT, 1, MAX_FACETS)?;
            let filter = filter::parse_optional(body.filter, "filter")?;
            let counted = move |collection: &crate::collection::Collection| -> Result<_> {
                collection.facet(&key, filter.as_ref(), limit)
            };
            let counts = state.engine.on(&name, counted).await?;
            let hit = |(value, count)| FacetHit { value: group_value(value), count };
            Ok(Facets { hits: counts.into_iter().map(hit).collect() })
        })
        .await
}
